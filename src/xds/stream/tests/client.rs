//! A model of a client, for the properties of a stream.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::script::contents;
use crate::xds::message::{Ask, RefusalText, Request, Response, Variant};
use crate::xds::{Reference, ResourceType};

/// A client like Envoy: wildcards for LDS and CDS, and what they need by name.
pub struct Client {
    pub variant: Variant,
    /// Whether it keeps what is good of a response that it refuses, as Envoy does where the fault is found when a resource is
    /// applied; one that can't be decoded takes the whole response with it.
    pub keeps_good: bool,
    /// What it applied.
    pub has: BTreeMap<(ResourceType, Arc<str>), String>,
    pub versions: BTreeMap<(ResourceType, Arc<str>), Arc<str>>,
    pub needs: BTreeMap<(ResourceType, Arc<str>), Vec<Reference>>,
    pub wants: BTreeMap<ResourceType, BTreeSet<Arc<str>>>,
    pub asked: BTreeSet<ResourceType>,
    pub unanswered: BTreeMap<ResourceType, Response>,
    pub last: BTreeMap<ResourceType, u64>,
    /// Tables that it took on this stream.
    pub taken: BTreeSet<Arc<str>>,
    /// Whether it has refused a response with a table that it had not taken on this stream.
    pub searches_anew: bool,
    pub refused: BTreeSet<Vec<(ResourceType, Arc<str>, String)>>,
    /// Clusters whose endpoints it acknowledged since it has them.
    pub ready: BTreeSet<Arc<str>>,
    /// Assignments that it refused: nobody waits for these.
    pub settled: BTreeSet<Arc<str>>,
    /// Whether it has come back and has not heard of these types since: a whole world then omits what is gone, though
    /// routes use it, because nobody knows its bytes any more.
    pub returned: BTreeSet<ResourceType>,
    /// Clusters that it brought along to this stream and has not taken anew.
    pub brought: BTreeSet<Arc<str>>,
    /// Those of them that it refuses as they are now. It goes on with its own; for the server, which does not believe what
    /// is brought along, they are not there, and their routes answer 503.
    pub kept: BTreeSet<Arc<str>>,
    /// What it has out of a response that it refused. It does not tell of these when it comes back (measured).
    pub untold: BTreeSet<(ResourceType, Arc<str>)>,
    /// Those of them that it had when it came back, of which no server can know.
    pub unknown: BTreeSet<(ResourceType, Arc<str>)>,
}

impl Client {
    pub fn new(variant: Variant, keeps_good: bool) -> Self {
        Self {
            variant,
            keeps_good,
            has: BTreeMap::new(),
            versions: BTreeMap::new(),
            needs: BTreeMap::new(),
            wants: BTreeMap::new(),
            asked: BTreeSet::new(),
            unanswered: BTreeMap::new(),
            last: BTreeMap::new(),
            taken: BTreeSet::new(),
            searches_anew: false,
            refused: BTreeSet::new(),
            ready: BTreeSet::new(),
            settled: BTreeSet::new(),
            returned: BTreeSet::new(),
            brought: BTreeSet::new(),
            kept: BTreeSet::new(),
            untold: BTreeSet::new(),
            unknown: BTreeSet::new(),
        }
    }

    /// The stream is lost. What it has it keeps.
    pub fn disconnect(&mut self) {
        self.asked.clear();
        self.unanswered.clear();
        self.last.clear();
        self.refused.clear();
        // Tables and assignments that it waits for are asked for again.
        self.wants.clear();
        self.returned = ResourceType::ALL.into();
        let clusters = self
            .has
            .keys()
            .filter(|(of, _)| *of == ResourceType::Cluster);
        self.brought = clusters.map(|(_, name)| name.clone()).collect();
        self.kept.clear();
        self.taken.clear();
        self.unknown.append(&mut self.untold);
    }

    pub fn receive(&mut self, response: Response) {
        let of = response.resource_type;
        //
        let names: BTreeSet<&Arc<str>> = response.resources.iter().map(|r| r.name()).collect();
        assert_eq!(names.len(), response.resources.len(), "a name twice");
        if self.variant == Variant::Sotw {
            assert!(response.removed.is_empty());
        }
        if !of.has_wildcard() {
            // nothing that was not asked for.
            for name in names {
                assert!(self.wants[&of].contains(name), "{name} unasked");
            }
        }
        // X-05, and of sets that were found by a search too.
        let set: Vec<_> = response
            .resources
            .iter()
            .map(|r| (of, r.name().clone(), contents(r)))
            .collect();
        assert!(
            set.is_empty() || !self.refused.contains(&set),
            "sent again after it was refused: {set:?}"
        );
        //
        if of == ResourceType::Route {
            for route in &response.resources {
                for cluster in route.references() {
                    let table: Option<&Vec<Reference>> =
                        self.needs.get(&(of, route.name().clone()));
                    let before = table.is_some_and(|table| table.contains(cluster));
                    let known = self
                        .has
                        .contains_key(&(ResourceType::Cluster, cluster.name.clone()));
                    assert!(
                        before
                            || self.ready.contains(&cluster.name)
                            || self.settled.contains(&cluster.name)
                            // Refused for good: its routes answer 503.
                            || !known
                            || self.kept.contains(&cluster.name),
                        "{} names {} too early",
                        route.name(),
                        cluster.name
                    );
                }
            }
        }
        let previous = self.unanswered.insert(of, response);
        assert!(previous.is_none(), "two unanswered responses of {of}");
    }

    /// Answers the response of this type, if there is one.
    pub fn answer(&mut self, of: ResourceType) -> Option<Request> {
        let response = self.unanswered.remove(&of)?;
        let bad = response
            .resources
            .iter()
            .any(|resource| contents(resource).contains("bad"));
        self.last.insert(of, response.nonce);
        let mut refusal = None;
        if bad {
            let set = response
                .resources
                .iter()
                .map(|r| (of, r.name().clone(), contents(r)))
                .collect();
            self.refused.insert(set);
            let mut refused = response.resources.iter();
            self.searches_anew |= of == ResourceType::Route
                && refused.any(|table| !self.taken.contains(table.name()));
            if of == ResourceType::Cluster {
                let refused = response.resources.iter();
                let refused = refused.filter(|resource| contents(resource).contains("bad"));
                let names = refused.map(|resource| resource.name().clone());
                self.kept
                    .extend(names.filter(|name| self.brought.contains(name)));
            }
            if of == ResourceType::Endpoint {
                // Refused for good: its routes answer 503, and wait for nothing.
                let refused = response.resources.iter();
                self.settled.extend(refused.map(|r| r.name().clone()));
            }
            refusal = Some(RefusalText::new("something is bad"));
        }
        if !bad || self.keeps_good {
            self.apply(&response, !bad);
        }
        if !bad {
            self.returned.remove(&of);
        }
        Some(self.request(of, response.nonce.to_string(), refusal))
    }

    /// Takes what is good of a response: all of it if it is accepted.
    fn apply(&mut self, response: &Response, is_accepted: bool) {
        let of = response.resource_type;
        if self.variant == Variant::Sotw && of.has_wildcard() {
            let names: BTreeSet<&Arc<str>> = response.resources.iter().map(|r| r.name()).collect();
            let held = self.has.keys().filter(|(held, _)| *held == of);
            let gone = held.filter(|(_, name)| !names.contains(name));
            let gone: Vec<Arc<str>> = gone.map(|(_, name)| name.clone()).collect();
            for name in gone {
                self.forget(of, &name);
            }
        }
        for name in &response.removed {
            self.forget(of, name);
        }
        for resource in &response.resources {
            // What it has let go of meanwhile it ignores.
            let is_wanted = of.has_wildcard() || self.wants[&of].contains(resource.name());
            if !is_wanted || contents(resource).contains("bad") {
                continue;
            }
            let key = (of, resource.name().clone());
            if is_accepted {
                if of == ResourceType::Cluster {
                    self.brought.remove(resource.name());
                    self.kept.remove(resource.name());
                }
                self.untold.remove(&key);
                self.unknown.remove(&key);
                if of == ResourceType::Route {
                    self.taken.insert(resource.name().clone());
                }
                if of == ResourceType::Endpoint {
                    // A cluster's endpoints have its name in this world.
                    self.ready.insert(resource.name().clone());
                }
            } else {
                if of == ResourceType::Cluster {
                    // For the server it is as one that was brought along.
                    self.brought.insert(resource.name().clone());
                }
                self.untold.insert(key.clone());
            }
            self.needs
                .insert(key.clone(), resource.references().cloned().collect());
            self.versions
                .insert(key.clone(), resource.version().clone());
            self.has.insert(key, contents(resource));
        }
    }

    pub fn forget(&mut self, of: ResourceType, name: &Arc<str>) {
        // Make before break: nothing that it has uses what it is to forget. The endpoints of a cluster go on the wire
        // after it, and may be answered before it.
        let key = (of, name.clone());
        let has = self.has.contains_key(&key) && of != ResourceType::Endpoint;
        // What no server can know of may be told not to exist, when it is asked for.
        // What it has out of a refused response by chance only, it may lose: a whole world in search of something bad omits
        // what was not accepted yet, which no route of this stream needs, and a client that may wait for what it asked for
        // is answered, if only that it is not there.
        let is_by_chance =
            self.untold.contains(&key) && (self.variant == Variant::Sotw || !of.has_wildcard());
        let is_known = !self.unknown.contains(&key) && !is_by_chance;
        if has && is_known && !(self.variant == Variant::Sotw && self.returned.contains(&of)) {
            for ((user, by), needs) in &self.needs {
                let uses = names(needs, &key) && self.is_known(&(*user, by.clone()));
                assert!(!uses, "{of} {name} is taken, and {user} {by} uses it");
            }
        }
        if of == ResourceType::Cluster {
            self.ready.remove(name);
        }
        self.has.remove(&key);
        self.needs.remove(&key);
        self.untold.remove(&key);
        self.unknown.remove(&key);
    }

    /// Whether a server can know that it has this: not if it does not tell, or if nothing else uses it.
    fn is_known(&self, key: &(ResourceType, Arc<str>)) -> bool {
        let is_untold = |key| self.unknown.contains(key);
        let mut users = self.needs.iter().filter(|(_, needs)| names(needs, key));
        !is_untold(key) && (key.0.has_wildcard() || users.any(|(user, _)| !is_untold(user)))
    }

    /// A request with the subscription as it is needed now.
    pub fn request(
        &mut self,
        of: ResourceType,
        nonce: String,
        refusal: Option<RefusalText>,
    ) -> Request {
        let needed: BTreeSet<Arc<str>> = self
            .needs
            .values()
            .flatten()
            .filter(|reference| reference.resource_type == of && !of.has_wildcard())
            .map(|reference| reference.name.clone())
            .collect();
        let before = self.wants.entry(of).or_default();
        let subscribe: Vec<String> = needed.difference(before).map(|n| n.to_string()).collect();
        let unsubscribe: Vec<String> = before.difference(&needed).map(|n| n.to_string()).collect();
        let gone: Vec<Arc<str>> = before.difference(&needed).cloned().collect();
        *before = needed.clone();
        if !of.has_wildcard() {
            for name in gone {
                self.has.remove(&(of, name.clone()));
                self.needs.remove(&(of, name));
            }
        }
        let first = self.asked.insert(of);
        let claimed: BTreeMap<String, String> = self
            .has
            .keys()
            .filter(|key| {
                first && key.0 == of && !self.untold.contains(key) && !self.unknown.contains(key)
            })
            .map(|key| (key.1.to_string(), self.versions[key].to_string()))
            .collect();
        Request {
            type_url: of.type_url().into(),
            nonce,
            refusal,
            client: None,
            ask: match self.variant {
                Variant::Delta => Ask::Delta {
                    subscribe,
                    unsubscribe,
                    claimed,
                },
                Variant::Sotw => Ask::Sotw {
                    names: needed.iter().map(|n| n.to_string()).collect(),
                    resumes: !claimed.is_empty(),
                },
            },
        }
    }

    /// Requests for what is needed and not subscribed, or no longer needed; as Envoy sends between answers.
    pub fn spontaneous(&mut self, of: ResourceType) -> Option<Request> {
        let needed: BTreeSet<Arc<str>> = self
            .needs
            .values()
            .flatten()
            .filter(|reference| reference.resource_type == of && !of.has_wildcard())
            .map(|reference| reference.name.clone())
            .collect();
        let wanted = self.wants.get(&of).cloned().unwrap_or_default();
        let first = !self.asked.contains(&of) && (of.has_wildcard() || !needed.is_empty());
        (first || needed != wanted).then(|| {
            let nonce = match self.variant {
                Variant::Delta => String::new(),
                Variant::Sotw => self.last.get(&of).map(u64::to_string).unwrap_or_default(),
            };
            self.request(of, nonce, None)
        })
    }
}

fn names(needs: &[Reference], key: &(ResourceType, Arc<str>)) -> bool {
    let mut needs = needs.iter();
    needs.any(|needed| needed.resource_type == key.0 && needed.name == key.1)
}
