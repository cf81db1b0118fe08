#!/bin/sh
# Makes a toolchain for musl out of Debian's packages, for machines that get no targets from rustup: Debian's Rust brings
# the sources of the standard library, which is compiled with the program. Nothing is installed but musl-tools.
#
#   deploy/build/debian-musl.sh FOLDER
#
# x86_64: musl's and gcc's start files, LLVM's unwinder. aarch64: zig, from PyPI, is C compiler and linker.
# deploy/build/binary.sh uses FOLDER/x86_64/cargo and FOLDER/aarch64/cargo.
set -eu

folder="${1:?the folder to make}"
# As pins, so that tomorrow's release of either changes nothing.
zig=0.15.2
zigbuild=0.20.1

[ "$(uname -m)" = x86_64 ] || { echo "$0: made for x86_64 machines" >&2; exit 1; }
command -v apt-get >/dev/null || { echo "$0: needs Debian 12's apt-get" >&2; exit 1; }
if ! command -v musl-gcc >/dev/null; then
	[ "$(id -u)" = 0 ] || { echo "$0: needs musl-gcc: apt-get install musl-tools" >&2; exit 1; }
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends musl-tools >/dev/null
fi

mkdir -p "$folder/packages" "$folder/root"
folder="$(cd "$folder" && pwd)"
root="$folder/root"
std="$(apt-cache depends libstd-rust-web-dev | sed -n 's/^ *Depends: \(libstd-rust-web-[0-9.]*\)$/\1/p')"
llvm="$(apt-cache depends rustc-web | sed -n 's/^ *Depends: \(libllvm[0-9]*\).*$/\1/p')"
[ -n "$llvm" ] || llvm="$(apt-cache depends "$std" | sed -n 's/^ *Depends: \(libllvm[0-9]*\).*$/\1/p')"
(
	cd "$folder/packages"
	apt-get download -q rustc-web cargo-web "$std" libstd-rust-web-dev rust-web-src "$llvm" libgit2-1.5 libssh2-1 \
		libhttp-parser2.9 libmbedcrypto7 libmbedtls14 libmbedx509-1 libunwind-14-dev
	for package in *.deb; do dpkg -x "$package" "$root"; done
)

# What rustc links a static program of musl with.
target=x86_64-unknown-linux-musl
self="$root/usr/lib/rustlib/$target/lib/self-contained"
mkdir -p "$self"
for file in crt1.o rcrt1.o Scrt1.o crti.o crtn.o libc.a; do cp "/usr/lib/x86_64-linux-musl/$file" "$self"; done
for file in crtbegin.o crtbeginS.o crtend.o crtendS.o; do cp "$(cc -print-file-name="$file")" "$self"; done
cp "$root/usr/lib/x86_64-linux-gnu/libunwind.a" "$self" 2>/dev/null || cp "$root/usr/lib/llvm-14/lib/libunwind.a" "$self"
# Debian compiles LLVM's unwinder with glibc's fortified printf, which musl has not.
cat >"$folder/shim.c" <<'EOF'
#include <stdarg.h>
#include <stdio.h>
int __fprintf_chk(FILE *stream, int flag, const char *format, ...) {
	va_list arguments;
	va_start(arguments, format);
	int length = vfprintf(stream, format, arguments);
	va_end(arguments);
	(void)flag;
	return length;
}
EOF
musl-gcc -O2 -fPIC -U_FORTIFY_SOURCE -c "$folder/shim.c" -o "$folder/shim.o"
ar r "$self/libunwind.a" "$folder/shim.o"

mkdir -p "$folder/x86_64" "$folder/aarch64"
common="#!/bin/sh
# Made by deploy/build/debian-musl.sh: builds with the standard library compiled from source.
export LD_LIBRARY_PATH='$root/usr/lib/x86_64-linux-gnu' PATH='$root/usr/bin':\$PATH RUSTC='$root/usr/bin/rustc' RUSTC_BOOTSTRAP=1
# The standard library's own paths, too, are no part of the binary.
RUSTFLAGS=\"\$RUSTFLAGS --remap-path-prefix=$root=rust\""
cat >"$folder/x86_64/cargo" <<EOF
$common
export RUSTFLAGS="\$RUSTFLAGS -C link-self-contained=yes -C link-arg=-lgcc"
export CC_x86_64_unknown_linux_musl=musl-gcc CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_LINKER=cc
auditable=
if [ "\$1" = auditable ]; then auditable=auditable && shift; fi
exec '$root/usr/bin/cargo' \$auditable build -Z build-std=std,panic_abort,panic_unwind "\$@"
EOF

python3 -m venv "$folder/zig"
"$folder/zig/bin/python" -m pip install --quiet --disable-pip-version-check ziglang==$zig cargo-zigbuild==$zigbuild
cat >"$folder/aarch64/cargo" <<EOF
$common
# zig takes rustc's -static-pie for -static, and "no debug information" for "no symbols", which profiles need.
export RUSTFLAGS="\$RUSTFLAGS -C link-self-contained=no -C link-arg=-pie" CARGO_PROFILE_RELEASE_STRIP=none PATH='$folder/zig/bin':\$PATH
export CARGO_ZIGBUILD_ZIG_PATH='$folder/zig/bin/python-zig'
auditable=
if [ "\$1" = auditable ]; then auditable=auditable && shift; fi
exec '$root/usr/bin/cargo' \$auditable zigbuild -Z build-std=std,panic_abort,panic_unwind "\$@"
EOF
printf '#!/bin/sh\nexec "%s" -m ziglang "$@"\n' "$folder/zig/bin/python" >"$folder/zig/bin/python-zig"
chmod +x "$folder/x86_64/cargo" "$folder/aarch64/cargo" "$folder/zig/bin/python-zig"
echo "$folder"
