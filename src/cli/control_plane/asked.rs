//! The pages for which the controller is asked.

use std::sync::Arc;

use crate::build::controller::Questions;
use crate::cli::delivery::Delivery;
use crate::cli::explain::{asked, written};
use crate::cli::object_state::{self, ObjectState};
use crate::envoy::edge::Edge;
use crate::process::admin::{Pages, Parameters, Unasked};
use crate::sources::kubernetes::Versions;
use crate::xds::Reports;

/// Who is asked.
#[derive(Clone, Debug)]
pub struct Asked {
    /// What is served.
    pub questions: Questions,
    /// What Envoys have of it.
    pub reports: Reports,
    /// What holds for every request.
    pub edge: Arc<Edge>,
    /// How far the source has come, where it is an API server.
    pub versions: Option<Versions>,
    /// Whether one Envoy is beside this process.
    pub is_pair: bool,
}

impl Asked {
    /// Adds the pages.
    pub fn add_to(self, pages: &mut Pages) {
        let about = "who answers a URL, and whether Envoy has acknowledged it: ?url=http://a.example/path; &method=, &header=, \
                     &sni=, &from=, &output=json";
        let asked = self.clone();
        pages.add_asked("/debug/explain", about, move |query| {
            let asked = asked.clone();
            async move { asked.explain(query).await }
        });
        let about = "how far one object has come: ?kind=Ingress&namespace=default&name=web";
        pages.add_asked("/debug/object", about, move |query| {
            let asked = self.clone();
            async move { asked.object(query).await }
        });
    }

    async fn explain(self, query: Parameters) -> Result<String, Unasked> {
        let (url, question, is_json) = asked::of_query(&query).map_err(Unasked::Query)?;
        let edge = self.edge;
        let told = self.questions.ask(move |state| {
            let told = state.builder.explain(&edge, &question);
            (told, state.snapshot)
        });
        let (told, snapshot) = told.await.map_err(|_| Unasked::Gone)?;
        // After the answer: an Envoy that is as far as this has what it says.
        let reports = self.reports.streams();
        let delivery = Delivery::of(snapshot, &reports, |refused| {
            told.units.iter().any(|unit| unit.lacks(refused))
        });
        let delivery = Some(&delivery);
        Ok(match is_json {
            true => format!("{:#}\n", written::to_json(&url, &told, delivery)),
            false => written::text(&url, &told, None, delivery),
        })
    }

    async fn object(self, query: Parameters) -> Result<String, Unasked> {
        let object = object_state::of_query(&query).map_err(Unasked::Query)?;
        let versions = self.versions.as_ref();
        // Before the question: events go first, so that all up to this version is in what answers it.
        let version = versions.and_then(|it| it.of(object.kind, &object.name.namespace));
        let name = object.to_string();
        let told = self.questions.ask(move |state| {
            let known = state.builder.statuses().problems.get(&object);
            let problems = known.iter().flat_map(|known| known.problems.iter());
            let problems: Vec<String> = problems.map(|it| it.message.to_string()).collect();
            let is_read = state.builder.store().contains(&object);
            (is_read, problems, state.snapshot)
        });
        let (is_read, problems, snapshot) = told.await.map_err(|_| Unasked::Gone)?;
        let reports = self.reports.streams();
        let delivery = Delivery::of(snapshot, &reports, |refused| {
            refused.owners.iter().any(|owner| **owner == *name)
        });
        let state = ObjectState {
            object: name,
            is_read,
            version,
            is_pair: self.is_pair,
            problems,
            delivery,
        };
        // Plain data: it can't fail to be written.
        Ok(serde_json::to_string_pretty(&state).unwrap_or_default())
    }
}
