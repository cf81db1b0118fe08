//! `isobath serve` as a process: how it starts, why it ends, and what it never says.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nix::sys::signal::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::check::apps;
use crate::support::certificate::Authority;
use crate::support::client::{self, Tls, Version};
use crate::support::eventually::eventually;
use crate::support::isobath::{BINARY, Isobath};
use crate::support::manifest::{Manifest, service, site};
use crate::support::port::Port;
use crate::support::stand::Stand;

/// Runs it to its end: it is expected to end by itself.
fn serve(arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let (admin, metrics) = (Port::take(), Port::take());
    let socket = format!("unix:{}", folder.path().join("xds.sock").display());
    let mut command = Command::new(BINARY);
    command.arg("serve").args(["--log-format", "text"]);
    for (flag, value) in [
        ("--xds-address", socket),
        ("--admin-address", admin.address().to_string()),
        ("--metrics-address", metrics.address().to_string()),
    ] {
        if !arguments.contains(&flag) {
            command.args([flag, &value]);
        }
    }
    command.args(arguments).output().unwrap()
}

#[test]
fn what_a_person_can_put_right_is_one_sentence_and_exit_code_2() {
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken");
    fs::create_dir(&broken).unwrap();
    fs::write(
        broken.join("web.yaml"),
        "kind: Ingress\nmetadata: {name: [}\n",
    )
    .unwrap();
    let broken = broken.to_str().unwrap();
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let empty = empty.to_str().unwrap();
    for (arguments, expected) in [
        (&["--manifests", "/does/not/exist"][..], "/does/not/exist"),
        // File, line and column, as compilers name them.
        (&["--manifests", broken], "web.yaml:2:"),
        (&["--manifests", empty, "--no-such-flag"], "--no-such-flag"),
        (
            &["--manifests", empty, "--envoy-http-address", "nonsense"],
            "--envoy-http-address",
        ),
        (
            &["--manifests", empty, "--xds-address", "nonsense"],
            "--xds-address",
        ),
        // The stream carries private keys: beyond loopback with mutual TLS only.
        (
            &["--manifests", empty, "--xds-address", "0.0.0.0:0"],
            "--xds-tls",
        ),
    ] {
        let output = serve(arguments);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert_eq!(text.trim_end().lines().count(), 1, "{arguments:?}: {text}");
        assert!(text.contains(expected), "{arguments:?}: {text}");
    }
}

#[test]
fn a_port_that_is_taken_ends_it_before_anything_runs() {
    let folder = tempfile::tempdir().unwrap();
    let manifests = folder.path().to_str().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for flag in ["--admin-address", "--metrics-address"] {
        let output = serve(&["--manifests", manifests, flag, &address]);
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{text}");
        let last = text.trim_end().lines().last().unwrap_or_default();
        assert!(last.contains(&address), "{flag}: {text}");
        assert!(!text.contains(" ready "), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_end_it_in_order_and_the_socket_can_be_bound_again() {
    let mut isobath = Isobath::start(&[]).await;
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let process = isobath.process();
        process.signal(signal);
        assert_eq!(process.end().await.code(), Some(0), "{signal}");
        isobath.terminated();
        isobath.restart().await;
    }
    // A second one on the same socket would take Envoy away from the first.
    let socket = isobath.xds_address();
    let manifests = isobath.manifests();
    let output = serve(&[
        "--manifests",
        manifests.to_str().unwrap(),
        "--xds-address",
        &socket,
    ]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{text}");
    assert!(text.contains(&socket[5..]), "{text}");
    isobath.process().assert_running();
    isobath.ready().await;
}

/// A stop is a stop, also while the API server has not said yet what it serves.
#[tokio::test(flavor = "multi_thread")]
async fn a_signal_while_the_api_server_does_not_answer() {
    let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    let text = format!(
        "{{apiVersion: v1, kind: Config, current-context: a, contexts: [{{name: a, context: {{cluster: a, user: a}}}}], \
         clusters: [{{name: a, cluster: {{server: 'http://{}'}}}}], users: [{{name: a, user: {{token: a}}}}]}}",
        server.local_addr().unwrap()
    );
    fs::write(&kubeconfig, text).unwrap();
    let mut isobath = Isobath::of_cluster(&kubeconfig, &[]);
    isobath.spawn();
    // It is asked, and says nothing.
    let (mut asked, _) = server.accept().await.unwrap();
    let mut request = [0; 4];
    asked.read_exact(&mut request).await.unwrap();
    assert_eq!(&request, b"GET ");
    assert_eq!(isobath.terminate().await.code(), Some(0));
}

/// Keys travel over the socket, so who is not Isobath's user gets nothing: the file keeps others out, and where its
/// mode was changed the kernel's word about the peer does.
#[tokio::test(flavor = "multi_thread")]
async fn another_user_gets_nothing_over_the_socket() {
    if !nix::unistd::Uid::effective().is_root() {
        assert!(std::env::var_os("CI").is_none(), "CI runs as root");
        eprintln!("SKIPPED: only root can become another user");
        return;
    }
    let isobath = Isobath::start(&[]).await;
    let open = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    // Where that user can run it.
    let folder = tempfile::tempdir().unwrap();
    open(folder.path(), 0o755);
    open(isobath.directory(), 0o755);
    let program = folder.path().join("isobath");
    let installed = Command::new(BINARY).arg("install").arg(&program).status();
    assert!(installed.unwrap().success());
    let ask = |user: &str| {
        Command::new("setpriv")
            .args(["--reuid", user, "--regid", user, "--clear-groups", "--"])
            .arg(&program)
            .args(["xds", "lds", "--xds-address", &isobath.xds_address()])
            .output()
            .expect("setpriv, of util-linux")
    };
    for (mode, expected) in [(0o600, "Permission denied"), (0o666, "")] {
        open(&isobath.xds(), mode);
        let output = ask("12345");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{mode:o}: {text}");
        assert!(text.contains(expected), "{mode:o}: {text}");
        assert_eq!(output.stdout, b"", "{mode:o}");
    }
    let refused = isobath.metrics().await["isobath_xds_rejected_connections_total"];
    assert!(refused >= 1.0, "{refused}");
    let own = ask("0");
    assert!(own.status.success() && !own.stdout.is_empty(), "{own:?}");
}

/// `isobath xds` tells what there is from what there is not, of every type: a server answers for a table or an assignment
/// that does not exist with an empty one.
#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_exist_is_told_as_such() {
    let (_backends, mut manifests) = apps(&["web"]).await;
    manifests.push(site("web", "web.test", "web:80"));
    // Its assignment is as empty as one that does not exist.
    manifests.push(service("empty"));
    manifests.push(site("empty", "empty.test", "empty:80"));
    let isobath = Isobath::start(&manifests).await;
    let show = |arguments: &[&str]| {
        Command::new(BINARY)
            .arg("xds")
            .args(arguments)
            .args(["--xds-address", &isobath.xds_address()])
            .output()
            .unwrap()
    };
    for (arguments, expected) in [
        (["rds", "http"], None),
        (["eds", "default/web/80"], None),
        (["eds", "default/empty/80"], None),
        (["cds", "default/web/80"], None),
        (["lds", "http"], None),
        (["rds", "*"], None),
        (["eds", "*"], None),
        (["sds", "*"], None),
        (["rds", "nosuch"], Some("no such resource: rds nosuch")),
        (["eds", "nosuch"], Some("no such resource: eds nosuch")),
        (["cds", "nosuch"], Some("no such resource: cds nosuch")),
        (["lds", "nosuch"], Some("no such resource: lds nosuch")),
        (["sds", "nosuch"], Some("no such resource: sds nosuch")),
    ] {
        let output = show(&arguments);
        let text = String::from_utf8_lossy(&output.stderr);
        match expected {
            None => assert_eq!(output.status.code(), Some(0), "{arguments:?}: {text}"),
            Some(expected) => {
                assert_eq!(output.status.code(), Some(1), "{arguments:?}: {text}");
                assert!(text.contains(expected), "{arguments:?}: {text}");
            }
        }
    }
}

/// I10: a private key leaves over SDS and in no other way.
#[tokio::test(flavor = "multi_thread")]
async fn no_key_is_ever_told() {
    let authority = Authority::new();
    let (_backends, mut base) = apps(&["web"]).await;
    base.push(site("web", "web.test", "web:80").tls(&["web.test"], "web"));
    base.push(site("torn", "torn.test", "web:80").tls(&["torn.test"], "torn"));
    let served = authority.leaf(&["web.test"]);
    let unused = authority.leaf(&["unused.test"]);
    // Broken in ways that a message might want to quote.
    let mut torn = authority.rsa_leaf(&["torn.test"]);
    torn.key.truncate(torn.key.len() / 2);
    let garbled = Manifest(serde_json::json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": {"namespace": "default", "name": "Garbled Name"},
        "data": {"tls.crt": STANDARD.encode(&served.chain), "tls.key": unused.key},
    }));
    base.extend([
        served.secret("web"),
        unused.secret("unused"),
        torn.secret("torn"),
        garbled,
    ]);
    let stand = Stand::start(&base).await;
    let tls = Tls::sni("web.test");
    let https = stand.isobath.https();
    let answer = client::get(https, Version::H2, Some(&tls), "web.test", "/").await;
    assert_eq!(answer.unwrap().status, 200);
    // A file that breaks with keys in it.
    let mentions = || stand.isobath.log().matches("manifests.yaml").count();
    let before = mentions();
    let mut text = crate::support::manifest::text(&base);
    text.push_str("\n}: broken [\n");
    stand.isobath.write_text("manifests.yaml", &text);
    eventually("the broken file is told", async || {
        (mentions() > before).then_some(()).ok_or("not yet")
    })
    .await;

    let mut told = stand.isobath.log();
    let index = page(&stand, "/debug").await;
    let listed = index
        .split_whitespace()
        .filter(|word| word.starts_with("/debug/"));
    let pages = ["/healthz", "/readyz", "/metrics"]
        .into_iter()
        .chain(listed);
    let mut count = 0;
    for path in pages.filter(|path| !path.contains("pprof")) {
        let asked = match path {
            "/debug/explain" => "/debug/explain?url=https://web.test/",
            "/debug/object" => "/debug/object?kind=Secret&namespace=default&name=web",
            "/debug/objects" => "/debug/objects?kind=Secret",
            "/debug/host" => "/debug/host?host=web.test",
            "/debug/parts" => "/debug/parts?kind=Secret&namespace=default&name=web",
            path => path,
        };
        told.push_str(&match path {
            "/debug/live" => first_event(&stand, path).await,
            _ => page(&stand, asked).await,
        });
        count += 1;
    }
    assert!(count >= 4, "{index}");
    for service in ["lds", "rds", "cds", "eds", "sds"] {
        let mut command = Command::new(BINARY);
        let address = stand.isobath.xds_address();
        let output = command
            .args(["xds", service, "--xds-address", &address])
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(service != "sds" || text.contains("default/web"), "{text}");
        told.push_str(&text);
    }
    // What is looked for can be found: the certificate is no secret.
    let line = served.chain.lines().nth(1).unwrap();
    assert!(
        told.contains(line) || told.contains(&STANDARD.encode(line)),
        "{told}"
    );
    for key in [&served.key, &unused.key, &torn.key] {
        let lines = key
            .lines()
            .filter(|line| !line.starts_with('-') && line.len() > 8);
        for line in lines {
            assert!(!told.contains(line), "a line of a key as PEM: {told}");
            // What a line becomes inside the Secret's base64 depends on where it begins: three spellings.
            for skip in 0..3 {
                let encoded = STANDARD.encode(&line[skip..]);
                let core = &encoded[..encoded.len() / 4 * 4 - 4];
                assert!(!told.contains(core), "a line of a key as base64: {told}");
            }
        }
    }
}

/// Of a page that has no end.
async fn first_event(stand: &Stand, path: &str) -> String {
    let mut stream = TcpStream::connect(stand.isobath.admin()).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut told = Vec::new();
    while !told.windows(5).any(|bytes| bytes == b"data:") {
        let read = tokio::time::timeout(Duration::from_secs(10), stream.read_buf(&mut told));
        assert_ne!(read.await.unwrap().unwrap(), 0, "{told:?}");
    }
    String::from_utf8(told).unwrap()
}

async fn page(stand: &Stand, path: &str) -> String {
    let answer = client::get(stand.isobath.admin(), Version::H1, None, "localhost", path).await;
    let answer = answer.unwrap();
    assert_eq!(answer.status, 200, "{path}");
    answer.text()
}
