//! Hosts with each filter that a route can have, for the golden files.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use isobath::envoy::route;
use isobath::model::{
    AddressRules, AddressSource, Algorithm, AskedBody, Authorization, Authorizer, Cidr, Claim,
    Compression, Cors, Descriptor, DescriptorEntry, DynamicValue, Filters, Fraction,
    GlobalRateLimit, GrpcAuthorizer, HeaderChange, HeaderMode, HeaderName, HeaderPart, HostFilters,
    HttpAuthorizer, JwtKeys, JwtProvider, JwtProviders, JwtRequirement, LocalRateLimit, Origins,
    Page, PlainName, PublicKeys, Rejection, RemoteKeys, RequestKey, Route, RouteTracing,
    StringMatch, TokenSource, Unanswered, VirtualHost,
};
use isobath::xds::Part;

use crate::error_pages::{literal, page_of, pages};
use crate::fixture::{CLEAR, all_to, header, is, virtual_host};
use crate::tracing::{literal as literal_tag, of_header};

/// The value with something else about it.
pub fn changed<T>(mut value: T, change: impl FnOnce(&mut T)) -> T {
    change(&mut value);
    value
}

pub fn ranges(source: AddressSource, ranges: &[&str]) -> Vec<(AddressSource, Cidr)> {
    ranges
        .iter()
        .map(|range| (source, Cidr::new(range).unwrap()))
        .collect()
}

pub fn limit(requests: u32, keys: Vec<RequestKey>) -> LocalRateLimit {
    let mut limit = LocalRateLimit::new(requests, Duration::from_secs(3600), 1).unwrap();
    limit.keys = keys;
    limit
}

pub fn header_key(name: &str) -> RequestKey {
    RequestKey::Header(PlainName::new(name).unwrap())
}

/// Every value that Envoy can fill in.
pub fn dynamic_values() -> Vec<DynamicValue> {
    use DynamicValue as Value;
    vec![
        Value::ClientAddress,
        Value::PeerAddress,
        Value::ListenerPort,
        Value::Host,
        Value::Path,
        Value::Method,
        Value::Scheme,
        Value::Protocol,
        Value::RequestId,
        Value::StartTime,
        Value::Header(PlainName::new("X-Tenant").unwrap()),
        Value::ServerName,
        Value::TlsVersion,
        Value::TlsCipher,
        Value::ClientCertificate,
        Value::ClientSubject,
        Value::ClientIssuer,
        Value::ClientSerial,
        Value::ClientFingerprint,
        Value::EndpointAddress,
        Value::ResponseFlags,
        Value::Status,
    ]
}

pub fn dynamic(name: &str, value: DynamicValue, mode: HeaderMode) -> HeaderChange {
    HeaderChange::new(name, vec![HeaderPart::Value(value)], mode).unwrap()
}

fn addresses() -> Vec<Filters> {
    let peers = |list: &[&str]| ranges(AddressSource::Peer, list);
    let clients = |list: &[&str]| ranges(AddressSource::Client, list);
    [
        AddressRules::allow(peers(&["10.0.0.0/8", "2001:db8::/32"])),
        AddressRules::deny(clients(&["10.0.0.0/8", "::1"])),
        AddressRules::allow(clients(&["10.0.0.0/8"])).but_not(peers(&["10.1.0.0/16"])),
        AddressRules::allow(Vec::new()),
        AddressRules::deny(Vec::new()),
    ]
    .map(|rules| Filters {
        addresses: Some(rules),
        ..Filters::default()
    })
    .into()
}

/// One whatever its case, and those below a name.
pub fn some_origins() -> Vec<StringMatch> {
    vec![
        StringMatch::exact("https://a.test")
            .ignoring_case()
            .unwrap(),
        StringMatch::regex(r"https://[a-z.]+\.b\.test").unwrap(),
    ]
}

fn origins() -> Vec<Filters> {
    let mut full = Cors::new(
        Origins::Like(some_origins()),
        ["GET", "PUT"],
        ["x-a", "x-b"],
        ["x-e"],
    )
    .unwrap();
    full.max_age = Some(Duration::from_secs(600));
    full.allows_credentials = true;
    full.allows_private_network = true;
    full.forwards_other_preflights = true;

    let all = Cors::new(Origins::All, ["*"], [], []).unwrap();
    [full, all]
        .map(|cors| Filters {
            cors: Some(cors),
            ..Filters::default()
        })
        .into()
}

fn limits() -> Filters {
    let header = (HeaderName::new("X-Why").unwrap(), Arc::from("100%"));
    let rejection = Rejection::new(503, vec![header]).unwrap();
    let mut keyed = limit(3, vec![RequestKey::ClientAddress, header_key("X-Key")]);
    keyed.rejection = rejection;
    Filters {
        local_rate_limits: vec![limit(5, Vec::new()), keyed],
        ignores_host: true,
        ..Filters::default()
    }
}

fn entries() -> Vec<DescriptorEntry> {
    let user = HeaderName::new("X-User").unwrap();
    let kind = header("x-kind", is(StringMatch::exact("one")));
    vec![
        DescriptorEntry::fixed("generic_key", "100%").unwrap(),
        DescriptorEntry::header("user", user).unwrap(),
        DescriptorEntry::matching("kind", "one", vec![kind], false).unwrap(),
        DescriptorEntry::client_address(),
        DescriptorEntry::client_range(24, 64).unwrap(),
        DescriptorEntry::query("q", "user").unwrap(),
        DescriptorEntry::path("path").unwrap(),
    ]
}

/// Of all entries one by one, or together.
fn global_limit(is_one: bool) -> GlobalRateLimit {
    let entries = match is_one {
        true => vec![entries()],
        false => entries().into_iter().map(|entry| vec![entry]).collect(),
    };
    let descriptors = entries.into_iter().map(Descriptor::new);
    let descriptors: Result<Vec<_>, _> = descriptors.collect();
    let second = Duration::from_secs(1);
    GlobalRateLimit::new("web/limits/8081", "shop", descriptors.unwrap(), second).unwrap()
}

fn global_limits() -> Vec<Filters> {
    let header = (HeaderName::new("X-Why").unwrap(), Arc::from("100%"));
    let full = changed(global_limit(true), |it| {
        it.tells_limits = true;
        it.exhausts_grpc = true;
        it.rejection = Rejection::new(503, vec![header]).unwrap();
    });
    let open = global_limit(false)
        .with_unanswered(Unanswered::Passed)
        .unwrap();
    let instead = Filters {
        global_rate_limit: Some(full),
        ignores_global_limit: true,
        ..Filters::default()
    };
    let besides = Filters {
        global_rate_limit: Some(open),
        ..Filters::default()
    };
    vec![instead, besides]
}

fn error_pages() -> [Filters; 2] {
    let backend = |keeps_status| Page::Backend(page_of("web/err/80", keeps_status));
    [
        pages(vec![
            (&[404][..], literal("<b>100%</b>")),
            (&[502, 503], backend(false)),
            (&[500], backend(true)),
        ]),
        pages(vec![(&[404], literal(""))]),
    ]
}

fn headers() -> Filters {
    let change = |(index, value): (usize, DynamicValue)| {
        dynamic(&format!("x-{index}"), value, HeaderMode::Set)
    };
    let text = |text: &str| HeaderPart::Text(text.into());
    let mixed = vec![
        text("100%;"),
        HeaderPart::Value(DynamicValue::Host),
        text("%REQ(:path)%"),
    ];
    let mixed = HeaderChange::new("X-Mixed", mixed, HeaderMode::Add).unwrap();
    let absent = HeaderChange::literal("X-Default", "one", HeaderMode::SetIfAbsent).unwrap();
    let values = dynamic_values().into_iter();
    Filters {
        request_headers: values.enumerate().map(change).chain([mixed]).collect(),
        response_headers: vec![
            HeaderChange::strict_transport_security(31_536_000, true, false),
            absent,
        ],
        ..Filters::default()
    }
}

fn authorizations() -> Vec<Filters> {
    let name = |name: &str| HeaderName::new(name).unwrap();
    let second = Duration::from_secs(1);
    let grpc = |sees| {
        Authorizer::Grpc(GrpcAuthorizer {
            cluster: "web/authz/9000".into(),
            sees,
        })
    };
    let mut body = AskedBody::new(1024).unwrap();
    body.may_be_cut = true;
    body.as_bytes = true;
    let told = BTreeMap::from([("b".into(), "2".into()), ("a".into(), "1".into())]);
    let full = Authorization::new(grpc(Some(vec![name("X-Ask")])), second).unwrap();
    let full = changed(full, |it| {
        it.body = Some(body);
        it.context = told;
    });
    let blind = Authorization::new(grpc(Some(vec![])), second).unwrap();
    let blind = blind.with_unanswered(Unanswered::Passed).unwrap();
    let http = HttpAuthorizer::new("web/authz/80");
    let http = http.give_to_backend(name("x-user")).unwrap();
    let http = http.give_to_backend(name("x-groups")).unwrap();
    let http = changed(http, |it| {
        it.sees = vec![name("cookie")];
        it.gives_to_client = vec![name("location")];
        it.gives_on_success = vec![name("set-cookie")];
    });
    let fixed = http.clone().fixed_path("/auth?x=1").unwrap();
    let fixed = fixed.tell(name("x-told"), "100%").unwrap();
    let http = [http.path_prefix("/check").unwrap(), fixed].map(|http| {
        let asks = Authorization::new(Authorizer::Http(http), second).unwrap();
        asks.with_unanswered(Unanswered::Refused(503)).unwrap()
    });
    let asks = [full, blind].into_iter().chain(http);
    asks.map(|asks| Filters {
        authorization: Some(asks),
        ..Filters::default()
    })
    .collect()
}

fn tokens() -> Vec<Filters> {
    [
        (&["a", "b"][..], false),
        (&["a"], true),
        (&["nobody"], false),
    ]
    .map(|(names, may_be_missing)| Filters {
        jwt: Some(JwtRequirement {
            providers: names.iter().map(|name| Arc::from(*name)).collect(),
            may_be_missing,
        }),
        ..Filters::default()
    })
    .into()
}

fn providers() -> JwtProviders {
    let header = |name: &str| HeaderName::new(name).unwrap();
    let inline = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AA"}]}"#;
    let inline = JwtKeys::Inline(PublicKeys::new(inline).unwrap());
    let claim = Claim::new("realm.role").unwrap();
    let one = JwtProvider::new(inline).give(claim, header("x-role"));
    let one = changed(one.unwrap(), |it| {
        it.issuer = Some("https://a.test".into());
        it.audiences = vec!["shop".into()];
    });
    let second = Duration::from_secs(1);
    let remote = RemoteKeys::new(
        "web/keys/80",
        "https://keys.test/jwks",
        second,
        second * 300,
    );
    let two = changed(JwtProvider::new(JwtKeys::Remote(remote.unwrap())), |it| {
        it.forwards_token = true;
        it.sources = vec![
            TokenSource::Header(header("x-token")),
            TokenSource::Bearer(header("x-bearer")),
            TokenSource::Parameter("token".into()),
            TokenSource::Cookie("token".into()),
        ];
    });
    let mut providers = JwtProviders::default();
    providers.add("b", two).unwrap();
    providers.add("a", one).unwrap();
    providers
}

/// Filters of every kind, in a host of every kind.
pub fn all() -> (Arc<str>, Part) {
    let mut all = addresses();
    all.extend(origins());
    all.extend(authorizations());
    all.extend([limits(), headers(), Filters::default()]);
    all.extend(tokens());
    all.extend(global_limits());
    all.extend(error_pages());
    let half = Fraction::new(1, 2).unwrap();
    let tags = vec![literal_tag("site", "100%"), of_header("tenant", "X-Tenant")];
    for (sampling, tags) in [(Fraction::NONE, vec![]), (half, tags)] {
        all.push(Filters {
            tracing: Some(RouteTracing { sampling, tags }),
            ..Filters::default()
        });
    }
    all.push(Filters {
        is_not_logged: true,
        ..Filters::default()
    });
    all.push(Filters {
        max_body: NonZeroU64::new(1024),
        ..Filters::default()
    });
    let types = Compression::CONTENT_TYPES;
    let algorithms = [Algorithm::Brotli, Algorithm::Zstd, Algorithm::Gzip];
    all.push(Filters {
        grpc_web: true,
        compression: Some(Compression::new(&algorithms, &types[..2]).unwrap()),
        ..Filters::default()
    });
    let with = |filters: Filters| Route {
        filters: Some(Box::new(filters)),
        ..all_to("web/shop/80").remove(0)
    };
    let host = VirtualHost {
        client_check: None,
        filters: Some(Box::new(HostFilters {
            local_rate_limits: vec![limit(7, Vec::new())],
            jwt_providers: providers(),
            global_rate_limit: Some(global_limit(false)),
        })),
        ..virtual_host("*.example.com", all.into_iter().map(with).collect())
    };
    route::virtual_host(&host, CLEAR)
}
