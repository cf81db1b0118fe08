//! What is asked of requests, and changed of them, besides the route that they take.
//!
//! A filter that guards something never opens what it can't guard: whoever makes the model has a route that lacks what its
//! filter needs (a key, a rule that can be read, a service) answer 5xx instead, and has no such filter here. A service that
//! does not answer is the filter's own matter, which says whether it fails closed.

mod address;
mod authorization;
mod compression;
mod cors;
mod error_page;
mod global_rate_limit;
mod guard;
mod header_change;
mod jwt;
mod local_rate_limit;
mod request_text;
mod status;

use std::num::NonZeroU64;
use std::sync::Arc;

use crate::model::regex::Expression;
use crate::model::trace::RouteTracing;

pub use address::{AddressRules, AddressSource, Cidr};
pub use authorization::{
    AskedBody, Authorization, Authorizer, GrpcAuthorizer, HttpAuthorizer, Unanswered,
};
pub use compression::{Algorithm, Compression};
pub use cors::{Cors, Origins};
pub use error_page::{BackendPage, ErrorPages, LiteralPage, Page};
pub use global_rate_limit::{Descriptor, DescriptorEntry, DescriptorValue, GlobalRateLimit};
pub use guard::{
    AnswerCache, BasicAuthentication, Destination, Guard, GuardAddresses, SignIn, Subrequest,
};
pub use header_change::{DynamicValue, HeaderChange, HeaderMode, HeaderPart, PlainName};
pub use jwt::{
    Claim, JwtKeys, JwtProvider, JwtProviders, JwtRequirement, PublicKeys, RemoteKeys, TokenSource,
};
pub use local_rate_limit::{LocalRateLimit, Rejection, RequestKey};
pub use request_text::{RequestText, RequestTextPart, RequestVariable};

/// The filters of one route. A request meets them in the order of the fields; those of its host
/// ([`HostFilters`]) come after the addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Filters {
    /// Whether its requests are left out of the access log. They are counted all the same.
    pub is_not_logged: bool,
    /// How its requests are traced, where the operator has any traced.
    pub tracing: Option<RouteTracing>,
    /// What the span of a request is called instead of its host, where it is traced.
    pub operation: Option<Arc<str>>,
    /// Which pages of other origins may use the route. Preflights are answered here, as they bring no credentials.
    pub cors: Option<Cors>,
    /// How many requests the route takes; all of these are asked.
    pub local_rate_limits: Vec<LocalRateLimit>,
    /// From which addresses it takes any.
    pub addresses: Option<AddressRules>,
    /// What the subject of the client's certificate must be like as a whole (RFC 2253); else the answer is 403. Who shows none
    /// has an empty one.
    pub client_subject: Option<Expression>,
    /// Whether the limits that Envoy itself counts for the host are not for this route.
    pub ignores_host: bool,
    /// Which token a request must bring. Where the host has nobody who issues one, no request passes.
    pub jwt: Option<JwtRequirement>,
    /// How many bytes a request's body may have; a longer one is answered 413. It streams: nothing is kept of it.
    /// Envoy has a line on its own log for each that is refused. Takes 1.40; 1.39 refuses the host, which is then not served.
    pub max_body: Option<NonZeroU64>,
    /// Who is asked about each request.
    pub authorization: Option<Authorization>,
    /// How many requests the route takes as a service counts them, besides what it counts for the host.
    pub global_rate_limit: Option<GlobalRateLimit>,
    /// Whether what a service counts for the host is not for this route: the route's own counts stand alone then.
    pub ignores_global_limit: bool,
    /// What clients see instead of errors.
    pub error_pages: Option<ErrorPages>,
    /// Whether browsers may speak gRPC-Web to a back end that speaks gRPC.
    pub grpc_web: bool,
    /// How answers are compressed. Takes 1.40; 1.39 refuses the host.
    pub compression: Option<Compression>,
    /// Changes of the request's headers on its way to the back end, after the route's literal ones.
    pub request_headers: Vec<HeaderChange>,
    /// Changes of the answer's headers, those of Envoy's own answers on the route included.
    pub response_headers: Vec<HeaderChange>,
}

impl Filters {
    /// The clusters that are asked about requests, or for pages.
    pub fn clusters(&self) -> impl Iterator<Item = &Arc<str>> {
        let asked = self.authorization.iter().filter_map(Authorization::cluster);
        let counted = self.global_rate_limit.iter().map(|limit| &limit.cluster);
        let pages = self.error_pages.iter().flat_map(ErrorPages::clusters);
        asked.chain(counted).chain(pages)
    }

    /// What SDS delivers for it to who is asked: the name of its passwords.
    #[must_use]
    pub fn credentials(&self) -> Option<&Arc<str>> {
        let Authorizer::Guard(guard) = &self.authorization.as_ref()?.authorizer else {
            return None;
        };
        Some(&guard.basic.as_ref()?.credentials)
    }
}

/// The filters that all routes of a host share: what they count or keep is one for all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct HostFilters {
    /// How many requests the host takes; all of these are asked.
    pub local_rate_limits: Vec<LocalRateLimit>,
    /// Who issues the tokens that routes ask for.
    pub jwt_providers: JwtProviders,
    /// How many requests the host takes as a service counts them. It is asked after everything else that guards.
    pub global_rate_limit: Option<GlobalRateLimit>,
}

impl HostFilters {
    /// The clusters that are asked, and that keys are fetched from.
    pub fn clusters(&self) -> impl Iterator<Item = &Arc<str>> {
        let providers = self.jwt_providers.iter();
        let keys = providers.filter_map(|(_, provider)| match &provider.keys {
            JwtKeys::Remote(keys) => Some(&keys.cluster),
            JwtKeys::Inline(_) => None,
        });
        keys.chain(self.global_rate_limit.iter().map(|limit| &limit.cluster))
    }
}
