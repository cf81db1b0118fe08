//! Which flags, where their value is another one after a restart, have Envoy make a listener anew and drain its connections: found by
//! giving each of them another value, and comparing what becomes of the listeners.

use std::collections::BTreeSet;

use clap::{Arg, CommandFactory as _, Parser as _};
use isobath::build::Builder;
use isobath::build::diff::{ListenerChange, difference};
use isobath::cli::{Cli, Command};
use isobath::objects::Event;
use isobath::sources::manifests::Inspection;

use crate::support::certificate::Authority;
use crate::support::manifest::{self, site};

/// Values of flags that are told by nothing else about them. A flag that needs others has them beside it.
const VALUES: &[(&str, &[&str])] = &[
    ("ingress-class", &["--ingress-class=other"]),
    ("root-namespaces", &["--root-namespaces=other"]),
    (
        "tls-fallback-certificate",
        &["--tls-fallback-certificate=a/b"],
    ),
    (
        "rate-limit-service-extension",
        &["--rate-limit-service-extension=a/b"],
    ),
    (
        "rate-limit-service-default-policy",
        &[
            "--rate-limit-service-extension=a/b",
            r#"--rate-limit-service-default-policy={"descriptors":[{"entries":[{"remoteAddress":{}}]}]}"#,
        ],
    ),
    (
        "rate-limit-service-domain",
        &["--rate-limit-service-domain=other"],
    ),
    (
        "global-ext-auth-extension",
        &["--global-ext-auth-extension=a/b"],
    ),
    (
        "global-ext-auth-context",
        &[
            "--global-ext-auth-extension=a/b",
            "--global-ext-auth-context=a=b",
        ],
    ),
    (
        "policy-request-headers-set",
        &["--policy-request-headers-set=x-a=1"],
    ),
    (
        "policy-request-headers-remove",
        &["--policy-request-headers-remove=x-a"],
    ),
    (
        "policy-response-headers-set",
        &["--policy-response-headers-set=x-a=1"],
    ),
    (
        "policy-response-headers-remove",
        &["--policy-response-headers-remove=x-a"],
    ),
    ("gateway-addresses", &["--gateway-addresses=127.0.0.9"]),
    ("envoy-ports", &["--envoy-ports=81=8081"]),
    ("gateway-services", &["--gateway-services=isobath/isobath"]),
    (
        "tls-cipher-suites",
        &["--tls-cipher-suites=ECDHE-RSA-AES128-GCM-SHA256"],
    ),
    (
        "default-http-versions",
        &["--default-http-versions=HTTP/1.1"],
    ),
    ("envoy-upgrades", &["--envoy-upgrades=websocket,spdy/3.1"]),
    (
        "envoy-keep-request-header",
        &["--envoy-keep-request-header=x-client-ip"],
    ),
    (
        "envoy-access-log-text",
        &["--envoy-access-log=text", "--envoy-access-log-text=a"],
    ),
    (
        "envoy-access-log-fields",
        &["--envoy-access-log-fields=path"],
    ),
    (
        "envoy-tracing-collector",
        &["--envoy-tracing-collector=http://127.0.0.1:1/a"],
    ),
    (
        "envoy-tracing-service",
        &[
            "--envoy-tracing-collector=http://127.0.0.1:1/a",
            "--envoy-tracing-service=other",
        ],
    ),
    (
        "envoy-tracing-tag",
        &[
            "--envoy-tracing-collector=http://127.0.0.1:1/a",
            "--envoy-tracing-tag=a=b",
        ],
    ),
    (
        "upstream-tls-cipher-suites",
        &["--upstream-tls-cipher-suites=ECDHE-RSA-AES128-GCM-SHA256"],
    ),
    (
        "tls-envoy-client-certificate",
        &["--tls-envoy-client-certificate=a/b"],
    ),
    (
        "envoy-tracing-sampling",
        &[
            "--envoy-tracing-collector=http://127.0.0.1:1/a",
            "--envoy-tracing-sampling=7",
        ],
    ),
    ("envoy-dns-lookup-family", &["--envoy-dns-lookup-family=v6"]),
    (
        "global-ext-auth-allow-partial-message",
        &[
            "--global-ext-auth-extension=a/b",
            "--global-ext-auth-max-request-bytes=9",
            "--global-ext-auth-allow-partial-message",
        ],
    ),
    (
        "global-ext-auth-pack-as-bytes",
        &[
            "--global-ext-auth-extension=a/b",
            "--global-ext-auth-max-request-bytes=9",
            "--global-ext-auth-pack-as-bytes",
        ],
    ),
];

/// The parts of `isobath serve --help` that say what is served.
const PARTS: [&str; 6] = [
    "Edge",
    "Endpoints",
    "Gateway API",
    "HTTPProxy",
    "Ingress",
    "TLS",
];

/// The flags, by their names.
pub fn draining() -> BTreeSet<String> {
    let mut program = Cli::command();
    program.build();
    let serve = program.find_subcommand("serve").unwrap();
    let events = events();
    let is_of_core = |argument: &&Arg| {
        let heading = argument.get_help_heading().unwrap_or_default();
        argument
            .get_long()
            .is_some_and(|long| !["config", "help"].contains(&long))
            && !argument.is_global_set()
            && PARTS.contains(&heading)
    };
    let flags = serve.get_arguments().filter(is_of_core);
    let flags: Vec<&Arg> = flags.collect();
    let wrong = flags
        .iter()
        .filter_map(|flag| parsed(&other_value(flag)).err());
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let draining = flags
        .into_iter()
        .filter(|flag| drains(&other_value(flag), &events));
    draining
        .map(|flag| flag.get_long().unwrap().to_owned())
        .collect()
}

/// Two hosts, one of them with TLS.
fn events() -> Vec<Event> {
    let folder = tempfile::tempdir().unwrap();
    let manifests = [
        site("web", "web.test", "web:80").tls(&["web.test"], "web"),
        site("plain", "plain.test", "web:80"),
        Authority::new().leaf(&["web.test"]).secret("web"),
    ];
    std::fs::write(folder.path().join("all.yaml"), manifest::text(&manifests)).unwrap();
    Inspection::of(folder.path()).unwrap().events()
}

/// Another value of a flag than its default, after what it needs.
fn other_value(flag: &Arg) -> Vec<String> {
    let long = flag.get_long().unwrap();
    if let Some((_, values)) = VALUES.iter().find(|(name, _)| *name == long) {
        return values.iter().map(|it| (*it).to_owned()).collect();
    }
    if !flag.get_action().takes_values() {
        return vec![format!("--{long}")];
    }
    let default = flag.get_default_values().first();
    let default = default.map(|value| value.to_string_lossy().into_owned());
    let words = flag.get_possible_values();
    let mut words = words.iter().map(|word| word.get_name());
    let names = flag.get_value_names().unwrap_or_default();
    let value = match (
        words.find(|word| Some(*word) != default.as_deref()),
        names[0].as_str(),
    ) {
        (Some(word), _) => word,
        (None, "TIME") => "7s",
        (None, "NUMBER" | "KIB" | "PORT") => "77",
        (None, "BYTES") => "77777",
        (None, "NAMESPACE/NAME") => "a/b",
        (None, "IP:PORT") => "127.0.0.1:9",
        (None, name) => panic!("--{long}: this test has no value for {name}"),
    };
    vec![format!("--{long}={value}")]
}

fn parsed(flags: &[String]) -> Result<isobath::cli::config::Args, String> {
    let serve = ["isobath", "serve"].map(str::to_owned);
    let line = serve.iter().chain(flags);
    let parsed = Cli::try_parse_from(line).map_err(|error| format!("{flags:?}: {error}"))?;
    let Command::Serve(args) = parsed.command else {
        return Err(format!("{flags:?}"));
    };
    let wrong = args.core.check().err();
    wrong.map_or(Ok(args.core), |error| Err(format!("{flags:?}: {error}")))
}

/// Whether the last of these flags drains a listener's connections.
fn drains(flags: &[String], events: &[Event]) -> bool {
    let built = |flags: &[String]| {
        let mut builder = Builder::new(parsed(flags).unwrap().config(true));
        for event in events {
            builder.apply(event.clone());
        }
        builder.build();
        builder
    };
    let (before, after) = (built(&flags[..flags.len() - 1]), built(flags));
    let differs = difference(&before, &after).listeners;
    let mut changes = differs.iter().map(|it| &it.change);
    changes.any(|change| !matches!(change, ListenerChange::Opened))
}
