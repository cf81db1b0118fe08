//! Back ends of HTTP/1.1 that do what servers should not: close in the wrong moment, answer with too much.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::support::manifest::{Manifest, endpoint_slice, service};

/// One request: its head, and how many came by its connection, with this one.
pub(crate) struct Request<'a> {
    pub(crate) head: &'a str,
    pub(crate) nth: usize,
}

type Script = dyn Fn(Request<'_>) -> Option<String> + Send + Sync;

/// A back end that answers by a script; dropping it closes its port and its connections.
pub(crate) struct Scripted {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Scripted {
    /// The script makes the whole answer, or `None` for closing the connection without one.
    pub(crate) async fn start(
        script: impl Fn(Request<'_>) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let (seen, script): (_, Arc<Script>) = (heads.clone(), Arc::new(script));
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(serve(stream, seen.clone(), script.clone()));
            }
        });
        Self {
            address,
            heads,
            task,
        }
    }

    /// The heads of the requests that came, in their order.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    /// A Service of this name that it is the one endpoint of.
    pub(crate) fn app(&self, name: &str) -> Vec<Manifest> {
        let ip = self.address.ip().to_string();
        let slice = endpoint_slice(name, name, "", &[&ip], self.address.port(), true);
        vec![service(name), slice]
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    stream: TcpStream,
    seen: Arc<Mutex<Vec<String>>>,
    script: Arc<Script>,
) -> std::io::Result<()> {
    let mut stream = BufStream::new(stream);
    for nth in 1.. {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head).await? == 0 {
                return Ok(());
            }
        }
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            let is_length = name.eq_ignore_ascii_case("content-length");
            is_length.then(|| value.parse().ok())?
        });
        let mut body = vec![0; length.unwrap_or(0)];
        stream.read_exact(&mut body).await?;
        seen.lock().unwrap().push(head.clone());
        match script(Request { head: &head, nth }) {
            None => return Ok(()),
            Some(answer) => {
                stream.write_all(answer.as_bytes()).await?;
                stream.flush().await?;
            }
        }
    }
    Ok(())
}

/// An answer of these header lines and `ok`.
pub(crate) fn ok(lines: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{lines}content-length: 2\r\n\r\nok")
}
