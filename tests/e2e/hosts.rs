//! Hosts that meet: wildcards and what is below them, TLS entries and rules, classes.

use crate::check::{ALL, PLAIN, TLS, apps, check};
use crate::support::certificate::Authority;
use crate::support::manifest::PathType::Prefix;
use crate::support::manifest::{ingress, site};
use crate::support::stand::Stand;

/// Wildcards, what is below them, and what is deeper; rules without a host beside them.
#[tokio::test(flavor = "multi_thread")]
async fn hosts_below_each_other() {
    let (_backends, mut manifests) =
        apps(&["any", "star", "exact", "deep", "deepstar", "tail"]).await;
    let authority = Authority::new();
    manifests.extend([
        ingress("any").rule("", &[("/", Prefix, "any:80")]),
        ingress("star")
            .rule("*.w.test", &[("/star", Prefix, "star:80")])
            .tls(&["*.w.test"], "star"),
        ingress("exact").rule("e.w.test", &[("/exact", Prefix, "exact:80")]),
        ingress("deep")
            .rule("a.e.w.test", &[("/", Prefix, "deep:80")])
            .tls(&[], "deep"),
        ingress("deepstar").rule("*.s.w.test", &[("/", Prefix, "deepstar:80")]),
        ingress("tail").rule("w.test", &[("/", Prefix, "tail:80")]),
        authority.leaf(&["*.w.test"]).secret("star"),
        authority.leaf(&["a.e.w.test"]).secret("deep"),
    ]);
    let stand = Stand::start(&manifests).await;
    check(
        &stand,
        &[
            ("x.w.test", "/star", "star"),
            ("x.w.test", "/star/x", "star"),
            // The host is found first, then the path: no way back to a wider host.
            ("x.w.test", "/", "404"),
            ("e.w.test", "/exact", "exact"),
            ("e.w.test", "/star", "404"),
            ("e.w.test", "/", "404"),
            ("a.e.w.test", "/", "deep"),
            ("A.E.W.TEST", "/", "deep"),
            ("a.e.w.test:99", "/", "deep"),
        ],
        ALL,
    )
    .await;
    check(
        &stand,
        &[
            ("w.test", "/", "tail"),
            ("x.s.w.test", "/", "deepstar"),
            // The star of `*.w.test` has another number of labels here.
            ("s.w.test", "/star", "star"),
            // Nobody's by any name, so those without a host take it; not what only looks like the wildcard's.
            ("nobody.test", "/star", "any"),
            ("10.0.0.1", "/", "any"),
            ("xw.test", "/", "any"),
            // Too deep for the wildcard, and no other Ingress's either: Envoy finds the host before the path.
            ("y.x.w.test", "/star", "404"),
            ("y.x.w.test", "/", "404"),
            ("b.a.e.w.test", "/", "404"),
        ],
        PLAIN,
    )
    .await;
    check(
        &stand,
        &[
            ("w.test", "/", "refused"),
            ("nobody.test", "/", "refused"),
            // The wildcard's certificate is shown, its routes are not.
            ("y.x.w.test", "/star", "421"),
            ("x.s.w.test", "/", "421"),
            ("b.a.e.w.test", "/", "421"),
        ],
        TLS,
    )
    .await;
}

/// TLS entries that say more, or less, than the rules.
#[tokio::test(flavor = "multi_thread")]
async fn tls_entries_and_rules() {
    let (_backends, mut manifests) = apps(&["web", "other", "star"]).await;
    let authority = Authority::new();
    manifests.extend([
        // Hosts under `tls` without a rule: nobody has anything to say there, or the wildcard above has.
        site("bare", "web.bare.test", "web:80").tls(&["web.bare.test", "idle.bare.test"], "bare"),
        site("star", "*.star.test", "star:80"),
        site("below", "x.test", "web:80").tls(&["one.star.test"], "one"),
        // Rules without a host hold for the hosts under `tls`.
        ingress("hostless")
            .rule("", &[("/here", Prefix, "web:80")])
            .tls(&["hostless.test"], "hostless"),
        // Another Ingress brings the certificate, a third one has the routes.
        ingress("seal")
            .rule("seal.test", &[("/a", Prefix, "web:80")])
            .tls(&["seal.test"], "seal"),
        ingress("sealed").rule("seal.test", &[("/b", Prefix, "other:80")]),
        // Two want the host with different Secrets: the older, and the other's routes stay.
        ingress("older")
            .created("2020-01-01T00:00:00Z")
            .rule("age.test", &[("/old", Prefix, "web:80")])
            .tls(&["age.test"], "old"),
        ingress("younger")
            .created("2024-01-01T00:00:00Z")
            .rule("age.test", &[("/new", Prefix, "other:80")])
            .tls(&["age.test"], "new"),
        // Upper case in manifests.
        site("upper", "upper.test", "web:80").tls(&["upper.test"], "upper"),
    ]);
    for (secret, names) in [
        ("bare", &["web.bare.test", "idle.bare.test"][..]),
        ("one", &["one.star.test"]),
        ("hostless", &["hostless.test"]),
        ("seal", &["seal.test"]),
        ("old", &["age.test"]),
        ("new", &["age.test"]),
        ("upper", &["upper.test"]),
    ] {
        manifests.push(authority.leaf(names).secret(secret));
    }
    let stand = Stand::start(&manifests).await;
    check(
        &stand,
        &[
            ("web.bare.test", "/", "web"),
            ("one.star.test", "/", "star"),
            ("hostless.test", "/here", "web"),
            ("hostless.test", "/there", "404"),
            ("seal.test", "/a", "web"),
            ("seal.test", "/b", "other"),
            ("age.test", "/old", "web"),
            ("age.test", "/new", "other"),
            ("UPPER.test", "/", "web"),
        ],
        ALL,
    )
    .await;
    check(
        &stand,
        &[
            ("idle.bare.test", "/", "404"),
            ("two.star.test", "/", "refused"),
            ("x.test", "/", "refused"),
        ],
        TLS,
    )
    .await;
    check(
        &stand,
        &[
            ("idle.bare.test", "/", "404"),
            ("two.star.test", "/", "star"),
            ("x.test", "/", "web"),
            ("elsewhere.test", "/here", "web"),
        ],
        PLAIN,
    )
    .await;
}

/// Classes by field, by annotation, by default, and of others.
#[tokio::test(flavor = "multi_thread")]
async fn classes() {
    let (_backends, mut manifests) = apps(&["web"]).await;
    let class = |name: &str, controller: &str| {
        let mut class = ingress(name);
        class.0["kind"] = "IngressClass".into();
        class.0["spec"] = serde_json::json!({"controller": controller});
        class
    };
    let of = |name: &str| site(name, &format!("{name}.test"), "web:80");
    manifests.extend([
        class("one", "isobath.dev/ingress-controller"),
        class("two", "isobath.dev/ingress-controller"),
        class("foreign", "example.com/other"),
        of("field-one").class("one"),
        of("field-two").class("two"),
        of("field-foreign").class("foreign"),
        of("field-unknown").class("unknown"),
        of("legacy").annotate("kubernetes.io/ingress.class", "one"),
        of("legacy-foreign").annotate("kubernetes.io/ingress.class", "foreign"),
        of("contour").annotate("projectcontour.io/ingress.class", "two"),
        of("contour-wins")
            .annotate("projectcontour.io/ingress.class", "two")
            .class("foreign"),
        of("none"),
    ]);
    let stand = Stand::start(&manifests).await;
    check(
        &stand,
        &[
            ("field-one.test", "/", "web"),
            ("field-two.test", "/", "web"),
            ("field-foreign.test", "/", "404"),
            ("field-unknown.test", "/", "404"),
            ("legacy.test", "/", "web"),
            ("legacy-foreign.test", "/", "404"),
            ("contour.test", "/", "web"),
            ("contour-wins.test", "/", "web"),
            ("none.test", "/", "web"),
        ],
        PLAIN,
    )
    .await;
}
