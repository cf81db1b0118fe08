//! Contour's CustomResourceDefinitions, out of its Go module: never a copy in this repository.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// The module, whose version is in `tests/contour/go.mod`, and what Go finds its content to be.
const MODULE: &str = "github.com/projectcontour/contour";
const SUM: &str = "h1:QoOfwqWws+CVRFpsRC2+f1DmB5IdurtyUtepIsiWfE0=";

/// All of them as YAML. `None`: there is no Go to get them with, and this is not CI.
pub fn definitions() -> Option<String> {
    // Beside the go.sum that the peer is built with: what was fetched for that is then enough, without a network. Elsewhere
    // Go asks for the module's go.mod once more.
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/contour");
    let got = Command::new("go")
        .args(["mod", "download", "-json", MODULE])
        .current_dir(beside)
        .output();
    let output = match got {
        Ok(output) => output,
        Err(error) => {
            let missing = format!("no definitions of Contour: go can't be run: {error}");
            assert!(std::env::var("CI").as_deref() != Ok("true"), "{missing}");
            eprintln!("SKIPPED, {missing}");
            return None;
        }
    };
    let said = String::from_utf8_lossy(&output.stdout);
    let module: Value = serde_json::from_str(&said).unwrap_or_else(|error| {
        let complaint = String::from_utf8_lossy(&output.stderr);
        panic!("{MODULE}: {error}: {said}{complaint}")
    });
    assert_eq!(module["Sum"], SUM, "{module}");
    let folder = Path::new(module["Dir"].as_str().unwrap());
    let file = folder.join("examples/contour/01-crds.yaml");
    Some(std::fs::read_to_string(file).unwrap())
}
