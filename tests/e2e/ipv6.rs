//! A pod of a cluster of IPv6: it has one address, and everything that others reach must answer there.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::support::backend::Backend;
use crate::support::certificate::Authority;
use crate::support::client::{self, Tls, Version};
use crate::support::isobath::Isobath;
use crate::support::manifest::{app, site};
use crate::support::network::{self, IPV6};
use crate::support::stand::Stand;

#[test]
fn a_pod_with_nothing_but_ipv6_is_reached() {
    network::alone_by_ipv6(async || {
        let backend = Backend::at("web", (IPV6, 0).into()).await;
        let authority = Authority::new();
        let mut manifests = app("web", &[&backend]);
        manifests.push(site("web", "web.test", "web:80").tls(&[], "web"));
        manifests.push(authority.leaf(&["web.test"]).secret("web"));
        let mut isobath = Isobath::prepare(&[]).on_every_address();
        isobath.write("manifests.yaml", &manifests);
        isobath.restart().await;
        let stand = Stand::on(isobath).await;
        let isobath = &stand.isobath;
        let tls = Tls::sni("web.test");
        // IPv4 too, whatever there is of it.
        for ip in [IpAddr::from(IPV6), Ipv4Addr::LOCALHOST.into()] {
            let at = |address: SocketAddr| SocketAddr::new(ip, address.port());
            for (address, tls, path) in [
                (isobath.http(), None, "/"),
                (isobath.https(), Some(&tls), "/"),
                (isobath.stats(), None, "/ready"),
                (isobath.stats(), None, "/metrics"),
                (isobath.metrics_address(), None, "/healthz"),
                (isobath.metrics_address(), None, "/readyz"),
                (isobath.metrics_address(), None, "/metrics"),
            ] {
                let answer = client::get(at(address), Version::H1, tls, "web.test", path);
                let answer = answer.await.unwrap();
                assert_eq!(answer.status, 200, "{ip} {address} {path}");
                if path == "/" {
                    // An IPv4 client is not told as one of IPv6.
                    let told = &answer.echo().headers["x-forwarded-for"];
                    assert_eq!(*told, ip.to_string());
                }
            }
        }
    });
}
