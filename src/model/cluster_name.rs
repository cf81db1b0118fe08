//! The name of a cluster tells all its settings.
//!
//! They are written out instead of hashed, so that two clusters with different settings can't have one name, and people
//! can read which is which. What is as it is by default is left out.

use std::fmt::{Display, Write as _};
use std::sync::Arc;
use std::time::Duration;

use super::balancing::{LoadBalancing, SlowStart};
use super::cluster::{
    CircuitBreakers, ClusterSettings, Discovery, DnsLookupFamily, ProxyProtocol, UpstreamProtocol,
};
use super::health::{HealthCheck, OutlierDetection, Question};
use super::tls_parameters::{TlsParameters, TlsSettings, TlsVersion};
use super::upstream_tls::{Authorities, ServerName, SubjectAltName, UpstreamTls};

impl ClusterSettings {
    /// `base` (it has no `?`), and after a `?` every setting that is not as by default.
    #[must_use]
    pub fn cluster_name(&self, base: impl Display, discovery: &Discovery) -> Arc<str> {
        // All fields by name: one that is forgotten here would let two clusters have one name.
        let Self {
            protocol,
            circuit_breakers,
            load_balancing,
            idle_timeout,
            connect_timeout,
            health_check,
            outlier_detection,
            panic_threshold,
            tls,
            proxy_protocol,
            max_requests_per_connection,
            per_connection_buffer_limit,
            dns_lookup_family,
            by_service_address,
        } = self;
        let mut name = Name {
            text: base.to_string(),
            is_first: true,
        };
        name.protocol(*protocol);
        if protocol.is_tls() {
            name.tls(tls);
        }
        name.balancing(load_balancing);
        match discovery {
            Discovery::Endpoints => {}
            // The port is the base's.
            Discovery::Dns { hostname, port: _ } => name.text("external-name", hostname),
            Discovery::Socket(path) => name.text("socket", path.as_str()),
        }
        name.duration("idle-timeout", *idle_timeout);
        name.limits(circuit_breakers);
        name.duration("connect-timeout", *connect_timeout);
        if let Some(check) = health_check {
            name.health_check(check);
        }
        name.outlier_detection(outlier_detection);
        if panic_threshold.get() > 0 {
            name.add("panic-threshold", panic_threshold.get());
        }
        match proxy_protocol {
            None => {}
            Some(ProxyProtocol::V1) => name.add("proxy-protocol", 1),
            Some(ProxyProtocol::V2) => name.add("proxy-protocol", 2),
        }
        if let Some(most) = max_requests_per_connection {
            name.add("max-requests-per-connection", most);
        }
        if let Some(bytes) = per_connection_buffer_limit {
            name.add("buffer-limit", bytes);
        }
        if *dns_lookup_family != DnsLookupFamily::default() {
            name.add("dns-lookup-family", dns_lookup_family.as_str());
        }
        if *by_service_address {
            name.add("endpoint", "service");
        }
        name.text.into()
    }
}

struct Name {
    text: String,
    is_first: bool,
}

impl Name {
    /// A value without any of the characters that [`Self::text`] escapes.
    fn add(&mut self, key: &str, value: impl Display) {
        let separator = if self.is_first { '?' } else { '&' };
        self.is_first = false;
        let _ = write!(self.text, "{separator}{key}={value}");
    }

    /// Any text. What separates things in a name, or can't be read, is escaped as in a URL.
    fn text(&mut self, key: &str, value: &str) {
        let mut escaped = String::with_capacity(value.len());
        for byte in value.bytes() {
            match byte {
                b'&' | b'=' | b'?' | b'%' | b',' | b'/' | ..=b' ' | 0x7f.. => {
                    let _ = write!(escaped, "%{byte:02X}");
                }
                _ => escaped.push(byte.into()),
            }
        }
        self.add(key, escaped);
    }

    fn duration(&mut self, key: &str, value: Option<Duration>) {
        if let Some(value) = value {
            self.add(key, Milliseconds(value));
        }
    }

    fn protocol(&mut self, protocol: UpstreamProtocol) {
        match protocol {
            UpstreamProtocol::Http1 => {}
            UpstreamProtocol::H2c => self.add("protocol", "h2c"),
            UpstreamProtocol::Tls => self.add("protocol", "tls"),
            UpstreamProtocol::H2 => self.add("protocol", "h2"),
            UpstreamProtocol::TcpOverTls => self.add("protocol", "tcp-tls"),
            UpstreamProtocol::Udp => self.add("protocol", "udp"),
        }
    }

    fn tls(&mut self, tls: &UpstreamTls) {
        let UpstreamTls {
            verification,
            server_name,
            client_certificate,
            parameters,
        } = tls;
        if let Some(verification) = verification {
            match &verification.authorities {
                Authorities::System => self.add("authorities", "system"),
                Authorities::Bundle(name) => self.text("bundle", name),
            }
            for alternative in &verification.names {
                match alternative {
                    SubjectAltName::Dns(name) => self.text("dns", name.as_str()),
                    SubjectAltName::Uri(uri) => self.text("uri", uri.as_str()),
                    SubjectAltName::Ip(ip) => self.add("ip", ip),
                }
            }
        }
        match server_name {
            ServerName::Discovered => {}
            ServerName::Name(name) => self.text("server-name", name.as_str()),
            ServerName::RequestHost => self.add("server-name", "/host"),
        }
        if let Some(name) = client_certificate {
            self.text("client-certificate", name);
        }
        self.tls_parameters(parameters);
    }

    fn tls_parameters(&mut self, parameters: &TlsParameters) {
        let TlsParameters {
            versions,
            cipher_suites,
            groups,
        } = parameters;
        if *versions != TlsSettings::default() {
            let number = |version| match version {
                TlsVersion::V1_2 => "1.2",
                TlsVersion::V1_3 => "1.3",
            };
            let (least, most) = (number(versions.minimum), number(versions.maximum));
            self.add("tls", format_args!("{least},{most}"));
        }
        let suites: Vec<&str> = cipher_suites.iter().map(|suite| suite.as_str()).collect();
        let groups: Vec<&str> = groups.iter().map(|group| group.as_str()).collect();
        for (key, names) in [("cipher-suites", suites), ("groups", groups)] {
            if !names.is_empty() {
                self.add(key, names.join(","));
            }
        }
    }

    fn balancing(&mut self, balancing: &LoadBalancing) {
        let slow_start = match balancing {
            LoadBalancing::RoundRobin(slow_start) => slow_start,
            LoadBalancing::LeastRequest(slow_start) => {
                self.add("balancing", "least-request");
                slow_start
            }
            LoadBalancing::Random => return self.add("balancing", "random"),
            LoadBalancing::RingHash => return self.add("balancing", "ring-hash"),
            LoadBalancing::Maglev => return self.add("balancing", "maglev"),
        };
        if let Some(slow_start) = slow_start {
            self.slow_start(slow_start);
        }
    }

    fn slow_start(&mut self, slow_start: &SlowStart) {
        let window = Milliseconds(slow_start.window());
        let (aggression, least) = (slow_start.aggression(), slow_start.least().get());
        self.add("slow-start", format_args!("{window},{aggression},{least}"));
    }

    fn limits(&mut self, limits: &CircuitBreakers) {
        let CircuitBreakers {
            max_connections,
            max_pending_requests,
            max_requests,
            max_retries,
            retry_budget,
            per_host_max_connections,
        } = *limits;
        for (key, limit) in [
            ("max-connections", max_connections),
            ("max-pending-requests", max_pending_requests),
            ("max-requests", max_requests),
            ("max-retries", max_retries),
            ("per-host-max-connections", per_host_max_connections),
        ] {
            if let Some(limit) = limit {
                self.add(key, limit);
            }
        }
        if let Some(budget) = retry_budget {
            let (percent, least) = (budget.percent, budget.least);
            self.add("retry-budget", format_args!("{percent},{least}"));
        }
    }

    fn health_check(&mut self, check: &HealthCheck) {
        let times = [check.interval(), check.timeout()].map(Milliseconds);
        let thresholds = [check.healthy_threshold(), check.unhealthy_threshold()];
        let kind = match &check.question {
            Question::Tcp => "tcp",
            Question::Http(_) => "http",
            Question::Grpc(_) => "grpc",
        };
        let ([every, within], [healthy, unhealthy]) = (times, thresholds);
        self.add(
            "health-check",
            format_args!("{kind},{every},{within},{healthy},{unhealthy}"),
        );
        if let Some(port) = check.port {
            self.add("health-port", port);
        }
        match &check.question {
            Question::Tcp => {}
            Question::Http(http) => {
                self.text("health-path", http.path());
                if let Some(host) = http.host() {
                    self.text("health-host", host);
                }
                let statuses = http.statuses().iter();
                let statuses: Vec<String> = statuses
                    .map(|(first, last)| format!("{first}-{last}"))
                    .collect();
                if !statuses.is_empty() {
                    self.add("health-statuses", statuses.join(","));
                }
            }
            Question::Grpc(service) => self.text("health-service", service),
        }
    }

    fn outlier_detection(&mut self, detection: &OutlierDetection) {
        if *detection == OutlierDetection::default() {
            return;
        }
        let OutlierDetection {
            consecutive_local_origin_failure,
            consecutive_5xx,
            consecutive_gateway_failure,
            interval,
            base_ejection_time,
            max_ejection_time,
            max_ejection_percent,
        } = *detection;
        let [interval, base, max] =
            [interval, base_ejection_time, max_ejection_time].map(Milliseconds);
        let percent = max_ejection_percent.get();
        self.add(
            "outlier-detection",
            format_args!(
                "{consecutive_local_origin_failure},{consecutive_5xx},{consecutive_gateway_failure},{interval},{base},{max},{percent}"
            ),
        );
    }
}

/// A duration as it is written in a name. What is no whole number of milliseconds has its nanoseconds told.
struct Milliseconds(Duration);

impl Display for Milliseconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.subsec_nanos() % 1_000_000 {
            0 => write!(f, "{}ms", self.0.as_millis()),
            _ => write!(f, "{}ns", self.0.as_nanos()),
        }
    }
}

#[cfg(test)]
mod tests;
