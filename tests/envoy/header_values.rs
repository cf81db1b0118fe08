//! Headers with values that Envoy knows, on a real one with a real back end.

use isobath::envoy::edge::Edge;
use isobath::model::{
    AddressRules, DynamicValue, Filters, HeaderChange, HeaderMode, HeaderPart, RouteAction,
};

use crate::filter_cases::{dynamic, dynamic_values};
use crate::fixture::forward;
use crate::guarding::{guarded, start};
use crate::proxy::envoy;
use crate::sending::{HOST, get, sets};

/// What the back end is told for each value, of a request without TLS for `/values?q=1` that says all of them by itself.
const VALUES: &[(DynamicValue, &str)] = &[
    (DynamicValue::ClientAddress, "127.0.0.1"),
    (DynamicValue::PeerAddress, "127.0.0.1"),
    (DynamicValue::Host, HOST),
    (DynamicValue::Path, "/values?q=1"),
    (DynamicValue::Method, "GET"),
    (DynamicValue::Scheme, "http"),
    (DynamicValue::Protocol, "HTTP/1.1"),
    (DynamicValue::ServerName, ""),
    (DynamicValue::TlsVersion, ""),
    (DynamicValue::TlsCipher, ""),
    (DynamicValue::ClientCertificate, ""),
    (DynamicValue::ClientSubject, ""),
    (DynamicValue::ClientIssuer, ""),
    (DynamicValue::ClientSerial, ""),
    (DynamicValue::ClientFingerprint, ""),
    (DynamicValue::EndpointAddress, ""),
    (DynamicValue::ResponseFlags, "-"),
];

#[tokio::test]
async fn headers_have_what_envoy_knows() {
    let Some(envoy) = envoy() else { return };
    let name = |index: usize| format!("x-value-{index}");
    let values = dynamic_values();
    let set = |(index, value): (usize, &DynamicValue)| {
        dynamic(&name(index), value.clone(), HeaderMode::Set)
    };
    let text = |text: &str| HeaderPart::Text(text.into());
    let mixed = |header| {
        let parts = vec![
            text("100%;"),
            HeaderPart::Value(DynamicValue::Host),
            text(";%REQ(:path)%"),
        ];
        HeaderChange::new(header, parts, HeaderMode::Set).unwrap()
    };
    let literal = |name, value, mode| HeaderChange::literal(name, value, mode).unwrap();
    let filters = Filters {
        request_headers: values
            .iter()
            .enumerate()
            .map(set)
            .chain([
                mixed("x-mixed"),
                literal("x-add", "new", HeaderMode::Add),
                literal("x-absent", "new", HeaderMode::SetIfAbsent),
                literal("x-set", "new", HeaderMode::Set),
            ])
            .collect(),
        response_headers: vec![
            dynamic("x-id", DynamicValue::RequestId, HeaderMode::Set),
            dynamic("x-endpoint", DynamicValue::EndpointAddress, HeaderMode::Set),
            dynamic("x-flags", DynamicValue::ResponseFlags, HeaderMode::Set),
            mixed("x-mixed"),
            HeaderChange::strict_transport_security(60, true, false),
            literal("server", "ours", HeaderMode::SetIfAbsent),
            literal("x-secret", "more", HeaderMode::Add),
        ],
        ..Filters::default()
    };
    let mut refused = guarded("/refused", filters.clone());
    refused.filters.as_mut().unwrap().addresses = Some(AddressRules::allow(Vec::new()));
    let mut dead = guarded("/dead", filters.clone());
    dead.action = RouteAction::Forward(forward(&[]));
    let mut values_route = guarded("/values", filters);
    values_route.request_headers = sets("x-set", "literal");
    let routes = vec![values_route, refused, dead];
    let proxy = start(&envoy, routes, &Edge::default()).await;
    let forged = (0..values.len()).map(|index| format!("{}: forged", name(index)));
    let sent = ["X-Add: old", "X-Absent: old", "X-Set: old", "X-Tenant: t%1"];
    let sent: Vec<String> = sent.map(str::to_owned).into_iter().chain(forged).collect();
    let sent: Vec<&str> = sent.iter().map(String::as_str).collect();
    let answer = get(&proxy, "/values?q=1", &sent).await;
    let mut wrong = Vec::new();
    for (value, expected) in VALUES {
        let index = values.iter().position(|it| it == value).unwrap();
        let found = answer.received(&name(index));
        if found != Some(*expected) {
            wrong.push(format!("{value:?}: {found:?}"));
        }
    }
    let of = |value: &DynamicValue| {
        let index = values.iter().position(|it| it == value).unwrap();
        answer.received(&name(index)).unwrap_or_default().to_owned()
    };
    assert_eq!(wrong, Vec::<String>::new());
    assert_eq!(
        of(&DynamicValue::ListenerPort),
        proxy.http.port().to_string()
    );
    assert_eq!(of(&values[10]), "t%1");
    let id = of(&DynamicValue::RequestId);
    assert_eq!((id.len(), answer.header("x-id")), (36, Some(id.as_str())));
    assert_eq!(answer.received("x-request-id"), Some(id.as_str()));
    let (seconds, millis) = of(&DynamicValue::StartTime)
        .split_once('.')
        .map(|(a, b)| (a.len(), b.len()))
        .unwrap();
    assert_eq!((seconds, millis), (10, 3));
    for (header, expected) in [
        ("x-mixed", "100%;a.example.com;%REQ(:path)%"),
        ("x-absent", "old"),
        ("x-set", "new"),
    ] {
        assert_eq!(answer.received(header), Some(expected), "{header}");
    }
    assert!(
        answer.body.contains("x-add: new\nx-add: old"),
        "{}",
        answer.body
    );
    assert_eq!(
        answer.header("x-mixed"),
        Some("100%;a.example.com;%REQ(:path)%")
    );
    assert_eq!(answer.header("server"), Some("echo"));
    let secrets: Vec<_> = answer
        .headers
        .iter()
        .filter(|(name, _)| name == "x-secret")
        .collect();
    assert_eq!(secrets.len(), 2, "{answer:?}");
    assert!(
        answer
            .header("x-endpoint")
            .unwrap()
            .starts_with("127.0.0.1:")
    );
    assert_eq!(answer.header("x-flags"), Some("-"));
    // Envoy's own answers have them too.
    for (path, status) in [("/refused", 403), ("/dead", 503)] {
        let answer = get(&proxy, path, &[]).await;
        let found = (answer.status, answer.header("strict-transport-security"));
        assert_eq!(
            found,
            (status, Some("max-age=60; includeSubDomains")),
            "{path}"
        );
    }
    proxy.assert_content();
}
