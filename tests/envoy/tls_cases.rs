//! TLS servers that ask for more than most, for the golden files.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use isobath::envoy::{filter_chain, listener, route, server_name};
use isobath::model::{
    AddressRules, AddressSource, Alpn, Cidr, CipherSuite, ClientCertificates, ClientCheck,
    ClientVerification, ForwardedCertificate, Forwarding, Group, Host, Share, TcpServer,
    TlsParameters, TlsServer, TrustBundle, VirtualHost,
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

/// Connections whose TLS ends here and whose application is TCP, and such as are taken from some addresses only.
pub fn forwarded() -> Vec<(Arc<str>, Part)> {
    let share = |(cluster, weight): (&str, u32)| Share {
        cluster: cluster.into(),
        weight,
    };
    let forwarding = Forwarding {
        shares: [("web/a", 70), ("web/b", 30)].map(share).into(),
        refused: 0,
        hash_source_ip: false,
        idle_timeout: Some(Duration::from_secs(9001)),
    };
    let range = |text| (AddressSource::Client, Cidr::new(text).unwrap());
    let peer = (AddressSource::Peer, Cidr::new("192.0.2.1").unwrap());
    let few = AddressRules::allow(vec![range("10.0.0.0/8")]).but_not(vec![peer]);
    let clients = |verification| {
        Some(Box::new(ClientCertificates {
            is_required: true,
            verification,
            forwarded: Some(ForwardedCertificate::default()),
        }))
    };
    let owner = source(Kind::HttpProxy, "tcp");
    [
        ("a.example.com", None, None),
        ("*.example.com", clients(by(None, false)), Some(&few)),
    ]
    .into_iter()
    .flat_map(|(host, clients, addresses)| {
        let host = Host::new(host);
        let server = TcpServer::new(
            vec!["web/shop".into()],
            TlsParameters::default(),
            clients,
            source(Kind::Secret, "shop"),
            forwarding.clone(),
        )
        .unwrap();
        let owners = BTreeSet::from([&owner.object]);
        let (name, key, part) = filter_chain::tcp(&host, &server, addresses, owners);
        [
            (key, part),
            server_name::of_addresses(&host, &name, addresses),
        ]
    })
    .collect()
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
        revocations_source: None,
    }
}
