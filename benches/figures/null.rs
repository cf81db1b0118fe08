//! The null control plane: watches the same API server, understands nothing of what it says, and answers the n-th line
//! with bytes that were recorded beforehand. What it costs is the limit for everybody who uses these sockets and this
//! gRPC library.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use bytes::Bytes;
use futures::stream::StreamExt as _;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::TokioIo;
use isobath::xds::wire::{DeltaDiscoveryRequest, DiscoveryRequest};
use isobath::xds::{ResourceType, Variant};
use prost::Message as _;
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::client::Arrival;
use crate::raw::{Responses, serve};

/// What it answers.
pub struct Script {
    /// To whom.
    pub variant: Variant,
    /// To the first request of each type, in the order of [`ResourceType::ALL`].
    initial: [Vec<Vec<u8>>; ResourceType::ALL.len()],
    /// To each line, over and over.
    answers: Vec<Vec<(usize, Vec<u8>)>>,
}

impl Script {
    /// From what another control plane said first.
    pub fn new(variant: Variant, initial: &[Arrival]) -> Self {
        let mut script = Self {
            variant,
            initial: Default::default(),
            answers: Vec::new(),
        };
        for arrival in initial {
            script.initial[arrival.resource_type as usize].push(arrival.raw.to_vec());
        }
        script
    }

    /// Adds the answer to the next event.
    pub fn answer(&mut self, arrivals: &[Arrival]) {
        let messages = arrivals
            .iter()
            .map(|arrival| (arrival.resource_type as usize, arrival.raw.to_vec()));
        self.answers.push(messages.collect());
    }

    /// Writes it to a file for the child.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut bytes = Vec::new();
        let mut put = |of: &[u8]| {
            bytes.extend_from_slice(&(of.len() as u64).to_le_bytes());
            bytes.extend_from_slice(of);
        };
        put(&[u8::from(self.variant == Variant::Sotw)]);
        for messages in &self.initial {
            put(&messages.len().to_le_bytes());
            messages.iter().for_each(|message| put(message));
        }
        put(&self.answers.len().to_le_bytes());
        for answer in &self.answers {
            put(&answer.len().to_le_bytes());
            for (of, message) in answer {
                put(&of.to_le_bytes());
                put(message);
            }
        }
        Ok(std::fs::write(path, bytes)?)
    }

    fn read(path: &Path) -> Result<Self> {
        let mut rest = Bytes::from(std::fs::read(path)?);
        let mut next = move || -> Result<Bytes> {
            anyhow::ensure!(rest.len() >= 8, "a script that ends too early");
            let length = u64::from_le_bytes(rest.split_to(8)[..].try_into()?);
            Ok(rest.split_to(usize::try_from(length)?))
        };
        fn number(bytes: &[u8]) -> Result<usize> {
            Ok(usize::from_le_bytes(bytes.try_into()?))
        }
        let variant = if next()?[..] == [1] {
            Variant::Sotw
        } else {
            Variant::Delta
        };
        let mut script = Self::new(variant, &[]);
        for messages in &mut script.initial {
            for _ in 0..number(&next()?)? {
                messages.push(next()?.to_vec());
            }
        }
        for _ in 0..number(&next()?)? {
            let mut answer = Vec::new();
            for _ in 0..number(&next()?)? {
                answer.push((number(&next()?)?, next()?.to_vec()));
            }
            script.answers.push(answer);
        }
        Ok(script)
    }
}

/// Flags of the child.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The Unix socket to serve on
    #[arg(long)]
    socket: PathBuf,
    /// The API server
    #[arg(long)]
    api: SocketAddr,
    /// The path whose lines are answered
    #[arg(long)]
    path: String,
    /// What to answer
    #[arg(long)]
    script: PathBuf,
}

struct Shared {
    variant: Variant,
    initial: [Vec<Bytes>; ResourceType::ALL.len()],
    answers: Vec<Vec<(ResourceType, Bytes)>>,
    events: watch::Receiver<usize>,
}

/// Serves until it is killed.
pub async fn run(args: Args) -> Result<()> {
    let script = Script::read(&args.script)?;
    let (lines, events) = watch::channel(0);
    let shared = Arc::new(Shared {
        variant: script.variant,
        initial: script
            .initial
            .map(|messages| messages.into_iter().map(Bytes::from).collect()),
        answers: script
            .answers
            .into_iter()
            .map(|answer| {
                answer
                    .into_iter()
                    .map(|(of, bytes)| (ResourceType::ALL[of], bytes.into()))
                    .collect()
            })
            .collect(),
        events,
    });
    let _server = serve(&args.socket, move |requests| {
        Session::begin(requests, &shared)
    })?;
    let connection = TcpStream::connect(args.api).await?;
    connection.set_nodelay(true)?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(connection)).await?;
    tokio::spawn(connection);
    let request = http::Request::get(format!("{}?watch=1", args.path))
        .header("host", "stub")
        .body(Empty::<Bytes>::new())?;
    let mut body = sender.send_request(request).await?.into_body();
    while let Some(frame) = body.frame().await {
        let bytes = frame?.into_data().unwrap_or_default();
        let ends = bytes.iter().filter(|byte| **byte == b'\n').count();
        lines.send_modify(|count| *count += ends);
    }
    anyhow::bail!("the watch is over")
}

struct Session {
    requests: tonic::Streaming<Bytes>,
    events: watch::Receiver<usize>,
    shared: Arc<Shared>,
    answered: usize,
    asked: [bool; ResourceType::ALL.len()],
    /// What to send, and whether to wait for its acknowledgement before the next: make before break.
    queue: VecDeque<(ResourceType, Bytes, bool)>,
    awaited: Option<ResourceType>,
}

impl Session {
    fn begin(requests: tonic::Streaming<Bytes>, shared: &Arc<Shared>) -> Responses {
        let mut events = shared.events.clone();
        let answered = *events.borrow_and_update();
        let session = Self {
            answered,
            events,
            requests,
            shared: shared.clone(),
            asked: [false; ResourceType::ALL.len()],
            queue: VecDeque::new(),
            awaited: None,
        };
        futures::stream::try_unfold(session, Self::next).boxed()
    }

    async fn next(mut self) -> Result<Option<(Bytes, Self)>, tonic::Status> {
        loop {
            if self.awaited.is_none()
                && let Some((resource_type, bytes, wait)) = self.queue.pop_front()
            {
                self.awaited = wait.then_some(resource_type);
                return Ok(Some((bytes, self)));
            }
            tokio::select! {
                request = self.requests.message() => match request? {
                    Some(request) => self.take(request)?,
                    None => return Ok(None),
                },
                changed = self.events.changed() => {
                    changed.map_err(|_| tonic::Status::unavailable("the watch is over"))?;
                    let count = *self.events.borrow_and_update();
                    self.enqueue(count);
                }
            }
        }
    }

    fn enqueue(&mut self, count: usize) {
        let answers = &self.shared.answers;
        while self.answered < count && !answers.is_empty() {
            let answer = &answers[self.answered % answers.len()];
            for (index, (resource_type, bytes)) in answer.iter().enumerate() {
                // Clients hold the acknowledgement of a cluster until they have its endpoints.
                let wait = index + 1 < answer.len() && *resource_type != ResourceType::Cluster;
                self.queue.push_back((*resource_type, bytes.clone(), wait));
            }
            self.answered += 1;
        }
    }

    fn take(&mut self, request: Bytes) -> Result<(), tonic::Status> {
        let (type_url, nonce, refusal) = match self.shared.variant {
            Variant::Delta => DeltaDiscoveryRequest::decode(request).map(|request| {
                let nonce = request.response_nonce;
                (request.type_url, nonce, request.error_detail)
            }),
            Variant::Sotw => DiscoveryRequest::decode(request).map(|request| {
                let nonce = request.response_nonce;
                (request.type_url, nonce, request.error_detail)
            }),
        }
        .map_err(|error| tonic::Status::invalid_argument(error.to_string()))?;
        let Some(resource_type) = ResourceType::from_type_url(&type_url) else {
            return Ok(());
        };
        if let Some(error) = refusal {
            return Err(tonic::Status::internal(format!(
                "refused: {}",
                error.message
            )));
        }
        if !nonce.is_empty() && self.awaited == Some(resource_type) {
            self.awaited = None;
        }
        let first = !std::mem::replace(&mut self.asked[resource_type as usize], true);
        if first {
            for bytes in &self.shared.initial[resource_type as usize] {
                self.queue.push_back((resource_type, bytes.clone(), false));
            }
        }
        Ok(())
    }
}
