//! Gateways and routes as the model: what each host at each address comes to, a line a route, and the status of each object.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::time::{ClockId, clock_gettime};

use isobath::facts::{Changes, ClassSelection, Log, Store};
use isobath::model::{Alpn, Application, Cidr, Claimable, Forwarding, TlsVersion};
use isobath::objects::gateway_api::{Status, StatusCondition};
use isobath::objects::http_proxy::{AuthorizationServer, ExtensionServiceReference};
use isobath::objects::{Event, Kind, NamespacedName, ObjectRef};
use isobath::translate::{
    FleetPorts, GatewayOptions, GatewayServices, HostOwnership, HttpProxyOptions, Input, Languages,
    Memo, Options, PodPort, Transport,
};
use serde_json::{Value, json};

use crate::http_proxies::virtual_host;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/gateway_api")
}

/// The ports of the fleet: two for Ingresses, and others.
fn ports() -> FleetPorts {
    let other = |port| PodPort::Other(([0, 0, 0, 0], port).into());
    let tcp = [
        (80, PodPort::Http),
        (443, PodPort::Https),
        (9000, other(9001)),
        (9443, other(9444)),
    ];
    let tcp = tcp.map(|(port, pod)| ((port, Transport::Tcp), pod));
    let udp = ((53, Transport::Udp), other(5353));
    FleetPorts::new(tcp.into_iter().chain([udp]))
}

/// Whether Gateways are reached as Ingresses are, which are in these cases as well.
fn is_of_fleet(case: &Path) -> bool {
    let name = case.file_name().unwrap().to_str().unwrap();
    name.starts_with("fleet")
}

/// What the operator decides: addresses for Gateways, or in the cases of this name none; in the case of its name more.
fn options(case: &Path) -> Options {
    let has_services = case.ends_with("services.yaml");
    let addresses = !is_of_fleet(case) && !has_services;
    let addresses = addresses.then(|| Cidr::new("127.9.0.0/16").unwrap());
    let mut options = Options {
        gateway: GatewayOptions {
            addresses: addresses.into_iter().collect(),
            ports: ports(),
            services: has_services.then(|| GatewayServices {
                envoy: NamespacedName::new("isobath", "envoy"),
                address: [0, 0, 0, 0].into(),
                taken: [8080, 8443].into(),
            }),
        },
        ..Options::default()
    };
    if case.ends_with("fleet-redirects.yaml") {
        options.https_port = Some(8443);
    }
    if case.ends_with("fleet-ownership.yaml") || case.ends_with("fleet-ownership-ports.yaml") {
        options.host_ownership = HostOwnership::Namespace;
    }
    if case.ends_with("operator.yaml") {
        options.tls.versions.minimum = TlsVersion::V1_3;
        options.tls.alpn = Alpn::Http1;
        options.https_port = Some(9443);
        options.http_proxy = Arc::new(HttpProxyOptions {
            global_authorization: Some(AuthorizationServer {
                extension_ref: ExtensionServiceReference {
                    namespace: "default".into(),
                    name: "asked".into(),
                    ..ExtensionServiceReference::default()
                },
                ..AuthorizationServer::default()
            }),
            ..HttpProxyOptions::default()
        });
    }
    options
}

/// What the objects of a file come to.
fn translated(text: &str, options: &Options, manifests: bool) -> String {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
    let mut store = Store::new(ClassSelection {
        names: Default::default(),
        manifests,
    });
    let mut changes = Changes::unread();
    for document in &documents {
        store.apply(Event::Apply(crate::object(document)), &mut changes);
    }
    let languages = Languages::default();
    let objects: BTreeSet<ObjectRef> = changes.objects.iter().cloned().collect();
    let (memo, log) = (Memo::default(), Log::default());
    let mut claimed = BTreeSet::new();
    for object in &objects {
        let claims = languages.claims(Input::new(&store, options, &memo, &log), object);
        claimed.extend(claims.iter().cloned());
        store.claim(object, claims, &mut changes);
    }
    let mut text = String::new();
    for claim in &claimed {
        let Claimable::Listener(name) = claim else {
            continue;
        };
        let unit = languages.listener(Input::new(&store, options, &memo, &log), name);
        let listener = unit.listener.unwrap();
        let spoken = listener.application.spoken();
        let _ = write!(text, "listener {name} at {}", listener.address);
        if let Some(hostnames) = unit.hostnames {
            let names: Vec<&str> = hostnames.iter().map(|host| host.as_str()).collect();
            let _ = write!(text, " by TLS for {}", names.join(", "));
        }
        if let Application::Tcp(to) | Application::Udp(to) = &listener.application {
            let _ = write!(text, " to {}", shares(to));
        }
        text.push('\n');
        store.listen(name, Some(spoken), &mut changes);
    }
    let input = Input::new(&store, options, &memo, &log);
    let (mut clusters, mut problems) = (BTreeMap::new(), BTreeSet::new());
    for claim in &claimed {
        let Claimable::Host(front, host) = claim else {
            continue;
        };
        let unit = languages.host(input, front, host);
        let claims = input.reader().claimants(front, host);
        let is_of_ingress = |it: &ObjectRef| it.kind == Kind::Ingress;
        assert_eq!(unit.any_depth, !claims.first().is_some_and(is_of_ingress));
        let at = front.in_clear().unwrap();
        if let Some(http) = &unit.http {
            virtual_host(&mut text, at, http);
        }
        let at = front.by_tls().unwrap();
        if let Some(https) = &unit.https {
            let at = format!("{at} with {}", https.server.name);
            virtual_host(&mut text, &at, &https.virtual_host);
        }
        if let Some(passthrough) = &unit.passthrough {
            let _ = writeln!(text, "{at} {host} to {}", shares(&passthrough.forwarding));
        }
        if let Some(tcp) = &unit.tcp {
            let (server, to) = (&tcp.server.server().name, tcp.server.forwarding());
            let _ = writeln!(text, "{at} with {server} {host} to {}", shares(to));
        }
        if unit.is_closed {
            let _ = writeln!(text, "{at} closed {host}");
        }
        clusters.extend(unit.clusters);
        problems.extend(unit.problems);
    }
    for name in clusters.keys() {
        let _ = writeln!(text, "cluster {name}");
    }
    for problem in problems {
        let _ = writeln!(text, "{}: {}", problem.source.object, problem.message);
    }
    for object in &objects {
        if let Some(wanted) = languages.object_status(input, object) {
            let _ = writeln!(text, "{object}");
            status(&mut text, &wanted.status);
            let bears = wanted.infrastructure.as_ref();
            if let Some(it) = bears.filter(|it| !it.labels.is_empty() || !it.annotations.is_empty())
            {
                let (labels, annotations) = (&it.labels, &it.annotations);
                let _ = writeln!(
                    text,
                    "  Service {} with {labels:?} and {annotations:?}",
                    it.service
                );
            }
            if let Some(it) = bears.and_then(|it| it.load_balancer.as_ref()) {
                let _ = write!(text, "  Service {} of {:?}", it.service, it.ports);
                let asked = it.address.map(|it| format!(" asking for {it}"));
                let pods = it.pods.iter().map(|pod| format!(" at {}", pod.address));
                let pods: String = pods.collect();
                let _ = writeln!(text, "{}{pods}", asked.unwrap_or_default());
            }
            for name in bears.into_iter().flat_map(|it| &it.in_the_way) {
                let _ = writeln!(text, "  waits for Service {name}");
            }
            for name in &wanted.leftovers {
                let _ = writeln!(text, "  no Service {name}");
            }
            if wanted.wanted_addresses > 0 {
                let _ = writeln!(text, "  wants {} addresses", wanted.wanted_addresses);
            }
        }
    }
    text
}

/// Where something is forwarded to.
fn shares(forwarding: &Forwarding) -> String {
    let shares = forwarding.shares.iter();
    let shares = shares.map(|share| format!("{} of {}", share.weight, share.cluster));
    let refused = (forwarding.refused > 0).then(|| format!("{} of nobody", forwarding.refused));
    let all: Vec<String> = shares.chain(refused).collect();
    let by = match forwarding.hash_source_ip {
        true => " by the client's address",
        false => "",
    };
    match all.is_empty() {
        true => "nobody".to_owned(),
        false => format!("{}{by}", all.join(", ")),
    }
}

fn status(text: &mut String, status: &Status) {
    for (kind, value) in &status.addresses {
        let _ = writeln!(text, "  {kind} {value}");
    }
    conditions(text, "  ", &status.conditions);
    if status.attached_listener_sets > 0 {
        let _ = writeln!(text, "  {} sets", status.attached_listener_sets);
    }
    for listener in &status.listeners {
        let kinds: Vec<&str> = listener.kinds.iter().map(|(_, kind)| &**kind).collect();
        let (name, attached) = (&listener.name, listener.attached_routes);
        let _ = writeln!(
            text,
            "  listener {name}: {attached} of {}",
            kinds.join(", ")
        );
        conditions(text, "    ", &listener.conditions);
    }
    for parent in &status.parents {
        let of = &parent.parent;
        let section = of.section_name.as_deref().unwrap_or("*");
        let _ = writeln!(text, "  parent {} {section} {:?}", of.name, of.port);
        conditions(text, "    ", &parent.conditions);
    }
}

fn conditions(text: &mut String, indent: &str, conditions: &[StatusCondition]) {
    for it in conditions {
        let (kind, status) = (&it.kind, it.status.as_str());
        let _ = writeln!(
            text,
            "{indent}{kind} {status} {}: {}",
            it.reason, it.message
        );
    }
}

fn check(case: &Path) {
    let got = translated(
        &fs::read_to_string(case).unwrap(),
        &options(case),
        is_of_fleet(case),
    );
    let output = case.with_extension("txt");
    if crate::golden::updates() {
        fs::write(&output, got).unwrap();
        return;
    }
    let want = fs::read_to_string(&output).unwrap_or_default();
    assert!(
        got == want,
        "{}: not what the objects come to now:\n{got}\n(UPDATE_GOLDEN=1 writes it)",
        case.display()
    );
}

#[test]
fn gateways_come_to_the_stated_model() {
    let files = fs::read_dir(folder()).unwrap();
    let files = files.map(|file| file.unwrap().path());
    let (cases, results): (BTreeSet<PathBuf>, BTreeSet<PathBuf>) =
        files.partition(|path| path.extension().is_some_and(|found| found == "yaml"));
    assert!(cases.len() >= 5);
    for case in &cases {
        check(case);
    }
    let is_left = |result: &&PathBuf| !cases.contains(&result.with_extension("yaml"));
    let left: Vec<_> = results.iter().filter(is_left).collect();
    assert!(left.is_empty(), "no case has these: {left:?}");
}

/// What a rule says stands in the route of each of its matches, and in each of its shares: that is paid before it is made.
#[test]
fn what_a_rule_multiplies_is_paid_before() {
    const MANY: usize = 3000;
    let numbered = |it: fn(usize) -> Value| -> Vec<Value> { (0..MANY).map(it).collect() };
    let set = numbered(|index| json!({"name": format!("x-{index}"), "value": "v"}));
    let change = json!({"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": set}});
    let few = json!([{"path": {"type": "Exact", "value": "/"}}]);
    let matches =
        numbered(|index| json!({"path": {"type": "Exact", "value": format!("/{index}")}}));
    let backend = json!({"name": "a", "port": 80});
    let own =
        json!({"type": "ResponseHeaderModifier", "responseHeaderModifier": {"remove": ["x-a"]}});
    let mut backends = vec![backend.clone(); MANY];
    backends[0]["filters"] = json!([own]);
    for (rule, is_served) in [
        (
            json!({"matches": few, "filters": [change], "backendRefs": [backend]}),
            true,
        ),
        (json!({"matches": matches, "backendRefs": [backend]}), true),
        (
            json!({"matches": matches, "filters": [change], "backendRefs": [backend]}),
            false,
        ),
        (json!({"matches": few, "backendRefs": backends}), true),
        (
            json!({"matches": few, "filters": [change], "backendRefs": backends}),
            false,
        ),
    ] {
        let port = json!({"port": 80, "name": "http"});
        let listener = json!({"name": "web", "port": 80, "protocol": "HTTP"});
        let objects = [
            json!({"kind": "GatewayClass", "metadata": {"name": "isobath"},
                   "spec": {"controllerName": "isobath.dev/gateway-controller"}}),
            json!({"kind": "Service", "metadata": {"name": "a"}, "spec": {"ports": [port]}}),
            json!({"kind": "Gateway", "metadata": {"name": "edge"}, "spec": {
                "gatewayClassName": "isobath", "addresses": [{"value": "127.9.0.1"}], "listeners": [listener]}}),
            json!({"kind": "HTTPRoute", "metadata": {"name": "web"},
                   "spec": {"parentRefs": [{"name": "edge"}], "hostnames": ["a.test"], "rules": [rule]}}),
        ];
        let text = objects.map(|object| object.to_string()).join("\n---\n");
        let got = translated(&text, &options(Path::new("large.yaml")), false);
        let told = "Accepted False UnsupportedValue: its rules are not served: it would be more than one object may come to";
        let rules = text.len();
        assert_eq!(!got.contains(told), is_served, "{rules} bytes");
        assert_eq!(got.contains("default/a/80"), is_served, "{rules} bytes");
    }
}

/// A bundle has copies of all that its ConfigMaps have, and each port may have one of its own.
#[test]
fn authorities_of_clients_are_bounded() {
    let cases = include_str!("gateway_api/client-certificates.yaml");
    let documents = cases.split("\n---\n");
    let shared: Vec<&str> = documents
        .clone()
        .filter(|it| it.contains("kind: Secret") || it.contains("kind: GatewayClass"))
        .collect();
    let authority = documents
        .clone()
        .find(|it| it.contains("kind: ConfigMap") && it.contains("{name: ca}"));
    let authority = authority.expect("the case has a ConfigMap called ca");
    let references = |without: Option<usize>| -> Vec<Value> {
        let numbers = (0..33).filter(|number| Some(*number) != without);
        numbers
            .map(|number| json!({"group": "", "kind": "ConfigMap", "name": format!("ca-{number}")}))
            .collect()
    };
    let validation = |without| json!({"validation": {"caCertificateRefs": references(without)}});
    for (ports, told) in [
        (
            1,
            "ConfigMap default/ca-32 is left out: with it the authorities of this list come to more than 2 MiB",
        ),
        // Each has another list of 32.
        (
            9,
            "the authorities of all ports of this Gateway come to more than 16 MiB",
        ),
    ] {
        let listeners: Vec<Value> = (0..ports)
            .map(|port| {
                json!({
                    "name": format!("l{port}"), "port": 443 + port, "protocol": "HTTPS",
                    "tls": {"certificateRefs": [{"name": "own"}]},
                })
            })
            .collect();
        let per_port: Vec<Value> = (0..ports)
            .map(|port| {
                let without = (ports > 1).then_some(port);
                json!({"port": 443 + port, "tls": validation(without)})
            })
            .collect();
        let gateway = json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": "edge"}, "spec": {
            "gatewayClassName": "isobath", "addresses": [{"value": "127.9.0.1"}], "listeners": listeners,
            "tls": {"frontend": {"default": {}, "perPort": per_port}}}});
        let mut all: Vec<String> = shared.iter().map(|it| (*it).to_owned()).collect();
        let maps = (0..33)
            .map(|number| authority.replace("{name: ca}", &format!("{{name: ca-{number}}}")));
        all.extend(maps);
        all.push(gateway.to_string());
        let got = translated(
            &all.join("\n---\n"),
            &options(Path::new("many.yaml")),
            false,
        );
        assert!(got.contains(told), "{ports} ports: {got}");
    }
}

/// Which Gateway a host comes through is asked for each host of a route: listeners that are served nowhere are nothing to it, and
/// of the others the list of hosts is not gone through. Measured as CPU of this thread, as a ratio.
#[test]
fn hosts_of_a_route_pay_for_no_listener_that_is_nowhere() {
    let cost = |hosts: usize, dead: u16| {
        let hostnames: Vec<String> = (0..hosts).map(|host| format!("h{host}.test")).collect();
        let ports = std::iter::once(80).chain(10_000..10_000 + dead);
        let listeners: Vec<Value> = ports
            .map(|port| json!({"name": format!("l{port}"), "port": port, "protocol": "HTTP"}))
            .collect();
        let backends = json!([{"name": "a", "port": 80}]);
        let objects = [
            json!({"kind": "GatewayClass", "metadata": {"name": "isobath"},
                   "spec": {"controllerName": "isobath.dev/gateway-controller"}}),
            json!({"kind": "Service", "metadata": {"name": "a"}, "spec": {"ports": [{"port": 80}]}}),
            json!({"kind": "Gateway", "metadata": {"name": "edge"},
                   "spec": {"gatewayClassName": "isobath", "listeners": listeners}}),
            json!({"kind": "HTTPRoute", "metadata": {"name": "web"}, "spec": {
                "parentRefs": [{"name": "edge"}], "hostnames": hostnames, "rules": [{"backendRefs": backends}]}}),
        ];
        let text = objects.map(|object| object.to_string()).join("\n---\n");
        let options = options(Path::new("fleet.yaml"));
        let before = cpu();
        let got = translated(&text, &options, true);
        let cost = cpu() - before;
        let last = hosts - 1;
        assert!(got.contains(&format!("http h{last}.test\n")), "{got}");
        cost
    };
    // Others share its caches, so that one try may show more than there is.
    let is_within = |what: &str, most: f64, ratio: &dyn Fn() -> f64| {
        let tries: Vec<f64> = (0..3).map(|_| ratio()).collect();
        assert!(tries.iter().any(|it| *it < most), "{what}: {tries:?} times");
    };
    is_within("60 more listeners", 3.0, &|| cost(1000, 60) / cost(1000, 0));
    is_within("four times the hosts", 6.0, &|| {
        cost(4000, 0) / cost(1000, 0)
    });
}

/// The processor time of this thread, in seconds.
fn cpu() -> f64 {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap();
    time.tv_sec() as f64 + time.tv_nsec() as f64 / 1e9
}
