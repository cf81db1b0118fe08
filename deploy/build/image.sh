#!/bin/sh
# Builds the image with what this machine has, and pushes it.
#
#   deploy/build/image.sh build|push NAME VERSION PLATFORMS [ARGUMENTS]
#
# docker with buildx, else buildah or podman. One image under NAME:VERSION for all platforms.
set -eu

verb="$1" name="$2" version="$3" platforms="$4"
shift 4
cd "$(dirname "$0")/../.."
tag="$name:$version"
revision="$(git rev-parse HEAD 2>/dev/null || echo unknown)"
[ -z "$(git status --porcelain 2>/dev/null)" ] || revision="$revision-modified"
# The time of the commit, so that two builds of it are the same image.
epoch="$(git log -1 --format=%ct 2>/dev/null || echo 0)"
created="$(date --utc --date="@$epoch" +%Y-%m-%dT%H:%M:%SZ)"
source="$(git config --get remote.origin.url 2>/dev/null || true)"
case "$source" in http*@* | /* | "") source=unknown ;; esac
set -- "$@" --build-arg VERSION="$version" --build-arg REVISION="$revision" --build-arg CREATED="$created" --build-arg SOURCE="$source"

if docker buildx version >/dev/null 2>&1; then
	if [ "$verb" = push ]; then
		docker buildx build --platform "$platforms" --tag "$tag" --push "$@" .
	elif [ "${platforms#*,}" = "$platforms" ]; then
		docker buildx build --platform "$platforms" --tag "$tag" --load "$@" .
	else
		# Docker's own store keeps one platform under a name unless it is containerd's: the machine's is loaded, the others are
		# built all the same, and `push` takes them from the cache.
		docker buildx build --platform "$platforms" "$@" .
		docker buildx build --tag "$tag" --load "$@" .
	fi
elif command -v buildah >/dev/null 2>&1; then
	buildah manifest rm "$tag" >/dev/null 2>&1 || true
	buildah build --layers --platform "$platforms" --manifest "$tag" --timestamp "$epoch" "$@" .
	if [ "$verb" = push ]; then buildah manifest push --all "$tag" "docker://$tag"; fi
elif command -v podman >/dev/null 2>&1; then
	podman manifest rm "$tag" >/dev/null 2>&1 || true
	podman build --layers --platform "$platforms" --manifest "$tag" --timestamp "$epoch" "$@" .
	if [ "$verb" = push ]; then podman manifest push --all "$tag" "docker://$tag"; fi
else
	echo "isobath: an image needs docker with buildx, buildah or podman, and none of them is here" >&2
	exit 1
fi
echo "$tag"
