# The image of isobath: one static binary on a distroless base, for amd64 and arm64.
#
# Compilers run on the machine that builds ($BUILDPLATFORM) and cross-compile; nothing is emulated. Dependencies compile
# in a layer that only Cargo.toml, Cargo.lock and the toolchain can invalidate; a change under src/ compiles this crate.
#
# Every base is an argument, so that a mirror or a digest can take its place:
#   docker buildx build --build-arg RUST_IMAGE=mirror.example.com/rust@sha256:… .

ARG RUST_IMAGE=docker.io/library/rust:1.95.0-bookworm
ARG RUNTIME_IMAGE=gcr.io/distroless/static-debian12:nonroot
# The stage that compiles: the one below, or an image that has the tools already.
ARG TOOLCHAIN=toolchain

FROM --platform=$BUILDPLATFORM ${RUST_IMAGE} AS toolchain
# zig is the C compiler and linker for musl on both architectures: ring and mimalloc have C in them.
ARG ZIG_VERSION=0.15.2
ARG CARGO_ZIGBUILD_VERSION=0.20.1
RUN apt-get update \
 && apt-get install --yes --no-install-recommends python3-venv \
 && rm -rf /var/lib/apt/lists/* \
 && python3 -m venv /opt/zig \
 && /opt/zig/bin/pip install --no-cache-dir ziglang==${ZIG_VERSION} cargo-zigbuild==${CARGO_ZIGBUILD_VERSION} \
 && rustup target add x86_64-unknown-linux-musl aarch64-unknown-linux-musl
ENV PATH=/opt/zig/bin:$PATH

FROM --platform=$BUILDPLATFORM ${TOOLCHAIN} AS dependencies
ARG TARGETARCH
ARG LIBC=musl
ARG CARGO_BUILD=zigbuild
ARG PROFILE=release
# Frame pointers and unwind tables are for /debug/pprof/profile: panic = "abort" would leave the tables out. The paths of
# the machine that built are no part of the binary.
ARG RUSTFLAGS="-C force-frame-pointers=yes -C force-unwind-tables=yes -C relocation-model=pie -C target-feature=+crt-static --remap-path-prefix=/build=. --remap-path-prefix=/usr/local/cargo=cargo"
# zig takes "no debug information" for "no symbols", and rustc's -static-pie for -static (see `-pie` below).
ENV RUSTFLAGS=${RUSTFLAGS} CARGO_PROFILE_RELEASE_STRIP=none
WORKDIR /build
RUN case "${TARGETARCH}" in \
      amd64) echo "x86_64-unknown-linux-${LIBC}" ;; \
      arm64) echo "aarch64-unknown-linux-${LIBC}" ;; \
      *) echo "isobath is built for amd64 and arm64, not for '${TARGETARCH}'" >&2; exit 1 ;; \
    esac > /target
COPY Cargo.toml Cargo.lock ./
# An empty crate in place of ours: cargo compiles what it depends on.
RUN mkdir -p src benches \
 && echo 'fn main() {}' > src/main.rs \
 && touch src/lib.rs \
 && echo 'fn main() {}' > benches/core.rs \
 && if [ "${CARGO_BUILD}" = zigbuild ]; then export RUSTFLAGS="${RUSTFLAGS} -C link-arg=-pie"; fi \
 && cargo ${CARGO_BUILD} --locked --profile "${PROFILE}" --target "$(cat /target)" --bin isobath \
 && rm -rf src benches

FROM dependencies AS build
# Arguments end with their stage.
ARG CARGO_BUILD=zigbuild
ARG PROFILE=release
COPY benches benches
COPY src src
# The files keep their times, which may be older than the empty crate's: touched, they count as changed.
RUN touch src/main.rs src/lib.rs \
 && if [ "${CARGO_BUILD}" = zigbuild ]; then export RUSTFLAGS="${RUSTFLAGS} -C link-arg=-pie"; fi \
 && cargo ${CARGO_BUILD} --locked --profile "${PROFILE}" --target "$(cat /target)" --bin isobath \
 && install -D "target/$(cat /target)/$(test "${PROFILE}" = dev && echo debug || echo "${PROFILE}")/isobath" /out/isobath

FROM ${RUNTIME_IMAGE}
ARG VERSION
ARG REVISION
ARG CREATED
ARG SOURCE
LABEL org.opencontainers.image.title="isobath" \
      org.opencontainers.image.description="A Kubernetes ingress controller that programs Envoy over xDS" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.source="${SOURCE}"
# mimalloc keeps what was freed for a second before it gives it back, and looks at it only when something is allocated: a
# process that is at rest after its first list-watch would keep all of that (make figures, RSS at 100,000 hosts).
ENV MIMALLOC_PURGE_DELAY=10
COPY --from=build /out/isobath /usr/local/bin/isobath
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/isobath"]
