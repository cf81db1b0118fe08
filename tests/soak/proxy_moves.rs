//! HTTPProxies that change under traffic over connections that are kept, and over new ones: Secret, Service, versions of TLS, what
//! clients have to show, conditions, weights, which child is included, and whether it is an HTTPProxy or an Ingress that has the host.
//! Services and Secrets are there only while a step names them.

use std::collections::BTreeSet;

use anyhow::ensure;
use serde_json::{Value, json};

use crate::support::backend::Backend;
use crate::support::certificate::{Authority, Leaf};
use crate::support::client::{Tls, Version};
use crate::support::eventually::eventually;
use crate::support::isobath::Isobath;
use crate::support::load::Load;
use crate::support::manifest::{Manifest, app, site};
use crate::support::stand::Stand;
use crate::{figures, rounds};

/// The hosts that change, each in its way.
const HOSTS: [&str; 5] = [
    "sealed.test",
    "asked.test",
    "tree.test",
    "shared.test",
    "given.test",
];

/// What of `given.test` is there.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Given {
    Proxy,
    Ingress,
    Both,
}

/// What there is at one step.
#[derive(Clone, Debug)]
struct Form {
    what: &'static str,
    service: &'static str,
    secret: &'static str,
    minimum: &'static str,
    /// What `asked.test` says of clients' certificates.
    asked: Option<Value>,
    /// The child of `tree.test`, and what it is included under.
    child: &'static str,
    conditions: Value,
    /// Further routes of the child.
    routes: Vec<Value>,
    weights: [u32; 2],
    given: Given,
}

fn to(service: &str) -> Value {
    json!([{"name": service, "port": 80}])
}

/// From step to step, each from what the one before it left.
fn forms() -> Vec<Form> {
    let first = Form {
        what: "as it was",
        service: "one",
        secret: "first",
        minimum: "1.2",
        asked: None,
        child: "left",
        conditions: json!([]),
        routes: Vec::new(),
        weights: [1, 0],
        given: Given::Proxy,
    };
    let mut forms = vec![first];
    let mut then = |what, change: &dyn Fn(&mut Form)| {
        let mut form = forms.last().unwrap().clone();
        form.what = what;
        change(&mut form);
        forms.push(form);
    };
    let exact = || json!({"conditions": [{"exact": "/"}], "services": to("two")});
    let header = || json!({"conditions": [{"header": {"name": "host", "contains": "tree"}}], "services": to("one")});
    then("another Service", &|it| it.service = "two");
    then("another Secret", &|it| it.secret = "second");
    then("TLS 1.3 alone", &|it| it.minimum = "1.3");
    then("both, and TLS as it was", &|it| {
        (it.service, it.secret, it.minimum) = ("one", "first", "1.2");
    });
    then("another child", &|it| it.child = "right");
    then("the child has a route more", &|it| {
        it.routes = vec![exact()]
    });
    then("and another one", &|it| it.routes = vec![header(), exact()]);
    then("the child is included under a condition", &|it| {
        it.conditions =
            json!([{"prefix": "/"}, {"header": {"name": "x-none", "notpresent": true}}]);
    });
    then("and the first child again", &|it| {
        (it.child, it.conditions, it.routes) = ("left", json!([]), Vec::new());
    });
    then("half of the requests", &|it| it.weights = [1, 1]);
    then("all of the requests", &|it| it.weights = [0, 3]);
    then("and back", &|it| it.weights = [1, 0]);
    then("an Ingress beside it", &|it| it.given = Given::Both);
    then("the Ingress alone", &|it| it.given = Given::Ingress);
    then("an HTTPProxy beside it", &|it| it.given = Given::Both);
    then("the HTTPProxy alone", &|it| it.given = Given::Proxy);
    then("one for the other at once", &|it| it.given = Given::Ingress);
    then("clients are asked, and need not answer", &|it| {
        it.asked = Some(json!({"caSecret": "ca", "optionalClientCertificate": true}));
    });
    then("others are believed too", &|it| {
        it.asked = Some(json!({"caSecret": "cas", "optionalClientCertificate": true}));
    });
    then("all at once", &|it| {
        (it.service, it.secret, it.child) = ("two", "second", "right");
        (it.weights, it.given) = ([1, 2], Given::Proxy);
        it.asked = None;
    });
    then("and back", &|it| {
        (it.service, it.secret, it.child) = ("one", "first", "left");
        it.weights = [1, 0];
    });
    forms
}

fn proxy(name: &str, spec: Value) -> Manifest {
    Manifest(json!({
        "apiVersion": "projectcontour.io/v1", "kind": "HTTPProxy",
        "metadata": {"namespace": "default", "name": name}, "spec": spec,
    }))
}

/// What is there at one step, and whose back ends.
fn objects(step: usize, form: &Form, world: &World) -> Vec<Manifest> {
    let root = |name: &str, tls: Value, rest: (&str, Value)| {
        let fqdn = format!("{name}.test");
        let tls = json!({"secretName": form.secret, "minimumProtocolVersion": form.minimum, "clientValidation": tls});
        proxy(
            name,
            json!({"virtualhost": {"fqdn": fqdn, "tls": tls}, rest.0: rest.1}),
        )
    };
    let routes = |service: &str| json!([{"services": to(service), "permitInsecure": true}]);
    let mut children = form.routes.clone();
    children.push(json!({"services": to(form.service)}));
    let [one, two] = form.weights;
    let weighted = json!([
        {"name": "one", "port": 80, "weight": one}, {"name": "two", "port": 80, "weight": two},
    ]);
    let include = json!([{"name": form.child, "conditions": form.conditions}]);
    let asked = form.asked.clone().unwrap_or_default();
    let mut all = vec![
        root("sealed", json!(null), ("routes", routes(form.service))),
        root("asked", asked, ("routes", routes("one"))),
        root("tree", json!(null), ("includes", include)),
        proxy(form.child, json!({"routes": children})),
        root(
            "shared",
            json!(null),
            ("routes", json!([{"services": weighted}])),
        ),
    ];
    if form.given != Given::Ingress {
        all.push(root("given", json!(null), ("routes", routes("one"))));
    }
    if form.given != Given::Proxy {
        all.push(site("given", "given.test", "one:80").tls(&["given.test"], form.secret));
    }
    let named = all.iter().map(|it| it.0.to_string()).collect::<String>();
    let services: BTreeSet<&str> = ["one", "two"]
        .into_iter()
        .filter(|name| named.contains(&format!("\"name\":\"{name}\"")))
        .collect();
    for backend in world
        .backends
        .iter()
        .filter(|it| services.contains(it.name()))
    {
        all.extend(app(backend.name(), &[backend]));
    }
    let secrets = world.secrets.iter();
    let secrets = secrets.filter(|it| {
        named.contains(&format!(
            "\"{}\"",
            it.0["metadata"]["name"].as_str().unwrap()
        ))
    });
    all.extend(secrets.cloned());
    // A host that is new with each step tells when Envoy has taken all of it.
    let marker = format!("marker-{step}");
    all.push(proxy(
        "marker",
        json!({"virtualhost": {"fqdn": format!("{marker}.test"), "tls": {"secretName": marker}}, "routes": [{"directResponsePolicy": {"statusCode": 200}}]}),
    ));
    all.push(
        world
            .authority
            .leaf(&[&format!("{marker}.test")])
            .secret(&marker),
    );
    all
}

struct World {
    authority: Authority,
    backends: Vec<Backend>,
    /// Those that steps may name.
    secrets: Vec<Manifest>,
}

impl World {
    async fn start(client: &Authority) -> Self {
        let authority = Authority::new();
        let bundle = |name: &str, pem: &str| {
            Manifest(json!({
                "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
                "metadata": {"namespace": "default", "name": name}, "data": {"ca.crt": base64(pem)},
            }))
        };
        let more = format!("{}{}", client.pem(), authority.pem());
        let secrets = vec![
            authority.leaf(&HOSTS).secret("first"),
            authority.leaf(&HOSTS).secret("second"),
            bundle("ca", &client.pem()),
            bundle("cas", &more),
        ];
        Self {
            authority,
            backends: vec![Backend::start("one").await, Backend::start("two").await],
            secrets,
        }
    }
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

/// What a host's clients do: they show a certificate where they are asked for one.
fn client(host: &str, world: &World, leaf: &Leaf) -> Tls {
    match host {
        "asked.test" => Tls {
            identity: Some(leaf.clone()),
            ..Tls::sni(host)
        },
        _ => Tls {
            trust: world.authority.trust(),
            ..Tls::sni(host)
        },
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn http_proxies_change_under_traffic() {
    let clients = Authority::new();
    let leaf = clients.client("client", 7, "client.test", "spiffe://client");
    let world = World::start(&clients).await;
    let forms = forms();
    let mut isobath = Isobath::prepare(&[]);
    isobath.write("manifests.yaml", &objects(0, &forms[0], &world));
    isobath.restart().await;
    let mut stand = Stand::on(isobath).await;
    let mut targets = Vec::new();
    for host in HOSTS {
        targets.extend(stand.https_traffic(host, &client(host, &world, &leaf)));
    }
    targets.extend(stand.http_traffic("sealed.test"));
    let load = Load::start(targets).await;
    let mut step = 0;
    for _ in 0..rounds(1, 60) {
        for form in forms.iter().skip(1) {
            step += 1;
            stand
                .isobath
                .write("manifests.yaml", &objects(step, form, &world));
            let marker = format!("marker-{step}.test");
            eventually(form.what, async || {
                let answer = stand.get_tls(Version::H1, &marker, "/").await?;
                ensure!(answer.status == 200, "{}", answer.status);
                Ok(())
            })
            .await;
            load.more(300).await;
            let report = load.report();
            assert!(
                report.failures.is_empty(),
                "{}: {} of {} failed: {:#?}",
                form.what,
                report.failures.len(),
                report.requests,
                &report.failures[..report.failures.len().min(10)]
            );
        }
    }
    // Longer than what is gone is kept.
    load.more(2000).await;
    let report = load.stop_without_failure().await;
    figures("proxy moves", format!("{step} steps; {report}"));
    assert!(report.backends.contains_key("two"), "{report:?}");
    stand.isobath.process().assert_running();
}
