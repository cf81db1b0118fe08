//! BackendTLSPolicy.
//!
//! It is a guard: one that is wrong as a whole is kept with the targets that can be read of it, so that they are closed.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::super::super::gateway_api::{AltName, BackendValidation, PolicyTarget};
use super::super::super::validate::{FieldError, Rules, invalid};
use super::super::super::{BackendTlsPolicy, Kind, Object, ObjectRef};
use super::super::json::{Kept, List, Struct, Text, TextMap};
use super::super::metadata::{MetadataWire, of_wrong};
use super::super::schema::{
    At, HOST, WILDCARD_OR_HOST, each_of, matching, not_empty, one_of, present, some,
};
use super::super::wire::Wire;
use super::super::wires::wires;
use super::namespace::pairs;
use super::reference::{name, said};
use super::status::{StatusWire, others, status};

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
            targets: each_of(at.of("targetRefs"), targets, target)?
                .into_iter()
                .collect(),
            validation: Ok(validation(at.of("validation"), said)?),
            option: pairs(&spec.options).first().map(|(key, _)| key.clone()),
            others: others(self.status.as_ref()),
            status: status(self.status),
        })))
    }

    /// A policy that is about nothing closes nothing, and is wrong as any other object.
    fn closed(json: &'a str, reference: &ObjectRef, reason: &str) -> Option<Object> {
        let object: Value = serde_json::from_str(json).ok()?;
        let targets = object["spec"]["targetRefs"].as_array()?.iter();
        let targets: BTreeSet<PolicyTarget> = targets.filter_map(perhaps_target).collect();
        if targets.is_empty() {
            return None;
        }
        let (metadata, generation) = of_wrong(json, reference);
        let said = serde_json::from_value::<Option<Struct<StatusWire>>>(object["status"].clone());
        let said = said.unwrap_or_default();
        Some(Object::BackendTlsPolicy(Arc::new(BackendTlsPolicy {
            metadata,
            generation,
            targets,
            validation: Err(reason.into()),
            option: None,
            others: others(said.as_ref()),
            status: status(said),
        })))
    }
}

/// What a target of a policy that is wrong is about, as far as that can be read: too much rather than too little, for it is closed.
fn perhaps_target(target: &Value) -> Option<PolicyTarget> {
    let text = |field: &str| target[field].as_str().filter(|text| !text.is_empty());
    Some(PolicyTarget {
        group: text("group").unwrap_or_default().into(),
        kind: text("kind").unwrap_or("Service").into(),
        name: text("name")?.into(),
        section_name: text("sectionName").map(Arc::from),
    })
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
    // An empty list, and an empty text, is as good as none.
    let named = wire.ca_certificate_refs.filter(|List(it)| !it.is_empty());
    let well_known = wire.well_known.filter(|Kept(it)| !it.is_empty());
    let why = match (&named, &well_known) {
        (Some(_), Some(_)) => {
            Some("must not contain both CACertificateRefs and WellKnownCACertificates")
        }
        (None, None) => Some("must specify either CACertificateRefs or WellKnownCACertificates"),
        _ => None,
    };
    if let Some(why) = why {
        return Err(invalid(at, "", why));
    }
    let authorities = each_of(at.of("caCertificateRefs"), named, target)?;
    let authorities = authorities.into_iter();
    Ok(BackendValidation {
        authorities: authorities.map(|it| [it.group, it.kind, it.name]).collect(),
        well_known: said(at.of("wellKnownCACertificates"), well_known)?,
        hostname: matching(at.of("hostname"), Some(hostname), &HOST)?,
        names: each_of(at.of("subjectAltNames"), wire.subject_alt_names, alt_name)?,
    })
}

fn alt_name(at: At<'_>, wire: AltNameWire) -> Result<AltName, FieldError> {
    let kind = present(at.of("type"), wire.kind)?;
    let kind = one_of(at.of("type"), Some(kind), &["Hostname", "URI"])?;
    let is_said = |field: &Option<Kept>| field.as_ref().is_some_and(|Kept(it)| !it.is_empty());
    let why = match kind.as_deref() {
        Some("URI") if is_said(&wire.hostname) => {
            "SubjectAltName element must not contain Hostname, if Type is not set to Hostname"
        }
        Some("Hostname") if is_said(&wire.uri) => {
            "SubjectAltName element must not contain URI, if Type is not set to URI"
        }
        _ => "",
    };
    if !why.is_empty() {
        return Err(invalid(at, "", why));
    }
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
