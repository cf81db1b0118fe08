//! cert-manager's HTTP-01 solver: what it asks of an ingress controller, points (a) to (f) of its contract.

use crate::check::{ALL, PLAIN, TLS, apps, check};
use crate::support::backend::Backend;
use crate::support::certificate::Authority;
use crate::support::eventually::eventually;
use crate::support::manifest::PathType::{Exact, ImplementationSpecific, Prefix};
use crate::support::manifest::{Manifest, PathType, bare_service, ingress, site, slice_of};
use crate::support::stand::Stand;

const TOKEN: &str = "/.well-known/acme-challenge/Zm9v-bar_baz";

/// The Ingress that cert-manager makes beside the application's; it has a generated name and is the younger.
fn solver(host: &str, path_type: PathType) -> Manifest {
    ingress(&format!("cm-acme-http-solver-{}x", host.replace('.', "")))
        .created("2026-01-01T00:00:00Z")
        .annotate(
            "nginx.ingress.kubernetes.io/whitelist-source-range",
            "0.0.0.0/0,::/0",
        )
        .rule(host, &[(TOKEN, path_type, "cm-acme-http-solver:8089")])
}

fn solver_service(backend: &Backend) -> Vec<Manifest> {
    vec![
        bare_service("cm-acme-http-solver").port("http", 8089, 8089, ""),
        slice_of("cm-acme-http-solver", "http", backend),
    ]
}

fn application(name: &str) -> Manifest {
    ingress(name)
        .created("2020-01-01T00:00:00Z")
        .annotate("ingress.kubernetes.io/force-ssl-redirect", "true")
        // Two routes that would swallow the challenge if anything but Exact came first.
        .rule(
            &format!("{name}.test"),
            &[
                ("/.*", ImplementationSpecific, "web:80"),
                ("/", Prefix, "web:80"),
            ],
        )
}

#[tokio::test(flavor = "multi_thread")]
async fn the_solvers_ingress_beside_the_applications() {
    let authority = Authority::new();
    let solver_backend = Backend::start("solver").await;
    let (_backends, mut manifests) = apps(&["web"]).await;
    manifests.extend(solver_service(&solver_backend));
    manifests.extend([
        application("exact").tls(&["exact.test"], "certificate"),
        solver("exact.test", Exact),
        application("impl").tls(&["impl.test"], "certificate"),
        solver("impl.test", ImplementationSpecific),
        // Classes as field and as annotation.
        application("field").tls(&["field.test"], "certificate"),
        solver("field.test", Exact).class("isobath"),
        application("annotated").tls(&["annotated.test"], "certificate"),
        solver("annotated.test", Exact).annotate("kubernetes.io/ingress.class", "isobath"),
        // Plain HTTP switched off altogether by the application.
        application("closed")
            .annotate("ingress.kubernetes.io/force-ssl-redirect", "false")
            .annotate("kubernetes.io/ingress.allow-http", "false")
            .tls(&["closed.test"], "certificate"),
        solver("closed.test", Exact),
        // (e) The certificate that is being asked for does not exist yet.
        application("early").tls(&["early.test"], "not-yet"),
        solver("early.test", Exact),
        // A wildcard of the application, the exact host of the solver.
        site("star", "*.star.test", "web:80").tls(&["*.star.test"], "certificate"),
        solver("one.star.test", Exact),
        // A host that nobody else serves.
        solver("alone.test", Exact),
        authority
            .leaf(&[
                "exact.test",
                "impl.test",
                "field.test",
                "annotated.test",
                "closed.test",
                "*.star.test",
            ])
            .secret("certificate"),
    ]);
    let stand = Stand::start(&manifests).await;
    // (b) by plain HTTP, whatever the application forces, and (c) by HTTPS too; (d) before its regular expression.
    check(
        &stand,
        &[
            ("exact.test", TOKEN, "solver"),
            ("field.test", TOKEN, "solver"),
            ("annotated.test", TOKEN, "solver"),
            ("closed.test", TOKEN, "solver"),
        ],
        ALL,
    )
    .await;
    check(
        &stand,
        &[
            ("early.test", TOKEN, "solver"),
            ("one.star.test", TOKEN, "solver"),
            ("alone.test", TOKEN, "solver"),
            // (a) The application's routes are what they were.
            ("exact.test", "/", "301 https://exact.test/"),
            (
                "exact.test",
                "/.well-known/acme-challenge/other",
                "301 https://exact.test/.well-known/acme-challenge/other",
            ),
            ("closed.test", "/", "404"),
            ("two.star.test", "/", "web"),
            ("alone.test", "/", "404"),
        ],
        PLAIN,
    )
    .await;
    check(
        &stand,
        &[
            ("exact.test", "/", "web"),
            ("field.test", "/x", "web"),
            ("closed.test", "/", "web"),
            ("two.star.test", "/", "web"),
            ("early.test", TOKEN, "refused"),
        ],
        TLS,
    )
    .await;
    // The solver sees the path as the authority sent it.
    let echo = stand.get("exact.test", TOKEN).await.unwrap().echo();
    assert_eq!(echo.path, TOKEN);
}

/// The whole life of a certificate: asked for, proven, issued, the solver gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_issued() {
    let authority = Authority::new();
    let solver_backend = Backend::start("solver").await;
    let (_backends, mut base) = apps(&["web"]).await;
    base.push(application("life").tls(&["life.test"], "life"));
    let stand = Stand::start(&base).await;
    // Every path redirects, and no path is a challenge's: the request for one is redirected like the rest.
    check(
        &stand,
        &[(
            "life.test",
            TOKEN,
            "301 https://life.test/.well-known/acme-challenge/Zm9v-bar_baz",
        )],
        PLAIN,
    )
    .await;
    // Without the Secret there is no HTTPS to redirect to; the challenge comes through by HTTP.
    let mut challenge = solver_service(&solver_backend);
    challenge.push(solver("life.test", Exact));
    stand.isobath.write("solver.yaml", &challenge);
    eventually("the challenge is reachable", async || {
        let answer = stand.get("life.test", TOKEN).await?;
        anyhow::ensure!(answer.backend() == "solver", "{answer:?}");
        Ok(())
    })
    .await;
    stand.isobath.write(
        "secret.yaml",
        &[authority.leaf(&["life.test"]).secret("life")],
    );
    stand.isobath.remove("solver.yaml");
    eventually("the certificate is served", async || {
        let answer = stand
            .get_tls(crate::support::client::Version::H2, "life.test", "/")
            .await?;
        anyhow::ensure!(answer.backend() == "web", "{answer:?}");
        Ok(())
    })
    .await;
    eventually("the challenge is gone", async || {
        let answer = stand.get("life.test", TOKEN).await?;
        anyhow::ensure!(answer.status == 301, "{answer:?}");
        Ok(())
    })
    .await;
}

/// (f) `http01-edit-in-place`: the path is put into the application's own Ingress, redirect annotation and all.
#[tokio::test(flavor = "multi_thread")]
async fn the_applications_ingress_is_edited_in_place() {
    let authority = Authority::new();
    let solver_backend = Backend::start("solver").await;
    let (_backends, mut manifests) = apps(&["web"]).await;
    manifests.extend(solver_service(&solver_backend));
    let secret = authority.leaf(&["edited.test"]).secret("certificate");
    manifests.push(secret);
    let application = application("edited").tls(&["edited.test"], "certificate");
    let stand = Stand::start(&[&manifests[..], std::slice::from_ref(&application)].concat()).await;
    for path_type in [Exact, ImplementationSpecific] {
        let mut edited = application.clone();
        let with_path =
            ingress("x").rule("x.test", &[(TOKEN, path_type, "cm-acme-http-solver:8089")]);
        let path = with_path.0["spec"]["rules"][0]["http"]["paths"][0].clone();
        edited.0["spec"]["rules"][0]["http"]["paths"]
            .as_array_mut()
            .unwrap()
            .insert(0, path);
        stand
            .isobath
            .write("manifests.yaml", &[&manifests[..], &[edited]].concat());
        eventually(
            &format!("the challenge is reachable ({path_type:?})"),
            async || {
                let answer = stand.get("edited.test", TOKEN).await?;
                anyhow::ensure!(answer.backend() == "solver", "{answer:?}");
                Ok(())
            },
        )
        .await;
        check(
            &stand,
            &[("edited.test", "/", "301 https://edited.test/")],
            PLAIN,
        )
        .await;
        check(
            &stand,
            &[
                ("edited.test", "/", "web"),
                ("edited.test", TOKEN, "solver"),
            ],
            TLS,
        )
        .await;
        stand.isobath.write(
            "manifests.yaml",
            &[&manifests[..], std::slice::from_ref(&application)].concat(),
        );
        eventually("it is as before", async || {
            let answer = stand.get("edited.test", TOKEN).await?;
            anyhow::ensure!(answer.status == 301, "{answer:?}");
            Ok(())
        })
        .await;
    }
}

/// A certificate for an IP address: the solver's Ingress has no host.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_for_an_address() {
    let solver_backend = Backend::start("solver").await;
    let (_backends, mut manifests) = apps(&["web"]).await;
    manifests.extend(solver_service(&solver_backend));
    manifests.push(ingress("default").default_backend("web:80"));
    manifests.push(solver("", Exact));
    let stand = Stand::start(&manifests).await;
    check(
        &stand,
        &[("127.0.0.1", TOKEN, "solver"), ("127.0.0.1", "/", "web")],
        PLAIN,
    )
    .await;
}
