//! The hosts of two states: who is served by what, and how its routes differ.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::envoy::filter_chain;
use crate::model::{Alpn, Forwarding, Front, Host, TlsServer, TlsVersion, VirtualHost};
use crate::translate::{HostUnit, HttpsHost};

use super::detail::{Detail, Settings};
use super::routes::{self, Change, RouteDifference};
use super::state::State;
use super::taken::{PassedBy, passed_by};

/// A host that differs on one listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostDifference {
    /// Where it is served.
    pub front: Front,
    /// Its name.
    pub host: Host,
    /// Whether by TLS.
    pub tls: bool,
    /// How: it is added, removed or changed.
    pub change: Change,
    /// Who answers for it where it is not there: before it was added, or now that it is removed.
    pub otherwise: Option<Answerer>,
    /// What differs of all of it.
    pub details: Vec<Detail>,
    /// What differs of its routes.
    pub routes: Vec<RouteDifference>,
    /// Guards that requests for it pass by, as another route takes them.
    pub passed: PassedBy,
}

/// Who answers for a host that is not there itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answerer {
    /// A wildcard.
    Wildcard(Host),
    /// Nobody.
    Nobody,
}

/// One listener's side of a host.
struct Side<'a> {
    settings: Settings,
    virtual_host: Option<&'a VirtualHost>,
}

/// By listener and filter chain, the names whose connections it takes.
type Chains = BTreeMap<(Arc<str>, String), BTreeSet<String>>;

/// What differs, and whose connections the filter chains of before take.
pub fn differences(old: &State<'_>, new: &State<'_>) -> (Vec<HostDifference>, Chains) {
    let mut differences = Vec::new();
    let mut chains = Chains::new();
    let fronts =
        |state: &State<'_>| -> BTreeSet<Front> { state.builder.hosts.fronts().cloned().collect() };
    for front in &fronts(old) | &fronts(new) {
        let hosts = |state: &State<'_>| -> BTreeSet<Host> {
            state.builder.hosts.hosts(&front).cloned().collect()
        };
        for host in &hosts(old) | &hosts(new) {
            let units = [old, new].map(|state| state.unit(&front, &host));
            let [before, _] = &units;
            if let Some(listener) = front.by_tls() {
                add_chains(listener, &host, before, &mut chains);
            }
            for tls in [false, true] {
                let key = Key {
                    front: &front,
                    host: &host,
                    tls,
                };
                differences.extend(difference(key, [old, new], &units));
            }
        }
    }
    (differences, chains)
}

/// Which host on which listener.
#[derive(Clone, Copy)]
struct Key<'a> {
    front: &'a Front,
    host: &'a Host,
    tls: bool,
}

/// What differs of one; `None` where nothing does.
fn difference(
    key: Key<'_>,
    [old, new]: [&State<'_>; 2],
    units: &[HostUnit; 2],
) -> Option<HostDifference> {
    let Key { front, host, tls } = key;
    let sides = units.each_ref().map(|unit| side(unit, tls));
    let (change, other) = match &sides {
        [None, None] => return None,
        [None, Some(_)] => (Change::Added, Some(old)),
        [Some(_), None] => (Change::Removed, Some(new)),
        [Some(_), Some(_)] => (Change::Changed, None),
    };
    let none = Side {
        settings: Settings::default(),
        virtual_host: None,
    };
    let [was, is] = sides.each_ref().map(|side| side.as_ref().unwrap_or(&none));
    let mut details = Settings::differences(&was.settings, &is.settings);
    if change == Change::Changed && host.is_wildcard() {
        details.extend(depth(units));
    }
    let [was, is] = [was, is].map(|it| it.virtual_host.map_or(&[][..], |it| &it.routes));
    let routes = routes::differences(was, is);
    let otherwise = other.map(|state| answerer(state, front, host, tls));
    let wildcard = match (&otherwise, other) {
        (Some(Answerer::Wildcard(wildcard)), Some(state)) => Some(state.unit(front, wildcard)),
        _ => None,
    };
    let wildcard = wildcard.as_ref().and_then(|unit| side(unit, tls));
    let of_wildcard = wildcard.and_then(|side| side.virtual_host);
    let of_wildcard = of_wildcard.map_or(&[][..], |it| &it.routes);
    let passed = match change {
        Change::Added => passed_by(of_wildcard, is, false),
        Change::Removed => passed_by(was, of_wildcard, false),
        Change::Changed | Change::Moved => passed_by(was, is, true),
    };
    let is_same = change == Change::Changed && details.is_empty() && routes.is_empty();
    (!is_same).then(|| HostDifference {
        front: front.clone(),
        host: host.clone(),
        tls,
        change,
        otherwise,
        details,
        routes,
        passed,
    })
}

fn depth([before, after]: &[HostUnit; 2]) -> Option<Detail> {
    let says = |unit: &HostUnit| match unit.any_depth {
        true => "any depth".to_owned(),
        false => "one label".to_owned(),
    };
    (before.any_depth != after.any_depth).then(|| Detail {
        about: "what the star stands for",
        is_guard: false,
        before: Some(says(before)),
        after: Some(says(after)),
    })
}

fn add_chains(listener: &str, host: &Host, unit: &HostUnit, chains: &mut Chains) {
    let https = unit.https.as_ref().map(|https| match host.is_wildcard() {
        true => host.to_string(),
        false => https.server.name.to_string(),
    });
    let passthrough = unit.passthrough.as_ref();
    let passthrough = passthrough.map(|_| filter_chain::passthrough_name(host));
    let tcp = unit.tcp.as_ref().map(|_| filter_chain::tcp_name(host));
    for name in https.into_iter().chain(passthrough).chain(tcp) {
        let hosts = chains.entry((listener.into(), name)).or_default();
        hosts.insert(host.to_string());
    }
}

/// The nearest wildcard above a host that answers for it.
fn answerer(state: &State<'_>, front: &Front, host: &Host, tls: bool) -> Answerer {
    let above = host.wildcards_above().chain([Host::any()]);
    for other in above.filter(|other| other != host) {
        let unit = state.unit(front, &other);
        if tls && is_closed(&unit) {
            return Answerer::Nobody;
        }
        if side(&unit, tls).is_some() {
            let is_for = other.is_any()
                || unit.any_depth
                || host.covering_wildcard().as_ref() == Some(&other);
            return match is_for {
                true => Answerer::Wildcard(other),
                false => Answerer::Nobody,
            };
        }
    }
    Answerer::Nobody
}

/// Whether its connections by TLS are closed, and those of wildcards above it are not for it.
const fn is_closed(unit: &HostUnit) -> bool {
    unit.is_closed && unit.https.is_none() && !unit.is_forwarded()
}

/// What holds for all of a host, in clear or by TLS; `None` where it is not there.
pub fn settings(unit: &HostUnit, tls: bool) -> Option<Settings> {
    side(unit, tls).map(|side| side.settings)
}

fn side(unit: &HostUnit, tls: bool) -> Option<Side<'_>> {
    let mut settings = Settings::default();
    if !tls {
        let virtual_host = unit.http.as_ref()?;
        of_virtual_host(virtual_host, &mut settings);
        return Some(Side {
            settings,
            virtual_host: Some(virtual_host),
        });
    }
    if is_closed(unit) {
        let says = "closed, as there is no certificate that can be used";
        settings.is("connections", &says, says);
        return Some(Side {
            settings,
            virtual_host: None,
        });
    }
    settings.guard("addresses", unit.addresses.as_ref(), routes::from_addresses);
    if let Some(passthrough) = &unit.passthrough {
        settings.is(
            "connections",
            &passthrough.forwarding,
            format!("TLS goes on to {}", forwarded(&passthrough.forwarding)),
        );
    }
    if let Some(tcp) = &unit.tcp {
        let forwarding = tcp.server.forwarding();
        settings.is(
            "connections",
            forwarding,
            format!("TLS ends here, and goes on to {}", forwarded(forwarding)),
        );
        of_server(tcp.server.server(), &mut settings);
    }
    let Some(HttpsHost {
        server,
        secrets: _,
        source: _,
        virtual_host,
        fallback,
    }) = &unit.https
    else {
        return unit.is_forwarded().then_some(Side {
            settings,
            virtual_host: None,
        });
    };
    of_server(server, &mut settings);
    let fallback = fallback
        .as_ref()
        .map(|fallback| fallback.server.name.clone());
    settings.has(
        "certificate for clients without a name",
        fallback.as_ref(),
        |name| name.to_string(),
    );
    of_virtual_host(virtual_host, &mut settings);
    Some(Side {
        settings,
        virtual_host: Some(virtual_host),
    })
}

fn forwarded(forwarding: &Forwarding) -> String {
    let names = forwarding.shares.iter().map(|share| &*share.cluster);
    match forwarding.shares.is_empty() {
        true => "nobody".to_owned(),
        false => names.collect::<Vec<_>>().join(", "),
    }
}

fn of_server(server: &TlsServer, settings: &mut Settings) {
    let TlsServer {
        // It tells all the rest, and which listener it is of.
        name: _,
        certificates,
        parameters,
        alpn,
        clients,
        source: _,
    } = server;
    settings.is("certificate", certificates, certificates.join(" or "));
    let version = |version| match version {
        TlsVersion::V1_2 => "1.2",
        TlsVersion::V1_3 => "1.3",
    };
    let versions = parameters.versions;
    let least = version(versions.minimum);
    settings.is(
        "versions of TLS",
        &versions,
        format!("{least} to {}", version(versions.maximum)),
    );
    let suites = Some(&parameters.cipher_suites).filter(|suites| !suites.is_empty());
    settings.has("cipher suites", suites, |suites| {
        suites
            .iter()
            .map(|it| it.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    });
    let groups = Some(&parameters.groups).filter(|groups| !groups.is_empty());
    settings.has("groups of TLS", groups, |groups| {
        groups
            .iter()
            .map(|it| it.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    });
    settings.is(
        "protocols",
        alpn,
        match alpn {
            Alpn::Http2OrHttp1 => "HTTP/2 or HTTP/1.1",
            Alpn::Http1 => "HTTP/1.1",
            Alpn::Http2 => "HTTP/2",
            Alpn::None => "none offered",
        },
    );
    settings.guard(
        "certificates of clients",
        clients.as_ref(),
        |clients| match clients.is_required {
            true => "required".to_owned(),
            false => "asked for".to_owned(),
        },
    );
    let is_required = clients.as_ref().map(|clients| clients.is_required);
    let is_required = is_required.filter(|is_required| *is_required);
    settings.guard(
        "required certificate of clients",
        is_required.as_ref(),
        |_| "no connection without one".to_owned(),
    );
}

fn of_virtual_host(virtual_host: &VirtualHost, settings: &mut Settings) {
    let VirtualHost {
        host: _,
        routes: _,
        filters,
        client_check,
    } = virtual_host;
    settings.guard("certificate that was shown", client_check.as_ref(), |_| {
        "421 without it".to_owned()
    });
    let Some(filters) = filters else {
        return;
    };
    let crate::model::HostFilters {
        local_rate_limits,
        jwt_providers,
        global_rate_limit,
    } = &**filters;
    let limits = Some(local_rate_limits).filter(|limits| !limits.is_empty());
    settings.guard("rate limit", limits, |limits| {
        format!("429 beyond {}", routes::counted(limits.len(), "limit"))
    });
    settings.guard("counted rate limit", global_rate_limit.as_ref(), |limit| {
        format!("429 as {} says", limit.cluster)
    });
    let issuers = Some(jwt_providers).filter(|issuers| issuers.iter().next().is_some());
    settings.has("issuers of tokens", issuers, |issuers| {
        issuers
            .iter()
            .map(|(name, _)| name.to_string())
            .collect::<Vec<_>>()
            .join(", ")
    });
}
