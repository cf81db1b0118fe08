//! Lists in pages or streams, whole or not at all, and answers that are not what they should be.

use std::sync::Arc;

use bytes::Bytes;
use isobath::objects::Kind;

use crate::control_plane::ControlPlane;
use crate::fault_proxy::{Cut, Fault};
use crate::rig::{Rig, status};

/// 1,201 objects are three pages. All of them come at once or none does.
#[tokio::test]
async fn pages() {
    let Some(rig) = Rig::new("pages").await else {
        return;
    };
    rig.create_ingresses(1201).await;
    rig.forbid_streaming_lists();
    let pages = rig.requests("ingresses");
    let pages = move |uri: &str| pages(uri) && uri.contains("limit=500");
    let whole = |mirror: &crate::rig::Mirror| mirror.lists(Kind::Ingress) == 1;

    let mut run = rig.run().await;
    run.until("1,201 objects", whole).await;
    assert_eq!(run.mirror.names(Kind::Ingress).len(), 1201);
    assert_eq!(rig.proxy.count(&pages), 3);
    drop(run);

    // The server is gone after the second page: nothing of the list is ever seen.
    let nth = |n: usize| {
        let seen = std::sync::atomic::AtomicUsize::new(0);
        let pages = rig.requests("ingresses");
        move |uri: &str| {
            pages(uri)
                && uri.contains("limit=500")
                && seen.fetch_add(1, std::sync::atomic::Ordering::SeqCst) >= n - 1
        }
    };
    rig.proxy.on(2, nth(3), Fault::Truncate(1000));
    let (error, mirror) = rig.run().await.end().await;
    let text = error.to_string();
    assert!(
        text.starts_with("list-watch of Ingress in namespace pages: the API server at https://")
            && text.contains(" can't be reached: "),
        "{text}"
    );
    assert_eq!(mirror.lists(Kind::Ingress), 0);
    assert!(mirror.names(Kind::Ingress).is_empty());

    // A page that breaks once is asked for again; the others are not.
    let before = rig.proxy.count(&pages);
    rig.proxy.on(1, nth(2), Fault::Truncate(1000));
    let mut run = rig.run().await;
    run.until("1,201 objects", whole).await;
    assert_eq!(run.mirror.names(Kind::Ingress).len(), 1201);
    assert_eq!(rig.proxy.count(&pages) - before, 4);
    drop(run);

    // The continue token expires: once more, without pages.
    rig.proxy.on(
        1,
        nth(3),
        status(410, "The provided continue parameter is too old"),
    );
    let mut run = rig.run().await;
    run.until("1,201 objects", whole).await;
    assert_eq!(run.mirror.names(Kind::Ingress).len(), 1201);
}

/// A streaming list that is cut is not half a list: pages come instead.
#[tokio::test]
async fn a_streaming_list_that_is_cut() {
    let Some(rig) = Rig::new("cut-list").await else {
        return;
    };
    rig.create_ingresses(50).await;
    let ingresses = rig.requests("ingresses");
    let streams = move |uri: &str| ingresses(uri) && uri.contains("sendInitialEvents");
    let once = streams.clone();
    rig.proxy.on(1, once, Fault::Truncate(5000));
    let mut run = rig.run().await;
    run.until_listed().await;
    assert_eq!(run.mirror.names(Kind::Ingress).len(), 50);
    assert_eq!(rig.proxy.count(streams), 1);
    assert_eq!(rig.proxy.count(|uri| uri.contains("limit=500")), 1);
}

/// Byte by byte it is the same.
#[tokio::test]
async fn one_byte_chunks() {
    let Some(rig) = Rig::new("one-byte").await else {
        return;
    };
    rig.create_ingresses(20).await;
    rig.proxy.on(usize::MAX, |_| true, Fault::OneByteChunks);
    let mut run = rig.run().await;
    run.until_listed().await;
    assert_eq!(run.mirror.names(Kind::Ingress).len(), 20);
    rig.create_service("after").await;
    run.until("after", |mirror| mirror.names(Kind::Service) == ["after"])
        .await;
}

/// Answers that are not what was asked for end the source, and the line names the kind.
#[tokio::test]
async fn answers_that_are_none() {
    let Some(rig) = Rig::new("nonsense").await else {
        return;
    };
    rig.create_service("a").await;
    let rewrite = |from: &'static str, to: &'static str| {
        Fault::RewriteBody(Arc::new(move |body| {
            assert!(body.contains(from), "{body}");
            body.replacen(from, to, 1)
        }))
    };
    let answer = |text: &'static str| Fault::Answer(200, Vec::new(), Bytes::from(text));
    for (at, fault, why) in [
        ("limit=", Fault::EndAfter(300), "a list ends too early"),
        (
            "limit=",
            answer("<html>welcome</html>"),
            "a list is not JSON",
        ),
        ("limit=", answer(""), "a list ends too early"),
        (
            "limit=",
            rewrite("\"ServiceList\"", "\"PodList\""),
            "a list that is not a ServiceList",
        ),
        (
            "limit=",
            rewrite("\"resourceVersion\"", "\"resourceversion\""),
            "a list without resourceVersion",
        ),
        (
            "resourceVersion=",
            answer("<html>welcome</html>\n"),
            "a watch line is not JSON",
        ),
        (
            "resourceVersion=",
            answer(
                "{\"type\":\"ADDED\",\"object\":{\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"1\"}}}\n",
            ),
            "an event about an object that is not a Service",
        ),
        (
            "resourceVersion=",
            answer(
                "{\"type\":\"ADDED\",\"object\":{\"kind\":\"Service\",\"metadata\":{\"name\":\"a\"}}}\n",
            ),
            "an event without resourceVersion",
        ),
    ] {
        rig.proxy.heal();
        rig.forbid_streaming_lists();
        let services = rig.requests("services");
        rig.proxy
            .on(1, move |uri| services(uri) && uri.contains(at), fault);
        let (error, mirror) = rig.run().await.end().await;
        let text = error.to_string();
        let head = "list-watch of Service in namespace nonsense: the API server's answer can't be decoded: ";
        assert!(text.starts_with(&format!("{head}{why}")), "{text}");
        assert_eq!(
            mirror.lists(Kind::Service),
            usize::from(at != "limit="),
            "{text}"
        );
    }
}

/// Answers that end the source, whatever it was asking for.
#[tokio::test]
async fn refusals() {
    let Some(rig) = Rig::new("refusals").await else {
        return;
    };
    for code in [401, 403, 500, 502, 503, 504] {
        for at in ["limit=", "resourceVersion="] {
            rig.proxy.heal();
            rig.forbid_streaming_lists();
            let secrets = rig.requests("secrets");
            rig.proxy.on(
                1,
                move |uri| secrets(uri) && uri.contains(at),
                status(code, "no\\nway"),
            );
            let (error, _) = rig.run().await.end().await;
            assert_eq!(
                error.to_string(),
                format!(
                    "list-watch of Secret in namespace refusals: the API server answered {code}: no way"
                )
            );
        }
    }
}

/// Retry-After is waited for in the process.
#[tokio::test]
async fn too_many_requests() {
    let Some(rig) = Rig::new("too-many").await else {
        return;
    };
    let busy = Fault::Answer(
        429,
        vec![("retry-after", "1".to_owned())],
        Bytes::from_static(b"Too many requests, please try again later.\n"),
    );
    let kinds = rig.requests("endpointslices");
    rig.proxy.on(3, kinds, busy);
    let start = std::time::Instant::now();
    let mut run = rig.run().await;
    run.until_listed().await;
    assert!(start.elapsed().as_secs() >= 3, "{:?}", start.elapsed());
    assert_eq!(rig.proxy.count(rig.requests("endpointslices")), 4);
}

/// What is listed again is never older than what was seen.
#[tokio::test]
async fn a_list_from_the_past() {
    let Some(rig) = Rig::new("past").await else {
        return;
    };
    rig.forbid_streaming_lists();
    let mut run = rig.run().await;
    run.until_listed().await;
    let services = rig.requests("services");
    rig.proxy.on(
        1,
        move |uri| services(uri) && uri.contains("watch=true"),
        status(410, "too old"),
    );
    let services = rig.requests("services");
    rig.proxy.on(
        1,
        move |uri| services(uri) && uri.contains("limit="),
        Fault::RewriteBody(Arc::new(|body| {
            let (before, after) = body.split_once("\"resourceVersion\":\"").unwrap();
            let (_, after) = after.split_once('"').unwrap();
            format!("{before}\"resourceVersion\":\"1\"{after}")
        })),
    );
    rig.proxy.cut(Cut::Close);
    let (error, mirror) = run.end().await;
    let text = error.to_string();
    assert!(
        text.starts_with("list-watch of Service in namespace past: the API server listed resourceVersion 1, older than"),
        "{text}"
    );
    assert_eq!(mirror.lists(Kind::Service), 1);
}

/// A real server without streaming lists, and one whose etcd can't do them.
#[tokio::test]
async fn without_streaming_lists() {
    let Some(plane) = ControlPlane::start_with(&["--feature-gates=WatchList=false"]).await else {
        return;
    };
    let rig = Rig::on(Arc::new(plane), "no-streams").await;
    for unsupported in [
        None,
        Some(status(
            500,
            "the required storage feature RequestWatchProgress is disabled",
        )),
        Some(status(400, "unknown parameter")),
    ] {
        rig.proxy.heal();
        if let Some(unsupported) = unsupported {
            rig.proxy.on(
                usize::MAX,
                |uri| uri.contains("sendInitialEvents"),
                unsupported,
            );
        }
        let before = rig.proxy.count(|uri| uri.contains("limit=500"));
        let mut run = rig.run().await;
        run.until_listed().await;
        assert_eq!(rig.proxy.count(|uri| uri.contains("limit=500")) - before, 4);
    }
}
