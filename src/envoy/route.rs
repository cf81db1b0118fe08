//! Route tables: one for clear text, and one for each TLS server.

use std::collections::BTreeSet;
use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use envoy_types::pb::envoy::config::route::v3::{self as pb, HeaderMatcher};
use prost::Message as _;

use super::direct_response::direct_response;
use super::edge::{Edge, PathParameters};
use super::encode::{bool_value, encoded_part, nested, own_part, reference, u64_value};
use super::server_name::with_dot;
use super::{
    cross_origin, filters, forward, header, http3, ingress_metrics, opentelemetry, path,
    private_header, request_headers, retry, route_action, route_match, shares,
};
use crate::model::{
    Filters, HeaderChange, HeaderModifier, Host, Http3, PathMatch, Redirect, Route, RouteAction,
    RouteMatch, VirtualHost,
};
use crate::xds::{Encoded, Part, Reference, ResourceType};

/// Bytes of a request's body that are kept for another try. It must hold what a client can send while the next try waits
/// (a millisecond at most, see the bootstrap): Envoy reads on meanwhile, and answers 507 to a body that outgrows this.
/// Measured from loopback with bodies of 40 kB to 10 MB and one of two endpoints refusing: with 64 KiB one in a hundred
/// is 507, with 128 KiB none; with the connection's 32 KiB it was every second. A body that is longer goes through.
const RETRY_BUFFER: u64 = 128 * 1024;

/// `RouteConfiguration.virtual_hosts`, `VirtualHost.routes`, `Route.metadata`: what is put together from encoded parts.
const VIRTUAL_HOSTS: u32 = 2;
const ROUTES: u32 = 3;
const METADATA: u32 = 4;

/// For which table a virtual host is rendered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableOptions {
    /// A table of TLS. It decides whether a name that only Envoy's wide idea of a wildcard brings here is misdirected
    /// (421) or unknown (404).
    pub tls: bool,
    /// A wildcard stands for names of any depth, as to Envoy itself.
    pub any_depth: bool,
    /// Routes have the labels that [`super::edge::Edge::ingress_metrics`] counts by. They cost Envoy about 10 µs a
    /// route whenever the table changes (1.40), so they are not there for nobody.
    pub ingress_metrics: bool,
}

/// The fields that every table of a listener has, whatever its hosts are, encoded once: there is a table for each TLS server.
#[derive(Clone, Debug)]
pub struct TableHead(Arc<[u8]>);

impl TableHead {
    /// The head of the table for clear text that these flags ask for.
    #[must_use]
    pub fn http(edge: &Edge) -> Self {
        Self(Self::common(edge).encode_to_vec().into())
    }

    /// The head of the tables of TLS servers.
    #[must_use]
    pub fn https(edge: &Edge) -> Self {
        Self(Self::of_tls(edge).encode_to_vec().into())
    }

    /// The same of TLS servers whose hosts are reached by HTTP/3 too, which answers tell. A back end's own word would be about
    /// other ports than these.
    #[must_use]
    pub fn with_http3(edge: &Edge, http3: Http3) -> Self {
        let advertised = http3::alt_svc(http3);
        let table = pb::RouteConfiguration {
            response_headers_to_add: vec![header::set("alt-svc", &advertised)],
            ..Self::of_tls(edge)
        };
        Self(table.encode_to_vec().into())
    }

    fn of_tls(edge: &Edge) -> pb::RouteConfiguration {
        pb::RouteConfiguration {
            request_headers_to_remove: private_header::OF_TLS.map(str::to_owned).into(),
            ..Self::common(edge)
        }
    }

    fn common(edge: &Edge) -> pb::RouteConfiguration {
        pb::RouteConfiguration {
            // `a.example.com:8443` is `a.example.com`, and the back end sees what the client sent.
            ignore_port_in_host_matching: true,
            // Unless asked for, `/a;x=1` is matched as it is, as Kubernetes compares elements: what follows the
            // semicolon stays a part of the element in the route and in the back end alike.
            ignore_path_parameters_in_path_matching: edge.path_parameters == PathParameters::Ignore,
            request_headers_to_add: request_headers::added(edge),
            request_headers_to_remove: private_header::OF_ALL.map(str::to_owned).into(),
            // These first, then what routes set.
            most_specific_header_mutations_wins: true,
            // `validate_clusters` stays unset (false by RDS): a missing cluster costs its own routes a 503, not the table.
            ..Default::default()
        }
    }

    /// The head of the table of that name: [`super::listener::HTTP`] for clear text, [`crate::model::TlsServer::name`] for
    /// TLS. Alone it is an empty table, which answers 404.
    #[must_use]
    pub fn named(&self, name: &str) -> Part {
        let Self(tail) = self;
        let table = pb::RouteConfiguration {
            name: name.to_owned(),
            ..Default::default()
        };
        let bytes = Encoded::with_tail(table.encode_to_vec(), tail.clone());
        encoded_part(bytes, BTreeSet::new(), BTreeSet::new())
    }
}

/// A virtual host that answers 421 for a host that its TLS server does not serve, with its key among the table's parts.
///
/// Every TLS table has it for [`Host::any`], so that a request on a connection for one tenant's certificate never
/// sees another tenant's routes, and a browser that coalesces connections opens its own. A table with a wildcard
/// has [`for_own_name`] for each exact host below the wildcard that another server serves: else the wildcard's routes
/// would answer in its name. The key is the host's, so a host that the table does serve takes its place.
#[must_use]
pub fn misdirected(host: &Host) -> (Arc<str>, Part) {
    let table = pb::RouteConfiguration {
        virtual_hosts: vec![pb::VirtualHost {
            name: host.to_string(),
            domains: vec![host.to_string()],
            routes: vec![answer(route_match::everything(), 421)],
            ..Default::default()
        }],
        ..Default::default()
    };
    (host.shared(), own_part(&table, BTreeSet::new()))
}

/// A virtual host that answers 421 for a host that is another listener's.
#[must_use]
pub fn misdirected_elsewhere(host: &Host) -> Part {
    let table = pb::RouteConfiguration {
        virtual_hosts: vec![pb::VirtualHost {
            name: format!("{MISDIRECTED}{host}"),
            domains: vec![host.to_string()],
            routes: vec![answer(route_match::everything(), 421)],
            ..Default::default()
        }],
        ..Default::default()
    };
    own_part(&table, BTreeSet::new())
}

/// What the name of such a virtual host begins with. No host has it.
const MISDIRECTED: &str = ">misdirected:";

/// A virtual host in the table of the wildcard above it, which another TLS server serves: for connections that were opened
/// for this very host when only the wildcard stood for it. All others are misdirected. `None` for what is no virtual host.
#[must_use]
pub fn for_own_name(host: &Host, part: &Part) -> Option<Part> {
    let name = host.as_str();
    let own = [name.to_owned(), with_dot(name)].map(|name| HeaderMatcher {
        invert_match: true,
        ..route_match::exact_header(private_header::SERVER_NAME, &name)
    });
    let mut matches = route_match::everything();
    matches.headers = own.into();
    let table = part.bytes.to_bytes();
    let mut rest = &*table;
    prost::encoding::decode_key(&mut rest).ok()?;
    let length = prost::encoding::decode_varint(&mut rest).ok()?;
    let content = rest.get(..usize::try_from(length).ok()?)?;
    let elsewhere = first(
        matches,
        421,
        filters::has_some(content),
        has_tunnels(content),
    );
    // Fields come in any order, routes in theirs.
    let bytes = [&*elsewhere, content].concat();
    Some(Part {
        bytes: nested(VIRTUAL_HOSTS, &bytes).into(),
        references: part.references.clone(),
        owners: part.owners.clone(),
    })
}

/// The fragment of a table that holds one virtual host, and its key among the table's parts: the host.
#[must_use]
pub fn virtual_host(host: &VirtualHost, options: TableOptions) -> (Arc<str>, Part) {
    let name = host.host.as_str();
    let forwards = |route: &Route| matches!(route.action, RouteAction::Forward(_));
    let retries = host.routes.iter().any(uses_default_retry);
    let head = pb::VirtualHost {
        name: name.to_owned(),
        domains: vec![name.to_owned()],
        retry_policy: retries.then(retry::default_retry),
        request_body_buffer_limit: host
            .routes
            .iter()
            .any(forwards)
            .then_some(u64_value(RETRY_BUFFER)),
        ..Default::default()
    };
    let mut bytes = head.encode_to_vec();
    bytes.extend(filters::of_host(host));
    bytes.extend(pages(host));
    let has_filters = host.filters.is_some();
    let is_tunnel = |route: &Route| route.matches.path == PathMatch::Connect;
    let has_tunnels = host.routes.iter().any(is_tunnel);
    let suffix = host.host.wildcard_suffix();
    if let Some(suffix) = suffix.filter(|_| !options.any_depth) {
        // The dots of the suffix and the label of the star. One look at the host, before all routes.
        let labels = suffix.matches('.').count() + 1;
        let mut matches = route_match::everything();
        matches.headers = vec![route_match::other_label_count(labels)];
        let status = if options.tls { 421 } else { 404 };
        bytes.extend(first(matches, status, has_filters, has_tunnels));
    }
    if let Some(check) = host.client_check {
        let matches = route_match::without_certificate(check);
        bytes.extend(first(matches, 421, has_filters, has_tunnels));
    }
    for (index, route) in host.routes.iter().enumerate() {
        let labels = options
            .ingress_metrics
            .then(|| nested(METADATA, &ingress_metrics::metadata(&host.host, route)));
        let configs = filters::of_route(host, index, route);
        let of_route = route.filters.as_deref();
        let cors = of_route.and_then(|it| Some((it, it.cors.as_ref()?)));
        let mut put = |rendered: &pb::Route, configs: &[u8]| {
            let mut rendered = rendered.encode_to_vec();
            rendered.extend(labels.iter().flatten());
            rendered.extend(configs);
            bytes.extend(nested(ROUTES, &rendered));
        };
        for rendered in envoy_routes(route) {
            if let Some((of_route, cors)) = cors {
                for variant in cross_origin::variants(&rendered, cors) {
                    match variant.is_preflight {
                        true => put(&variant.route, &filters::of_preflights(host, of_route)),
                        false => put(&variant.route, &configs),
                    }
                }
            }
            put(&rendered, &configs);
        }
    }
    let owners = host
        .routes
        .iter()
        .map(|route| &route.source.object)
        .collect();
    (
        host.host.shared(),
        encoded_part(nested(VIRTUAL_HOSTS, &bytes), clusters(host), owners),
    )
}

/// Routes for the pages that back ends have, which only Envoy's own requests for them take. They are before all others, and
/// have no labels: what is counted is the answer that the client asked for.
fn pages(host: &VirtualHost) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (index, route) in host.routes.iter().enumerate() {
        let Some(filters) = route.filters.as_deref() else {
            continue;
        };
        for (place, page) in filters::pages_of_backends(&host.host, route) {
            let action = RouteAction::Forward(page.to.clone());
            let asked = Route {
                matches: RouteMatch::path(PathMatch::PathPrefix("/".into())),
                action,
                request_headers: HeaderModifier::default(),
                response_headers: route.response_headers.clone(),
                filters: None,
                source: route.source.clone(),
            };
            let key = filters::page_key(&host.host, index, place);
            let by_key = route_match::exact_header(private_header::PAGE, &key);
            let configs = filters::of_page(host, filters, page, &asked);
            for mut rendered in envoy_routes(&asked) {
                if let Some(matches) = &mut rendered.r#match {
                    matches.headers.push(by_key.clone());
                }
                let mut rendered = rendered.encode_to_vec();
                rendered.extend(&configs);
                bytes.extend(nested(ROUTES, &rendered));
            }
        }
    }
    bytes
}

/// The key of the part that [`redirects`] makes. No host has this name.
pub const REDIRECTS: &str = ">https";

/// The fragment of the `http` table for all exact hosts that redirect every request to HTTPS, and its key: one
/// virtual host for all of them, because each virtual host of a table costs Envoy 13–19 µs whenever anything in the
/// table changes. It names no owner, so it changes with the set of hosts and with nothing else.
#[must_use]
pub fn redirects<'a>(
    hosts: impl IntoIterator<Item = &'a Host>,
    port: Option<u16>,
) -> (Arc<str>, Part) {
    let redirect = RouteAction::Redirect(Redirect::to_https(port));
    let table = pb::RouteConfiguration {
        virtual_hosts: vec![pb::VirtualHost {
            name: REDIRECTS.to_owned(),
            domains: hosts
                .into_iter()
                .map(|host| host.as_str().to_owned())
                .collect(),
            routes: vec![pb::Route {
                r#match: Some(route_match::everything()),
                action: Some(route_action::action(&redirect, path::Rewrite::None, None)),
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    };
    (REDIRECTS.into(), own_part(&table, BTreeSet::new()))
}

/// A host of redirects alone, the other half of every TLS host, does without: it costs Envoy time in each update of
/// the table.
fn uses_default_retry(route: &Route) -> bool {
    match &route.action {
        RouteAction::Forward(forward) => forward.retry.is_none() && !forward.backends.is_empty(),
        RouteAction::Redirect(_) | RouteAction::DirectResponse(_) => false,
    }
}

fn clusters(host: &VirtualHost) -> BTreeSet<Reference> {
    host.clusters()
        .map(|cluster| reference(ResourceType::Cluster, cluster))
        .collect()
}

fn envoy_routes(route: &Route) -> impl Iterator<Item = pb::Route> {
    let added = |literal, changes: fn(&Filters) -> &Vec<HeaderChange>| {
        let changes = route.filters.as_deref().map(changes).into_iter().flatten();
        let mut added = header::to_add(literal);
        added.extend(changes.map(header::change));
        added
    };
    let filters_of_route = route.filters.as_deref();
    let shares = shares::shares(&route.action).into_iter();
    shares.flat_map(move |share| {
        let action = share.action;
        let paths = path::matches(&route.matches.path, route_action::rewrite(&action));
        let gives = share.gives.map(|cookie| {
            let append = HeaderAppendAction::AppendIfExistsOrAdd;
            header::formatted("set-cookie", header::literal(&cookie), append)
        });
        paths.into_iter().map(move |(path, rewrite)| pb::Route {
            r#match: Some(pb::RouteMatch {
                runtime_fraction: share.up_to.map(forward::fraction),
                cookies: share.brings.clone().into_iter().collect(),
                ..route_match::route_match(&route.matches, path)
            }),
            action: Some(route_action::action(
                &action,
                rewrite,
                header::host(&route.request_headers),
            )),
            // For the access log, and for people: unlike metadata a name costs Envoy next to nothing.
            name: route.source.object.to_string(),
            request_headers_to_add: added(&route.request_headers, |it| &it.request_headers)
                .into_iter()
                .chain(filters::kept_headers(route))
                .collect(),
            request_headers_to_remove: header::to_remove(&route.request_headers),
            response_headers_to_add: added(&route.response_headers, |it| &it.response_headers)
                .into_iter()
                .chain(gives.clone())
                .collect(),
            response_headers_to_remove: header::to_remove(&route.response_headers),
            tracing: filters_of_route
                .and_then(|it| it.tracing.as_ref())
                .map(opentelemetry::of_route),
            decorator: filters_of_route
                .and_then(|it| it.operation.as_ref())
                .map(|operation| pb::Decorator {
                    operation: operation.to_string(),
                    // No client and no back end is told.
                    propagate: bool_value(false),
                }),
            ..Default::default()
        })
    })
}

/// What answers for all routes of a host that come after it, those for tunnels included where it has any: a match of every path
/// takes none of those. To a tunnel Envoy says 403, whatever the status is (1.40).
fn first(matches: pb::RouteMatch, status: u16, has_filters: bool, has_tunnels: bool) -> Vec<u8> {
    let tunnels = has_tunnels.then(|| route_match::of_tunnels(matches.clone()));
    let mut bytes = Vec::new();
    for matches in std::iter::once(matches).chain(tunnels) {
        let mut first = answer(matches, status).encode_to_vec();
        if has_filters {
            first.extend(filters::of_nobody());
        }
        bytes.extend(nested(ROUTES, &first));
    }
    bytes
}

/// `RouteMatch.connect_matcher`, encoded. Other bytes may look like it.
const CONNECT_MATCHER: [u8; 2] = [0x62, 0];

/// Whether an encoded virtual host has routes for tunnels.
fn has_tunnels(virtual_host: &[u8]) -> bool {
    // Most have none, and need not be decoded for that.
    if memchr::memmem::find(virtual_host, &CONNECT_MATCHER).is_none() {
        return false;
    }
    let is_tunnel = |route: &pb::Route| route.r#match.as_ref().is_some_and(route_match::is_tunnel);
    pb::VirtualHost::decode(virtual_host).map_or(true, |host| host.routes.iter().any(is_tunnel))
}

fn answer(matches: pb::RouteMatch, status: u16) -> pb::Route {
    pb::Route {
        r#match: Some(matches),
        action: Some(direct_response(status, None)),
        ..Default::default()
    }
}
