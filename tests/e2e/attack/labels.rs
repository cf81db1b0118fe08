//! Names with bytes that mean something to Prometheus: no object writes a line of a page of metrics, ours or Envoy's.

use anyhow::{Context as _, Result, bail, ensure};

use crate::check::apps;
use crate::support::certificate::Authority;
use crate::support::client::{self, Version};
use crate::support::isobath::Isobath;
use crate::support::manifest::{Manifest, service, site};
use crate::support::stand::Stand;

/// Names that no API server takes, and a folder of manifests may hold.
const HOSTILE: &[&str] = &[
    "a\"b",
    "a\\b",
    "a\\",
    "a\nisobath_injected 1",
    "a\"} 1\nisobath_injected{x=\"y",
    "a\r\nisobath_injected 1\r\n",
    "a{b=\"c\"} 1",
    "a,b=\"c\"",
    "a\u{0}b",
    "\u{2028}isobath_injected 1",
    "\u{202e}evil",
    "a # {trace_id=\"x\"} 1",
    "# EOF",
    "%HOSTNAME%",
    "a b",
];

/// A sample as the formats have it: a name, labels in quotes with escapes, a number, and perhaps more. Strict where
/// the text came from an object.
fn read_sample(line: &str) -> Result<()> {
    let name = |text: &str| {
        let is_letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':');
        !text.is_empty() && text.chars().all(is_letter)
    };
    let (family, mut rest) = match line.split_once('{') {
        None => line.split_once(' ').context("no value")?,
        Some((family, mut rest)) => {
            while !rest.starts_with('}') {
                let (label, after) = rest.split_once("=\"").context("no label")?;
                ensure!(name(label), "label {label:?}");
                let mut chars = after.char_indices();
                let end = loop {
                    match chars.next().context("no end of a value")? {
                        (_, '\\') => {
                            let escaped = chars.next().context("half an escape")?.1;
                            ensure!(matches!(escaped, '\\' | '"' | 'n'), "escape of {escaped:?}");
                        }
                        (at, '"') => break at,
                        _ => {}
                    }
                };
                rest = &after[end + 1..];
                rest = rest.strip_prefix(',').unwrap_or(rest);
            }
            (family, rest[1..].trim_start())
        }
    };
    ensure!(name(family), "name {family:?}");
    if let Some((before, _)) = rest.split_once(" # {") {
        rest = before;
    }
    match rest.split(' ').next().map(str::parse::<f64>) {
        Some(Ok(_)) => Ok(()),
        other => bail!("value {other:?}"),
    }
}

fn check(page: &str) {
    let mut samples = 0;
    for line in page.split('\n').filter(|line| !line.is_empty()) {
        if !line.starts_with('#') {
            samples += 1;
            if let Err(reason) = read_sample(line) {
                panic!("{reason}: {line:?}");
            }
            assert!(!line.starts_with("isobath_injected"), "{line}");
        }
    }
    assert!(samples > 20, "{samples} samples");
    // Ours ends so, Envoy's has none.
    let ends = page.lines().filter(|line| *line == "# EOF").count();
    assert_eq!(ends, usize::from(page.ends_with("# EOF\n")));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_object_writes_a_metric() {
    let (_backends, mut manifests) = apps(&["web"]).await;
    let leaf = Authority::new().leaf(&["web.test"]);
    manifests.push(site("web", "web.test", "web:80").tls(&[], "web"));
    manifests.push(leaf.secret("web"));
    for (number, hostile) in HOSTILE.iter().enumerate() {
        let named = |mut manifest: Manifest| {
            manifest.0["metadata"]["name"] = (*hostile).into();
            manifest
        };
        let host = format!("h{number}.test");
        manifests.extend([
            named(site("x", &host, "web:80")),
            named(service("x")),
            named(leaf.secret("x")),
            // Where an object names another, and a host.
            site(
                &format!("service-{number}"),
                &host,
                &format!("{hostile}:80"),
            ),
            site(&format!("secret-{number}"), &host, "web:80").tls(&[], hostile),
            site(&format!("host-{number}"), hostile, "web:80"),
            site(&format!("namespace-{number}"), &host, "web:80").namespace(hostile),
        ]);
    }
    let stand = Stand::on(Isobath::start(&manifests).await).await;
    for host in ["web.test", "h0.test", "h1.test"] {
        stand.get(host, "/").await.unwrap();
    }
    for address in [stand.isobath.metrics_address(), stand.isobath.stats()] {
        let page = client::get(address, Version::H1, None, "metrics", "/metrics").await;
        check(&page.unwrap().text());
    }
    assert_eq!(stand.get("web.test", "/").await.unwrap().backend(), "web");
}
