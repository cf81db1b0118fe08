//! Paths of Ingress: the documentation's table and our own answers, over every transport.

use crate::check::{ALL, Row, apps, check};
use crate::support::certificate::Authority;
use crate::support::manifest::PathType::{Exact, ImplementationSpecific, Prefix};
use crate::support::manifest::{Manifest, PathType, ingress};
use crate::support::stand::Stand;

/// The back ends `p0`, `p1` … answer for the first, second … path of a rule.
const BACKENDS: &[&str] = &["p0", "p1", "p2", "p3"];

/// The rule of one host whose paths lead to `p0`, `p1` …
fn paths(name: &str, host: &str, paths: &[(PathType, &str)]) -> Manifest {
    let backends = ["p0:80", "p1:80", "p2:80", "p3:80"];
    let paths: Vec<_> = paths
        .iter()
        .zip(backends)
        .map(|((path_type, path), backend)| (*path, *path_type, backend))
        .collect();
    ingress(name).rule(host, &paths)
}

/// A host, its paths, and requests with their answers.
type Paths = (
    &'static str,
    &'static [(PathType, &'static str)],
    &'static [(&'static str, &'static str)],
);

/// The table of the Kubernetes documentation (Concepts, Ingress, "Examples"), row by row and in its order, each row
/// on a host of its own: paths, request, answer.
const DOCUMENTATION: &[Paths] = &[
    (
        "d01.test",
        &[(Prefix, "/")],
        &[("/", "p0"), ("/any/path", "p0"), ("/any?q=1", "p0")],
    ),
    (
        "d02.test",
        &[(Exact, "/foo")],
        &[("/foo", "p0"), ("/foo?q=1", "p0")],
    ),
    (
        "d03.test",
        &[(Exact, "/foo")],
        &[("/bar", "404"), ("/foobar", "404"), ("/foo/bar", "404")],
    ),
    ("d04.test", &[(Exact, "/foo")], &[("/foo/", "404")]),
    (
        "d05.test",
        &[(Exact, "/foo/")],
        &[("/foo", "404"), ("/foo/", "p0")],
    ),
    (
        "d06.test",
        &[(Prefix, "/foo")],
        &[("/foo", "p0"), ("/foo/", "p0"), ("/foo/a?q=/b", "p0")],
    ),
    (
        "d07.test",
        &[(Prefix, "/foo/")],
        &[("/foo", "p0"), ("/foo/", "p0")],
    ),
    (
        "d08.test",
        &[(Prefix, "/aaa/bb")],
        &[("/aaa/bbb", "404"), ("/aaa/bb", "p0")],
    ),
    (
        "d09.test",
        &[(Prefix, "/aaa/bbb")],
        &[("/aaa/bbb", "p0"), ("/aaa", "404"), ("/", "404")],
    ),
    (
        "d10.test",
        &[(Prefix, "/aaa/bbb/")],
        &[("/aaa/bbb", "p0"), ("/aaa/bbb/ccc", "p0")],
    ),
    ("d11.test", &[(Prefix, "/aaa/bbb")], &[("/aaa/bbb/", "p0")]),
    (
        "d12.test",
        &[(Prefix, "/aaa/bbb")],
        &[("/aaa/bbb/ccc", "p0")],
    ),
    (
        "d13.test",
        &[(Prefix, "/aaa/bbb")],
        &[("/aaa/bbbxyz", "404")],
    ),
    (
        "d14.test",
        &[(Prefix, "/"), (Prefix, "/aaa")],
        &[("/aaa/ccc", "p1"), ("/aaab", "p0")],
    ),
    (
        "d15.test",
        &[(Prefix, "/"), (Prefix, "/aaa"), (Prefix, "/aaa/bbb")],
        &[("/aaa/bbb", "p2"), ("/aaa/bb", "p1"), ("/aaa/bbb/c", "p2")],
    ),
    (
        "d16.test",
        &[(Prefix, "/"), (Prefix, "/aaa"), (Prefix, "/aaa/bbb")],
        &[("/ccc", "p0")],
    ),
    ("d17.test", &[(Prefix, "/aaa")], &[("/ccc", "404")]),
    (
        "d18.test",
        &[(Prefix, "/foo"), (Exact, "/foo")],
        &[("/foo", "p1"), ("/foo/", "p0")],
    ),
];

/// What the documentation leaves to the controller.
const OURS: &[Paths] = &[
    // ImplementationSpecific is a prefix of the string …
    (
        "i01.test",
        &[(ImplementationSpecific, "/impl")],
        &[
            ("/impl", "p0"),
            ("/implant", "p0"),
            ("/impl/x", "p0"),
            ("/imp", "404"),
        ],
    ),
    // … unless a character says that it is a regular expression, which must match the whole path.
    (
        "i02.test",
        &[(ImplementationSpecific, "/v[0-9]+/users")],
        &[
            ("/v12/users", "p0"),
            ("/v12/users?a=b", "p0"),
            ("/v12/users/x", "404"),
            ("/vx/users", "404"),
        ],
    ),
    (
        "i03.test",
        &[(ImplementationSpecific, "/img/.*")],
        &[
            ("/img/", "p0"),
            ("/img/a/b.png", "p0"),
            ("/img", "404"),
            ("/x/img/a", "404"),
        ],
    ),
    // Exact, then regular expressions, then prefixes by length: never the order in the object.
    (
        "i04.test",
        &[
            (Prefix, "/x"),
            (Prefix, "/x/2/3"),
            (ImplementationSpecific, "/x/[0-9]"),
            (Exact, "/x/1"),
        ],
        &[
            ("/x", "p0"),
            ("/x/1", "p3"),
            ("/x/2", "p2"),
            ("/x/2/3", "p1"),
            ("/x/9/9", "p0"),
        ],
    ),
    // A regular expression that can't be one spoils itself only.
    (
        "i05.test",
        &[(ImplementationSpecific, "/bad["), (Prefix, "/good")],
        &[("/good", "p1"), ("/bad[", "404"), ("/bad", "404")],
    ),
    // A path is matched in its canonical form.
    (
        "i06.test",
        &[
            (Prefix, "/foo"),
            (Exact, "/foo/bar"),
            (Prefix, "/caf\u{e9}"),
        ],
        &[
            ("//foo", "p0"),
            ("/foo//bar", "p1"),
            ("/x/../foo", "p0"),
            ("/./foo/./bar", "p1"),
            ("/%66oo", "p0"),
            ("/FOO", "404"),
            ("/foo%2Fbar", "307 /foo/bar"),
        ],
    ),
    // Of two expressions of one length the one that sorts last, as in Contour.
    (
        "i07.test",
        &[
            (ImplementationSpecific, "/[a-m]x"),
            (ImplementationSpecific, "/[b-z]x"),
        ],
        &[("/ax", "p0"), ("/cx", "p1"), ("/zx", "p1"), ("/1x", "404")],
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn paths_of_one_host() {
    let (_backends, mut manifests) = apps(BACKENDS).await;
    let authority = Authority::new();
    let mut hosts = Vec::new();
    let mut table: Vec<Row> = Vec::new();
    for (host, rules, rows) in DOCUMENTATION.iter().chain(OURS) {
        // `tls.hosts` is left empty: the hosts of the rules.
        manifests.push(paths(&host.replace('.', "-"), host, rules).tls(&[], "all"));
        hosts.push(*host);
        table.extend(rows.iter().map(|(path, want)| (*host, *path, *want)));
    }
    manifests.push(authority.leaf(&hosts).secret("all"));
    let stand = Stand::start(&manifests).await;
    let pairs = check(&stand, &table, ALL).await;
    assert!(pairs >= 200, "{pairs}");
}
