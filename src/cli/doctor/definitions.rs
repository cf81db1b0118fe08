//! The custom kinds: which the API server has, at which versions, and of which release and channel their definitions are.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt as _;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{APIGroupList, APIResourceList};
use kube::api::Api;

use super::finding::{Checked, Finding, some_of};
use super::read::{Of, Read, call, get};
use crate::objects::Kind;

/// The release of the Gateway API whose versions are read, and what installs it.
const GATEWAY_API: &str = "v1.7.0";
const GATEWAY_API_COMMAND: &str = "kubectl apply --server-side -f \
     https://github.com/kubernetes-sigs/gateway-api/releases/download/v1.7.0/standard-install.yaml";

/// What installs Contour's.
const CONTOUR_COMMAND: &str = "kubectl apply --server-side -f \
     https://raw.githubusercontent.com/projectcontour/contour/v1.33.0/examples/contour/01-crds.yaml";

/// So many definitions are asked for at once.
const ASKED_AT_ONCE: usize = 8;

/// Which of the custom kinds are served, each with the versions at which it is. A kind that is not in here is at none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Served(pub BTreeMap<Kind, BTreeSet<String>>);

impl Served {
    /// Whether it is served at the version that is read.
    pub fn serves(&self, kind: Kind) -> bool {
        let (_, version) = kind.api_version().split_once('/').unwrap_or_default();
        self.0.get(&kind).is_some_and(|it| it.contains(version))
    }
}

/// A CustomResourceDefinition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Definition {
    /// The release that it is of, as the Gateway API's say.
    pub bundle: Option<String>,
    /// `standard` or `experimental`, likewise.
    pub channel: Option<String>,
    /// Why it is not served as it is, if that is so.
    pub broken: Option<String>,
}

/// What is known of custom kinds.
#[derive(Clone, Debug)]
pub struct Facts {
    /// What is served.
    pub served: Read<Served>,
    /// The definitions of those.
    pub definitions: Read<BTreeMap<Kind, Definition>>,
}

/// Asks.
pub async fn ask(client: &kube::Client) -> Facts {
    let served = served(client).await;
    let definitions = match &served {
        Ok(served) => definitions(client, served).await,
        Err(_) => Ok(BTreeMap::new()),
    };
    Facts {
        served,
        definitions,
    }
}

async fn served(client: &kube::Client) -> Read<Served> {
    let of = Of {
        resource: "apiservices",
        namespace: None,
    };
    let groups: APIGroupList = call(client.list_api_groups(), "list", of).await?;
    let kinds = Kind::ALL.into_iter().filter(|kind| kind.is_custom());
    let wanted: BTreeSet<&str> = kinds.clone().map(Kind::group).collect();
    let mut served = Served::default();
    for group in groups.groups {
        if !wanted.contains(&*group.name) {
            continue;
        }
        for version in group.versions {
            let resources = client.list_api_group_resources(&version.group_version);
            let resources: APIResourceList = call(resources, "list", of).await?;
            for kind in kinds.clone().filter(|kind| kind.group() == group.name) {
                if resources
                    .resources
                    .iter()
                    .any(|it| it.name == kind.plural())
                {
                    let versions = served.0.entry(kind).or_default();
                    versions.insert(version.version.clone());
                }
            }
        }
    }
    Ok(served)
}

async fn definitions(client: &kube::Client, served: &Served) -> Read<BTreeMap<Kind, Definition>> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let asked = served.0.keys().map(|kind| {
        let (kind, api) = (*kind, api.clone());
        let of = Of {
            resource: "customresourcedefinitions.apiextensions.k8s.io",
            namespace: None,
        };
        async move {
            let name = format!("{}.{}", kind.plural(), kind.group());
            let found = get(api, of, &name).await?;
            Ok(found.map(|it| (kind, definition(it))))
        }
    });
    let answers = futures::stream::iter(asked).buffered(ASKED_AT_ONCE);
    let answers: Vec<Read<Option<(Kind, Definition)>>> = answers.collect().await;
    let found: Read<Vec<Option<(Kind, Definition)>>> = answers.into_iter().collect();
    Ok(found?.into_iter().flatten().collect())
}

fn definition(of: CustomResourceDefinition) -> Definition {
    let annotations = of.metadata.annotations.unwrap_or_default();
    let annotation = |name: &str| {
        let key = format!("gateway.networking.k8s.io/{name}");
        annotations.get(&key).cloned()
    };
    let conditions = of.status.and_then(|it| it.conditions).unwrap_or_default();
    let broken = conditions.iter().find(|it| {
        let is_wanted = ["Established", "NamesAccepted"].contains(&&*it.type_);
        is_wanted && it.status != "True"
    });
    Definition {
        bundle: annotation("bundle-version"),
        channel: annotation("channel"),
        broken: broken.map(|it| {
            let message = it.message.clone().unwrap_or_default();
            format!("{} is {}: {message}", it.type_, it.status)
        }),
    }
}

/// Whether they are as they are read.
pub fn check(facts: &Facts) -> Checked {
    let mut findings = Vec::new();
    let mut says = Vec::new();
    match &facts.served {
        Ok(served) => {
            let groups: BTreeSet<&str> = served.0.keys().map(|kind| kind.group()).collect();
            says.push(match groups.contains(Kind::HttpProxy.group()) {
                true => "Contour's kinds are served",
                false => "Contour's kinds are not installed",
            });
            says.push(match groups.contains(Kind::Gateway.group()) {
                true => "the Gateway API is served",
                false => "the Gateway API is not installed",
            });
            findings.extend(other_versions(served));
        }
        Err(unread) => findings.push(unread.finding("which custom kinds are served")),
    }
    let mut release = String::new();
    match &facts.definitions {
        Ok(definitions) => {
            for (kind, definition) in definitions {
                if let Some(why) = &definition.broken {
                    let name = format!("{}.{}", kind.plural(), kind.group());
                    findings.push(Finding::error(
                        format!("CustomResourceDefinition {name} is not served as it is: {why}"),
                        format!("kubectl describe crd {name}"),
                    ));
                }
            }
            let (found, said) = releases(definitions);
            findings.extend(found);
            release = said;
        }
        Err(unread) => findings.push(unread.finding("of which release the definitions are")),
    }
    Checked {
        name: "definitions",
        says: says.join(", ") + &release,
        findings,
    }
}

/// Kinds that the server has, though not at the version that is read.
fn other_versions(served: &Served) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (kind, versions) in &served.0 {
        if served.serves(*kind) {
            continue;
        }
        let versions: Vec<String> = versions.iter().cloned().collect();
        let command = match kind.group() == Kind::Gateway.group() {
            true => GATEWAY_API_COMMAND,
            false => CONTOUR_COMMAND,
        };
        findings.push(Finding::warning(
            format!(
                "{kind} is served at {}, and Isobath reads it at {}: no {kind} has an effect until newer definitions are installed",
                versions.join(", "),
                kind.api_version()
            ),
            command,
        ));
    }
    findings
}

/// Definitions of one project that are of several releases or channels, and which they are.
fn releases(definitions: &BTreeMap<Kind, Definition>) -> (Vec<Finding>, String) {
    let mut findings = Vec::new();
    let mut says = String::new();
    for (what, of) in [
        (
            "releases",
            (|it| it.bundle.clone()) as fn(&Definition) -> Option<String>,
        ),
        ("channels", |it| it.channel.clone()),
    ] {
        let mut named: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (kind, definition) in definitions {
            if let Some(value) = of(definition) {
                named.entry(value).or_default().push(kind.name().to_owned());
            }
        }
        if let (1, Some(value)) = (named.len(), named.keys().next()) {
            says += &format!(" {value}");
        }
        if named.len() > 1 {
            let list = named
                .iter()
                .map(|(value, kinds)| format!("{value} ({})", some_of(kinds)));
            let list: Vec<String> = list.collect();
            findings.push(Finding::warning(
                format!(
                    "the definitions of the Gateway API are of several {what}: {}; fields that only some know are dropped in silence. \
                     Install all of one ({GATEWAY_API} is what Isobath reads)",
                    list.join(", ")
                ),
                GATEWAY_API_COMMAND,
            ));
        }
    }
    (findings, says)
}

#[cfg(test)]
mod tests {
    use super::super::read::{Unread, Why};
    use super::*;

    fn served(kinds: &[(Kind, &[&str])]) -> Read<Served> {
        let kinds = kinds.iter();
        let kinds = kinds.map(|(kind, versions)| {
            let versions = versions.iter().map(ToString::to_string);
            (*kind, versions.collect())
        });
        Ok(Served(kinds.collect()))
    }

    fn of(bundle: &str, channel: &str) -> Definition {
        Definition {
            bundle: Some(bundle.to_owned()),
            channel: Some(channel.to_owned()),
            broken: None,
        }
    }

    fn check(
        served: Read<Served>,
        definitions: Read<BTreeMap<Kind, Definition>>,
        says: &str,
        expected: &[&str],
    ) {
        let checked = super::check(&Facts {
            served,
            definitions,
        });
        assert_eq!(checked.says, says);
        assert_eq!(checked.findings.len(), expected.len(), "{checked:?}");
        for (found, part) in checked.findings.iter().zip(expected) {
            assert!(found.message.contains(part), "{found:?}");
        }
    }

    #[test]
    fn versions_releases_and_channels_are_told() {
        let none = "Contour's kinds are not installed, the Gateway API is not installed";
        check(served(&[]), Ok(BTreeMap::new()), none, &[]);
        let all = [
            (Kind::Gateway, &["v1", "v1beta1"][..]),
            (Kind::HttpRoute, &["v1"]),
            (Kind::HttpProxy, &["v1"]),
        ];
        let one = [
            (Kind::Gateway, of("v1.7.0", "standard")),
            (Kind::HttpRoute, of("v1.7.0", "standard")),
            (Kind::HttpProxy, Definition::default()),
        ];
        let both = "Contour's kinds are served, the Gateway API is served";
        let says = format!("{both} v1.7.0 standard");
        check(served(&all), Ok(one.into()), &says, &[]);
        let mixed = [
            (Kind::Gateway, of("v1.7.0", "standard")),
            (Kind::HttpRoute, of("v1.2.0", "experimental")),
        ];
        let expected = [
            "of several releases: v1.2.0 (HTTPRoute), v1.7.0 (Gateway)",
            "of several channels: experimental (HTTPRoute), standard (Gateway)",
        ];
        check(served(&all), Ok(mixed.into()), both, &expected);
        let old = [
            (Kind::Gateway, &["v1"][..]),
            (Kind::TlsRoute, &["v1alpha2", "v1alpha3"]),
        ];
        let says = "Contour's kinds are not installed, the Gateway API is served";
        let expected = [
            "TLSRoute is served at v1alpha2, v1alpha3, and Isobath reads it at gateway.networking.k8s.io/v1",
        ];
        check(served(&old), Ok(BTreeMap::new()), says, &expected);
        let broken = Definition {
            broken: Some("NamesAccepted is False: taken".to_owned()),
            ..Definition::default()
        };
        let expected = ["httpproxies.projectcontour.io is not served as it is: NamesAccepted"];
        check(
            served(&all),
            Ok([(Kind::HttpProxy, broken)].into()),
            both,
            &expected,
        );
        let unread = Unread {
            verb: "get",
            resource: "customresourcedefinitions.apiextensions.k8s.io".to_owned(),
            namespace: None,
            why: Why::Forbidden,
        };
        check(served(&[]), Err(unread), none, &["of which release"]);
    }
}
