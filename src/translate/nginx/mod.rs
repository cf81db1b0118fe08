//! ingress-nginx's annotations (`nginx.ingress.kubernetes.io/…`), for Ingresses of a class that asks for them.
//!
//! [`annotations`] is the table of all of them. [`policy`] reads those of one Ingress; [`path`] says what its paths match and become;
//! [`location`] makes routes of each. What an annotation does to others (a canary, a client certificate of the whole host) is
//! the table of the host's (`translate/table.rs`).
//!
//! A value that is wrong is told and ignored. A guard whose value is wrong, or that is not built, closes its routes (503): what is
//! written to keep requests out never lets them in. No value reaches Envoy but as a typed part of the model.

mod annotations;
mod authentication;
mod canary;
mod compat;
mod config_map;
mod cors;
mod errors;
mod limits;
mod location;
mod mirror;
mod mode;
mod path;
mod policy;
mod reader;
mod redirect;
mod tls;
mod told;
mod upstream;
mod value;

pub use annotations::{ALIASES, ANNOTATIONS, Annotation, PREFIX, Scope, Verdict, find};
pub use authentication::{Authentication, Resolved};
pub use canary::CanaryBackend;
pub use compat::{differences, ends_with_slash, is_slashed, spreads, without_slash};
pub use config_map::{Settings, key};
pub use errors::{Asker, told};
pub use location::{Location, to_https};
pub use mode::{ANNOTATION as COMPAT_ANNOTATION, Compat};
pub use path::{Rewritten, path_match, rewrite};
pub use policy::Policy;
pub use redirect::to_app_root;
pub use tls::{ClientTls, Shown};
pub use told::{has_some, without_dialect};
