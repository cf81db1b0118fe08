#!/bin/sh
# Builds the Dockerfile for real, with buildah in chroot isolation and without a registry, and checks what comes out.
#
# Base images cannot be pulled on every machine, so stand-ins take their place by the Dockerfile's own arguments: the
# compiler's is this machine's toolchain, mounted read-only, with glibc linked statically in place of musl; the
# runtime's is empty. Everything else is the Dockerfile's: stages, layers, their order and what invalidates them.
#
# Proves: the context has what is compiled and nothing else; a change under src/ compiles this crate only; the image has
# the binary and nothing else, runs as 65532, and its program starts.
#
# The dependencies' layers are kept in ISOBATH_CACHE from one run to the next, up to a bound; the others are not.
set -eu

checkout="$(cd "$(dirname "$0")/../.." && pwd)"
cache="${ISOBATH_CACHE:-$checkout/target}/image"
most_kibibytes=$((4 * 1024 * 1024))
most_context=$((6 * 1024))

say() { echo "image: $*" >&2; }
fail() { say "FAILED: $*"; exit 1; }

if ! command -v buildah >/dev/null; then
	if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
		say "installing buildah"
		{ apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends buildah; } >/dev/null ||
			fail "buildah cannot be installed"
	elif [ "${CI:-}" = true ]; then
		fail "there is no buildah"
	else
		say "SKIPPED, there is no buildah: apt-get install buildah"
		exit 0
	fi
fi
if [ "$(id -u)" != 0 ]; then
	[ "${CI:-}" = true ] && fail "chroot isolation needs root here"
	say "SKIPPED: chroot isolation needs root here (or buildah unshare)"
	exit 0
fi

mkdir -p "$cache"
cache="$(cd "$cache" && pwd)"
if [ "$(du -sk "$cache" | cut -f1)" -gt "$most_kibibytes" ]; then
	say "the layers outgrew their bound, and begin anew"
	rm -rf "$cache"
	mkdir -p "$cache"
fi
work="$(mktemp -d)"
builder() { buildah --root "$cache/storage" --runroot "$work/run" --storage-driver overlay "$@"; }
clean() {
	builder rm --all >/dev/null 2>&1 || true
	rm -rf "$work"
}
trap clean EXIT
trap 'exit 1' INT TERM

# The toolchain: the skeleton of a root file system; programs and libraries are mounted.
sysroot="$(rustc --print sysroot)"
cargo_home="${CARGO_HOME:-$HOME/.cargo}"
cargo fetch --quiet --locked --manifest-path "$checkout/Cargo.toml"
mkdir -p "$work/toolchain/root/usr" "$work/toolchain/root/etc" "$work/toolchain/root/tmp" "$work/toolchain/root$sysroot" "$work/toolchain/root$cargo_home"
for link in bin sbin lib lib64; do
	if [ -L "/$link" ]; then cp -a "/$link" "$work/toolchain/root/$link"; fi
done
cp -a /etc/alternatives "$work/toolchain/root/etc/"
cat >"$work/toolchain/Dockerfile" <<EOF
FROM scratch
COPY root /
ENV PATH=$sysroot/bin:/usr/bin:/bin CARGO_HOME=$cargo_home CARGO_NET_OFFLINE=true
LABEL rustc="$(rustc --version)"
EOF
printf 'FROM scratch\nLABEL stand-in="runtime"\n' >"$work/runtime.Dockerfile"
find "$work/toolchain" -exec touch --no-dereference --date=@0 {} +
toolchain=localhost/isobath-toolchain:stand-in
runtime=localhost/isobath-runtime:stand-in
builder build --quiet --layers --timestamp 0 --tag "$toolchain" "$work/toolchain" >/dev/null
builder build --quiet --layers --timestamp 0 --tag "$runtime" --file "$work/runtime.Dockerfile" "$work/toolchain" >/dev/null

# A context of our own, so that the checkout is not touched; with things in it that must not matter.
context="$work/context"
mkdir "$context"
cp -a "$checkout/Dockerfile" "$checkout/.dockerignore" "$checkout/Cargo.toml" "$checkout/Cargo.lock" "$checkout/src" "$checkout/benches" "$context"
mkdir "$context/target" "$context/.git"
head -c 1048576 /dev/zero >"$context/target/large"
touch "$context/README.md" "$context/.git/HEAD"
printf 'FROM scratch\nCOPY . /context\n' >"$work/context.Dockerfile"
builder build --quiet --layers=false --tag localhost/isobath-context --file "$work/context.Dockerfile" "$context" >/dev/null
container="$(builder from localhost/isobath-context)"
folder="$(builder mount "$container")/context"
found="$(ls -A "$folder" | sort | tr '\n' ' ')"
[ "$found" = "Cargo.lock Cargo.toml benches src " ] || fail "the context has: $found"
size="$(du -sk --apparent-size "$folder" | cut -f1)"
[ "$size" -le "$most_context" ] || fail "the context has $size KiB"
say "the context has $size KiB"
builder rm "$container" >/dev/null
builder rmi localhost/isobath-context >/dev/null

# tag, file of the log, further options
build() {
	tag="$1" log="$2"
	shift 2
	if ! timeout 1500 buildah --root "$cache/storage" --runroot "$work/run" --storage-driver overlay \
		build --isolation chroot --layers --pull-never --platform linux/amd64 \
		--volume /usr:/usr:ro --volume "$sysroot:$sysroot:ro" --volume "$cargo_home:$cargo_home:ro" \
		--build-arg TOOLCHAIN="$toolchain" --build-arg RUST_IMAGE="$toolchain" --build-arg RUNTIME_IMAGE="$runtime" \
		--build-arg LIBC=gnu --build-arg CARGO_BUILD=build --build-arg PROFILE=dev \
		--build-arg VERSION=0.0.0-test --build-arg REVISION=none \
		--tag "$tag" "$@" "$context" >"$log" 2>&1; then
		tail -n 40 "$log" >&2
		fail "the Dockerfile does not build"
	fi
}
elapsed() { echo "$(($(date +%s) - started)) s"; }
compiled() { sed -n 's/^ *Compiling \([^ ]*\) .*/\1/p' "$1" | sort -u; }

started="$(date +%s)"
build localhost/isobath-image:first "$work/first.log"
say "first build: $(elapsed), compiled $(compiled "$work/first.log" | wc -l) crates"

started="$(date +%s)"
# A change that no run made before: a layer is found by its content, and a commit is tried more than once.
echo "// A change of $(date +%s.%N)." >>"$context/src/main.rs"
build localhost/isobath-image:second "$work/second.log"
[ "$(compiled "$work/second.log")" = isobath ] || fail "a change under src/ compiled: $(compiled "$work/second.log" | tr '\n' ' ')"
say "second build, after a change under src/: $(elapsed), compiled this crate only"

started="$(date +%s)"
echo 'More to read.' >>"$context/README.md"
build localhost/isobath-image:third "$work/third.log"
[ -z "$(compiled "$work/third.log")" ] || fail "a change outside of the context compiled something"
say "third build, after a change that is no source: $(elapsed), compiled nothing"

container="$(builder from --pull-never localhost/isobath-image:second)"
root="$(builder mount "$container")"
found="$(cd "$root" && find . ! -type d ! -path './dev/*' ! -path './proc/*' ! -path './sys/*' ! -path './run/*' ! -path './etc/*')"
[ "$found" = ./usr/local/bin/isobath ] || fail "the image has: $found"
config="$(builder inspect --type image --format '{{.OCIv1.Config.User}} {{.OCIv1.Config.Entrypoint}} {{index .OCIv1.Config.Labels "org.opencontainers.image.version"}}' localhost/isobath-image:second)"
[ "$config" = "65532:65532 [/usr/local/bin/isobath] 0.0.0-test" ] || fail "the image's configuration is $config"
version="$(builder run --isolation chroot "$container" -- /usr/local/bin/isobath version)"
expected="isobath $(sed -n 's/^version = "\(.*\)"/\1/p' "$checkout/Cargo.toml" | head -n 1)"
[ "$version" = "$expected" ] || fail "the image's program says $version"
say "its program, alone in an empty image, says: $version"

build localhost/isobath-dependencies "$work/dependencies.log" --target dependencies
builder rm --all >/dev/null
builder rmi localhost/isobath-image:first localhost/isobath-image:second localhost/isobath-image:third >/dev/null
builder rmi --prune >/dev/null
