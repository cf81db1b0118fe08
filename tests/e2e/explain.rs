//! What `isobath explain` says of a request is what the real Envoy does: random Ingresses and HTTPProxies, and random requests
//! that are aimed at them, each asked of both. Compared are the status, the back end that answers with the path and the Host
//! that it saw, and where a redirect leads. And what the control plane that runs says of its Envoy. `ISOBATH_SOAK=1` takes more worlds; `ISOBATH_SEED` other ones.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::google::protobuf::Duration;
use http::Method;
use isobath::build::Builder;
use isobath::build::explain::{Answer, Question};
use isobath::cli::{self, Command};
use isobath::envoy::edge::Edge;
use isobath::envoy::request::{Request, split_host};
use isobath::sources::manifests::Inspection;
use prost::Message as _;
use serde_json::Value;

use crate::support::ads::CDS;
use crate::support::backend::{Backend, Echo};
use crate::support::certificate::Authority;
use crate::support::client::{Connection, Tls, Version};
use crate::support::eventually::eventually;
use crate::support::isobath::{BINARY, Isobath};
use crate::support::manifest::{service, site};
use crate::support::stand::{Stand, apps};
use crate::support::xds_proxy::XdsProxy;
use crate::worlds::{Draw, http_proxy, ingress, request};

/// What a client gets, in one line.
fn words(answer: &Answer, backends: &BTreeMap<SocketAddr, String>) -> Vec<String> {
    match answer {
        Answer::Closed(_) => vec!["closed".to_owned()],
        Answer::Envoy {
            status, location, ..
        } => vec![format!(
            "{status} {}",
            location.as_deref().unwrap_or_default()
        )],
        Answer::Backend {
            path,
            host,
            endpoints,
            ..
        } => endpoints
            .iter()
            .map(|at| format!("{} saw {} {path}", backends[at], host.as_deref().unwrap()))
            .collect(),
    }
}

async fn asked(stand: &Stand, request: &Request) -> String {
    let (name, _) = split_host(&request.host);
    let tls = Tls::sni(name.trim_end_matches('.'));
    let (address, tls) = match request.tls {
        true => (stand.isobath.https(), Some(&tls)),
        false => (stand.isobath.http(), None),
    };
    let Ok(mut connection) = Connection::open(address, Version::H1, tls).await else {
        return "closed".to_owned();
    };
    let headers: Vec<(&str, &str)> = request
        .headers
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    let method = Method::from_bytes(request.method.as_bytes()).unwrap();
    match connection
        .send(method, &request.host, &request.path, &headers)
        .await
    {
        Err(_) => "closed".to_owned(),
        Ok(answer) => match serde_json::from_slice::<Echo>(&answer.body) {
            Ok(echo) => format!("{} saw {} {}", echo.backend, echo.host, echo.path),
            Err(_) => format!("{} {}", answer.status, answer.header("location")),
        },
    }
}

/// The core as `isobath explain` makes it, and what holds for every request.
fn explaining(stand: &Stand) -> (Builder, Edge) {
    let folder = stand.isobath.manifests();
    let arguments = ["isobath", "explain", "http://a", "--manifests"].map(Into::into);
    let arguments = arguments.into_iter().chain([folder.as_os_str().to_owned()]);
    let Ok(cli) = cli::parse(arguments) else {
        panic!("flags")
    };
    let Command::Explain(args) = cli.command else {
        panic!("{:?}", cli.command)
    };
    let config = args.core.config(true);
    let edge = config.listeners.edge.clone();
    let mut builder = Builder::new(config);
    for event in Inspection::of(&folder).unwrap().events() {
        builder.apply(event);
    }
    builder.build();
    (builder, edge)
}

/// Asks so many requests of one world. Returns what differs, and what kinds of answers there were.
async fn world(seed: u64, requests: usize, kinds: &mut BTreeMap<String, usize>) -> Vec<String> {
    let mut draw = Draw::new(seed);
    let authority = Authority::new();
    let (backends, mut manifests): (Vec<Backend>, _) = apps(&["web", "api", "www"]).await;
    let names: BTreeMap<SocketAddr, String> = backends
        .iter()
        .map(|backend| (backend.address(), backend.name().to_owned()))
        .collect();
    manifests.push(service("empty"));
    let hosts = ["a.test", "b.test", "*.a.test", "*.test"];
    manifests.push(authority.leaf(&hosts).secret("cert"));
    manifests.push(authority.leaf(&hosts).secret("other"));
    manifests.extend((0..=draw.below(5)).map(|index| ingress(&mut draw, index)));
    manifests.extend((0..=draw.below(4)).map(|index| http_proxy(&mut draw, index)));
    let stand = Stand::start(&manifests).await;
    let (builder, edge) = explaining(&stand);
    let mut wrong = Vec::new();
    for _ in 0..requests {
        let request = request(&mut draw);
        let (name, _) = split_host(&request.host);
        let server_name = Some(name.trim_end_matches('.').to_owned()).filter(|_| request.tls);
        let question = Question {
            request: request.clone(),
            server_name,
            from: Some([127, 0, 0, 1].into()),
        };
        let told = builder.explain(&edge, &question);
        let wanted: BTreeSet<String> = told
            .answers
            .iter()
            .flat_map(|(_, answer)| words(answer, &names))
            .collect();
        let got = asked(&stand, &request).await;
        let kind = got.split(' ').next().unwrap().to_owned();
        *kinds.entry(kind).or_default() += 1;
        if !wanted.contains(&got) {
            let steps: Vec<String> = told
                .steps
                .iter()
                .map(|step| {
                    let object = step.source.as_ref().map(|source| source.object.to_string());
                    format!(
                        "{}: {} {}",
                        step.about,
                        step.says,
                        object.unwrap_or_default()
                    )
                })
                .collect();
            wrong.push(format!(
                "seed {seed}: {} {}://{}{} {:?}\n  said {wanted:?}, Envoy: {got}\n  {}",
                request.method,
                if request.tls { "https" } else { "http" },
                request.host,
                request.path,
                request.headers,
                steps.join("\n  "),
            ));
        }
    }
    if !wrong.is_empty() && std::env::var_os("ISOBATH_KEEP").is_some() {
        for manifest in &manifests {
            if manifest.0["kind"] != "Secret" {
                println!("{}", manifest.0);
            }
        }
    }
    wrong
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_is_true() {
    let (worlds, requests) = match std::env::var_os("ISOBATH_SOAK") {
        Some(_) => (200, 100),
        None => (12, 64),
    };
    let seed = std::env::var("ISOBATH_SEED").map_or(1, |seed| seed.parse().unwrap());
    let (mut wrong, mut kinds) = (Vec::new(), BTreeMap::new());
    for index in 0..worlds {
        wrong.extend(world(seed * 1_000 + index, requests, &mut kinds).await);
    }
    println!("{} pairs: {kinds:?}", worlds * requests as u64);
    assert!(
        wrong.is_empty(),
        "{} differences:\n{}",
        wrong.len(),
        wrong
            .iter()
            .take(12)
            .cloned()
            .collect::<Vec<_>>()
            .join("\n")
    );
    // What is not there is not compared: every kind of answer is.
    for kind in [
        "web", "api", "www", "301", "307", "400", "403", "404", "405", "421", "503", "closed",
    ] {
        assert!(kinds.contains_key(kind), "no answer is {kind}: {kinds:?}");
    }
}

/// What a command prints, what it says besides, and its exit code.
async fn command(arguments: &[&str]) -> (String, String, i32) {
    let output = tokio::process::Command::new(BINARY);
    let output = { output }.args(arguments).output().await.unwrap();
    let [out, said] = [output.stdout, output.stderr].map(|it| String::from_utf8(it).unwrap());
    (out, said, output.status.code().unwrap())
}

/// A cluster that Envoy refuses at decode.
fn spoil(type_url: &str, name: &str, bytes: Vec<u8>) -> Vec<u8> {
    if type_url != CDS || !name.contains("/bad/") {
        return bytes;
    }
    let mut cluster = Cluster::decode(&*bytes).unwrap();
    cluster.connect_timeout = Some(Duration {
        seconds: -1,
        nanos: 0,
    });
    cluster.encode_to_vec()
}

/// The control plane that runs says what manifests come to, and what its Envoy has of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_control_plane_that_runs_is_asked() {
    let (_backends, mut manifests) = apps(&["web", "bad"]).await;
    manifests.push(site("web", "web.test", "web:80"));
    manifests.push(site("bad", "bad.test", "bad:80"));
    let isobath = Isobath::start(&manifests).await;
    let admin = format!("http://{}", isobath.admin());
    let folder = isobath.manifests();
    let folder = folder.to_str().unwrap();
    let urls = ["http://web.test/a?b=c&d", "http://bad.test/"];
    let ask = async |arguments: &[&str]| {
        let arguments = [&["explain"], &urls[..], arguments].concat();
        command(&arguments).await
    };

    let (before, said, code) = ask(&["--admin", &admin]).await;
    assert_eq!((code, &*said), (0, ""), "{before}");
    assert!(
        before.contains("envoy    none is connected: nothing of this is served"),
        "{before}"
    );
    // A file for `isobath serve` may stand beside it: the source that it names is not asked then, and is where there is no other.
    let file = isobath.directory().join("serve.yaml");
    std::fs::write(&file, "manifests: /nowhere\ningress-class: isobath\n").unwrap();
    let file = file.to_str().unwrap();
    let beside = ask(&["--admin", &admin, "--config", file]).await;
    assert_eq!(beside, (before, String::new(), 0));
    let (_, said, code) = ask(&["--config", file]).await;
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("/nowhere"), "{said}");
    let proxy = XdsProxy::start(isobath.directory(), &isobath.xds());
    proxy.rewrite(spoil);
    let stand = Stand::behind(isobath, proxy.socket(), &[]).await;
    let settled = eventually("both are told of", async || {
        let (out, said, code) = ask(&["--admin", &admin]).await;
        match (code, &*said) {
            (0, "") if out.contains("has acknowledged it") && out.contains("what it refuses") => {
                Ok(out)
            }
            _ => Err(format!("{out}{said}")),
        }
    })
    .await;
    // All but what Envoy has is as by manifests.
    let (by_manifests, _, _) = ask(&["--manifests", folder]).await;
    let without = |text: &str| {
        let lines = text.lines().filter(|line| !line.contains("nvoy"));
        lines.collect::<Vec<_>>().join("\n")
    };
    let lines = |text: &str| {
        let manifests = format!(" ({folder}/");
        let lines = text
            .lines()
            .map(|line| line.split(&manifests).next().unwrap());
        lines.collect::<Vec<_>>().join("\n")
    };
    assert_eq!(without(&settled), without(&lines(&by_manifests)));
    let (web, bad) = settled.split_once("\n\n").unwrap();
    assert!(!web.contains("refuses"), "{web}");
    let refused = "refuses cds default/bad/80, and goes without: ";
    assert!(bad.contains(refused), "{bad}");

    let (out, _, _) = ask(&["--admin", &admin, "--output", "json"]).await;
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(told.as_array().unwrap().len(), 2, "{out}");
    for (told, refused) in told.as_array().unwrap().iter().zip([0, 1]) {
        let delivery = &told["delivery"];
        assert_eq!(delivery["streams"][0]["acknowledged"], delivery["snapshot"]);
        assert_eq!(
            delivery["refused"].as_array().unwrap().len(),
            refused,
            "{out}"
        );
    }
    stand.envoy.kill().await;
    drop(stand.isobath);
    let (_, said, code) = ask(&["--admin", &admin]).await;
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("can't ask the control plane at"), "{said}");
}
