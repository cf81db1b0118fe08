//! Server names and Hosts: which connection may be asked for which host.

use crate::check::{apps, word};
use crate::support::certificate::Authority;
use crate::support::client::{Connection, TLS12, Tls, Version};
use crate::support::eventually::eventually;
use crate::support::manifest::PathType::Prefix;
use crate::support::manifest::{Manifest, ingress, site};
use crate::support::stand::Stand;

/// Server name (empty for none), Host, answer.
const MATRIX: &[(&str, &str, &str)] = &[
    // The right name, and a second host of the same certificate: browsers share connections between them.
    ("a.one.test", "a.one.test", "a"),
    ("a.one.test", "b.one.test", "b"),
    ("b.one.test", "a.one.test", "a"),
    // The same certificate, named by another Ingress.
    ("c.one.test", "c.one.test", "c"),
    ("a.one.test", "c.one.test", "c"),
    // A host of another certificate, of none, of nobody.
    ("a.one.test", "two.test", "421"),
    ("two.test", "a.one.test", "421"),
    ("a.one.test", "plain.test", "421"),
    ("a.one.test", "nobody.test", "421"),
    ("a.one.test", "z.one.test", "421"),
    ("a.one.test", "one.test", "421"),
    ("a.one.test", "y.wild.test", "421"),
    ("a.one.test", "127.0.0.1", "421"),
    ("two.test", "two.test", "two"),
    // A host that the certificate is for and that has no routes.
    ("idle.two.test", "idle.two.test", "404"),
    ("two.test", "idle.two.test", "404"),
    ("a.one.test", "idle.two.test", "421"),
    // Names that nobody serves, and none.
    ("nobody.test", "a.one.test", "refused"),
    ("nobody.test", "nobody.test", "refused"),
    ("plain.test", "plain.test", "refused"),
    ("one.test", "a.one.test", "refused"),
    ("", "a.one.test", "refused"),
    ("", "nobody.test", "refused"),
    // Wildcards, and an exact host below one that has a certificate of its own.
    ("y.wild.test", "y.wild.test", "wild"),
    ("y.wild.test", "z.wild.test", "wild"),
    ("y.wild.test", "x.wild.test", "421"),
    ("x.wild.test", "x.wild.test", "exact"),
    ("x.wild.test", "y.wild.test", "421"),
    ("y.wild.test", "wild.test", "421"),
    ("wild.test", "wild.test", "refused"),
    // The certificate is shown to a deeper name, which a client that checks refuses; no route is.
    ("deep.y.wild.test", "deep.y.wild.test", "421"),
    ("y.wild.test", "deep.y.wild.test", "421"),
    ("y.wild.test", "a.one.test", "421"),
    // An exact host that the wildcard of `tls.hosts` covers.
    ("e.cover.test", "e.cover.test", "exact"),
    ("f.cover.test", "f.cover.test", "wild"),
    ("f.cover.test", "e.cover.test", "exact"),
    // Spellings.
    ("A.ONE.test", "a.one.test", "a"),
    ("a.one.test", "A.One.TEST", "a"),
    ("A.One.Test", "B.ONE.test", "b"),
    ("Y.WILD.test", "y.wild.test", "wild"),
    ("a.one.test", "a.one.test.", "a"),
    ("a.one.test", "a.one.test:443", "a"),
    ("a.one.test", "a.one.test:12345", "a"),
    ("a.one.test", "two.test:443", "421"),
    ("a.one.test", "two.test.", "421"),
    ("a.one.test", "A.ONE.TEST.:443", "a"),
];

/// The ways in which one server name is sent.
fn variants(sni: &str) -> impl Iterator<Item = (&'static str, Version, Tls)> {
    let whole = match sni {
        "" => Tls::no_sni(),
        name => Tls::sni(name),
    };
    let old = Tls {
        versions: TLS12,
        ..whole.clone()
    };
    let pieces = Tls {
        dribble: true,
        ..whole.clone()
    };
    let ways = [("TLS 1.3", whole), ("TLS 1.2", old), ("in pieces", pieces)];
    ways.into_iter().flat_map(|(how, tls)| {
        [Version::H1, Version::H2].map(|version| (how, version, tls.clone()))
    })
}

async fn manifests(
    authority: &Authority,
) -> (Vec<crate::support::backend::Backend>, Vec<Manifest>) {
    let (backends, mut all) = apps(&["a", "b", "c", "two", "wild", "exact", "plain"]).await;
    all.extend([
        ingress("one")
            .rule("a.one.test", &[("/", Prefix, "a:80")])
            .rule("b.one.test", &[("/", Prefix, "b:80")])
            .tls(&["a.one.test", "b.one.test"], "one"),
        site("c", "c.one.test", "c:80").tls(&["c.one.test"], "one"),
        site("two", "two.test", "two:80").tls(&["two.test", "idle.two.test"], "two"),
        site("wild", "*.wild.test", "wild:80").tls(&["*.wild.test"], "wild"),
        site("exact", "x.wild.test", "exact:80").tls(&["x.wild.test"], "exact"),
        ingress("cover")
            .rule("*.cover.test", &[("/", Prefix, "wild:80")])
            .rule("e.cover.test", &[("/", Prefix, "exact:80")])
            .tls(&["*.cover.test"], "cover"),
        site("plain", "plain.test", "plain:80"),
        authority
            .leaf(&["a.one.test", "b.one.test", "c.one.test"])
            .secret("one"),
        authority.leaf(&["two.test", "idle.two.test"]).secret("two"),
        authority.leaf(&["*.wild.test"]).secret("wild"),
        authority.leaf(&["x.wild.test"]).secret("exact"),
        authority.leaf(&["*.cover.test"]).secret("cover"),
    ]);
    (backends, all)
}

#[tokio::test(flavor = "multi_thread")]
async fn server_name_and_host() {
    let authority = Authority::new();
    let (_backends, manifests) = manifests(&authority).await;
    let stand = Stand::start(&manifests).await;
    let address = stand.isobath.https();
    let mut wrong = Vec::new();
    let mut pairs = 0;
    // Together, because a ClientHello in pieces takes its time.
    for rows in MATRIX.chunks(10) {
        let requests = rows
            .iter()
            .flat_map(|row| variants(row.0).map(move |variant| (row, variant)));
        let answers = requests.map(async |((sni, host, want), (how, version, tls))| {
            let got = word(address, version, Some(&tls), host, "/").await;
            let sentence =
                format!("{version:?} {how}: {sni:?} asked for {host}: want {want}, got {got}");
            (got != *want).then_some(sentence)
        });
        let answers = futures::future::join_all(answers).await;
        pairs += answers.len();
        wrong.extend(answers.into_iter().flatten());
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(pairs >= 240, "{pairs}");

    // Each name gets its own certificate, and a client that checks it agrees.
    for (name, other) in [("a.one.test", "b.one.test"), ("y.wild.test", "z.wild.test")] {
        let tls = Tls {
            trust: authority.trust(),
            ..Tls::sni(name)
        };
        let mut connection = Connection::open(address, Version::H2, Some(&tls))
            .await
            .unwrap();
        // One connection, several hosts: a refusal of one does not harm the others.
        for (host, status) in [
            (name, 200),
            ("two.test", 421),
            (other, 200),
            ("x.wild.test", 421),
            (name, 200),
        ] {
            assert_eq!(
                connection.get(host, "/").await.unwrap().status,
                status,
                "{name} → {host}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_kinds_of_key_for_one_host() {
    let authority = Authority::new();
    let (_backends, mut manifests) = apps(&["web"]).await;
    let (ecdsa, rsa) = (
        authority.leaf(&["keys.test"]),
        authority.rsa_leaf(&["keys.test"]),
    );
    manifests.extend([
        site("keys", "keys.test", "web:80")
            .tls(&["keys.test"], "ecdsa")
            .tls(&["keys.test"], "rsa"),
        ecdsa.secret("ecdsa"),
        rsa.secret("rsa"),
    ]);
    let stand = Stand::start(&manifests).await;
    let tls12 = Tls {
        versions: TLS12,
        ..Tls::sni("keys.test")
    };
    let old = Tls {
        rsa_only: true,
        ..tls12.clone()
    };
    for (tls, leaf) in [
        (Tls::sni("keys.test"), &ecdsa),
        (tls12, &ecdsa),
        (old, &rsa),
    ] {
        let mut connection = Connection::open(stand.isobath.https(), Version::H1, Some(&tls))
            .await
            .unwrap();
        assert_eq!(connection.certificate(), Some(&leaf.der), "{tls:?}");
        assert_eq!(
            connection.get("keys.test", "/").await.unwrap().backend(),
            "web"
        );
    }
}

/// The `https` listener is there before any host is, and closes what it can't serve; the first host and the last
/// one come and go without a new listener.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_and_the_last_tls_host() {
    let authority = Authority::new();
    let (_backends, base) = apps(&["web"]).await;
    let stand = Stand::start(&base).await;
    let ask = async || {
        word(
            stand.isobath.https(),
            Version::H1,
            Some(&Tls::sni("first.test")),
            "first.test",
            "/",
        )
        .await
    };
    assert_eq!(ask().await, "refused");
    for _ in 0..2 {
        let mut all = base.clone();
        all.push(site("first", "first.test", "web:80").tls(&[], "first"));
        all.push(authority.leaf(&["first.test"]).secret("first"));
        stand.isobath.write("manifests.yaml", &all);
        eventually("the first host is served", async || match &*ask().await {
            "web" => Ok(()),
            other => Err(other.to_owned()),
        })
        .await;
        stand.isobath.write("manifests.yaml", &base);
        eventually("it is gone", async || match &*ask().await {
            "refused" => Ok(()),
            other => Err(other.to_owned()),
        })
        .await;
    }
    // The first host comes in place. Envoy wants a filter chain for that, so the last one goes with a new
    // listener: nobody is left whose connections could live on.
    let stats = stand.envoy.modifications().await;
    assert_eq!(stats["listener_manager.listener_removed"], 0);
    assert_eq!(stats["listener_manager.listener_in_place_updated"], 2);
    assert_eq!(stats["listener_manager.listener_modified"], 4);
}
