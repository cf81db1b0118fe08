//! Conditions of routes and of includes.

use std::sync::Arc;

/// `Include`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Include {
    /// `name`.
    pub name: Arc<str>,
    /// `namespace`; blank for its own.
    pub namespace: Arc<str>,
    /// `conditions`.
    pub conditions: Box<[MatchCondition]>,
}

/// `MatchCondition`, of which Contour lets several fields be set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MatchCondition {
    /// `prefix`; blank where it says nothing.
    pub prefix: Arc<str>,
    /// `exact`; blank where it says nothing.
    pub exact: Arc<str>,
    /// `regex`; blank where it says nothing.
    pub regex: Arc<str>,
    /// `header`.
    pub header: Option<Box<HeaderMatchCondition>>,
    /// `queryParameter`.
    pub query_parameter: Option<Box<QueryParameterMatchCondition>>,
}

/// `HeaderMatchCondition`; texts are blank where it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderMatchCondition {
    /// `name`.
    pub name: Arc<str>,
    /// `present`.
    pub present: bool,
    /// `notpresent`.
    pub not_present: bool,
    /// `contains`.
    pub contains: Arc<str>,
    /// `notcontains`.
    pub not_contains: Arc<str>,
    /// `ignoreCase`.
    pub ignore_case: bool,
    /// `exact`.
    pub exact: Arc<str>,
    /// `notexact`.
    pub not_exact: Arc<str>,
    /// `regex`.
    pub regex: Arc<str>,
    /// `treatMissingAsEmpty`.
    pub treat_missing_as_empty: bool,
}

/// `QueryParameterMatchCondition`; texts are blank where it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueryParameterMatchCondition {
    /// `name`.
    pub name: Arc<str>,
    /// `exact`.
    pub exact: Arc<str>,
    /// `prefix`.
    pub prefix: Arc<str>,
    /// `suffix`.
    pub suffix: Arc<str>,
    /// `regex`.
    pub regex: Arc<str>,
    /// `contains`.
    pub contains: Arc<str>,
    /// `ignoreCase`.
    pub ignore_case: bool,
    /// `present`.
    pub present: bool,
}
