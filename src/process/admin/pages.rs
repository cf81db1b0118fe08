//! Pages that other modules bring.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Query;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use tokio::time::timeout;

/// The parameters of a query, in their order.
pub type Parameters = Vec<(String, String)>;

/// Makes a page out of the query's parameters. Called on the admin task: it must be quick, or read a finished value.
type Render = dyn Fn(&BTreeMap<String, String>) -> String + Send + Sync;

/// The same, where somebody else is asked first.
type Ask = dyn Fn(Parameters) -> Pin<Box<dyn Future<Output = Result<String, Unasked>> + Send>>
    + Send
    + Sync;

/// How long an answer is waited for. Events go first.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unasked {
    /// The query is wrong: one sentence.
    Query(String),
    /// The answer is not to be had.
    Gone,
}

#[derive(Clone)]
enum Made {
    AtOnce(Arc<Render>),
    Asked(Arc<Ask>),
}

/// Pages by path, for the admin listener only.
#[derive(Clone, Debug, Default)]
pub struct Pages {
    pages: BTreeMap<&'static str, Page>,
    /// What is no text that is made at once, with its line in the index.
    routes: Vec<(&'static str, &'static str, MethodRouter)>,
}

/// One page.
#[derive(Clone)]
pub struct Page {
    about: &'static str,
    made: Made,
}

impl Pages {
    /// Adds the page of `path`, which begins with `/debug/`; `about` is its line in the index. JSON (a text that begins
    /// with `{` or `[`) is served as such, anything else as plain text. Another page of the same path is replaced.
    pub fn add(
        &mut self,
        path: &'static str,
        about: &'static str,
        render: impl Fn(&BTreeMap<String, String>) -> String + Send + Sync + 'static,
    ) {
        let made = Made::AtOnce(Arc::new(render));
        self.pages.insert(path, Page { about, made });
    }

    /// The same of a page for which somebody else is asked. It is given up after some seconds.
    pub fn add_asked<F>(
        &mut self,
        path: &'static str,
        about: &'static str,
        ask: impl Fn(Parameters) -> F + Send + Sync + 'static,
    ) where
        F: Future<Output = Result<String, Unasked>> + Send + 'static,
    {
        let made = Made::Asked(Arc::new(move |query| Box::pin(ask(query))));
        self.pages.insert(path, Page { about, made });
    }

    /// The same of what is served in a way of its own: a file, or a stream. Without words about it, it is not in the index.
    pub fn add_route(&mut self, path: &'static str, about: &'static str, route: MethodRouter) {
        self.routes.push((path, about, route));
    }

    /// What answers for all of them.
    pub fn router(&self) -> Router {
        let mut router = Router::new();
        for (path, _, route) in &self.routes {
            router = router.route(path, route.clone());
        }
        for (path, page) in &self.pages {
            let page = page.clone();
            let answer =
                get(|Query(query): Query<Parameters>| async move { page.render(query).await });
            router = router.route(path, answer);
        }
        router
    }

    /// The page that lists `builtin` and all pages.
    pub(super) fn index(&self, builtin: &[(&str, &str)]) -> String {
        let added = self.pages.iter().map(|(path, page)| (*path, page.about));
        let routes = self.routes.iter().map(|(path, about, _)| (*path, *about));
        let lines = routes.chain(builtin.iter().copied()).chain(added);
        lines
            .filter(|(_, about)| !about.is_empty())
            .map(|(path, about)| format!("{path:<34} {about}\n"))
            .collect()
    }
}

impl Page {
    pub(super) async fn render(&self, query: Parameters) -> Response {
        let text = match &self.made {
            Made::AtOnce(render) => render(&query.into_iter().collect()),
            Made::Asked(ask) => match timeout(PATIENCE, ask(query)).await {
                Ok(Ok(text)) => text,
                Ok(Err(Unasked::Query(says))) => {
                    return (StatusCode::BAD_REQUEST, format!("{says}\n")).into_response();
                }
                Ok(Err(Unasked::Gone)) => {
                    let says = "the control plane is about to end\n";
                    return (StatusCode::SERVICE_UNAVAILABLE, says).into_response();
                }
                Err(_) => {
                    let says = "the control plane has no time for questions: it has not published anything yet, or takes in \
                                events, which go first; ask again\n";
                    return (StatusCode::SERVICE_UNAVAILABLE, says).into_response();
                }
            },
        };
        let content_type = if text.starts_with(['{', '[']) {
            "application/json"
        } else {
            "text/plain; charset=utf-8"
        };
        ([(header::CONTENT_TYPE, content_type)], text).into_response()
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page")
            .field("about", &self.about)
            .finish_non_exhaustive()
    }
}
