//! Looks for objects that come to more than they may: what is made of them is counted for each of their bytes. The input is
//! a list of orders, three bytes each: which list grows, by how many elements (as a power of two), of which length.
#![no_main]

mod core;

use isobath::objects::{Event, Kind, Object, Rules, decode_versioned};
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value, json};

/// All texts together. What multiplies shows long before etcd's limit.
const LARGEST: usize = 64 << 10;

#[derive(Default)]
struct Objects {
    rules: Vec<Value>,
    tls: Vec<Value>,
    annotations: Map<String, Value>,
    ports: Vec<Value>,
    service_annotations: Map<String, Value>,
    delegations: Vec<Value>,
    slice_ports: Vec<Value>,
    endpoints: Vec<Value>,
    default_backend: bool,
    size: usize,
}

impl Objects {
    fn order(&mut self, which: u8, count: usize, length: usize) {
        let text = "a".repeat(length);
        let host = |index: usize| match which / 16 % 4 {
            0 => format!("h{index}.m.test"),
            1 => format!("h{index}.{}.test", &text[..length.min(60)]),
            2 => format!("*.w{index}.test"),
            _ => "own.m.test".to_owned(),
        };
        let paths = |path_type: &str, path: &dyn Fn(usize) -> String| -> Vec<Value> {
            let backend = |index: usize| json!({"service": {"name": "web", "port": {"name": format!("p{index}")}}});
            let paths = (0..count).map(|index| json!({"path": path(index), "pathType": path_type, "backend": backend(index)}));
            paths.collect()
        };
        let all = 0..count;
        match which % 16 {
            0 => self.rules.extend(all.map(|index| json!({"host": host(index)}))),
            1 => self.rules.push(json!({"host": host(0), "http": {"paths": paths("Exact", &|index| format!("/{index}{text}"))}})),
            2 => self.rules.push(json!({"http": {"paths": paths("Prefix", &|index| format!("/{index}{text}"))}})),
            3 => self.rules.push(json!({"http": {"paths": paths("ImplementationSpecific", &|index| format!("/{index}[^/]{{{length}}}"))}})),
            4 => self.rules.push(json!({"host": host(0), "http": {"paths": paths("ImplementationSpecific", &|index| format!("/{index}[a]{{{}}}", 4 * length))}})),
            5 => self.tls.extend(all.map(|index| json!({"secretName": format!("s{index}")}))),
            6 => self.tls.extend(all.map(|_| json!({}))),
            7 => self.tls.extend(all.map(|index| json!({"hosts": [host(index)], "secretName": format!("s{index}")}))),
            8 => self.tls.push(json!({"hosts": all.map(host).collect::<Vec<_>>(), "secretName": "tls"})),
            9 => {
                let lines: Vec<_> = (0..count.min(32)).map(|index| format!("x-{index}: {text}")).collect();
                self.annotations.insert("isobath.dev/request-headers".into(), lines.join("\n").into());
            }
            10 => _ = self.annotations.insert("isobath.dev/redirect".into(), format!("/{text}").into()),
            11 => self.default_backend = true,
            12 => self.ports.extend(all.map(|index| json!({"name": format!("p{index}"), "port": index + 1}))),
            13 => {
                let names: Vec<_> = all.map(|index| format!("q{index},p{index}")).collect();
                self.service_annotations.insert("projectcontour.io/upstream-protocol.h2".into(), names.join(",").into());
            }
            14 => self.delegations.extend(all.map(|index| json!({"secretName": format!("s{index}"), "targetNamespaces": ["default", text]}))),
            _ => {
                self.slice_ports.extend(all.clone().map(|index| json!({"name": format!("p{index}"), "port": 8080})));
                self.endpoints.extend(all.map(|index| json!({"addresses": [format!("10.{}.{}.1", index / 250 % 250, index % 250 + 1)]})));
            }
        }
        self.size += count * (20 + length);
    }

    fn texts(self) -> [(Kind, String); 5] {
        let backend = json!({"service": {"name": "web", "port": {"number": 1}}});
        let mut rules = self.rules;
        rules.insert(0, json!({"host": "own.m.test", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}));
        let mut spec = json!({"rules": rules, "tls": self.tls});
        if self.default_backend {
            spec["defaultBackend"] = backend;
        }
        let metadata = |name: &str, annotations: Map<String, Value>| json!({"name": name, "namespace": "default", "annotations": annotations});
        let mut slice = metadata("web-1", Map::new());
        slice["labels"] = json!({"kubernetes.io/service-name": "web"});
        let certs = json!({"name": "all", "namespace": "certs"});
        [
            (Kind::Service, json!({"metadata": metadata("web", self.service_annotations), "spec": {"ports": self.ports}})),
            (Kind::EndpointSlice, json!({"metadata": slice, "addressType": "IPv4", "ports": self.slice_ports, "endpoints": self.endpoints})),
            (Kind::TlsCertificateDelegation, json!({"metadata": certs, "spec": {"delegations": self.delegations}})),
            (Kind::Secret, json!({"metadata": metadata("tls", Map::new()), "type": "kubernetes.io/tls", "data": {}})),
            (Kind::Ingress, json!({"metadata": metadata("web", self.annotations), "spec": spec})),
        ]
        .map(|(kind, value)| (kind, value.to_string()))
    }
}

fuzz_target!(|data: &[u8]| {
    let mut objects = Objects::default();
    for order in data.chunks_exact(3) {
        let (count, length) = (1 << (order[1] % 12), usize::from(order[2]));
        if objects.size + count * (20 + length) > LARGEST {
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
    core::check(&builder, size, 1);
});
