#!/bin/sh
# Puts what is downloaded of a release into a folder: an archive for each architecture that was built, the list of what is in the
# binary if there is one, and the sums of all of them. The same binaries give the same bytes.
#
#   deploy/build/archive.sh FOLDER
set -eu

folder="${1:?usage: deploy/build/archive.sh FOLDER}"
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
cd "$(dirname "$0")/../.."
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
epoch=$(git log -1 --format=%ct 2>/dev/null || echo 0)
out="${CARGO_TARGET_DIR:-target}"
found=
for arch in x86_64 aarch64; do
    binary="$out/$arch-unknown-linux-musl/release/isobath"
    [ -x "$binary" ] || continue
    found=yes
    archive="$folder/isobath-$version-$arch-linux.tar.gz"
    tar --create --sort=name --mtime="@$epoch" --owner=0 --group=0 --numeric-owner \
        --directory="$(dirname "$binary")" isobath --directory="$PWD" LICENSE | gzip --no-name > "$archive"
done
if [ -z "$found" ]; then
    echo "no binary is built: make build" >&2
    exit 1
fi
if [ -f target/isobath.cdx.json ]; then cp target/isobath.cdx.json "$folder/isobath-$version.cdx.json"; fi
cd "$folder"
rm -f SHA256SUMS
sums=$(sha256sum -- *)
echo "$sums" > SHA256SUMS
