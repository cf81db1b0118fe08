//! `make flamegraph`: a picture is kept, words are shown.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

use crate::process::{output, text};

/// Runs it against a server that gives this answer once.
fn flame_graph(status: &'static str, body: &'static str, to: &Path) -> Output {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = [0; 4096];
        let read = stream.read(&mut head).unwrap();
        assert!(text(&head[..read]).contains("format=flamegraph"));
        let length = body.len();
        write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .unwrap();
    });
    let mut command = Command::new("make");
    // `make test` runs this: a make below another says which folder it enters and leaves, unless it is told not to.
    command
        .env_remove("MAKEFLAGS")
        .env_remove("MAKELEVEL")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .arg("flamegraph")
        .arg(format!("ADMIN={address}"))
        .arg(format!("FLAMEGRAPH={}", to.display()))
        .args(["SECONDS=1", "ENVOY=none"]);
    let output = output(&mut command);
    server.join().unwrap();
    output
}

#[test]
fn only_a_picture_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("flamegraph.svg");
    let made = flame_graph("200 OK", "<svg/>", &file);
    assert!(made.status.success(), "{}", text(&made.stderr));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "<svg/>");
    assert!(text(&made.stdout).ends_with(&format!("{}\n", file.display())));

    let idle = "no samples: the process was idle\n";
    let none = flame_graph("503 Service Unavailable", idle, &file);
    assert!(!none.status.success());
    assert!(text(&none.stderr).contains(idle), "{}", text(&none.stderr));
    // What was there stays, and nothing is beside it.
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "<svg/>");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}
