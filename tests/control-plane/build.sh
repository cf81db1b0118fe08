#!/bin/sh
# Provides etcd, kube-apiserver, kube-controller-manager and kubectl for tests, and prints the folder that holds them.
#
# With KUBEBUILDER_ASSETS set (as envtest users have it) that folder is checked and printed; its kubectl may be
# missing where one is on the PATH. Else the four are built once from the Go module beside this script into a cache
# outside the checkout, named by the hash of go.mod and go.sum, so that another pin is another folder and nothing
# is ever rebuilt.
#
#   KUBEBUILDER_ASSETS="$(tests/control-plane/build.sh)" cargo test
#   tests/control-plane/build.sh --cached    # never builds: prints the folder if it is there, else exits 1
set -eu

here=$(cd "$(dirname "$0")" && pwd)
programs="etcd kube-apiserver kube-controller-manager kubectl"

complete() {
    for program in $programs; do
        [ -x "$1/$program" ] || return 1
    done
}

if [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
    for program in $programs; do
        if [ ! -x "$KUBEBUILDER_ASSETS/$program" ]; then
            if [ "$program" = kubectl ] && command -v kubectl >/dev/null; then
                continue
            fi
            echo "control-plane: KUBEBUILDER_ASSETS=$KUBEBUILDER_ASSETS has no $program" >&2
            exit 1
        fi
    done
    echo "$KUBEBUILDER_ASSETS"
    exit 0
fi

hash=$(cat "$here/go.mod" "$here/go.sum" | sha256sum | cut -c1-16)
cache="${ISOBATH_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/isobath}"
target="$cache/control-plane-$hash"
if complete "$target"; then
    echo "$target"
    exit 0
fi
if [ "${1:-}" = "--cached" ]; then
    exit 1
fi
if ! command -v go >/dev/null 2>&1; then
    echo "control-plane: neither KUBEBUILDER_ASSETS nor Go is there: set the one or install the other" >&2
    exit 1
fi

# Built aside and renamed as a whole: a build that was cut off never looks like a finished one.
mkdir -p "$cache"
aside=$(mktemp -d "$cache/control-plane-$hash.XXXXXX")
trap 'rm -rf "$aside"' EXIT
chmod 755 "$aside"

version=$(sed -n 's,^require k8s.io/kubernetes \(v[0-9.]*\).*,\1,p' "$here/go.mod")
major=$(echo "${version#v}" | cut -d. -f1)
minor=$(echo "${version#v}" | cut -d. -f2)
# Without these three kube-apiserver takes itself for v0.0.0 and refuses its own feature gates.
stamp="k8s.io/component-base/version"
flags="-s -w -X $stamp.gitVersion=$version -X $stamp.gitMajor=$major -X $stamp.gitMinor=$minor"

build() {
    echo "control-plane: building $1" >&2
    (cd "$here" && CGO_ENABLED=0 go build -trimpath -ldflags "$flags" -o "$aside/$1" "$2") >&2
}
build etcd go.etcd.io/etcd/server/v3
build kube-apiserver k8s.io/kubernetes/cmd/kube-apiserver
build kube-controller-manager k8s.io/kubernetes/cmd/kube-controller-manager
build kubectl k8s.io/kubernetes/cmd/kubectl

# Somebody else may have finished first; theirs is as good.
mv -T "$aside" "$target" 2>/dev/null || complete "$target"
echo "$target"
