//! A certificate and its key, as SDS delivers them.

use std::collections::BTreeSet;

use envoy_types::pb::envoy::config::core::v3::{DataSource, data_source::Specifier};
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as tls;

use super::encode::part;
use crate::model::Certificate;
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

fn inline(pem: &str) -> Option<DataSource> {
    Some(DataSource {
        specifier: Some(Specifier::InlineString(pem.to_owned())),
        ..Default::default()
    })
}
