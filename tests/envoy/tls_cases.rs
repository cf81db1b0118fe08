//! TLS servers that ask for more than most, for the golden files.

use std::sync::Arc;

use isobath::envoy::{filter_chain, listener, route};
use isobath::model::{
    Alpn, CipherSuite, ClientCertificates, ClientCheck, ClientVerification, ForwardedCertificate,
    Group, TlsParameters, TlsServer, TrustBundle, VirtualHost,
};
use isobath::objects::{CaCertificates, Kind};
use isobath::xds::Part;

use crate::fixture::{TLS, all_to, source, tls_server, virtual_host};

fn by(max_depth: Option<u32>, is_lax: bool) -> Option<ClientVerification> {
    Some(ClientVerification {
        authorities: "bundle/web/ca".into(),
        max_depth,
        only_leaf_revocations: is_lax,
        accepts_untrusted: is_lax,
    })
}

/// One chain for each way to ask.
pub fn chains() -> Vec<(Arc<str>, Part)> {
    let told = ForwardedCertificate {
        subject: true,
        uri: true,
        ..ForwardedCertificate::default()
    };
    let asked = [
        (true, by(None, false), None),
        (false, by(Some(2), true), None),
        (true, None, Some(told)),
    ];
    let asking =
        asked
            .into_iter()
            .enumerate()
            .map(|(index, (is_required, verification, forwarded))| {
                let clients = ClientCertificates {
                    is_required,
                    verification,
                    forwarded,
                };
                TlsServer {
                    clients: Some(Box::new(clients)),
                    ..tls_server(&format!("web/clients-{index}"), &["web/shop"])
                }
            });
    let chosen = TlsServer {
        parameters: TlsParameters {
            cipher_suites: vec![CipherSuite::new("ECDHE-RSA-AES256-GCM-SHA384").unwrap()],
            groups: vec![Group::new("X25519").unwrap(), Group::new("P-256").unwrap()],
            ..TlsParameters::default()
        },
        alpn: Alpn::Http1,
        ..tls_server("web/chosen", &["web/shop"])
    };
    let servers: Vec<TlsServer> = asking.chain([chosen]).collect();
    let chain = |server| filter_chain::filter_chain(listener::HTTPS, server, None);
    servers.iter().map(chain).collect()
}

/// One host for each check.
pub fn hosts() -> Vec<(Arc<str>, Part)> {
    [
        ("shown.example.com", ClientCheck::Presented),
        ("*.verified.example.com", ClientCheck::Validated),
    ]
    .map(|(host, check)| {
        let host = VirtualHost {
            client_check: Some(check),
            ..virtual_host(host, all_to("web/shop:80"))
        };
        route::virtual_host(&host, TLS)
    })
    .into()
}

pub fn bundle() -> TrustBundle {
    let pem = include_bytes!("authority.pem");
    TrustBundle {
        name: "bundle/web/ca".into(),
        certificates: CaCertificates::from_pem("ca.crt", pem).unwrap(),
        revocations: None,
        source: source(Kind::Secret, "ca"),
    }
}
