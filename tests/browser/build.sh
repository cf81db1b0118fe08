#!/bin/sh
# Provides what a person looks at pages with, and prints its folder: `chromium` and its `chromedriver`, of Debian's packages, which are
# installed where they are missing, and `axe.min.js`, which finds what keeps people out. That is of an npm package (MPL-2.0), for tests
# alone: it is fetched once, under its checksum, into a cache outside the checkout, and is a part of nothing that is handed on.
#
#   ISOBATH_TEST_BROWSER="$(tests/browser/build.sh)" cargo test --test browser
set -eu

axe=4.14.1
checksum=1477dafa598d8d065f273d6af302aa203c02e83131707b7fa648cd41bd3d6b734f8c22a0dab86ee6a6f64b8afbe804b214d36db85a2826965edfb3a0b9d546b5
cache="${ISOBATH_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/isobath}"
target="$cache/browser-$axe"

if ! command -v chromedriver >/dev/null 2>&1 || ! command -v chromium >/dev/null 2>&1; then
    if ! command -v apt-get >/dev/null 2>&1 || [ "$(id -u)" != 0 ]; then
        echo "browser: install chromium and chromedriver (on Debian: apt-get install chromium chromium-driver)" >&2
        exit 1
    fi
    echo "browser: installing chromium and chromium-driver" >&2
    apt-get update -qq >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends chromium chromium-driver \
        fonts-dejavu-core >&2
fi
if [ ! -e "$target/axe.min.js" ]; then
    if ! command -v npm >/dev/null 2>&1; then
        echo "browser: npm is not there, and axe-core was not fetched before" >&2
        exit 1
    fi
    echo "browser: fetching axe-core" >&2
    mkdir -p "$cache"
    # Made aside and renamed: a fetch that was cut off never looks like a finished one.
    aside=$(mktemp -d "$cache/browser-$axe.XXXXXX")
    trap 'rm -rf "$aside"' EXIT
    (cd "$aside" && npm pack --silent "axe-core@$axe" >/dev/null)
    if ! echo "$checksum  $aside/axe-core-$axe.tgz" | sha512sum --check --status; then
        echo "browser: axe-core $axe is not what it was: its checksum is another one" >&2
        exit 1
    fi
    tar -xzf "$aside/axe-core-$axe.tgz" -C "$aside" package/axe.min.js package/LICENSE
    mv "$aside/package/axe.min.js" "$aside/package/LICENSE" "$aside"
    rm -r "$aside/package" "$aside/axe-core-$axe.tgz"
    chmod 755 "$aside"
    rm -rf "$target"
    mv -T "$aside" "$target"
fi
echo "$target"
