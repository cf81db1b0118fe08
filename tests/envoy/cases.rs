//! Routes with each thing that a route can have, for the golden files.

use isobath::model::{
    Conditions, Expression, GrpcName, HeaderMatch, HeaderPredicate, PathMatch, QueryPredicate,
    Route, RouteMatch, StringMatch, TextMatch,
};

use crate::fixture::{all_to, header, is, query};

fn taking(matches: RouteMatch) -> Route {
    Route {
        matches,
        ..all_to("web/shop:80").remove(0)
    }
}

/// Every kind of text, case by case.
fn texts() -> Vec<StringMatch> {
    let kinds = [
        StringMatch::exact("One"),
        StringMatch::prefix("One").unwrap(),
        StringMatch::suffix("One").unwrap(),
        StringMatch::contains("One").unwrap(),
        StringMatch::regex("One|[2-3]").unwrap(),
    ];
    let folded = kinds.clone().map(|kind| kind.ignoring_case().unwrap());
    kinds.into_iter().chain(folded).collect()
}

/// Every condition.
pub fn conditions() -> Vec<Route> {
    let root = || RouteMatch::path(PathMatch::PathPrefix("/".into()));
    let headers = texts().into_iter().map(is).chain([
        HeaderPredicate::Present,
        HeaderPredicate::Absent,
        HeaderPredicate::Is(TextMatch {
            negated: true,
            ..TextMatch::of(StringMatch::exact("one"))
        }),
        HeaderPredicate::Is(TextMatch {
            missing_is_empty: true,
            ..TextMatch::of(StringMatch::exact("one"))
        }),
    ]);
    let queries = texts().into_iter().map(QueryPredicate::Is);
    let queries = queries.chain([QueryPredicate::Present, QueryPredicate::Absent]);
    let all = Conditions {
        headers: headers.map(|value| header("X-Header", value)).collect(),
        query: queries.map(|value| query("parameter", value)).collect(),
        grpc: false,
    };
    let method = Conditions {
        headers: vec![HeaderMatch::method("PROPFIND").unwrap()],
        ..Conditions::default()
    };
    let service = GrpcName::exact("shop.Cart").unwrap();
    let any = GrpcName::Regex(Expression::new("Get.*").unwrap());
    let call = |service, method| RouteMatch::grpc(service, method).unwrap();
    let expression = |text: &str| Expression::new(text).unwrap();
    let folded = |text: &str| Expression::ignoring_case(text).unwrap();
    [
        root().and(all),
        root().and(method),
        call(Some(&service), None),
        call(Some(&service), Some(&any)),
        call(None, None),
        RouteMatch::path(PathMatch::RegexPrefix(expression("/a|/b"))),
        RouteMatch::path(PathMatch::Regex(folded("/a|/b"))),
        RouteMatch::path(PathMatch::RegexPrefix(folded("/a|/b"))),
    ]
    .map(taking)
    .into()
}
