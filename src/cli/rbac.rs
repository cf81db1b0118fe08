//! `isobath rbac --manifests PATH`: the smallest Roles that serve these objects, as YAML. They are for the namespaces that the
//! objects are in, and name the kinds that are read and written of them; where the Gateway API is served, whose classes are the
//! cluster's, it is one ClusterRole.
//!
//! What can't be smaller: RBAC has no list by type or by label, and a list of named objects is one request a name, so all
//! Secrets of a namespace may be read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::{objects, output, rights};
use crate::objects::{Event, Kind, Object};

/// Flags of `isobath rbac`.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Args {
    /// The manifests: a directory of YAML and JSON, one such file, or - for standard input.
    #[arg(long, env = "ISOBATH_MANIFESTS", value_name = "PATH")]
    pub manifests: PathBuf,
    /// The namespace of the installation, where its ServiceAccount and its Lease are.
    #[arg(
        long,
        env = "ISOBATH_INSTALLATION_NAMESPACE",
        value_name = "NAME",
        default_value = "isobath"
    )]
    pub installation_namespace: String,
    /// The ServiceAccount that gets the rights.
    #[arg(
        long,
        env = "ISOBATH_SERVICE_ACCOUNT",
        value_name = "NAME",
        default_value = "isobath"
    )]
    pub service_account: String,
    /// The Lease of --lease-name.
    #[arg(
        long,
        env = "ISOBATH_LEASE_NAME",
        value_name = "NAME",
        default_value = "isobath"
    )]
    pub lease_name: String,
    /// The Service of --envoy-service, where it is given: NAME, in the namespace of the installation.
    #[arg(long, env = "ISOBATH_ENVOY_SERVICE", value_name = "NAME")]
    pub envoy_service: Option<String>,
    /// API groups whose CustomResourceDefinitions are in the cluster, though no manifest is of them: what is installed is read.
    #[arg(
        long,
        env = "ISOBATH_INSTALLED",
        value_name = "GROUPS",
        value_delimiter = ','
    )]
    pub installed: Vec<String>,
}

/// Prints the Roles.
///
/// # Errors
///
/// Manifests that can't be read, or have no object: exit code 2.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let inspection = objects::of_manifests(&args.manifests)?;
    let mut needs = Needs::default();
    for event in inspection.events() {
        needs.add(event);
    }
    needs.groups.extend(args.installed.iter().cloned());
    output::print(&needs.written(args)?).map(drop)
}

/// What objects need.
#[derive(Debug, Default)]
struct Needs {
    /// The kinds of objects that there are, with their namespaces.
    kinds: BTreeMap<Kind, BTreeSet<String>>,
    /// Namespaces that they name.
    named: BTreeSet<String>,
    /// The groups of custom kinds that are read.
    groups: BTreeSet<String>,
}

impl Needs {
    fn add(&mut self, event: Event) {
        match event {
            Event::Apply(object) => self.object(&object),
            Event::Delete(_) => {}
            Event::Replace { objects, .. } => objects.iter().for_each(|it| self.object(it)),
            Event::Batch(events) => events.into_iter().for_each(|event| self.add(event)),
        }
    }

    fn object(&mut self, object: &Object) {
        let reference = object.reference();
        let kind = reference.kind;
        let namespaces = self.kinds.entry(kind).or_default();
        if kind.is_namespaced() {
            namespaces.insert(reference.name.namespace.to_string());
        }
        if kind.is_custom() {
            self.groups.insert(kind.group().to_owned());
        }
        if let Object::HttpProxy(proxy) = object {
            let included = proxy.includes.iter().map(|it| &*it.namespace);
            let tls = proxy.virtual_host.as_ref().and_then(|it| it.tls.as_ref());
            let delegated = tls.and_then(|tls| tls.secret_name.split_once('/'));
            let named = included.chain(delegated.map(|(namespace, _)| namespace));
            let named = named.filter(|namespace| !namespace.is_empty());
            self.named.extend(named.map(ToOwned::to_owned));
        }
    }

    /// Whether objects are read that have no namespace, or belong to such.
    fn is_of_cluster(&self) -> bool {
        let gateway = Kind::Gateway.group();
        self.groups.contains(gateway)
    }

    /// The kinds that are listed and watched.
    fn read(&self) -> impl Iterator<Item = Kind> {
        Kind::ALL.into_iter().filter(|kind| {
            let is_there = match kind.custom() {
                Some(custom) => self.groups.contains(custom.group()),
                None => true,
            };
            is_there && (self.is_of_cluster() || kind.is_namespaced())
        })
    }

    /// The namespaces of what is read.
    fn namespaces(&self) -> BTreeSet<&str> {
        let of_kinds = self.read().filter_map(|kind| self.kinds.get(&kind));
        let namespaces = of_kinds.flatten().chain(&self.named);
        namespaces.map(|name| &**name).collect()
    }

    fn rules(&self) -> Vec<Value> {
        let mut rules = rights::read(self.read());
        rules.extend(rights::written(self.kinds.keys().copied()));
        let rules = rules.iter().map(|rule| {
            json!({"apiGroups": [rule.group], "resources": rule.resources, "verbs": rule.verbs})
        });
        rules.collect()
    }

    fn written(&self, args: &Args) -> anyhow::Result<String> {
        let home = &*args.installation_namespace;
        let mut roles = Vec::new();
        let mut text = String::new();
        // Writing to a String can't fail.
        if self.is_of_cluster() {
            let _ = writeln!(
                text,
                "# The Gateway API is read in the whole cluster, as its classes are the cluster's; so is all the rest then."
            );
            roles.push(("isobath", None, self.rules()));
        } else {
            let names: Vec<&str> = self.namespaces().into_iter().collect();
            let _ = writeln!(
                text,
                "# With these rights isobath serve takes --watch-namespaces={}, and finds Ingresses by the name of their class\n\
                 # (--ingress-class): IngressClasses have no namespace, and are not read.",
                names.join(",")
            );
            for name in names {
                roles.push(("isobath-watched", Some(name), self.rules()));
            }
        }
        let [made, held] = rights::of_lease();
        let lease = vec![
            json!({"apiGroups": [made.group], "resources": made.resources, "verbs": made.verbs}),
            json!({
                "apiGroups": [held.group], "resources": held.resources,
                "resourceNames": [args.lease_name], "verbs": held.verbs,
            }),
        ];
        roles.push(("isobath-lease", Some(home), lease));
        if let Some(service) = &args.envoy_service {
            let rule = json!({
                "apiGroups": [""], "resources": ["services"], "resourceNames": [service],
                "verbs": ["list", "watch"],
            });
            roles.push(("isobath-service", Some(home), vec![rule]));
        }
        for (name, namespace, rules) in roles {
            for document in bound(name, namespace, rules, (home, &args.service_account)) {
                let yaml = serde_saphyr::to_string(&document);
                let _ = write!(text, "---\n{}", yaml.context("can't write YAML")?);
            }
        }
        Ok(text)
    }
}

/// A Role, or without a namespace a ClusterRole, and what binds it to an account.
fn bound(
    name: &str,
    namespace: Option<&str>,
    rules: Vec<Value>,
    (home, account): (&str, &str),
) -> [Value; 2] {
    let (role, binding) = match namespace {
        Some(_) => ("Role", "RoleBinding"),
        None => ("ClusterRole", "ClusterRoleBinding"),
    };
    let metadata = match namespace {
        Some(namespace) => json!({"name": name, "namespace": namespace}),
        None => json!({"name": name}),
    };
    let group = "rbac.authorization.k8s.io";
    let api_version = format!("{group}/v1");
    [
        json!({"apiVersion": api_version, "kind": role, "metadata": metadata, "rules": rules}),
        json!({
            "apiVersion": api_version, "kind": binding, "metadata": metadata,
            "roleRef": {"apiGroup": group, "kind": role, "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": home}],
        }),
    ]
}
