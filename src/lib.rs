//! Isobath is a Kubernetes ingress controller: it watches Kubernetes and is the xDS control plane of an Envoy
//! that runs beside it in the same pod. Kubernetes is the source of truth, Isobath the xDS server, Envoy the client.
//!
//! # One event, from Kubernetes to the wire
//!
//! ```text
//!  sources     objects::Event     build::controller            Arc<Snapshot>        xds
//!  kubernetes ───────────▶  facts → translate → envoy → build ───────────▶  stream per client ──▶ Envoy
//!  manifests    one mpsc         one owner, no lock            watch channel        ADS, delta or SotW
//!                                     │
//!                                     └── Arc<Statuses> ──▶ status (holder of the lease) ──▶ Kubernetes
//! ```
//!
//! # The rooms, from the ground up
//!
//! A room names only rooms above it in this table. `tests/layers.rs` has the list and fails for a room that is not in it.
//!
//! | room | is about | must never |
//! |---|---|---|
//! | [`process`] | supervisor, log, metrics, profile, HTTP pages, exit codes | know an object or a route |
//! | [`objects`] | what Kubernetes says: slim types, decoded and validated | end the process for an object |
//! | [`model`] | hosts, routes, clusters, certificates, verdicts: plain data | be shaped like an Ingress |
//! | [`facts`] | the objects as they are now, the facts that a unit reads of them, and which of these an event changes | do IO, walk all objects, know who reads |
//! | [`translate`] | objects → model, one pure function per unit | see a protobuf |
//! | [`xds`] | named, versioned bytes, and the protocol as state machines | know what the bytes mean |
//! | [`envoy`] | model → encoded protobuf, Envoy's bootstrap | see a Kubernetes object |
//! | [`build`] | who has read what; the units that read what differs are made again, in the order of their strata; the task that owns it | do IO, know the time, wait for a reader |
//! | [`sources`] | list-watch of an API server, or a directory of manifests: both send the same [`objects::Event`]s | show half a list |
//! | [`status`] | what is written back to Kubernetes, by the holder of the lease | delay data, end the process |
//! | [`local`] | control plane and Envoy on a laptop: echo, stand-ins, certificates | exist in another mode than `isobath run` |
//! | [`page`] | what a person sees of it in a browser, and the JSON that the page asks for | change anything, run for an event, show a key |
//! | [`authz`] | the process beside Envoy that is asked about requests of guarded routes | let a request pass that it can't judge, need the API server |
//! | [`cli`] | one file a command: flags and wiring | decide anything about routes |
//!
//! # A unit is what it has read
//!
//! Everything that is made is a unit: a pure function with a key (what an object claims, a listener, a host, a cluster, a load
//! assignment, a certificate, what is to be said of one object, and what several of these derive alike from the same facts). It gets a [`facts::Reader`]
//! and never the store, so whatever it reads is recorded, what is absent included. An object is a set of facts; an event is
//! compared with the object that was there and names the facts that differ; their readers are made again, from low strata
//! to high ([`translate::Derived`], then what is published). Where a unit's result is what it was, the change ends. What is
//! a sum (the users of a cluster, the hosts of a table or of a TLS server) is counted by differences and never read as a
//! list. No code says, kind by kind, which units a change concerns.
//!
//! A listener or a host is there because an object claims it ([`model::Claimable`]), and goes with its last claim. A host is
//! keyed by the [`model::Front`] that serves it: the fleet's two listeners, or one that is claimed. Which language a claim
//! is in is the business of [`translate::Languages`]: no file of [`build`] or [`xds`] names one (`tests/layers.rs`).
//!
//! # Three walks
//!
//! Each is the list of the files that something passes, in this order.
//!
//! **An EndpointSlice, from a line of a watch to the wire**
//!
//! 1. `sources/kubernetes/transport.rs` reads the watch's bytes, and `sources/kubernetes/frame.rs` cuts a line out of them.
//! 2. `objects/decode/mod.rs` and `objects/decode/endpoint_slice.rs` decode the object and validate it.
//! 3. `sources/kubernetes/list_watch.rs` notes its version and makes an [`objects::Event`] of it, which goes into the channel.
//! 4. `build/controller/mod.rs` receives the event, gives it to `build/mod.rs` (`apply`), and lets that build.
//! 5. `facts/mod.rs` compares the object with the one that was there; `facts/endpoint_slice.rs` names the fact that differs:
//!    the slices of that Service. `facts/changes.rs` collects such facts.
//! 6. `build/reads.rs` finds the units that have read the fact: the load assignments of that Service's clusters.
//! 7. `build/clusters.rs` has them made by `build/render.rs`: `translate/endpoints.rs` makes the model of the endpoints, and
//!    `envoy/endpoint.rs` encodes it. One that has the bytes of before ends here (`build/mod.rs`, `put`).
//! 8. `xds/snapshot.rs` takes the resource in, and `build/controller/mod.rs` publishes a copy of the snapshot.
//! 9. `xds/server/session.rs`, one for each client, wakes and hands the snapshot to its state machine, `xds/stream.rs`.
//!    `xds/stream/walk.rs` marks what differs as due (`xds/channel.rs`), and `xds/stream/push.rs` makes the response.
//! 10. `xds/delta.rs` (or `xds/sotw.rs`) encodes the message of it with `xds/encode.rs`, and `xds/server/body.rs` hands that to
//!     HTTP/2. Of a table only the pieces that differ are encoded again (`xds/pieces.rs`).
//!
//! **An annotation of an Ingress, to a route**
//!
//! 1. As above to the object: `objects/decode/ingress.rs`, of which `objects/decode/metadata.rs` keeps the annotations that mean
//!    something.
//! 2. `build/mod.rs` has what is beyond the object's budget left out (`translate/ingress.rs`, `translate/budget.rs`) and gives
//!    the rest to the store.
//! 3. `facts/ingress.rs` names the facts that differ, one of which is what holds for all hosts of the Ingress (`facts/fact.rs`).
//! 4. `build/reads.rs` finds the readers: every host of the Ingress. Of a long Ingress the hosts read a derived unit
//!    (`translate/derived.rs`), and are made again only if that differs. The object's own unit (`build/unit.rs`) is made again
//!    whenever the object differs.
//! 5. `build/hosts.rs` has each host made by `build/render.rs`: `translate/languages.rs` finds the language of its oldest
//!    claim, which is Ingress (`translate/ingress.rs`). `translate/host.rs` merges the Ingresses that name it, and
//!    `translate/table.rs` asks `translate/reading.rs` for each one's annotations. `translate/policy.rs` reads them, their
//!    values by `translate/annotation.rs`; what is wrong with a value is told by the Ingress's own unit, `translate/object.rs`.
//! 6. `translate/table.rs` makes an entry of each path (`translate/entry.rs`), puts them in order (`translate/order.rs`), and
//!    makes the virtual hosts of the model: for plain HTTP and for HTTPS.
//! 7. `envoy/route.rs` encodes a virtual host, with `envoy/route_match.rs`, `envoy/route_action.rs`, `envoy/header.rs` and,
//!    where somebody is to be kept out or something changed on the way, `envoy/filters/mod.rs`.
//! 8. `build/listeners.rs` has the listeners: `build/http.rs` puts the one virtual host into the table of plain HTTP,
//!    `build/tls.rs` the other into that of its TLS server. The tables reach the wire as above; `xds/stream/scopes.rs` says
//!    what waits for them, and they for what.
//!
//! **A refusal by Envoy, to an Event**
//!
//! 1. `xds/server/requests.rs` reads the request, `xds/delta.rs` (or `xds/sotw.rs`) parses it; the reason stays in a type that
//!    can't be printed (`xds/message.rs`).
//! 2. `xds/server/session.rs` gives it to `xds/stream/request.rs`, which finds that it refuses a response and begins the
//!    search for the bad unit: `xds/refusal/containment.rs`.
//! 3. `xds/stream/push.rs` sends the sets that the search tries. A unit that is found bad is left out from then on
//!    (`xds/refusal/refused.rs`) until its bytes change.
//! 4. `xds/stream.rs` says what is left out now, and `xds/server/session.rs` passes it to `xds/report.rs`, which has the union
//!    over all streams.
//! 5. `cli/control_plane/refusals.rs` turns each unit into the objects and fields that it was made from.
//! 6. `status/mod.rs` hands these to its writers while this process holds the lease (`status/lease/mod.rs`).
//! 7. `status/event.rs` compares with what was there before: `status/event_spec.rs` makes the Events of an object, few for
//!    each (`status/problems.rs`), and `status/writes.rs` says which is written next and what follows from a failure.
//!
//! # Threads
//!
//! Beside one Envoy, everything from source to stream is one thread: an event is read, built and sent without waking
//! another. What would block it runs elsewhere: lists are decoded on blocking threads, in parts and in order ([`sources::kubernetes`]); a build of
//! many units is shared by threads that end with it ([`build`]); who asks the controller about what it serves is answered between
//! events, for a tenth of its time at most ([`build::controller::Questions`]); the pages, profiles included, have a thread of their own
//! ([`process::supervisor::Supervisor::add_thread`]), so that a probe is answered whatever else goes on. A control plane of
//! many Envoys (xDS over TCP) runs its tasks on several threads; nothing but [`cli`] knows.
//!
//! # Where the next feature goes
//!
//! A new kind of object (Gateway API) is a row in `objects/kinds.rs` and a type beside it; a file in `facts/` says
//! which facts differ when it does, `facts/fact.rs` names them, and the [`facts::Reader`] has a method that reads each.
//! Sources, the store's tables, the rights in `deploy/` and the generators of the tests go over the rows: what they lack
//! does not compile, or a test names it. A language ([`translate::Language`]) says what its objects claim, what their listeners
//! and hosts are, and what is wrong with them: a folder as `translate/httpproxy`, and a line in `translate/languages.rs`.
//! `tests/support/rehearsed.rs` is such a kind, to be thrown away; its objects are of no type
//! ([`objects::Untyped`]), in the place of a row. What several of its units read alike is [`translate::Derived`], below
//! claims (as what comes of the objects that listen will be) or above them. Trust bundles, and certificates that clusters
//! show, are made while a TLS server or a cluster names them (`build/secrets.rs`): `translate/trust_bundle.rs` makes their
//! names of the Secrets and ConfigMaps that they are of, and reads them back. What a kind lists in its status is what its problems say
//! ([`objects::Condition`]; `translate/condition.rs`), written by `status/conditions.rs`.
//! A new route feature is a field of the model, a function
//! of [`envoy`] that renders it and an annotation in `translate/policy.rs`. Neither touches build or protocol. Whatever is
//! made of an object counts against that object's budget (`translate/budget.rs`), and what many units read of one list is found
//! once ([`translate::Derived`]). Every route, cluster, certificate and problem says which field of which object it comes
//! from ([`objects::FieldRef`]). `translate/ownership.rs` says whose a host is; the store has the claims of all languages.
//!
//! # What must stay true
//!
//! - **I1, a function of the objects.** A snapshot depends on the set of objects only: not on order, history, time or
//!   host. Replicas, and restarts, produce the same bytes. Outside the snapshot stand two exceptions: the manifest
//!   source's last good file, and a stream's set of refused units; inside it one: endpoints that are sockets of the own pod.
//! - **I2, incremental equals from-scratch.** `tests/builder.rs` compares both over random histories.
//! - **I3, no change, no push.** A resource's version is the hash of its bytes, or for a scope its table.
//! - **I4, work follows the change.** `isobath_units_translated_total` counts it, and `tests/reads.rs` says how much. Over
//!   random histories, one object at a time, no published unit is made again that has read nothing that differs
//!   (`tests/builder.rs`).
//! - **I5, complete or nothing.** Nothing is accepted on the xDS socket before every kind was listed and the first
//!   snapshot is closed: every cluster, assignment, table and secret that it names is in it.
//! - **I6, make before break.** A stream brings clusters with their endpoints, then connection managers, what tables gain,
//!   scopes, and listeners, and removes after a grace period what nothing leads to any more (`xds/stream/scopes.rs`).
//! - **I7, one owner.** The store is moved into the controller; all others hold finished values. No lock is held
//!   across work.
//! - **I8, the first task to end ends all**, and its reason is the process's.
//! - **I9, status and debug never delay data.**
//! - **I10, a private key leaves only over SDS**, only if a served host references it, or a cluster that one uses, and is
//!   in no log, metric, page or error.
//!
//! # Words about failure
//!
//! Every infrastructure error is fatal: one line that names task, object kind and cause, a non-zero exit, and a
//! restart that rebuilds everything from a fresh list. A wrong object is data: it spoils itself, is reported on the
//! object, in a metric and once in the log, and everything else is served. Writing status is never worth an exit.

pub mod authz;
pub mod build;
pub mod cli;
pub mod envoy;
pub mod facts;
pub mod local;
pub mod model;
pub mod objects;
pub mod page;
pub mod process;
pub mod sources;
pub mod status;
pub mod translate;
pub mod xds;
