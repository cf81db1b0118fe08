//! What clients see instead of an error.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::header_change::HeaderChange;
use crate::model::header::{HeaderName, check_literal};
use crate::model::route_action::Forward;

/// Pages by the status of the answer that they replace, whoever gave it: a back end, Envoy (no endpoint, a time-out) or
/// the route itself.
///
/// **No page makes anything else of what a guard says.** Guards are asked before pages are thought of, so [`Page::Backend`]
/// never takes their place; [`Page::Literal`] does, with the guard's own status.
///
/// A request by HEAD has no page: Envoy would send it all of one (1.40).
///
/// Envoy calls its filter for this unfinished and out of its threat model (1.40), and has lines of warning about it on its
/// log for each such route with every change of the table. It has two lines on the access log for an answer that a back end
/// replaces.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ErrorPages {
    pages: Vec<Page>,
    of_status: BTreeMap<u16, usize>,
}

/// What is answered instead.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Page {
    /// This text, with the status of before and none of the headers of before. What other filters add to answers (CORS,
    /// compression) it has not: Envoy sends it as it is.
    Literal(LiteralPage),
    /// What a back end answers.
    Backend(BackendPage),
}

/// A text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LiteralPage {
    body: Arc<str>,
    content_type: Arc<str>,
}

/// A back end that has pages. It is asked by GET without the request's body, with the request's headers, host, path and
/// query; what is told of [`super::DynamicValue::Method`], `Path` and `Host` is the client's own.
///
/// An answer stays what it was where the request is not whole yet, and under a wildcard where the route gives the request
/// another Host: Envoy then does not find its way back to the host.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BackendPage {
    /// Where it is.
    pub to: Forward,
    /// Whether the status stays what it was. Otherwise it is the page's own, which may be 200.
    pub keeps_status: bool,
    /// What it is told besides: [`super::DynamicValue::Status`] is that of the answer that is replaced.
    pub told: Vec<HeaderChange>,
}

impl LiteralPage {
    /// Most bytes of a page: it is a part of the table.
    pub const MAX_BODY: usize = 16_384;

    /// This text, of this content type.
    ///
    /// # Errors
    ///
    /// One sentence where it is too long, or the type is no value of a header.
    pub fn new(body: &str, content_type: &str) -> Result<Self, String> {
        if body.len() > Self::MAX_BODY {
            let most = Self::MAX_BODY;
            return Err(format!("the page is longer than {most} bytes"));
        }
        if content_type.is_empty() {
            return Err("a page needs a content type".into());
        }
        check_literal(&HeaderName::new("content-type")?, content_type)?;
        Ok(Self {
            body: body.into(),
            content_type: content_type.into(),
        })
    }

    /// The text.
    #[must_use]
    pub fn body(&self) -> &str {
        &self.body
    }

    /// What it is.
    #[must_use]
    pub fn content_type(&self) -> &str {
        &self.content_type
    }
}

impl ErrorPages {
    /// A page for these statuses, besides those that are there.
    ///
    /// # Errors
    ///
    /// One sentence where a status is no error's, or has a page.
    pub fn add(&mut self, statuses: &[u16], page: Page) -> Result<(), String> {
        if statuses.is_empty() {
            return Err("a page is for no status".into());
        }
        for status in statuses {
            if !(400..600).contains(status) {
                return Err(format!("{status} is no status of an error"));
            }
            if self.of_status.contains_key(status) {
                return Err(format!("the status {status} has more than one page"));
            }
        }
        let index = self.pages.len();
        self.of_status
            .extend(statuses.iter().map(|status| (*status, index)));
        self.pages.push(page);
        Ok(())
    }

    /// The pages, each with its statuses.
    pub fn iter(&self) -> impl Iterator<Item = (&Page, impl Iterator<Item = u16>)> {
        self.pages.iter().enumerate().map(|(index, page)| {
            let of_page = move |(status, at): (&u16, &usize)| (*at == index).then_some(*status);
            (page, self.of_status.iter().filter_map(of_page))
        })
    }

    /// Those that back ends have, with their places among all.
    pub fn of_backends(&self) -> impl Iterator<Item = (usize, &BackendPage)> {
        let pages = self.pages.iter().enumerate();
        pages.filter_map(|(index, page)| match page {
            Page::Backend(page) => Some((index, page)),
            Page::Literal(_) => None,
        })
    }

    /// The clusters that pages come from.
    pub(super) fn clusters(&self) -> impl Iterator<Item = &Arc<str>> {
        self.of_backends().flat_map(|(_, page)| page.to.clusters())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_is_no_page_is_refused() {
        for (length, content_type, is_taken) in [
            (0, "text/html", true),
            (LiteralPage::MAX_BODY, "text/html; charset=utf-8", true),
            (LiteralPage::MAX_BODY + 1, "text/html", false),
            (1, "", false),
            (1, "text/html\r\nx: y", false),
        ] {
            let page = LiteralPage::new(&"a".repeat(length), content_type);
            assert_eq!(page.is_ok(), is_taken, "{length} {content_type}");
        }
    }

    #[test]
    fn each_status_has_one_page() {
        let page = || Page::Literal(LiteralPage::new("a", "text/plain").unwrap());
        let mut pages = ErrorPages::default();
        for (statuses, is_taken) in [
            (&[404, 503][..], true),
            (&[500], true),
            (&[502, 404], false),
            (&[399], false),
            (&[600], false),
            (&[], false),
        ] {
            assert_eq!(
                pages.add(statuses, page()).is_ok(),
                is_taken,
                "{statuses:?}"
            );
        }
        let found: Vec<Vec<u16>> = pages.iter().map(|(_, of)| of.collect()).collect();
        assert_eq!(found, [vec![404, 503], vec![500]]);
    }
}
