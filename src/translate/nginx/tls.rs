//! TLS: to back ends (`proxy-ssl-…`), and what clients of a host have to show (`auth-tls-…`).

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::{
    Authorities, CipherSuite, ClientCertificates, ClientVerification, DynamicValue, Expression,
    HeaderChange, HeaderMode, HeaderPart, RouteAction, ServerName, SubjectAltName, TlsParameters,
    TlsSettings, TlsVersion, UpstreamTls, Verification,
};
use crate::objects::NamespacedName;
use crate::translate::{Input, TrustBundleKey};

use super::annotations::PREFIX;
use super::reader::{Closed, Reader};
use super::redirect::{self, Redirection};
use super::value;
use crate::translate::reason;

/// How TLS is spoken to back ends.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BackendTls {
    /// Whose certificate is shown to them, and who vouches for theirs.
    pub secret: NamespacedName,
    /// Whom they have to be; none takes their word for it.
    name: Option<SubjectAltName>,
    server_name: ServerName,
    versions: TlsSettings,
    cipher_suites: Vec<CipherSuite>,
}

/// What clients of a host have to show.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientTls {
    /// Who vouches for them.
    pub secret: NamespacedName,
    /// Whether they have to show anything.
    pub is_required: bool,
    accepts_untrusted: bool,
    depth: u32,
    is_told: bool,
    /// What the subject of a certificate has to be like.
    pub subject: Option<Expression>,
    /// Where clients are led that show no good one, in the place of a refusal.
    error_page: Option<Arc<str>>,
}

/// The Secret that an annotation names: of the namespace of its Ingress, and no other.
fn secret(text: &str, namespace: &str) -> Result<NamespacedName, String> {
    let name = value::basic(text)?;
    match name.split_once('/') {
        Some((of, name)) if of == namespace && !name.is_empty() && !name.contains('/') => {
            Ok(NamespacedName::new(of, name))
        }
        _ => Err(format!("must be {namespace}/ and the name of a Secret")),
    }
}

/// Reads `proxy-ssl-secret`, without which the others of its family are ignored.
pub fn of_back_ends(reader: &mut Reader<'_>) -> Option<BackendTls> {
    let namespace = reader.namespace();
    let secret = reader.guard("proxy-ssl-secret", |text| secret(text, namespace));
    let switch = ["on", "off"];
    let verify = reader.read("proxy-ssl-verify", |text| value::word(text, &switch));
    let server_name = reader.read("proxy-ssl-server-name", |text| value::word(text, &switch));
    let name = reader.read("proxy-ssl-name", |text| {
        let name = value::basic(text)?;
        SubjectAltName::dns(&name).map(|_| name)
    });
    let versions = reader.read("proxy-ssl-protocols", protocols);
    let cipher_suites = suites(reader, "proxy-ssl-ciphers");
    if !reader.is_there("proxy-ssl-secret") {
        for name in [
            "proxy-ssl-verify",
            "proxy-ssl-name",
            "proxy-ssl-server-name",
        ] {
            if reader.get(name).is_some() {
                reader.without_effect(name, "there is no proxy-ssl-secret");
            }
        }
    }
    let depth = reader.read("proxy-ssl-verify-depth", value::count);
    if verify == Some("on") && depth.is_some_and(|depth| depth > 0) {
        reader.without_effect(
            "proxy-ssl-verify-depth",
            "as many certificates may stand between as there are",
        );
    }
    let secret = secret?;
    // What ingress-nginx calls every upstream: whoever verifies without a name verifies this one, in vain.
    let said = name.unwrap_or_else(|| "upstream_balancer".into());
    let name = match verify {
        Some("on") => SubjectAltName::dns(&said).ok(),
        _ => None,
    };
    Some(BackendTls {
        secret,
        name,
        server_name: match server_name {
            Some("on") => ServerName::new(&said).unwrap_or_default(),
            _ => ServerName::Discovered,
        },
        versions: versions.unwrap_or(TlsSettings {
            minimum: TlsVersion::V1_2,
            maximum: TlsVersion::V1_2,
        }),
        cipher_suites,
    })
}

/// Reads `ssl-ciphers`, which is about all clients of a host.
pub fn of_hosts(reader: &mut Reader<'_>) -> Vec<CipherSuite> {
    let prefers = reader.boolean("ssl-prefer-server-ciphers");
    if prefers == Some(false) {
        reader.without_effect("ssl-prefer-server-ciphers", "the server's order counts");
    }
    suites(reader, "ssl-ciphers")
}

/// Cipher suites. Those that Envoy lacks are counted.
fn suites(reader: &mut Reader<'_>, name: &str) -> Vec<CipherSuite> {
    let Some((suites, others)) = reader.read(name, value::cipher_suites) else {
        return Vec::new();
    };
    if others > 0 {
        let message = format!(
            "annotation {PREFIX}{name} has {others} entries that are no cipher suites of TLS 1.2 that Envoy has, and they are left out"
        );
        reader.tell(name, reason::ANNOTATION_NOT_VALID, message);
    }
    suites
}

/// Versions of TLS that are safe.
fn protocols(text: &str) -> Result<TlsSettings, String> {
    let mut versions = BTreeSet::new();
    for word in text.split_whitespace() {
        match value::word(word, &["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"])? {
            "TLSv1.2" => _ = versions.insert(TlsVersion::V1_2),
            "TLSv1.3" => _ = versions.insert(TlsVersion::V1_3),
            _ => {}
        }
    }
    match (versions.first(), versions.last()) {
        (Some(minimum), Some(maximum)) => Ok(TlsSettings {
            minimum: *minimum,
            maximum: *maximum,
        }),
        _ => Err("must have TLSv1.2 or TLSv1.3".into()),
    }
}

impl BackendTls {
    /// What its Secret is good for.
    ///
    /// # Errors
    ///
    /// One sentence where it lacks what is asked of it: nothing may be sent to the back end then.
    pub fn check(&self, input: Input<'_>) -> Result<Shown, String> {
        let reader = input.reader();
        let has_certificate = reader.certificate_names(&self.secret).is_ok();
        let authorities = reader.authorities(&self.secret);
        match authorities {
            Err(why) if self.name.is_some() || why.is_none() => Err(unusable(&self.secret, why)),
            Err(_) if !has_certificate => {
                let why = "it has neither certificate nor ca.crt that can be used";
                Err(unusable(&self.secret, Some(why)))
            }
            Ok(()) | Err(_) => Ok(Shown(has_certificate)),
        }
    }

    /// As settings of a cluster.
    pub fn settings(&self, Shown(has_certificate): Shown) -> UpstreamTls {
        let verification = self.name.as_ref().map(|name| Verification {
            authorities: Authorities::Bundle(TrustBundleKey::of_secret(self.secret.clone()).name()),
            names: BTreeSet::from([name.clone()]),
        });
        UpstreamTls {
            verification,
            server_name: self.server_name.clone(),
            client_certificate: has_certificate.then(|| self.secret.to_string().into()),
            parameters: TlsParameters {
                versions: self.versions,
                cipher_suites: self.cipher_suites.clone(),
                ..TlsParameters::default()
            },
        }
    }
}

/// What is said of a Secret that a guard names; without a reason it is not there.
pub fn unusable(secret: &NamespacedName, why: Option<&str>) -> String {
    match why {
        None => format!("Secret {secret} does not exist, or has nothing that Isobath reads"),
        Some(why) => format!("Secret {secret} can't be used: {why}"),
    }
}

/// Whether back ends are shown a certificate.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shown(bool);

/// Reads `auth-tls-secret`, without which the others of its family are ignored.
pub fn of_clients(reader: &mut Reader<'_>) -> Option<ClientTls> {
    const NAME: &str = "auth-tls-secret";
    let namespace = reader.namespace();
    let words = ["on", "off", "optional", "optional_no_ca"];
    let asked = reader.read("auth-tls-verify-client", |text| value::word(text, &words));
    let depth = reader.read("auth-tls-verify-depth", value::count);
    let is_told = reader.boolean("auth-tls-pass-certificate-to-upstream");
    const SUBJECT: &str = "auth-tls-match-cn";
    let subject = reader.guard(SUBJECT, subject);
    let error_page = reader.read("auth-tls-error-page", error_page);
    let is_asked = reader.get(NAME).is_some() && asked != Some("off");
    if subject.is_some() && !is_asked {
        let why = "no client is asked for a certificate";
        reader.close(SUBJECT, Closed::All, why);
    }
    // With ingress-nginx an Ingress may name any Secret there is; here it is its own namespace's.
    let secret = reader.guard(NAME, |text| secret(text, namespace))?;
    if asked == Some("off") {
        return None;
    }
    Some(ClientTls {
        secret,
        is_required: matches!(asked, None | Some("on")),
        accepts_untrusted: asked == Some("optional_no_ca"),
        depth: depth.filter(|depth| *depth > 0).unwrap_or(1),
        is_told: is_told.unwrap_or(false),
        subject,
        error_page: error_page.filter(|_| {
            let is_for = matches!(asked, None | Some("on"));
            if !is_for {
                let why = "clients need not show a certificate";
                reader.without_effect("auth-tls-error-page", why);
            }
            is_for
        }),
    })
}

/// A part of a subject, as nginx and Envoy write it (RFC 2253), found anywhere in it.
fn subject(text: &str) -> Result<Expression, String> {
    let text = value::expression(text)?;
    // By itself first: brackets that do not match must not be made to by those around it.
    let own = Expression::new(&*text)?;
    if own.size() > LONGEST_SUBJECT {
        return Err("is too long an expression for every route of a host".into());
    }
    match text.starts_with("CN=") {
        true => Expression::new(format!(".*(?:{text}).*")),
        false => Err("must begin with CN=".into()),
    }
}

/// Every route of the host has it, be it of whatever Ingress, so nobody may pay for one of any length. The common name of a
/// certificate has 64 characters at most (RFC 5280, A.1).
const LONGEST_SUBJECT: u64 = 160;

/// A page of any host, or a path of this one.
fn error_page(text: &str) -> Result<Arc<str>, String> {
    let url = value::url(text)?;
    match url.starts_with('/') || url.starts_with("http://") || url.starts_with("https://") {
        true => Ok(url),
        false => Err("must be a URL of http or https, or a path".into()),
    }
}

impl ClientTls {
    /// Whether both ask clients for the same, whatever back ends are told of it.
    #[must_use]
    pub fn asks_the_same(&self, other: &Self) -> bool {
        let is_told = other.is_told;
        Self {
            is_told,
            ..self.clone()
        } == *other
    }

    /// What is asked of clients.
    ///
    /// # Errors
    ///
    /// One sentence where nobody can vouch for them.
    pub fn certificates(&self, input: Input<'_>) -> Result<ClientCertificates, String> {
        let secret = &self.secret;
        let authorities = input.reader().authorities(secret);
        authorities.map_err(|why| unusable(secret, why))?;
        // Where there is a page for those who show none, they have to get as far as that.
        let has_page = self.error_page().is_some();
        Ok(ClientCertificates {
            is_required: self.is_required && !has_page,
            verification: Some(ClientVerification {
                authorities: TrustBundleKey::of_secret(secret.clone()).name(),
                max_depth: Some(self.depth),
                only_leaf_revocations: false,
                accepts_untrusted: self.accepts_untrusted || has_page,
            }),
            forwarded: None,
        })
    }

    fn error_page(&self) -> Option<&Arc<str>> {
        self.error_page.as_ref().filter(|_| self.is_required)
    }

    /// What answers clients that show no good certificate, where they are not refused in the handshake.
    #[must_use]
    pub fn to_error_page(&self) -> Option<(RouteAction, Option<HeaderChange>)> {
        let page = self.error_page()?;
        let Redirection { action, location } = redirect::redirection(page, 302, false);
        Some((action, location))
    }

    /// What back ends are told of a client by TLS. What a client says of itself there is removed from every request.
    pub fn headers(&self) -> Vec<HeaderChange> {
        let said = |name: &str, value: DynamicValue| {
            HeaderChange::new(name, vec![HeaderPart::Value(value)], HeaderMode::Set).ok()
        };
        let verified = self
            .is_required
            .then(|| HeaderChange::literal("ssl-client-verify", "SUCCESS", HeaderMode::Set).ok());
        let certificate = self
            .is_told
            .then(|| said("ssl-client-cert", DynamicValue::ClientCertificate));
        [
            verified.flatten(),
            said("ssl-client-subject-dn", DynamicValue::ClientSubject),
            said("ssl-client-issuer-dn", DynamicValue::ClientIssuer),
            certificate.flatten(),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}
