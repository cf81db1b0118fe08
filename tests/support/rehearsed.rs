//! A kind to be thrown away, and all that it takes to add one: an Outlet is a listener, and a host on it or on those of the
//! fleet. A key of a ConfigMap says which path its requests must have.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use isobath::model::*;
use isobath::objects::*;
use isobath::translate::*;

/// With the fields `listener` (its name), `address` and `speaks` (http, tls, tcp or udp); `host`, a host there; `fleet`, a host of
/// the fleet; `service`, whose port 80 gets the requests; `secret`, with whose certificate TLS ends, and else goes through;
/// `config`, a ConfigMap of which the key `path` is read.
pub const OUTLET: u8 = 0;
pub const CONFIG_MAP: u8 = 1;

pub fn object(kind: u8, metadata: Metadata, fields: &[(&str, &str)]) -> Object {
    let text = |(key, value): &(&str, &str)| (Arc::from(*key), Arc::from(*value));
    let fields = fields.iter().map(text).collect();
    let untyped = |fields| Untyped {
        kind,
        metadata,
        fields,
    };
    Object::Untyped(Arc::new(untyped(fields)))
}

#[derive(Debug)]
pub struct Outlets;

impl Language for Outlets {
    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Untyped(OUTLET)]
    }

    fn claims(&self, input: Input<'_>, outlet: &ObjectRef) -> BTreeSet<Claimable> {
        let field = |key| input.reader().field(outlet, key).cloned();
        let host =
            |front: Option<Front>, key| Some(Claimable::Host(front?, Host::new(field(key)?)));
        let listener = field("listener");
        let own = host(listener.clone().map(Front::Listener), "host");
        let of_fleet = host(Some(Front::Fleet), "fleet");
        let claims = [listener.map(Claimable::Listener), own, of_fleet];
        claims.into_iter().flatten().collect()
    }

    fn listener(&self, input: Input<'_>, name: &Arc<str>, claims: &[ObjectRef]) -> ListenerUnit {
        let outlet = Outlet(input, &claims[0]);
        let mut unit = ListenerUnit::default();
        let address = outlet.field("address").and_then(|text| text.parse().ok());
        let application = match outlet.field("speaks").map(|speaks| &**speaks) {
            Some("http") => Application::Http,
            Some("tls") => Application::Tls,
            Some("tcp") => Application::Tcp(outlet.to(&mut unit.clusters, &mut unit.problems)),
            _ => Application::Udp(outlet.to(&mut unit.clusters, &mut unit.problems)),
        };
        unit.listener = address.map(|address| Listener {
            name: name.clone(),
            address,
            application,
        });
        unit
    }

    fn host(&self, input: Input<'_>, front: &Front, host: &Host, claims: &[ObjectRef]) -> HostUnit {
        let outlet = Outlet(input, &claims[0]);
        let mut unit = HostUnit::default();
        let forwarding = outlet.to(&mut unit.clusters, &mut unit.problems);
        let source = FieldRef::new(outlet.1.clone(), Field::At("host".into()));
        let is_by = |spoken| match front {
            Front::Fleet => true,
            Front::Listener(name) => input.reader().spoken(name) == Some(spoken),
        };
        let secret = outlet.field("secret").map(|name| outlet.sibling(name));
        if secret.is_none() && *front != Front::Fleet && is_by(Spoken::Tls) {
            unit.passthrough = Some(Passthrough { forwarding, source });
            return unit;
        }
        let backends = forwarding.shares.into_iter();
        let route = Route {
            matches: RouteMatch::path(PathMatch::PathPrefix(outlet.path())),
            action: RouteAction::Forward(Forward {
                backends: backends
                    .map(|to| WeightedCluster::new(to.cluster, to.weight))
                    .collect(),
                ..Forward::default()
            }),
            request_headers: HeaderModifier::default(),
            response_headers: HeaderModifier::default(),
            filters: None,
            source: source.clone(),
        };
        let routes = VirtualHost {
            host: host.clone(),
            routes: vec![route],
            filters: None,
            client_check: None,
        };
        unit.http = is_by(Spoken::Http).then(|| routes.clone());
        let usable = secret.filter(|name| input.reader().certificate_names(name).is_ok());
        unit.https = usable
            .filter(|_| is_by(Spoken::Tls))
            .map(|secret| HttpsHost::with_secret(secret, source, routes));
        unit
    }
}

/// An Outlet as a unit reads it.
struct Outlet<'a>(Input<'a>, &'a ObjectRef);
type Clusters = BTreeMap<Arc<str>, ClusterSource>;

impl<'a> Outlet<'a> {
    fn field(&self, key: &str) -> Option<&'a Arc<str>> {
        self.0.reader().field(self.1, key)
    }

    fn sibling(&self, name: &Arc<str>) -> NamespacedName {
        NamespacedName::new(self.1.name.namespace.clone(), name.clone())
    }

    fn path(&self) -> Arc<str> {
        let path = self.field("config").and_then(|config| {
            let config = ObjectRef {
                kind: Kind::Untyped(CONFIG_MAP),
                name: self.sibling(config),
            };
            self.0.reader().field(&config, "path").cloned()
        });
        path.unwrap_or_else(|| "/".into())
    }

    fn to(&self, clusters: &mut Clusters, problems: &mut Vec<Problem>) -> Forwarding {
        let mut forwarding = Forwarding::default();
        let Some(name) = self.field("service").cloned() else {
            return forwarding;
        };
        let port = ServiceBackendPort::Number(80);
        let backend = IngressBackend::Service { name, port };
        match resolve(self.0, &self.1.name.namespace, &backend) {
            Ok(to) => {
                let (cluster, weight) = (to.cluster.clone(), 1);
                forwarding.shares.push(Share { cluster, weight });
                clusters.insert(to.cluster, to.port);
            }
            Err((reason, why)) => problems.push(Problem::new(self.1.clone(), reason, why)),
        }
        forwarding
    }
}
