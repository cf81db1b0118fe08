//! Which table a request of a TLS connection gets: by the name that the connection was opened for.
//!
//! A connection keeps its certificate; its table is that of now. So a host that gets another certificate goes on being
//! served on connections that were opened for it, while its chain drains too, and a request for a host that is not on the
//! table is misdirected.
//!
//! | connection | key | scope |
//! |---|---|---|
//! | its server name is a host that is named | the server name, as Envoy has it: lower case | one for each host, and one with a dot at the end |
//! | its server name is one of a wildcard's | the name of its filter chain, which is the wildcard | one for each wildcard |
//! | on another listener | the same, after the listener's name and a `>` | the same |
//! | none | the name of a table | one for each table: it brings the table, see `xds/stream/scopes.rs` |

use std::collections::BTreeSet;
use std::sync::Arc;

use envoy_types::pb::envoy::config::route::v3::ScopedRouteConfiguration;
use envoy_types::pb::envoy::config::route::v3::scoped_route_configuration::{Key, key};

use super::encode::{own_part, reference};
use super::server_name::with_dot;
use crate::model::{Host, Listener};
use crate::xds::{Resource, ResourceType};

/// The scope of that name, which is its key as well. Its version is the name of its table, which with its own name is all
/// that it says: so the version that a client claims tells where its form leads (`xds/stream/claimed_scopes.rs`).
#[must_use]
pub fn scope(name: &Arc<str>, table: &Arc<str>) -> Resource {
    let scope = ScopedRouteConfiguration {
        name: name.to_string(),
        route_configuration_name: table.to_string(),
        key: Some(Key {
            fragments: vec![key::Fragment {
                r#type: Some(key::fragment::Type::StringKey(name.to_string())),
            }],
        }),
        ..Default::default()
    };
    let references = BTreeSet::from([reference(ResourceType::Route, table)]);
    Resource::whole(name.clone(), own_part(&scope, references)).with_version(table.clone())
}

/// What the names of a listener's scopes and tables begin with: every listener has those of its own hosts. Nothing for the
/// one that Ingresses are served on.
///
/// A `>` is in no host, no name of a Secret and no name of a listener ([`Listener::is_name`]): so no two listeners, and none
/// and that of Ingresses, have one name.
#[must_use]
pub fn prefix(listener: &str) -> String {
    match listener == Listener::HTTPS {
        true => String::new(),
        false => format!("{listener}>"),
    }
}

/// The names of a host's scopes on a listener.
pub fn names(listener: &str, host: &Host) -> impl Iterator<Item = Arc<str>> {
    let prefix = prefix(listener);
    let name = match prefix.is_empty() {
        true => host.shared(),
        false => format!("{prefix}{host}").into(),
    };
    let dotted = (!host.is_wildcard()).then(|| with_dot(&name).into());
    std::iter::once(name).chain(dotted)
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::xds::wire::ScopedTable;

    /// Streams make some by themselves (`xds/stream/orphaned_scopes.rs`).
    #[test]
    fn a_scope_is_what_streams_take_it_for() {
        let (name, table) = ("gw>a.test".into(), "gw>default/web".into());
        let scope = scope(&name, &table);
        let expected = ScopedTable::new(&name, &table).encode_to_vec();
        assert_eq!(scope.bytes().to_vec(), expected);
    }
}
