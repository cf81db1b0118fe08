//! Between Envoy and its controller: counts what Envoy gets.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// Passes bytes on both ways, as long as the runtime lives.
pub(crate) struct Counted {
    bytes: Arc<AtomicU64>,
    address: Option<SocketAddr>,
}

impl Counted {
    /// Listens on a socket for the server of another one.
    pub(crate) fn unix(at: &Path, server: &Path) -> Self {
        let listener = UnixListener::bind(at).unwrap();
        let (bytes, server) = (Arc::<AtomicU64>::default(), server.to_owned());
        let counter = bytes.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                if let Ok(far) = UnixStream::connect(&server).await {
                    pass(near.into_split(), far.into_split(), &counter);
                }
            }
        });
        let address = None;
        Self { bytes, address }
    }

    /// Listens on a port of its own for the server of another one.
    pub(crate) async fn tcp(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = Some(listener.local_addr().unwrap());
        let bytes = Arc::<AtomicU64>::default();
        let counter = bytes.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                if let Ok(far) = TcpStream::connect(server).await {
                    for stream in [&near, &far] {
                        let _ = stream.set_nodelay(true);
                    }
                    pass(near.into_split(), far.into_split(), &counter);
                }
            }
        });
        Self { bytes, address }
    }

    /// Where Envoy connects, if it is by TCP.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// What Envoy has got so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// How a connection ends is for the other end to see.
fn pass<R, W, S, T>(near: (R, W), far: (S, T), counter: &Arc<AtomicU64>)
where
    R: AsyncRead + Unpin + Send + 'static,
    W: AsyncWrite + Unpin + Send + 'static,
    S: AsyncRead + Unpin + Send + 'static,
    T: AsyncWrite + Unpin + Send + 'static,
{
    let ((mut near_in, mut near_out), (mut far_in, mut far_out)) = (near, far);
    tokio::spawn(async move { tokio::io::copy(&mut near_in, &mut far_out).await });
    let counter = counter.clone();
    tokio::spawn(async move {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(length @ 1..) = far_in.read(&mut buffer).await {
            counter.fetch_add(u64::try_from(length).unwrap(), Ordering::Relaxed);
            if near_out.write_all(&buffer[..length]).await.is_err() {
                return;
            }
        }
    });
}
