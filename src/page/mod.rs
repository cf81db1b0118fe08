//! The page: what a person sees in a browser of a control plane that runs.
//!
//! `http://127.0.0.1:6060/` is a small application of plain ES modules and one sheet of styles, without a framework and without a tool
//! chain: what is in `assets/` is what the browser gets, byte for byte. So there is no build to be reproduced, nothing of anybody
//! else's to be kept up to date, and the strictest Content-Security-Policy holds: nothing is loaded from outside, and no script or
//! style stands in the text. It asks for JSON, a file here for each question, and is told by server-sent events when to ask again
//! (`live`).
//!
//! - It changes nothing, and shows no key: of a Secret there is its name, and until when its certificate is good (I10).
//! - Nothing of it runs for an event (I9). The answers come from the finished values that the controller publishes, and from
//!   [`crate::build::controller::Questions`], which have a bounded share of its time. What changed is found by looking at the newest snapshot now and then, on
//!   the thread of the pages (`history`).
//! - Each answer is bounded: lists have parts, and what is too long says how much is left out.
//! - Who may ask is the admin listener's to decide ([`crate::process::admin`]): a Host of this machine, no proxy, no other site.

mod assets;
mod conflicts;
mod history;
mod hosts;
mod live;
mod objects;
mod overview;
mod query;
mod state;
mod written;

use std::future::Future;
use std::time::Duration;

use axum::routing::get;

use crate::process::admin::{Pages, Parameters, Unasked};
use crate::process::supervisor::Stop;

pub use state::Page;

/// How often it is looked what has changed while nobody follows.
const LOOKS: Duration = Duration::from_secs(10);

impl Page {
    /// Adds the page and its answers.
    pub fn add_to(&self, pages: &mut Pages) {
        for asset in assets::ALL {
            pages.add_route(
                asset.path,
                asset.about,
                get(move || async { asset.response() }),
            );
        }
        let page = self.clone();
        let follow = get(move || {
            let page = page.clone();
            async move { page.follow() }
        });
        let about = "server-sent events: that something has changed";
        pages.add_route("/debug/live", about, follow);
        let page = self.clone();
        pages.add("/debug/changes", "what changed last", move |_| {
            page.changes()
        });
        let page = self.clone();
        let about = "what contradicts another object: ?search=, &offset=, &limit=";
        pages.add("/debug/conflicts", about, move |query| {
            page.conflicts(query)
        });
        let page = self.clone();
        let about = "what Envoy is sent of one object: ?kind=Ingress&namespace=default&name=web";
        pages.add("/debug/parts", about, move |query| page.parts(query));
        self.add_asked(
            pages,
            "/debug/overview",
            "how much there is of everything",
            overview::overview,
        );
        let about = "the hosts that are served: ?search=, &offset=, &limit=";
        self.add_asked(pages, "/debug/hosts", about, hosts::hosts);
        let about = "one host with its routes, Services and endpoints: ?host=a.example; &listener=, &search=, &offset=";
        self.add_asked(pages, "/debug/host", about, hosts::host);
        let about = "objects by name: ?kind=Ingress, &search=, &offset=, &limit=; ?problems=only";
        self.add_asked(pages, "/debug/objects", about, objects::objects);
    }

    fn add_asked<F>(
        &self,
        pages: &mut Pages,
        path: &'static str,
        about: &'static str,
        ask: impl Fn(Self, Parameters) -> F + Copy + Send + Sync + 'static,
    ) where
        F: Future<Output = Result<String, Unasked>> + Send + 'static,
    {
        let page = self.clone();
        pages.add_asked(path, about, move |query| ask(page.clone(), query));
    }

    /// Looks now and then what has changed, until asked to stop. Nobody waits for it, and it wakes for no event.
    pub async fn run(self, mut stop: Stop) {
        loop {
            tokio::select! {
                () = stop.requested() => return,
                () = tokio::time::sleep(LOOKS) => self.look(),
            }
        }
    }
}

#[cfg(test)]
mod tests;
