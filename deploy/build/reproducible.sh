#!/bin/sh
# Proves that a release binary is a function of its commit: builds HEAD twice, from two checkouts in folders of different
# names and lengths, and compares.
#
#   deploy/build/reproducible.sh x86_64|aarch64
#
# Both builds are from nothing, twice what `make build` takes the first time. What is not committed is not built.
set -eu

arch="${1:?x86_64 or aarch64}"
checkout="$(cd "$(dirname "$0")/../.." && pwd)"
ISOBATH_CACHE="$(cd "${ISOBATH_CACHE:-$checkout/target}" && pwd)"
export ISOBATH_CACHE
unset CARGO_TARGET_DIR
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

build() {
	mkdir -p "$(dirname "$work/$1")"
	git clone --quiet --no-hardlinks "$checkout" "$work/$1"
	echo "isobath: building in $work/$1" >&2
	"$work/$1/deploy/build/binary.sh" "$arch" >/dev/null
	mv "$work/$1/target/$arch-unknown-linux-musl/release/isobath" "$work/$2"
	rm -rf "${work:?}/$1"
	sha256sum "$work/$2" | cut -d ' ' -f 1
}

first="$(build a first)"
second="$(build another/and/longer/folder second)"
echo "$first first"
echo "$second second"
[ "$first" = "$second" ] || { echo "isobath: two builds of one commit differ" >&2; exit 1; }
echo "isobath: two builds of one commit are the same bytes"
