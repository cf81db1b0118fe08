//! An authority by ACME, pebble, and a server of names that leads it to Envoy.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use crate::support::certificate::Authority;
use crate::support::client::{Connection, Version};
use crate::support::eventually::eventually;
use crate::support::network::address;
use crate::support::process::Process;
use crate::world::{GATEWAY, INGRESSES, World};

/// Where both listen.
const HERE: Ipv4Addr = address(5);

/// Who resolves names, for the authority and for cert-manager.
pub(crate) const NAMES: &str = "10.97.0.5:53";

/// Both, running.
pub(crate) struct Acme {
    _pebble: Process,
    _names: Process,
    of_its_own: Authority,
}

impl Acme {
    /// The names of Ingresses lead to these, and `routed.test` to the Gateway.
    pub(crate) async fn start(world: &World) -> Self {
        let management = SocketAddr::from((HERE, 8055));
        let mut command = Command::new(world.program("pebble-challtestsrv"));
        for other in ["http01", "https01", "doh", "tlsalpn01", "defaultIPv6"] {
            command.arg(format!("-{other}="));
        }
        command
            .args(["-dnsserver", NAMES])
            .args(["-management", &management.to_string()])
            .args(["-defaultIPv4", &INGRESSES.to_string()]);
        let log = world.dir().join("names.log");
        let mut names = Process::start("pebble-challtestsrv", &mut command, &log);
        let routed = json!({"host": "routed.test", "addresses": [GATEWAY]});
        eventually("names are served", async || {
            names.assert_running();
            post(management, "/add-a", &routed).await
        })
        .await;

        let of_its_own = Authority::new();
        let leaf = of_its_own.leaf(&[&HERE.to_string()]);
        let (certificate, key) = (
            world.dir().join("pebble.crt"),
            world.dir().join("pebble.key"),
        );
        fs::write(&certificate, &leaf.chain).unwrap();
        fs::write(&key, &leaf.key).unwrap();
        let config = json!({"pebble": {
            "listenAddress": format!("{HERE}:14000"),
            "certificate": certificate,
            "privateKey": key,
            "httpPort": 80,
            "tlsPort": 443,
            "keyAlgorithm": "ecdsa",
            "retryAfter": {"authz": 1, "order": 1},
        }});
        let file = world.dir().join("pebble.json");
        fs::write(&file, config.to_string()).unwrap();
        let mut command = Command::new(world.program("pebble"));
        command
            .arg("-config")
            .arg(&file)
            .args(["-dnsserver", NAMES])
            // It proves each name each time, does not dawdle, and refuses nothing at random.
            .env("PEBBLE_AUTHZREUSE", "0")
            .env("PEBBLE_VA_NOSLEEP", "1")
            .env("PEBBLE_WFE_NONCEREJECT", "0");
        let pebble = Process::start("pebble", &mut command, &world.dir().join("pebble.log"));
        Self {
            _pebble: pebble,
            _names: names,
            of_its_own,
        }
    }

    /// An Issuer of it: challenges are solved on the Gateway for its name, and by Ingresses for all others.
    pub(crate) fn issuer(&self) -> Value {
        let parent = json!({
            "group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge", "sectionName": "http",
        });
        json!({
            "apiVersion": "cert-manager.io/v1", "kind": "Issuer",
            "metadata": {"name": "pebble", "namespace": "default"},
            "spec": {"acme": {
                "server": format!("https://{HERE}:14000/dir"),
                "caBundle": STANDARD.encode(self.of_its_own.pem()),
                "privateKeySecretRef": {"name": "account"},
                "solvers": [
                    {
                        "selector": {"dnsNames": ["routed.test"]},
                        "http01": {"gatewayHTTPRoute": {"serviceType": "ClusterIP", "parentRefs": [parent]}},
                    },
                    {"http01": {"ingress": {"serviceType": "ClusterIP", "ingressClassName": "isobath"}}},
                ],
            }},
        })
    }
}

async fn post(address: SocketAddr, path: &str, body: &Value) -> anyhow::Result<()> {
    let mut connection = Connection::open(address, Version::H1, None).await?;
    let body = Bytes::from(body.to_string());
    let answer = connection
        .send_body(Method::POST, "names", path, &[], body)
        .await?;
    anyhow::ensure!(answer.status == 200, "{answer:?}");
    Ok(())
}
