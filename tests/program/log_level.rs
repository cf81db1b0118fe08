//! What is logged changes for a while, and by itself back again.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::Stdio;

use crate::port::Port;
use crate::process::{Reaped, eventually, isobath, text};

fn ask(port: u16, method: &str, query: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(
        stream,
        "{method} /debug/log{query} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    text(&answer)
}

#[test]
fn the_log_says_more_for_a_while() {
    let folder = tempfile::tempdir().unwrap();
    let (manifests, log) = (folder.path().join("manifests"), folder.path().join("log"));
    fs::create_dir(&manifests).unwrap();
    let socket = folder.path().join("xds.sock");
    let (admin_port, metrics) = (Port::take(), Port::take());
    let (admin, metrics) = (admin_port.address().port(), metrics.address().port());
    let arguments = [
        "serve".to_owned(),
        format!("--manifests={}", manifests.display()),
        format!("--xds-address=unix:{}", socket.display()),
        format!("--admin-address=127.0.0.1:{admin}"),
        format!("--metrics-address=127.0.0.1:{metrics}"),
        "--log-level=info".to_owned(),
    ];
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut command = isobath(&arguments);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let _process = Reaped(command.stderr(File::create(&log).unwrap()).spawn().unwrap());
    eventually("the pages", || {
        TcpStream::connect(("127.0.0.1", admin)).is_ok()
    });
    // Who speaks no HTTP/2 is told at the level of debug.
    let lines = || {
        let log = text(&fs::read(&log).unwrap());
        log.matches("an xDS connection ended").count()
    };
    let connect = || {
        let mut stream = UnixStream::connect(&socket).unwrap();
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            .unwrap();
        // Until the server has seen it.
        let _ = stream.read_to_end(&mut Vec::new());
    };

    assert!(ask(admin, "GET", "").ends_with("\r\n\r\ninfo\n"));
    connect();
    for (query, status, says) in [
        ("?level=loud", 400, "level is no filter"),
        ("?level=debug&for=2h", 400, "an hour at most"),
        ("?level=debug&for=soon", 400, "for is no time"),
        ("?levle=debug", 400, "levle"),
        ("?level=debug&for=2s", 200, "debug for "),
    ] {
        let answer = ask(admin, "PUT", query);
        let expected = format!("HTTP/1.1 {status} ");
        assert!(
            answer.starts_with(&expected) && answer.contains(says),
            "{query}: {answer}"
        );
    }
    eventually("a line of debug", || {
        connect();
        lines() > 0
    });
    eventually("the end of it", || {
        ask(admin, "GET", "").ends_with("\r\n\r\ninfo\n")
    });
    let before = lines();
    connect();
    assert!(ask(admin, "PUT", "?level=isobath::xds=debug").contains("isobath::xds=debug for "));
    let answer = ask(admin, "PUT", "");
    assert!(answer.contains("--log-level says again"), "{answer}");
    eventually("the end of it", || {
        ask(admin, "GET", "").ends_with("\r\n\r\ninfo\n")
    });
    connect();
    let log = text(&fs::read(&log).unwrap());
    assert!(
        log.contains("what is logged is what --log-level says again"),
        "{log}"
    );
    assert!(lines() <= before + 1, "{log}");
}
