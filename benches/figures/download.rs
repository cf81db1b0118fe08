//! A client that only downloads: the same lists at the same time as the control plane, and every byte thrown away.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use futures::future::try_join_all;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::objects::Kind;

/// The end of a streaming list.
const END: &[u8] = b"k8s.io/initial-events-end";

/// Downloads all kinds and returns.
pub async fn run(api: SocketAddr) -> Result<()> {
    try_join_all(Kind::ALL.map(|kind| tokio::spawn(list(api, kind))))
        .await?
        .into_iter()
        .collect()
}

async fn list(api: SocketAddr, kind: Kind) -> Result<()> {
    let connection = TcpStream::connect(api).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(connection)).await?;
    tokio::spawn(connection);
    let path = kind.path();
    let request = http::Request::get(format!("{path}?watch=true&sendInitialEvents=true"))
        .header("host", "stub")
        .body(Empty::<Bytes>::new())?;
    let mut body = sender.send_request(request).await?.into_body();
    loop {
        let frame = body.frame().await.context("a list without end")??;
        let bytes = frame.into_data().unwrap_or_default();
        // The bookmark is the last line: only the tail of what came can hold it.
        let tail = &bytes[bytes.len().saturating_sub(512)..];
        if tail.windows(END.len()).any(|window| window == END) {
            return Ok(());
        }
    }
}
