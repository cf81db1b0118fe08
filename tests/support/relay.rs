//! Between Envoy and the control plane's socket: passes bytes on, until it is cut off as by a network that fails. Neither
//! end knows of it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tokio::io::copy_bidirectional;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{JoinHandle, JoinSet};

/// A running relay; dropping it closes its socket and all connections.
#[derive(Debug)]
pub(crate) struct Relay {
    socket: PathBuf,
    /// The connections; `None` while it is cut.
    open: Arc<Mutex<Option<JoinSet<()>>>>,
    task: JoinHandle<()>,
}

impl Relay {
    /// Listens in this directory, for the server on the socket `server`.
    pub(crate) fn start(directory: &Path, server: &Path) -> Self {
        let socket = directory.join("relay.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let open = Arc::new(Mutex::new(Some(JoinSet::new())));
        let (server, connections) = (server.to_owned(), open.clone());
        let task = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                // While it is cut, what connects is closed at once.
                if let Some(open) = connections.lock().unwrap().as_mut() {
                    open.spawn(pass(near, server.clone()));
                }
            }
        });
        Self { socket, open, task }
    }

    /// Where Envoy connects.
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Ends all connections, and lets none through until [`Relay::mend`].
    pub(crate) fn cut(&self) {
        *self.open.lock().unwrap() = None;
    }

    /// Lets connections through again.
    pub(crate) fn mend(&self) {
        *self.open.lock().unwrap() = Some(JoinSet::new());
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.cut();
        self.task.abort();
    }
}

/// Until one of both ends.
async fn pass(mut near: UnixStream, server: PathBuf) {
    if let Ok(mut far) = UnixStream::connect(&server).await {
        let _ = copy_bidirectional(&mut near, &mut far).await;
    }
}
