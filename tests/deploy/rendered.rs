//! The single files are what `kubectl kustomize` makes of the overlays.

use std::fs;

use crate::golden;
use crate::manifest::{OVERLAYS, deploy, kustomize, read};

#[test]
fn rendered_files_are_in_step() {
    for overlay in OVERLAYS {
        let path = deploy().join(format!("rendered/{overlay}.yaml"));
        let now = format!(
            "# Made of deploy/overlays/{overlay} by `kubectl kustomize`; change it there.\n{}",
            kustomize(&format!("overlays/{overlay}"))
        );
        if golden::updates() {
            fs::write(&path, now).unwrap();
            continue;
        }
        assert!(
            now == fs::read_to_string(&path).unwrap_or_default(),
            "deploy/rendered/{overlay}.yaml is not what the overlay comes to: UPDATE_GOLDEN=1 cargo test --test deploy rendered"
        );
    }
}

#[test]
fn no_overlay_is_forgotten() {
    for (folder, suffix) in [("overlays", ""), ("rendered", ".yaml")] {
        let mut found: Vec<_> = fs::read_dir(deploy().join(folder))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        found.sort();
        let mut expected = OVERLAYS.map(|name| format!("{name}{suffix}")).to_vec();
        expected.sort();
        assert_eq!(found, expected, "{folder}");
    }
    let readme = read("deploy/README.md");
    for overlay in OVERLAYS {
        assert!(
            readme.contains(&format!("`{overlay}`")),
            "deploy/README.md says nothing about {overlay}"
        );
    }
}
