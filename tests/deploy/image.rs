//! What the image, the static binary and the manifests must agree on. That the Dockerfile builds is shown by
//! `make test-image`.

use crate::manifest::{read, rendered, workloads};

/// Lines of the Dockerfile that begin so, without that beginning.
fn instructions<'a>(dockerfile: &'a str, name: &str) -> Vec<&'a str> {
    dockerfile
        .lines()
        .filter_map(|line| Some(line.strip_prefix(name)?.trim()))
        .collect()
}

#[test]
fn the_manifests_start_what_the_image_has() {
    let dockerfile = read("Dockerfile");
    assert_eq!(
        instructions(&dockerfile, "ENTRYPOINT"),
        [r#"["/usr/local/bin/isobath"]"#]
    );
    assert_eq!(instructions(&dockerfile, "USER"), ["65532:65532"]);
    for workload in workloads(&rendered("hostport")) {
        assert_eq!(workload.spec["securityContext"]["runAsUser"], 65532);
        assert_eq!(workload.spec["securityContext"]["runAsGroup"], 65532);
    }
}

#[test]
fn the_image_and_make_build_compile_with_the_same_flags() {
    let script = read("deploy/build/binary.sh");
    let flags = script
        .lines()
        .find_map(|line| line.strip_prefix("flags=\"")?.strip_suffix('"'))
        .expect("flags");
    let dockerfile = read("Dockerfile");
    let image = instructions(&dockerfile, "ARG RUSTFLAGS=")[0];
    assert!(
        image.starts_with(&format!("\"{flags} --remap-path-prefix")),
        "{image}"
    );
    for flag in [
        "force-frame-pointers=yes",
        "force-unwind-tables=yes",
        "target-feature=+crt-static",
    ] {
        assert!(flags.contains(flag), "{flag}");
    }
}

#[test]
fn bases_are_pinned_and_can_be_replaced() {
    let dockerfile = read("Dockerfile");
    let mut bases = 0;
    for base in instructions(&dockerfile, "FROM") {
        let base = base.trim_start_matches("--platform=$BUILDPLATFORM ");
        assert!(
            base.starts_with("${") || base.starts_with("dependencies "),
            "{base}"
        );
        bases += 1;
    }
    assert_eq!(bases, 4);
    for image in ["RUST_IMAGE=", "RUNTIME_IMAGE="] {
        let image = instructions(&dockerfile, &format!("ARG {image}"))[0];
        let tag = image.rsplit_once(':').expect("a tag").1;
        assert_ne!(tag, "latest", "{image}");
    }
    // The compiler of the image is new enough for the crate.
    let manifest = read("Cargo.toml");
    let minimum = manifest
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = \"1.")?.strip_suffix('"'))
        .unwrap();
    let image = instructions(&dockerfile, "ARG RUST_IMAGE=")[0];
    let version = image
        .rsplit_once(":1.")
        .unwrap()
        .1
        .split('.')
        .next()
        .unwrap();
    assert!(version.parse::<u32>().unwrap() >= minimum.parse::<u32>().unwrap());
}

/// cargo deny and our own test allow the same licences.
#[test]
fn licences_are_listed_alike() {
    let between = |text: &str, start: &str| -> Vec<String> {
        let rest = &text[text.find(start).unwrap() + start.len()..];
        rest[..rest.find(']').unwrap()]
            .split(',')
            .map(|word| word.trim().trim_matches('"').to_owned())
            .filter(|word| !word.is_empty())
            .collect()
    };
    assert_eq!(
        between(&read(".ci/deny.toml"), "allow = ["),
        between(
            &read("tests/supply_chain.rs"),
            "const ALLOWED: [&str; 14] = ["
        )
    );
}

#[test]
fn the_figures_are_those_of_the_image() {
    let dockerfile = read("Dockerfile");
    let delay = instructions(&dockerfile, "ENV MIMALLOC_PURGE_DELAY=")[0];
    let figures = read("benches/figures/plane.rs");
    let environment = format!(".env(\"MIMALLOC_PURGE_DELAY\", \"{delay}\")");
    assert!(figures.contains(&environment), "{environment}");
}
