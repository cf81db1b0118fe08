//! Asks one data plane what a row asks.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Result;
use bytes::Bytes;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::answers::Seen;
use crate::rig::Rig;
use crate::row::{Question, Request};
use crate::support::client::{self, Connection, TLS12, Tls, Version};

/// Who asks for one row.
pub(crate) struct Asker<'a> {
    /// The back ends, and what clients show.
    pub(crate) rig: &'a Rig,
    /// The row, whose host is `ROW.test`.
    pub(crate) row: &'a str,
    /// Where HTTP is served.
    pub(crate) http: SocketAddr,
    /// Where HTTPS is served.
    pub(crate) https: SocketAddr,
}

impl Asker<'_> {
    /// All answers to a question. `None`: it is not one about traffic.
    pub(crate) async fn answers(&self, question: &Question) -> Option<Vec<Seen>> {
        let mut all = Vec::new();
        match question {
            Question::Http(request, times) => {
                for _ in 0..*times {
                    all.push(self.request(request).await);
                }
            }
            Question::Tcp(text, times) => {
                for _ in 0..*times {
                    all.push(self.tcp(text).await);
                }
            }
            Question::Copies(backend) => {
                let host = format!("{}.test", self.row);
                let copies = self.rig.shared.requests(backend, &host);
                all.push(Seen::word(&copies.to_string()));
            }
            Question::Status(..) | Question::Extension(_) | Question::Envoy(..) => return None,
        }
        Some(all)
    }

    fn tls(&self, request: &Request) -> Tls {
        let host = request.host.clone();
        let host = host.unwrap_or_else(|| format!("{}.test", self.row));
        let host = host.split(':').next().unwrap_or("").trim_end_matches('.');
        let mut tls = match request.sni.as_deref() {
            Some("none") => Tls::no_sni(),
            Some(name) => Tls::sni(name),
            None => Tls::sni(&host.to_lowercase()),
        };
        let certificate = request.certificate.as_deref();
        tls.identity = certificate.map(|name| self.rig.clients[name].clone());
        match request.version.as_deref() {
            Some("TLS1.2") => tls.versions = TLS12,
            Some(_) => tls.versions = client::TLS13,
            None => {}
        }
        tls
    }

    async fn request(&self, request: &Request) -> Seen {
        let start = Instant::now();
        match self.try_request(request).await {
            Ok(mut seen) => {
                let seconds = start.elapsed().as_secs_f64();
                seen.values.insert("secs".to_owned(), seconds.to_string());
                seen
            }
            Err(why) => Seen::error(format!("{why:#}")),
        }
    }

    async fn try_request(&self, request: &Request) -> Result<Seen> {
        let version = if request.h2 { Version::H2 } else { Version::H1 };
        let tls = request.https.then(|| self.tls(request));
        let address = match request.https {
            true => self.https,
            false => self.http,
        };
        let mut connection = Connection::open(address, version, tls.as_ref()).await?;
        let host = format!("{}.test", self.row);
        let host = request.host.as_deref().unwrap_or(&host);
        let tokens: Vec<(String, String)> = request
            .headers
            .iter()
            .map(|(name, value)| match &**name {
                "token" => ("authorization".to_owned(), self.token(value)),
                _ => (name.clone(), value.clone()),
            })
            .collect();
        let headers: Vec<(&str, &str)> = tokens
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        let body = Bytes::from(vec![b'x'; request.body]);
        let method = request.method.parse()?;
        let answer = connection
            .send_body(method, host, &request.path, &headers, body)
            .await?;
        let mut seen = Seen::word(&answer.status.to_string());
        let mut put = |key: &str, value: &str| {
            let held = seen.values.entry(key.to_owned()).or_default();
            if !held.is_empty() {
                held.push_str(", ");
            }
            held.push_str(value);
        };
        for (name, value) in &answer.headers {
            put(
                &format!("r:{name}"),
                &String::from_utf8_lossy(value.as_bytes()),
            );
        }
        put("loc", answer.header("location"));
        put("body", &answer.text());
        put("hv", if request.h2 { "2" } else { "1" });
        put("tlsver", connection.tls_version().unwrap_or(""));
        if let Ok(Value::Object(echo)) = serde_json::from_slice(&answer.body) {
            for (key, value) in echo {
                match value {
                    Value::Object(headers) => {
                        for (name, value) in headers {
                            put(&format!("q:{name}"), value.as_str().unwrap());
                        }
                    }
                    Value::Null => {}
                    Value::String(text) => put(&key, &text),
                    other => put(&key, &other.to_string()),
                }
            }
        }
        seen.backend = answer.backend().to_owned();
        Ok(seen)
    }

    /// `KEY NAME=VALUE …`
    fn token(&self, text: &str) -> String {
        let (key, claims) = text.split_once(' ').unwrap_or((text, ""));
        let claims = claims.split_whitespace();
        let claims = claims.filter_map(|claim| claim.split_once('='));
        let mut claims: BTreeMap<&str, Value> =
            claims.map(|(name, value)| (name, value.into())).collect();
        claims.insert("exp", 4_000_000_000_u64.into());
        let claims = serde_json::to_value(claims).unwrap();
        format!("Bearer {}", self.rig.issuers[key].token(&claims))
    }

    async fn tcp(&self, text: &str) -> Seen {
        match self.try_tcp(text).await {
            Ok(answer) if !answer.is_empty() => {
                let mut seen = Seen::word("TCP");
                answer
                    .split(' ')
                    .next()
                    .unwrap()
                    .clone_into(&mut seen.backend);
                seen.values.insert("body".to_owned(), answer);
                seen
            }
            Ok(_) => Seen::error("closed without an answer".to_owned()),
            Err(why) => Seen::error(format!("{why:#}")),
        }
    }

    async fn try_tcp(&self, text: &str) -> Result<String> {
        /// Nobody who echoes takes as long.
        const LIMIT: Duration = Duration::from_secs(10);
        let tls = self.tls(&Request::default());
        let mut stream = tls.connect(self.https, Version::H1).await?;
        stream.write_all(text.as_bytes()).await?;
        // TLS keeps what the socket does not take at once, and reading does not send it.
        stream.flush().await?;
        let mut bytes = [0; 256];
        let length = tokio::time::timeout(LIMIT, stream.read(&mut bytes)).await??;
        Ok(String::from_utf8_lossy(&bytes[..length]).into_owned())
    }
}
