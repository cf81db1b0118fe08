//! Annotations of an Ingress: what a back end gets, and what a client gets back.

use std::time::Duration;

use crate::check::{ALL, PLAIN, apps, check};
use crate::support::backend::Backend;
use crate::support::certificate::Authority;
use crate::support::client::{Connection, TLS12, Tls, Version};
use crate::support::manifest::PathType::{Exact, ImplementationSpecific, Prefix};
use crate::support::manifest::{app, ingress, service, site, slice};
use crate::support::stand::Stand;

#[tokio::test(flavor = "multi_thread")]
async fn the_path_is_rewritten() {
    let (_backends, mut manifests) = apps(&["web"]).await;
    let rules = |name: &str| {
        ingress(name).rule(
            &format!("{name}.test"),
            &[
                ("/old", Prefix, "web:80"),
                ("/str", ImplementationSpecific, "web:80"),
                ("/exact", Exact, "web:80"),
                ("/v[0-9]/x", ImplementationSpecific, "web:80"),
            ],
        )
    };
    manifests.extend([
        rules("root").annotate("isobath.dev/rewrite-prefix", "/"),
        rules("new").annotate("isobath.dev/rewrite-prefix", "/new"),
        rules("wrong").annotate("isobath.dev/rewrite-prefix", "no path"),
        // A group's name and a command's sign are letters like others.
        rules("signs").annotate("isobath.dev/rewrite-prefix", "/100%25/$1"),
        site("whole", "whole.test", "web:80").annotate("isobath.dev/rewrite-prefix", "/sub"),
    ]);
    let stand = Stand::start(&manifests).await;
    let mut wrong = Vec::new();
    for (host, path, want) in [
        ("root.test", "/old", "/"),
        ("root.test", "/old/", "/"),
        ("root.test", "/old/a/b?c=/old", "/a/b?c=/old"),
        ("root.test", "/exact", "/"),
        ("root.test", "/v1/x", "/v1/x"),
        ("new.test", "/old", "/new"),
        ("new.test", "/old/", "/new/"),
        ("new.test", "/old/a?b=c", "/new/a?b=c"),
        ("new.test", "/strange", "/newange"),
        ("new.test", "/str/x", "/new/x"),
        ("new.test", "/exact?q=1", "/new?q=1"),
        ("wrong.test", "/old/a", "/old/a"),
        ("wrong.test", "/exact", "/exact"),
        ("signs.test", "/old/a", "/100%25/$1/a"),
        ("signs.test", "/exact", "/100%25/$1"),
        ("whole.test", "/", "/sub/"),
        ("whole.test", "/a", "/sub/a"),
    ] {
        let answer = stand.get(host, path).await.unwrap();
        let got = match answer.status {
            200 => answer.echo().path,
            status => status.to_string(),
        };
        if got != want {
            wrong.push(format!("{host}{path}: want {want}, got {got}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    check(
        &stand,
        &[
            ("new.test", "/older", "404"),
            ("new.test", "/exact/", "404"),
        ],
        PLAIN,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_are_set_and_removed() {
    let (_backends, mut manifests) = apps(&["web"]).await;
    let authority = Authority::new();
    manifests.extend([
        site("headers", "headers.test", "web:80")
            .annotate(
                "isobath.dev/request-headers",
                "X-Set: one\nX-Percent: 100%\nX-Command: %DOWNSTREAM_REMOTE_ADDRESS%\nX-Gone:",
            )
            .annotate("isobath.dev/response-headers", "X-Answer: a, b\nX-Backend:")
            .tls(&[], "certificate"),
        // A line that is wrong spoils its annotation, not the route.
        site("wrong", "wrong.test", "web:80")
            .annotate("isobath.dev/request-headers", "X-Fine: yes\nHost: evil")
            .annotate(
                "isobath.dev/response-headers",
                "X-Fine: yes\nX-Split: a\u{7}b",
            )
            .tls(&[], "certificate"),
        authority
            .leaf(&["headers.test", "wrong.test"])
            .secret("certificate"),
    ]);
    let stand = Stand::start(&manifests).await;
    let sent = [
        ("x-set", "client"),
        ("x-gone", "client"),
        ("x-stays", "client"),
    ];
    for version in [Version::H1, Version::H2] {
        for (address, tls) in [
            (stand.isobath.http(), None),
            (stand.isobath.https(), Some(Tls::sni("headers.test"))),
        ] {
            let mut connection = Connection::open(address, version, tls.as_ref())
                .await
                .unwrap();
            let get = http::Method::GET;
            let answer = connection
                .send(get, "headers.test", "/", &sent)
                .await
                .unwrap();
            assert_eq!(answer.status, 200);
            assert_eq!(
                (answer.header("x-answer"), answer.header("x-backend")),
                ("a, b", "")
            );
            let headers = answer.echo().headers;
            let header = |name: &str| headers.get(name).map(|value| &**value);
            assert_eq!(header("x-set"), Some("one"));
            assert_eq!(header("x-percent"), Some("100%"));
            assert_eq!(header("x-command"), Some("%DOWNSTREAM_REMOTE_ADDRESS%"));
            assert_eq!(header("x-gone"), None);
            assert_eq!(header("x-stays"), Some("client"));
            let answer = connection.get("wrong.test", "/").await.unwrap();
            assert_eq!((answer.status, answer.backend()), (200, "web"));
            assert_eq!(
                (answer.header("x-fine"), answer.header("x-split")),
                ("", "")
            );
            let echo = answer.echo();
            assert_eq!(
                (&*echo.host, echo.headers.get("x-fine")),
                ("wrong.test", None)
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_redirected() {
    let (_backends, mut manifests) = apps(&["web"]).await;
    let redirect = |name: &str, value: &str| {
        site(name, &format!("{name}.test"), "web:80").annotate("isobath.dev/redirect", value)
    };
    manifests.extend([
        redirect("path", "/moved"),
        redirect("host", "301 https://New.test"),
        redirect("whole", "308 http://new.test:8080/landing"),
        redirect("other", "307 https://new.test/a"),
        redirect("wrong", "299 /x"),
        redirect("sneaky", "/a%0d%0aSet-Cookie:x"),
    ]);
    let stand = Stand::start(&manifests).await;
    check(
        &stand,
        &[
            ("path.test", "/a/b", "302 http://path.test/moved"),
            ("path.test", "/a?b=c", "302 http://path.test/moved?b=c"),
            ("host.test", "/a?b=c", "301 https://new.test/a?b=c"),
            ("whole.test", "/a", "308 http://new.test:8080/landing"),
            ("other.test", "/", "307 https://new.test/a"),
            ("wrong.test", "/", "web"),
            (
                "sneaky.test",
                "/",
                "302 http://sneaky.test/a%0d%0aSet-Cookie:x",
            ),
        ],
        PLAIN,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn time_outs_retries_and_tls_versions() {
    let authority = Authority::new();
    let (slow, good) = (Backend::start("slow").await, Backend::start("good").await);
    slow.delay(Duration::from_millis(1500));
    let mut manifests = app("slow", &[&slow]);
    manifests.extend(app("good", &[&good]));
    // One of two endpoints refuses connections: retries find the other.
    let gone = Backend::start("gone").await;
    manifests.extend([service("half"), slice("half", &gone), slice("half", &good)]);
    manifests.extend([
        site("patient", "patient.test", "slow:80"),
        site("hasty", "hasty.test", "slow:80")
            .annotate("projectcontour.io/response-timeout", "200ms"),
        site("infinite", "infinite.test", "slow:80")
            .annotate("projectcontour.io/response-timeout", "infinity"),
        site("nonsense", "nonsense.test", "slow:80")
            .annotate("projectcontour.io/response-timeout", "soon"),
        site("half", "half.test", "half:80"),
        site("modern", "modern.test", "good:80")
            .annotate("projectcontour.io/tls-minimum-protocol-version", "1.3")
            .tls(&[], "modern"),
        site("classic", "classic.test", "good:80").tls(&[], "classic"),
        authority.leaf(&["modern.test"]).secret("modern"),
        authority.leaf(&["classic.test"]).secret("classic"),
    ]);
    drop(gone);
    let stand = Stand::start(&manifests).await;
    let table = [
        ("patient.test", "/", "slow"),
        ("hasty.test", "/", "504"),
        ("infinite.test", "/", "slow"),
        ("nonsense.test", "/", "slow"),
    ];
    check(&stand, &table, PLAIN).await;
    for _ in 0..10 {
        check(&stand, &[("half.test", "/", "good")], PLAIN).await;
    }
    for (host, versions, works) in [
        ("modern.test", rustls::DEFAULT_VERSIONS, true),
        ("modern.test", TLS12, false),
        ("classic.test", rustls::DEFAULT_VERSIONS, true),
        ("classic.test", TLS12, true),
    ] {
        let tls = Tls {
            versions,
            ..Tls::sni(host)
        };
        let opened = Connection::open(stand.isobath.https(), Version::H2, Some(&tls)).await;
        assert_eq!(opened.is_ok(), works, "{host} {versions:?}");
    }
    check(
        &stand,
        &[("modern.test", "/", "good"), ("classic.test", "/", "good")],
        ALL,
    )
    .await;
}
