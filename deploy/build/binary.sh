#!/bin/sh
# Builds the static release binary for one architecture with what this machine has, and prints its path.
#
#   deploy/build/binary.sh x86_64|aarch64
#
# In this order: cargo-zigbuild with the musl target; cargo with the musl target and a C compiler for it; cross (cross.toml);
# a toolchain made by deploy/build/debian-musl.sh (ISOBATH_MUSL_TOOLCHAIN, or built by `make musl-toolchain`). If there is none of
# them it says what is missing.
set -eu

arch="${1:-}"
case "$arch" in
x86_64 | aarch64) ;;
*)
	echo "usage: $0 x86_64|aarch64" >&2
	exit 2
	;;
esac
cd "$(dirname "$0")/../.."
target="$arch-unknown-linux-musl"
out="${CARGO_TARGET_DIR:-target}"
cache="${ISOBATH_CACHE:-target}"
toolchain="${ISOBATH_MUSL_TOOLCHAIN:-$cache/musl-toolchain}"
cargo_home="${CARGO_HOME:-$HOME/.cargo}"

# The Dockerfile has the same flags, and says why; a test compares them.
flags="-C force-frame-pointers=yes -C force-unwind-tables=yes -C relocation-model=pie -C target-feature=+crt-static"
# Two builds of one commit are the same bytes, wherever the checkout is.
flags="$flags --remap-path-prefix=$PWD=. --remap-path-prefix=$cargo_home=cargo"
SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}"
export SOURCE_DATE_EPOCH

# The binary lists the crates that it is made of (`cargo audit bin`), where this machine can do that.
auditable=
if command -v cargo-auditable >/dev/null 2>&1; then
	auditable=auditable
else
	echo "isobath: without the list of its crates in the binary (cargo install --locked cargo-auditable)" >&2
fi

has() { command -v "$1" >/dev/null 2>&1; }
has_target() { [ -d "$(rustc --print sysroot)/lib/rustlib/$target/lib" ]; }
variable="$(echo "$target" | tr 'a-z-' 'A-Z_')"
arguments="--locked --release --target $target --bin isobath"

if has cargo-zigbuild && has_target; then
	echo "isobath: cargo zigbuild for $target" >&2
	# zig takes rustc's -static-pie for -static, and "no debug information" for "no symbols", which profiles need.
	CARGO_PROFILE_RELEASE_STRIP=none RUSTFLAGS="$flags -C link-arg=-pie" cargo $auditable zigbuild $arguments >&2
elif has_target && has "$arch-linux-musl-gcc"; then
	echo "isobath: cargo with $arch-linux-musl-gcc for $target" >&2
	env "CARGO_TARGET_${variable}_LINKER=$arch-linux-musl-gcc" "CC_$(echo "$target" | tr - _)=$arch-linux-musl-gcc" \
		RUSTFLAGS="$flags" cargo $auditable build $arguments >&2
elif has_target && [ "$arch" = "$(uname -m)" ] && has musl-gcc; then
	echo "isobath: cargo with musl-gcc for $target" >&2
	env "CC_$(echo "$target" | tr - _)=musl-gcc" RUSTFLAGS="$flags" cargo $auditable build $arguments >&2
elif has cross && { has docker || has podman; }; then
	echo "isobath: cross for $target" >&2
	CROSS_CONFIG=cross.toml RUSTFLAGS="$flags" cross build $arguments >&2
elif [ -x "$toolchain/$arch/cargo" ]; then
	echo "isobath: $toolchain for $target" >&2
	RUSTFLAGS="$flags" "$toolchain/$arch/cargo" $auditable $arguments >&2
else
	cat >&2 <<EOF
isobath: this machine cannot build for $target. One of these is missing:
  - the Rust target ($(has_target && echo "installed" || echo "rustup target add $target"))
    with cargo-zigbuild ($(has cargo-zigbuild && echo "installed" || echo "pip install ziglang cargo-zigbuild"))
    or a C compiler for musl ($arch-linux-musl-gcc; for this machine's own architecture musl-gcc, from musl-tools)
  - cross ($(has cross && echo "installed" || echo "cargo install cross")) and docker or podman
  - on Debian, where rustup's targets cannot be had: make musl-toolchain
EOF
	exit 1
fi
echo "$out/$target/release/isobath"
