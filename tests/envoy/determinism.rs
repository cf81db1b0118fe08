//! The same bytes in every process: the generated types keep hash maps, whose order differs from one to the next.

use std::process::Command;

use xxhash_rust::xxh3::Xxh3;

use crate::renderings;

#[test]
fn processes_agree() {
    let digest = || {
        let output = Command::new(std::env::current_exe().unwrap())
            .args([
                "determinism::print_digest",
                "--exact",
                "--ignored",
                "--nocapture",
            ])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let line = text
            .lines()
            .find(|line| line.starts_with("digest "))
            .unwrap_or_else(|| panic!("{text}"));
        line.to_owned()
    };
    let first = digest();
    for _ in 0..8 {
        assert_eq!(digest(), first);
    }
}

/// Run by the test above, in processes of its own.
#[test]
#[ignore = "prints for processes_agree"]
fn print_digest() {
    let mut hasher = Xxh3::new();
    for (name, _, resource) in renderings::all() {
        hasher.update(name.as_bytes());
        hasher.update(&resource.bytes());
    }
    println!("\ndigest {:016x}", hasher.digest());
}
