//! A client of HTTP/3 (quinn and h3), with any server name.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use h3::client::SendRequest;
use h3_quinn::OpenStreams;
use http::Request;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::rustls::pki_types::CertificateDer;
use quinn::{ClientConfig, Connection, Endpoint, TransportConfig};

use crate::client::{Answer, Identity, config, dns_names};

/// Longer than any handshake on the loopback address.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection that stays open.
pub struct Client {
    // It sends nothing any more when it is dropped.
    _endpoint: Endpoint,
    connection: Connection,
    requests: SendRequest<OpenStreams, Bytes>,
}

/// What a client has of TLS. Connections by the same take up sessions again.
pub fn client_config(sni: &str, identity: Option<Identity>) -> ClientConfig {
    let mut tls = config(Some(sni), "h3", identity);
    tls.enable_early_data = true;
    let crypto = QuicClientConfig::try_from(tls).unwrap();
    ClientConfig::new(Arc::new(crypto))
}

fn endpoint() -> Endpoint {
    Endpoint::client(([127, 0, 0, 1], 0).into()).unwrap()
}

/// A connection with this server name.
pub async fn connect(address: SocketAddr, sni: &str) -> Client {
    connect_by(address, sni, client_config(sni, None)).await
}

pub async fn connect_by(address: SocketAddr, sni: &str, config: ClientConfig) -> Client {
    let endpoint = endpoint();
    let connecting = endpoint.connect_with(config, address, sni).unwrap();
    // What could be sent before the handshake ends could be sent again by others.
    let connecting = connecting.into_0rtt().map(drop);
    let connecting = connecting.expect_err("early data is taken");
    let connection = tokio::time::timeout(PATIENCE, connecting).await;
    let connection = connection.expect("no handshake in time").unwrap();
    let quic = h3_quinn::Connection::new(connection.clone());
    let (mut driver, requests) = h3::client::new(quic).await.unwrap();
    tokio::spawn(async move { driver.wait_idle().await });
    Client {
        _endpoint: endpoint,
        connection,
        requests,
    }
}

/// Begins a handshake, and says whether it ended well within a time in which one that is answered ends.
pub async fn is_answered(address: SocketAddr, sni: &str, within: Duration) -> bool {
    let mut config = client_config(sni, None);
    let mut transport = TransportConfig::default();
    transport.max_idle_timeout(Some(within.try_into().unwrap()));
    config.transport_config(Arc::new(transport));
    let endpoint = endpoint();
    let connecting = endpoint.connect_with(config, address, sni).unwrap();
    connecting.await.is_ok()
}

impl Client {
    /// One request.
    pub async fn get(&mut self, host: &str, path: &str) -> Answer {
        let request = Request::get(format!("https://{host}{path}")).body(());
        self.send(request.unwrap()).await
    }

    pub async fn send(&mut self, request: Request<()>) -> Answer {
        self.try_send(request).await.unwrap()
    }

    /// One request over a connection that may be told to end.
    pub async fn try_send(
        &mut self,
        request: Request<()>,
    ) -> Result<Answer, h3::error::StreamError> {
        let answer = tokio::time::timeout(PATIENCE, self.exchange(request)).await;
        answer.expect("no answer in time")
    }

    async fn exchange(&mut self, request: Request<()>) -> Result<Answer, h3::error::StreamError> {
        let mut stream = self.requests.send_request(request).await?;
        stream.finish().await?;
        let response = stream.recv_response().await?;
        let mut body = Vec::new();
        while let Some(mut part) = stream.recv_data().await? {
            body.extend(part.copy_to_bytes(part.remaining()));
        }
        let headers = response.headers().iter().map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes());
            (name.to_string(), value.into_owned())
        });
        Ok(Answer {
            status: response.status().as_u16(),
            headers: headers.collect(),
            body: String::from_utf8(body).unwrap(),
        })
    }

    /// Why it is closed; `None` while it is open.
    pub fn closed(&self) -> Option<String> {
        self.connection.close_reason().map(|why| why.to_string())
    }

    /// The DNS names of the certificate that the peer showed.
    pub fn certificate_names(&self) -> Vec<String> {
        let chain = self.connection.peer_identity().unwrap();
        let chain = chain.downcast::<Vec<CertificateDer<'static>>>().unwrap();
        dns_names(&chain[0])
    }
}
