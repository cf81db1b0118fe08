//! Who may pass when somebody else is asked, on a real Envoy with real authorizers, over TCP and Unix sockets.

use std::collections::BTreeMap;
use std::time::Duration;

use isobath::model::{
    AskedBody, Authorization, Authorizer as Model, Cluster, Discovery, Filters, GrpcAuthorizer,
    HeaderName, HttpAuthorizer, Route, SocketPath, Unanswered, UpstreamProtocol,
};

use crate::authorizer::Authorizer;
use crate::backend;
use crate::client::{Answer, plain, request};
use crate::filter_cases::changed;
use crate::fixture::{World, cluster_of, forward};
use crate::proxy::{Proxy, envoy};
use crate::sending::{HOST, to};

fn name(name: &str) -> HeaderName {
    HeaderName::new(name).unwrap()
}

fn grpc() -> Authorization {
    by_grpc("authz/grpc/1", None)
}

fn by_grpc(cluster: &str, sees: Option<Vec<HeaderName>>) -> Authorization {
    let grpc = GrpcAuthorizer {
        cluster: cluster.into(),
        sees,
    };
    Authorization::new(Model::Grpc(grpc), Duration::from_secs(20)).unwrap()
}

fn http(change: impl FnOnce(HttpAuthorizer) -> HttpAuthorizer) -> Authorization {
    let plain = changed(HttpAuthorizer::new("authz/http/1"), |it| {
        it.sees = vec![name("x-ask")];
    });
    Authorization::new(Model::Http(change(plain)), Duration::from_secs(20)).unwrap()
}

/// With a time-out that a test can wait for.
fn hasty(authorization: Authorization, unanswered: Unanswered) -> Authorization {
    let hasty = Authorization::new(authorization.authorizer, Duration::from_millis(300)).unwrap();
    hasty.with_unanswered(unanswered).unwrap()
}

fn asking(path: &str, authorization: Authorization) -> Route {
    Route {
        filters: Some(Box::new(Filters {
            authorization: Some(authorization),
            ..Filters::default()
        })),
        ..to(path, forward(&["a"]))
    }
}

fn routes() -> Vec<Route> {
    let bodies = |bytes| {
        let mut cut = AskedBody::new(bytes).unwrap();
        cut.may_be_cut = true;
        cut.as_bytes = true;
        [AskedBody::new(bytes).unwrap(), cut]
    };
    let [whole, cut] = bodies(8);
    let with_body = |body, asks| changed(asks, |it: &mut Authorization| it.body = Some(body));
    let told = BTreeMap::from([("b".into(), "2".into()), ("a".into(), "1".into())]);
    let context = changed(grpc(), |it| it.context = told);
    let says = |http: HttpAuthorizer| {
        changed(http.give_to_backend(name("x-user")).unwrap(), |it| {
            it.gives_to_client = vec![name("www-authenticate")];
            it.gives_on_success = vec![name("x-client")];
        })
    };
    let at = |cluster: &'static str| http(move |it| changed(it, |it| it.cluster = cluster.into()));
    let refused = Unanswered::Refused;
    vec![
        asking("/grpc", grpc()),
        asking("/context", context),
        asking("/sees", by_grpc("authz/grpc/1", Some(vec![name("x-ask")]))),
        asking("/sees-nothing", by_grpc("authz/grpc/1", Some(vec![]))),
        asking("/grpc-unix", by_grpc("authz/grpc/unix", None)),
        asking("/grpc-body", with_body(whole, grpc())),
        asking("/grpc-cut", with_body(cut, grpc())),
        asking("/grpc-closed", hasty(grpc(), refused(503))),
        asking("/grpc-open", hasty(grpc(), Unanswered::Passed)),
        asking("/http", http(|it| it)),
        asking("/http-says", http(says)),
        asking("/http-after", http(|it| it.path_prefix("/check").unwrap())),
        asking(
            "/http-fixed",
            http(|it| {
                let it = it.fixed_path("/auth?x=1").unwrap();
                it.tell(name("x-told"), "100%").unwrap()
            }),
        ),
        asking("/http-body", with_body(whole, http(|it| it))),
        asking("/http-closed", hasty(http(|it| it), refused(503))),
        asking("/http-open", hasty(http(|it| it), Unanswered::Passed)),
        asking("/http-unix", at("authz/http/unix")),
        asking("/missing", by_grpc("authz/missing/1", None)),
        asking("/missing-http", at("authz/missing/1")),
        asking("/dead", hasty(by_grpc("authz/dead/1", None), refused(500))),
        asking(
            "/dead-open",
            hasty(by_grpc("authz/dead/1", None), Unanswered::Passed),
        ),
        to("/off", forward(&["a"])),
    ]
}

struct Stand {
    proxy: Proxy,
    grpc: Authorizer,
    http: Authorizer,
    unix: [Authorizer; 2],
    _sockets: tempfile::TempDir,
}

impl Stand {
    async fn start(envoy: &std::path::Path) -> Self {
        let sockets = tempfile::tempdir().unwrap();
        let (grpc, of_grpc) = Authorizer::tcp().await;
        let (http, of_http) = Authorizer::tcp().await;
        let dead = std::net::SocketAddr::from(([127, 0, 0, 1], 9));
        let h2c = |name: &str| {
            changed(cluster_of(name), |it| {
                it.settings.protocol = UpstreamProtocol::H2c
            })
        };
        let at = |name: &str| sockets.path().join(name);
        let on_socket = |cluster: Cluster, name: &str| Cluster {
            discovery: Discovery::Socket(SocketPath::new(at(name).to_str().unwrap()).unwrap()),
            ..cluster
        };
        let world = World::new()
            .cluster("a", &[backend::start("a").await])
            .cluster_with(&h2c("authz/grpc/1"), &[of_grpc])
            .cluster_with(&h2c("authz/dead/1"), &[dead])
            .cluster("authz/http/1", &[of_http])
            .cluster_with(&on_socket(h2c("authz/grpc/unix"), "grpc"), &[])
            .cluster_with(&on_socket(cluster_of("authz/http/unix"), "http"), &[])
            .http(HOST, routes());
        let unix = [
            Authorizer::grpc(Authorizer::unix(&at("grpc"))),
            Authorizer::http(Authorizer::unix(&at("http"))),
        ];
        Self {
            grpc: Authorizer::grpc(grpc),
            http: Authorizer::http(http),
            unix,
            proxy: Proxy::start(envoy, world.resources()).await,
            _sockets: sockets,
        }
    }

    async fn ask(&self, path: &str, headers: &[&str]) -> Answer {
        plain(self.proxy.http, &request("GET", HOST, path, headers)).await
    }

    async fn post(&self, path: &str, body: &str, headers: &[&str]) -> Answer {
        let length = format!("Content-Length: {}", body.len());
        let mut all = vec![length.as_str()];
        all.extend(headers);
        let request = request("POST", HOST, path, &all) + body;
        plain(self.proxy.http, &request).await
    }
}

/// Path, what the authorizer is asked to do, and the status of the answer.
const VERDICTS: &[(&str, &str, u16)] = &[
    ("/grpc", "allow", 200),
    ("/grpc", "deny", 401),
    ("/grpc", "fail", 403),
    ("/grpc", "forbidden", 500),
    ("/grpc", "nonsense", 401),
    ("/context", "allow", 200),
    ("/sees", "allow", 200),
    // He never hears what he is asked to do.
    ("/sees-nothing", "allow", 401),
    ("/grpc-unix", "allow", 200),
    ("/grpc-unix", "deny", 401),
    ("/grpc-closed", "allow", 200),
    ("/grpc-closed", "hang", 503),
    ("/grpc-closed", "fail", 503),
    ("/grpc-closed", "deny", 401),
    ("/grpc-open", "allow", 200),
    ("/grpc-open", "hang", 200),
    ("/grpc-open", "fail", 200),
    ("/grpc-open", "deny", 401),
    ("/http", "allow", 200),
    ("/http", "deny", 401),
    ("/http", "fail", 403),
    ("/http-says", "allow", 200),
    ("/http-says", "deny", 401),
    ("/http-after", "allow", 200),
    ("/http-fixed", "allow", 200),
    ("/http-fixed", "deny", 401),
    ("/http-closed", "hang", 503),
    ("/http-closed", "fail", 503),
    ("/http-closed", "deny", 401),
    ("/http-open", "hang", 200),
    ("/http-open", "fail", 200),
    ("/http-open", "deny", 401),
    ("/http-unix", "allow", 200),
    ("/http-unix", "deny", 401),
    ("/missing", "allow", 403),
    ("/missing-http", "allow", 403),
    ("/dead", "allow", 500),
    ("/dead-open", "allow", 200),
    ("/off", "deny", 200),
];

#[tokio::test]
async fn authorizers_are_obeyed() {
    let Some(envoy) = envoy() else { return };
    let stand = Stand::start(&envoy).await;
    let mut wrong = Vec::new();
    for (path, ask, expected) in VERDICTS {
        let answer = stand.ask(path, &[&format!("X-Ask: {ask}")]).await;
        let is_backends = answer.echo().starts_with("a ");
        if answer.status != *expected || is_backends != (*expected == 200) {
            wrong.push(format!("{path} {ask}: {} {}", answer.status, answer.echo()));
        }
    }
    stand.proxy.assert_content();
    assert_eq!(wrong, Vec::<String>::new());
    for authorizer in &stand.unix {
        assert_eq!(authorizer.count(), 2);
    }
    stand.proxy.assert_content();
}

/// What he is told, what the back end is told of his answer, and what the client.
#[tokio::test]
async fn what_is_asked_and_answered() {
    let Some(envoy) = envoy() else { return };
    let stand = Stand::start(&envoy).await;
    // What the client says of itself counts nowhere that he says it.
    let allow = ["X-Ask: allow", "X-User: mallory", "X-Gone: 1", "X-Other: 2"];
    let deny = ["X-Ask: deny"];

    let answer = stand.ask("/grpc/x?y=1", &allow).await;
    let asked = stand.grpc.last();
    assert_eq!(asked.line, format!("GET {HOST} /grpc/x?y=1"));
    assert_eq!(asked.headers["x-other"], "2");
    assert_eq!(answer.received("x-user"), Some("alice"));
    assert_eq!(answer.received("x-gone"), None);
    assert_eq!(answer.header("x-client"), Some("told"));
    let answer = stand.ask("/grpc", &deny).await;
    let found = (answer.header("www-authenticate"), answer.body.as_str());
    assert_eq!(found, (Some("Basic"), "no\n"));
    stand.ask("/context", &allow).await;
    let context: Vec<(String, String)> = stand.grpc.last().context.into_iter().collect();
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(context, [pair("a", "1"), pair("b", "2")]);
    stand.ask("/sees", &allow).await;
    let seen = stand.grpc.last().headers;
    assert!(
        seen.contains_key("x-ask") && !seen.contains_key("x-other"),
        "{seen:?}"
    );
    stand.ask("/sees-nothing", &allow).await;
    let seen: Vec<String> = stand.grpc.last().headers.into_keys().collect();
    assert!(seen.iter().all(|name| !name.starts_with("x-")), "{seen:?}");

    // By HTTP.
    let answer = stand.ask("/http/x?y=1", &allow).await;
    let asked = stand.http.last();
    assert_eq!(asked.line, format!("GET {HOST} /http/x?y=1"));
    assert!(!asked.headers.contains_key("x-other"), "{asked:?}");
    assert_eq!(
        answer.received("x-user"),
        Some("mallory"),
        "he says nothing of it here"
    );
    assert_eq!(answer.header("x-client"), None);
    let answer = stand.ask("/http-says", &allow).await;
    assert_eq!(answer.received("x-user"), Some("alice"));
    assert_eq!(answer.header("x-client"), Some("told"));
    let answer = stand.ask("/http-says", &deny).await;
    let found = (answer.header("www-authenticate"), answer.header("x-client"));
    assert_eq!(
        (found, answer.body.as_str()),
        ((Some("Basic"), None), "no\n")
    );
    let answer = stand.ask("/http", &deny).await;
    assert_eq!(answer.header("x-client"), Some("told"));
    stand.ask("/http-after/x?y=1", &allow).await;
    let line = stand.http.last().line;
    assert_eq!(line, format!("GET {HOST} /check/http-after/x?y=1"));
    stand.ask("/http-fixed/x?y=1", &allow).await;
    let asked = stand.http.last();
    assert_eq!(asked.line, format!("GET {HOST} /auth?x=1"));
    assert_eq!(asked.headers["x-told"], "100%");
    stand.proxy.assert_content();
}

#[tokio::test]
async fn bodies_are_asked_about() {
    let Some(envoy) = envoy() else { return };
    let stand = Stand::start(&envoy).await;
    for (path, body, ask, status, seen) in [
        ("/grpc-body", "12345678", "allow", 200, "12345678"),
        ("/grpc-body", "12345678", "deny", 401, "12345678"),
        ("/grpc-body", "123456789", "allow", 413, ""),
        ("/grpc-cut", "123456789", "allow", 200, "12345678"),
        ("/grpc-cut", "1234", "allow", 200, "1234"),
        ("/grpc", "1234", "allow", 200, ""),
        ("/http-body", "1234", "allow", 200, "1234"),
        ("/http-body", "123456789", "allow", 413, ""),
        ("/http", "1234", "allow", 200, ""),
    ] {
        let authorizer = match path.starts_with("/grpc") {
            true => &stand.grpc,
            false => &stand.http,
        };
        let before = authorizer.count();
        let answer = stand.post(path, body, &[&format!("X-Ask: {ask}")]).await;
        assert_eq!(answer.status, status, "{path} {body}");
        assert_eq!(
            authorizer.count() - before,
            usize::from(status != 413),
            "{path} {body}"
        );
        if status != 413 {
            assert_eq!(authorizer.last().body, seen, "{path} {body}");
        }
    }
    stand.proxy.assert_content();
}
