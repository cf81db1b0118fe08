//! A name server of a test, for an Envoy that looks names up.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::net::UdpSocket;

/// A name server that knows these names, all at 127.0.0.1, and remembers what it was asked for.
#[derive(Debug)]
pub(crate) struct Resolver {
    address: SocketAddr,
    asked: Arc<Mutex<BTreeSet<String>>>,
}

impl Resolver {
    /// Starts one, until the runtime ends.
    pub(crate) async fn start(known: &'static [&'static str]) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = socket.local_addr().unwrap();
        let asked = Arc::<Mutex<BTreeSet<String>>>::default();
        let asked_here = asked.clone();
        tokio::spawn(async move {
            let mut buffer = [0; 512];
            while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
                let (name, answer) = answer(&buffer[..length], known);
                asked_here.lock().unwrap().insert(name);
                let _ = socket.send_to(&answer, peer).await;
            }
        });
        Self { address, asked }
    }

    /// A line for Envoy's bootstrap: it is asked, and nobody else.
    pub(crate) fn bootstrap(&self) -> String {
        let config = serde_json::json!({
            "name": "envoy.network.dns_resolver.cares",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig",
                "resolvers": [{"socket_address": {
                    "address": self.address.ip(), "port_value": self.address.port(),
                }}],
            },
        });
        format!("typed_dns_resolver_config: {config}\n")
    }

    /// What it was asked for.
    pub(crate) fn asked(&self) -> BTreeSet<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// The name that a query (RFC 1035, section 4) asks for, and what to say to it.
fn answer(query: &[u8], known: &[&str]) -> (String, Vec<u8>) {
    const HEADER: usize = 12;
    const NO_SUCH_NAME: u8 = 3;
    const A: u8 = 1;
    let (mut labels, mut at) = (Vec::new(), HEADER);
    while query[at] != 0 {
        let end = at + 1 + usize::from(query[at]);
        labels.push(String::from_utf8(query[at + 1..end].to_vec()).unwrap());
        at = end;
    }
    let name = labels.join(".").to_lowercase();
    let question = &query[HEADER..at + 5];
    let is_known = known.contains(&&*name);
    let has_answer = is_known && query[at + 2] == A;
    let code = if is_known { 0 } else { NO_SUCH_NAME };
    let mut answer = query[..2].to_vec();
    answer.extend([0x81, 0x80 | code, 0, 1, 0, u8::from(has_answer), 0, 0, 0, 0]);
    answer.extend(question);
    if has_answer {
        // The name of the question, A, IN, 60 s, four bytes.
        answer.extend([0xc0, HEADER as u8, 0, A, 0, 1, 0, 0, 0, 60, 0, 4]);
        answer.extend(Ipv4Addr::LOCALHOST.octets());
    }
    (name, answer)
}
