//! What an Ingress says once and each of its routes repeats: whichever annotation says it, and however the routes come
//! about, all of them together take a bounded amount of text, and the owner is told what is left out for it. Too large for
//! files.

use isobath::facts::{Changes, ClassSelection, Log, Store};
use isobath::model::{HeaderModifier, PathRewrite, Redirect, Route, RouteAction};
use isobath::objects::{Event, Kind, Object, ObjectRef, decode};
use isobath::translate::{self, Input, Memo, Options, reason};
use serde_json::{Value, json};

/// Most text of one Ingress on one listener, with room for what its routes say besides.
const MOST: usize = 10 << 20;

/// The longest value that an annotation may have is a little longer.
const TEXT: usize = 4000;

/// Bytes that a route repeats of its Ingress's annotations.
fn repeated(route: &Route) -> usize {
    let rewritten = |rewrite: &PathRewrite| match rewrite {
        PathRewrite::ReplacePrefix(path) | PathRewrite::ReplaceFullPath(path) => path.len(),
        PathRewrite::ReplaceMatches(it) => it.pattern().as_str().len() + it.replacement().len(),
    };
    let of_headers = |headers: &HeaderModifier| -> usize {
        let set = headers.set.iter();
        let removed = headers.remove.iter().map(|name| name.as_str().len());
        set.map(|(name, value)| name.as_str().len() + value.len())
            .chain(removed)
            .sum()
    };
    let of_action = match &route.action {
        RouteAction::Forward(forward) => forward.rewrite.as_ref().map_or(0, rewritten),
        RouteAction::Redirect(Redirect { hostname, path, .. }) => {
            hostname.as_ref().map_or(0, |name| name.len()) + path.as_ref().map_or(0, rewritten)
        }
        RouteAction::DirectResponse(_) => 0,
    };
    of_action + of_headers(&route.request_headers) + of_headers(&route.response_headers)
}

/// How much the routes of one Ingress repeat on plain HTTP, and whether its owner is told that something is left out.
fn translated(annotations: Value, rules: Value, tls: Value) -> (usize, bool) {
    let ingress = json!({
        "metadata": {"name": "a", "namespace": "default", "annotations": annotations},
        "spec": {"rules": rules, "tls": tls},
    });
    let selection = ClassSelection {
        names: Default::default(),
        manifests: true,
    };
    let mut store = Store::new(selection.clone());
    let object = decode(Kind::Ingress, &ingress.to_string()).unwrap();
    let object = match object {
        Object::Ingress(ingress) => {
            let prices = translate::Prices {
                classes: &selection,
                nginx_compat: Options::default().nginx_compat,
            };
            Object::Ingress(translate::within_budget(ingress, prices))
        }
        other => other,
    };
    store.apply(Event::Apply(object), &mut Changes::unread());
    let (options, memo, log) = (Options::default(), Memo::default(), Log::default());
    let input = Input::new(&store, &options, &memo, &log);
    let object = ObjectRef::new(Kind::Ingress, "default", "a");
    let mut problems = translate::Languages::default().object_problems(input, &object);
    let mut bytes = 0;
    for host in store.hosts() {
        let unit = translate::host(input, host);
        problems.extend(unit.problems);
        let routes = unit.http.into_iter().flat_map(|host| host.routes);
        bytes += routes.map(|route| repeated(&route)).sum::<usize>();
    }
    let told = problems
        .iter()
        .any(|problem| problem.reason == reason::TOO_LARGE);
    (bytes, told)
}

fn paths(count: usize) -> Value {
    let path = |index| {
        json!({
            "path": format!("/{index}"),
            "pathType": "Prefix",
            "backend": {"service": {"name": "web", "port": {"number": 80}}},
        })
    };
    json!({"paths": (0..count).map(path).collect::<Vec<_>>()})
}

/// Every annotation that a route repeats, each with a text of this length.
fn annotations(length: usize) -> [Value; 5] {
    let text = "a".repeat(length);
    [
        json!({"isobath.dev/redirect": format!("/{text}")}),
        json!({"isobath.dev/redirect": format!("https://b.test/{text}")}),
        json!({"isobath.dev/rewrite-prefix": format!("/{text}")}),
        json!({"isobath.dev/request-headers": format!("x-a: {text}")}),
        json!({"isobath.dev/response-headers": format!("x-a: {text}")}),
    ]
}

/// `count` routes of one Ingress, as paths of its own and as copies to hosts that only its TLS entries name.
fn shapes(count: usize) -> [(Value, Value); 2] {
    let own = json!([{"host": "own.test", "http": paths(count)}]);
    let hosts: Vec<String> = (0..count / 20).map(|n| format!("h{n}.test")).collect();
    let copied = json!([{"host": "own.test", "http": paths(1)}, {"http": paths(20)}]);
    [(own, json!([])), (copied, json!([{"hosts": hosts}]))]
}

/// Every shape with every annotation: what it comes to, by what it is.
fn all(routes: usize, text: usize) -> impl Iterator<Item = (String, usize, bool)> {
    let shapes = shapes(routes).into_iter().enumerate();
    shapes.flat_map(move |(number, (rules, tls))| {
        annotations(text).into_iter().map(move |annotations| {
            let key = annotations.as_object().unwrap().keys().next().unwrap();
            let name = format!("{key} on {}", ["own paths", "copied paths"][number]);
            let (bytes, told) = translated(annotations, rules.clone(), tls.clone());
            (name, bytes, told)
        })
    })
}

#[test]
fn whatever_repeats_it_is_bounded_and_told() {
    let wrong: Vec<_> = all(8000, TEXT)
        .filter(|(_, bytes, told)| *bytes > MOST || !told)
        .collect();
    assert!(
        wrong.is_empty(),
        "repeated, and whether it is told: {wrong:#?}"
    );
}

#[test]
fn an_ordinary_amount_is_on_every_route() {
    let wrong: Vec<_> = all(200, 100)
        .filter(|(_, bytes, _)| *bytes < 200 * 100)
        .collect();
    assert!(wrong.is_empty(), "left out: {wrong:#?}");
}
