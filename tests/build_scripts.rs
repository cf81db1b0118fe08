//! The scripts that build what tests need from Go modules, on a machine that has built nothing yet. A stand-in for Go writes what
//! Go would: what is tested is that each ends well, says where its result is, and then finds it again.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

/// Writes the file behind `-o`, and names a module's folder.
const GO: &str = r#"#!/bin/sh
[ "$1" != list ] || { echo "$MODULE"; exit; }
while [ "$1" != -o ]; do shift; done
echo '#!/bin/sh' >"$2"
chmod 755 "$2"
"#;

/// What a script prints, and whether it ended well.
fn run(script: &Path, folder: &Path, arguments: &[&str]) -> (String, bool) {
    let path = std::env::var("PATH").unwrap();
    let output = Command::new("sh")
        .arg(script)
        .args(arguments)
        .env("PATH", format!("{}:{path}", folder.display()))
        .env("ISOBATH_CACHE", folder.join("cache"))
        .env("MODULE", folder.join("module"))
        .env_remove("KUBEBUILDER_ASSETS")
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    (said.trim_end().to_owned(), output.status.success())
}

#[test]
fn each_ends_well_where_nothing_was_built() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let all = [
        "conformance",
        "contour",
        "control-plane",
        "helm",
        "neighbours",
        "prometheus",
    ];
    for name in all {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let go = folder.join("go");
        fs::write(&go, GO).unwrap();
        fs::set_permissions(&go, fs::Permissions::from_mode(0o755)).unwrap();
        for channel in ["standard", "experimental"] {
            let definitions = folder.join("module/config/crd").join(channel);
            fs::create_dir_all(&definitions).unwrap();
            fs::write(definitions.join("gateway.networking.x.yaml"), "a: 1\n").unwrap();
        }
        let definitions = folder.join("module/deploy/crds");
        fs::create_dir_all(&definitions).unwrap();
        fs::write(definitions.join("cert-manager.io_x.yaml"), "a: 1\n").unwrap();
        let script = tests.join(name).join("build.sh");
        let (built, is_good) = run(&script, folder, &[]);
        assert!(is_good, "{name} fails, and prints {built:?}");
        assert!(Path::new(&built).exists(), "{name}: {built}");
        // Nothing is left of the way there.
        let left = fs::read_dir(folder.join("cache")).unwrap().count();
        assert_eq!(left, 1, "{name}");
        // And it is not built again.
        fs::remove_file(&go).unwrap();
        assert_eq!(run(&script, folder, &[]), (built, true), "{name}");
    }
}
