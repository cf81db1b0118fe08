//! The difference for people: what opens first, then what clients see, then what it costs.

use std::fmt::Write as _;
use std::net::SocketAddr;

use crate::build::Builder;
use crate::build::diff::{
    Answerer, Change, Detail, HostDifference, ListenerChange, ListenerDifference, RouteDifference,
};
use crate::model::Front;
use crate::objects::{FieldRef, Problem};
use crate::sources::manifests::Inspection;

use super::shown::Shown;

/// So many addresses are named of a cluster.
const ADDRESSES: usize = 4;

pub fn text(shown: &Shown<'_>) -> String {
    let difference = shown.difference;
    if difference.is_empty() {
        return "No difference for clients or for Envoy\n".to_owned();
    }
    let mut out = String::new();
    opened(shown, &mut out);
    for host in &difference.hosts {
        host_text(host, shown, &mut out);
    }
    for cluster in &difference.clusters {
        let name = &cluster.name;
        if cluster.settings {
            let _ = writeln!(out, "~ {name}: is spoken to in another way");
        }
        if let Some([before, after]) = &cluster.endpoints {
            let (before, after) = (addresses(before), addresses(after));
            let what = match before == after {
                true => "endpoints have another zone, weight or readiness".to_owned(),
                false => format!("endpoints {before} → {after}"),
            };
            let _ = writeln!(out, "~ {name}: {what}");
        }
    }
    for name in &difference.certificates {
        let _ = writeln!(
            out,
            "~ {name}: another certificate or bundle under this name"
        );
    }
    for (sign, problems, inspection) in [
        ('+', &difference.told, shown.after.1),
        ('-', &difference.settled, shown.before.1),
    ] {
        for problem in problems {
            let _ = writeln!(out, "{sign} problem: {}", problem_text(problem, inspection));
        }
    }
    for listener in &difference.listeners {
        listener_text(listener, &mut out);
    }
    summary(shown, &mut out);
    out
}

/// Guards that are gone, and those that requests pass by.
fn opened(shown: &Shown<'_>, out: &mut String) {
    let difference = shown.difference;
    let length = out.len();
    for (host, route, detail) in difference.opened() {
        let route = route.map_or_else(String::new, |route| format!(", {}", route.says));
        let before = detail.before.as_deref().unwrap_or_default();
        let url = url(host);
        // Writing to a String can't fail.
        let about = detail.about;
        let _ = writeln!(
            out,
            "! {url}{route}: the guard of {about} is gone; it was: {before}"
        );
    }
    for host in &difference.hosts {
        let url = url(host);
        for passed in &host.passed.routes {
            let which = if passed.all { "its" } else { "some of its" };
            let (guarded, by) = (&passed.guarded, &passed.by);
            let source = source(&passed.by_source, shown.after.0);
            for detail in &passed.guards {
                let before = detail.before.as_deref().unwrap_or_default();
                let about = detail.about;
                let _ = writeln!(
                    out,
                    "! {url}, {guarded}: {which} requests are taken by {by} [{source}], without the guard of {about}; it was: {before}"
                );
            }
        }
        if host.passed.unseen > 0 {
            let count = host.passed.unseen;
            let _ = writeln!(
                out,
                "! {url}: of {count} guarded routes nobody has looked who takes their requests, as there are too many routes"
            );
        }
    }
    if out.len() > length {
        out.push('\n');
    }
}

fn listener_text(listener: &ListenerDifference, out: &mut String) {
    let name = &listener.name;
    let _ = match &listener.change {
        ListenerChange::Opened => writeln!(out, "+ listener {name} is opened"),
        ListenerChange::Closed => {
            writeln!(
                out,
                "- listener {name} is closed, and its connections are drained"
            )
        }
        ListenerChange::Replaced => {
            writeln!(
                out,
                "~ listener {name} is another one: all its connections are drained"
            )
        }
        ListenerChange::Drained(hosts) => {
            let hosts: Vec<&str> = hosts.iter().map(|host| &**host).collect();
            let hosts = hosts.join(", ");
            writeln!(
                out,
                "~ listener {name}: open connections for {hosts} are drained, as their TLS is another one"
            )
        }
    };
}

fn summary(shown: &Shown<'_>, out: &mut String) {
    let count = |change| {
        let hosts = shown.difference.hosts.iter();
        hosts.filter(|host| host.change == change).count()
    };
    let _ = writeln!(
        out,
        "\nHosts: {} added, {} removed, {} changed. Problems: {} new, {} gone.",
        count(Change::Added),
        count(Change::Removed),
        count(Change::Changed),
        shown.difference.told.len(),
        shown.difference.settled.len(),
    );
    let sent = shown.difference.resources.iter().map(|it| {
        let service = it.resource_type.service().to_uppercase();
        let counts = [
            (it.added, "new"),
            (it.changed, "changed"),
            (it.removed, "gone"),
        ];
        let counts = counts.into_iter().filter(|(count, _)| *count > 0);
        let counts: Vec<String> = counts
            .map(|(count, says)| format!("{count} {says}"))
            .collect();
        let bytes = it.bytes;
        format!("{service} {} ({bytes} bytes)", counts.join(", "))
    });
    let sent: Vec<String> = sent.collect();
    if !sent.is_empty() {
        let _ = writeln!(out, "Envoy is sent: {}.", sent.join("; "));
    }
}

/// A host as clients name it.
pub fn url(host: &HostDifference) -> String {
    let scheme = match host.tls {
        true => "https",
        false => "http",
    };
    match &host.front {
        Front::Fleet => format!("{scheme}://{}", host.host),
        Front::Listener(name) => format!("{scheme}://{} on {name}", host.host),
    }
}

fn host_text(host: &HostDifference, shown: &Shown<'_>, out: &mut String) {
    let url = url(host);
    let routes = match host.routes.len() {
        1 => "1 route".to_owned(),
        count => format!("{count} routes"),
    };
    let otherwise = match &host.otherwise {
        None => String::new(),
        Some(Answerer::Nobody) => "nobody".to_owned(),
        Some(Answerer::Wildcard(wildcard)) => wildcard.to_string(),
    };
    let _ = match host.change {
        Change::Added => writeln!(out, "+ {url}: {routes}; before it {otherwise} answered"),
        Change::Removed => writeln!(out, "- {url}: {routes}; now {otherwise} answers"),
        Change::Changed | Change::Moved => writeln!(out, "~ {url}"),
    };
    for detail in &host.details {
        detail_text(detail, host.change, "    ", out);
    }
    for route in &host.routes {
        route_text(route, shown, out);
    }
}

fn route_text(route: &RouteDifference, shown: &Shown<'_>, out: &mut String) {
    let (sign, builder) = match route.change {
        Change::Added => ('+', shown.after.0),
        Change::Removed => ('-', shown.before.0),
        Change::Changed => ('~', shown.after.0),
        Change::Moved => ('↕', shown.after.0),
    };
    let source = source(&route.source, builder);
    let is_whole = matches!(route.change, Change::Added | Change::Removed);
    // Of what is all new or all gone the answer and the guards are enough: there is nothing to compare with.
    let answer = route
        .details
        .iter()
        .find(|it| is_whole && it.about == "answer");
    let answer = answer.and_then(|it| it.after.as_deref().or(it.before.as_deref()));
    let answer = answer.map_or_else(String::new, |answer| format!(": {answer}"));
    let _ = writeln!(out, "  {sign} {}{answer}  [{source}]", route.says);
    for detail in route.details.iter().filter(|it| !is_whole || it.is_guard) {
        detail_text(detail, route.change, "      ", out);
    }
}

fn source(source: &FieldRef, builder: &Builder) -> String {
    let path = builder.store().path(source);
    let path = path.map_or_else(String::new, |path| format!(" {path}"));
    format!("{}{path}", source.object)
}

fn detail_text(detail: &Detail, change: Change, indent: &str, out: &mut String) {
    let about = detail.about;
    let _ = match (&detail.before, &detail.after) {
        (Some(says), None) if change == Change::Removed => {
            writeln!(out, "{indent}{about}: {says}")
        }
        (None, Some(says)) if change == Change::Added => writeln!(out, "{indent}{about}: {says}"),
        (Some(before), Some(after)) if before == after => {
            writeln!(out, "{indent}{about}: {after}, with other settings")
        }
        (before, after) => {
            let [before, after] = [before, after].map(|it| it.as_deref().unwrap_or("not set"));
            writeln!(out, "{indent}{about}: {before} → {after}")
        }
    };
}

fn problem_text(problem: &Problem, inspection: Option<&Inspection>) -> String {
    let place = inspection.and_then(|inspection| inspection.locate(problem));
    let place = place.map_or_else(String::new, |place| format!(" ({place})"));
    format!("{}: {}{place}", problem.source.object, problem.message)
}

fn addresses(addresses: &[SocketAddr]) -> String {
    let named: Vec<String> = addresses
        .iter()
        .take(ADDRESSES)
        .map(ToString::to_string)
        .collect();
    match addresses.len() {
        0 => "none".to_owned(),
        count if count > ADDRESSES => {
            format!("{} and {} more", named.join(", "), count - ADDRESSES)
        }
        _ => named.join(", "),
    }
}
