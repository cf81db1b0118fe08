//! What to open and what to type: one URL and one curl line for each host that is served, and why the others are not.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::SocketAddr;

use crate::model::verdict::Statuses;
use crate::objects::{ObjectRef, Problem};
use crate::sources::Locator;

use super::event_filter::MADE;
use super::missing::{self, Wanted};
use super::reachable;
use super::served::{Answer, Host, Outcome, Sample, Served};

/// All that the list is made from.
pub struct View<'a> {
    /// What Envoy is told.
    pub served: &'a Served,
    /// What became of the objects.
    pub statuses: &'a Statuses,
    /// Where Envoy listens for HTTP.
    pub http: SocketAddr,
    /// Where it listens for HTTPS.
    pub https: SocketAddr,
    /// Where objects stand.
    pub locate: &'a Locator,
    /// `--ingress-class`.
    pub ingress_class: Option<&'a str>,
}

impl View<'_> {
    /// The list for a terminal: each host, its URL (by HTTPS where that is served), and a curl line that works as it
    /// stands; then each host that an Ingress names and that is not there, and what is wrong with HTTPProxies. Names under `localhost` need no entry in
    /// /etc/hosts; for others the curl line brings the address.
    #[must_use]
    pub fn list(&self) -> String {
        let wanted = missing::wanted(self.statuses);
        let hosts = self.served.hosts();
        let mut text = String::new();
        let mut shown = BTreeSet::new();
        for (name, host) in &hosts {
            if let Some(lines) = self.host(name, host, wanted.get(*name)) {
                shown.insert(*name);
                text.push_str(&lines);
            }
        }
        if text.is_empty() {
            text.push_str("  no Ingress, HTTPProxy or HTTPRoute has a route\n");
        }
        let missing = missing::lines(self.statuses, self.locate, self.ingress_class, &shown);
        if !missing.is_empty() {
            text.push_str("\nNot served:\n");
            for line in missing {
                // Writing to a String can't fail.
                let _ = writeln!(text, "  {line}");
            }
        }
        text
    }

    /// The lines of one host; `None` where every request is answered 404.
    fn host(&self, name: &str, host: &Host, wanted: Option<&Wanted>) -> Option<String> {
        let is_there = |answer: &&Answer| **answer != Answer::Nothing;
        let https = host.https.as_ref().filter(is_there);
        let (tls, answer) = match https {
            Some(answer) => (true, answer),
            None => (false, host.http.as_ref().filter(is_there)?),
        };
        let mut text = String::new();
        match answer {
            Answer::Sample(sample) if sample.owner == format!("Ingress {MADE}") => return None,
            Answer::Sample(sample) => {
                let (url, curl) = self.lines(name, tls, &sample.path);
                let _ = writeln!(text, "  {url}\n      {curl}");
                if let Some(remark) = self.remark(sample) {
                    let _ = writeln!(text, "      {remark}");
                }
            }
            Answer::Patterns(patterns) => {
                let (url, _) = self.lines(name, tls, "");
                let _ = writeln!(
                    text,
                    "  {url} and a path that matches {}",
                    patterns.join(" or ")
                );
            }
            Answer::Nothing => return None,
        }
        if !tls && let Some(wanted) = wanted.filter(|wanted| wanted.tls) {
            let why = self.problems_of(wanted, name);
            let why = if why.is_empty() {
                String::new()
            } else {
                format!(": {why}")
            };
            let _ = writeln!(text, "      (not by HTTPS{why})");
        }
        Some(text)
    }

    /// What else than a back end's answer a request gets.
    fn remark(&self, sample: &Sample) -> Option<String> {
        match &sample.outcome {
            Outcome::Forward(cluster) if self.served.is_empty(cluster) => {
                let service = cluster.split(['?']).next().unwrap_or_default();
                let service = service
                    .rsplit_once('/')
                    .map_or(service, |(service, _)| service);
                Some(format!(
                    "(answers 503: Service {service} has no ready endpoints)"
                ))
            }
            Outcome::Forward(_) => None,
            Outcome::Redirect(status) => Some(format!("(answers {status}: a redirect)")),
            Outcome::Status(status) => {
                let owner = self
                    .statuses
                    .problems
                    .iter()
                    .find(|(object, _)| object.to_string() == sample.owner);
                let why = owner.map(|(_, of)| missing::sentences(&of.problems, |_| true));
                let why = why.filter(|why| !why.is_empty());
                let why = why.map_or_else(
                    || sample.owner.clone(),
                    |why| format!("{}: {why}", sample.owner),
                );
                Some(format!("(answers {status}: {why})"))
            }
        }
    }

    /// What is wrong with Ingresses, as far as it concerns TLS or names the host.
    fn problems_of(&self, wanted: &Wanted, host: &str) -> String {
        let is_about = |problem: &Problem| {
            let words = ["Secret", "spec.tls", host];
            words.iter().any(|word| problem.message.contains(word))
        };
        let of = |object: &ObjectRef| self.statuses.problems.get(object);
        let ingresses = wanted.ingresses.iter().filter_map(of);
        let sentences: BTreeSet<_> = ingresses
            .map(|of| missing::sentences(&of.problems, is_about))
            .filter(|sentence| !sentence.is_empty())
            .collect();
        sentences.into_iter().collect::<Vec<_>>().join("; ")
    }

    fn lines(&self, host: &str, tls: bool, path: &str) -> (String, String) {
        let (scheme, address, usual) = if tls {
            ("https", reachable(self.https), 443)
        } else {
            ("http", reachable(self.http), 80)
        };
        // `curl -k`: the certificate may be one that was made a moment ago.
        let mut options = if tls { "-k " } else { "" }.to_owned();
        if path.contains(['[', ']']) {
            options.push_str("--globoff ");
        }
        let port = match address.port() {
            port if port == usual => String::new(),
            port => format!(":{port}"),
        };
        let name = match host.strip_prefix("*.") {
            _ if host == "*" => address.ip().to_string(),
            Some(parent) => format!("any.{parent}"),
            None => host.to_owned(),
        };
        let name_in_url = if name.contains(':') {
            format!("[{name}]")
        } else {
            name.clone()
        };
        let url = format!("{scheme}://{name_in_url}{port}{path}");
        let typed = quoted(&url);
        let resolves = host == "*" || name == "localhost" || name.ends_with(".localhost");
        let curl = if resolves {
            format!("curl {options}{typed}")
        } else {
            let ip = match address {
                SocketAddr::V4(v4) => v4.ip().to_string(),
                SocketAddr::V6(v6) => format!("[{}]", v6.ip()),
            };
            format!(
                "curl {options}--resolve {name}:{}:{ip} {typed}",
                address.port()
            )
        };
        (url, curl)
    }
}

/// A word as a shell takes it literally.
fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._~:-@%+=,".contains(&byte);
    // The brackets of an IPv6 address are quoted as well: to zsh they are a pattern.
    if word.bytes().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests;
