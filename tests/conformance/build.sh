#!/bin/sh
# Provides the Gateway API's conformance suite, its echo server and its CRDs, and prints the folder that holds them:
# `suite` (a Go test binary), `echo-basic`, `crds/standard/` and `crds/experimental/`.
#
# They are built once from the two Go modules beside this script into a cache outside the checkout, named by the hash
# of this script, of the source and of what go.mod and go.sum pin. Five minutes of CPU where nothing is cached.
#
#   ISOBATH_TEST_CONFORMANCE="$(tests/conformance/build.sh)" cargo test --test conformance
#   tests/conformance/build.sh --cached    # never builds: prints the folder if it is there, else exits 1
set -eu

cd "$(dirname "$0")"
hash=$(cat build.sh suite/conformance_test.go suite/go.mod suite/go.sum echo/go.mod echo/go.sum | sha256sum | cut -c1-16)
cache="${ISOBATH_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/isobath}"
target="$cache/conformance-$hash"
if [ -d "$target" ]; then
    echo "$target"
    exit 0
fi
if [ "${1:-}" = "--cached" ]; then
    exit 1
fi
if ! command -v go >/dev/null 2>&1; then
    echo "conformance: Go is not there, and nothing was built before" >&2
    exit 1
fi

# Built aside and renamed as a whole: a build that was cut off never looks like a finished one.
mkdir -p "$cache"
aside=$(mktemp -d "$cache/conformance-$hash.XXXXXX")
# No other command in it: one that fails would be what the whole script ends with.
trap 'rm -rf "$aside"' EXIT
chmod 755 "$aside"

export CGO_ENABLED=0
echo "conformance: building echo-basic" >&2
(cd echo && go build -trimpath -ldflags "-s -w" -o "$aside/echo-basic" \
    sigs.k8s.io/gateway-api/conformance/echo-basic) >&2
echo "conformance: building the suite" >&2
# The suite asks for a newer Go than it may be installed; Go fetches that by itself, as it does modules.
GOTOOLCHAIN=$(sed -n 's/^toolchain //p' suite/go.mod)
export GOTOOLCHAIN
(cd suite && go test -c -trimpath -ldflags "-s -w" -o "$aside/suite" .) >&2
module=$(cd suite && go list -m -f '{{.Dir}}' sigs.k8s.io/gateway-api)
mkdir "$aside/crds"
for channel in standard experimental; do
    mkdir "$aside/crds/$channel"
    for crd in "$module/config/crd/$channel"/gateway.networking*.yaml; do
        cat "$crd" >"$aside/crds/$channel/$(basename "$crd")"
    done
done

# Somebody else may have finished first; theirs is as good.
mv -T "$aside" "$target" 2>/dev/null || [ -d "$target" ]
echo "$target"
