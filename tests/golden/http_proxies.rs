//! HTTPProxies as the model: what each host of the objects of a case comes to, a line a route, and what is wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use isobath::facts::{Changes, ClassSelection, Log, Store};
use isobath::model::{Claimable, Front, Host, RouteAction, VirtualHost};
use isobath::objects::http_proxy::{
    AuthorizationPolicy, AuthorizationServer, ExtensionServiceReference,
};
use isobath::objects::{Event, Kind, NamespacedName, ObjectRef};
use isobath::translate::{
    HostOwnership, HttpProxyOptions, Input, Languages, Memo, Options, cluster,
};
use serde_json::Value;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/http_proxies")
}

/// What the operator says.
fn options_of(flags: &Value) -> Options {
    let name = |flag: &str| {
        let (namespace, name) = flags[flag].as_str()?.split_once('/').unwrap();
        Some(NamespacedName::new(namespace, name))
    };
    let asked = name("global-ext-auth-extension").map(|extension| AuthorizationServer {
        extension_ref: ExtensionServiceReference {
            api_version: Arc::default(),
            namespace: extension.namespace,
            name: extension.name,
        },
        auth_policy: flags["global-ext-auth-disabled"].as_bool().map(|disabled| {
            AuthorizationPolicy {
                disabled,
                ..AuthorizationPolicy::default()
            }
        }),
        response_timeout: Arc::default(),
        fail_open: false,
        with_request_body: None,
    });
    Options {
        host_ownership: match flags["host-ownership"].as_str() {
            Some("namespace") => HostOwnership::Namespace,
            _ => HostOwnership::Shared,
        },
        http_proxy: Arc::new(HttpProxyOptions {
            fallback_certificate: name("tls-fallback-certificate"),
            global_authorization: asked,
            ..HttpProxyOptions::default()
        }),
        ..Options::default()
    }
}

/// What the objects of a file come to.
fn translated(text: &str) -> String {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
    let mut store = Store::new(ClassSelection {
        names: Default::default(),
        manifests: true,
    });
    let mut changes = Changes::unread();
    let mut options = Options::default();
    for document in &documents {
        if let Some(flags) = document.get("flags") {
            options = options_of(flags);
            continue;
        }
        let object = crate::object(document);
        store.apply(Event::Apply(object), &mut changes);
    }
    let (memo, log) = (Memo::default(), Log::default());
    let languages = Languages::default();
    let objects: BTreeSet<ObjectRef> = changes.objects.iter().cloned().collect();
    let proxies = objects.iter().filter(|it| it.kind == Kind::HttpProxy);
    let mut hosts: BTreeSet<Host> = store.hosts().cloned().collect();
    for proxy in proxies {
        let input = Input::new(&store, &options, &memo, &log);
        let claims = languages.claims(input, proxy);
        hosts.extend(claims.iter().filter_map(|claim| match claim {
            Claimable::Host(_, host) => Some(host.clone()),
            Claimable::Listener(_) | Claimable::Attached(..) | Claimable::Reached(..) => None,
        }));
        store.claim(proxy, claims, &mut changes);
    }
    let input = Input::new(&store, &options, &memo, &log);
    let mut text = String::new();
    let (mut clusters, mut problems) = (BTreeMap::new(), BTreeSet::new());
    for host in &hosts {
        let unit = languages.host(input, &Front::Fleet, host);
        if let Some(http) = &unit.http {
            virtual_host(&mut text, "http", http);
        }
        if let Some(https) = &unit.https {
            virtual_host(
                &mut text,
                &format!("https with {}", https.server.name),
                &https.virtual_host,
            );
        }
        if let Some(passthrough) = &unit.passthrough {
            let _ = writeln!(text, "passthrough {host}: {:?}", passthrough.forwarding);
        }
        if let Some(tcp) = &unit.tcp {
            let (server, to) = (tcp.server.server(), tcp.server.forwarding());
            let _ = writeln!(text, "tcp {host} with {}: {to:?}", server.name);
        }
        if let Some(addresses) = &unit.addresses {
            let _ = writeln!(text, "from {addresses:?}");
        }
        if unit.is_closed {
            let _ = writeln!(text, "closed {host}");
        }
        for reached in &unit.reached {
            let _ = writeln!(text, "through {reached}");
        }
        clusters.extend(unit.clusters);
        problems.extend(unit.problems);
    }
    for (name, source) in &clusters {
        let made = cluster(input, source).unwrap();
        assert_eq!(made.name, *name);
        let _ = writeln!(text, "cluster {name}");
    }
    for object in &objects {
        problems.extend(languages.object_problems(input, object));
    }
    for problem in problems {
        let condition = problem
            .condition
            .map_or(problem.reason.to_owned(), |condition| {
                let warning = if condition.is_warning { " warning" } else { "" };
                format!("{}/{}{warning}", condition.condition_type, problem.reason)
            });
        let field = store.path(&problem.source).unwrap_or_default();
        let object = &problem.source.object;
        let _ = writeln!(text, "{object} {field} {condition}: {}", problem.message);
    }
    text
}

pub(crate) fn virtual_host(text: &mut String, listener: &str, host: &VirtualHost) {
    let _ = writeln!(text, "{listener} {}", host.host);
    if let Some(filters) = &host.filters {
        let _ = writeln!(text, "  all: {filters:?}");
    }
    if let Some(check) = &host.client_check {
        let _ = writeln!(text, "  checked: {check:?}");
    }
    let mut whole = String::new();
    std::mem::swap(text, &mut whole);
    for route in &host.routes {
        let _ = writeln!(text, "  {:?}", route.matches.path);
        if let Some(conditions) = &route.matches.conditions {
            let _ = writeln!(text, "    if {conditions:?}");
        }
        let _ = match &route.action {
            RouteAction::Forward(forward) => writeln!(text, "    {forward:?}"),
            other => writeln!(text, "    {other:?}"),
        };
        for (what, headers) in [
            ("request", &route.request_headers),
            ("response", &route.response_headers),
        ] {
            if *headers != isobath::model::HeaderModifier::default() {
                let _ = writeln!(text, "    {what}: {headers:?}");
            }
        }
        if let Some(filters) = &route.filters {
            let _ = writeln!(text, "    {filters:?}");
        }
    }
    whole.push_str(&said(text));
    *text = whole;
}

/// Without the fields that say nothing.
fn said(text: &str) -> String {
    let says_nothing = |field: &&str| {
        [": None", ": []", ": {}", ": false", ": JwtProviders({})"]
            .iter()
            .any(|end| field.ends_with(end) && !field.contains('(') || field.ends_with(": None"))
    };
    let line = |line: &str| {
        let mut fields = line.split(", ");
        let first = fields.next().unwrap_or_default().to_owned();
        let said = fields.filter(|field| !says_nothing(field));
        said.fold(first, |line, field| format!("{line}, {field}"))
    };
    text.lines().map(|it| line(it) + "\n").collect()
}

fn check(case: &Path) {
    let got = translated(&fs::read_to_string(case).unwrap());
    let output = case.with_extension("txt");
    if crate::golden::updates() {
        fs::write(&output, got).unwrap();
        return;
    }
    let want = fs::read_to_string(&output).unwrap_or_default();
    let name: Arc<str> = case.display().to_string().into();
    assert!(
        got == want,
        "{name}: not what the objects come to now:\n{got}\n(UPDATE_GOLDEN=1 writes it)"
    );
}

#[test]
fn http_proxies_come_to_the_stated_model() {
    let files = fs::read_dir(folder()).unwrap();
    let files = files.map(|file| file.unwrap().path());
    let (cases, results): (BTreeSet<PathBuf>, BTreeSet<PathBuf>) =
        files.partition(|path| path.extension().is_some_and(|found| found == "yaml"));
    assert!(cases.len() >= 5);
    for case in &cases {
        check(case);
    }
    let without: Vec<_> = results
        .iter()
        .filter(|result| !cases.contains(&result.with_extension("yaml")))
        .collect();
    assert!(without.is_empty(), "no case has these: {without:?}");
}
