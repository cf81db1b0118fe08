//! How the cluster is asked. What may not be read, or can't be, is data: a finding, and never the end.

use std::error::Error as _;
use std::fmt::Debug;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec, SubjectAccessReview,
    SubjectAccessReviewSpec,
};
use kube::api::{Api, ListParams, PostParams};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::finding::Finding;

/// For one answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// So many objects are asked for at once.
const PAGE: u32 = 500;

/// A list that has changed too much for its next page is begun again, so often.
const TRIES: usize = 3;

/// So many questions are under way at once.
const ASKED_AT_ONCE: usize = 8;

/// What was read, or why it was not.
pub type Read<T> = Result<T, Unread>;

/// Something that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// `list`, `get`, `create`, …
    pub verb: &'static str,
    /// As kubectl names it, with its group.
    pub resource: String,
    /// `None`: in all namespaces, or of the cluster.
    pub namespace: Option<String>,
    /// Why.
    pub why: Why,
}

/// Why something could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// Whoever asks may not.
    Forbidden,
    /// There is no such object, or no such kind.
    Missing,
    /// The server says something else, or nothing.
    Failed(String),
}

impl Unread {
    fn new(error: kube::Error, verb: &'static str, of: Of<'_>) -> Self {
        let why = match error {
            kube::Error::Api(status) => match status.code {
                403 => Why::Forbidden,
                404 => Why::Missing,
                code => Why::Failed(format!("HTTP {code}: {}", status.message)),
            },
            // What it could not decode may be a key.
            kube::Error::SerdeError(_) => Why::Failed("its answer can't be decoded".to_owned()),
            other => Why::Failed(root(&other)),
        };
        Self::because(why, verb, of)
    }

    fn because(why: Why, verb: &'static str, of: Of<'_>) -> Self {
        Self {
            verb,
            resource: of.resource.to_owned(),
            namespace: of.namespace.map(ToOwned::to_owned),
            why,
        }
    }

    /// The same as a finding: what is not known because of it, as "whether …".
    pub fn finding(&self, unknown: &str) -> Finding {
        let Self {
            verb,
            resource,
            namespace,
            why,
        } = self;
        let (place, flag) = match namespace {
            Some(namespace) => (
                format!(" in namespace {namespace}"),
                format!(" -n {namespace}"),
            ),
            None => (String::new(), " -A".to_owned()),
        };
        match why {
            Why::Forbidden => Finding::unknown(
                format!(
                    "you may not {verb} {resource}{place}, so it is not known {unknown}: ask for that right, or let somebody \
                     who has it look"
                ),
                format!("kubectl auth can-i {verb} {resource}{flag}"),
            ),
            Why::Missing => Finding::unknown(
                format!("the API server knows no {resource}{place}, so it is not known {unknown}"),
                "kubectl api-resources",
            ),
            Why::Failed(why) => Finding::unknown(
                format!("can't {verb} {resource}{place}, so it is not known {unknown}: {why}"),
                format!("kubectl get {resource}{flag}"),
            ),
        }
    }
}

/// The cause of causes: what kube says before it repeats it.
fn root(error: &kube::Error) -> String {
    let mut cause = error.source();
    let mut text = error.to_string();
    while let Some(inner) = cause {
        text = inner.to_string();
        cause = inner.source();
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Of<'a> {
    /// As kubectl names it, with its group.
    pub resource: &'a str,
    /// `None`: in all namespaces, or of the cluster.
    pub namespace: Option<&'a str>,
}

/// A call, in time.
pub async fn call<T>(
    asked: impl Future<Output = kube::Result<T>>,
    verb: &'static str,
    of: Of<'_>,
) -> Read<T> {
    match timeout(TIMEOUT, asked).await {
        Ok(answer) => answer.map_err(|error| Unread::new(error, verb, of)),
        Err(_) => {
            let why = format!("no answer within {} s", TIMEOUT.as_secs());
            Err(Unread::because(Why::Failed(why), verb, of))
        }
    }
}

/// Lists page by page, and keeps what `keep` makes of each object: a cluster may have a hundred thousand.
pub async fn list<K, T>(
    api: Api<K>,
    of: Of<'_>,
    selected: ListParams,
    keep: impl Fn(K) -> Option<T>,
) -> Read<Vec<T>>
where
    K: Clone + DeserializeOwned + Debug,
{
    let mut tries = 0;
    'again: loop {
        tries += 1;
        let mut kept = Vec::new();
        let mut params = selected.clone().limit(PAGE);
        loop {
            let page = call(api.list(&params), "list", of).await;
            let page = match page {
                Err(Unread {
                    why: Why::Failed(why),
                    ..
                }) if why.starts_with("HTTP 410") && tries < TRIES => continue 'again,
                page => page?,
            };
            kept.extend(page.items.into_iter().filter_map(&keep));
            match page.metadata.continue_ {
                Some(token) if !token.is_empty() => params.continue_token = Some(token),
                _ => return Ok(kept),
            }
        }
    }
}

/// One object; `None` where there is none.
pub async fn get<K>(api: Api<K>, of: Of<'_>, name: &str) -> Read<Option<K>>
where
    K: Clone + DeserializeOwned + Debug,
{
    call(api.get_opt(name), "get", of).await
}

/// One object, by the right to list: whoever may read what Isobath reads needs no other one.
pub async fn named<K, T>(
    api: Api<K>,
    of: Of<'_>,
    name: &str,
    keep: impl Fn(K) -> Option<T>,
) -> Read<Option<T>>
where
    K: Clone + DeserializeOwned + Debug,
{
    let selected = ListParams::default().fields(&format!("metadata.name={name}"));
    let found = list(api, of, selected, keep).await?;
    Ok(found.into_iter().next())
}

/// A right that somebody may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Right {
    /// The group, empty for the core group.
    pub group: String,
    /// The plural name, with a subresource after a slash.
    pub resource: String,
    /// One verb.
    pub verb: String,
    /// Of one namespace.
    pub namespace: Option<String>,
    /// On one object.
    pub name: Option<String>,
}

impl Right {
    /// The resource as kubectl names it: `ingresses.networking.k8s.io/status`.
    pub fn resource(&self) -> String {
        if self.group.is_empty() {
            return self.resource.clone();
        }
        match self.resource.split_once('/') {
            Some((resource, part)) => format!("{resource}.{}/{part}", self.group),
            None => format!("{}.{}", self.resource, self.group),
        }
    }

    fn attributes(&self) -> ResourceAttributes {
        let (resource, part) = match self.resource.split_once('/') {
            Some((resource, part)) => (resource, Some(part.to_owned())),
            None => (&*self.resource, None),
        };
        ResourceAttributes {
            group: Some(self.group.clone()),
            resource: Some(resource.to_owned()),
            subresource: part,
            verb: Some(self.verb.clone()),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            ..ResourceAttributes::default()
        }
    }
}

/// Whose rights are asked for.
#[derive(Clone, Copy, Debug)]
pub enum Whose<'a> {
    /// Those of whoever asks.
    Mine,
    /// A ServiceAccount's: its namespace and name.
    Account(&'a str, &'a str),
}

/// Which of these rights somebody has.
pub async fn may(
    client: &kube::Client,
    whose: Whose<'_>,
    rights: Vec<Right>,
) -> Read<Vec<(Right, bool)>> {
    let asked = rights.into_iter().map(|right| async move {
        let may = may_one(client, whose, &right).await?;
        Ok((right, may))
    });
    let answers = futures::stream::iter(asked).buffered(ASKED_AT_ONCE);
    let answers: Vec<Read<(Right, bool)>> = answers.collect().await;
    answers.into_iter().collect()
}

async fn may_one(client: &kube::Client, whose: Whose<'_>, right: &Right) -> Read<bool> {
    let params = PostParams::default();
    let status = match whose {
        Whose::Mine => {
            let api: Api<SelfSubjectAccessReview> = Api::all(client.clone());
            let review = SelfSubjectAccessReview {
                spec: SelfSubjectAccessReviewSpec {
                    resource_attributes: Some(right.attributes()),
                    ..SelfSubjectAccessReviewSpec::default()
                },
                ..SelfSubjectAccessReview::default()
            };
            let of = Of {
                resource: "selfsubjectaccessreviews.authorization.k8s.io",
                namespace: None,
            };
            call(api.create(&params, &review), "create", of)
                .await?
                .status
        }
        Whose::Account(namespace, name) => {
            let api: Api<SubjectAccessReview> = Api::all(client.clone());
            let review = SubjectAccessReview {
                spec: SubjectAccessReviewSpec {
                    resource_attributes: Some(right.attributes()),
                    user: Some(format!("system:serviceaccount:{namespace}:{name}")),
                    groups: Some(vec![
                        "system:serviceaccounts".to_owned(),
                        format!("system:serviceaccounts:{namespace}"),
                        "system:authenticated".to_owned(),
                    ]),
                    ..SubjectAccessReviewSpec::default()
                },
                ..SubjectAccessReview::default()
            };
            let of = Of {
                resource: "subjectaccessreviews.authorization.k8s.io",
                namespace: None,
            };
            call(api.create(&params, &review), "create", of)
                .await?
                .status
        }
    };
    Ok(status.is_some_and(|status| status.allowed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_read_is_a_finding() {
        let unread = |why| Unread {
            verb: "list",
            resource: "secrets".to_owned(),
            namespace: None,
            why,
        };
        let found = unread(Why::Forbidden).finding("whether certificates end");
        assert_eq!(found.command, "kubectl auth can-i list secrets -A");
        let says = "you may not list secrets, so it is not known whether certificates end: ask for that right";
        assert!(found.message.starts_with(says), "{}", found.message);
        let within = Unread {
            namespace: Some("isobath".to_owned()),
            ..unread(Why::Failed("no answer".to_owned()))
        };
        let found = within.finding("which");
        assert_eq!(found.command, "kubectl get secrets -n isobath");
        assert!(
            found.message.ends_with("which: no answer"),
            "{}",
            found.message
        );
    }

    #[test]
    fn rights_have_kubectls_names() {
        for (group, resource, expected) in [
            ("", "secrets", "secrets"),
            ("", "pods/portforward", "pods/portforward"),
            (
                "networking.k8s.io",
                "ingresses/status",
                "ingresses.networking.k8s.io/status",
            ),
        ] {
            let right = Right {
                group: group.to_owned(),
                resource: resource.to_owned(),
                verb: "get".to_owned(),
                namespace: None,
                name: None,
            };
            assert_eq!(right.resource(), expected);
        }
    }
}
