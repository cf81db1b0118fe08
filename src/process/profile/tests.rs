#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::hint::black_box;
use std::io::Read as _;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::{Body, to_bytes};
use flate2::read::GzDecoder;
use http::Request;
use tower::ServiceExt as _;

use super::*;

async fn get_page(router: &Router, uri: &str) -> (StatusCode, Vec<u8>) {
    let request = Request::get(uri).body(Body::empty()).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, body.to_vec())
}

/// Not inlined: the profile must name it.
#[inline(never)]
fn burn_until(done: &AtomicBool) -> u64 {
    let mut sum = 0_u64;
    while !done.load(Ordering::Relaxed) {
        for i in 0..10_000_u64 {
            sum = black_box(sum.wrapping_mul(31).wrapping_add(i));
        }
    }
    sum
}

/// How many profiles of a second are taken until one names the busy function: a sample is a hundredth of a second of
/// processor time, and a busy machine has little of it to give.
const TRIES: usize = 60;

/// The sampler is one per process, so that this is one test: a profile of a busy process names the busy function in
/// both forms, a second one at the same time is refused, and an abandoned one makes room.
#[tokio::test(flavor = "multi_thread")]
async fn a_profile_names_what_the_process_does() {
    let router: Router = Profiler::default().router();
    let done = Arc::new(AtomicBool::new(false));
    let burner = std::thread::spawn({
        let done = done.clone();
        move || burn_until(&done)
    });

    let abandoned = get_page(&router, "/debug/pprof/profile?seconds=300");
    let abandoned = tokio::time::timeout(Duration::from_millis(50), abandoned);
    assert!(
        abandoned.await.is_err(),
        "still sampling when it was abandoned"
    );

    let mut profile = encode::Profile::default();
    for _ in 0..TRIES {
        let (first, second) =
            tokio::join!(get_page(&router, "/debug/pprof/profile?seconds=1"), async {
                tokio::task::yield_now().await;
                get_page(&router, "/debug/pprof/profile?seconds=1").await
            },);
        assert_eq!(second.0, StatusCode::CONFLICT);
        assert_eq!(first.0, StatusCode::OK);
        let mut bytes = Vec::new();
        GzDecoder::new(&*first.1).read_to_end(&mut bytes).unwrap();
        profile = encode::Profile::decode(&*bytes).unwrap();
        check_references(&profile);
        if names(&profile, "burn_until") {
            if let Some(path) = std::env::var_os("ISOBATH_TEST_PROFILE") {
                std::fs::write(path, &first.1).unwrap();
            }
            break;
        }
    }
    assert!(
        names(&profile, "burn_until"),
        "the busy function is not among {:?}",
        profile.string_table
    );

    let mut svg = String::new();
    for _ in 0..TRIES {
        let page = get_page(&router, "/debug/pprof/profile?seconds=1&format=flamegraph").await;
        assert_eq!(page.0, StatusCode::OK);
        svg = String::from_utf8(page.1).unwrap();
        assert!(svg.contains("<svg"), "{svg}");
        if svg.contains("burn_until") {
            break;
        }
    }
    assert!(svg.contains("burn_until"), "{svg}");

    done.store(true, Ordering::Relaxed);
    burner.join().unwrap();
}

/// Whether a function of this name was seen.
fn names(profile: &encode::Profile, function: &str) -> bool {
    let mut names = profile.string_table.iter();
    names.any(|name| name.contains(function))
}

/// Every index points at something, as readers require.
fn check_references(profile: &encode::Profile) {
    let string = |index: i64| &profile.string_table[usize::try_from(index).unwrap()];
    assert_eq!(string(0), "");
    assert_eq!(string(profile.sample_type[1].r#type), "cpu");
    assert_eq!(string(profile.sample_type[1].unit), "nanoseconds");
    for function in &profile.function {
        string(function.name);
        string(function.filename);
    }
    for (index, location) in profile.location.iter().enumerate() {
        assert_eq!(location.id, index as u64 + 1);
        for line in &location.line {
            assert!((1..=profile.function.len() as u64).contains(&line.function_id));
        }
    }
    for sample in &profile.sample {
        assert_eq!(sample.value.len(), profile.sample_type.len());
        for id in &sample.location_id {
            assert!((1..=profile.location.len() as u64).contains(id));
        }
    }
}

#[test]
fn parameters_are_bounded() {
    let check = |query: &[(&str, &str)], expected: Result<(u64, Format), &str>| {
        let query = query
            .iter()
            .map(|(k, v)| (k.to_string(), v.to_string()))
            .collect();
        let expected = expected
            .map(|(seconds, format)| (Duration::from_secs(seconds), format))
            .map_err(str::to_owned);
        assert_eq!(parameters(&query), expected);
    };
    check(&[], Ok((30, Format::Protobuf)));
    check(
        &[("seconds", "300"), ("format", "pprof")],
        Ok((300, Format::Protobuf)),
    );
    check(
        &[("seconds", "1"), ("format", "flamegraph")],
        Ok((1, Format::FlameGraph)),
    );
    let seconds = Err("seconds must be a whole number from 1 to 300");
    for value in ["0", "301", "-1", "1.5", "", "ten"] {
        check(&[("seconds", value)], seconds);
    }
    check(
        &[("format", "png")],
        Err("format must be pprof or flamegraph"),
    );
}

#[tokio::test]
async fn the_heap_page_is_json() {
    let (status, body) = get_page(&Profiler::default().router(), "/debug/pprof/heap").await;
    assert_eq!(status, StatusCode::OK);
    let statistics: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert!(statistics.is_object());
}
