#!/bin/sh
# Provides the programs that Isobath meets in a cluster, and prints the folder that holds them: `cert-manager` (the controller and
# its solver of challenges), `external-dns` (its sources), `argo-cd` (its rules of health), an authority by ACME (`pebble`) with the names that it looks up
# (`pebble-challtestsrv`), and the definitions of cert-manager's kinds in `crds/`.
#
# They are built once from the Go modules beside this script into a cache outside the checkout, named by the hash of this
# script, of the sources and of what go.mod and go.sum pin. A quarter of an hour of CPU where nothing is cached.
#
#   ISOBATH_TEST_NEIGHBOURS="$(tests/neighbours/build.sh)" cargo test --test neighbours
set -eu

cd "$(dirname "$0")"
hash=$(cat build.sh ./*/main.go ./*/go.mod ./*/go.sum | sha256sum | cut -c1-16)
cache="${ISOBATH_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/isobath}"
target="$cache/neighbours-$hash"
if [ -d "$target" ]; then
    echo "$target"
    exit 0
fi
if ! command -v go >/dev/null 2>&1; then
    echo "neighbours: Go is not there, and nothing was built before" >&2
    exit 1
fi

# Built aside and renamed as a whole: a build that was cut off never looks like a finished one.
mkdir -p "$cache"
aside=$(mktemp -d "$cache/neighbours-$hash.XXXXXX")
# No other command in it: one that fails would be what the whole script ends with.
trap 'rm -rf "$aside"' EXIT
chmod 755 "$aside"

export CGO_ENABLED=0
for program in pebble pebble-challtestsrv; do
    echo "neighbours: building $program" >&2
    (cd pebble && go build -trimpath -ldflags "-s -w" -o "$aside/$program" \
        "github.com/letsencrypt/pebble/v2/cmd/$program") >&2
done
echo "neighbours: building cert-manager" >&2
(cd cert-manager && go build -trimpath -ldflags "-s -w" -o "$aside/cert-manager" .) >&2
module=$(cd cert-manager && go list -m -f '{{.Dir}}' github.com/cert-manager/cert-manager)
mkdir "$aside/crds"
for crd in "$module"/deploy/crds/*.yaml; do
    cat "$crd" >"$aside/crds/$(basename "$crd")"
done
# These ask for a newer Go than may be installed; Go fetches that by itself, as it does modules.
for program in external-dns argo-cd; do
    echo "neighbours: building $program" >&2
    GOTOOLCHAIN=$(sed -n 's/^toolchain //p' $program/go.mod)
    export GOTOOLCHAIN
    (cd $program && go build -trimpath -ldflags "-s -w" -o "$aside/$program" .) >&2
done

# Somebody else may have finished first; theirs is as good.
mv -T "$aside" "$target" 2>/dev/null || [ -d "$target" ]
echo "$target"
