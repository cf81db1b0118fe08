//! How many routes of Envoy a route is.
//!
//! To Envoy a route has one path match with one rewrite, one action, and CORS only where a back end answers. So what the model says
//! once may be several routes there, and all that it says stands in each. Who bounds what an object comes to counts them before any
//! is made; the rendering is held to the same numbers (`tests/envoy/expansions.rs`).

use super::filters::{Cors, Origins};
use super::redirect::PathRewrite;
use super::route::Route;
use super::route_action::{Forward, Refused, RouteAction, WeightedCluster};
use super::route_match::PathMatch;
use super::session::{SessionCookie, SessionKey};

/// How often what a route says stands in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expansion {
    /// So many routes of Envoy say all of it.
    pub routes: usize,
    /// Each share stands in so many of them, at most.
    pub of_share: usize,
}

impl Route {
    /// How many routes of Envoy it is, those for pages of back ends not counted.
    #[must_use]
    pub fn expansion(&self) -> Expansion {
        let filters = self.filters.as_ref();
        let cors = filters.and_then(|filters| filters.cors.as_ref());
        self.action.expansion(&self.matches.path, cors)
    }

    /// How many routes of Envoy take the requests by which it asks back ends for pages.
    #[must_use]
    pub fn page_routes(&self) -> usize {
        let filters = self.filters.iter();
        let pages = filters.filter_map(|filters| filters.error_pages.as_ref());
        let pages = pages.flat_map(|pages| pages.of_backends());
        let routes = pages.map(|(_, page)| page.to.page_expansion().routes);
        routes.fold(0, usize::saturating_add)
    }
}

impl RouteAction {
    /// How many routes of Envoy it is on this path, with this policy.
    #[must_use]
    pub fn expansion(&self, path: &PathMatch, cors: Option<&Cors>) -> Expansion {
        let answers = answers(cors);
        match self {
            Self::Forward(forward) => forward.expansion(path, answers),
            Self::Redirect(redirect) => Expansion {
                routes: paths(path, redirect.path.as_ref()).saturating_mul(answers),
                of_share: 0,
            },
            Self::DirectResponse(_) => Expansion {
                routes: answers,
                of_share: 0,
            },
        }
    }
}

impl Forward {
    /// The shares that get requests.
    pub fn served(&self) -> impl Iterator<Item = &WeightedCluster> + Clone {
        self.backends.iter().filter(|backend| backend.weight > 0)
    }

    /// The share of those that can't be, where it is one.
    #[must_use]
    pub fn refused(&self) -> Option<Refused> {
        let refused = self.options.as_deref()?.refused;
        refused.filter(|refused| refused.weight > 0)
    }

    /// The cookie that keeps a session with one of several shares.
    #[must_use]
    pub fn cookie_of_shares(&self) -> Option<&SessionCookie> {
        let count = self.served().count() + usize::from(self.refused().is_some());
        match &self.options.as_deref()?.session.as_ref()?.key {
            SessionKey::Cookie(cookie) => {
                (count > 1 && cookie.is_for_all_paths()).then_some(cookie)
            }
            SessionKey::Header(_) => None,
        }
    }

    /// Whether each share is a route of its own: Envoy's weighted clusters change headers, cookies and a literal Host, and nothing
    /// else, for one of them.
    #[must_use]
    pub fn is_split(&self) -> bool {
        let needs_route = |share: &WeightedCluster| {
            let options = share.options.as_deref();
            options.is_some_and(|it| it.rewrite.is_some() || !it.mirrors.is_empty())
        };
        self.cookie_of_shares().is_some() || self.served().any(needs_route)
    }

    /// Where it is a page: what a back end is asked for one takes any path.
    #[must_use]
    pub fn page_expansion(&self) -> Expansion {
        self.expansion(&PathMatch::PathPrefix("/".into()), 1)
    }

    fn expansion(&self, path: &PathMatch, answers: usize) -> Expansion {
        let own = paths(path, self.rewrite.as_ref());
        if self.served().next().is_none() {
            return Expansion {
                routes: own.saturating_mul(answers),
                of_share: own,
            };
        }
        if !self.is_split() {
            return Expansion {
                routes: own,
                of_share: own,
            };
        }
        // With a cookie one for those that bring it, and one for those that do not.
        let times = 1 + usize::from(self.cookie_of_shares().is_some());
        let each = self.served().map(|share| {
            let options = share.options.as_deref();
            let rewrite = options.and_then(|options| options.rewrite.as_ref());
            times * paths(path, rewrite.or(self.rewrite.as_ref()))
        });
        let refused = self.refused().map_or(0, |_| answers);
        Expansion {
            routes: each.clone().fold(refused, usize::saturating_add),
            of_share: each.max().unwrap_or(0),
        }
    }
}

/// How many path matches it takes: Envoy replaces exactly what it has matched, so a slash that is to go with it, or to stay, is
/// another match.
#[must_use]
pub fn paths(path: &PathMatch, rewrite: Option<&PathRewrite>) -> usize {
    let Some(PathRewrite::ReplacePrefix(replacement)) = rewrite else {
        return 1;
    };
    let is_root = |text: &str| text.bytes().all(|byte| byte == b'/');
    let is_two = match path {
        PathMatch::PathPrefix(prefix) => !is_root(prefix) && is_root(replacement),
        PathMatch::StringPrefix(prefix) => {
            !prefix.ends_with('/') && (replacement.is_empty() || replacement.ends_with('/'))
        }
        PathMatch::Exact(_)
        | PathMatch::Regex(_)
        | PathMatch::RegexPrefix(_)
        | PathMatch::Connect => false,
    };
    1 + usize::from(is_two)
}

/// How many routes it takes where Envoy answers by itself: for each pattern of an origin one for preflights and one for requests.
fn answers(cors: Option<&Cors>) -> usize {
    let origins = cors.map_or(0, |cors| match cors.origins() {
        Origins::All => 1,
        Origins::Like(patterns) => patterns.len(),
    });
    origins.saturating_mul(2).saturating_add(1)
}
