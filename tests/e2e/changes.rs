//! Changes under traffic: what changes is served, and nothing else notices.

use std::fs;

use crate::check::{Transport, answer, apps};
use crate::support::backend::Backend;
use crate::support::certificate::Authority;
use crate::support::client::{Tls, Version};
use crate::support::eventually::eventually;
use crate::support::load::Load;
use crate::support::manifest::PathType::{Exact, Prefix};
use crate::support::manifest::{
    Manifest, app, bare_service, ingress, service, site, slice, slice_of,
};
use crate::support::stand::Stand;

/// Waits until a plain request is answered like this (see [`crate::check`]).
async fn becomes(stand: &Stand, host: &str, path: &str, want: &str) {
    eventually(
        &format!("{host}{path} answers {want}"),
        async || match answer(stand, Transport::Http1, host, path).await {
            got if got == want => Ok(()),
            got => Err(got),
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_change_while_requests_run() {
    let (one, two, three) = (
        Backend::start("one").await,
        Backend::start("two").await,
        Backend::start("three").await,
    );
    let rule = site("web", "web.test", "web:80");
    let stand = Stand::start(&[&app("web", &[&one])[..], &[rule]].concat()).await;
    stand.isobath.write(
        "manifests.yaml",
        &[site("web", "web.test", "web:80"), service("web")],
    );
    stand.isobath.write("endpoints.yaml", &[slice("web", &one)]);
    becomes(&stand, "web.test", "/", "one").await;

    let before = stand.envoy.modifications().await;
    let load = Load::start(stand.http_traffic("web.test")).await;
    for _ in 0..3 {
        for (backends, reached) in [
            (&[&one, &two][..], "two"),
            (&[&two, &three], "three"),
            (&[&three], "three"),
            (&[&one], "one"),
        ] {
            let slices: Vec<_> = backends
                .iter()
                .map(|backend| slice("web", backend))
                .collect();
            stand.isobath.write("endpoints.yaml", &slices);
            load.reaches(reached).await;
        }
    }
    load.more(20).await;
    let report = load.stop_without_failure().await;
    assert_eq!(report.closed, 0);
    assert_eq!(stand.envoy.modifications().await, before);

    // Once it is away from a back end, no request goes there.
    // Each of Envoy's threads takes the change when it runs.
    eventually("all requests reach the one that is left", async || {
        for _ in 0..20 {
            let answer = stand.get("web.test", "/").await?;
            anyhow::ensure!(answer.backend() == "one", "{}", answer.backend());
        }
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_endpoints_to_none_and_back() {
    let (_backends, mut base) = apps(&["bystander"]).await;
    base.push(site("bystander", "bystander.test", "bystander:80"));
    base.push(site("many", "many.test", "many:80"));
    base.push(service("many"));
    let mut many = Vec::new();
    for _ in 0..12 {
        many.push(Backend::start("many").await);
    }
    let slices: Vec<_> = many.iter().map(|backend| slice("many", backend)).collect();
    let stand = Stand::start(&base).await;
    becomes(&stand, "many.test", "/", "503").await;
    let before = stand.envoy.modifications().await;
    let load = Load::start(stand.http_traffic("bystander.test")).await;
    for _ in 0..3 {
        stand.isobath.write("endpoints.yaml", &slices);
        becomes(&stand, "many.test", "/", "many").await;
        eventually("every endpoint gets requests", async || {
            stand.get("many.test", "/").await?;
            let idle = many
                .iter()
                .filter(|backend| backend.requests() == 0)
                .count();
            anyhow::ensure!(idle == 0, "{idle} idle");
            Ok(())
        })
        .await;
        stand.isobath.remove("endpoints.yaml");
        becomes(&stand, "many.test", "/", "503").await;
    }
    stand.isobath.write("endpoints.yaml", &slices[..1]);
    becomes(&stand, "many.test", "/", "many").await;
    load.stop_without_failure().await;
    assert_eq!(stand.envoy.modifications().await, before);
}

/// What one file brings is taken in together: nobody is told of a Service that is missing for a moment.
#[tokio::test(flavor = "multi_thread")]
async fn an_ingress_and_its_service_in_one_file() {
    let web = Backend::start("web").await;
    let authority = Authority::new();
    let stand = Stand::start(&[]).await;
    for round in 0..20 {
        let name = format!("web-{round}");
        let host = format!("{name}.test");
        let mut objects = vec![site(&name, &host, &format!("{name}:80")).tls(&[], &name)];
        objects.extend(app(&name, &[&web]));
        objects.push(authority.leaf(&[&*host]).secret(&name));
        stand.isobath.write("web.yaml", &objects);
        becomes(&stand, &host, "/", "web").await;
    }
    let log = stand.isobath.log();
    assert!(!log.contains("NotFound"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ingress_is_added_edited_and_deleted() {
    let authority = Authority::new();
    let (_backends, mut base) = apps(&["bystander", "one", "two"]).await;
    base.push(
        site("bystander", "bystander.test", "bystander:80").tls(&["bystander.test"], "bystander"),
    );
    base.push(authority.leaf(&["bystander.test"]).secret("bystander"));
    base.push(authority.leaf(&["new.test"]).secret("new"));
    let stand = Stand::start(&base).await;
    let bystander = Tls {
        trust: authority.trust(),
        ..Tls::sni("bystander.test")
    };
    let load = Load::start(
        stand
            .https_traffic("bystander.test", &bystander)
            .into_iter()
            .chain(stand.http_traffic("bystander.test")),
    )
    .await;
    for _ in 0..3 {
        becomes(&stand, "new.test", "/", "404").await;
        let added = site("new", "new.test", "one:80");
        stand
            .isobath
            .write("new.yaml", std::slice::from_ref(&added));
        becomes(&stand, "new.test", "/", "one").await;
        stand
            .isobath
            .write("new.yaml", &[site("new", "new.test", "two:80")]);
        becomes(&stand, "new.test", "/", "two").await;
        let paths = [("/a", Prefix, "one:80"), ("/b", Exact, "two:80")];
        stand
            .isobath
            .write("new.yaml", &[ingress("new").rule("new.test", &paths)]);
        becomes(&stand, "new.test", "/", "404").await;
        becomes(&stand, "new.test", "/a/x", "one").await;
        becomes(&stand, "new.test", "/b", "two").await;
        // With TLS, and without again.
        stand
            .isobath
            .write("new.yaml", &[added.clone().tls(&[], "new")]);
        eventually("it is served over TLS", async || {
            let answer = stand.get_tls(Version::H2, "new.test", "/").await?;
            anyhow::ensure!(answer.backend() == "one", "{answer:?}");
            Ok(())
        })
        .await;
        // Another host, another class, gone.
        stand
            .isobath
            .write("new.yaml", &[site("new", "renamed.test", "one:80")]);
        becomes(&stand, "renamed.test", "/", "one").await;
        becomes(&stand, "new.test", "/", "404").await;
        stand
            .isobath
            .write("new.yaml", &[added.clone().class("somebody-else")]);
        becomes(&stand, "renamed.test", "/", "404").await;
        becomes(&stand, "new.test", "/", "404").await;
        stand.isobath.write("new.yaml", &[added]);
        becomes(&stand, "new.test", "/", "one").await;
        stand.isobath.remove("new.yaml");
    }
    becomes(&stand, "new.test", "/", "404").await;
    let report = load.stop_without_failure().await;
    assert_eq!(report.closed, 0, "other chains are not touched");
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_objects_beside_valid_ones() {
    let (_backends, base) = apps(&["web"]).await;
    let stand = Stand::start(&base).await;
    stand
        .isobath
        .write("good.yaml", &[site("good", "good.test", "web:80")]);
    becomes(&stand, "good.test", "/", "web").await;
    let load = Load::start(stand.http_traffic("good.test")).await;

    // Each wrong in a way of its own; the last of the file shows that the file has been read.
    let mut no_backend = ingress("no-backend").rule("bad0.test", &[("/", Prefix, "web:80")]);
    no_backend.0["spec"]["rules"][0]["http"]["paths"][0]["backend"] = serde_json::json!({});
    let mut resource = ingress("resource").rule("bad1.test", &[("/", Prefix, "web:80")]);
    resource.0["spec"]["rules"][0]["http"]["paths"][0]["backend"] =
        serde_json::json!({"resource": {"kind": "Bucket", "name": "files"}});
    let mut no_type = ingress("no-type").rule("bad2.test", &[("/", Prefix, "web:80")]);
    no_type.0["spec"]["rules"] = 7.into();
    let mut bad_slice = slice("web", &Backend::start("x").await);
    bad_slice.0["metadata"]["name"] = "bad".into();
    bad_slice.0["endpoints"][0]["addresses"][0] = "not an address".into();
    stand.isobath.write(
        "bad.yaml",
        &[
            no_backend,
            resource,
            no_type,
            bad_slice,
            ingress("relative").rule("bad3.test", &[("relative", Prefix, "web:80")]),
            site("shout", "BAD4!.test", "web:80"),
            site("star", "a.*.test", "web:80"),
            site("Not A Name", "bad5.test", "web:80"),
            site("port", "bad6.test", "web:99"),
            site("nowhere", "bad7.test", "nowhere:80"),
            Manifest(serde_json::json!({
                "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
                "metadata": {"namespace": "default", "name": "garbage"},
                "data": {"tls.crt": "!!!", "tls.key": 7},
            })),
            site("sealed", "bad8.test", "web:80").tls(&[], "garbage"),
            Manifest(serde_json::json!({
                "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "other"},
            })),
            site("beside", "beside.test", "web:80"),
        ],
    );
    becomes(&stand, "beside.test", "/", "web").await;
    becomes(&stand, "bad6.test", "/", "503").await;
    becomes(&stand, "bad7.test", "/", "503").await;
    becomes(&stand, "bad8.test", "/", "web").await;
    for host in ["bad2.test", "bad3.test", "bad5.test"] {
        becomes(&stand, host, "/", "404").await;
    }
    // A file that stops being YAML keeps its last good objects, and the others change as before.
    stand
        .isobath
        .write_text("good.yaml", "kind: Ingress\n  metadata: [\n");
    stand
        .isobath
        .write("bad.yaml", &[site("beside", "next.test", "web:80")]);
    becomes(&stand, "next.test", "/", "web").await;
    becomes(&stand, "beside.test", "/", "404").await;
    becomes(&stand, "good.test", "/", "web").await;
    stand.isobath.write(
        "good.yaml",
        &[
            site("good", "good.test", "web:80"),
            site("more", "more.test", "web:80"),
        ],
    );
    becomes(&stand, "more.test", "/", "web").await;
    load.stop_without_failure().await;
    let log = stand.isobath.log();
    assert!(log.contains("good.yaml"), "the broken file is named: {log}");
}

/// Contour's sequence: a Service gets another name, another port, and is deleted.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_renamed_re_ported_and_deleted() {
    let web = Backend::start("web").await;
    let objects = |name: &str, port: u16| {
        vec![
            site("web", "web.test", &format!("{name}:{port}")),
            bare_service(name).port("", port, 8080, ""),
            slice(name, &web),
        ]
    };
    let stand = Stand::start(&objects("kuard", 80)).await;
    let load = Load::start(stand.http_traffic("web.test")).await;
    for (name, next) in [
        ("kuarder", 80),
        ("kuarder", 8080),
        ("kuard", 8080),
        ("kuard", 443),
        ("kuard", 80),
    ] {
        stand.isobath.write("manifests.yaml", &objects(name, next));
        // The route names the Service's port, so the cluster of the new one has to answer.
        let cluster = format!("default/{name}/{next}");
        eventually(&format!("the route leads to {cluster}"), async || {
            let routes = stand
                .envoy
                .get("/config_dump?resource=dynamic_route_configs")
                .await?;
            anyhow::ensure!(routes.contains(&format!("\"{cluster}\"")), "{routes}");
            Ok(())
        })
        .await;
        load.more(10).await;
    }
    load.stop_without_failure().await;
    let mut without = objects("kuard", 80);
    without.remove(1);
    stand.isobath.write("manifests.yaml", &without);
    becomes(&stand, "web.test", "/", "503").await;
    stand.isobath.write("manifests.yaml", &objects("kuard", 80));
    becomes(&stand, "web.test", "/", "web").await;
}

/// Contour's scenario: an unnamed port whose target port changes is the same port in another place.
#[tokio::test(flavor = "multi_thread")]
async fn an_unnamed_port_changes_its_target() {
    let (old, new) = (Backend::start("old").await, Backend::start("new").await);
    let objects = |backend: &Backend| {
        // A real controller updates the slice in place.
        let mut slice = slice("web", backend);
        slice.0["metadata"]["name"] = "web-slice".into();
        vec![
            site("web", "web.test", "web:80"),
            bare_service("web").port("", 80, backend.address().port(), ""),
            slice,
        ]
    };
    let stand = Stand::start(&objects(&old)).await;
    let before = stand.envoy.modifications().await;
    let load = Load::start(stand.http_traffic("web.test")).await;
    for backend in [&new, &old, &new] {
        stand.isobath.write("manifests.yaml", &objects(backend));
        load.reaches(backend.name()).await;
    }
    load.stop_without_failure().await;
    assert_eq!(stand.envoy.modifications().await, before);
    assert_eq!(stand.get("web.test", "/").await.unwrap().backend(), "new");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_gets_a_name() {
    let web = Backend::start("web").await;
    let objects = |name: &str| {
        vec![
            site("web", "web.test", "web:80"),
            bare_service("web").port(name, 80, 8080, ""),
            slice_of("web", name, &web),
        ]
    };
    let stand = Stand::start(&objects("")).await;
    let load = Load::start(stand.http_traffic("web.test")).await;
    for name in ["http", "web", ""] {
        stand.isobath.write("manifests.yaml", &objects(name));
        load.more(30).await;
    }
    load.stop_without_failure().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ingress_without_http_gets_it_and_loses_it() {
    let (_backends, mut base) = apps(&["web", "bystander"]).await;
    base.push(site("bystander", "bystander.test", "bystander:80"));
    let stand = Stand::start(&base).await;
    let load = Load::start(stand.http_traffic("bystander.test")).await;
    for _ in 0..2 {
        let bare = ingress("bare").rule_without_http("bare.test");
        let fence = site("fence", "fence.test", "web:80");
        stand.isobath.write("bare.yaml", &[bare, fence]);
        becomes(&stand, "fence.test", "/", "web").await;
        becomes(&stand, "bare.test", "/", "404").await;
        stand
            .isobath
            .write("bare.yaml", &[site("bare", "bare.test", "web:80")]);
        becomes(&stand, "bare.test", "/", "web").await;
        becomes(&stand, "fence.test", "/", "404").await;
    }
    load.stop_without_failure().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_default_backend_is_edited_into_rules() {
    let (_backends, base) = apps(&["web", "other"]).await;
    let stand = Stand::start(&base).await;
    let whole = ingress("web").default_backend("web:80");
    let rules = site("web", "web.test", "other:80");
    let both = rules.clone().default_backend("web:80");
    for _ in 0..2 {
        stand
            .isobath
            .write("web.yaml", std::slice::from_ref(&whole));
        becomes(&stand, "web.test", "/", "web").await;
        becomes(&stand, "any.test", "/x", "web").await;
        stand
            .isobath
            .write("web.yaml", std::slice::from_ref(&rules));
        becomes(&stand, "web.test", "/", "other").await;
        becomes(&stand, "any.test", "/x", "404").await;
        stand.isobath.write("web.yaml", std::slice::from_ref(&both));
        becomes(&stand, "any.test", "/x", "web").await;
        becomes(&stand, "web.test", "/", "other").await;
    }
}

/// Make before break: a route moves between Services, each of which has a cluster only while it is used.
#[tokio::test(flavor = "multi_thread")]
async fn a_route_moves_from_service_to_service() {
    let (_backends, base) = apps(&["one", "two"]).await;
    let authority = Authority::new();
    let secret = authority.leaf(&["web.test"]).secret("web");
    let objects = |service: &str| {
        let rule = site("web", "web.test", &format!("{service}:80")).tls(&[], "web");
        [&base[..], &[rule, secret.clone()]].concat()
    };
    let stand = Stand::start(&objects("one")).await;
    let tls = Tls {
        trust: authority.trust(),
        ..Tls::sni("web.test")
    };
    let load = Load::start(
        stand
            .https_traffic("web.test", &tls)
            .into_iter()
            .chain(stand.http_traffic("web.test")),
    )
    .await;
    for round in 0..10 {
        let name = ["two", "one"][round % 2];
        stand.isobath.write("manifests.yaml", &objects(name));
        load.reaches(name).await;
    }
    let report = load.stop_without_failure().await;
    assert_eq!(report.closed, 0);
}

/// A ConfigMap volume changes by a symbolic link that is renamed over another.
#[tokio::test(flavor = "multi_thread")]
async fn a_config_map_volume_is_swapped() {
    let (_backends, base) = apps(&["one", "two"]).await;
    let stand = Stand::start(&base).await;
    let directory = stand.isobath.manifests();
    let version = |number: u32, service: &str| {
        let folder = directory.join(format!("..{number}"));
        fs::create_dir(&folder).unwrap();
        let rule = site("web", "web.test", &format!("{service}:80"));
        let text = crate::support::manifest::text(&[rule]);
        fs::write(folder.join("web.yaml"), text).unwrap();
        std::os::unix::fs::symlink(format!("..{number}"), directory.join("..data_tmp")).unwrap();
        fs::rename(directory.join("..data_tmp"), directory.join("..data")).unwrap();
        if number > 1 {
            fs::remove_dir_all(directory.join(format!("..{}", number - 1))).unwrap();
        }
    };
    version(1, "one");
    std::os::unix::fs::symlink("..data/web.yaml", directory.join("web.yaml")).unwrap();
    becomes(&stand, "web.test", "/", "one").await;
    let load = Load::start(stand.http_traffic("web.test")).await;
    version(2, "two");
    load.reaches("two").await;
    version(3, "one");
    load.reaches("one").await;
    load.stop_without_failure().await;
}
