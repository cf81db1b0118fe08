//! The server name of a ClientHello, byte by byte: whose certificate it is shown.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::table::{LIMIT, bytes};
use crate::check::apps;
use crate::support::certificate::Authority;
use crate::support::manifest::PathType::Prefix;
use crate::support::manifest::{ingress, site};
use crate::support::stand::Stand;

/// A server name, with the escapes of the tables, and whose certificate it is shown.
const NAMES: &[(&str, &str)] = &[
    ("exact.test", "exact"),
    ("EXACT.Test", "exact"),
    // Python hands the host of its URL to OpenSSL as it is; the Host with a dot is served, so the connection is.
    ("exact.test.", "exact"),
    ("Exact.TEST.", "exact"),
    ("exact.test..", "refused"),
    ("exact.test.evil", "refused"),
    ("evilexact.test", "refused"),
    ("evil.exact.test", "refused"),
    ("exact.test\\0", "refused"),
    ("exact.test\\0.evil", "refused"),
    ("exact.test:443", "refused"),
    ("exact.test ", "refused"),
    (" exact.test", "refused"),
    ("exact.test/", "refused"),
    ("exact.test\\r\\n", "refused"),
    ("exact%2etest", "refused"),
    ("test", "refused"),
    (".", "refused"),
    ("*", "refused"),
    ("127.0.0.1", "refused"),
    ("::1", "refused"),
    ("\\xff\\xfe", "refused"),
    ("{a.*127}test", "refused"),
    ("{a*4096}", "refused"),
    // An own name that the matcher holds for nobody.
    ("isobath.invalid", "refused"),
    // One label; the certificate is shown to others below, whose requests are 421.
    ("a.wild.test", "wild"),
    ("A.WILD.test", "wild"),
    ("a.wild.test.", "wild"),
    ("*.wild.test", "wild"),
    ("a.b.wild.test", "wild"),
    ("a.b.wild.test.", "wild"),
    (".wild.test", "wild"),
    ("wild.test", "refused"),
    ("wild.test.", "refused"),
    ("awild.test", "refused"),
    // An exact name below the wildcard, with a dot too.
    ("own.wild.test", "own"),
    ("own.wild.test.", "own"),
    ("OWN.wild.test.", "own"),
    ("x.own.wild.test", "wild"),
];

/// A ClientHello of TLS 1.2 (whose certificates are in clear) with these as its list of server names.
fn client_hello(names: &[Vec<u8>]) -> Vec<u8> {
    let sized = |bytes: &[u8]| {
        let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
        [&length[..], bytes].concat()
    };
    let extension = |kind: u16, body: &[u8]| [&kind.to_be_bytes()[..], &sized(body)].concat();
    let mut extensions = Vec::new();
    if !names.is_empty() {
        let host_name = |name: &Vec<u8>| [vec![0], sized(name)].concat();
        let list: Vec<u8> = names.iter().flat_map(host_name).collect();
        extensions.extend(extension(0, &sized(&list)));
    }
    // P-256, P-384, P-521 and X25519; ECDSA with each, RSA with PKCS #1 and PSS.
    extensions.extend(extension(10, &sized(&[0, 23, 0, 24, 0, 25, 0, 29])));
    extensions.extend(extension(11, &[1, 0]));
    let signatures = [4, 3, 5, 3, 6, 3, 4, 1, 5, 1, 6, 1, 8, 4, 8, 5, 8, 6];
    extensions.extend(extension(13, &sized(&signatures)));
    let mut hello = vec![3, 3];
    hello.extend([7; 32]);
    hello.push(0);
    // ECDHE-ECDSA-AES128-GCM-SHA256 and ECDHE-RSA-AES128-GCM-SHA256.
    hello.extend(sized(&[0xc0, 0x2b, 0xc0, 0x2f]));
    hello.extend([1, 0]);
    hello.extend(sized(&extensions));
    let mut handshake = vec![1, 0];
    handshake.extend(sized(&hello));
    // As many records as it takes.
    let records = handshake.chunks(1 << 14);
    records
        .flat_map(|record| [&[22, 3, 1][..], &sized(record)].concat())
        .collect()
}

/// Whose certificate the server shows.
pub(super) async fn shown(
    address: SocketAddr,
    names: &[Vec<u8>],
    leaves: &[(&str, Vec<u8>)],
) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let _ = stream.write_all(&client_hello(names)).await;
    let mut received = Vec::new();
    loop {
        let holds = |leaf: &Vec<u8>| {
            let mut windows = received.windows(leaf.len());
            windows.any(|window| window == leaf)
        };
        if let Some((name, _)) = leaves.iter().find(|(_, leaf)| holds(leaf)) {
            return (*name).to_owned();
        }
        let read = timeout(LIMIT, stream.read_buf(&mut received)).await;
        if !matches!(read, Ok(Ok(1..))) {
            assert!(read.is_ok(), "the server is silent");
            return "refused".to_owned();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn server_names() {
    let authority = Authority::new();
    let (_backends, mut manifests) = apps(&["web"]).await;
    let leaves = [
        ("exact", "exact.test"),
        ("wild", "*.wild.test"),
        ("own", "own.wild.test"),
    ];
    let leaves = leaves.map(|(name, host)| {
        let leaf = authority.leaf(&[host]);
        manifests.push(leaf.secret(name));
        (name, leaf.der.to_vec())
    });
    manifests.extend([
        site("exact", "exact.test", "web:80").tls(&[], "exact"),
        site("own", "own.wild.test", "web:80").tls(&[], "own"),
        ingress("wild")
            .rule("*.wild.test", &[("/", Prefix, "web:80")])
            .tls(&["*.wild.test"], "wild"),
    ]);
    let stand = Stand::start(&manifests).await;
    let address = stand.isobath.https();
    let exact = || bytes("exact.test");
    let mut cases: Vec<(String, Vec<Vec<u8>>, &str)> = NAMES
        .iter()
        .map(|(name, want)| ((*name).to_owned(), vec![bytes(name)], *want))
        .collect();
    cases.extend([
        ("no name".to_owned(), vec![], "refused"),
        ("an empty name".to_owned(), vec![vec![]], "refused"),
        // RFC 6066 allows one of a kind.
        (
            "two names".to_owned(),
            vec![exact(), bytes("own.wild.test")],
            "refused",
        ),
    ]);
    let asked = cases
        .iter()
        .map(|(_, names, _)| shown(address, names, &leaves));
    let answers = futures::future::join_all(asked).await;
    let mut wrong = Vec::new();
    for ((name, _, want), got) in cases.iter().zip(answers) {
        if got != *want {
            wrong.push(format!("{name:.40}: want {want}, got {got}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
