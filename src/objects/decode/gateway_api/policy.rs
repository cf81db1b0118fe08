//! BackendTLSPolicy.

use std::sync::Arc;

use serde::Deserialize;

use super::super::super::gateway_api::{AltName, BackendValidation, PolicyTarget};
use super::super::super::validate::{FieldError, Rules, invalid};
use super::super::super::{BackendTlsPolicy, Kind, Object};
use super::super::json::{Kept, List, Struct, Text, TextMap};
use super::super::metadata::MetadataWire;
use super::super::schema::{
    At, HOST, WILDCARD_OR_HOST, each_of, matching, not_empty, one_of, present, some,
};
use super::super::wire::Wire;
use super::super::wires::wires;
use super::namespace::pairs;
use super::reference::{name, said};
use super::status::{StatusWire, status};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in super::super) struct BackendTlsPolicyWire<'a> {
    #[serde(borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    metadata: Struct<MetadataWire<'a>>,
    #[serde(borrow)]
    spec: Option<Struct<SpecWire<'a>>>,
    status: Option<Struct<StatusWire>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct SpecWire<'a> {
    target_refs: Option<List<Struct<TargetWire>>>,
    validation: Option<Struct<ValidationWire>>,
    #[serde(borrow)]
    options: TextMap<'a>,
}

wires! {
    struct TargetWire {
        group: Kept,
        kind: Kept,
        name: Kept,
        section_name: Kept,
    }

    struct ValidationWire {
        ca_certificate_refs: List<Struct<TargetWire>>,
        #[serde(rename = "wellKnownCACertificates")]
        well_known: Kept,
        hostname: Kept,
        subject_alt_names: List<Struct<AltNameWire>>,
    }

    struct AltNameWire {
        #[serde(rename = "type")]
        kind: Kept,
        hostname: Kept,
        uri: Kept,
    }
}

impl<'a> Wire<'a> for BackendTlsPolicyWire<'a> {
    fn kind(&self) -> &str {
        self.kind.as_str()
    }

    fn metadata(&self) -> &MetadataWire<'a> {
        &self.metadata.0
    }

    fn check(self, _: Rules) -> Result<Object, FieldError> {
        let metadata = self.metadata.0.check(Kind::BackendTlsPolicy)?;
        let at = At::Top("spec");
        let Struct(spec) = present(at, self.spec)?;
        let targets = present(at.of("targetRefs"), spec.target_refs).map(Some)?;
        not_empty(at.of("targetRefs"), &targets)?;
        let Struct(said) = present(at.of("validation"), spec.validation)?;
        Ok(Object::BackendTlsPolicy(Arc::new(BackendTlsPolicy {
            metadata,
            generation: self.metadata.0.generation(),
            targets: each_of(at.of("targetRefs"), targets, target)?,
            validation: validation(at.of("validation"), said)?,
            option: pairs(&spec.options).first().map(|(key, _)| key.clone()),
            status: status(self.status),
        })))
    }
}

fn target(at: At<'_>, wire: TargetWire) -> Result<PolicyTarget, FieldError> {
    let Kept(group) = present(at.of("group"), wire.group)?;
    let kind = present(at.of("kind"), wire.kind)?;
    Ok(PolicyTarget {
        group,
        kind: some(at.of("kind"), Some(kind))?,
        name: name(at, wire.name)?,
        section_name: said(at.of("sectionName"), wire.section_name)?,
    })
}

fn validation(at: At<'_>, wire: ValidationWire) -> Result<BackendValidation, FieldError> {
    let hostname = present(at.of("hostname"), wire.hostname)?;
    let is_one = wire.ca_certificate_refs.is_some() != wire.well_known.is_some();
    if !is_one {
        let why = "must specify either CACertificateRefs or WellKnownCACertificates";
        return Err(invalid(at, "", why));
    }
    not_empty(at.of("caCertificateRefs"), &wire.ca_certificate_refs)?;
    let authorities = each_of(at.of("caCertificateRefs"), wire.ca_certificate_refs, target)?;
    let authorities = authorities.into_iter();
    Ok(BackendValidation {
        authorities: authorities.map(|it| [it.group, it.kind, it.name]).collect(),
        well_known: said(at.of("wellKnownCACertificates"), wire.well_known)?,
        hostname: matching(at.of("hostname"), Some(hostname), &HOST)?,
        names: each_of(at.of("subjectAltNames"), wire.subject_alt_names, alt_name)?,
    })
}

fn alt_name(at: At<'_>, wire: AltNameWire) -> Result<AltName, FieldError> {
    let kind = present(at.of("type"), wire.kind)?;
    let kind = one_of(at.of("type"), Some(kind), &["Hostname", "URI"])?;
    Ok(match kind.as_deref() {
        Some("URI") => {
            let uri = present(at.of("uri"), wire.uri)?;
            AltName::Uri(some(at.of("uri"), Some(uri))?)
        }
        _ => {
            let name = present(at.of("hostname"), wire.hostname)?;
            AltName::Hostname(matching(at.of("hostname"), Some(name), &WILDCARD_OR_HOST)?)
        }
    })
}
