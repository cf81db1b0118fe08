//! What a control plane has of one object, and its Envoys: what the page `/debug/object` says, and commands read there.

use serde::{Deserialize, Serialize};

use super::delivery::Delivery;
use crate::objects::{Kind, ObjectRef};

/// Of one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectState {
    /// The object, as `Ingress shop/web`.
    pub object: String,
    /// Whether it is among the objects that are read.
    pub is_read: bool,
    /// The `resourceVersion` up to which all objects of its kind are in the snapshot; `None` where they are not read from an API
    /// server, or not yet.
    pub version: Option<u64>,
    /// Whether one Envoy is beside this control plane, so that none is one too few.
    pub is_pair: bool,
    /// What is wrong with the object, each in a sentence.
    pub problems: Vec<String>,
    /// How far Envoys have come with the snapshot that has it, and what they refuse of the object.
    pub delivery: Delivery,
}

/// The object that a query names.
///
/// # Errors
///
/// One sentence, where it names none.
pub fn of_query(query: &[(String, String)]) -> Result<ObjectRef, String> {
    let value = |name: &str| {
        let found = query.iter().find(|(own, _)| own == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_default()
    };
    let (word, namespace, name) = (value("kind"), value("namespace"), value("name"));
    let kind = kind(word).ok_or_else(|| {
        let names = Kind::ALL.map(Kind::name).join(", ");
        format!("kind: {word:?} is none of {names}")
    })?;
    if name.is_empty() {
        return Err("name an object: ?kind=Ingress&namespace=default&name=web".to_owned());
    }
    Ok(ObjectRef::new(kind, namespace, name))
}

/// The query of a page that asks for it.
#[must_use]
pub fn query(object: &ObjectRef) -> String {
    form_urlencoded::Serializer::new(String::new())
        .append_pair("kind", object.kind.name())
        .append_pair("namespace", &object.name.namespace)
        .append_pair("name", &object.name.name)
        .finish()
}

/// A kind as kubectl takes it: by its name, its plural, its short name, each with or without its group.
#[must_use]
pub fn kind(word: &str) -> Option<Kind> {
    let word = word.to_ascii_lowercase();
    let (word, group) = word.split_once('.').unwrap_or((&word, ""));
    let is = |kind: &Kind| {
        let short = match kind {
            Kind::Ingress => "ing",
            Kind::Service => "svc",
            Kind::Namespace => "ns",
            Kind::ConfigMap => "cm",
            Kind::HttpProxy => "proxy",
            Kind::ExtensionService => "extensionservice",
            Kind::TlsCertificateDelegation => "tlscerts",
            Kind::Gateway => "gtw",
            Kind::GatewayClass => "gc",
            Kind::ListenerSet => "lset",
            Kind::ReferenceGrant => "refgrant",
            Kind::BackendTlsPolicy => "btlspolicy",
            _ => kind.plural(),
        };
        word == short || word == kind.plural() || word == kind.name().to_ascii_lowercase()
    };
    let mut kinds = Kind::ALL.into_iter().filter(is);
    kinds.find(|kind| group.is_empty() || kind.group() == group)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn kinds_have_the_names_that_kubectl_knows() {
        for (word, expected) in [
            ("Ingress", Some(Kind::Ingress)),
            ("ing", Some(Kind::Ingress)),
            ("ingresses.networking.k8s.io", Some(Kind::Ingress)),
            ("ingresses.extensions", None),
            ("svc", Some(Kind::Service)),
            ("httproute", Some(Kind::HttpRoute)),
            ("httpproxies", Some(Kind::HttpProxy)),
            ("pod", None),
            ("", None),
        ] {
            assert_eq!(kind(word), expected, "{word}");
        }
    }

    #[test]
    fn a_query_names_what_was_named() {
        for kind in Kind::ALL {
            let object = ObjectRef::new(kind, "a&b", "c=d");
            let pairs: Vec<_> = form_urlencoded::parse(query(&object).as_bytes())
                .into_owned()
                .collect();
            assert_eq!(of_query(&pairs), Ok(object));
        }
        let named = |query: &str| {
            let pairs = form_urlencoded::parse(query.as_bytes()).into_owned();
            of_query(&pairs.collect::<Vec<_>>()).unwrap_err()
        };
        assert!(named("").contains("is none of IngressClass, Ingress"));
        assert!(named("kind=Ingress").contains("name an object"));
    }
}
