//! Headers by which one part of Envoy tells another something. No client can send them, and no object can have them set
//! ([`crate::model::HeaderName::PRIVATE`]). Route tables remove them, so no back end sees them; but those of routes whose
//! redirects are followed see of which table the request is, as the request that follows is found by what they were sent
//! ([`super::filters`]).

/// The server name of the connection.
pub(super) const SERVER_NAME: &str = "x-isobath-server-name";

/// The key of the scope, where that is not the server name.
pub(super) const SCOPE: &str = "x-isobath-scope";

/// Which page a request of Envoy's own asks for ([`super::filters`]).
pub(super) const PAGE: &str = "x-isobath-page";

/// What all route tables remove.
pub(super) const OF_ALL: [&str; 1] = [PAGE];

/// What route tables of TLS remove.
pub(super) const OF_TLS: [&str; 3] = [PAGE, SCOPE, SERVER_NAME];
