//! HTTPRoutes and GRPCRoutes that change under traffic over connections that are kept, and over new ones: back ends, weights, filters,
//! Secrets, listeners that come and go, and which route has a host. Services and Secrets are there only while a step names them.

use std::collections::BTreeSet;

use anyhow::ensure;
use serde_json::{Value, json};

use crate::support::backend::Backend;
use crate::support::certificate::Authority;
use crate::support::client::{Tls, Version};
use crate::support::eventually::eventually;
use crate::support::isobath::Isobath;
use crate::support::load::Load;
use crate::support::manifest::{Manifest, app};
use crate::support::stand::Stand;
use crate::{figures, rounds};

/// The hosts that change, each in its way.
const HOSTS: [&str; 5] = [
    "web.test",
    "shared.test",
    "covered.test",
    "joint.test",
    "calls.test",
];

/// What there is at one step.
#[derive(Clone, Debug)]
struct Form {
    what: &'static str,
    /// What `web.test` leads to.
    service: &'static str,
    filters: Value,
    secret: &'static str,
    /// Of `shared.test`.
    weights: [u32; 2],
    /// The hostnames of further listeners of the Gateway, each in clear and by TLS.
    listeners: &'static [&'static str],
    /// Whether `covered.test` has a route of its own beside the wildcard above it.
    is_exact: bool,
    /// Which of the two routes of `joint.test` are attached.
    joint: [bool; 2],
    /// Whether another Gateway asks for hosts of this one.
    has_rival: bool,
    /// What `calls.test` leads to.
    calls: &'static str,
    /// Further rules of it.
    rules: Vec<Value>,
}

fn to(service: &str) -> Value {
    json!([{"name": service, "port": 80}])
}

/// From step to step, each from what the one before it left.
fn forms() -> Vec<Form> {
    let first = Form {
        what: "as it was",
        service: "one",
        filters: json!([]),
        secret: "first",
        weights: [1, 0],
        listeners: &[],
        is_exact: false,
        joint: [true, true],
        has_rival: false,
        calls: "one",
        rules: Vec::new(),
    };
    let mut forms = vec![first];
    let mut then = |what, change: &dyn Fn(&mut Form)| {
        let mut form = forms.last().unwrap().clone();
        form.what = what;
        change(&mut form);
        forms.push(form);
    };
    let set = json!({"set": [{"name": "x-edition", "value": "7"}], "add": [{"name": "x-more", "value": "100%"}]});
    let request = json!({"type": "RequestHeaderModifier", "requestHeaderModifier": set});
    let response = json!({"type": "ResponseHeaderModifier", "responseHeaderModifier": set});
    let path = json!({"type": "ReplacePrefixMatch", "replacePrefixMatch": "/new"});
    let rewrite =
        json!({"type": "URLRewrite", "urlRewrite": {"hostname": "inside.test", "path": path}});
    let mirror = json!({"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "two", "port": 80}, "percent": 50}});
    let cors = json!({"type": "CORS", "cors": {"allowOrigins": ["https://*.test"], "maxAge": 9}});
    then("another Service", &|it| it.service = "two");
    then("another Secret", &|it| it.secret = "second");
    then("both as they were", &|it| {
        (it.service, it.secret) = ("one", "first");
    });
    then("a header of requests", &|it| it.filters = json!([request]));
    then("one of answers, and another path", &|it| {
        it.filters = json!([response, rewrite]);
    });
    then("a copy to another Service, and CORS", &|it| {
        it.filters = json!([mirror, cors]);
    });
    then("no filter", &|it| it.filters = json!([]));
    then("half of the requests", &|it| it.weights = [1, 1]);
    then("all of the requests", &|it| it.weights = [0, 3]);
    then("and back", &|it| it.weights = [1, 0]);
    then("a listener of the host", &|it| {
        it.listeners = &["covered.test"];
    });
    then("and a route of the host", &|it| it.is_exact = true);
    then("and others beside it", &|it| {
        it.listeners = &["covered.test", "*.test", "other.test"];
    });
    then("the route is gone", &|it| it.is_exact = false);
    then("the listeners are gone", &|it| it.listeners = &[]);
    then("a route alone", &|it| it.is_exact = true);
    then("and gone", &|it| it.is_exact = false);
    then("one of two is detached", &|it| it.joint = [false, true]);
    then("and attached", &|it| it.joint = [true, true]);
    then("the other one is detached", &|it| it.joint = [true, false]);
    then("one for the other at once", &|it| it.joint = [false, true]);
    then("and both", &|it| it.joint = [true, true]);
    then("another Gateway asks for the hosts", &|it| {
        it.has_rival = true;
    });
    then("and asks no more", &|it| it.has_rival = false);
    then("calls to another Service", &|it| it.calls = "two");
    then("a method more", &|it| {
        let of_method = json!({"method": {"service": "a.B", "method": "Get"}});
        let any = json!({"method": {"type": "RegularExpression", "service": "x.+"}});
        it.rules = vec![json!({"matches": [of_method, any], "backendRefs": to("one")})];
    });
    then("a filter of calls", &|it| {
        it.rules = vec![json!({"filters": [request, response], "backendRefs": to("one")})];
    });
    then("and calls as they were", &|it| {
        (it.calls, it.rules) = ("one", Vec::new());
    });
    then("all at once", &|it| {
        (it.service, it.secret, it.calls) = ("two", "second", "two");
        (it.weights, it.joint) = ([1, 2], [true, false]);
        (it.is_exact, it.has_rival) = (true, true);
        it.filters = json!([request, rewrite]);
        it.listeners = &["covered.test", "shared.test"];
    });
    then("and back", &|it| {
        (it.service, it.secret, it.calls) = ("one", "first", "one");
        (it.weights, it.joint) = ([1, 0], [true, true]);
        (it.is_exact, it.has_rival) = (false, false);
        it.filters = json!([]);
        it.listeners = &[];
    });
    forms
}

fn object(kind: &str, name: &str, spec: Value) -> Manifest {
    Manifest(json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": kind,
        "metadata": {"namespace": "default", "name": name, "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": spec,
    }))
}

/// A Gateway with listeners in clear and by TLS for each of these hostnames; the blank one is for every name.
fn gateway(name: &str, secret: &str, hostnames: &[&str]) -> Manifest {
    let of = |hostname: &str, protocol: &str, port: u16| {
        let name = match hostname {
            "" => "every".to_owned(),
            hostname => hostname.replace('*', "any"),
        };
        let name = format!("{}-{name}", protocol.to_lowercase());
        let mut listener = json!({"name": name, "protocol": protocol, "port": port});
        if !hostname.is_empty() {
            listener["hostname"] = hostname.into();
        }
        if protocol == "HTTPS" {
            listener["tls"] = json!({"certificateRefs": [{"name": secret}]});
        }
        listener
    };
    let listeners = hostnames.iter();
    let listeners: Vec<Value> = listeners
        .flat_map(|it| [of(it, "HTTP", 80), of(it, "HTTPS", 443)])
        .collect();
    let spec = json!({"gatewayClassName": "isobath", "listeners": listeners});
    object("Gateway", name, spec)
}

fn route(
    (kind, name): (&str, &str),
    hostname: &str,
    attached: bool,
    rules: Vec<Value>,
) -> Manifest {
    let parent = if attached { "edge" } else { "elsewhere" };
    let spec = json!({"parentRefs": [{"name": parent}], "hostnames": [hostname], "rules": rules});
    object(kind, name, spec)
}

/// What is there at one step, and whose back ends.
fn objects(step: usize, form: &Form, world: &World) -> Vec<Manifest> {
    let http = |name, hostname, attached, backends: Value, filters: &Value| {
        let rule = json!({"backendRefs": backends, "filters": filters});
        route(("HTTPRoute", name), hostname, attached, vec![rule])
    };
    let none = &json!([]);
    let [one, two] = form.weights;
    let weighted = json!([
        {"name": "one", "port": 80, "weight": one}, {"name": "two", "port": 80, "weight": two},
    ]);
    let mut calls = form.rules.clone();
    calls.push(json!({"backendRefs": to(form.calls)}));
    let class = json!({"controllerName": "isobath.dev/gateway-controller"});
    let mut all = vec![
        object("GatewayClass", "isobath", class),
        gateway("edge", form.secret, &[&[""], form.listeners].concat()),
        http("web", "web.test", true, to(form.service), &form.filters),
        http("shared", "shared.test", true, weighted, none),
        http("wide", "*.test", true, to("one"), none),
        http("joint-a", "joint.test", form.joint[0], to("one"), none),
        http("joint-b", "joint.test", form.joint[1], to("two"), none),
        route(("GRPCRoute", "calls"), "calls.test", true, calls),
    ];
    if form.is_exact {
        all.push(http("exact", "covered.test", true, to("two"), none));
    }
    if form.has_rival {
        let rival = gateway("rival", form.secret, &["web.test", "shared.test", ""]);
        all.push(rival.created("2026-02-01T00:00:00Z"));
    }
    // A host that is new with each step, and that no wildcard is above, tells when Envoy has taken all of it.
    let redirect = json!([{"type": "RequestRedirect", "requestRedirect": {"path": {"type": "ReplaceFullPath", "replaceFullPath": "/there"}}}]);
    let marker = format!("marker-{step}.example");
    all.push(http("marker", &marker, true, none.clone(), &redirect));
    let named = all.iter().map(|it| it.0.to_string()).collect::<String>();
    let is_named = |name: &str| named.contains(&format!("\"name\":\"{name}\""));
    let used = world.backends.iter().filter(|it| is_named(it.name()));
    for backend in used {
        all.extend(app(backend.name(), &[backend]));
    }
    let secrets = world.secrets.iter();
    let name = |secret: &Manifest| secret.0["metadata"]["name"].as_str().unwrap().to_owned();
    let used = secrets.filter(|it| is_named(&name(it)));
    all.extend(used.cloned());
    all
}

struct World {
    authority: Authority,
    backends: Vec<Backend>,
    /// Those that steps may name.
    secrets: Vec<Manifest>,
}

impl World {
    async fn start() -> Self {
        let authority = Authority::new();
        let names = [&HOSTS[..], &["*.test"]].concat();
        Self {
            backends: vec![Backend::start("one").await, Backend::start("two").await],
            secrets: ["first", "second"]
                .map(|name| authority.leaf(&names).secret(name))
                .into(),
            authority,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_change_under_traffic() {
    let world = World::start().await;
    let forms = forms();
    let mut isobath = Isobath::prepare(&[]);
    isobath.write("manifests.yaml", &objects(0, &forms[0], &world));
    isobath.restart().await;
    let mut stand = Stand::on(isobath).await;
    let mut targets = Vec::new();
    for host in HOSTS {
        let tls = Tls {
            trust: world.authority.trust(),
            ..Tls::sni(host)
        };
        let mut of_host = stand.https_traffic(host, &tls);
        of_host.extend(stand.http_traffic(host));
        for target in &mut of_host {
            if host == "calls.test" {
                target.path = "/a.B/Get".to_owned();
                target.headers = &[("content-type", "application/grpc")];
            }
        }
        targets.extend(of_host);
    }
    let load = Load::start(targets).await;
    let mut step = 0;
    let mut reached = BTreeSet::new();
    for _ in 0..rounds(1, 60) {
        for form in forms.iter().skip(1) {
            step += 1;
            stand
                .isobath
                .write("manifests.yaml", &objects(step, form, &world));
            let marker = format!("marker-{step}.example");
            eventually(form.what, async || {
                let answer = stand.get_tls(Version::H1, &marker, "/").await?;
                ensure!(answer.status == 302, "{}", answer.status);
                Ok(())
            })
            .await;
            load.more(300).await;
            let report = load.report();
            let failures = &report.failures;
            assert!(
                failures.is_empty(),
                "{}: {} of {} failed: {:#?}",
                form.what,
                failures.len(),
                report.requests,
                &failures[..failures.len().min(10)]
            );
            let expected = if form.is_exact { "two" } else { "one" };
            eventually(form.what, async || {
                let answer = stand.get("covered.test", "/").await?;
                ensure!(answer.backend() == expected, "{}", answer.backend());
                Ok(())
            })
            .await;
            reached.insert(expected);
        }
    }
    assert_eq!(reached.len(), 2);
    // Longer than what is gone is kept.
    load.more(2000).await;
    let report = load.stop().await;
    assert!(report.failures.is_empty(), "{:#?}", report.failures);
    figures("route moves", format!("{step} steps; {report}"));
    stand.isobath.process().assert_running();
}
