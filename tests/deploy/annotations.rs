//! The parts of `deploy/reference.md` that are about objects and requests: annotations, and headers that are removed. What
//! `reference.rs` writes.

use std::fmt::Write as _;

use isobath::envoy::client_headers::{CLAIMS, Unless};
use isobath::translate::{
    INGRESS_ANNOTATIONS, NGINX_ALIASES, NGINX_ANNOTATIONS, NginxAnnotation, NginxVerdict,
    SERVICE_ANNOTATIONS,
};

/// All of them.
pub fn write(out: &mut String) {
    own(out, "an Ingress", &INGRESS_ANNOTATIONS);
    own(out, "a Service", &SERVICE_ANNOTATIONS);
    of_nginx(out);
    removed_headers(out);
}

fn own(out: &mut String, kind: &str, annotations: &[(&str, &str)]) {
    let head = "| annotation | value |\n|---|---|\n";
    write!(out, "\n## Annotations of {kind}\n\n{head}").unwrap();
    for (name, value) in annotations {
        writeln!(out, "| `{name}` | {value} |").unwrap();
    }
}

fn name_of(it: &NginxAnnotation) -> String {
    match it.is_guard {
        true => format!("**`{}`**", it.name),
        false => format!("`{}`", it.name),
    }
}

/// Those of which that is said, by what is said, in the order of the first.
fn by_text(text: fn(NginxVerdict) -> Option<&'static str>) -> String {
    let mut by_text: Vec<(&str, Vec<String>)> = Vec::new();
    for it in &NGINX_ANNOTATIONS {
        let Some(text) = text(it.verdict) else {
            continue;
        };
        match by_text.iter_mut().find(|(other, _)| *other == text) {
            Some((_, names)) => names.push(name_of(it)),
            None => by_text.push((text, vec![name_of(it)])),
        }
    }
    let rows = by_text.iter();
    rows.map(|(text, names)| format!("| {} | {text} |\n", names.join(", ")))
        .collect()
}

fn of_nginx(out: &mut String) {
    let names = |is: fn(NginxVerdict) -> bool| {
        let all = NGINX_ANNOTATIONS.iter().filter(|it| is(it.verdict));
        all.map(name_of).collect::<Vec<_>>().join(", ")
    };
    let near = by_text(|verdict| match verdict {
        NginxVerdict::Near(text) => Some(text),
        _ => None,
    });
    let refused = by_text(|verdict| match verdict {
        NginxVerdict::Refused(text) => Some(text),
        _ => None,
    });
    let aliases = NGINX_ALIASES.map(|(old, new)| format!("`{old}` is `{new}`"));
    write!(
        out,
        "\n## Annotations of ingress-nginx\n\nEach begins with `nginx.ingress.kubernetes.io/`; \
         [ingress-nginx.md](ingress-nginx.md) says where they take effect. Guards are in bold. {}.\n\n\
         As there: {}.\n\nNearly as there:\n\n| annotation | what differs |\n|---|---|\n{near}\n\
         Not needed by Envoy: {}.\n\nNever:\n\n| annotation | why |\n|---|---|\n{refused}\n",
        aliases.join(", "),
        names(|it| it == NginxVerdict::Exact),
        names(|it| it == NginxVerdict::NoOp),
    )
    .unwrap();
    let missing = names(|it| it == NginxVerdict::NotYet);
    if !missing.is_empty() {
        writeln!(out, "Not supported yet: {missing}.").unwrap();
    }
}

fn removed_headers(out: &mut String) {
    out.push_str(
        "\n## Request headers that are removed\n\n[edge.md](edge.md) says why. With a `*` at the end, all that begin so and are not in another row.\n\n\
         | removed | unless |\n|---|---|\n",
    );
    let by_flag = "it is named by `--envoy-keep-request-header`";
    for (unless, text) in [
        (
            Unless::TrustedHops,
            &*format!("`--envoy-trusted-hops` is not 0, or {by_flag}"),
        ),
        (Unless::Named, by_flag),
        (Unless::Never, "–"),
    ] {
        let those = CLAIMS.iter().filter(|(_, of)| *of == unless);
        let those: Vec<String> = those.map(|(name, _)| format!("`{name}`")).collect();
        writeln!(out, "| {} | {text} |", those.join(", ")).unwrap();
    }
}
