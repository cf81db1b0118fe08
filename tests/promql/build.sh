#!/bin/sh
# Provides `promql` (main.go) and prints its path. It is built once, in under a minute of CPU, into a cache outside the
# checkout, under the hash of its source and of what go.mod and go.sum pin.
#
#   ISOBATH_TEST_PROMQL="$(tests/promql/build.sh)" cargo test --test deploy alerts
set -eu

cd "$(dirname "$0")"
hash=$(cat main.go go.mod go.sum | sha256sum | cut -c1-16)
cache="${ISOBATH_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/isobath}"
target="$cache/promql-$hash"
if [ ! -x "$target" ]; then
    if ! command -v go >/dev/null 2>&1; then
        echo "promql: Go is not there, and nothing was built before" >&2
        exit 1
    fi
    echo "promql: building" >&2
    mkdir -p "$cache"
    # Built aside and renamed: a build that was cut off never looks like a finished one.
    aside=$(mktemp "$cache/promql-$hash.XXXXXX")
    trap 'rm -f "$aside"' EXIT
    CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o "$aside" . >&2
    chmod 755 "$aside"
    mv -T "$aside" "$target"
fi
echo "$target"
