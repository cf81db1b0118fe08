//! The API server's rules on names, hosts, paths and numbers, with its words.
//!
//! Each function cites the function of `k8s.io/apimachinery` (`pkg/util/validation`) or of
//! `k8s.io/kubernetes` (`pkg/apis/…/validation`) whose verdict it gives. They must never be stricter than
//! those: what an API server has stored, Isobath has to serve. The messages are shortened by the regular
//! expression that the API server adds, and the first problem of an object is the one that is told.

use std::fmt::{self, Display};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The API server's `field.Error` as one sentence: it begins with the path of the field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FieldError(pub(super) String);

/// The verdict on one field.
pub(super) type Verdict = Result<(), FieldError>;

/// Which objects are validated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rules {
    /// Objects out of an API server. It lets pass on update what older versions stored, so rules that it
    /// applies to new objects only are not held against them.
    Stored,
    /// New objects, as in manifests: the rules of a create request. Endpoints on loopback addresses are the
    /// one exception, because that is where the back ends of a manifest directory run.
    Create,
}

/// `field.Invalid`.
pub(super) fn invalid(path: impl Display, value: &str, why: impl Display) -> FieldError {
    FieldError(format!("{path}: Invalid value: {}: {why}", Quoted(value)))
}

/// `field.Required`.
pub(super) fn required(path: impl Display, why: &str) -> FieldError {
    if why.is_empty() {
        FieldError(format!("{path}: Required value"))
    } else {
        FieldError(format!("{path}: Required value: {why}"))
    }
}

/// `field.NotSupported`.
pub(super) fn not_supported(path: impl Display, value: &str, supported: &[&str]) -> FieldError {
    let list: Vec<_> = supported
        .iter()
        .map(|value| format!("\"{value}\""))
        .collect();
    FieldError(format!(
        "{path}: Unsupported value: {}: supported values: {}",
        Quoted(value),
        list.join(", ")
    ))
}

/// `field.Duplicate`.
pub(super) fn duplicate(path: impl Display, value: &str) -> FieldError {
    FieldError(format!("{path}: Duplicate value: {}", Quoted(value)))
}

/// `field.TooMany`.
pub(super) fn at_most(path: impl Display, count: usize, limit: usize) -> Verdict {
    if count <= limit {
        return Ok(());
    }
    Err(FieldError(format!(
        "{path}: Too many: {count}: must have at most {limit} items"
    )))
}

/// A value as Go's `%q` writes it, cut to a length that fits a log line.
pub(super) struct Quoted<'a>(pub(super) &'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 128;
        match self.0.char_indices().nth(SHOWN) {
            None => write!(f, "{:?}", self.0),
            Some((end, _)) => write!(f, "{:?}…", &self.0[..end]),
        }
    }
}

/// `IsDNS1123Label`, also `NameIsDNSLabel`: namespaces, Services (since relaxed), names of Service ports.
pub(super) fn dns_label(path: impl Display, value: &str) -> Verdict {
    const LIMIT: usize = 63;
    if value.len() > LIMIT {
        return Err(invalid(path, value, TooLong(LIMIT)));
    }
    if is_label(value) {
        return Ok(());
    }
    if is_subdomain(value) {
        return Err(invalid(path, value, "must not contain dots"));
    }
    Err(invalid(
        path,
        value,
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must \
         start and end with an alphanumeric character",
    ))
}

/// `IsDNS1123Subdomain`, also `NameIsDNSSubdomain`: most names, and hosts.
pub(super) fn dns_subdomain(path: impl Display, value: &str) -> Verdict {
    if value.len() > SUBDOMAIN_LIMIT {
        return Err(invalid(path, value, TooLong(SUBDOMAIN_LIMIT)));
    }
    if is_subdomain(value) {
        return Ok(());
    }
    Err(invalid(
        path,
        value,
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and \
         must start and end with an alphanumeric character",
    ))
}

/// `IsFullyQualifiedDomainName`: the addresses of a slice of type FQDN.
pub(super) fn full_domain_name(path: impl Display, value: &str) -> Verdict {
    if value.is_empty() {
        return Err(required(path, ""));
    }
    let name = value.strip_suffix('.').unwrap_or(value);
    dns_subdomain(&path, name)?;
    if !name.contains('.') {
        let why = "should be a domain with at least two segments separated by dots";
        return Err(invalid(path, name, why));
    }
    name.split('.')
        .try_for_each(|label| dns_label(&path, label))
}

/// The host of a rule or of a `tls` entry: `validateIngressRules` and `validateIngressTLS` less the rule on
/// addresses, which holds for rules only.
pub(super) fn host(path: impl Display, value: &str) -> Verdict {
    if !value.contains('*') {
        return dns_subdomain(path, value);
    }
    if value.len() > SUBDOMAIN_LIMIT {
        return Err(invalid(path, value, TooLong(SUBDOMAIN_LIMIT)));
    }
    if value.strip_prefix("*.").is_some_and(is_subdomain) {
        return Ok(());
    }
    Err(invalid(
        path,
        value,
        "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must \
         consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character",
    ))
}

/// `validateIngressRules`: a rule's host is no address.
pub(super) fn no_address(path: impl Display, value: &str) -> Verdict {
    match parse_ip_sloppy(value) {
        None => Ok(()),
        Some(_) => Err(invalid(
            path,
            value,
            "must be a DNS name, not an IP address",
        )),
    }
}

/// `validateHTTPIngressPath` for `Exact` and `Prefix`.
pub(super) fn strict_path(path: impl Display, value: &str) -> Verdict {
    if !value.starts_with('/') {
        return Err(invalid(path, value, "must be an absolute path"));
    }
    for sequence in ["//", "/./", "/../", "%2f", "%2F"] {
        if value.contains(sequence) {
            let why = format!("must not contain '{sequence}'");
            return Err(invalid(path, value, why));
        }
    }
    for suffix in ["/..", "/."] {
        if value.ends_with(suffix) {
            return Err(invalid(path, value, format!("cannot end with '{suffix}'")));
        }
    }
    Ok(())
}

/// `IsValidPortName`, RFC 6335's service names in lower case.
pub(super) fn port_name(path: impl Display, value: &str) -> Verdict {
    const LIMIT: usize = 15;
    let bytes = value.as_bytes();
    let word = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-';
    if value.len() > LIMIT {
        return Err(invalid(path, value, TooLong(LIMIT)));
    }
    let why = if bytes.is_empty() || !bytes.iter().all(word) {
        "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"
    } else if !bytes.iter().any(u8::is_ascii_lowercase) {
        "must contain at least one letter (a-z)"
    } else if value.contains("--") {
        "must not contain consecutive hyphens"
    } else if value.starts_with('-') || value.ends_with('-') {
        "must not begin or end with a hyphen"
    } else {
        return Ok(());
    };
    Err(invalid(path, value, why))
}

/// `IsValidPortNum`.
pub(super) fn port_number(path: impl Display, value: i32) -> Result<u16, FieldError> {
    match u16::try_from(value) {
        Ok(port) if port != 0 => Ok(port),
        _ => Err(FieldError(format!(
            "{path}: Invalid value: {value}: must be between 1 and 65535, inclusive"
        ))),
    }
}

/// `metav1.Time`: RFC 3339 as Go's `time.Parse` takes it.
pub(super) fn time(path: impl Display, value: &str) -> Result<jiff::Timestamp, FieldError> {
    let date_and_time = value.get(..19).is_some_and(|start| {
        start
            .bytes()
            .zip(*b"0000-00-00T00:00:00")
            .all(|(byte, form)| {
                (form == b'0' && byte.is_ascii_digit()) || (form != b'0' && byte == form)
            })
    });
    let offset = value.ends_with('Z')
        || value
            .get(value.len().saturating_sub(6)..)
            .is_some_and(|end| end.starts_with(['+', '-']));
    match value.parse() {
        Ok(time) if date_and_time && offset => Ok(time),
        _ => {
            let why = "must be a time as in RFC 3339, such as 2006-01-02T15:04:05Z";
            Err(invalid(path, value, why))
        }
    }
}

/// `IsQualifiedName` (now `content.IsLabelKey`): keys of labels and annotations, `appProtocol`.
pub(super) fn qualified_name(path: impl Display, value: &str) -> Verdict {
    const LIMIT: usize = 63;
    let (prefix, name) = match value.split_once('/') {
        None => (None, value),
        Some((prefix, name)) => (Some(prefix), name),
    };
    if name.contains('/') {
        let why = "a valid label key must consist of alphanumeric characters, '-', '_' or '.', and must start \
                   and end with an alphanumeric character";
        return Err(invalid(path, value, why));
    }
    match prefix {
        Some("") => return Err(invalid(path, value, "prefix part must be non-empty")),
        Some(prefix) if prefix.len() > SUBDOMAIN_LIMIT || !is_subdomain(prefix) => {
            let why = "prefix part a lowercase RFC 1123 subdomain must consist of lower case alphanumeric \
                       characters, '-' or '.', and must start and end with an alphanumeric character";
            return Err(invalid(path, value, why));
        }
        _ => {}
    }
    if name.is_empty() {
        return Err(invalid(path, value, "name part must be non-empty"));
    }
    if name.len() > LIMIT {
        let why = format!("name part {}", TooLong(LIMIT));
        return Err(invalid(path, value, why));
    }
    if is_word(name) {
        Ok(())
    } else {
        Err(invalid(path, value, NOT_QUALIFIED))
    }
}

/// `IsValidLabelValue`.
pub(super) fn label_value(path: impl Display, value: &str) -> Verdict {
    const LIMIT: usize = 63;
    if value.len() > LIMIT {
        return Err(invalid(path, value, TooLong(LIMIT)));
    }
    if value.is_empty() || is_word(value) {
        return Ok(());
    }
    Err(invalid(
        path,
        value,
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and \
         must start and end with an alphanumeric character",
    ))
}

/// `IsConfigMapKey`: keys of a Secret's data.
pub(super) fn data_key(path: impl Display, value: &str) -> Verdict {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let why = if value.len() > SUBDOMAIN_LIMIT {
        "must be no more than 253 characters"
    } else if value.is_empty() || !value.bytes().all(word) {
        "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
    } else if value == "." {
        "must not be '.'"
    } else if value == ".." {
        "must not be '..'"
    } else if value.starts_with("..") {
        "must not start with '..'"
    } else {
        return Ok(());
    };
    // The key is not quoted: in a Secret that is written wrongly it may be a part of the value.
    Err(FieldError(format!("{path}: Invalid value: {why}")))
}

/// `IsDomainPrefixedPath`: the controller of an IngressClass.
pub(super) fn domain_prefixed_path(path: impl Display, value: &str) -> Verdict {
    if value.is_empty() {
        return Err(required(path, ""));
    }
    let Some((domain, rest)) = value
        .split_once('/')
        .filter(|(domain, rest)| !domain.is_empty() && !rest.is_empty())
    else {
        let why = "must be a domain-prefixed path (such as \"acme.io/foo\")";
        return Err(invalid(path, value, why));
    };
    dns_subdomain(&path, domain)?;
    let in_path = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&byte);
    if rest.bytes().all(in_path) {
        Ok(())
    } else {
        Err(invalid(path, rest, "Invalid path"))
    }
}

/// `IsPathSegmentName`: kind and name of a typed reference.
pub(super) fn path_segment(path: impl Display, value: &str) -> Verdict {
    if value == "." || value == ".." {
        return Err(invalid(path, value, format!("may not be '{value}'")));
    }
    match ["/", "%"].into_iter().find(|part| value.contains(part)) {
        None => Ok(()),
        Some(part) => Err(invalid(path, value, format!("may not contain '{part}'"))),
    }
}

/// `ValidateEndpointIP` behind `IsValidIPForLegacyField` (IPv4) or `IsValidIP` (IPv6), for manifests less the
/// rule on loopback addresses: in a cluster those are the pod's own. The path is that of the list.
pub(super) fn endpoint_address(
    list: &str,
    index: usize,
    value: &str,
    v6: bool,
    rules: Rules,
) -> Result<IpAddr, FieldError> {
    let path = format_args!("{list}[{index}]");
    let Some(address) = parse_ip_sloppy(value) else {
        let why = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
        return Err(invalid(path, value, why));
    };
    if rules == Rules::Create {
        if value.parse::<IpAddr>().is_err() {
            return Err(invalid(path, value, "must not have leading 0s"));
        }
        if value.contains(':') && address.is_ipv4() {
            let why = "must not be an IPv4-mapped IPv6 address";
            return Err(invalid(path, value, why));
        }
        if v6 && value != address.to_string() {
            let why = format!("must be in canonical form (\"{address}\")");
            return Err(invalid(path, value, why));
        }
    }
    if address.is_ipv6() != v6 {
        let family = if v6 { "IPv6" } else { "IPv4" };
        let why = format!("must be an {family} address");
        return Err(invalid(list, value, why));
    }
    let (link_local, link_local_multicast) = match address {
        IpAddr::V4(v4) => (v4.is_link_local(), matches!(v4.octets(), [224, 0, 0, _])),
        IpAddr::V6(v6) => (
            v6.is_unicast_link_local(),
            matches!(v6.octets(), [0xff, flags_scope, ..] if flags_scope & 0x0f == 0x02),
        ),
    };
    let why = if address.is_unspecified() {
        format!("may not be unspecified ({value})")
    } else if link_local {
        "may not be in the link-local range (169.254.0.0/16, fe80::/10)".to_owned()
    } else if address.is_loopback() && rules == Rules::Stored {
        "may not be in the loopback range (127.0.0.0/8, ::1/128)".to_owned()
    } else if link_local_multicast {
        "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)".to_owned()
    } else {
        return Ok(address);
    };
    Err(invalid(path, value, why))
}

/// The address of a Service, where requests may be sent to it: the API server takes it from its own range, and a manifest may say
/// anything.
pub(super) fn service_address(value: &str, rules: Rules) -> Option<IpAddr> {
    let address = value.parse::<IpAddr>().ok()?.to_canonical();
    let is_near = match address {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    let is_own = address.is_loopback() && rules == Rules::Stored;
    let is_none = address.is_unspecified() || address.is_multicast();
    (!is_near && !is_own && !is_none).then_some(address)
}

/// `netutils.ParseIPSloppy`: leading zeros in IPv4 are decimal, and an IPv4-mapped address is an IPv4 one.
pub(super) fn parse_ip_sloppy(value: &str) -> Option<IpAddr> {
    let Some((head, last)) = value.rsplit_once(':') else {
        return parse_ipv4_sloppy(value).map(IpAddr::V4);
    };
    let v6: Ipv6Addr = if last.contains('.') {
        format!("{head}:{}", parse_ipv4_sloppy(last)?)
            .parse()
            .ok()?
    } else {
        value.parse().ok()?
    };
    Some(v6.to_ipv4_mapped().map_or(IpAddr::V6(v6), IpAddr::V4))
}

fn parse_ipv4_sloppy(value: &str) -> Option<Ipv4Addr> {
    let mut octets = [0_u8; 4];
    let mut parts = value.split('.');
    for octet in &mut octets {
        let part = parts.next()?;
        if part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let digits = part.trim_start_matches('0');
        *octet = if digits.is_empty() {
            0
        } else {
            digits.parse().ok()?
        };
    }
    parts.next().is_none().then(|| Ipv4Addr::from(octets))
}

const SUBDOMAIN_LIMIT: usize = 253;

const NOT_QUALIFIED: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must \
    start and end with an alphanumeric character";

/// `MaxLenError`.
struct TooLong(usize);

impl Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "must be no more than {} characters", self.0)
    }
}

/// `[a-z0-9]([-a-z0-9]*[a-z0-9])?`, of any length.
fn is_label(value: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = value.as_bytes();
    bytes.first().copied().is_some_and(alphanumeric)
        && bytes.last().copied().is_some_and(alphanumeric)
        && bytes
            .iter()
            .all(|byte| alphanumeric(*byte) || *byte == b'-')
}

pub(super) fn is_subdomain(value: &str) -> bool {
    value.split('.').all(is_label)
}

/// `([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]`.
fn is_word(value: &str) -> bool {
    let bytes = value.as_bytes();
    bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}
