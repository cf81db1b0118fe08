#!/bin/sh
# Provides Contour itself, the peer of `make peers`, and prints its path. It is built once, in about six minutes of CPU, into a
# cache outside the checkout, under the hash of what go.mod and go.sum pin.
set -eu

cd "$(dirname "$0")"
hash=$(cat go.mod go.sum | sha256sum | cut -c1-16)
cache="${ISOBATH_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/isobath}"
target="$cache/contour-$hash"
if [ ! -x "$target" ]; then
    if ! command -v go >/dev/null 2>&1; then
        echo "contour: Go is not there, and nothing was built before" >&2
        exit 1
    fi
    echo "contour: building" >&2
    mkdir -p "$cache"
    # Built aside and renamed: a build that was cut off never looks like a finished one.
    aside=$(mktemp "$cache/contour-$hash.XXXXXX")
    trap 'rm -f "$aside"' EXIT
    CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o "$aside" github.com/projectcontour/contour/cmd/contour >&2
    chmod 755 "$aside"
    mv -T "$aside" "$target"
fi
echo "$target"
