//! Lines that come in bulk are decoded elsewhere, several parts at one time: what they mean, and in which order, stays.

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::{Request, Response};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame as BodyFrame;
use kube::client::Body;
use tokio::sync::mpsc;
use tower::BoxError;

use crate::objects::{Event, Kind};
use crate::sources::kubernetes::frame::Frame;
use crate::sources::kubernetes::list_watch::{Input, ListWatch};
use crate::sources::kubernetes::transport::BULK;

use super::time::{all, source};

/// A line about one of seven Services, with an annotation that makes it as long as a real one.
fn line(event: &str, version: usize) -> String {
    let name = format!("web-{}", version % 7);
    let padding = "x".repeat(version % 5 * 1000);
    format!(
        r#"{{"type":"{event}","object":{{"kind":"Service","apiVersion":"v1","metadata":{{"name":"{name}","namespace":"shop","uid":"{version}","resourceVersion":"{version}","annotations":{{"padding":"{padding}"}}}},"spec":{{"ports":[{{"port":80,"protocol":"TCP"}}]}}}}}}"#
    ) + "\n"
}

/// A streaming list of many lines, and a watch that goes on in it with many more.
fn body() -> String {
    let listed = (1..500).map(|version| line("ADDED", version));
    let end = r#"{"type":"BOOKMARK","object":{"kind":"Service","metadata":{"resourceVersion":"500","annotations":{"k8s.io/initial-events-end":"true"}}}}"#;
    let watched = (501..1500).map(|version| match version % 3 {
        0 => line("DELETED", version),
        _ => line("MODIFIED", version),
    });
    listed.chain([format!("{end}\n")]).chain(watched).collect()
}

/// What the lines mean one after the other.
fn expected(body: &str) -> Vec<Event> {
    let mut machine = ListWatch::new(Kind::Service, None);
    let mut events = Vec::new();
    for frame in Frame::read(Kind::Service, body.as_bytes()) {
        let input = Input::Line(frame.unwrap());
        machine.handle(input, &mut events).unwrap();
    }
    events
}

/// What comes of the body in such chunks; the next request is refused, which is the end.
async fn check(sizes: impl Iterator<Item = usize>) {
    let body = body();
    let mut rest = Bytes::from(body.clone());
    let mut chunks = Vec::new();
    for size in sizes {
        chunks.push(rest.split_to(size.min(rest.len())));
        if rest.is_empty() {
            break;
        }
    }
    let chunks = std::sync::Mutex::new(Some(chunks));
    let service = tower::service_fn(move |_: Request<Body>| {
        let chunks = chunks.lock().unwrap().take();
        async move {
            let Some(chunks) = chunks else {
                let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
                return Err(BoxError::from(refused));
            };
            let frames =
                stream::iter(chunks).map(|chunk| Ok::<_, BoxError>(BodyFrame::data(chunk)));
            Ok(Response::new(StreamBody::new(frames).boxed_unsync()))
        }
    });
    let source = source(kube::Client::new(service, "default"));
    let (sender, receiver) = mpsc::channel(1);
    let (_, events) = futures::future::join(source.run(sender), all(receiver)).await;
    assert_eq!(events.len(), 1000);
    assert!(events == expected(&body));
}

#[tokio::test(start_paused = true)]
async fn in_one_chunk_in_small_ones_and_in_both() {
    check([usize::MAX].into_iter()).await;
    check(std::iter::repeat(3000)).await;
    check([1, 2 * BULK, 3, 70].into_iter().cycle()).await;
}
