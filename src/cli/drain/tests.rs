#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;

#[test]
fn only_connections_of_clients_count() {
    let check = |page: &str, expected: u64| assert_eq!(count(page).unwrap(), expected, "{page}");
    check("{\"stats\": []}", 0);
    check(
        "{\"stats\": [
            {\"name\": \"http.admin.downstream_cx_active\", \"value\": 1},
            {\"name\": \"http.stats.downstream_cx_active\", \"value\": 2},
            {\"name\": \"http.http.downstream_cx_active\", \"value\": 4},
            {\"name\": \"http.https.downstream_cx_active\", \"value\": 8},
            {\"name\": \"http.https.downstream_cx_total\", \"value\": 16},
            {\"histograms\": {}}
        ]}",
        12,
    );
    assert!(count("<html>").is_err());
}

#[tokio::test(start_paused = true)]
async fn retries_end() {
    let start = Instant::now();
    let far = start + Duration::from_secs(3600);
    let mut tries = 0;
    let result: anyhow::Result<()> = retry(far, async || {
        tries += 1;
        bail!("try {tries}")
    })
    .await;
    assert_eq!(start.elapsed(), RETRY_FOR);
    assert_eq!(result.unwrap_err().to_string(), format!("try {tries}"));
    assert!((10..30).contains(&tries), "{tries}");

    let result: anyhow::Result<u8> = retry(Instant::now(), async || Ok(1)).await;
    assert_eq!(result.unwrap(), 1, "at least one try, however late");
}

#[tokio::test(start_paused = true)]
async fn a_restarted_envoy_is_not_asked_twice() {
    let start = Instant::now();
    let result: anyhow::Result<()> = retry(start + RETRY_FOR, async || bail!(Restarted)).await;
    assert!(result.unwrap_err().is::<Restarted>());
    assert_eq!(start.elapsed(), Duration::ZERO);
}
