//! The model as text: one line a route, in the order in which routes are tried.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use isobath::facts::{Changes, Store};
use isobath::model::*;
use isobath::translate::{self, ClusterSource, Input};

/// All units that the objects come to, then all problems.
pub fn everything(store: &Store, input: Input<'_>, changes: &Changes) -> String {
    let mut text = String::new();
    let mut clusters: BTreeMap<_, ClusterSource> = BTreeMap::new();
    let mut problems = BTreeSet::new();
    for host in store.hosts() {
        let unit = translate::host(input, host);
        if let Some(http) = &unit.http {
            let _ = writeln!(text, "http {}", http.host);
            routes(&mut text, http);
        }
        if let Some(https) = &unit.https {
            let settings = https.server.parameters.versions;
            let _ = write!(
                text,
                "https {} with {}",
                https.virtual_host.host,
                https.server.certificates.join(" and ")
            );
            if settings != TlsSettings::default() {
                let _ = write!(
                    text,
                    ", TLS {:?} to {:?}",
                    settings.minimum, settings.maximum
                );
            }
            text.push('\n');
            routes(&mut text, &https.virtual_host);
        }
        if unit.is_closed {
            let _ = writeln!(text, "https {host} closed");
        }
        clusters.extend(unit.clusters);
        problems.extend(unit.problems);
    }
    for (name, backend) in &clusters {
        let cluster = translate::cluster(input, backend).expect("a cluster that is named exists");
        assert_eq!(cluster.name, *name);
        let _ = write!(text, "cluster {name}: {:?}", cluster.settings.protocol);
        if let Some(idle) = cluster.settings.idle_timeout {
            let _ = write!(text, ", idle {idle:?}");
        }
        match &cluster.discovery {
            Discovery::Dns { hostname, port } => {
                let _ = write!(text, ", DNS {hostname}:{port}");
            }
            Discovery::Socket(_) => panic!("an Ingress that names a socket"),
            Discovery::Endpoints => {
                let (assignment, found) = translate::endpoints(input, name, backend);
                problems.extend(found);
                for (zone, endpoints) in &assignment.localities {
                    for endpoint in endpoints {
                        let zone = if zone.is_empty() {
                            String::new()
                        } else {
                            format!(" in {zone}")
                        };
                        let _ = write!(text, ", {}:{}{zone}", endpoint.ip, endpoint.port);
                    }
                }
            }
        }
        text.push('\n');
    }
    for object in &changes.objects {
        problems.extend(translate::Languages::default().object_problems(input, object));
    }
    // The same words of several fields are one problem to its reader.
    let lines: Vec<String> = problems
        .iter()
        .map(|problem| {
            let object = &problem.source.object;
            format!("problem {object} {}: {}\n", problem.reason, problem.message)
        })
        .collect();
    let mut lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    lines.dedup();
    text.extend(lines);
    text
}

fn routes(text: &mut String, host: &VirtualHost) {
    for route in &host.routes {
        let _ = match &route.matches.path {
            PathMatch::Exact(path) => write!(text, "  exact {path}"),
            PathMatch::Regex(path) => write!(text, "  regex {}", path.as_str()),
            PathMatch::RegexPrefix(path) => write!(text, "  regex prefix {}", path.as_str()),
            PathMatch::PathPrefix(path) => write!(text, "  prefix {path}"),
            PathMatch::StringPrefix(path) => write!(text, "  string prefix {path}"),
            PathMatch::Connect => write!(text, "  tunnels"),
        };
        let _ = match route.matches.scheme {
            None => Ok(()),
            Some(Scheme::Http) => write!(text, " if http"),
            Some(Scheme::Https) => write!(text, " if https"),
        };
        let _ = match &route.action {
            RouteAction::Forward(forward) => write!(text, " -> {}", forwarded(forward)),
            RouteAction::Redirect(redirect) => {
                write!(text, " -> redirect {}", redirected(redirect))
            }
            RouteAction::DirectResponse(answer) => write!(text, " -> {}", answer.status()),
        };
        for (name, modifier) in [
            ("request", &route.request_headers),
            ("response", &route.response_headers),
        ] {
            for (header, value) in &modifier.set {
                let _ = write!(text, ", set {name} {header}={value}");
            }
            for header in &modifier.remove {
                let _ = write!(text, ", remove {name} {header}");
            }
        }
        text.push('\n');
    }
}

fn forwarded(forward: &Forward) -> String {
    let names: Vec<&str> = forward
        .backends
        .iter()
        .map(|backend| &*backend.cluster)
        .collect();
    let mut text = if names.is_empty() {
        "503".to_owned()
    } else {
        names.join(" ")
    };
    match &forward.rewrite {
        Some(PathRewrite::ReplacePrefix(prefix)) => {
            write!(text, ", prefix becomes {prefix}").unwrap()
        }
        Some(PathRewrite::ReplaceFullPath(path)) => write!(text, ", path becomes {path}").unwrap(),
        Some(PathRewrite::ReplaceMatches(within)) => {
            let (pattern, to) = (within.pattern().as_str(), within.replacement());
            write!(text, ", {pattern} becomes {to}").unwrap()
        }
        None => {}
    }
    if let Some(timeout) = forward.timeout {
        write!(text, ", timeout {timeout:?}").unwrap();
    }
    if let Some(retry) = &forward.retry {
        write!(
            text,
            ", {} retries on {}",
            retry.num_retries,
            retry.retry_on.join(",")
        )
        .unwrap();
        if let Some(timeout) = retry.per_try_timeout {
            write!(text, " with {timeout:?} each").unwrap();
        }
    }
    let options = forward.options.as_deref();
    if options.is_some_and(|it| it.hash_policies == [HashPolicy::only(HashKey::SourceIp)]) {
        text.push_str(", by source address");
    }
    text
}

fn redirected(redirect: &Redirect) -> String {
    let mut text = redirect.status.to_string();
    if let Some(scheme) = redirect.scheme {
        write!(text, " {scheme}://").unwrap();
    }
    if let Some(hostname) = &redirect.hostname {
        text.push_str(hostname);
    }
    if let Some(port) = redirect.port {
        write!(text, ":{port}").unwrap();
    }
    if let Some(PathRewrite::ReplaceFullPath(path) | PathRewrite::ReplacePrefix(path)) =
        &redirect.path
    {
        write!(text, " {path}").unwrap();
    }
    text
}
