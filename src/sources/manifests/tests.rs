//! Directories that change, as editors, kubelets and people change them. Events are awaited, never slept for.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::*;
use crate::objects::{Kind, ObjectRef};

mod links;
mod roots;

const LIMIT: Duration = Duration::from_secs(60);

fn service(name: &str, port: u16) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata:\n  name: {name}\nspec:\n  ports:\n  - port: {port}\n"
    )
}

/// A directory, its source, and the objects as whoever receives the events sees them.
struct Fixture {
    directory: TempDir,
    events: mpsc::Receiver<Event>,
    /// Those of the last batch that were not looked at yet.
    batch: VecDeque<Event>,
    problems: watch::Receiver<Arc<[Problem]>>,
    origins: watch::Receiver<Origins>,
    source: JoinSet<anyhow::Result<Infallible>>,
    objects: BTreeMap<ObjectRef, Object>,
    /// How many changes were received after the start.
    changes: usize,
}

impl Fixture {
    async fn start(files: &[(&str, &str)]) -> Self {
        let directory = TempDir::new().unwrap();
        for (name, text) in files {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let root = directory.path().to_owned();
        Self::run(directory, &root).await
    }

    async fn run(directory: TempDir, root: &Path) -> Self {
        Self::run_with(directory, root, FileTimeouts::default()).await
    }

    async fn run_with(directory: TempDir, root: &Path, timeouts: FileTimeouts) -> Self {
        let manifests = Manifests::load_with(root, timeouts).unwrap();
        let origins = manifests.origins();
        let problems = manifests.problems();
        let (sender, events) = mpsc::channel(16);
        let mut source = JoinSet::new();
        source.spawn(manifests.run(sender));
        let mut fixture = Self {
            directory,
            events,
            batch: VecDeque::new(),
            problems,
            origins,
            source,
            objects: BTreeMap::new(),
            changes: 0,
        };
        for expected in Kind::ALL {
            match fixture.next().await {
                Event::Replace {
                    kind,
                    namespace: None,
                    objects,
                } => {
                    assert_eq!(kind, expected);
                    for object in objects {
                        assert_eq!(object.reference().kind, kind);
                        let former = fixture.objects.insert(object.reference(), object);
                        assert!(former.is_none());
                    }
                }
                other => panic!("{other:?}"),
            }
        }
        fixture
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Whole or not at all: between two system calls any time may pass, and a file that is cut to nothing would be
    /// taken for an empty one. How files are written in place is a test of its own.
    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        let hidden = format!(".{}.tmp", path.file_name().unwrap().display());
        let hidden = path.with_file_name(hidden);
        fs::write(&hidden, text).unwrap();
        fs::rename(&hidden, &path).unwrap();
    }

    /// The next single event.
    async fn next(&mut self) -> Event {
        loop {
            if let Some(event) = self.batch.pop_front() {
                return event;
            }
            match timeout(LIMIT, self.events.recv()).await {
                Ok(Some(Event::Batch(events))) => self.batch.extend(events),
                other => panic!("{other:?}; have {:?}", self.services()),
            }
        }
    }

    /// Receives changes until the Services and their ports are these.
    async fn check(&mut self, expected: &[(&str, u16)]) {
        while self.services() != expected {
            match self.next().await {
                Event::Apply(object) => {
                    self.objects.insert(object.reference(), object);
                }
                Event::Delete(reference) => {
                    assert!(self.objects.remove(&reference).is_some(), "{reference}");
                }
                other => panic!(
                    "{other:?}; have {:?}, expected {expected:?}",
                    self.services()
                ),
            }
            self.changes += 1;
        }
    }

    /// Waits until the problems, without the directory's path, are these.
    async fn check_problems(&mut self, expected: &[&str]) {
        let root = format!("{}/", self.directory.path().display());
        let holds = |problems: &Arc<[Problem]>| {
            let found: Vec<_> = problems
                .iter()
                .map(|p| p.to_string().replace(&root, ""))
                .collect();
            found == expected
        };
        let waited = timeout(LIMIT, self.problems.wait_for(holds))
            .await
            .map(|_| ());
        let found = self.problems.borrow().clone();
        assert!(waited.is_ok(), "{found:?}, expected {expected:?}");
    }

    /// Where an object stands, without the directory's path.
    fn origin(&self, kind: Kind, name: &str) -> String {
        let root = format!("{}/", self.directory.path().display());
        let origins = self.origins.borrow();
        let origin = origins.get(&ObjectRef::new(kind, "default", name));
        origin.map_or_else(String::new, |origin| origin.to_string().replace(&root, ""))
    }

    fn services(&self) -> Vec<(&str, u16)> {
        self.objects
            .values()
            .filter_map(|object| match object {
                Object::Service(service) => {
                    Some((&*service.metadata.name.name, service.ports[0].port))
                }
                _ => None,
            })
            .collect()
    }

    /// Ends it, having seen that nothing but the received changes was ever sent.
    async fn end(mut self, changes: usize) {
        assert_eq!(self.changes, changes);
        assert!(self.batch.is_empty(), "{:?}", self.batch);
        assert!(self.events.try_recv().is_err(), "more was sent");
        drop(self.events);
        // The source notices when it has something to send.
        fs::write(self.directory.path().join("zzz.yaml"), service("zzz", 1)).unwrap();
        let error = timeout(LIMIT, self.source.join_next())
            .await
            .unwrap()
            .unwrap()
            .unwrap()
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "nobody receives the objects of the manifests any more"
        );
    }
}

#[tokio::test]
async fn files_are_created_changed_and_deleted() {
    let (a, b) = (service("a", 1), service("b", 1));
    let both = format!("{a}---\n{b}");
    let mut fixture = Fixture::start(&[
        ("a.yaml", &both),
        ("deep/er/c.json", r#"{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"Service","metadata":{"name":"c"},"spec":{"ports":[{"port":1}]}}]}"#),
        ("empty.yml", ""),
        ("notes.txt", "not: [yaml"),
        (".hidden.yaml", "not: [yaml"),
        (".git/x.yaml", "not: [yaml"),
        ("other.yaml", "apiVersion: apps/v1\nkind: Deployment\n"),
    ])
    .await;
    fixture.check(&[("a", 1), ("b", 1), ("c", 1)]).await;

    // One object of a file: the others are not sent again.
    fixture.write("a.yaml", &format!("{a}---\n{}", service("b", 2)));
    fixture.check(&[("a", 1), ("b", 2), ("c", 1)]).await;
    fixture.write("a.yaml", &a);
    fixture.check(&[("a", 1), ("c", 1)]).await;
    fixture.write("empty.yml", &b);
    fixture.check(&[("a", 1), ("b", 1), ("c", 1)]).await;
    fs::remove_file(fixture.path("deep/er/c.json")).unwrap();
    fixture.check(&[("a", 1), ("b", 1)]).await;
    // Emptied, and removed as a directory.
    fixture.write("empty.yml", "");
    fixture.check(&[("a", 1)]).await;
    // Comments and the like change nothing.
    fixture.write("a.yaml", &format!("# a\n{a}"));
    fixture.write("notes.txt", "more");
    fixture.write("d.yaml", &service("d", 1));
    fixture.check(&[("a", 1), ("d", 1)]).await;
    fixture.end(6).await;
}

/// Else an Ingress would be without its Service for a moment, which is told and answers 503.
#[tokio::test]
async fn the_objects_of_one_file_change_together() {
    let mut fixture = Fixture::start(&[]).await;
    let both = [service("a", 1), service("b", 2)].join("---\n");
    for (text, count) in [(&*both, 2), ("", 2), (&*both, 2)] {
        fixture.write("all.yaml", text);
        match timeout(LIMIT, fixture.events.recv()).await {
            Ok(Some(Event::Batch(events))) => assert_eq!(events.len(), count, "{events:?}"),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn directories_come_and_go() {
    let mut fixture = Fixture::start(&[("a.yaml", &service("a", 1))]).await;
    fixture.check(&[("a", 1)]).await;
    fs::create_dir_all(fixture.path("x/y/z")).unwrap();
    fixture.write("x/y/z/b.yaml", &service("b", 1));
    fixture.check(&[("a", 1), ("b", 1)]).await;
    // Watched, all of them.
    fixture.write("x/y/z/b.yaml", &service("b", 2));
    fixture.check(&[("a", 1), ("b", 2)]).await;
    fixture.write("x/c.yaml", &service("c", 1));
    fixture.check(&[("a", 1), ("b", 2), ("c", 1)]).await;
    // Moved within the tree: the objects are the same, whatever their path.
    fs::rename(fixture.path("x"), fixture.path("w")).unwrap();
    fixture.write("w/c.yaml", &service("c", 2));
    fixture.check(&[("a", 1), ("b", 2), ("c", 2)]).await;
    fixture.check_problems(&[]).await;
    // Moved in and out as a whole.
    let outside = TempDir::new_in(fixture.directory.path().parent().unwrap()).unwrap();
    fs::rename(fixture.path("w"), outside.path().join("w")).unwrap();
    fixture.check(&[("a", 1)]).await;
    fs::rename(outside.path().join("w"), fixture.path("v")).unwrap();
    fixture.check(&[("a", 1), ("b", 2), ("c", 2)]).await;
    fs::remove_dir_all(fixture.path("v")).unwrap();
    fixture.check(&[("a", 1)]).await;
    // Again at a path that was watched before.
    fs::create_dir(fixture.path("v")).unwrap();
    fixture.write("v/b.yaml", &service("b", 3));
    fixture.check(&[("a", 1), ("b", 3)]).await;
    fixture.write("v/b.yaml", &service("b", 4));
    fixture.check(&[("a", 1), ("b", 4)]).await;
    fixture.end(12).await;
}

/// No save of any kind is ever seen as a deletion.
#[tokio::test]
async fn editors_save_in_their_ways() {
    use std::io::Write;
    let directory = TempDir::new().unwrap();
    let root = directory.path().to_owned();
    fs::write(root.join("a.yaml"), service("a", 1)).unwrap();
    // However slow the machine is: in this test a deletion is a failure, and so is a look at a file that is open.
    let timeouts = FileTimeouts {
        gone: LIMIT,
        writing: LIMIT,
    };
    let mut fixture = Fixture::run_with(directory, &root, timeouts).await;
    fixture.check(&[("a", 1)]).await;
    let (path, backup) = (fixture.path("a.yaml"), fixture.path("a.yaml~"));
    // Written beside and renamed.
    fixture.write("a.yaml", &service("a", 2));
    fixture.check(&[("a", 2)]).await;
    // Renamed to a backup, then written anew, as vim does.
    fs::rename(&path, &backup).unwrap();
    fs::write(&path, service("a", 3)).unwrap();
    fs::remove_file(&backup).unwrap();
    fixture.check(&[("a", 3)]).await;
    // Removed, then written.
    fs::remove_file(&path).unwrap();
    fs::write(&path, service("a", 4)).unwrap();
    fixture.check(&[("a", 4)]).await;
    // Cut to nothing and written in small pieces, slowly.
    let mut file = fs::File::create(&path).unwrap();
    for piece in service("a", 5).as_bytes().chunks(7) {
        file.write_all(piece).unwrap();
        file.sync_all().unwrap();
        tokio::task::yield_now().await;
    }
    drop(file);
    fixture.check(&[("a", 5)]).await;
    fixture.end(4).await;
}

/// What is written at once into a file that is never closed is read some time after.
#[tokio::test]
async fn a_file_that_stays_open() {
    use std::io::Write;
    let mut fixture = Fixture::start(&[("a.yaml", &service("a", 1))]).await;
    fixture.check(&[("a", 1)]).await;
    let mut open = fs::File::options()
        .write(true)
        .open(fixture.path("a.yaml"))
        .unwrap();
    open.write_all(service("a", 2).as_bytes()).unwrap();
    fixture.check(&[("a", 2)]).await;
    drop(open);
    fixture.end(1).await;
}

/// As the kubelet mounts and updates a ConfigMap.
#[tokio::test]
async fn a_config_map_is_swapped() {
    let directory = TempDir::new().unwrap();
    let root = directory.path().join("mounted");
    let version = |name: &str, files: &[(&str, String)]| {
        fs::create_dir_all(root.join(name)).unwrap();
        for (file, text) in files {
            fs::write(root.join(name).join(file), text).unwrap();
        }
        symlink(name, root.join("..data_tmp")).unwrap();
        fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
    };
    version(
        "..1",
        &[("a.yaml", service("a", 1)), ("b.yaml", service("b", 1))],
    );
    symlink("..data/a.yaml", root.join("a.yaml")).unwrap();
    symlink("..data/b.yaml", root.join("b.yaml")).unwrap();
    let mut fixture = Fixture::run(directory, &root).await;
    fixture.check(&[("a", 1), ("b", 1)]).await;

    version(
        "..2",
        &[("a.yaml", service("a", 2)), ("b.yaml", service("b", 1))],
    );
    fs::remove_dir_all(root.join("..1")).unwrap();
    fixture.check(&[("a", 2), ("b", 1)]).await;

    // A file less and one more; the links follow.
    version(
        "..3",
        &[("a.yaml", service("a", 2)), ("c.yaml", service("c", 1))],
    );
    fs::remove_file(root.join("b.yaml")).unwrap();
    symlink("..data/c.yaml", root.join("c.yaml")).unwrap();
    fs::remove_dir_all(root.join("..2")).unwrap();
    fixture.check(&[("a", 2), ("c", 1)]).await;
    assert_eq!(fixture.changes, 3);
}

#[tokio::test]
async fn a_file_breaks_and_is_repaired() {
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {x: y}\n";
    let mut fixture = Fixture::start(&[("a.yaml", &service("a", 1)), ("s.yaml", secret)]).await;
    fixture.check(&[("a", 1)]).await;
    fixture.check_problems(&[]).await;

    fixture.write("a.yaml", "apiVersion: v1\nkind: Service: no\n");
    fixture
        .check_problems(&[
            "a.yaml:2:14: mapping values are not allowed in this context (meanwhile it counts as it was before)",
        ])
        .await;
    // All else goes on.
    fixture.write("b.yaml", &service("b", 1));
    fixture.check(&[("a", 1), ("b", 1)]).await;
    // Broken in another way, with what must not be shown.
    fixture.write("s.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData:\n  marker: a\n  marker: marker\n");
    fixture
        .check_problems(&[
            "a.yaml:2:14: mapping values are not allowed in this context (meanwhile it counts as it was before)",
            "s.yaml:6:3: a key is given twice in one mapping (meanwhile it counts as it was before)",
        ])
        .await;
    fixture.write("s.yaml", secret);
    fixture.write("a.yaml", &service("a", 2));
    fixture.check(&[("a", 2), ("b", 1)]).await;
    fixture.check_problems(&[]).await;

    for (text, problem) in [
        (
            "kind: Service\n",
            "a.yaml:1:1: Service has no apiVersion; write v1",
        ),
        (
            "apiVersion: v1\nkind: Service\n",
            "a.yaml:1:1: Service can't be used: it has no metadata.name",
        ),
        (
            "hello",
            "a.yaml: it holds no object any more: it is no mapping, as an object of Kubernetes is",
        ),
        (
            "a: {{ b }}",
            "a.yaml: it holds no object any more: it is a template; render it first: `helm template CHART | isobath run -`",
        ),
    ] {
        fixture.write("a.yaml", text);
        let problem = format!("{problem} (meanwhile it counts as it was before)");
        fixture.check_problems(&[&*problem]).await;
    }
    fs::write(fixture.path("a.yaml"), b"\xff\xff").unwrap();
    fixture
        .check_problems(&["a.yaml: it is not UTF-8 text (meanwhile it counts as it was before)"])
        .await;
    // A broken file that is removed is no problem any more, and neither has it objects.
    fs::remove_file(fixture.path("a.yaml")).unwrap();
    fixture.check(&[("b", 1)]).await;
    fixture.check_problems(&[]).await;
    fixture.end(3).await;
}

#[tokio::test]
async fn the_first_path_wins() {
    let twice = format!("{}---\n{}", service("b", 1), service("b", 2));
    let mut fixture = Fixture::start(&[
        ("b.yaml", &service("a", 2)),
        ("c.yaml", &service("a", 3)),
        ("twice.yaml", &twice),
    ])
    .await;
    fixture.check(&[("a", 2), ("b", 1)]).await;
    let root = fixture.directory.path().display().to_string();
    let repeated = "twice.yaml:9:1: Service default/b is in this file before, in line 1, and the first one counts";
    let wins = |winner: &str| format!("Service default/a is also in {winner}, which wins");
    let lost = |loser: &str, winner: &str| format!("{loser}:1:1: {}", wins(winner));
    fixture
        .check_problems(&[&lost("c.yaml", "b.yaml"), repeated])
        .await;

    // A path before it takes over, and gives it back.
    fixture.write("a.yaml", &service("a", 1));
    fixture.check(&[("a", 1), ("b", 1)]).await;
    fixture
        .check_problems(&[
            &lost("b.yaml", "a.yaml"),
            &lost("c.yaml", "a.yaml"),
            repeated,
        ])
        .await;
    fs::remove_file(fixture.path("a.yaml")).unwrap();
    fixture.check(&[("a", 2), ("b", 1)]).await;
    fs::remove_file(fixture.path("b.yaml")).unwrap();
    fixture.check(&[("a", 3), ("b", 1)]).await;
    // A move by rename is no change at all.
    fs::rename(fixture.path("c.yaml"), fixture.path("0.yaml")).unwrap();
    fixture.write("twice.yaml", &service("b", 5));
    fixture.check(&[("a", 3), ("b", 5)]).await;
    fixture.check_problems(&[]).await;
    assert!(!root.is_empty());
    fixture.end(4).await;
}

#[test]
fn what_ends_the_start() {
    let check = |files: &[(&str, &[u8])], expected: &str| {
        let directory = TempDir::new().unwrap();
        for (name, content) in files {
            fs::write(directory.path().join(name), content).unwrap();
        }
        let error = Manifests::load(directory.path()).err().unwrap();
        let root = format!("{}/", directory.path().display());
        assert_eq!(error.to_string().replace(&root, ""), expected);
        assert_eq!(
            crate::process::exit_code::UsageError::from(error)
                .to_string()
                .replace(&root, ""),
            expected
        );
    };
    check(
        &[
            ("a.yaml", b"a: ["),
            ("b.yaml", b"kind: b: Ingress\n"),
            ("c.yaml", b"kind: Ingress\n["),
        ],
        "c.yaml:2:1: unclosed bracket '['",
    );
    check(
        &[("a.json", b"{\n  \"kind\": \"Secret\",\n}")],
        "a.json:3:1: trailing comma",
    );
    check(
        &[(
            "a.yaml",
            b"apiVersion: v1\nkind: Secret\n---\napiVersion: v1\nkind: Secret\nmetadata: {}\n",
        )],
        "a.yaml:1:1: Secret can't be used: it has no metadata.name",
    );
    let directory = TempDir::new().unwrap();
    let missing = directory.path().join("missing");
    let error = Manifests::load(&missing).err().unwrap();
    let expected = format!(
        "can't read the manifests {}: No such file or directory (os error 2)",
        missing.display()
    );
    assert_eq!(error.to_string(), expected);
    fs::create_dir(&missing).unwrap();
    assert_eq!(Manifests::load(&missing).unwrap().objects().count(), 0);
}
