//! Credentials, RBAC, and what the server offers.

use isobath::objects::Kind;
use isobath::sources::kubernetes::{ConnectError, Kubernetes};

use crate::control_plane::{ADMIN, Authority, ControlPlane};
use crate::rig::{Rig, Run, args, proxy, source, status, try_source};

/// The kinds that every API server has.
fn built_in() -> Vec<Kind> {
    Kind::ALL
        .into_iter()
        .filter(|kind| kind.custom().is_none())
        .collect()
}

/// Those of them that are read where only namespaces are watched.
fn namespaced() -> Vec<Kind> {
    built_in()
        .into_iter()
        .filter(|kind| kind.is_namespaced())
        .collect()
}

fn rules(kinds: &[Kind]) -> String {
    let rules: Vec<_> = kinds
        .iter()
        .map(|kind| {
            let (group, plural) = (kind.group(), kind.plural());
            format!("{{apiGroups: ['{group}'], resources: [{plural}], verbs: [list, watch]}}")
        })
        .collect();
    format!("[{}]", rules.join(", "))
}

/// The rule for any one kind is missing. The line says which.
#[tokio::test]
async fn a_missing_rule() {
    let Some(rig) = Rig::new("rules").await else {
        return;
    };
    for kind in built_in() {
        let plural = kind.plural();
        let mut granted = built_in();
        granted.retain(|granted| *granted != kind);
        let user = format!("without-{plural}");
        rig.plane.grant(&user, &rules(&granted));
        granted_by_now(&rig.plane, &user, None, &granted).await;
        let source = Kubernetes::connect(&args(rig.plane.kubeconfig(&user)), false)
            .await
            .unwrap();
        let (error, mirror) = Run::start(source).end().await;
        let text = error.to_string();
        assert!(
            text.starts_with(&format!(
                "list-watch of {kind}: the API server answered 403: {plural}"
            )),
            "{text}"
        );
        assert!(!text.contains('\n'));
        assert_eq!(mirror.lists(kind), 0);
    }
}

/// Namespaced Roles are enough for --watch-namespaces with --ingress-class, and for nothing else.
#[tokio::test]
async fn namespaced_roles() {
    let Some(rig) = Rig::new("roles").await else {
        return;
    };
    let other = Rig::on(rig.plane.clone(), "other-roles").await;
    rig.create_service("seen").await;
    other.create_service("seen").await;
    let namespaced = namespaced();
    for namespace in ["roles", "other-roles"] {
        rig.plane.grant_in(namespace, "tenant", &rules(&namespaced));
    }
    let mut args = args(rig.plane.kubeconfig("tenant"));
    args.watch_namespaces = vec!["roles".to_owned(), "other-roles".to_owned()];
    for namespace in ["roles", "other-roles"] {
        granted_by_now(&rig.plane, "tenant", Some(namespace), &namespaced).await;
    }
    let source = source(&args).await;
    let watched = source.watched().into_iter().collect();
    let mut run = Run::start(source);
    run.until("two namespaces", |mirror| mirror.listed == watched)
        .await;
    drop(run);

    // Without a name for the class, classes are read, and those are the cluster's.
    let all = Kubernetes::connect(&args, false).await.unwrap();
    let (error, _) = Run::start(all).end().await;
    let text = error.to_string();
    assert!(
        text.starts_with("list-watch of IngressClass: the API server answered 403"),
        "{text}"
    );
}

/// A server that can't be trusted, and configurations that can't be used.
#[tokio::test]
async fn connecting() {
    let Some(rig) = Rig::new("connecting").await else {
        return;
    };
    // The certificate is another authority's.
    let stranger = Authority::new("stranger");
    let kubeconfig = std::fs::read_to_string(rig.plane.kubeconfig(ADMIN)).unwrap();
    let ca = rig.plane.dir().join("stranger.crt");
    std::fs::write(&ca, stranger.certificate()).unwrap();
    let trusted = rig.plane.dir().join("ca.crt");
    let path = rig.plane.dir().join("stranger.kubeconfig");
    let text = kubeconfig.replace(trusted.to_str().unwrap(), ca.to_str().unwrap());
    std::fs::write(&path, text).unwrap();
    let error = try_source(&args(path.clone()))
        .await
        .map(|_| ())
        .unwrap_err();
    // By its address, and not by a kind of object that has nothing to do with it.
    assert!(matches!(error, ConnectError::Unreachable { .. }));
    let text = error.to_string();
    assert!(
        text.starts_with("can't reach the API server at https://") && text.contains("certificate"),
        "{text}"
    );

    let mut unusable = args(rig.plane.kubeconfig(ADMIN));
    unusable.context = Some("nowhere".to_owned());
    let missing = args(rig.plane.dir().join("missing"));
    let garbage = rig.plane.dir().join("garbage");
    std::fs::write(&garbage, "{").unwrap();
    for args in [unusable, missing, args(garbage)] {
        let error = try_source(&args).await.map(|_| ()).unwrap_err();
        let file = args.kubeconfig.unwrap();
        assert!(matches!(error, ConnectError::Configuration(_)));
        let text = error.to_string();
        let head = format!("the kubeconfig {} can't be used: ", file.display());
        assert!(text.starts_with(&head), "{text}");
        assert!(!text.contains('\n'), "{text}");
    }
}

/// The token file is replaced while the source runs. The next request brings the new one.
#[tokio::test]
async fn tokens_are_replaced() {
    let Some(rig) = Rig::new("tokens").await else {
        return;
    };
    rig.post(
        "/api/v1/namespaces/tokens/serviceaccounts",
        r#"{"metadata":{"name":"isobath"}}"#.to_owned(),
    )
    .await;
    let user = "system:serviceaccount:tokens:isobath";
    rig.plane.grant_in("tokens", user, &rules(&namespaced()));
    let token = || {
        rig.plane.kubectl(
            ADMIN,
            &[
                "-n",
                "tokens",
                "create",
                "token",
                "isobath",
                "--duration=10m",
            ],
            "",
        )
    };
    let (first, second) = (token(), token());
    assert_ne!(first, second);
    let file = rig.plane.dir().join("token");
    std::fs::write(&file, &first).unwrap();
    let proxy = proxy(&rig.plane, None).await;
    let mut args = args(
        rig.plane
            .kubeconfig_with_token_file("tokens", proxy.address(), &file),
    );
    args.watch_namespaces = vec!["tokens".to_owned()];
    let mut run = Run::start(source(&args).await);
    run.until_listed().await;
    let seen_with = |token: &str| {
        let header = format!("Bearer {}", token.trim());
        let recorded = proxy.recorded();
        recorded
            .iter()
            .filter(|seen| seen.authorization.as_ref() == Some(&header))
            .count()
    };
    // One question of discovery, four lists.
    assert_eq!((seen_with(&first) >= 5, seen_with(&second)), (true, 0));

    std::fs::write(&file, &second).unwrap();
    run.until_seen("the second token", || seen_with(&second) >= 4)
        .await;

    // While the file can't be read the last token holds.
    std::fs::remove_file(&file).unwrap();
    let before = seen_with(&second);
    run.until_seen("further requests", || seen_with(&second) > before + 4)
        .await;
    let (all, first, second) = (
        proxy.recorded().len(),
        seen_with(&first),
        seen_with(&second),
    );
    assert_eq!(all, first + second);

    // A token that the server does not know ends it.
    std::fs::write(&file, "stale").unwrap();
    let (error, _) = run.end().await;
    assert!(
        error
            .to_string()
            .ends_with("the API server answered 401: Unauthorized"),
        "{error}"
    );
    assert!(!error.to_string().contains("stale"));
}

/// The first question fails: the line names the kind as well.
#[tokio::test]
async fn discovery_fails() {
    let Some(rig) = Rig::new("discovery").await else {
        return;
    };
    rig.proxy.on(
        1,
        |uri| uri.contains("projectcontour.io"),
        status(503, "not yet"),
    );
    let error = try_source(&rig.args()).await.map(|_| ()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "list-watch of TLSCertificateDelegation: the API server answered 503: not yet"
    );
}

/// Waits until the authorizer has learnt of the rules.
async fn granted_by_now(plane: &ControlPlane, user: &str, namespace: Option<&str>, kinds: &[Kind]) {
    let client = plane.client(user).await;
    let within = namespace.map_or_else(String::new, |name| format!("namespaces/{name}/"));
    for kind in kinds {
        let root = if kind.group().is_empty() {
            "api"
        } else {
            "apis"
        };
        let path = format!("/{root}/{}/{within}{}", kind.api_version(), kind.plural());
        let mut answer = Ok(String::new());
        for _ in 0..1200 {
            let request = http::Request::get(&path).body(Vec::new()).unwrap();
            answer = client.request_text(request).await;
            if answer.is_ok() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        answer.unwrap();
    }
}
