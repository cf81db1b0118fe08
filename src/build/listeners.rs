//! All listeners while they are kept up to date: whoever declares one gets it, and says what each host is on it.
//!
//! What a listener costs at a change is its own: only those that are touched are looked at (I4).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::envoy::edge::Edge;
use crate::envoy::{listener, manager};
use crate::model::{Application, Listener, Spoken};
use crate::xds::{ResourceType, Snapshot};

use super::http::HttpListener;
use super::http3::Http3Listener;
use super::tls::TlsListener;
use super::used_secrets::UsedSecrets;

/// Listeners by name.
#[derive(Debug)]
pub struct Listeners {
    edge: Edge,
    https_port: Option<u16>,
    listeners: BTreeMap<Arc<str>, Declared>,
    touched: BTreeSet<Arc<str>>,
    /// Those that are gone, with what has their name.
    gone: Vec<Declared>,
    used: UsedSecrets,
}

#[derive(Debug)]
struct Declared {
    listener: Listener,
    is_published: bool,
    hosts: Hosts,
}

/// What depends on hosts.
#[derive(Debug)]
enum Hosts {
    Http(Box<HttpListener>),
    Tls(Box<TlsListener>),
    /// Nothing.
    None,
}

impl Listeners {
    /// No listeners. All will have these flags; where one redirects to HTTPS, it is to this port, if there is one.
    #[must_use]
    pub fn new(edge: &Edge, https_port: Option<u16>) -> Self {
        Self {
            edge: edge.clone(),
            https_port,
            listeners: BTreeMap::new(),
            touched: BTreeSet::new(),
            gone: Vec::new(),
            used: UsedSecrets::default(),
        }
    }

    /// Has a listener, in the place of the one of its name. It keeps its hosts while it has the same application.
    pub fn declare(&mut self, listener: Listener) {
        let name = listener.name.clone();
        let old = self.listeners.remove(&name);
        let mut hosts = None;
        if let Some(old) = old {
            if old.listener == listener {
                self.listeners.insert(name, old);
                return;
            }
            let (before, now) = (&old.listener.application, &listener.application);
            match now.spoken() {
                Spoken::Http | Spoken::Tls if before.spoken() == now.spoken() => {
                    hosts = Some(old.hosts);
                }
                _ => self.leave(old),
            }
        }
        let head = listener::head(&listener, &self.edge);
        let mut hosts = match (hosts, &listener.application) {
            (Some(Hosts::Tls(mut tls)), _) => {
                tls.set_head(head);
                Hosts::Tls(tls)
            }
            (Some(hosts), _) => hosts,
            (None, Application::Http) => {
                let http = HttpListener::new(manager::in_clear(&name), &self.edge, self.https_port);
                Hosts::Http(Box::new(http))
            }
            (None, Application::Tls | Application::TlsAndHttp3(_)) => {
                let tls = TlsListener::new(name.clone(), head, &self.edge);
                Hosts::Tls(Box::new(tls))
            }
            (None, Application::Tcp(_) | Application::Udp(_)) => Hosts::None,
        };
        if let Hosts::Tls(tls) = &mut hosts {
            let http3 = listener.application.http3();
            let http3 =
                http3.and_then(|it| Http3Listener::new(&name, listener.address, it, &self.edge));
            tls.set_http3(http3);
        }
        self.touched.insert(name.clone());
        let declared = Declared {
            listener,
            is_published: false,
            hosts,
        };
        self.listeners.insert(name, declared);
    }

    /// Has the listener no longer.
    pub fn remove(&mut self, name: &str) {
        if let Some(gone) = self.listeners.remove(name) {
            self.leave(gone);
        }
    }

    /// A listener for clear text, to say what a host is on it; `None` where there is none of this name.
    pub fn http(&mut self, name: &str) -> Option<&mut HttpListener> {
        match self.hosts(name)? {
            Hosts::Http(http) => Some(http),
            Hosts::Tls(_) | Hosts::None => None,
        }
    }

    /// The same for TLS.
    pub fn tls(&mut self, name: &str) -> Option<&mut TlsListener> {
        match self.hosts(name)? {
            Hosts::Tls(tls) => Some(tls),
            Hosts::Http(_) | Hosts::None => None,
        }
    }

    fn hosts(&mut self, name: &str) -> Option<&mut Hosts> {
        let declared = self.listeners.get_mut(name)?;
        self.touched.insert(declared.listener.name.clone());
        Some(&mut declared.hosts)
    }

    /// What listeners and clusters name of what SDS delivers, as far as it is counted: what listeners have come to name since is
    /// [`Self::count_secrets`]'s.
    pub const fn used_secrets(&mut self) -> &mut UsedSecrets {
        &mut self.used
    }

    /// Counts what listeners name of what SDS delivers. Once for each build: it looks at all that are touched. To be called
    /// before [`Listeners::publish`].
    pub fn count_secrets(&mut self) -> &mut UsedSecrets {
        for name in &self.touched {
            if let Some(Declared {
                hosts: Hosts::Tls(tls),
                ..
            }) = self.listeners.get_mut(name)
            {
                for secret in tls.take_touched_secrets() {
                    let uses = tls.uses(&secret);
                    self.used.count(secret, uses);
                }
            }
        }
        &mut self.used
    }

    /// Puts what differs into the snapshot; returns whether anything does.
    pub fn publish(&mut self, snapshot: &mut Snapshot) -> bool {
        let mut changed = false;
        for gone in std::mem::take(&mut self.gone) {
            changed = true;
            self.unpublish(gone, snapshot);
        }
        for name in std::mem::take(&mut self.touched) {
            let Some(declared) = self.listeners.get_mut(&name) else {
                continue;
            };
            if !std::mem::replace(&mut declared.is_published, true) {
                changed = true;
                declared.publish(&self.edge, snapshot);
            }
            changed |= match &mut declared.hosts {
                Hosts::Http(http) => http.publish(snapshot),
                Hosts::Tls(tls) => tls.publish(snapshot),
                Hosts::None => false,
            };
        }
        changed
    }

    /// Makes its maps as small as they can be.
    pub fn pack(&mut self) {
        for declared in self.listeners.values_mut() {
            if let Hosts::Tls(tls) = &mut declared.hosts {
                tls.pack();
            }
        }
        self.used.pack();
    }

    /// A listener that is gone; another one may have its name by now.
    fn leave(&mut self, mut gone: Declared) {
        if let Hosts::Tls(tls) = &mut gone.hosts {
            // What came into use since the last look was never counted; what fell out of it still is.
            let touched = tls.take_touched_secrets();
            let (new, mut counted): (BTreeSet<_>, BTreeSet<_>) =
                touched.into_iter().partition(|secret| tls.uses(secret));
            let used = tls.clear().into_iter();
            counted.extend(used.filter(|secret| !new.contains(secret)));
            for secret in counted {
                self.used.count(secret, false);
            }
        }
        self.gone.push(gone);
    }

    fn unpublish(&self, mut gone: Declared, snapshot: &mut Snapshot) {
        let name = &gone.listener.name;
        match &mut gone.hosts {
            Hosts::Http(_) => drop(snapshot.remove(ResourceType::Route, &manager::in_clear(name))),
            Hosts::Tls(tls) => drop(tls.publish(snapshot)),
            Hosts::None => {}
        }
        for manager in listener::managers(&gone.listener, &self.edge) {
            snapshot.remove(ResourceType::Extension, manager.name());
        }
        snapshot.remove(ResourceType::Listener, name);
    }
}

impl Declared {
    /// What does not depend on hosts.
    fn publish(&self, edge: &Edge, snapshot: &mut Snapshot) {
        for manager in listener::managers(&self.listener, edge) {
            snapshot.insert(ResourceType::Extension, Arc::new(manager));
        }
        if !matches!(self.hosts, Hosts::Tls(_)) {
            let listener = listener::listener(&self.listener, edge);
            snapshot.insert(ResourceType::Listener, Arc::new(listener));
        }
    }
}
