//! Who may connect, and flags that do not go together.

use clap::Parser;
use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryRequest;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use isobath::xds::ResourceType;
use isobath::xds::server::BindError;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

use super::server::{Cli, Server, snapshot};

/// What mutual TLS needs, made for a test.
struct Authority {
    certificate: rcgen::Certificate,
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let certificate = parameters.self_signed(&key).unwrap();
        Self {
            certificate,
            issuer: rcgen::Issuer::new(parameters, key),
        }
    }

    /// Certificate and key in PEM.
    fn issue(&self, name: &str) -> (String, String) {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(vec![name.into()])
            .unwrap()
            .signed_by(&key, &self.issuer)
            .unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}

/// Mutual TLS: known clients only, and certificates are followed as they change.
#[tokio::test]
async fn mutual_tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let (old, new) = (Authority::new(), Authority::new());
    let install = |authority: &Authority| {
        let (certificate, key) = authority.issue("isobath");
        std::fs::write(path("tls.crt"), certificate).unwrap();
        std::fs::write(path("tls.key"), key).unwrap();
        std::fs::write(path("ca.crt"), authority.certificate.pem()).unwrap();
    };
    install(&old);
    let flag = |name: &str, file: &str| format!("--xds-tls-{name}={}", path(file).display());
    let server = Server::start(&[
        "--xds-address=127.0.0.1:0",
        &flag("cert", "tls.crt"),
        &flag("key", "tls.key"),
        &flag("client-ca", "ca.crt"),
    ])
    .await;
    server.publish(&snapshot(&[(ResourceType::Cluster, "a", "1")]));
    let served = async |trusted: &Authority, identity: Option<(String, String)>| {
        let mut tls = ClientTlsConfig::new()
            .domain_name("isobath")
            .ca_certificate(Certificate::from_pem(trusted.certificate.pem()));
        if let Some((certificate, key)) = identity {
            tls = tls.identity(Identity::from_pem(certificate, key));
        }
        let channel = Endpoint::from_shared(format!("https://{}", server.address))
            .unwrap()
            .tls_config(tls)
            .unwrap()
            .connect()
            .await
            .ok()?;
        let (requests, receiver) = mpsc::channel(1);
        requests
            .send(DeltaDiscoveryRequest {
                type_url: ResourceType::Cluster.type_url().into(),
                ..DeltaDiscoveryRequest::default()
            })
            .await
            .unwrap();
        let mut responses = AggregatedDiscoveryServiceClient::new(channel)
            .delta_aggregated_resources(ReceiverStream::new(receiver))
            .await
            .ok()?
            .into_inner();
        responses.message().await.ok().flatten()
    };
    assert!(served(&old, Some(old.issue("envoy"))).await.is_some());
    assert!(served(&old, None).await.is_none(), "no certificate");
    assert!(
        served(&old, Some(new.issue("envoy"))).await.is_none(),
        "a stranger's certificate"
    );

    // In the midst of a rotation the old ones go on; then the new ones are used, without a restart.
    std::fs::write(path("tls.crt"), "half a certificate").unwrap();
    assert!(served(&old, Some(old.issue("envoy"))).await.is_some());
    install(&new);
    assert!(served(&new, Some(new.issue("envoy"))).await.is_some());
    assert!(served(&old, Some(old.issue("envoy"))).await.is_none());
    server.stop().await;
}

/// Wrong flags end in one sentence.
#[tokio::test]
async fn wrong_flags() {
    let bind = async |flags: &[&str]| -> BindError {
        let line = std::iter::once(&"test").chain(flags);
        Cli::try_parse_from(line)
            .unwrap()
            .args
            .bind()
            .await
            .unwrap_err()
    };
    let error = bind(&["--xds-address=0.0.0.0:0"]).await.to_string();
    assert!(
        error.contains("other hosts") && error.contains("--xds-tls-cert"),
        "{error}"
    );
    let error = bind(&["--xds-address=127.0.0.1:0", "--xds-tls-cert=/x"])
        .await
        .to_string();
    assert!(error.contains("go together"), "{error}");
    let error = bind(&[
        "--xds-address=127.0.0.1:0",
        "--xds-tls-cert=/nowhere/tls.crt",
        "--xds-tls-key=/nowhere/tls.key",
        "--xds-tls-client-ca=/nowhere/ca.crt",
    ])
    .await
    .to_string();
    assert!(error.contains("/nowhere/tls.crt"), "{error}");
    assert!(Cli::try_parse_from(["test", "--xds-address=nonsense"]).is_err());
    assert!(Cli::try_parse_from(["test", "--xds-removal-grace=1ms"]).is_err());
}
