//! What the root is, by which path it is named, and what becomes of it; and what else lies beside manifests.

use super::*;

/// A path that is relative to the tests' own directory, however deep that is.
fn relative(path: &Path) -> PathBuf {
    let depth = std::env::current_dir().unwrap().components().count() - 1;
    let mut relative: PathBuf = std::iter::repeat_n("..", depth).collect();
    relative.extend(path.components().skip(1));
    relative
}

/// The watch names absolute paths: what is known by another one would be read half-written and then never again.
#[tokio::test]
async fn a_relative_path_is_watched_like_any_other() {
    use std::io::Write;
    let directory = TempDir::new().unwrap();
    let root = directory.path().join("live");
    fs::create_dir_all(root.join("sub")).unwrap();
    fs::write(root.join("a.yaml"), service("a", 1)).unwrap();
    fs::write(root.join("sub/b.yaml"), service("b", 1)).unwrap();
    let timeouts = FileTimeouts {
        writing: LIMIT,
        ..FileTimeouts::default()
    };
    let mut fixture = Fixture::run_with(directory, &relative(&root), timeouts).await;
    fixture.check(&[("a", 1), ("b", 1)]).await;
    // Half of a file, as a slow writer leaves it: nobody sees the host go.
    let text = service("a", 2);
    let (half, rest) = text.split_at(text.len() - 5);
    let mut file = fs::File::create(root.join("a.yaml")).unwrap();
    file.write_all(half.as_bytes()).unwrap();
    fs::write(root.join("sub/b.yaml"), service("b", 2)).unwrap();
    fixture.check(&[("a", 1), ("b", 2)]).await;
    file.write_all(rest.as_bytes()).unwrap();
    drop(file);
    fixture.check(&[("a", 2), ("b", 2)]).await;
    // A sub-folder, and the root itself, are removed and made again.
    fs::remove_dir_all(root.join("sub")).unwrap();
    fixture.check(&[("a", 2)]).await;
    fs::create_dir(root.join("sub")).unwrap();
    fs::write(root.join("sub/b.yaml"), service("b", 3)).unwrap();
    fixture.check(&[("a", 2), ("b", 3)]).await;
    fs::remove_dir_all(&root).unwrap();
    fixture
        .check_problems(&["live: can't read the manifests: No such file or directory (os error 2) (meanwhile it counts as it was before)"])
        .await;
    fs::create_dir(&root).unwrap();
    fs::write(root.join("a.yaml"), service("a", 3)).unwrap();
    fixture.check(&[("a", 3)]).await;
    fixture.check_problems(&[]).await;
    fs::write(root.join("a.yaml"), service("a", 4)).unwrap();
    fixture.check(&[("a", 4)]).await;
    // Moved away, and back.
    fs::rename(&root, fixture.path("away")).unwrap();
    fs::rename(fixture.path("away"), &root).unwrap();
    fs::write(root.join("a.yaml"), service("a", 5)).unwrap();
    fixture.check(&[("a", 5)]).await;
}

/// No watch tells of a folder further up that is moved away while another takes its place.
#[tokio::test]
async fn a_root_that_is_exchanged_from_above_is_found() {
    let directory = TempDir::new().unwrap();
    let root = directory.path().join("a/b/live");
    fs::create_dir_all(&root).unwrap();
    fs::write(root.join("a.yaml"), service("a", 1)).unwrap();
    let mut fixture = Fixture::run(directory, &root).await;
    fixture.check(&[("a", 1)]).await;
    fs::rename(fixture.path("a"), fixture.path("old")).unwrap();
    fs::create_dir_all(&root).unwrap();
    fs::write(root.join("a.yaml"), service("a", 2)).unwrap();
    fixture.check(&[("a", 2)]).await;
    fs::write(root.join("a.yaml"), service("a", 3)).unwrap();
    fixture.check(&[("a", 3)]).await;
}

#[tokio::test]
async fn a_root_can_be_one_file_of_any_name() {
    let directory = TempDir::new().unwrap();
    let root = directory.path().join("all.manifests");
    fs::write(&root, service("a", 1)).unwrap();
    fs::write(directory.path().join("b.yaml"), service("b", 1)).unwrap();
    let mut fixture = Fixture::run(directory, &relative(&root)).await;
    fixture.check(&[("a", 1)]).await;
    fs::write(&root, service("a", 2)).unwrap();
    fixture.check(&[("a", 2)]).await;
    // As editors save: beside it, and renamed.
    fs::write(fixture.path("tmp"), service("a", 3)).unwrap();
    fs::rename(fixture.path("tmp"), &root).unwrap();
    fixture.check(&[("a", 3)]).await;
    // A link is followed to wherever it leads, also beside it.
    fs::remove_file(&root).unwrap();
    symlink("b.yaml", &root).unwrap();
    fixture.check(&[("b", 1)]).await;
    fs::write(fixture.path("b.yaml"), service("b", 2)).unwrap();
    fixture.check(&[("b", 2)]).await;
}

#[tokio::test]
async fn what_is_read_once_is_served_for_good() {
    let text = format!(
        "{}---\napiVersion: v1\nkind: ServiceAccount\n",
        service("a", 1)
    );
    let input = file::read_once(text.as_bytes());
    let manifests = Manifests::of_text(Path::new("standard input"), input).unwrap();
    let names: Vec<_> = manifests
        .objects()
        .map(|object| object.reference().to_string())
        .collect();
    assert_eq!(names, ["Service default/a"]);
    let origins = manifests.origins().borrow().clone();
    let origins: Vec<_> = origins.values().map(Origin::to_string).collect();
    assert_eq!(origins, ["standard input:1:1"]);
    let broken = Manifests::of_text(
        Path::new("standard input"),
        Ok("kind: Ingress\n[".to_owned().into()),
    );
    let error = broken.err().unwrap().to_string();
    assert!(error.starts_with("standard input:2:1: "), "{error}");
}

/// A folder with the files, read once.
fn read(files: &[(&str, &str)]) -> (TempDir, Reader) {
    let directory = TempDir::new().unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let large = fs::File::create(directory.path().join("large.json")).unwrap();
    large.set_len(65 << 20).unwrap();
    let inbox = Inbox::new(directory.path());
    let mut reader = Reader::new(directory.path(), inbox, FileTimeouts::default()).unwrap();
    reader.start(Instant::now()).unwrap();
    (directory, reader)
}

fn said(directory: &TempDir, problems: &[Problem]) -> Vec<String> {
    let root = format!("{}/", directory.path().display());
    let said = problems
        .iter()
        .map(|problem| problem.to_string().replace(&root, ""));
    said.collect()
}

#[test]
fn other_files_are_passed_over_and_named() {
    let (directory, mut reader) = read(&[
        ("a.yaml", &service("a", 1)),
        ("broken.yaml", "a: b: c\n"),
        ("chart/Chart.yaml", "apiVersion: v2\nname: x\n"),
        (
            "chart/templates/ingress.yaml",
            "kind: Ingress\nmetadata:\n  name: {{ .Values.name }}\n",
        ),
        ("docker-compose.yml", "services:\n  web:\n    image: x\n"),
        ("kind.yaml", "---\nkind: Component\n"),
        ("kustomization.yaml", "resources: [a.yaml]\n"),
        ("list.yaml", "- a\n- b\n"),
        ("package.json", "{\"name\": \"x\", \"version\": \"1.0.0\"}"),
    ]);
    let names: Vec<_> = reader
        .objects()
        .map(|object| object.reference().to_string())
        .collect();
    assert_eq!(names, ["Service default/a"]);
    let passed_over = reader.take_passed_over();
    let no_kind = "passed over: it has no `kind`, as an object of Kubernetes has";
    let render = "it is a template; render it first: `helm template CHART | isobath run -`";
    assert_eq!(
        said(&directory, &passed_over),
        [
            "broken.yaml:1:1: passed over: it names no object of Kubernetes (mapping values are not allowed in this context)",
            &format!(
                "chart/Chart.yaml:1:1: {no_kind}: charts are not rendered: `helm template DIR | isobath run -`"
            ),
            &format!("chart/templates/ingress.yaml:3:1: passed over: {render}"),
            &format!("docker-compose.yml:1:1: {no_kind}"),
            "kind.yaml:2:1: passed over: it has no `apiVersion`, as an object of Kubernetes has",
            &format!(
                "kustomization.yaml:1:1: {no_kind}: no overlay is applied, each file is read as it is: `kustomize build DIR | isobath run -`"
            ),
            "list.yaml:1:1: passed over: it is no mapping, as an object of Kubernetes is",
            &format!("package.json:1:1: {no_kind}"),
        ]
    );
    // What can't be read at all can't claim to be ours; it is a problem, and no end.
    assert_eq!(
        said(&directory, &reader.problems()),
        ["large.json: it is larger than 64 MiB"]
    );
}

#[test]
fn what_was_meant_for_us_is_told_with_its_place() {
    let ingress = "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata:\n  name: i\nspec:\n  rules:\n  - hosts: [x]\n    http:\n      paths:\n      - backend: {serviceName: web, servicePort: 80}\n";
    let (directory, mut reader) = read(&[
        ("i.yaml", ingress),
        (
            "list.yaml",
            &format!(
                "# dumped\napiVersion: v1\nkind: List\nitems:\n- {}",
                service("l", 1).replace('\n', "\n  ")
            ),
        ),
        (
            "old.yaml",
            "apiVersion: extensions/v1beta1\nkind: Ingress\n---\napiVersion: networking.k8s.io/v1\nkind: Ingres\n",
        ),
        (
            "other.yaml",
            "apiVersion: contour.heptio.com/v1\nkind: IngressRoute\n",
        ),
        (
            "other2.yaml",
            "apiVersion: contour.heptio.com/v1\nkind: IngressRoute\n---\napiVersion: apps/v1\nkind: Deployment\n",
        ),
    ]);
    let ignored = "is ignored: IngressBackend has no such field in Kubernetes 1.33, and kubectl refuses it; it is";
    let backend = "Ingress default/i: spec.rules[0].http.paths[0].backend";
    assert_eq!(
        said(&directory, &reader.problems()),
        [
            "i.yaml:7:5: Ingress default/i: spec.rules[0].hosts is ignored: IngressRule has no such field in Kubernetes 1.33, and kubectl refuses it; it is perhaps host",
            &format!(
                "i.yaml:10:19: {backend}.serviceName {ignored} service.name since networking.k8s.io/v1"
            ),
            &format!(
                "i.yaml:10:37: {backend}.servicePort {ignored} service.port.number, or service.port.name, since networking.k8s.io/v1"
            ),
            "large.json: it is larger than 64 MiB",
            "old.yaml:1:1: this Ingress is ignored: its apiVersion extensions/v1beta1 is not read; it is networking.k8s.io/v1, where a backend is service.name and service.port.number, and every path has a pathType",
            "old.yaml:4:1: an object of kind Ingres is ignored: no such kind is read; it is perhaps Ingress",
        ]
    );
    let notices = reader.take_notices();
    assert_eq!(
        said(&directory, &notices),
        [
            "other.yaml:1:1: IngressRoute of contour.heptio.com/v1 is ignored: it is older than HTTPProxy; write one"
        ]
    );
    // The field that makes it unusable, and the item of the list.
    let origins: Vec<_> = reader
        .origins()
        .iter()
        .map(|(object, origin)| {
            format!(
                "{object} {}",
                origin.to_string().rsplit('/').next().unwrap()
            )
        })
        .collect();
    assert_eq!(
        origins,
        [
            "Ingress default/i i.yaml:10:9",
            "Service default/l list.yaml:5:3"
        ]
    );
}

/// A place moves with its text, though the object stays what it is.
#[tokio::test]
async fn places_are_of_now() {
    let fixture = Fixture::start(&[("a.yaml", &service("a", 1))]).await;
    assert_eq!(fixture.origin(Kind::Service, "a"), "a.yaml:1:1");
    fixture.write("a.yaml", &format!("# one\n# two\n{}", service("a", 1)));
    let mut origins = fixture.origins.clone();
    let moved = |origins: &Origins| origins.values().any(|origin| origin.place == (3, 1));
    timeout(LIMIT, origins.wait_for(moved))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(fixture.origin(Kind::Service, "a"), "a.yaml:3:1");
    assert_eq!(fixture.services(), [("a", 1)]);
}

#[tokio::test]
async fn the_directory_itself_is_replaced() {
    let directory = TempDir::new().unwrap();
    let root = directory.path().join("current");
    for (version, port) in [("1", 1), ("2", 2)] {
        fs::create_dir(directory.path().join(version)).unwrap();
        fs::write(
            directory.path().join(version).join("a.yaml"),
            service("a", port),
        )
        .unwrap();
    }
    symlink("1", &root).unwrap();
    let mut fixture = Fixture::run(directory, &root).await;
    fixture.check(&[("a", 1)]).await;
    symlink("2", fixture.path("next")).unwrap();
    fs::rename(fixture.path("next"), &root).unwrap();
    fixture.check(&[("a", 2)]).await;
    // Gone: the last good objects stay, and it is told.
    fs::remove_file(&root).unwrap();
    fixture
        .check_problems(&[
            "current: can't read the manifests: No such file or directory (os error 2) (meanwhile it counts as it was before)",
        ])
        .await;
    fs::create_dir(&root).unwrap();
    fs::write(root.join("a.yaml"), service("a", 3)).unwrap();
    fixture.check(&[("a", 3)]).await;
    fixture.check_problems(&[]).await;
    assert_eq!(fixture.changes, 2);
}

/// Objects come out the same whatever order their files were read in, and sorted.
#[test]
fn objects_are_sorted() {
    let directory = TempDir::new().unwrap();
    for name in ["c", "a", "b"] {
        fs::write(
            directory.path().join(format!("{name}.yaml")),
            service(name, 1),
        )
        .unwrap();
    }
    let class = "apiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {name: z}\nspec: {controller: a/b}\n";
    fs::write(directory.path().join("d.yaml"), class).unwrap();
    let manifests = Manifests::load(directory.path()).unwrap();
    let names: Vec<_> = manifests
        .objects()
        .map(|object| object.reference().to_string())
        .collect();
    assert_eq!(
        names,
        [
            "IngressClass z",
            "Service default/a",
            "Service default/b",
            "Service default/c"
        ]
    );
}

#[tokio::test]
async fn wrong_objects_are_events_not_problems() {
    let wrong = "apiVersion: v1\nkind: Service\nmetadata:\n  name: a\n  annotations: {x: true}\nspec: {ports: [{port: 80}]}\n";
    let mut fixture = Fixture::start(&[("a.yaml", wrong)]).await;
    let Some(Object::Invalid(invalid)) = fixture.objects.values().next() else {
        panic!("{:?}", fixture.objects);
    };
    assert_eq!(
        invalid.reason,
        "metadata.annotations.x: invalid type: boolean `true`, expected a string; put it in quotes"
    );
    fixture.check_problems(&[]).await;
    fixture.write("a.yaml", &service("a", 1));
    fixture.check(&[("a", 1)]).await;
    fixture.end(1).await;
}
