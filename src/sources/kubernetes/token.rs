//! A bearer token from a file that is replaced while the process runs, as kubelet does with the tokens
//! of service accounts (<https://kubernetes.io/docs/concepts/storage/projected-volumes/#serviceaccounttoken>).

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderValue, Request, header};
use tracing::warn;

/// Reads the token for each request: there are a few of them a minute, and a token that was replaced
/// because it leaked must not be used once more.
#[derive(Clone)]
pub(super) struct BearerFile {
    path: PathBuf,
    /// The last good one, for the moment in which the file can't be read (kubernetes/kubernetes#68164).
    last: Arc<Mutex<HeaderValue>>,
}

impl BearerFile {
    /// Reads the file for the first time.
    pub(super) fn read(path: PathBuf) -> Result<Self, String> {
        let first = header_from(&path)?;
        Ok(Self {
            path,
            last: Arc::new(Mutex::new(first)),
        })
    }

    /// Adds the token that the file holds now.
    pub(super) fn authorize<B>(&self, mut request: Request<B>) -> Request<B> {
        // A header value is whole whatever happened to another holder of the lock.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match header_from(&self.path) {
            Ok(header) => *last = header,
            Err(why) => warn!("{why}; the last one is used"),
        }
        request
            .headers_mut()
            .insert(header::AUTHORIZATION, last.clone());
        request
    }
}

fn header_from(path: &std::path::Path) -> Result<HeaderValue, String> {
    let token = std::fs::read_to_string(path)
        .map_err(|error| format!("the token file {} can't be read: {error}", path.display()))?;
    let token = token.trim();
    if token.is_empty() {
        return Err(format!("the token file {} is empty", path.display()));
    }
    let mut header = HeaderValue::try_from(format!("Bearer {token}"))
        .map_err(|_| format!("the token file {} holds no token", path.display()))?;
    header.set_sensitive(true);
    Ok(header)
}
