//! The built-in example, for those who have no manifests at hand.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The files and their names.
const FILES: [(&str, &str); 3] = [
    ("shop.yaml", include_str!("example/shop.yaml")),
    ("blog.yaml", include_str!("example/blog.yaml")),
    ("docs.yaml", include_str!("example/docs.yaml")),
];

/// Writes the example below `folder`, where it can be edited, and returns its folder.
///
/// # Errors
///
/// When a file can't be written.
pub fn write(folder: &Path) -> io::Result<PathBuf> {
    let folder = folder.join("example");
    fs::create_dir(&folder)?;
    for (name, text) in FILES {
        fs::write(folder.join(name), text)?;
    }
    Ok(folder)
}
