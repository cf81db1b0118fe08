//! A node's kubelet, as far as the API server needs one for `kubectl logs`, `exec` and `port-forward`: the pod is a
//! [`LocalPod`], its container `isobath` the sidecar.

use std::net::Ipv4Addr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use crate::control_plane::Identity;
use crate::local_pod::LocalPod;
use crate::node::{NodeServer, refusal, websocket};

/// The name of its node.
pub(crate) const NODE: &str = "node";

/// The protocols over a WebSocket: of commands (`apimachinery/pkg/util/remotecommand`), and of ports
/// (`apimachinery/pkg/util/portforward`).
const EXEC: &str = "v5.channel.k8s.io";
const PORTS: &str = "SPDY/3.1+portforward.k8s.io";

/// The channels of a command.
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const STATUS: u8 = 3;

/// Listens on this address for a node whose one pod this is.
pub(crate) async fn start(
    address: Ipv4Addr,
    identity: &Identity,
    pod: Arc<LocalPod>,
) -> NodeServer {
    NodeServer::start(address, identity, move |request| answer(request, &pod)).await
}

fn answer(request: Request<Incoming>, pod: &LocalPod) -> Response<Full<Bytes>> {
    let path: Vec<_> = request.uri().path().split('/').skip(1).collect();
    match path[..] {
        ["containerLogs", _, _, "isobath"] => Response::new(pod.sidecar.output().into()),
        ["exec", _, _, "isobath"] => {
            let query = request.uri().query().unwrap_or_default();
            let command: Vec<_> = query
                .split('&')
                .filter_map(|pair| pair.strip_prefix("command="))
                .map(decoded)
                .collect();
            let output = pod.command(&command).output().unwrap();
            let status = match output.status.success() {
                true => json!({"metadata": {}, "status": "Success"}),
                false => {
                    json!({"metadata": {}, "status": "Failure", "message": output.status.to_string()})
                }
            };
            let channels = [
                (STDOUT, output.stdout),
                (STDERR, output.stderr),
                (STATUS, status.to_string().into_bytes()),
            ];
            let mut frames = Vec::new();
            for (channel, content) in channels {
                for part in content.chunks(8192) {
                    frames.extend(frame(0x82, &[&[channel], part].concat()));
                }
            }
            frames.extend(frame(0x88, &1000_u16.to_be_bytes()));
            upgrade(request, EXEC, frames)
        }
        // What is forwarded is the test's to ask.
        ["portForward", _, _] => upgrade(request, PORTS, Vec::new()),
        _ => refusal(format!("no {} in this pod", request.uri())),
    }
}

/// Takes a WebSocket, writes these frames, and holds it until the peer goes.
fn upgrade(request: Request<Incoming>, protocol: &str, frames: Vec<u8>) -> Response<Full<Bytes>> {
    websocket(request, protocol, |mut stream| async move {
        let _ = stream.write_all(&frames).await;
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    })
}

/// A whole message of a server: its first byte, and at most 64 KiB.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    let head = match payload.len() {
        126.. => vec![first, 126, length[0], length[1]],
        _ => vec![first, length[1]],
    };
    [&head, payload].concat()
}

/// A value of a query.
fn decoded(text: &str) -> String {
    let mut bytes = text.bytes();
    let mut decoded = Vec::new();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(bytes.next().unwrap()).to_digit(16).unwrap();
                u8::try_from(digit() * 16 + digit()).unwrap()
            }
            other => other,
        });
    }
    String::from_utf8(decoded).unwrap()
}
