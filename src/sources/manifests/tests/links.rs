//! Symbolic links: followed, once, wherever they lead.

use super::*;

#[tokio::test]
async fn links_are_followed() {
    let directory = TempDir::new().unwrap();
    let (root, elsewhere) = (
        directory.path().join("root"),
        directory.path().join("elsewhere"),
    );
    fs::create_dir_all(&root).unwrap();
    fs::create_dir_all(elsewhere.join("dir")).unwrap();
    fs::write(elsewhere.join("a.yaml"), service("a", 1)).unwrap();
    fs::write(elsewhere.join("dir/b.yaml"), service("b", 1)).unwrap();
    symlink(elsewhere.join("a.yaml"), root.join("a.yaml")).unwrap();
    symlink(elsewhere.join("dir"), root.join("dir")).unwrap();
    symlink(&root, root.join("loop")).unwrap();
    symlink("nowhere", root.join("dangling.yaml")).unwrap();
    let mut fixture = Fixture::run(directory, &root).await;
    fixture.check(&[("a", 1), ("b", 1)]).await;
    fs::write(elsewhere.join("a.yaml"), service("a", 2)).unwrap();
    fixture.check(&[("a", 2), ("b", 1)]).await;
    fs::write(elsewhere.join("dir/b.yaml"), service("b", 2)).unwrap();
    fixture.check(&[("a", 2), ("b", 2)]).await;
    fs::write(root.join("nowhere"), "").unwrap();
    fs::remove_file(root.join("a.yaml")).unwrap();
    fixture.check(&[("b", 2)]).await;
    assert_eq!(fixture.changes, 3);
}

/// Two links in each directory to the next: as many paths as there are numbers of 28 bits, and 29 directories.
#[tokio::test]
async fn links_that_fan_out_are_followed_once() {
    let directory = TempDir::new().unwrap();
    let (root, chain) = (
        directory.path().join("root"),
        directory.path().join("chain"),
    );
    fs::create_dir_all(&root).unwrap();
    for level in 0..28 {
        let here = chain.join(level.to_string());
        fs::create_dir_all(&here).unwrap();
        let next = chain.join((level + 1).to_string());
        for name in ["a", "b"] {
            symlink(&next, here.join(name)).unwrap();
        }
    }
    let last = chain.join("28");
    fs::create_dir_all(&last).unwrap();
    fs::write(last.join("a.yaml"), service("a", 1)).unwrap();
    for name in ["a", "b"] {
        symlink(chain.join("0"), root.join(name)).unwrap();
        symlink(last.join("a.yaml"), root.join(format!("{name}.yaml"))).unwrap();
    }
    let mut fixture = Fixture::run(directory, &root).await;
    fixture.check(&[("a", 1)]).await;
    // One object in one file, whatever leads there.
    fixture.check_problems(&[]).await;
    fs::write(last.join("a.yaml"), service("a", 2)).unwrap();
    fixture.check(&[("a", 2)]).await;
    assert_eq!(fixture.changes, 1);
}
