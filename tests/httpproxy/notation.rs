//! Objects in few words: one line is one object.
//!
//! ```text
//! root [NAME][@NAMESPACE]: PART; PART; ROUTE; ROUTE
//! child NAME[@NAMESPACE]: PART; ROUTE
//! ```
//!
//! A part is `fqdn HOST`, `tls SECRET`, `tls {FIELDS}`, `class NAME`, `include [NAMESPACE/]NAME [at CONDITIONS]`,
//! `tcpproxy SERVICES FIELDS`, or a field of the virtual host (`corsPolicy: {…}`). A route is `CONDITIONS > TARGET FIELDS`, with
//! as conditions `/x` (a prefix), `=/x` (exact), `~/x` (an expression), `h(NAME OPERATOR: VALUE FLAG)` (a header),
//! `q(…)` (a parameter of the query) or a condition field by field (`{prefix: /x}`); as target services
//! (`a:443{FIELDS} + b`, port 80 unless said), `redirect{FIELDS}`, `direct{FIELDS}` or `-` for none; and fields by
//! their own names. `rewrite(FROM=TO, =TO)`, `requestHeaders(set A=1, B=2; remove C)` and `responseHeaders(…)` are
//! short for three that are long. What stands in braces or brackets is YAML; what stands in quotes is not split.
//!
//! An Ingress in the dialect of ingress-nginx is `nginx [NAME][@NAMESPACE]: {ANNOTATIONS}; E /x > SERVICE; tls SECRET [HOST]`, with the
//! names of the annotations without their prefix (one with a `/` has its own) and the row's before its own, `E`, `P` or `I` for the
//! type of a path, `host HOST` for another one, `default SERVICE`, `class NAME`, `created TIME`, and `-` for no paths.
//!
//! Other objects are `extension NAME: SERVICES FIELDS`, `ingress: PATH > SERVICE; tls SECRET`, `secret NAME: OTHER` (with
//! what another one of the rig has), and `object: {YAML}`.

use serde_json::{Map, Value, json};

/// The object that a line says, for the row `row`; its host is `host`.
pub(crate) fn object(line: &str, row: &str, host: &str) -> Value {
    let (head, body) = line.split_once(':').expect("a line has a head");
    let body = body.trim().replace("$h", host);
    let mut words = head.split_whitespace();
    let kind = words.next().expect("a kind");
    let name = words.next().unwrap_or(row);
    let (name, namespace) = name.split_once('@').unwrap_or((name, "hp"));
    let metadata = json!({"name": name, "namespace": namespace});
    match kind {
        "root" => http_proxy(metadata, &body, Some(host)),
        "child" => http_proxy(metadata, &body, None),
        "ingress" => ingress(metadata, &body, host),
        "nginx" => {
            let mut metadata = metadata;
            // A row's own, whatever others call theirs.
            if name != row {
                metadata["name"] = format!("{row}-{name}").into();
            }
            nginx(metadata, &body, host)
        }
        "extension" => {
            let mut spec = Map::new();
            services_and_fields(&mut spec, &tokens(&body));
            typed(
                "projectcontour.io/v1alpha1",
                "ExtensionService",
                metadata,
                spec,
            )
        }
        "secret" => json!({"kind": "Secret", "metadata": metadata, "like": body}),
        "object" => yaml(&body),
        _ => panic!("no object: {line}"),
    }
}

fn typed(version: &str, kind: &str, metadata: Value, spec: Map<String, Value>) -> Value {
    json!({"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec})
}

fn http_proxy(metadata: Value, body: &str, host: Option<&str>) -> Value {
    let mut spec = Map::new();
    let mut virtual_host = Map::new();
    if let Some(host) = host {
        virtual_host.insert("fqdn".to_owned(), host.into());
    }
    for segment in split(body, ';') {
        let words = tokens(segment);
        let rest = || segment.trim().split_once(' ').map_or("", |(_, rest)| rest);
        match words.first().copied() {
            None => {}
            Some(_) if words.contains(&">") => push(&mut spec, "routes", route(&words)),
            Some("fqdn") => drop(virtual_host.insert("fqdn".to_owned(), rest().into())),
            Some("tls") if words[1].starts_with('{') => {
                drop(virtual_host.insert("tls".to_owned(), yaml(words[1])));
            }
            Some("tls") => {
                let tls = json!({"secretName": words[1]});
                drop(virtual_host.insert("tls".to_owned(), tls));
            }
            Some("class") => drop(spec.insert("ingressClassName".to_owned(), words[1].into())),
            Some("include") => push(&mut spec, "includes", include(&words)),
            Some("tcpproxy") => {
                let mut tcp = Map::new();
                services_and_fields(&mut tcp, &words[1..]);
                drop(spec.insert("tcpproxy".to_owned(), tcp.into()));
            }
            Some(_) => fields(&mut virtual_host, &words),
        }
    }
    if host.is_some() {
        spec.insert("virtualhost".to_owned(), virtual_host.into());
    }
    typed("projectcontour.io/v1", "HTTPProxy", metadata, spec)
}

fn ingress(metadata: Value, body: &str, host: &str) -> Value {
    let mut spec = Map::new();
    let mut paths = Vec::new();
    for segment in split(body, ';') {
        match tokens(segment)[..] {
            ["tls", secret] => {
                let tls = json!({"hosts": [host], "secretName": secret});
                push(&mut spec, "tls", tls);
            }
            [path, ">", service] => {
                let backend = json!({"service": {"name": service, "port": {"number": 80}}});
                paths.push(json!({"path": path, "pathType": "Prefix", "backend": backend}));
            }
            _ => panic!("no part of an Ingress: {segment}"),
        }
    }
    push(
        &mut spec,
        "rules",
        json!({"host": host, "http": {"paths": paths}}),
    );
    typed("networking.k8s.io/v1", "Ingress", metadata, spec)
}

fn nginx(mut metadata: Value, body: &str, host: &str) -> Value {
    let backend = |service: &str| {
        let (name, port) = service.split_once(':').unwrap_or((service, "80"));
        json!({"service": {"name": name, "port": {"number": port.parse::<u16>().unwrap()}}})
    };
    let mut spec = Map::new();
    let mut paths = Vec::new();
    let mut of = Some(host.to_owned());
    for segment in split(body, ';') {
        let segment = segment.trim();
        match tokens(segment)[..] {
            [] | ["-"] => {}
            _ if segment.starts_with('{') => {
                let Value::Object(said) = yaml(segment) else {
                    panic!("no annotations: {segment}");
                };
                for (name, value) in said {
                    let name = match name.contains('/') {
                        true => name,
                        false => format!("nginx.ingress.kubernetes.io/{name}"),
                    };
                    let value = value
                        .as_str()
                        .map_or_else(|| value.to_string(), str::to_owned);
                    metadata["annotations"][name] = value.into();
                }
            }
            ["host", "*"] => of = None,
            ["host", host] => of = Some(host.to_owned()),
            ["class", name] => drop(spec.insert("ingressClassName".to_owned(), name.into())),
            ["created", time] => metadata["creationTimestamp"] = time.into(),
            ["default", service] => {
                spec.insert("defaultBackend".to_owned(), backend(service));
            }
            ["tls", secret] => push(&mut spec, "tls", tls(secret, host)),
            ["tls", secret, host] => push(&mut spec, "tls", tls(secret, host)),
            [kind, path, ">", service] => {
                let kind = match kind {
                    "E" => "Exact",
                    "P" => "Prefix",
                    _ => "ImplementationSpecific",
                };
                let backend = backend(service);
                let path = unquoted(path);
                paths.push(json!({"path": path, "pathType": kind, "backend": backend}));
            }
            _ => panic!("no part of an Ingress: {segment}"),
        }
    }
    let mut rule = json!({});
    if let Some(host) = of {
        rule["host"] = host.into();
    }
    if !paths.is_empty() {
        rule["http"] = json!({"paths": paths});
    }
    if rule != json!({}) && !(spec.contains_key("defaultBackend") && rule.get("http").is_none()) {
        push(&mut spec, "rules", rule);
    }
    typed("networking.k8s.io/v1", "Ingress", metadata, spec)
}

fn tls(secret: &str, host: &str) -> Value {
    match secret {
        "-" => json!({"hosts": [host]}),
        _ => json!({"hosts": [host], "secretName": secret}),
    }
}

fn include(words: &[&str]) -> Value {
    let mut include = match words[1].split_once('/') {
        Some((namespace, name)) => json!({"name": name, "namespace": namespace}),
        None => json!({"name": words[1]}),
    };
    if let Some(("at", conditions)) = words.get(2).map(|at| (*at, &words[3..])) {
        include["conditions"] = conditions.iter().map(|word| condition(word)).collect();
    }
    include
}

fn route(words: &[&str]) -> Value {
    let at = words.iter().position(|word| *word == ">").expect("a route");
    let mut route = Map::new();
    let conditions: Vec<Value> = words[..at].iter().map(|word| condition(word)).collect();
    if !conditions.is_empty() {
        route.insert("conditions".to_owned(), conditions.into());
    }
    let rest = &words[at + 1..];
    match rest[0] {
        "-" => fields(&mut route, &rest[1..]),
        word if word.starts_with("redirect{") => {
            let policy = yaml(&word["redirect".len()..]);
            route.insert("requestRedirectPolicy".to_owned(), policy);
            fields(&mut route, &rest[1..]);
        }
        word if word.starts_with("direct{") => {
            let policy = yaml(&word["direct".len()..]);
            route.insert("directResponsePolicy".to_owned(), policy);
            fields(&mut route, &rest[1..]);
        }
        _ => services_and_fields(&mut route, rest),
    }
    route.into()
}

fn services_and_fields(map: &mut Map<String, Value>, mut words: &[&str]) {
    // A first word that is a field's is no service.
    while let Some((word, rest)) = words.split_first()
        && !word.ends_with(':')
    {
        push(map, "services", service(word));
        match rest.split_first() {
            Some((&"+", rest)) => words = rest,
            _ => {
                words = rest;
                break;
            }
        }
    }
    fields(map, words);
}

fn service(word: &str) -> Value {
    let (place, more) = match word.find('{') {
        Some(at) => word.split_at(at),
        None => (word, "{}"),
    };
    let (name, port) = place.split_once(':').unwrap_or((place, "80"));
    let mut service = json!({"name": name, "port": port.parse::<u32>().unwrap()});
    let Value::Object(more) = yaml(more) else {
        panic!("no fields: {word}");
    };
    service.as_object_mut().unwrap().extend(more);
    service
}

/// Fields by name, each with a value behind it or true.
fn fields(map: &mut Map<String, Value>, mut words: &[&str]) {
    while let Some((word, rest)) = words.split_first() {
        words = rest;
        if let Some(name) = word.strip_suffix(':') {
            let (value, rest) = words.split_first().expect("a value");
            words = rest;
            map.insert(name.to_owned(), yaml(value));
        } else if let Some(inner) = within(word, "rewrite") {
            map.insert("pathRewritePolicy".to_owned(), rewrite(inner));
        } else if let Some(inner) = within(word, "requestHeaders") {
            map.insert("requestHeadersPolicy".to_owned(), headers(inner));
        } else if let Some(inner) = within(word, "responseHeaders") {
            map.insert("responseHeadersPolicy".to_owned(), headers(inner));
        } else {
            map.insert((*word).to_owned(), true.into());
        }
    }
}

fn within<'a>(word: &'a str, name: &str) -> Option<&'a str> {
    word.strip_prefix(name)?
        .strip_prefix('(')?
        .strip_suffix(')')
}

fn rewrite(inner: &str) -> Value {
    let mut policies = Vec::new();
    for item in split(inner, ',') {
        let (from, to) = item.trim().split_once('=').expect("FROM=TO");
        let mut policy = json!({"replacement": to});
        if !from.is_empty() {
            policy["prefix"] = from.into();
        }
        policies.push(policy);
    }
    json!({"replacePrefix": policies})
}

fn headers(inner: &str) -> Value {
    let mut policy = json!({});
    for part in split(inner, ';') {
        let (verb, items) = part.trim().split_once(' ').expect("set or remove");
        let items = split(items, ',');
        policy[verb] = items
            .iter()
            .map(|item| match (verb, item.trim().split_once('=')) {
                ("set", Some((name, value))) => {
                    json!({"name": name, "value": value.replace("\\n", "\n")})
                }
                _ => item.trim().into(),
            })
            .collect();
    }
    policy
}

fn condition(word: &str) -> Value {
    if word.starts_with('{') {
        return yaml(word);
    }
    if let Some(inner) = within(word, "h") {
        return json!({"header": matching(inner)});
    }
    if let Some(inner) = within(word, "q") {
        return json!({"queryParameter": matching(inner)});
    }
    match word.split_at(1) {
        ("=", path) => json!({"exact": path}),
        ("~", path) => json!({"regex": unquoted(path)}),
        _ => json!({"prefix": word}),
    }
}

/// `NAME OPERATOR: VALUE FLAG …`
fn matching(inner: &str) -> Value {
    let words = tokens(inner);
    let mut found = json!({"name": unquoted(words[0])});
    let mut words = words[1..].iter();
    while let Some(word) = words.next() {
        match word.strip_suffix(':') {
            Some(operator) => {
                found[operator] = unquoted(words.next().expect("a value")).into();
            }
            None => found[*word] = true.into(),
        }
    }
    found
}

fn unquoted(word: &str) -> &str {
    let inner = word.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
    inner.unwrap_or(word)
}

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn push(map: &mut Map<String, Value>, field: &str, value: Value) {
    let list = map.entry(field).or_insert_with(|| json!([]));
    list.as_array_mut().expect("a list").push(value);
}

/// The words, at blanks outside of brackets and quotes.
pub(crate) fn tokens(text: &str) -> Vec<&str> {
    let words = split(text, ' ').into_iter();
    words.filter(|word| !word.is_empty()).collect()
}

/// The parts, at a character outside of brackets and quotes.
pub(crate) fn split(text: &str, at: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut quote, mut start) = (0_u32, None, 0);
    for (index, it) in text.char_indices() {
        match (quote, it) {
            (Some(open), _) if it == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(it),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => depth = depth.saturating_sub(1),
            (None, _) if it == at && depth == 0 => {
                parts.push(&text[start..index]);
                start = index + it.len_utf8();
            }
            (None, _) => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn check(line: &str, expected: &str) {
    let found = object(line, "row", "row.test");
    let found = match found["kind"].as_str() {
        Some("HTTPProxy" | "ExtensionService" | "Ingress") => &found["spec"],
        _ => &found,
    };
    assert_eq!(*found, yaml(expected), "{line}");
}

#[test]
fn lines_are_objects() {
    check(
        "root: > a",
        "{virtualhost: {fqdn: row.test}, routes: [{services: [{name: a, port: 80}]}]}",
    );
    check("child k@team1:", "{}");
    check(
        "child k: fqdn *.$h; tls web; class pub; include team1/k at /x h(A present); include k",
        "{ingressClassName: pub, includes: [{name: k, namespace: team1, conditions: [{prefix: /x}, {header: {name: A, present: true}}]}, {name: k}]}",
    );
    check(
        "root: tls {passthrough: true}; tcpproxy a:9 + b include: {name: k}; jwtProviders: []",
        "{virtualhost: {fqdn: row.test, tls: {passthrough: true}, jwtProviders: []}, tcpproxy: {services: [{name: a, port: 9}, {name: b, port: 80}], include: {name: k}}}",
    );
    check(
        r#"child k: =/x ~"/[;" q(q exact: "a b" ignoreCase) {prefix: /y} > a:443{weight: 2} + b permitInsecure rewrite(/a=/b, =/) requestHeaders(set A=%REQ(x?y):3%, B=a\nb; remove C, D)"#,
        r#"{routes: [{conditions: [{exact: /x}, {regex: "/[;"}, {queryParameter: {name: q, exact: a b, ignoreCase: true}}, {prefix: /y}],
            services: [{name: a, port: 443, weight: 2}, {name: b, port: 80}], permitInsecure: true,
            pathRewritePolicy: {replacePrefix: [{prefix: /a, replacement: /b}, {replacement: /}]},
            requestHeadersPolicy: {set: [{name: A, value: "%REQ(x?y):3%"}, {name: B, value: "a\nb"}], remove: [C, D]}}]}"#,
    );
    check(
        "child k: > redirect{path: /b}; > direct{statusCode: 200} retryPolicy: {}; > - enableWebsockets",
        "{routes: [{requestRedirectPolicy: {path: /b}}, {directResponsePolicy: {statusCode: 200}, retryPolicy: {}}, {enableWebsockets: true}]}",
    );
    check(
        "extension e: a:5000 + b:1 protocol: h2c",
        "{services: [{name: a, port: 5000}, {name: b, port: 1}], protocol: h2c}",
    );
    check(
        "ingress: /i > b; tls web",
        "{tls: [{hosts: [row.test], secretName: web}], rules: [{host: row.test, http: {paths: [{path: /i, pathType: Prefix, backend: {service: {name: b, port: {number: 80}}}}]}}]}",
    );
    check(
        r#"nginx: {use-regex: "true"}; I "/a;b" > b:81; P / > a; tls web; tls - x.test; default c"#,
        "{defaultBackend: {service: {name: c, port: {number: 80}}}, tls: [{hosts: [row.test], secretName: web}, {hosts: [x.test]}], rules: [{host: row.test, http: {paths: [{path: /a;b, pathType: ImplementationSpecific, backend: {service: {name: b, port: {number: 81}}}}, {path: /, pathType: Prefix, backend: {service: {name: a, port: {number: 80}}}}]}}]}",
    );
    check("object: {kind: Service, x: [1]}", "{kind: Service, x: [1]}");
}
