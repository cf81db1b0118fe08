//! A hostile xDS client: messages as they come off the wire, against a stream that has something to send.
#![no_main]

mod core;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use isobath::objects::{Event, Kind, decode};
use isobath::xds::message::Protocol;
use isobath::xds::stream::{Stream, Timing};
use isobath::xds::{Response, Snapshot, Variant};
use isobath::xds::{delta::Delta, sotw::Sotw};
use libfuzzer_sys::fuzz_target;
use prost::Message;

/// Two snapshots that differ in everything.
fn snapshots() -> &'static [Arc<Snapshot>; 2] {
    static SNAPSHOTS: OnceLock<[Arc<Snapshot>; 2]> = OnceLock::new();
    SNAPSHOTS.get_or_init(|| {
        let mut builder = core::builder();
        builder.build();
        let empty = Arc::new(builder.snapshot().clone());
        for (kind, json) in [
            (
                Kind::Service,
                r#"{"metadata":{"name":"web","namespace":"n"},"spec":{"ports":[{"port":80}]}}"#,
            ),
            (
                Kind::Ingress,
                r#"{"metadata":{"name":"web","namespace":"n"},"spec":{"defaultBackend":{"service":{"name":"web","port":{"number":80}}}}}"#,
            ),
        ] {
            builder.apply(Event::Apply(decode(kind, json).unwrap()));
        }
        builder.build();
        [empty, Arc::new(builder.snapshot().clone())]
    })
}

/// Everything that there is to send; a stream that never comes to rest would hold the server.
fn drain(stream: &mut Stream, now: Instant) -> Option<Response> {
    let mut last = None;
    for _ in 0..10_000 {
        match stream.poll(now) {
            Some(response) => last = Some(response),
            None => return last,
        }
    }
    panic!("the stream never rests");
}

fn run<P: Protocol>(variant: Variant, data: &[u8]) {
    let mut now = Instant::now();
    let [first, second] = snapshots();
    let mut stream = Stream::new(variant, Timing::default(), first.clone(), now);
    let mut is_second = false;
    let mut rest = data;
    while let Some((&head, tail)) = rest.split_first() {
        // The head is the length of a message, or a step of time or of the world.
        let (message, next) = tail.split_at(usize::from(head >> 2).min(tail.len()));
        rest = next;
        match head & 3 {
            0 => {
                now += Duration::from_millis(500);
                is_second = !is_second;
                stream.publish(if is_second { second } else { first }.clone(), now);
            }
            1 => now += Duration::from_secs(2),
            _ => {
                if let Ok(request) = P::Request::decode(message)
                    && stream.request(P::parse(request), now).is_err()
                {
                    return;
                }
            }
        }
        if let Some(response) = drain(&mut stream, now) {
            let _ = P::frame(&response, "fuzz").encode_to_vec();
        }
        let _ = (stream.take_events(), stream.report(), stream.deadline(now));
    }
}

fuzz_target!(|data: &[u8]| {
    match data.split_first() {
        Some((0, rest)) => run::<Delta>(Variant::Delta, rest),
        Some((_, rest)) => run::<Sotw>(Variant::Sotw, rest),
        None => {}
    }
});
