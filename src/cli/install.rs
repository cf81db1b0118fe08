//! `isobath install PATH`: puts a copy of this program where another container finds it.
//!
//! Envoy's image has neither a shell nor `isobath drain`; an init container installs it into a shared volume.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// Flags of `isobath install`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The file to write; in a directory it is named `isobath`.
    #[arg(value_name = "PATH")]
    pub path: PathBuf,
}

/// Copies this program to the path, in one step: whoever looks sees the old file or the whole new one.
///
/// # Errors
///
/// When it can't be read or written.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let program = std::env::current_exe().context("can't find this program's own file")?;
    install(&program, &args.path).with_context(|| {
        format!(
            "can't install {} as {}",
            program.display(),
            args.path.display()
        )
    })
}

fn install(program: &Path, path: &Path) -> io::Result<()> {
    let path = if path.is_dir() {
        path.join("isobath")
    } else {
        path.to_owned()
    };
    let mut name = path.file_name().unwrap_or_default().to_owned();
    // In the same directory, since only within one file system a rename is atomic; with the process's number, since
    // two may run at once.
    name.push(format!(".{}", std::process::id()));
    let temporary = path.with_file_name(name);
    let result = write(program, &temporary).and_then(|()| fs::rename(&temporary, &path));
    if result.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    result
}

fn write(program: &Path, temporary: &Path) -> io::Result<()> {
    let mut target = File::create(temporary)?;
    io::copy(&mut File::open(program)?, &mut target)?;
    // Whatever the umask says: Envoy runs as another user.
    target.set_permissions(Permissions::from_mode(0o755))?;
    target.sync_all()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn the_copy_is_whole_executable_and_alone() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("program");
        fs::write(&program, "old").unwrap();
        let target = folder.path().join("shared");
        fs::create_dir(&target).unwrap();
        for content in ["first", "second"] {
            fs::write(&program, content).unwrap();
            install(&program, &target).unwrap();
            assert_eq!(fs::read_to_string(target.join("isobath")).unwrap(), content);
        }
        install(&program, &target.join("other")).unwrap();
        let mode = target
            .join("other")
            .metadata()
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o755);
        assert_eq!(
            fs::read_dir(&target).unwrap().count(),
            2,
            "no temporary file is left"
        );
        assert!(install(&program, &target.join("no/such/folder")).is_err());
    }
}
