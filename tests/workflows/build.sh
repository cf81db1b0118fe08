#!/bin/sh
# Provides `actionlint`, which reads workflows as the forge does, and prints its path. It is built once, in seconds, into a cache
# outside the checkout, under the hash of what go.mod and go.sum pin.
#
#   ISOBATH_TEST_ACTIONLINT="$(tests/workflows/build.sh)" cargo test --test release
set -eu

cd "$(dirname "$0")"
hash=$(cat go.mod go.sum | sha256sum | cut -c1-16)
cache="${ISOBATH_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/isobath}"
target="$cache/actionlint-$hash"
if [ ! -x "$target" ]; then
    if ! command -v go >/dev/null 2>&1; then
        echo "workflows: Go is not there, and nothing was built before" >&2
        exit 1
    fi
    echo "workflows: building actionlint" >&2
    mkdir -p "$cache"
    # Built aside and renamed: a build that was cut off never looks like a finished one.
    aside=$(mktemp "$cache/actionlint-$hash.XXXXXX")
    trap 'rm -f "$aside"' EXIT
    CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o "$aside" github.com/rhysd/actionlint/cmd/actionlint >&2
    chmod 755 "$aside"
    mv -T "$aside" "$target"
fi
echo "$target"
