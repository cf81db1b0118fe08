//! Pages that other modules bring.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use axum::http::header;
use axum::response::{IntoResponse, Response};

/// Makes a page out of the query's parameters. Called on the admin task: it must be quick, or read a finished value.
type Render = dyn Fn(&BTreeMap<String, String>) -> String + Send + Sync;

/// Pages by path, for the admin listener only.
#[derive(Clone, Debug, Default)]
pub struct Pages(BTreeMap<&'static str, Page>);

/// One page.
#[derive(Clone)]
pub struct Page {
    about: &'static str,
    render: Arc<Render>,
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
        let render = Arc::new(render);
        self.0.insert(path, Page { about, render });
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, &Page)> {
        self.0.iter().map(|(path, page)| (*path, page))
    }

    /// The page that lists `builtin` and all pages.
    pub(super) fn index(&self, builtin: &[(&str, &str)]) -> String {
        let added = self.0.iter().map(|(path, page)| (*path, page.about));
        let lines = builtin.iter().copied().chain(added);
        lines
            .map(|(path, about)| format!("{path:<34} {about}\n"))
            .collect()
    }
}

impl Page {
    pub(super) fn render(&self, query: &BTreeMap<String, String>) -> Response {
        let text = (self.render)(query);
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
