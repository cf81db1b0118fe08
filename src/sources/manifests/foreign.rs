//! What lies beside manifests and is none of ours: which files that is, and what to say of it.
//!
//! Nothing in here quotes a text: it may be a Secret's.

use super::fields::nearest;
use crate::objects::Kind;

/// Of a text that has to be rendered first.
pub(super) const TEMPLATE: &str =
    "it is a template; render it first: `helm template CHART | isobath run -`";

/// The line of the first `{{`, for a text that is no YAML or JSON: a template of Helm or another.
pub(super) fn template(text: &str) -> Option<u64> {
    let at = text.find("{{")?;
    text[at..].contains("}}").then_some(())?;
    let breaks = text[..at].bytes().filter(|byte| *byte == b'\n').count();
    Some(breaks as u64 + 1)
}

/// Whether a text that can't be parsed has `kind: Ingress`, or another kind of ours, or a list, anywhere: then it was
/// meant for us.
pub(super) fn claims_to_be_ours(text: &str) -> bool {
    let is_ours = |kind: &str| {
        let kind = kind.strip_suffix("List").unwrap_or(kind);
        kind.is_empty() || Kind::ALL.iter().any(|known| known.name() == kind)
    };
    text.match_indices("kind").any(|(at, key)| {
        let rest = text[at + key.len()..].trim_start_matches(['"', '\'']);
        let Some(value) = rest.trim_start().strip_prefix(':') else {
            return false;
        };
        let value = value.trim_start_matches([' ', '\t']);
        let value = value.trim_start_matches(['"', '\'']);
        let end = value
            .find(|c: char| !c.is_ascii_alphanumeric())
            .unwrap_or(value.len());
        end > 0 && is_ours(&value[..end])
    })
}

/// What to say of an object that is not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Advice {
    /// It was meant for us: a problem of the file.
    Problem(String),
    /// Somebody may wait for it in vain: once for each kind.
    Once(String),
    /// It is for others.
    None,
}

/// What to say of an object of this kind and version.
pub(super) fn advice(api_version: &str, kind: &str) -> Advice {
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    // Groups of Kubernetes itself; a Service of Knative is none of ours.
    let built_in = !group.contains('.') || group.ends_with(".k8s.io");
    if let Some(known) = Kind::ALL.iter().find(|known| known.name() == kind) {
        if !built_in && group != "projectcontour.io" {
            return Advice::None;
        }
        let of = known.api_version();
        let fields = match (*known, group) {
            (Kind::Ingress, "extensions" | "networking.k8s.io") => {
                ", where a backend is service.name and service.port.number, and every path has a pathType"
            }
            _ => "",
        };
        return Advice::Problem(format!(
            "this {kind} is ignored: its apiVersion {api_version} is not read; it is {of}{fields}"
        ));
    }
    let sentence = match (group, kind) {
        ("contour.heptio.com", "IngressRoute") => "it is older than HTTPProxy; write one",
        ("gateway.networking.x-k8s.io", "XListenerSet") => {
            "it is older than ListenerSet; write one of gateway.networking.k8s.io/v1"
        }
        ("gateway.networking.x-k8s.io", _) => {
            "of the experimental channel of the Gateway API it is not served"
        }
        (
            "traefik.io"
            | "traefik.containo.us"
            | "networking.istio.io"
            | "getambassador.io"
            | "configuration.konghq.com",
            _,
        ) => "it is of another controller; write an Ingress",
        ("", "Endpoints") => {
            "in a cluster they are mirrored as EndpointSlices; write an EndpointSlice, or use `--backend`"
        }
        ("kustomize.config.k8s.io", _) => {
            "no overlay is applied, each file is read as it is: `kustomize build DIR | isobath run -`"
        }
        _ => {
            let names = Kind::ALL.iter().map(|known| known.name());
            return match nearest(kind, names) {
                Some(known) if built_in => Advice::Problem(format!(
                    "an object of kind {kind} is ignored: no such kind is read; it is perhaps {known}"
                )),
                _ => Advice::None,
            };
        }
    };
    Advice::Once(format!("{kind} of {api_version} is ignored: {sentence}"))
}

/// What to say, besides, of a file that holds nothing of ours, by its name.
pub(super) fn of_file(name: &str) -> Option<&'static str> {
    match name {
        "kustomization.yaml" | "kustomization.yml" => Some(
            "no overlay is applied, each file is read as it is: `kustomize build DIR | isobath run -`",
        ),
        "Chart.yaml" => Some("charts are not rendered: `helm template DIR | isobath run -`"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_text_claims_by_its_kind() {
        for (text, expected) in [
            ("kind: Ingress\n  a: [\n", true),
            ("  - kind:   \"Secret\"\n\tx", true),
            ("{\"apiVersion\":\"v1\",\"kind\" : \"Service\",}", true),
            ("apiVersion: v1\nkind: List\nitems: [", true),
            ("kind: IngressList\n[", true),
            ("kind: Deployment\n[", false),
            ("kind: Ingresses\n[", false),
            ("kind:\n  Ingress: [", false),
            ("mankind\nIngress: [", false),
            ("a: b: c", false),
            ("kind", false),
        ] {
            assert_eq!(claims_to_be_ours(text), expected, "{text}");
        }
    }

    #[test]
    fn a_template_is_known_by_its_braces() {
        assert_eq!(template("a: b\nc: {{ .Values.x }}\n"), Some(2));
        assert_eq!(template("a: {{\n"), None);
        assert_eq!(template("a: b\n"), None);
    }

    #[test]
    fn what_is_said_of_other_kinds() {
        let contour = |kind: &str, version: &str, of: &str| {
            Advice::Problem(format!(
                "this {kind} is ignored: its apiVersion {version} is not read; it is {of}"
            ))
        };
        for (version, kind, of) in [
            (
                "projectcontour.io/v1alpha1",
                "HTTPProxy",
                "projectcontour.io/v1",
            ),
            (
                "projectcontour.io/v1",
                "ExtensionService",
                "projectcontour.io/v1alpha1",
            ),
        ] {
            assert_eq!(advice(version, kind), contour(kind, version, of));
        }
        let old = ", where a backend is service.name and service.port.number, and every path has a pathType";
        let not_read = |kind: &str, version: &str, of: &str| {
            Advice::Problem(format!(
                "this {kind} is ignored: its apiVersion {version} is not read; it is {of}"
            ))
        };
        let perhaps = |kind: &str, of: &str| {
            Advice::Problem(format!(
                "an object of kind {kind} is ignored: no such kind is read; it is perhaps {of}"
            ))
        };
        let new = format!("networking.k8s.io/v1{old}");
        for (version, kind, expected) in [
            (
                "extensions/v1beta1",
                "Ingress",
                not_read("Ingress", "extensions/v1beta1", &new),
            ),
            (
                "v1",
                "Ingress",
                not_read("Ingress", "v1", "networking.k8s.io/v1"),
            ),
            (
                "networking.k8s.io/v1",
                "Service",
                not_read("Service", "networking.k8s.io/v1", "v1"),
            ),
            (
                "networking.k8s.io/v1",
                "Ingres",
                perhaps("Ingres", "Ingress"),
            ),
            (
                "networking.k8s.io/v1",
                "ingress",
                perhaps("ingress", "Ingress"),
            ),
            ("v1", "Services", perhaps("Services", "Service")),
            ("serving.knative.dev/v1", "Service", Advice::None),
            ("example.com/v1", "Secrets", Advice::None),
            ("apps/v1", "Deployment", Advice::None),
            ("v1", "PersistentVolumeClaim", Advice::None),
        ] {
            assert_eq!(advice(version, kind), expected, "{version} {kind}");
        }
        for (version, kind) in [
            ("contour.heptio.com/v1beta1", "IngressRoute"),
            ("gateway.networking.x-k8s.io/v1alpha1", "XListenerSet"),
            ("traefik.io/v1alpha1", "IngressRoute"),
            ("networking.istio.io/v1", "VirtualService"),
            ("v1", "Endpoints"),
            ("kustomize.config.k8s.io/v1beta1", "Kustomization"),
        ] {
            assert!(
                matches!(advice(version, kind), Advice::Once(_)),
                "{version} {kind}"
            );
        }
    }
}
