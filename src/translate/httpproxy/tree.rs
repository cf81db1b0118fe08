//! What a root and the HTTPProxies that it includes come to: the routes of a host.
//!
//! An include may name a proxy of any namespace that is no root; the conditions on the way are joined. A proxy's own routes come
//! after those of what it includes, and of two routes with the same conditions the later holds. The first bad route ends its proxy
//! with all that this includes, and nothing else: that is Contour's rule, and what people read in the status.
//!
//! Where an include leads nowhere its requests are answered 502 (in Contour at the wrong path, where the include is nested). Each
//! include is made anew, so two of the next proxy in a chain of n come to 2^n routes: what a root comes to is counted before it is
//! made, and is bounded as what any object comes to. So is what is read in vain, and what is told of it: a route that is wrong costs
//! what is written of it, and each fault its text. And so is what many proxies make of one child: those of a namespace have a share
//! each of what it may come to with all of them, and the youngest, whose share is too small, are told that theirs is left out.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::order::{self, Place, Ranked};
use crate::model::{HeaderModifier, Host, Route, RouteAction, RouteMatch};
use crate::objects::http_proxy::{HttpProxy, Include};
use crate::objects::{Field, FieldRef, NamespacedName};
use crate::translate::budget;

use super::condition::{self, Fault};
use super::conditions::{Chain, check_include, include_key};
use super::context::{Context, left_out};
use super::route::{Entry, Replaced, place, route};
use super::written;

/// The longest chain of includes. Contour has no bound.
const DEEPEST: usize = 64;
/// What an include costs beside the conditions on the way, whether it can be followed or not.
const INCLUDE: u64 = 400;
/// What is told costs this beside its text, of which it keeps what it is about as well.
const FAULT: u64 = 400;

/// The routes of a root, in the order in which they are tried.
///
/// # Errors
///
/// Where they would be more than one object may come to.
pub fn routes(context: &mut Context<'_>, root: &HttpProxy) -> Result<Vec<Entry>, Fault> {
    let mut walk = Walk {
        context,
        path: Vec::new(),
        told: 0,
    };
    walk.told = walk.context.faults.0.len();
    let entries = walk.proxy(root, &Chain::default())?;
    let mut unique: BTreeMap<RouteMatch, Entry> = BTreeMap::new();
    for entry in entries {
        unique.insert(entry.route.matches.clone(), entry);
    }
    let mut entries: Vec<Entry> = unique.into_values().collect();
    order::http_proxy(&mut entries);
    Ok(entries)
}

impl Ranked for Entry {
    /// All routes of a host are of one.
    fn hostname(&self) -> &Host {
        static ANY: std::sync::LazyLock<Host> = std::sync::LazyLock::new(Host::any);
        &ANY
    }

    fn matches(&self) -> &RouteMatch {
        &self.route.matches
    }

    fn place(&self) -> &Place {
        &self.place
    }
}

struct Walk<'a, 'b> {
    context: &'b mut Context<'a>,
    /// The proxies from the root to where the walk is.
    path: Vec<NamespacedName>,
    /// How many of the faults are paid.
    told: usize,
}

impl Walk<'_, '_> {
    fn pay(&mut self, cost: u64) -> Result<(), Fault> {
        self.context.account.pay(cost)
    }

    /// Pays for what was told since.
    fn pay_for_faults(&mut self) -> Result<(), Fault> {
        let all = &self.context.faults.0;
        let new = all.get(self.told..).unwrap_or_default();
        let texts = new.iter().map(|problem| &*problem.message);
        let cost = texts.map(|text| FAULT.saturating_add(budget::of_texts([text])));
        let cost = cost.fold(0, u64::saturating_add);
        self.told = all.len();
        self.pay(cost)
    }

    fn proxy(&mut self, proxy: &HttpProxy, chain: &Chain<'_>) -> Result<Vec<Entry>, Fault> {
        let name = &proxy.metadata.name;
        if self.path.contains(name) {
            let names: Vec<String> = self.path.iter().map(ToString::to_string).collect();
            let message = format!(
                "include creates an include cycle: {} -> {name}",
                names.join(" -> ")
            );
            let fault = Fault::new(condition::INCLUDE_CYCLE, message);
            self.tell(proxy, "spec.includes", fault)?;
            return Ok(Vec::new());
        }
        if self.path.len() >= DEEPEST {
            let message = format!("it is included through more than {DEEPEST} HTTPProxies");
            let fault = Fault::new(condition::INCLUDE_TOO_DEEP, message);
            self.tell(proxy, "", fault)?;
            return Ok(Vec::new());
        }
        self.path.push(name.clone());
        let entries = self.routes_of(proxy, chain);
        self.path.pop();
        entries
    }

    fn routes_of(&mut self, proxy: &HttpProxy, chain: &Chain<'_>) -> Result<Vec<Entry>, Fault> {
        let mut entries = Vec::new();
        let mut seen = BTreeSet::new();
        for (index, include) in proxy.includes.iter().enumerate() {
            let chain = chain.then(&include.conditions);
            self.pay(INCLUDE.saturating_add(chain.cost()))?;
            let at = format!("spec.includes[{index}]");
            match self.check_include(include, &mut seen) {
                Err(fault) => self.tell(proxy, &at, fault)?,
                Ok(()) => entries.extend(self.include(proxy, &at, include, &chain)?),
            }
        }
        for (index, written) in proxy.routes.iter().enumerate() {
            let read = written::route(written).saturating_add(chain.cost());
            self.context.account.pay_ahead(read)?;
            let made = route(self.context, proxy, index, written, chain);
            self.pay_for_faults()?;
            match made {
                Ok(entry) => {
                    self.context.account.routes += 1;
                    let cost = budget::route(&entry.route);
                    self.context.account.pay_route(cost)?;
                    entries.push(entry);
                }
                // Whoever wrote it, the root is what is too much.
                Err(fault) if fault.is_too_large() => return Err(fault),
                Err(fault) => {
                    self.context.account.pay_route(0)?;
                    self.tell(proxy, &format!("spec.routes[{index}]"), fault)?;
                    return Ok(Vec::new());
                }
            }
        }
        Ok(entries)
    }

    fn check_include(
        &self,
        include: &Include,
        seen: &mut BTreeSet<(String, Vec<String>, Vec<String>)>,
    ) -> Result<(), Fault> {
        check_include(&include.conditions)?;
        Chain::default().then(&include.conditions).check()?;
        let key = include_key(&include.conditions);
        if key.is_none_or(|key| seen.insert(key)) {
            return Ok(());
        }
        let message = "duplicate conditions defined on an include";
        Err(Fault::new(condition::INCLUDE_DUPLICATE, message))
    }

    fn include(
        &mut self,
        proxy: &HttpProxy,
        at: &str,
        include: &Include,
        chain: &Chain<'_>,
    ) -> Result<Vec<Entry>, Fault> {
        let own = &proxy.metadata.name.namespace;
        let namespace = match include.namespace.is_empty() {
            true => own,
            false => &include.namespace,
        };
        let name = NamespacedName::new(namespace.clone(), include.name.clone());
        let fault = match self.context.input.reader.http_proxy(&name) {
            None => {
                let message = format!("include {name} not found");
                Fault::new(condition::INCLUDE_NOT_FOUND, message)
            }
            Some(child) if child.virtual_host.is_some() => {
                let message =
                    format!("root httpproxy cannot include another root httpproxy ({name})");
                Fault::new(condition::ROOT_INCLUDES_ROOT, message)
            }
            Some(child) => match self.child(proxy, child, chain)? {
                Some(entries) => return Ok(entries),
                None => left_out(&name, &proxy.metadata.name),
            },
        };
        self.tell(proxy, at, fault)?;
        if include.conditions.is_empty() {
            return Ok(Vec::new());
        }
        self.context.account.routes += 1;
        let matches = match chain.matches() {
            Ok(matches) => matches,
            Err(fault) => {
                self.tell(proxy, at, fault)?;
                return Ok(Vec::new());
            }
        };
        let entry = Entry {
            place: place(proxy, 0),
            route: Route {
                matches,
                action: RouteAction::status(502),
                request_headers: HeaderModifier::default(),
                response_headers: HeaderModifier::default(),
                filters: None,
                source: FieldRef::new(proxy.reference(), Field::At(Arc::from(at))),
            },
            permit_insecure: false,
            auth_policy: None,
            jwt_policy: None,
            replaces: Replaced::default(),
        };
        self.pay(budget::route(&entry.route))?;
        Ok(vec![entry])
    }

    /// What an included proxy comes to; `None` where its share of what may be made of the child is too small.
    fn child(
        &mut self,
        proxy: &HttpProxy,
        child: &HttpProxy,
        chain: &Chain<'_>,
    ) -> Result<Option<Vec<Entry>>, Fault> {
        self.context.reached.insert(child.reference());
        let reader = self.context.input.reader;
        let share = reader.includes_until(&child.metadata.name, &proxy.metadata.name);
        let outer = self.context.account.narrow(budget::include(share));
        let told = self.context.faults.0.len();
        let made = self.proxy(child, chain);
        match made {
            Err(fault) if fault.is_too_large() && self.context.account.give_up(&outer) => {
                // Where it is included and served its faults are told.
                self.context.faults.0.truncate(told);
                self.told = self.told.min(told);
                Ok(None)
            }
            made => {
                self.context.account.widen(&outer);
                made.map(Some)
            }
        }
    }

    fn tell(&mut self, proxy: &HttpProxy, at: &str, fault: Fault) -> Result<(), Fault> {
        self.context.faults.error(&proxy.reference(), at, fault);
        self.pay_for_faults()
    }
}
