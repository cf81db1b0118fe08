//! That each binary does its work: it says its version, serves manifests, and shows what it serves.

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::subject::{Place, Serve, Subject, subjects};
use crate::support::certificate::Authority;
use crate::support::client::{self, Version};
use crate::support::manifest::{bare_service, endpoint_slice, site};

#[test]
fn each_binary_says_its_version() {
    for subject in subjects() {
        let version = run(&subject, &["version"]);
        let expected = concat!("isobath ", env!("CARGO_PKG_VERSION"));
        assert_eq!(version.trim(), expected, "{subject:?}");
    }
}

#[tokio::test]
async fn each_binary_serves_manifests() {
    let manifests = [
        bare_service("web").port("", 80, 8080, ""),
        endpoint_slice("web-1", "web", "", &["10.1.2.3"], 8080, true),
        site("web", "web.test", "web:80").tls(&["web.test"], "web"),
        Authority::new().leaf(&["web.test"]).secret("web"),
    ];
    for subject in subjects() {
        let mut serve = Serve::start(&subject, &manifests, Place::Here).await;
        let address = serve.xds_address();
        for (kind, expected) in [
            ("lds", "default/web"),
            ("rds", "web.test"),
            ("cds", "default/web/80"),
            ("eds", "10.1.2.3"),
            ("sds", "[redacted]"),
        ] {
            let shown = run(&subject, &["xds", kind, "--xds-address", &address]);
            assert!(shown.contains(expected), "{subject:?} {kind}: {shown}");
        }
        // What an allocator or an unwinder of another libc could spoil.
        let admin = serve.admin.address();
        let page = client::get(admin, Version::H1, None, "localhost", "/debug/pprof/heap")
            .await
            .unwrap();
        let page: Value = serde_json::from_slice(&page.body).unwrap();
        assert!(page.is_object(), "{page}");
        serve.process.signal(Signal::SIGTERM);
        assert_eq!(serve.process.end().await.code(), Some(0), "{subject:?}");
    }
}

fn run(subject: &Subject, arguments: &[&str]) -> String {
    let output = subject.command(arguments).output().unwrap();
    assert!(output.status.success(), "{subject:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}
