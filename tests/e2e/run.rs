//! `isobath run`: what a newcomer types first. No cluster, no configuration, a real Envoy as child.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::support::backend::Backend;
use crate::support::client::{self, Answer, Connection, Tls, Version};
use crate::support::envoy;
use crate::support::eventually::eventually;
use crate::support::isobath::BINARY;
use crate::support::manifest::{self, Manifest, ingress, service, site};
use crate::support::port::Port;
use crate::support::process::Process;
use crate::support::script;

/// A running `isobath run`.
struct Run {
    process: Process,
    http: Port,
    https: Port,
    _stats: Port,
    // Gone after the process.
    _directory: TempDir,
}

impl Run {
    /// Starts it with real Envoy, and does not wait.
    fn start(arguments: &[&str]) -> Self {
        Self::with_envoy(&envoy::binary(), arguments)
    }

    fn with_envoy(envoy: &Path, arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (http, https, stats) = (Port::take(), Port::take(), Port::take());
        let mut command = Command::new(BINARY);
        command
            .arg("run")
            .args(arguments)
            .arg("--envoy")
            .arg(envoy)
            .args(["--envoy-http-address", &http.address().to_string()])
            .args(["--envoy-https-address", &https.address().to_string()])
            .args(["--envoy-stats-address", &stats.address().to_string()]);
        let process = Process::start(
            "isobath run",
            &mut command,
            &directory.path().join("output"),
        );
        Self {
            process,
            http,
            https,
            _stats: stats,
            _directory: directory,
        }
    }

    /// Waits until this is in its output.
    async fn says(&mut self, text: &str) -> String {
        eventually(&format!("it says {text:?}"), async || {
            let output = self.process.output();
            if !output.contains(text) {
                self.process.assert_running();
                anyhow::bail!("{output}");
            }
            Ok(output)
        })
        .await
    }

    /// The URLs of its curl lines.
    async fn curl_urls(&mut self) -> Vec<String> {
        let output = self.says("curl ").await;
        let lines = output.lines().filter(|line| line.contains("curl "));
        lines
            .map(|line| {
                let words = line.split(|c: char| c.is_whitespace() || "'\"".contains(c));
                let url = words.into_iter().find(|word| word.starts_with("http"));
                url.unwrap_or_else(|| panic!("no URL: {line}")).to_owned()
            })
            .collect()
    }

    /// The process ids of its children.
    fn children(&self) -> Vec<Pid> {
        let parent = self.process.pid();
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.map(Pid::from_raw)
            .filter(|pid| {
                // The name, in parentheses, may hold anything; the state and the parent follow it.
                let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
                let after = stat.rsplit(") ").next().unwrap_or_default();
                let word = after.split(' ').nth(1).and_then(|word| word.parse().ok());
                word == Some(parent.as_raw())
            })
            .collect()
    }

    /// Waits until it has exactly one child, and that is Envoy.
    async fn envoy(&mut self) -> Pid {
        eventually("Envoy runs", async || {
            self.process.assert_running();
            let [child] = self.children()[..] else {
                anyhow::bail!("{:?}", self.children());
            };
            let program = fs::read_link(format!("/proc/{child}/exe"))?;
            ensure!(program == fs::canonicalize(envoy::binary())?, "{program:?}");
            Ok(child)
        })
        .await
    }
}

/// Sends the request that a URL stands for; `*.localhost` is 127.0.0.1.
async fn follow(url: &str) -> Result<Answer> {
    let url: http::Uri = url.parse()?;
    let authority = url.authority().context("no host")?;
    ensure!(authority.host().ends_with("localhost"), "{url}");
    let is_tls = url.scheme_str() == Some("https");
    let port = authority.port_u16().context("no port")?;
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let tls = is_tls.then(|| Tls::sni(authority.host()));
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    client::get(address, Version::H1, tls.as_ref(), authority.as_str(), path).await
}

/// Waits until a plain request to the run's Envoy is answered 200, and returns the answer.
async fn served(run: &Run, host: &str) -> Answer {
    eventually(&format!("{host} is served"), async || {
        let answer = client::get(run.http.address(), Version::H1, None, host, "/").await?;
        ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
        Ok(answer)
    })
    .await
}

fn write(directory: &Path, file: &str, manifests: &[Manifest]) {
    fs::write(directory.join(file), manifest::text(manifests)).unwrap();
}

async fn is_gone(pid: Pid) {
    eventually("Envoy is gone", async || {
        let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let is_zombie = state
            .rsplit(") ")
            .next()
            .is_some_and(|rest| rest.starts_with('Z'));
        ensure!(state.is_empty() || is_zombie, "{state}");
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_prints_requests_that_work_and_ctrl_c_ends_it() {
    let mut run = Run::start(&[]);
    let urls = run.curl_urls().await;
    assert!(
        urls.iter().any(|url| url.starts_with("http://")),
        "{urls:?}"
    );
    assert!(
        urls.iter().any(|url| url.starts_with("https://")),
        "{urls:?}"
    );
    for url in &urls {
        // When it prints them they work: no patience here.
        let answer = follow(url).await.unwrap();
        assert_eq!(answer.status, 200, "{url}: {}", answer.text());
    }
    let envoy = run.envoy().await;
    // A Ctrl-C reaches it alone: Envoy has a process group of its own.
    run.process.signal(Signal::SIGINT);
    let status = run.process.end().await;
    assert_eq!(status.code(), Some(0));
    is_gone(envoy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_stood_in_for_and_a_saved_file_is_served() {
    let manifests = tempfile::tempdir().unwrap();
    let own = Backend::start("own").await;
    let sealed = site("sealed", "sealed.localhost", "echo:80").tls(&[], "missing");
    write(
        manifests.path(),
        "all.yaml",
        &[
            service("echo"),
            service("web"),
            site("web", "web.localhost", "web:80"),
            sealed,
        ],
    );
    let directory = manifests.path().to_str().unwrap();
    let backend = format!("default/web:80={}", own.address());
    let mut run = Run::start(&[directory, "--backend", &backend]);
    let urls = run.curl_urls().await;
    assert!(
        urls.iter().any(|url| url.contains("sealed.localhost")),
        "{urls:?}"
    );

    // `--backend` instead of the echo backend, which every other Service has.
    assert_eq!(served(&run, "web.localhost").await.backend(), "own");
    let echo: serde_json::Value =
        serde_json::from_slice(&served(&run, "sealed.localhost").await.body).unwrap();
    assert!(echo.is_object(), "{echo}");

    // On the other port, which a redirect names.
    let forced = site("forced", "forced.localhost", "web:80")
        .annotate("ingress.kubernetes.io/force-ssl-redirect", "true")
        .tls(&[], "forced");
    write(manifests.path(), "forced.yaml", &[forced]);
    let http = run.http.address();
    let host = format!("forced.localhost:{}", http.port());
    let location = format!("https://forced.localhost:{}/x", run.https.address().port());
    eventually("a redirect leads to the port of HTTPS", async || {
        let answer = client::get(http, Version::H1, None, &host, "/x").await?;
        ensure!(answer.header("location") == location, "{answer:?}");
        Ok(())
    })
    .await;

    // A certificate for the host, announced.
    let output = run.process.output();
    assert!(
        output.contains("missing") && output.contains("certificate"),
        "{output}"
    );
    let tls = Tls::sni("sealed.localhost");
    let address = run.https.address();
    let mut connection = Connection::open(address, Version::H2, Some(&tls))
        .await
        .unwrap();
    assert_eq!(
        connection
            .get("sealed.localhost", "/")
            .await
            .unwrap()
            .status,
        200
    );
    let der = connection.certificate().unwrap();
    let (_, certificate) = x509_parser::parse_x509_certificate(der).unwrap();
    let names = certificate.subject_alternative_name().unwrap().unwrap();
    assert!(format!("{:?}", names.value).contains("sealed.localhost"));

    // Saved is served, and told.
    write(
        manifests.path(),
        "more.yaml",
        &[site("more", "more.localhost", "web:80")],
    );
    assert_eq!(served(&run, "more.localhost").await.backend(), "own");
    run.says("more.localhost").await;
    // Who asks for a host that nobody names is told which there are, as long as no Ingress is for all hosts.
    let nobody = || {
        client::get(
            run.http.address(),
            Version::H1,
            None,
            "nobody.localhost",
            "/",
        )
    };
    let answer = nobody().await.unwrap();
    assert_eq!(answer.status, 404);
    let text = answer.text();
    assert!(text.contains("the host nobody.localhost"), "{text}");
    assert!(text.contains("http://more.localhost:"), "{text}");
    let every = ingress("every").default_backend("web:80");
    write(manifests.path(), "every.yaml", &[every]);
    eventually("every host has a back end", async || {
        let answer = nobody().await?;
        ensure!(answer.status == 200, "{}", answer.status);
        Ok(())
    })
    .await;
    // A file that is wrong is named, and the rest goes on.
    fs::write(manifests.path().join("wrong.yaml"), "a: [\n").unwrap();
    run.says("wrong.yaml").await;
    assert_eq!(served(&run, "more.localhost").await.backend(), "own");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_envoy_that_dies_ends_it_with_its_last_words() {
    let mut run = Run::start(&[]);
    run.curl_urls().await;
    let envoy = run.envoy().await;
    kill(envoy, Signal::SIGKILL).unwrap();
    let status = run.process.end().await;
    assert_eq!(status.code(), Some(1));
    assert!(run.process.output().contains("Envoy ended"));

    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("envoy");
    script::write(&script, "#!/bin/sh\necho 'my last words' >&2\nexit 3\n");
    let mut run = Run::with_envoy(&script, &[]);
    let status = run.process.end().await;
    assert_eq!(status.code(), Some(1));
    assert!(run.process.output().contains("my last words"));
}

/// However it ends, Envoy ends with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_kill_takes_envoy_along() {
    let mut run = Run::start(&[]);
    run.curl_urls().await;
    let envoy = run.envoy().await;
    run.process.signal(Signal::SIGKILL);
    run.process.end().await;
    is_gone(envoy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_can_put_right_is_one_sentence() {
    let mut no_envoy = Run::with_envoy(Path::new("/does/not/exist"), &[]);
    assert_eq!(no_envoy.process.end().await.code(), Some(2));
    let output = no_envoy.process.output();
    assert_eq!(output.lines().count(), 1, "{output}");
    assert!(output.contains("/does/not/exist"), "{output}");

    let mut no_directory = Run::start(&["/does/not/exist"]);
    assert_eq!(no_directory.process.end().await.code(), Some(2));
    let output = no_directory.process.output();
    assert!(output.contains("/does/not/exist"), "{output}");

    let manifests = tempfile::tempdir().unwrap();
    fs::write(
        manifests.path().join("wrong.yaml"),
        "kind: Ingress\n  a: [\n",
    )
    .unwrap();
    let mut wrong_file = Run::start(&[manifests.path().to_str().unwrap()]);
    assert_eq!(wrong_file.process.end().await.code(), Some(2));
    let output = wrong_file.process.output();
    // File and line, as compilers name them.
    assert!(output.contains("wrong.yaml:"), "{output}");
}

/// A Gateway that asks for no address is on the same ports as Ingresses, beside them, with a certificate where its Secret is missing.
#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_shares_the_ports_of_ingresses() {
    const GATEWAY: &str = r#"
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: isobath}
spec: {controllerName: isobath.dev/gateway-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  gatewayClassName: isobath
  listeners:
    - {name: web, port: 80, protocol: HTTP}
    - {name: secure, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: missing}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: routed}
spec:
  parentRefs: [{name: edge, sectionName: secure}]
  hostnames: [routed.localhost]
  rules: [{backendRefs: [{name: web, port: 80}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: redirect}
spec:
  parentRefs: [{name: edge, sectionName: web}]
  hostnames: [routed.localhost]
  rules: [{filters: [{type: RequestRedirect, requestRedirect: {scheme: https, statusCode: 301}}]}]
"#;
    let manifests = tempfile::tempdir().unwrap();
    let path = manifests.path();
    fs::write(path.join("gateway.yaml"), GATEWAY).unwrap();
    let ingress = site("web", "web.localhost", "web:80");
    write(path, "ingress.yaml", &[service("web"), ingress]);
    let mut run = Run::start(&[path.to_str().unwrap()]);
    let urls = run.curl_urls().await;
    for host in ["routed.localhost", "web.localhost"] {
        assert!(urls.iter().any(|url| url.contains(host)), "{urls:?}");
    }
    for url in &urls {
        let answer = follow(url).await.unwrap();
        assert_eq!(answer.status, 200, "{url}: {}", answer.text());
    }
    let http = run.http.address();
    let host = format!("routed.localhost:{}", http.port());
    let answer = client::get(http, Version::H1, None, &host, "/x").await;
    let location = format!("https://routed.localhost:{}/x", run.https.address().port());
    assert!(answer.unwrap().header("location") == location);
}
