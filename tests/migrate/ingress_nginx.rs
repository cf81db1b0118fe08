//! `isobath migrate --from ingress-nginx`: `ingress-nginx/` has Ingresses as charts render them, `ingress-nginx.txt` the report and
//! the exit code.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::Value;

use crate::{golden, root};

fn isobath(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_isobath"));
    command
        .args(["migrate", "--from", "ingress-nginx"])
        .args(arguments)
        .current_dir(root("tests/migrate"));
    command
}

fn said(output: Output) -> (String, String, i32) {
    let [out, said] = [output.stdout, output.stderr].map(|it| String::from_utf8(it).unwrap());
    (out, said, output.status.code().unwrap())
}

#[test]
fn charts_come_to_a_report() {
    let folder = fs::read_dir(root("tests/migrate/ingress-nginx")).unwrap();
    assert!(folder.count() >= 30);
    let (out, err, code) = said(isobath(&["ingress-nginx"]).output().unwrap());
    assert_eq!(err, "");
    let found = format!("{out}---\n{code}\n");
    let path = root("tests/migrate/ingress-nginx.txt");
    if golden::updates() {
        fs::write(&path, &found).unwrap();
    }
    assert_eq!(found, fs::read_to_string(&path).unwrap_or_default());
}

#[test]
fn each_form_says_the_same() {
    let (json, _, _) = said(
        isobath(&["ingress-nginx", "--output", "json"])
            .output()
            .unwrap(),
    );
    let json: Value = serde_json::from_str(&json).unwrap();
    let ingresses = json["ingresses"].as_array().unwrap();
    assert!(ingresses.len() >= 30, "{}", ingresses.len());
    let (html, _, _) = said(
        isobath(&["ingress-nginx", "--output", "html"])
            .output()
            .unwrap(),
    );
    let mut total = 0;
    for ingress in ingresses {
        let name = ingress["name"].as_str().unwrap();
        assert!(html.contains(&format!("<h2>Ingress {name} (")), "{name}");
        let lines = ingress["annotations"].as_array().unwrap();
        total += lines.len();
        for line in lines {
            let what = line["annotation"].as_str().unwrap();
            assert!(html.contains(&format!("<code>{what}</code>")), "{what}");
        }
    }
    let totals = json["totals"].as_object().unwrap();
    let sum: u64 = totals.values().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(sum, total as u64);
    for tag in ["table", "tr", "td", "h2", "code"] {
        let opened =
            html.matches(&format!("<{tag}>")).count() + html.matches(&format!("<{tag} ")).count();
        assert_eq!(opened, html.matches(&format!("</{tag}>")).count(), "{tag}");
    }
    assert!(!html.contains("<script") && !html.contains("src="));
}

/// Of ingress-nginx's own ConfigMap it is told what each key comes to, and which flag stands in its place.
#[test]
fn keys_of_the_config_map_are_told() {
    let list = r#"{"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "controller", "namespace": "ingress-nginx"},
         "data": {"proxy-body-size": "8m", "use-forwarded-headers": "true", "worker-processes": "4", "hsts-max-age": "x",
          "block-user-agents": "~*bot"}},
        {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "a", "namespace": "n"},
         "spec": {"ingressClassName": "nginx", "defaultBackend": {"service": {"name": "s", "port": {"number": 80}}}}}]}"#;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("list.json");
    fs::write(&path, list).unwrap();
    let path = path.display().to_string();
    let named = |name: &str| {
        let arguments = [&*path, "--nginx-configmap", name, "--output", "json"];
        let (out, err, code) = said(isobath(&arguments).output().unwrap());
        assert_eq!((err.as_str(), code), ("", 3));
        let json: Value = serde_json::from_str(&out).unwrap();
        let lines = json["configMap"]["annotations"].as_array().unwrap();
        let line = |it: &Value| format!("{} {}", it["annotation"], it["verdict"]).replace('"', "");
        (lines.iter().map(line).collect::<Vec<_>>(), out)
    };
    let (lines, out) = named("ingress-nginx/controller");
    assert_eq!(
        lines,
        [
            "block-user-agents closed",
            "hsts-max-age differs",
            "use-forwarded-headers differs",
            "worker-processes withoutEffect",
            "proxy-body-size same",
        ]
    );
    assert!(out.contains("use --envoy-trusted-hops"), "{out}");
    assert_eq!(named("ingress-nginx/other").0, ["data closed"]);
}

/// What files lack may be there in the cluster; what is there and can't be used is as bad there.
#[test]
fn a_secret_that_is_there_is_not_missing() {
    let report = |secrets: &str| {
        let list = format!(
            r#"{{"apiVersion": "v1", "kind": "List", "items": [
            {{"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {{"name": "a", "namespace": "n",
             "annotations": {{"nginx.ingress.kubernetes.io/auth-tls-secret": "n/ca", "nginx.ingress.kubernetes.io/proxy-ssl-secret": "n/ca"}}}},
             "spec": {{"ingressClassName": "nginx", "tls": [{{"hosts": ["a.test"], "secretName": "web"}}],
              "rules": [{{"host": "a.test", "http": {{"paths": [{{"path": "/", "pathType": "Prefix",
               "backend": {{"service": {{"name": "s", "port": {{"number": 80}}}}}}}}]}}}}]}}}}{secrets}]}}"#
        );
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list.json");
        fs::write(&path, list).unwrap();
        let path = path.display().to_string();
        let (out, err, code) = said(isobath(&[&path, "--output", "json"]).output().unwrap());
        assert_eq!(err, "");
        let json: Value = serde_json::from_str(&out).unwrap();
        let lines = json["ingresses"][0]["annotations"].as_array().unwrap();
        let of = |name: &str| {
            let line = lines
                .iter()
                .find(|line| line["annotation"] == name)
                .unwrap();
            line["verdict"].as_str().unwrap().to_owned()
        };
        (of("auth-tls-secret"), of("proxy-ssl-secret"), code)
    };
    let words = |auth: &str, proxy: &str, code| (auth.to_owned(), proxy.to_owned(), code);
    assert_eq!(report(""), words("differs", "same", 0));
    let secret = |data: &str| {
        format!(
            r#", {{"apiVersion": "v1", "kind": "Secret", "metadata": {{"name": "ca", "namespace": "n"}}, "data": {data}}}"#
        )
    };
    for data in [r#"{"other": "eA=="}"#, r#"{"ca.crt": "eA=="}"#, "{}"] {
        assert_eq!(
            report(&secret(data)),
            words("closed", "closed", 3),
            "{data}"
        );
    }
}

/// What is read may be a list on standard input; what is none of theirs is no report.
#[test]
fn what_is_read_is_theirs() {
    let list = r#"{"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": "public"},
         "spec": {"controller": "k8s.io/ingress-nginx"}},
        {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "a", "namespace": "n",
         "annotations": {"nginx.ingress.kubernetes.io/app-root": "/x", "nginx.ingress.kubernetes.io/proxy-read-timeout": "5s"}},
         "spec": {"ingressClassName": "public", "defaultBackend": {"service": {"name": "s", "port": {"number": 80}}}}},
        {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "b", "namespace": "n"},
         "spec": {"ingressClassName": "other", "defaultBackend": {"service": {"name": "s", "port": {"number": 80}}}}}]}"#;
    let mut child = isobath(&["-", "--output", "json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(list.as_bytes())
        .unwrap();
    let (out, err, code) = said(child.wait_with_output().unwrap());
    assert_eq!((err.as_str(), code), ("", 0));
    let json: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(json["otherClasses"], 1);
    let lines = json["ingresses"][0]["annotations"].as_array().unwrap();
    let verdicts: Vec<&str> = lines
        .iter()
        .map(|it| it["verdict"].as_str().unwrap())
        .collect();
    assert_eq!(verdicts, ["differs", "same"], "{out}");
    for (arguments, expected) in [
        (&["nosuch"][..], "nosuch"),
        (&[][..], "needs a PATH"),
        (&["../../deploy/monitoring"][..], "no Ingress of a class"),
        (&["--config", "x"][..], "--config is for --from contour"),
        (&["--replay", "x"][..], "--old"),
    ] {
        let (_, err, code) = said(isobath(arguments).output().unwrap());
        assert_eq!(code, 2, "{arguments:?}");
        assert!(err.contains(expected), "{arguments:?}: {err}");
    }
}

/// Answers each request by its path, and keeps its first line and its Host.
fn server(answer: fn(&str) -> String) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let kept = asked.clone();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap());
            let (mut first, mut host) = (String::new(), String::new());
            lines.read_line(&mut first).unwrap();
            loop {
                let mut line = String::new();
                lines.read_line(&mut line).unwrap();
                if line.trim().is_empty() {
                    break;
                }
                if line.to_ascii_lowercase().starts_with("host:") {
                    host = line.trim().to_ascii_lowercase();
                }
            }
            let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
            kept.lock()
                .unwrap()
                .push(format!("{} {host}", first.trim()));
            stream.write_all(answer(&path).as_bytes()).unwrap();
            let _ = lines.get_mut().shutdown(std::net::Shutdown::Write);
            let _ = lines.read_to_end(&mut Vec::new());
        }
    });
    (address, asked)
}

fn plain(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}

fn old(path: &str) -> String {
    match path {
        "/moved" => plain(
            "308 Permanent Redirect",
            "location: https://a.test:443/x\r\n",
            "<html>nginx",
        ),
        "/gone?token=x1" => plain(
            "404 Not Found",
            "content-type: text/plain\r\n",
            "default backend",
        ),
        "/body" => plain("200 OK", "set-cookie: a=1; Path=/\r\n", "one"),
        _ => plain("200 OK", "", "same"),
    }
}

fn new(path: &str) -> String {
    match path {
        "/moved" => plain(
            "308 Permanent Redirect",
            "location: https://a.test/x\r\n",
            "",
        ),
        "/gone?token=x1" => plain(
            "503 Service Unavailable",
            "content-type: text/plain\r\n",
            "",
        ),
        "/body" => plain("200 OK", "set-cookie: b=1; Path=/\r\n", "two"),
        _ => plain("200 OK", "", "same"),
    }
}

#[test]
fn both_are_asked_the_same() {
    let ((old, asked_old), (new, asked_new)) = (server(old), server(new));
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("access.log");
    fs::write(
        &log,
        "# by hand\nhttp://a.test/same\nHEAD http://a.test/same\nPOST http://a.test/pay\nhttp://a.test/moved\n\
         http://a.test/same\nhttp://a.test/gone?token=x1\nnot a request at all\n\
         10.0.0.1 - - [30/Nov/2026:22:00:00 +0000] \"GET /body?x=1 HTTP/1.1\" 200 5 \"-\" \"-\"\n\
         10.0.0.1 - - [30/Nov/2026:22:00:00 +0000] \"GET /body HTTP/1.1\" 200 5 \"-\" \"-\"\n",
    )
    .unwrap();
    let [old, new] = [old, new].map(|address| format!("http://{address}"));
    let log = log.display().to_string();
    let arguments = [
        "--replay",
        &log,
        "--old",
        &old,
        "--new",
        &new,
        "--replay-host",
        "log.test",
        "--replay-rate",
        "1000",
        "--output",
        "json",
    ];
    let (out, err, code) = said(isobath(&arguments).output().unwrap());
    assert_eq!((err.as_str(), code), ("", 3));
    let json: Value = serde_json::from_str(&out).unwrap();
    let replay = &json["replay"];
    assert_eq!(
        (&replay["asked"], &replay["same"]),
        (&6.into(), &4.into()),
        "{out}"
    );
    let told = replay["differences"].to_string();
    for expected in ["404 → 503", "cookies: a → b", "3 bytes"] {
        assert!(told.contains(expected), "{expected}: {told}");
    }
    assert!(!told.contains("/moved"), "{told}");
    assert!(told.contains("/gone?…") && !told.contains("x1"), "{told}");
    let [old, new] = [asked_old, asked_new].map(|asked| asked.lock().unwrap().clone());
    assert_eq!(old, new);
    assert!(
        old.contains(&"GET /body HTTP/1.1 host: log.test".to_owned()),
        "{old:?}"
    );
    assert!(!old.iter().any(|line| line.contains("/pay")), "{old:?}");
}
