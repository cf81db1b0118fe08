//! A kubelet's port-forward over a WebSocket, as `kube` asks for one (`v4.channel.k8s.io`,
//! `kubelet/pkg/cri/streaming/portforward/websocket.go`): to a port of this machine's loopback address.
//!
//! Use it with `#[path = "../support/port_forward.rs"] mod port_forward;`, beside `node`.
#![allow(clippy::unwrap_used)]

use std::net::Ipv4Addr;

use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::node::{refusal, websocket};

const CHANNELS: &str = "v4.channel.k8s.io";

/// The channels of the first port.
const DATA: u8 = 0;
const ERROR: u8 = 1;

/// Carries one port of a pod, whose address is this machine's.
pub fn answer(request: Request<Incoming>) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    let query = request.uri().query().unwrap_or_default();
    let mut pairs = query.split('&');
    let port = pairs.find_map(|pair| pair.strip_prefix("port=")?.parse().ok());
    let Some(port) = port.filter(|_| path.starts_with("/portForward/")) else {
        return refusal(format!("no {} in this pod", request.uri()));
    };
    websocket(request, CHANNELS, move |stream| async move {
        let socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
        carry(socket, port).await;
    })
}

async fn carry<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(
    mut socket: WebSocketStream<S>,
    port: u16,
) {
    let message = |channel: u8, bytes: &[u8]| Message::binary([&[channel], bytes].concat());
    // The port of each channel comes first.
    for channel in [DATA, ERROR] {
        let port = port.to_le_bytes();
        socket.send(message(channel, &port)).await.unwrap();
    }
    let mut stream = match TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await {
        Ok(stream) => stream,
        Err(error) => {
            let says = format!("can't connect to port {port}: {error}");
            let _ = socket.send(message(ERROR, says.as_bytes())).await;
            let _ = socket.close(None).await;
            return;
        }
    };
    let mut read = [0; 4096];
    loop {
        tokio::select! {
            came = socket.next() => match came {
                Some(Ok(Message::Binary(bytes))) if bytes.first() == Some(&DATA) => {
                    if stream.write_all(&bytes[1..]).await.is_err() {
                        break;
                    }
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => break,
                Some(Ok(_)) => {}
            },
            length = stream.read(&mut read) => match length {
                Ok(length) if length > 0 => {
                    if socket.send(message(DATA, &read[..length])).await.is_err() {
                        break;
                    }
                }
                _ => break,
            },
        }
    }
    let _ = socket.close(None).await;
}
