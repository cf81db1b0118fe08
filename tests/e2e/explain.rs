//! What `isobath explain` says of a request is what the real Envoy does: random Ingresses and HTTPProxies, and random requests
//! that are aimed at them, each asked of both. Compared are the status, the back end that answers with the path and the Host
//! that it saw, and where a redirect leads. `ISOBATH_SOAK=1` takes more worlds; `ISOBATH_SEED` other ones.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use http::Method;
use isobath::build::Builder;
use isobath::build::explain::{Answer, Question};
use isobath::cli::{self, Command};
use isobath::envoy::edge::Edge;
use isobath::envoy::request::{Request, split_host};
use isobath::sources::manifests::Inspection;

use crate::support::backend::{Backend, Echo};
use crate::support::certificate::Authority;
use crate::support::client::{Connection, Tls, Version};
use crate::support::manifest::service;
use crate::support::stand::{Stand, apps};
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
        "web", "api", "www", "301", "307", "400", "404", "405", "421", "503", "closed",
    ] {
        assert!(kinds.contains_key(kind), "no answer is {kind}: {kinds:?}");
    }
}
