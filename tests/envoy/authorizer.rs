//! An authorizer that does what a request's `X-Ask` says, by gRPC and by HTTP, and remembers what it has seen.
//!
//! `allow`; `deny`; `hang` is no answer; `fail` is an error; `forbidden` writes what nobody may; `private` writes that the
//! request is of the table of `victim.test`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Response as HttpResponse;
use axum::serve::Listener;
use envoy_types::pb::envoy::config::core::v3::{HeaderValue, HeaderValueOption};
use envoy_types::pb::envoy::service::auth::v3 as pb;
use envoy_types::pb::envoy::r#type::v3::HttpStatus;
use pb::authorization_server::{Authorization, AuthorizationServer};
use pb::check_response::HttpResponse as Answer;
use tonic::{Request, Response, Status};

/// What it was asked.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// `METHOD HOST PATH`.
    pub line: String,
    pub headers: BTreeMap<String, String>,
    pub body: String,
    pub context: BTreeMap<String, String>,
}

/// A running one.
#[derive(Clone, Default)]
pub struct Authorizer(Arc<Mutex<Vec<Asked>>>);

impl Authorizer {
    /// Speaks gRPC on this listener.
    pub fn grpc(listener: impl Listener<Addr: std::fmt::Debug>) -> Self {
        let own = Self::default();
        let service = AuthorizationServer::new(own.clone());
        let router = Router::new().fallback_service(service);
        tokio::spawn(async move { axum::serve(listener, router).await });
        own
    }

    /// Speaks HTTP on this listener.
    pub fn http(listener: impl Listener<Addr: std::fmt::Debug>) -> Self {
        let own = Self::default();
        let asked = own.clone();
        let app = Router::new().fallback(move |request: axum::extract::Request| {
            let asked = asked.clone();
            async move { asked.answer(request).await }
        });
        tokio::spawn(async move { axum::serve(listener, app).await });
        own
    }

    pub async fn tcp() -> (tokio::net::TcpListener, std::net::SocketAddr) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    pub fn unix(path: &Path) -> tokio::net::UnixListener {
        tokio::net::UnixListener::bind(path).unwrap()
    }

    /// The last question.
    pub fn last(&self) -> Asked {
        self.0.lock().unwrap().last().cloned().unwrap_or_default()
    }

    /// How many questions there were.
    pub fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    async fn answer(&self, request: axum::extract::Request) -> HttpResponse<Body> {
        let (parts, body) = request.into_parts();
        let headers: BTreeMap<String, String> = parts
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap_or("?").to_owned()))
            .collect();
        let header = |name: &str| headers.get(name).cloned().unwrap_or_default();
        let body = to_bytes(body, 1 << 20).await.unwrap();
        self.0.lock().unwrap().push(Asked {
            line: format!("{} {} {}", parts.method, header("host"), parts.uri),
            headers: headers.clone(),
            body: String::from_utf8_lossy(&body).into_owned(),
            context: BTreeMap::new(),
        });
        let status = match header("x-ask").as_str() {
            "allow" => 200,
            "hang" => std::future::pending().await,
            "fail" => 500,
            _ => 401,
        };
        HttpResponse::builder()
            .status(status)
            .header("x-user", "alice")
            .header("x-client", "told")
            .header("www-authenticate", "Basic")
            .body(Body::from("no\n"))
            .unwrap()
    }
}

#[tonic::async_trait]
impl Authorization for Authorizer {
    async fn check(
        &self,
        request: Request<pb::CheckRequest>,
    ) -> Result<Response<pb::CheckResponse>, Status> {
        let attributes = request.into_inner().attributes.unwrap();
        let http = attributes.request.unwrap().http.unwrap();
        let ask = http.headers.get("x-ask").cloned().unwrap_or_default();
        let bytes = String::from_utf8_lossy(&http.raw_body).into_owned();
        self.0.lock().unwrap().push(Asked {
            line: format!("{} {} {}", http.method, http.host, http.path),
            headers: http.headers.into_iter().collect(),
            body: if http.body.is_empty() {
                bytes
            } else {
                http.body
            },
            context: attributes.context_extensions.into_iter().collect(),
        });
        let (code, answer) = match ask.as_str() {
            "allow" => (tonic::Code::Ok, allowed(&[("x-user", "alice")])),
            "forbidden" => (tonic::Code::Ok, allowed(&[("a b", "alice")])),
            "private" => {
                let names = ["x-isobath-scope", "x-isobath-server-name", "X-Isobath-Page"];
                let private = names.map(|name| (name, "victim.test"));
                (tonic::Code::Ok, allowed(&private))
            }
            "fail" => return Err(Status::internal("asked to")),
            "hang" => std::future::pending().await,
            _ => (tonic::Code::PermissionDenied, denied()),
        };
        let status = envoy_types::pb::google::rpc::Status {
            code: code.into(),
            ..Default::default()
        };
        Ok(Response::new(pb::CheckResponse {
            status: Some(status),
            http_response: Some(answer),
            ..Default::default()
        }))
    }
}

fn header(name: &str, value: &str) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(HeaderValue {
            key: name.to_owned(),
            value: value.to_owned(),
            ..Default::default()
        }),
        append_action: 2,
        ..Default::default()
    }
}

fn allowed(said: &[(&str, &str)]) -> Answer {
    let said = said.iter();
    Answer::OkResponse(pb::OkHttpResponse {
        headers: said.map(|(name, value)| header(name, value)).collect(),
        headers_to_remove: vec!["x-gone".to_owned()],
        response_headers_to_add: vec![header("x-client", "told")],
        ..Default::default()
    })
}

fn denied() -> Answer {
    Answer::DeniedResponse(pb::DeniedHttpResponse {
        status: Some(HttpStatus { code: 401 }),
        headers: vec![header("www-authenticate", "Basic")],
        body: "no\n".to_owned(),
    })
}
