//! Certificates with their keys, and authorities that vouch for others, as SDS delivers them.

use std::collections::BTreeSet;

use envoy_types::pb::envoy::config::core::v3::{DataSource, data_source::Specifier};
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as tls;

use super::encode::part;
use crate::model::{Certificate, CredentialsFile, TrustBundle};
use crate::xds::Resource;

/// The only place where a private key is encoded. The caller puts it into a snapshot only if a served host
/// references it (I10).
#[must_use]
pub fn secret(certificate: &Certificate) -> Resource {
    let secret = tls::Secret {
        name: certificate.name.to_string(),
        r#type: Some(tls::secret::Type::TlsCertificate(tls::TlsCertificate {
            certificate_chain: inline(&certificate.chain),
            private_key: inline(certificate.key.expose()),
            ..Default::default()
        })),
    };
    Resource::whole(
        certificate.name.clone(),
        part(
            &secret,
            BTreeSet::new(),
            BTreeSet::from([&certificate.source.object]),
        ),
    )
}

/// The authorities of a bundle. How it is used (which names, how deep) is said where it is named.
#[must_use]
pub fn trust_bundle(bundle: &TrustBundle) -> Resource {
    let secret = tls::Secret {
        name: bundle.name.to_string(),
        r#type: Some(tls::secret::Type::ValidationContext(
            tls::CertificateValidationContext {
                trusted_ca: inline(bundle.certificates.as_pem()),
                crl: bundle
                    .revocations
                    .as_ref()
                    .and_then(|lists| inline(lists.as_pem())),
                ..Default::default()
            },
        )),
    };
    let sources = std::iter::once(&bundle.source).chain(&bundle.revocations_source);
    let owners = sources.map(|source| &source.object).collect();
    Resource::whole(bundle.name.clone(), part(&secret, BTreeSet::new(), owners))
}

/// Passwords for `isobath authz`. Nothing that Envoy is sent names them. The caller puts them into a snapshot only if a served
/// route asks for them (I10).
#[must_use]
pub fn credentials(file: &CredentialsFile) -> Resource {
    let secret = tls::Secret {
        name: file.name.to_string(),
        r#type: Some(tls::secret::Type::GenericSecret(tls::GenericSecret {
            secret: inline(&file.credentials.expose()),
            ..Default::default()
        })),
    };
    let owners = BTreeSet::from([&file.source.object]);
    Resource::whole(file.name.clone(), part(&secret, BTreeSet::new(), owners))
}

fn inline(pem: &str) -> Option<DataSource> {
    Some(DataSource {
        specifier: Some(Specifier::InlineString(pem.to_owned())),
        ..Default::default()
    })
}
