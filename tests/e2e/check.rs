//! Tables of requests and answers, and the one function that goes through them.
//!
//! A wanted answer is a word. A name is the back end that answers with 200; a number is a status that Envoy gives
//! by itself; a number and a text are a redirect and its `Location`; `refused` is a connection without any answer.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::client::{self, Tls, Version};
use crate::support::stand::Stand;
pub(crate) use crate::support::stand::apps;

/// One request and its answer: host, path, answer.
pub(crate) type Row = (&'static str, &'static str, &'static str);

/// How a request travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Http1,
    Http2,
    Https1,
    Https2,
}

pub(crate) const PLAIN: &[Transport] = &[Transport::Http1, Transport::Http2];
pub(crate) const TLS: &[Transport] = &[Transport::Https1, Transport::Https2];
pub(crate) const ALL: &[Transport] = &[
    Transport::Http1,
    Transport::Http2,
    Transport::Https1,
    Transport::Https2,
];

impl Transport {
    fn version(self) -> Version {
        match self {
            Self::Http1 | Self::Https1 => Version::H1,
            Self::Http2 | Self::Https2 => Version::H2,
        }
    }

    fn is_tls(self) -> bool {
        matches!(self, Self::Https1 | Self::Https2)
    }
}

/// How many pairs were as wanted, over all tables of this run.
static PAIRS: AtomicUsize = AtomicUsize::new(0);

/// Goes through a table over every transport, and panics once with all answers that were not the wanted ones.
/// Returns the number of pairs.
pub(crate) async fn check(stand: &Stand, table: &[Row], transports: &[Transport]) -> usize {
    let mut wrong = Vec::new();
    for &(host, path, want) in table {
        for &transport in transports {
            let got = answer(stand, transport, host, path).await;
            if got != want {
                wrong.push(format!(
                    "{transport:?} {host}{path}: want {want}, got {got}"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{:#?}", wrong);
    let pairs = table.len() * transports.len();
    let all = PAIRS.fetch_add(pairs, Ordering::Relaxed) + pairs;
    println!("{pairs} pairs of request and answer, {all} in this run");
    pairs
}

/// The word for the answer to one request on a connection of its own. The server name is what a browser makes
/// of the Host.
pub(crate) async fn answer(stand: &Stand, transport: Transport, host: &str, path: &str) -> String {
    let tls = transport.is_tls().then(|| {
        let name = host.split(':').next().unwrap();
        Tls::sni(name.trim_end_matches('.'))
    });
    let address = if transport.is_tls() {
        stand.isobath.https()
    } else {
        stand.isobath.http()
    };
    word(address, transport.version(), tls.as_ref(), host, path).await
}

/// The word for the answer to one request on a connection of its own.
pub(crate) async fn word(
    address: SocketAddr,
    version: Version,
    tls: Option<&Tls>,
    host: &str,
    path: &str,
) -> String {
    match client::get(address, version, tls, host, path).await {
        Err(_) => "refused".to_owned(),
        Ok(answer) if answer.status == 200 => answer.backend().to_owned(),
        Ok(answer) => format!("{} {}", answer.status, answer.header("location"))
            .trim_end()
            .to_owned(),
    }
}
