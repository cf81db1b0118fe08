//! `x-forwarded-client-cert`, on a real Envoy: byte for byte what a manager of Envoy's own would tell, and where nothing is to
//! be told nothing, whatever the client says.

use envoy_types::pb::envoy::config::core::v3::TypedExtensionConfig;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3 as hcm;
use envoy_types::pb::google::protobuf::BoolValue;
use envoy_types::util::pack_any;
use hcm::HttpConnectionManager;
use hcm::http_connection_manager::{ForwardClientCertDetails, SetCurrentClientCertDetails};
use isobath::envoy::edge::Edge;
use isobath::model::{ClientCertificates, ClientVerification, ForwardedCertificate, TlsServer};
use isobath::xds::ResourceType;
use prost::Message as _;

use crate::ads::Resources;
use crate::authority::{Authority, Leaf, bundle};
use crate::backend;
use crate::client::{exchange, plain, request, tls_as};
use crate::eventually::eventually;
use crate::fixture::{World, all_to, certificate, tls_server, virtual_host};
use crate::proxy::{Proxy, envoy};
use crate::served::Fleet;

const HEADER: &str = "x-forwarded-client-cert";
const OTHER: &str = "other.example.com";

fn asking(
    is_required: bool,
    forwarded: Option<ForwardedCertificate>,
) -> Option<ClientCertificates> {
    Some(ClientCertificates {
        is_required,
        verification: Some(ClientVerification {
            authorities: "ours".into(),
            max_depth: None,
            only_leaf_revocations: false,
            accepts_untrusted: false,
        }),
        forwarded,
    })
}

/// What the back end of the host is told by a client that has this certificate, and a word of its own.
async fn told(proxy: &Proxy, host: &str, leaf: Option<&Leaf>) -> Option<String> {
    let identity = leaf.map(Leaf::parts);
    let stream = tls_as(proxy.https, Some(host), "http/1.1", identity).await;
    let own = ["X-Forwarded-Client-Cert: By=evil;Hash=0"];
    let answer = exchange(stream.unwrap(), &request("GET", host, "/", &own)).await;
    assert_eq!(answer.status, 200, "{host}");
    answer.received(HEADER).map(str::to_owned)
}

/// The managers as they would be if all of them told this.
fn of_envoy(told: ForwardedCertificate) -> impl FnOnce(&mut Resources) {
    move |all| {
        for ((of, _), bytes) in all.iter_mut() {
            if *of != ResourceType::Extension {
                continue;
            }
            let mut extension = TypedExtensionConfig::decode(bytes.clone()).unwrap();
            let packed = extension.typed_config.take().unwrap();
            let mut manager = HttpConnectionManager::decode(&*packed.value).unwrap();
            manager.forward_client_cert_matcher = None;
            manager.set_forward_client_cert_details(ForwardClientCertDetails::SanitizeSet);
            manager.set_current_client_cert_details = Some(SetCurrentClientCertDetails {
                subject: Some(BoolValue {
                    value: told.subject,
                }),
                cert: told.certificate,
                chain: told.chain,
                dns: told.dns,
                uri: told.uri,
                ..Default::default()
            });
            extension.typed_config = Some(pack_any(manager));
            *bytes = extension.encode_to_vec().into();
        }
    }
}

fn host_of(told: ForwardedCertificate) -> String {
    format!("{}.example.com", told.name().replace(',', "-"))
}

#[tokio::test]
async fn back_ends_are_told_what_envoy_tells() {
    let Some(envoy) = envoy() else { return };
    let ours = Authority::new("ours");
    let leaves = [
        ours.leaf(
            1,
            &[
                "client.test",
                "second.test",
                "spiffe://x/a",
                "spiffe://x/b",
                "192.0.2.1",
            ],
        ),
        ours.leaf(2, &["single.test"]),
        ours.leaf(3, &["spiffe://x/only"]),
        ours.leaf(4, &["a\"b\", c;d=e"]),
    ];
    let all: Vec<ForwardedCertificate> = ForwardedCertificate::all().collect();
    let world = World::new()
        .cluster("a", &[backend::start("a").await])
        .bundle(&bundle("ours", &[&ours], ""))
        .http(OTHER, all_to("a"))
        .https_for("other", &[(OTHER, "a")], asking(true, None))
        .https_for(
            "maybe",
            &[("maybe.example.com", "a")],
            asking(false, Some(all[31])),
        )
        .https("none", &[("none.example.com", "a")]);
    let world = all.iter().fold(world, |world, told| {
        let host = host_of(*told);
        world.https_for(&host, &[(&host, "a")], asking(true, Some(*told)))
    });
    let resources = world.resources();
    let proxy = Proxy::start(&envoy, resources.clone()).await;
    // Where nothing is to be told, or there is nothing to tell.
    let first = Some(&leaves[0]);
    for (host, leaf) in [
        (OTHER, first),
        ("none.example.com", first),
        ("maybe.example.com", None),
    ] {
        assert_eq!(told(&proxy, host, leaf).await, None, "{host}");
    }
    assert!(told(&proxy, "maybe.example.com", first).await.is_some());
    let own = ["X-Forwarded-Client-Cert: By=evil;Hash=0"];
    let answer = plain(proxy.http, &request("GET", OTHER, "/", &own)).await;
    assert_eq!((answer.status, answer.received(HEADER)), (200, None));
    let mut ours = Vec::new();
    for told_of in &all {
        for leaf in &leaves {
            let found = told(&proxy, &host_of(*told_of), Some(leaf)).await.unwrap();
            assert!(
                found.starts_with("Hash=") && !found.contains("evil"),
                "{found}"
            );
            ours.push(found);
        }
    }
    proxy.assert_content();
    // The same by managers that tell it to all, of a host that tells nothing itself.
    let mut theirs = Vec::new();
    for told_of in &all {
        const RELOADS: &str = "extension_config_discovery.network_filter.https.config_reload";
        let theirs_now = {
            let mut all = resources.clone();
            of_envoy(*told_of)(&mut all);
            all
        };
        proxy.update(|all| *all = theirs_now, RELOADS).await;
        let wanted = &ours[theirs.len()];
        // Workers take a manager some time after Envoy has counted it.
        eventually("the manager", async || {
            let found = told(&proxy, OTHER, first).await;
            let same = found.as_ref() == Some(wanted);
            same.then_some(())
                .ok_or_else(|| format!("{found:?} and not {wanted:?}"))
        })
        .await;
        for leaf in &leaves {
            theirs.push(told(&proxy, OTHER, Some(leaf)).await.unwrap());
        }
    }
    assert_eq!(ours, theirs);
}

/// A host that begins to tell is another chain for it alone: connections of before go on as they were, new ones tell, and another
/// host loses no request.
#[tokio::test]
async fn telling_is_switched_on_and_off() {
    const HOST: &str = "a.example.com";
    const IN_PLACE: &str = "listener_manager.listener_in_place_updated";
    let Some(envoy) = envoy() else { return };
    let ours = Authority::new("ours");
    let leaf = ours.leaf(1, &["client.test"]);
    let mut fleet = Fleet::new(Edge::default());
    fleet.cluster("a", backend::start("a").await);
    fleet.bundle(&bundle("ours", &[&ours], ""));
    fleet.certificate(&certificate("web/a", &[HOST]));
    let server = |forwarded| TlsServer {
        name: format!("web/a?{forwarded:?}").into(),
        clients: asking(true, forwarded).map(Box::new),
        ..tls_server("web/a", &["web/a"])
    };
    let other = server(None);
    fleet.serve(
        &virtual_host(OTHER, all_to("a")),
        &TlsServer {
            name: "web/other".into(),
            ..other
        },
    );
    let host = virtual_host(HOST, all_to("a"));
    fleet.serve(&host, &server(None));
    let proxy = Proxy::start(&envoy, fleet.resources()).await;
    let mut open = tls_as(proxy.https, Some(OTHER), "http/1.1", Some(leaf.parts()))
        .await
        .unwrap();
    let kept = request("GET", OTHER, "/", &[]).replace("Connection: close\r\n", "");
    let subject = ForwardedCertificate {
        subject: true,
        ..ForwardedCertificate::default()
    };
    for forwarded in [Some(subject), None].into_iter().cycle().take(100) {
        fleet.serve(&host, &server(forwarded));
        let now = fleet.resources();
        proxy.update(|all| *all = now, IN_PLACE).await;
        eventually("what is told", async || {
            let found = told(&proxy, HOST, Some(&leaf)).await;
            let is_told = found.as_ref().is_some_and(|it| it.contains(";Subject="));
            let is_right = is_told == forwarded.is_some();
            is_right.then_some(()).ok_or_else(|| format!("{found:?}"))
        })
        .await;
        let answer = exchange(&mut open, &kept).await;
        assert_eq!((answer.status, answer.received(HEADER)), (200, None));
        assert_eq!(told(&proxy, OTHER, Some(&leaf)).await, None);
    }
    proxy.assert_content();
}
