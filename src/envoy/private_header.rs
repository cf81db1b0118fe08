//! Headers by which one part of Envoy tells another something. No client can send them, and no back end sees them.

/// The server name of the connection.
pub(super) const SERVER_NAME: &str = "x-isobath-server-name";

/// The key of the scope, where that is not the server name.
pub(super) const SCOPE: &str = "x-isobath-scope";

/// Which page a request of Envoy's own asks for ([`super::filters`]).
pub(super) const PAGE: &str = "x-isobath-page";

/// What route tables of TLS remove.
pub(super) const OF_TLS: [&str; 2] = [SCOPE, SERVER_NAME];
