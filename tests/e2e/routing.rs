//! Hosts, default back ends, plain and TLS, and what the edge does to headers.

use crate::check::{ALL, PLAIN, TLS, apps, check};
use crate::support::backend::Backend;
use crate::support::certificate::Authority;
use crate::support::manifest::PathType::Prefix;
use crate::support::manifest::{app, ingress, site};
use crate::support::stand::Stand;

#[tokio::test(flavor = "multi_thread")]
async fn hosts() {
    let (_backends, mut manifests) = apps(&["one", "two", "three"]).await;
    let authority = Authority::new();
    manifests.extend([
        // The documentation's simple fanout and name based virtual hosting.
        ingress("fanout")
            .rule(
                "fan.test",
                &[("/foo", Prefix, "one:80"), ("/bar", Prefix, "two:80")],
            )
            .tls(&[], "certificate"),
        ingress("names")
            .rule("one.names.test", &[("/", Prefix, "one:80")])
            .rule("two.names.test", &[("/", Prefix, "two:80")])
            .tls(&[], "certificate"),
        // Wildcards stand for one label; an exact host hides them, whatever its paths.
        ingress("wild")
            .rule("*.wild.test", &[("/", Prefix, "one:80")])
            .rule("exact.wild.test", &[("/only", Prefix, "two:80")])
            .rule("*.sub.wild.test", &[("/", Prefix, "three:80")])
            .tls(&[], "certificate"),
        // Two Ingresses share a host, and so do two of different namespaces.
        ingress("share-a")
            .rule("share.test", &[("/a", Prefix, "one:80")])
            .tls(&[], "certificate"),
        ingress("share-b").rule("share.test", &[("/b", Prefix, "two:80")]),
        ingress("share-c")
            .namespace("other")
            .rule("share.test", &[("/c", Prefix, "far:80")]),
        // The same path twice: the older, then the one whose name comes first.
        ingress("z-old")
            .created("2020-01-01T00:00:00Z")
            .rule("age.test", &[("/", Prefix, "one:80")])
            .tls(&[], "certificate"),
        ingress("a-new")
            .created("2024-01-01T00:00:00Z")
            .rule("age.test", &[("/", Prefix, "two:80")]),
        ingress("0-ageless").rule("age.test", &[("/", Prefix, "three:80")]),
        ingress("b-name")
            .rule("name.test", &[("/", Prefix, "two:80")])
            .tls(&[], "certificate"),
        ingress("a-name").rule("name.test", &[("/", Prefix, "one:80")]),
        // Of one Ingress too.
        ingress("twice")
            .rule(
                "twice.test",
                &[("/", Prefix, "one:80"), ("/", Prefix, "two:80")],
            )
            .tls(&[], "certificate"),
    ]);
    let far = Backend::start("far").await;
    manifests.extend(
        app("far", &[&far])
            .into_iter()
            .map(|m| m.namespace("other")),
    );
    manifests.push(
        authority
            .leaf(&[
                "fan.test",
                "*.names.test",
                "*.wild.test",
                "*.sub.wild.test",
                "share.test",
                "age.test",
                "name.test",
                "twice.test",
                "*.test",
            ])
            .secret("certificate"),
    );
    let stand = Stand::start(&manifests).await;
    let mut pairs = check(
        &stand,
        &[
            ("fan.test", "/foo", "one"),
            ("fan.test", "/bar/x", "two"),
            ("fan.test", "/", "404"),
            ("one.names.test", "/", "one"),
            ("two.names.test", "/", "two"),
            ("a.wild.test", "/", "one"),
            ("b.wild.test", "/x", "one"),
            ("exact.wild.test", "/only", "two"),
            ("exact.wild.test", "/", "404"),
            ("sub.wild.test", "/", "one"),
            ("a.sub.wild.test", "/", "three"),
            ("share.test", "/a", "one"),
            ("share.test", "/b", "two"),
            ("share.test", "/c", "far"),
            ("share.test", "/d", "404"),
            ("age.test", "/", "one"),
            ("name.test", "/", "one"),
            ("twice.test", "/", "one"),
            // The same host in other spellings.
            ("FAN.Test", "/foo", "one"),
            ("A.WILD.test", "/", "one"),
            ("fan.test:80", "/foo", "one"),
            ("fan.test:12345", "/foo", "one"),
            ("a.wild.test:8443", "/", "one"),
            ("fan.test.", "/foo", "one"),
            ("a.wild.test.", "/", "one"),
            ("fan.test.:80", "/foo", "one"),
        ],
        ALL,
    )
    .await;
    pairs += check(
        &stand,
        &[
            ("nobody.test", "/", "404"),
            ("names.test", "/", "404"),
            ("three.names.test", "/", "404"),
            ("wild.test", "/", "404"),
            ("a.b.wild.test", "/", "404"),
            ("a.b.sub.wild.test", "/", "404"),
            ("a.exact.wild.test", "/only", "404"),
            ("127.0.0.1", "/", "404"),
            ("fan.test.evil", "/foo", "404"),
            ("evilfan.test", "/foo", "404"),
            (".wild.test", "/", "404"),
        ],
        PLAIN,
    )
    .await;
    // The back end sees the Host that the client sent, port and all.
    let answer = stand
        .get("fan.test:12345", "/foo?a=b")
        .await
        .unwrap()
        .echo();
    assert_eq!(
        (&*answer.host, &*answer.path),
        ("fan.test:12345", "/foo?a=b")
    );
    assert!(pairs >= 120, "{pairs}");
}

#[tokio::test(flavor = "multi_thread")]
async fn default_backends() {
    let (_backends, mut manifests) = apps(&["rule", "default", "late", "any", "other"]).await;
    let authority = Authority::new();
    manifests.extend([
        ingress("own")
            .created("2020-01-01T00:00:00Z")
            .default_backend("default:80")
            .rule("own.test", &[("/foo", Prefix, "rule:80")])
            .tls(&[], "certificate"),
        // A rule without a host comes before the default of every host.
        ingress("any").rule("", &[("/any", Prefix, "any:80")]),
        ingress("other")
            .rule("other.test", &[("/x", Prefix, "other:80")])
            .tls(&[], "certificate"),
        ingress("late")
            .created("2024-01-01T00:00:00Z")
            .default_backend("late:80"),
        authority
            .leaf(&["own.test", "other.test"])
            .secret("certificate"),
    ]);
    let stand = Stand::start(&manifests).await;
    check(
        &stand,
        &[
            ("own.test", "/foo", "rule"),
            ("own.test", "/bar", "default"),
            ("own.test", "/any", "default"),
            ("other.test", "/x", "other"),
            ("other.test", "/y", "404"),
            ("other.test", "/any", "404"),
        ],
        ALL,
    )
    .await;
    check(
        &stand,
        &[
            ("nobody.test", "/", "default"),
            ("nobody.test", "/any", "any"),
            ("nobody.test", "/any/x", "any"),
            ("127.0.0.1", "/", "default"),
        ],
        PLAIN,
    )
    .await;
    // A default back end needs a certificate that nobody named: not over TLS.
    check(&stand, &[("nobody.test", "/", "refused")], TLS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn http_and_https() {
    let (_backends, mut manifests) = apps(&["web"]).await;
    let authority = Authority::new();
    let both = |name: &str| site(name, &format!("{name}.test"), "web:80").tls(&[], "certificate");
    manifests.extend([
        both("both"),
        both("forced").annotate("ingress.kubernetes.io/force-ssl-redirect", "true"),
        both("unforced").annotate("ingress.kubernetes.io/force-ssl-redirect", "false"),
        both("secure-only").annotate("kubernetes.io/ingress.allow-http", "false"),
        both("nonsense")
            .annotate("ingress.kubernetes.io/force-ssl-redirect", "maybe")
            .annotate("kubernetes.io/ingress.allow-http", "perhaps"),
        site("plain", "plain.test", "web:80"),
        // Without its Secret a host is served without TLS.
        site("unsealed", "unsealed.test", "web:80").tls(&[], "missing"),
        authority
            .leaf(&[
                "both.test",
                "forced.test",
                "unforced.test",
                "secure-only.test",
                "nonsense.test",
            ])
            .secret("certificate"),
    ]);
    let stand = Stand::start(&manifests).await;
    check(
        &stand,
        &[
            ("both.test", "/", "web"),
            ("forced.test", "/", "301 https://forced.test/"),
            ("forced.test", "/a/b?c=d", "301 https://forced.test/a/b?c=d"),
            ("unforced.test", "/", "web"),
            ("secure-only.test", "/", "404"),
            ("nonsense.test", "/", "web"),
            ("plain.test", "/", "web"),
            ("unsealed.test", "/", "web"),
        ],
        PLAIN,
    )
    .await;
    check(
        &stand,
        &[
            ("both.test", "/", "web"),
            ("forced.test", "/a/b?c=d", "web"),
            ("unforced.test", "/", "web"),
            ("secure-only.test", "/", "web"),
            ("nonsense.test", "/", "web"),
            ("plain.test", "/", "refused"),
            ("unsealed.test", "/", "refused"),
        ],
        TLS,
    )
    .await;
}
