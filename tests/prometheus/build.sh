#!/bin/sh
# Provides `promql` (main.go), `promtool` and `prometheus`, and prints the folder that holds them. They are built once, in some four
# minutes of CPU, into a cache outside the checkout, under the hash of this script, of the source and of what go.mod and go.sum pin.
#
#   ISOBATH_TEST_PROMETHEUS="$(tests/prometheus/build.sh)" cargo test --test deploy alerts
set -eu

cd "$(dirname "$0")"
hash=$(cat build.sh main.go go.mod go.sum | sha256sum | cut -c1-16)
cache="${ISOBATH_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/isobath}"
target="$cache/prometheus-$hash"
if [ -d "$target" ]; then
    echo "$target"
    exit 0
fi
if ! command -v go >/dev/null 2>&1; then
    echo "prometheus: Go is not there, and nothing was built before" >&2
    exit 1
fi

# Built aside and renamed as a whole: a build that was cut off never looks like a finished one.
mkdir -p "$cache"
aside=$(mktemp -d "$cache/prometheus-$hash.XXXXXX")
trap 'rm -rf "$aside"' EXIT
chmod 755 "$aside"

# Without the clients of twenty clouds: targets are named in a file.
build() {
    echo "prometheus: building $1" >&2
    CGO_ENABLED=0 go build -tags remove_all_sd -trimpath -ldflags "-s -w" -o "$aside/$1" "$2" >&2
}
build promql .
build promtool github.com/prometheus/prometheus/cmd/promtool
build prometheus github.com/prometheus/prometheus/cmd/prometheus

# Somebody else may have finished first; theirs is as good.
mv -T "$aside" "$target" 2>/dev/null || [ -d "$target" ]
echo "$target"
