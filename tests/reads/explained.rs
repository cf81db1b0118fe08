//! What an answer to "who answers this URL?" costs: as many hosts are made again as the name has labels, however many there are.

use isobath::build::explain::Question;
use isobath::envoy::edge::Edge;
use isobath::envoy::request::Request;

use super::{builder, ingress, rule, secret, service, slice, tls};

/// How many hosts are made again for a URL, where there are so many.
fn made(hosts: usize, url: (bool, &str)) -> usize {
    let sites = (0..hosts).map(|number| {
        let host = format!("{number}.shop.test");
        let rules = vec![rule(&host, "/", "web")];
        ingress(
            "shop",
            &format!("site-{number}"),
            rules,
            vec![tls(&host, "tls")],
        )
    });
    let others = [
        service("shop", "web", 80),
        slice("shop", "web", "10.0.0.1"),
        secret("shop", "tls", "*.shop.test", 0),
    ];
    let builder = builder(others.into_iter().chain(sites));
    let (tls, host) = url;
    let question = Question {
        request: Request {
            tls,
            method: "GET".to_owned(),
            host: host.to_owned(),
            path: "/".to_owned(),
            headers: Vec::new(),
        },
        server_name: tls.then(|| host.to_owned()),
        from: None,
    };
    builder.explain(&Edge::default(), &question).made
}

#[test]
fn an_answer_costs_the_same_however_many_hosts_there_are() {
    for (url, expected) in [
        ((false, "7.shop.test"), 1),
        // Once for the connection and once for the request.
        ((true, "7.shop.test"), 2),
        // The name itself, two wildcards above it, and whoever serves every name.
        ((false, "nobody.shop.test"), 4),
        ((true, "nobody.shop.test"), 4),
    ] {
        for hosts in [10, 400] {
            assert_eq!(made(hosts, url), expected, "{url:?} of {hosts}");
        }
    }
}
