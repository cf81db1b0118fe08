//! A stub of the Kubernetes API server on the loopback interface: lists in pages, watches with streaming lists and
//! bookmarks, 410, Leases, status writes and Events. It holds finished bytes, so that what is measured is its client.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::objects::{Kind, Object};

/// Events that a watch may resume from; older versions are gone.
const LOG: usize = 10_000;
/// Initial events are written in chunks of about this size, as a server with a buffer does.
const CHUNK: usize = 64 << 10;

type Body = StreamBody<BoxStream<'static, Result<Frame<Bytes>, Infallible>>>;

/// A running stub. It ends when it is dropped.
pub struct Stub {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

struct State {
    version: u64,
    streaming: bool,
    collections: BTreeMap<&'static str, Collection>,
    /// Leases, Events and what is said of kinds, by path.
    others: BTreeMap<String, Value>,
    /// How often a status was written.
    statuses: usize,
}

struct Collection {
    kind: Kind,
    objects: BTreeMap<String, Bytes>,
    log: VecDeque<(u64, Bytes)>,
    watchers: Vec<mpsc::UnboundedSender<Bytes>>,
    /// All objects as ADDED events, made when first asked for.
    initial: Option<Arc<[Bytes]>>,
}

impl Stub {
    /// Starts a server that holds these objects. Without `streaming` it answers streaming lists as servers before 1.32.
    pub async fn start(objects: impl Iterator<Item = Object>, streaming: bool) -> Self {
        let mut state = State {
            version: 1000,
            streaming,
            collections: Kind::ALL
                .into_iter()
                .map(|kind| (kind.path(), Collection::new(kind)))
                .collect(),
            others: BTreeMap::new(),
            statuses: 0,
        };
        for object in objects {
            let (_, bytes) = state.versioned(object.json);
            let collection = state.collections.get_mut(object.kind.path()).unwrap();
            collection.objects.insert(object.key, bytes);
        }
        for collection in state.collections.values_mut() {
            collection.initial();
        }
        let state = Arc::new(Mutex::new(state));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = state.clone();
        let task = tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let state = shared.clone();
                let _ = connection.set_nodelay(true);
                tokio::spawn(async move {
                    let service =
                        hyper::service::service_fn(move |request| answer(request, state.clone()));
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(connection), service)
                        .await;
                });
            }
        });
        Self {
            address,
            state,
            task,
        }
    }

    /// Writes an object: its watchers are told. Returns the moment before they were.
    pub fn apply(&self, object: Object) -> Instant {
        self.apply_all(vec![object])
    }

    /// Writes objects at once.
    pub fn apply_all(&self, objects: Vec<Object>) -> Instant {
        let mut state = self.state.lock().unwrap();
        let encoded: Vec<_> = objects
            .into_iter()
            .map(|object| {
                let (version, bytes) = state.versioned(object.json);
                let line = line("MODIFIED", &bytes);
                (object.kind, object.key, version, bytes, line)
            })
            .collect();
        let stamp = Instant::now();
        for (kind, key, version, bytes, line) in encoded {
            let collection = state.collections.get_mut(kind.path()).unwrap();
            collection
                .watchers
                .retain(|watcher| watcher.send(line.clone()).is_ok());
            collection.objects.insert(key, bytes);
            collection.initial = None;
            collection.log.push_back((version, line));
            if collection.log.len() > LOG {
                collection.log.pop_front();
            }
        }
        stamp
    }

    /// Has it serve kinds of the Gateway API, as a server on which their definitions are installed.
    pub fn install_gateway_api(&self) {
        let group = "/apis/gateway.networking.k8s.io";
        let kinds = ["gatewayclasses", "gateways", "httproutes"];
        let resources = kinds.map(|name| json!({"name": name}));
        let mut state = self.state.lock().unwrap();
        let version = json!({"groupVersion": "gateway.networking.k8s.io/v1", "version": "v1"});
        let versions = json!({"kind": "APIGroup", "versions": [version]});
        state.others.insert(group.to_owned(), versions);
        let resources = json!({"kind": "APIResourceList", "resources": resources});
        state.others.insert(format!("{group}/v1"), resources);
    }

    /// How many statuses were written so far.
    pub fn statuses(&self) -> usize {
        self.state.lock().unwrap().statuses
    }

    /// How many watches are open.
    pub fn watchers(&self) -> usize {
        let state = self.state.lock().unwrap();
        let of = state.collections.values();
        of.map(|collection| {
            collection
                .watchers
                .iter()
                .filter(|w| !w.is_closed())
                .count()
        })
        .sum()
    }

    /// A kubeconfig for this server.
    pub fn kubeconfig(&self) -> String {
        format!(
            "apiVersion: v1\nkind: Config\nclusters: [{{name: stub, cluster: {{server: 'http://{}'}}}}]\n\
             contexts: [{{name: stub, context: {{cluster: stub, user: stub, namespace: isobath}}}}]\n\
             users: [{{name: stub, user: {{}}}}]\ncurrent-context: stub\n",
            self.address
        )
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl State {
    /// Kind and version of the API come first, as the API server writes them.
    fn versioned(&mut self, mut json: Value) -> (u64, Bytes) {
        self.version += 1;
        json["metadata"]["resourceVersion"] = self.version.to_string().into();
        let mut head = Map::new();
        if let Some(fields) = json.as_object_mut() {
            for name in ["kind", "apiVersion"] {
                head.extend(fields.remove_entry(name));
            }
        }
        let (kind, version) = (&head["kind"], &head["apiVersion"]);
        let rest = json.to_string();
        let text = format!(r#"{{"kind":{kind},"apiVersion":{version},{}"#, &rest[1..]);
        (self.version, text.into())
    }

    /// A write to something that is not watched, or to the status of something that is.
    fn write(&mut self, method: &Method, path: &str, body: &[u8]) -> (u16, Value) {
        let Ok(sent) = serde_json::from_slice::<Value>(body) else {
            return (400, status(400, "BadRequest"));
        };
        if let Some(target) = path.strip_suffix("/status") {
            return self.write_status(target, &sent);
        }
        let name = sent["metadata"]["name"]
            .as_str()
            .unwrap_or("generated")
            .to_owned();
        let path = match *method {
            Method::POST => format!("{path}/{name}"),
            _ => path.to_owned(),
        };
        let held = self.others.get(&path);
        let code = match *method {
            Method::POST if held.is_some() => return (409, status(409, "AlreadyExists")),
            Method::POST => 201,
            _ if held.is_none() => return (404, status(404, "NotFound")),
            Method::PUT
                if held.map(|held| &held["metadata"]["resourceVersion"])
                    != Some(&sent["metadata"]["resourceVersion"]) =>
            {
                return (409, status(409, "Conflict"));
            }
            _ => 200,
        };
        let mut object = sent;
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.others.insert(path, object.clone());
        (code, object)
    }

    /// A patch of `…/namespaces/NAMESPACE/PLURAL/NAME`.
    fn write_status(&mut self, target: &str, patch: &Value) -> (u16, Value) {
        let Some((path, key)) = address(target) else {
            return (404, status(404, "NotFound"));
        };
        let held = self
            .collections
            .get(path.as_str())
            .and_then(|collection| collection.objects.get(&key));
        let Some(mut object) = held.and_then(|held| serde_json::from_slice::<Value>(held).ok())
        else {
            return (404, status(404, "NotFound"));
        };
        object["status"] = patch["status"].clone();
        self.statuses += 1;
        let (version, bytes) = self.versioned(object.clone());
        let line = line("MODIFIED", &bytes);
        if let Some(collection) = self.collections.get_mut(path.as_str()) {
            collection
                .watchers
                .retain(|watcher| watcher.send(line.clone()).is_ok());
            collection.objects.insert(key, bytes);
            collection.initial = None;
            collection.log.push_back((version, line));
        }
        (200, object)
    }
}

impl Collection {
    fn new(kind: Kind) -> Self {
        Self {
            kind,
            objects: BTreeMap::new(),
            log: VecDeque::new(),
            watchers: Vec::new(),
            initial: None,
        }
    }

    fn initial(&mut self) -> Arc<[Bytes]> {
        let objects = &self.objects;
        let make = || {
            let mut chunks = Vec::new();
            let mut chunk = BytesMut::new();
            for object in objects.values() {
                chunk.extend_from_slice(&line("ADDED", object));
                if chunk.len() > CHUNK {
                    chunks.push(chunk.split().freeze());
                }
            }
            chunks.push(chunk.freeze());
            chunks.into()
        };
        self.initial.get_or_insert_with(make).clone()
    }

    fn bookmark(&self, version: u64) -> Bytes {
        let object = json!({
            "kind": self.kind.name(), "apiVersion": self.kind.api_version(),
            "metadata": {"resourceVersion": version.to_string(), "annotations": {"k8s.io/initial-events-end": "true"}},
        });
        line("BOOKMARK", object.to_string().as_bytes())
    }

    fn watch(
        &mut self,
        query: &BTreeMap<String, String>,
        version: u64,
    ) -> BoxStream<'static, Bytes> {
        let mut first: Vec<Bytes> = Vec::new();
        if query
            .get("sendInitialEvents")
            .is_some_and(|value| value == "true")
        {
            first.extend(self.initial().iter().cloned());
            first.push(self.bookmark(version));
        } else if let Some(since) = query
            .get("resourceVersion")
            .and_then(|since| since.parse::<u64>().ok())
        {
            let oldest = self.log.front().map_or(u64::MAX, |(version, _)| *version);
            if since + 1 < oldest && self.log.len() >= LOG {
                let gone = status(410, "Expired").to_string();
                return stream::iter([line("ERROR", gone.as_bytes())]).boxed();
            }
            first.extend(
                self.log
                    .iter()
                    .filter(|(of, _)| *of > since)
                    .map(|(_, line)| line.clone()),
            );
        }
        let (sender, receiver) = mpsc::unbounded_channel();
        self.watchers.push(sender);
        let seconds = query
            .get("timeoutSeconds")
            .and_then(|seconds| seconds.parse().ok())
            .unwrap_or(3600);
        let end = tokio::time::sleep(Duration::from_secs(seconds));
        let live = tokio_stream::wrappers::UnboundedReceiverStream::new(receiver).take_until(end);
        stream::iter(first).chain(live).boxed()
    }

    fn page(&self, query: &BTreeMap<String, String>, version: u64) -> Bytes {
        let after = query.get("continue").cloned().unwrap_or_default();
        let limit = query
            .get("limit")
            .and_then(|limit| limit.parse().ok())
            .unwrap_or(usize::MAX);
        let mut page = BytesMut::new();
        let mut items = self.objects.range::<str, _>((
            std::ops::Bound::Excluded(after.as_str()),
            std::ops::Bound::Unbounded,
        ));
        let mut last = "";
        for (index, (key, object)) in items.by_ref().take(limit).enumerate() {
            if index > 0 {
                page.extend_from_slice(b",");
            }
            page.extend_from_slice(object);
            last = key;
        }
        let next = if items.next().is_some() { last } else { "" };
        let metadata = json!({"resourceVersion": version.to_string(), "continue": next});
        let (kind, api_version) = (self.kind.name(), self.kind.api_version());
        let head = format!(
            r#"{{"kind":"{kind}List","apiVersion":"{api_version}","metadata":{metadata},"items":["#
        );
        [head.as_bytes(), &page, b"]}"].concat().into()
    }
}

async fn answer(
    request: Request<Incoming>,
    state: Arc<Mutex<State>>,
) -> Result<Response<Body>, Infallible> {
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    let query: BTreeMap<String, String> = head
        .uri
        .query()
        .unwrap_or_default()
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.replace("%2F", "/")))
        .collect();
    if head.method != Method::GET {
        let Ok(body) = body.collect().await else {
            return Ok(whole(400, Bytes::new()));
        };
        let (code, answer) = state
            .lock()
            .unwrap()
            .write(&head.method, path, &body.to_bytes());
        return Ok(whole(code, answer.to_string().into()));
    }
    let mut state = state.lock().unwrap();
    let (version, streaming) = (state.version, state.streaming);
    if let Some(collection) = state.collections.get_mut(path) {
        let watch = query
            .get("watch")
            .is_some_and(|value| matches!(&**value, "true" | "1"));
        if !watch {
            return Ok(whole(200, collection.page(&query, version)));
        }
        if query.contains_key("sendInitialEvents") && !streaming {
            return Ok(whole(422, status(422, "Invalid").to_string().into()));
        }
        let lines = collection.watch(&query, version);
        return Ok(respond(200, lines));
    }
    let held = state.others.get(path).cloned().or_else(|| {
        let (path, key) = address(path)?;
        serde_json::from_slice(state.collections.get(path.as_str())?.objects.get(&key)?).ok()
    });
    Ok(match held {
        Some(object) => whole(200, object.to_string().into()),
        None => whole(404, status(404, "NotFound").to_string().into()),
    })
}

/// The collection and the key of `…/namespaces/NAMESPACE/PLURAL/NAME`, or of `…/PLURAL/NAME`.
fn address(path: &str) -> Option<(String, String)> {
    let Some((root, rest)) = path.split_once("/namespaces/") else {
        let (root, name) = path.rsplit_once('/')?;
        return Some((root.to_owned(), name.to_owned()));
    };
    let mut parts = rest.split('/');
    let (namespace, plural, name) = (parts.next()?, parts.next()?, parts.next()?);
    Some((format!("{root}/{plural}"), format!("{namespace}/{name}")))
}

fn line(event: &str, object: &[u8]) -> Bytes {
    [
        br#"{"type":""#,
        event.as_bytes(),
        br#"","object":"#,
        object,
        b"}\n",
    ]
    .concat()
    .into()
}

fn status(code: u16, reason: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": reason})
}

fn whole(code: u16, body: Bytes) -> Response<Body> {
    respond(code, stream::iter([body]).boxed())
}

fn respond(code: u16, body: BoxStream<'static, Bytes>) -> Response<Body> {
    let frames = body.map(|bytes| Ok(Frame::data(bytes))).boxed();
    let mut response = Response::new(StreamBody::new(frames));
    *response.status_mut() = http::StatusCode::from_u16(code).unwrap();
    response.headers_mut().insert(
        "content-type",
        http::HeaderValue::from_static("application/json"),
    );
    response
}
