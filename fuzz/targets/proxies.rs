//! As `products`, for HTTPProxies, what they include, and routes of a Gateway. The input is a list of orders, three bytes each: which
//! list grows, by how many elements (as a power of two), of which length.
#![no_main]

mod core;

use isobath::objects::{Event, Kind, Object, Rules, decode_versioned};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

/// All texts together. What multiplies shows long before etcd's limit.
const LARGEST: usize = 64 << 10;
/// HTTPProxies of one chain of includes.
const CHAIN: usize = 4;

/// So many objects' worth: the root and the route have theirs, and what many roots make of a child is four, or up to twice that as
/// shares are powers of two.
const OBJECTS: usize = 2 + 8 * (CHAIN - 1);

/// Lists of one HTTPProxy: the first is the root, each includes the next.
#[derive(Default)]
struct Lists {
    routes: Vec<Value>,
    includes: Vec<Value>,
}

#[derive(Default)]
struct Objects {
    chain: [Lists; CHAIN],
    host: serde_json::Map<String, Value>,
    /// Further roots of hosts of their own, each with an include of the last of the chain.
    roots: usize,
    ports: Vec<Value>,
    targets: Vec<Value>,
    rules: Vec<Value>,
    hostnames: Vec<Value>,
    parents: Vec<Value>,
    size: usize,
}

impl Objects {
    fn order(&mut self, which: u8, count: usize, length: usize) {
        let text = "a".repeat(length);
        let of = usize::from(which) / 64 % CHAIN;
        let lists = &mut self.chain[of];
        let all = 0..count;
        let services = json!([{"name": "web", "port": 80}]);
        let header = |index: usize| json!({"name": format!("x-{index}"), "value": text});
        let one = |route: Value| vec![route];
        let made: Vec<Value> = match which % 16 {
            0 => all.map(|index| json!({"conditions": [{"prefix": format!("/{index}{text}")}], "services": services})).collect(),
            1 => all.map(|index| json!({"conditions": [{"regex": format!("/{index}[a]{{{}}}", 4 * length)}], "services": services})).collect(),
            2 => {
                let name = format!("p{}", (of + 1) % CHAIN);
                let include = |index: usize| json!({"name": name, "conditions": [{"prefix": format!("/i{index}{text}")}]});
                lists.includes.extend(all.map(include));
                Vec::new()
            }
            3 => one(json!({"services": all.map(|index| json!({"name": "web", "port": 80, "weight": index + 1})).collect::<Vec<_>>()})),
            4 => one(json!({"services": services, "requestHeadersPolicy": {"set": all.map(header).collect::<Vec<_>>()}})),
            5 => one(json!({"services": services, "cookieRewritePolicies": all.map(|index| json!({"name": format!("c{index}"), "pathRewrite": {"value": text}})).collect::<Vec<_>>()})),
            6 => one(json!({"services": services, "conditions": all.map(|index| json!({"header": {"name": format!("x-{index}"), "contains": text}})).collect::<Vec<_>>()})),
            7 => one(json!({"services": services, "pathRewritePolicy": {"replacePrefix": all.map(|index| json!({"prefix": format!("/{index}"), "replacement": format!("/{text}")})).collect::<Vec<_>>()}})),
            8 => all.map(|index| json!({"conditions": [{"prefix": format!("/t{index}")}], "services": services, "timeoutPolicy": {"idleConnection": format!("{}s", index + 1)}})).collect(),
            9 => one(json!({"directResponsePolicy": {"statusCode": 200, "body": text.repeat(16)}})),
            10 => {
                let denied: Vec<_> = all.map(|index| json!({"source": "Peer", "cidr": format!("10.{}.{}.0/24", index / 250, index % 250)})).collect();
                self.host.insert("ipDenyPolicy".into(), denied.into());
                Vec::new()
            }
            11 => {
                let origins: Vec<_> = all.map(|index| json!(format!("https://{index}{text}.test"))).collect();
                self.host.insert("corsPolicy".into(), json!({"allowOrigin": origins, "allowMethods": ["GET"]}));
                Vec::new()
            }
            12 => {
                self.roots += count;
                Vec::new()
            }
            13 => {
                self.ports.extend(all.clone().map(|index| json!({"name": format!("p{index}"), "port": index + 1000})));
                self.targets.extend(all.map(|index| json!({"name": "web", "port": 80, "weight": index + 1})));
                Vec::new()
            }
            14 => {
                let path = |index: usize| json!({"path": {"type": "PathPrefix", "value": format!("/{index}{text}")}});
                let backends = json!([{"name": "web", "port": 80}]);
                self.rules.push(json!({"matches": all.map(path).collect::<Vec<_>>(), "backendRefs": backends}));
                Vec::new()
            }
            _ => {
                self.hostnames.extend(all.clone().map(|index| json!(format!("g{index}.{}.test", &text[..length.min(60)]))));
                self.parents.extend(all.map(|_| json!({"name": "gateway"})));
                Vec::new()
            }
        };
        self.chain[of].routes.extend(made);
        self.size += count * (30 + length) * if which % 16 == 12 { 4 } else { 1 };
    }

    fn texts(self) -> Vec<(Kind, String)> {
        let metadata = |name: &str| json!({"name": name, "namespace": "default"});
        let object =
            |name: &str, spec: Value| json!({"metadata": metadata(name), "spec": spec}).to_string();
        let mut all = Vec::new();
        let mut ports = self.ports;
        ports.push(json!({"name": "http", "port": 80}));
        all.push((Kind::Service, object("web", json!({"ports": ports}))));
        all.push((
            Kind::ExtensionService,
            object(
                "targets",
                json!({"protocol": "h2c", "services": self.targets}),
            ),
        ));
        let mut host = self.host;
        host.insert("fqdn".into(), "own.m.test".into());
        for (number, lists) in self.chain.into_iter().enumerate() {
            let mut spec = json!({"routes": lists.routes, "includes": lists.includes});
            if number == 0 {
                spec["virtualhost"] = Value::Object(host.clone());
            }
            all.push((Kind::HttpProxy, object(&format!("p{number}"), spec)));
        }
        for number in 0..self.roots {
            let include = json!([{"name": format!("p{}", CHAIN - 1)}]);
            let spec =
                json!({"virtualhost": {"fqdn": format!("r{number}.m.test")}, "includes": include});
            all.push((Kind::HttpProxy, object(&format!("r{number}"), spec)));
        }
        let class = json!({"metadata": {"name": "isobath"}, "spec": {"controllerName": "isobath.dev/gateway-controller"}});
        all.push((Kind::GatewayClass, class.to_string()));
        let listeners = json!([{"name": "http", "port": 80, "protocol": "HTTP"}]);
        all.push((
            Kind::Gateway,
            object(
                "gateway",
                json!({"gatewayClassName": "isobath", "listeners": listeners}),
            ),
        ));
        let spec =
            json!({"parentRefs": self.parents, "hostnames": self.hostnames, "rules": self.rules});
        all.push((Kind::HttpRoute, object("route", spec)));
        all
    }
}

fuzz_target!(|data: &[u8]| {
    let mut objects = Objects::default();
    for order in data.chunks_exact(3) {
        let (count, length) = (1 << (order[1] % 12), usize::from(order[2]));
        if objects.size + 4 * count * (30 + length) > LARGEST {
            continue;
        }
        objects.order(order[0], count, length);
    }
    let mut builder = core::builder();
    let mut size = 0;
    for (kind, text) in objects.texts() {
        size += text.len();
        // Each has a name, so there is always an object.
        let object = decode_versioned(kind, &text, Rules::Stored).unwrap().object;
        if !matches!(object, Object::Invalid(_)) {
            builder.apply(Event::Apply(object));
        }
    }
    builder.build();
    core::check(&builder, size, OBJECTS);
});
