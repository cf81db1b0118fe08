//! A client of HTTP/3 (quinn and h3), with any server name.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use h3::client::SendRequest;
use h3::error::{Code, StreamError};
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
    pub async fn try_send(&mut self, request: Request<()>) -> Result<Answer, StreamError> {
        let answer = tokio::time::timeout(PATIENCE, self.exchange(request)).await;
        answer.expect("no answer in time")
    }

    async fn exchange(&mut self, request: Request<()>) -> Result<Answer, StreamError> {
        let mut stream = self.requests.send_request(request).await?;
        match stream.finish().await {
            // The answer was whole before the request's end: Envoy asks for no more of that, and the answer counts all the same
            // (RFC 9114, 4.1).
            Err(StreamError::RemoteTerminate { code, .. }) if code == Code::H3_NO_ERROR => {}
            ended => ended?,
        }
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

    /// Asks for a tunnel; the status, and where it is 200 what comes through it up to this text, when this is sent.
    ///
    /// By hand: h3 sends scheme and path with every request, which a request for a tunnel has none of (RFC 9114, 4.4).
    pub async fn tunnel(&mut self, authority: &str, sent: &str, end: &str) -> String {
        let through = tokio::time::timeout(PATIENCE, async {
            let (mut to, mut from) = self.connection.open_bi().await.unwrap();
            let length = u8::try_from(authority.len()).unwrap();
            // `:method: CONNECT` of the static table, and `:authority` of it with a value (RFC 9204, 4.5.2, 4.5.4).
            let head = [&[0, 0, 0xc0 | 15, 0x50, length], authority.as_bytes()].concat();
            to.write_all(&frame(HEADERS, &head)).await.unwrap();
            let head = read_frame(&mut from, HEADERS).await;
            let status = status(&head);
            if status != 200 {
                return status.to_string();
            }
            to.write_all(&frame(DATA, sent.as_bytes())).await.unwrap();
            let mut text = String::new();
            while !text.contains(end) {
                let part = read_frame(&mut from, DATA).await;
                text.push_str(&String::from_utf8_lossy(&part));
            }
            format!("200 {text}")
        });
        through.await.expect("no answer in time")
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

/// Types of frames (RFC 9114, 7.2).
const DATA: u64 = 0;
const HEADERS: u64 = 1;

fn frame(of: u64, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap();
    assert!(length < 1 << 14);
    let of = u8::try_from(of).unwrap();
    // A length of two bytes (RFC 9000, 16).
    [&[of], &(length | 1 << 14).to_be_bytes()[..], content].concat()
}

/// The content of the next frame of this type.
async fn read_frame(from: &mut quinn::RecvStream, wanted: u64) -> Vec<u8> {
    loop {
        let of = read_number(from).await;
        let length = usize::try_from(read_number(from).await).unwrap();
        let mut content = vec![0; length];
        from.read_exact(&mut content).await.unwrap();
        if of == wanted {
            return content;
        }
    }
}

async fn read_number(from: &mut quinn::RecvStream) -> u64 {
    let mut first = [0];
    from.read_exact(&mut first).await.unwrap();
    let more = (1 << (first[0] >> 6)) - 1;
    let mut number = u64::from(first[0] & 0x3f);
    for _ in 0..more {
        let mut next = [0];
        from.read_exact(&mut next).await.unwrap();
        number = number << 8 | u64::from(next[0]);
    }
    number
}

/// The status that a block of fields begins with, of those that the static table has (RFC 9204, appendix A).
fn status(block: &[u8]) -> u16 {
    match block {
        [0, 0, 0xd9, ..] => 200,
        [0, 0, 0xdb, ..] => 404,
        [0, 0, 0xdc, ..] => 503,
        [0, 0, 0xff, 5, ..] => 403,
        [0, 0, 0xff, 6, ..] => 421,
        other => panic!("{other:?}"),
    }
}
