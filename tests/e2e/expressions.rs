//! Paths that are regular expressions, and paths in every spelling: what is taken is taken by Envoy, and means there
//! what it means here. (Envoy refuses a whole table for one expression; the suite fails when it refuses anything.)

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::check::{PLAIN, Row, apps, check};
use crate::support::manifest::PathType::{Exact, ImplementationSpecific, Prefix};
use crate::support::manifest::ingress;
use crate::support::stand::Stand;

/// Expression, paths that it matches, paths that it does not.
const MEANINGS: &[(&str, &[&str], &[&str])] = &[
    ("/v[0-9]+", &["/v1", "/v123"], &["/v", "/v1/", "/xv1"]),
    ("/v[0-9]{2}", &["/v12"], &["/v1", "/v123"]),
    ("/v[0-9]{2,}", &["/v12", "/v1234"], &["/v1"]),
    ("/v[0-9]{1,2}", &["/v1", "/v12"], &["/v", "/v123"]),
    ("/a{0,2}b+", &["/b", "/aab"], &["/aaab"]),
    (
        "/[^/]+/edit",
        &["/x/edit", "/%C3%A9/edit"],
        &["/x/y/edit", "//edit"],
    ),
    ("/(a|bc)*", &["/", "/a", "/abc"], &["/b", "/ab"]),
    ("/(?:a|b)+", &["/ab"], &["/c", "/"]),
    (
        "/img/.*[.](png|jpg)",
        &["/img/a.png", "/img/a/b.jpg"],
        &["/img/a.gif"],
    ),
    (r"/a\.b*", &["/a.b", "/a."], &["/aXb"]),
    (r"/\d+", &["/42"], &["/x"]),
    (r"/\w+-\W+", &["/a_1-..."], &["/a-b"]),
    (r"/[\d-]+", &["/1-2"], &["/a"]),
    ("/[[:alpha:]]+", &["/aZ"], &["/1"]),
    ("/[[:^digit:]]+", &["/a"], &["/1"]),
    ("/[]x]+", &["/]x"], &["/a"]),
    (r"/[\]x]+", &["/]x"], &["/a"]),
    ("/[a-]+", &["/a-"], &["/b"]),
    ("/a+?b", &["/aab"], &["/b"]),
    (r"/\x61+", &["/aa"], &["/b"]),
    (r"/\x{61}+", &["/aa"], &["/b"]),
    (r"/a\+b", &["/a+b"], &["/aab"]),
    (r"/x\*", &["/x*"], &["/xx"]),
    ("/a$+", &["/a"], &["/ab"]),
    (r"/.*\bword\b.*", &["/a-word-b"], &["/swords"]),
    ("/(|a)+", &["/", "/aa"], &["/b"]),
    ("/[a-c]|/d", &["/a", "/d"], &["/ad"]),
    ("/100%25+", &["/100%25", "/100%2555"], &["/100"]),
    ("/a*;v=[0-9]", &["/aa;v=1", "/;v=2"], &["/a"]),
    ("/a*[?]?", &["/aa", "/aa?q=1"], &["/ab"]),
];

/// Not taken, each by itself: the path next to it is served.
const REFUSED: &[&str] = &[
    "/a**",
    "/a+*",
    "/a{2}{3}b*",
    "/(a{40}){30}b*",
    "/a{1001}+",
    "/[",
    "/(*",
    "/a)+",
    "/(?i)a+",
    "/(?=a)+",
    "/(?P<x>a)+",
    r"/\pN+",
    r"/\u0061+",
    r"/\x{e9}+",
    r"/[a&&b]",
    r"/a\>+",
    r"/\1+",
    r"/\_+",
    "/a{ 2 }+",
    "/[[.a.]]",
    "/[z-a]",
    r"/\Q*\E",
    r"/\C+",
    r"/a\Z+",
    "/*{2",
];

#[tokio::test(flavor = "multi_thread")]
async fn expressions_mean_what_they_say() {
    let (_backends, mut manifests) = apps(&["match", "other"]).await;
    let hosts: Vec<&'static str> = (0..MEANINGS.len() + REFUSED.len())
        .map(|index| &*format!("e{index}.test").leak())
        .collect();
    let rule = |expression: &str, host: &str| {
        let paths = [
            (expression, ImplementationSpecific, "match:80"),
            ("/", Prefix, "other:80"),
        ];
        ingress(&host.replace('.', "-")).rule(host, &paths)
    };
    let mut table: Vec<Row> = Vec::new();
    for ((expression, yes, no), host) in MEANINGS.iter().zip(&hosts) {
        manifests.push(rule(expression, host));
        table.extend(yes.iter().map(|path| (*host, *path, "match")));
        table.extend(no.iter().map(|path| (*host, *path, "other")));
    }
    for (expression, host) in REFUSED.iter().zip(&hosts[MEANINGS.len()..]) {
        manifests.push(rule(expression, host));
        table.push((host, "/a", "other"));
    }
    let stand = Stand::start(&manifests).await;
    check(&stand, &table, PLAIN).await;
    assert_eq!(refused(&stand).await, REFUSED.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_expression_that_is_taken_compiles_in_envoy() {
    const EXPRESSIONS: usize = 1200;
    let mut random = Random {
        state: 0x15_0ba7,
        wild: false,
    };
    let (_backends, mut manifests) = apps(&["web"]).await;
    for index in 0..EXPRESSIONS {
        random.wild = index % 3 == 0;
        let expression = format!("/{}", random.expression(2));
        let host = format!("r{index}.test");
        manifests.push(ingress(&format!("r{index}")).rule(
            &host,
            &[
                // The sign at the end makes it an expression.
                (
                    &format!("{expression}[a]*"),
                    ImplementationSpecific,
                    "web:80",
                ),
                ("/", Prefix, "web:80"),
            ],
        ));
    }
    // The largest that is taken, and many of them.
    for (index, expression) in [
        "/[^/]{150}+",
        "/(?:[a-z]{1,30}/){1,30}[0-9]",
        "/(?:.{80}){2}[a]",
        "/([^a]{0,70}){0,2}[a]",
    ]
    .into_iter()
    .enumerate()
    {
        let host = format!("large{index}.test");
        manifests.push(
            ingress(&format!("large{index}"))
                .rule(&host, &[(expression, ImplementationSpecific, "web:80")]),
        );
    }
    let stand = Stand::start(&manifests).await;
    let taken = EXPRESSIONS - refused(&stand).await;
    println!("{taken} of {EXPRESSIONS} expressions were taken");
    assert!(taken > 500, "{taken}");
    let last = format!("r{}.test", EXPRESSIONS - 1);
    assert_eq!(stand.get(&last, "/-").await.unwrap().backend(), "web");
    let stats = stand.envoy.stats("update_rejected").await.unwrap();
    assert!(stats.values().all(|refused| *refused == 0), "{stats:?}");
}

/// How many paths Isobath refuses.
async fn refused(stand: &Stand) -> usize {
    let metrics = stand.isobath.metrics().await;
    let problems = metrics
        .iter()
        .filter(|(name, _)| name.contains("object_problems") && name.contains("PathNotValid"));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count"
    )]
    problems.map(|(_, count)| *count as usize).sum()
}

/// Expressions from a seed.
struct Random {
    state: u64,
    /// Whether the expression that is made may hold what Isobath or RE2 refuses.
    wild: bool,
}

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        // xorshift64*
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        let number = self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(number).unwrap() % limit
    }

    fn one<'a>(&mut self, good: &[&'a str], wild: &[&'a str]) -> &'a str {
        if self.wild && self.below(4) == 0 {
            wild[self.below(wild.len())]
        } else {
            good[self.below(good.len())]
        }
    }

    fn expression(&mut self, depth: usize) -> String {
        let mut text = String::new();
        for _ in 0..=self.below(4) {
            text.push_str(&self.atom(depth));
            if self.below(2) == 0 {
                text.push_str(self.one(
                    &[
                        "*", "+", "?", "*?", "+?", "??", "{0}", "{3}", "{2,}", "{0,4}", "{2,5}?",
                        "{12}", "{1,9}",
                    ],
                    &[
                        "{31}", "{1,32}", "{1000}", "{1001}", "{,2}", "{ 2 }", "{a}", "**", "+{2}",
                    ],
                ));
            }
        }
        if self.below(5) == 0 {
            text.push('|');
            if self.below(3) > 0 {
                text.push_str(&self.expression(depth.saturating_sub(1)));
            }
        }
        text
    }

    fn atom(&mut self, depth: usize) -> String {
        match self.below(if depth == 0 { 6 } else { 8 }) {
            0 => self
                .one(
                    &[
                        "a", "Z", "9", "-", "_", "~", "/", "%20", ";", "@", "'", "\"", " ", "<",
                        "}", "]", ",", "&", "&&", "--", "#", ":",
                    ],
                    &["{", "{}", ")", "(", "[", "*", "?"],
                )
                .to_owned(),
            1 => self
                .one(
                    &[
                        ".", "^", "$", r"\b", r"\B", r"\A", r"\z", r"\d", r"\D", r"\w", r"\W",
                        r"\s", r"\S",
                    ],
                    &[
                        r"\<",
                        r"\b{start}",
                        r"\pL",
                        r"\h",
                        r"\R",
                        r"\Z",
                        r"\G",
                        r"\K",
                        r"\X",
                    ],
                )
                .to_owned(),
            2 => {
                let sign = char::from(u8::try_from(self.below(94) + 33).unwrap());
                let sign = match sign {
                    _ if self.wild => sign,
                    'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '<' | '>' => '.',
                    other => other,
                };
                format!("\\{sign}")
            }
            3 => self
                .one(
                    &[
                        r"\x41", r"\x{2f}", r"\x{7E}", r"\t", r"\n", r"\r", r"\a", r"\v", r"\f",
                    ],
                    &[
                        r"\x7", r"\x{fF}", r"\u0041", r"\0", r"\07", r"\x{}", r"\1", r"\e",
                    ],
                )
                .to_owned(),
            4 | 5 => self.class(),
            6 => format!("({})", self.expression(depth - 1)),
            _ => format!(
                "{}{})",
                self.one(
                    &["(?:"],
                    &["(?i:", "(?P<n>", "(?<n>", "(?!", "(?#", "(?s-m:", "(?>"]
                ),
                self.expression(depth - 1)
            ),
        }
    }

    fn class(&mut self) -> String {
        let mut text = self.one(&["[", "[", "[^"], &["[]", "[^]", "[-"]).to_owned();
        for _ in 0..=self.below(3) {
            text.push_str(self.one(
                &[
                    "a",
                    "a-z",
                    "0-9",
                    "/",
                    ".",
                    "*",
                    r"\]",
                    r"\-",
                    r"\d",
                    r"\D",
                    r"\W",
                    r"\s",
                    r"\x41",
                    r"\x30-\x39",
                    "[:alpha:]",
                    "[:^alpha:]",
                    "[:word:]",
                    "[:punct:]",
                    "$",
                    " ",
                    "!-~",
                    "&",
                    "%",
                    r"\\",
                    r"\x{21}-\x{7e}",
                ],
                &[
                    "-", "]", "^", "[:nope:]", "&&", "~~", "z-a", "[", r"\b", r"\pL", "+--",
                    r"\x{80}", "a-z-9", "[.a.]", "[=a=]",
                ],
            ));
        }
        text.push(']');
        text
    }
}

/// Every character that the API server takes in a path, as it stands there, in a request as it stands and escaped.
#[tokio::test(flavor = "multi_thread")]
async fn paths_in_every_spelling() {
    let (_backends, mut manifests) = apps(&["match"]).await;
    let characters: Vec<String> = (b'!'..=b'~')
        .map(char::from)
        .chain([' ', 'é', '€', '\u{1f980}'])
        .map(String::from)
        .filter(|text| !"/?#\\%".contains(text.as_str()))
        .collect();
    let paths: Vec<String> = characters.iter().map(|text| format!("/x{text}y")).collect();
    let rule: Vec<_> = paths
        .iter()
        .map(|path| (&**path, Exact, "match:80"))
        .collect();
    let below: Vec<_> = paths
        .iter()
        .map(|path| (&**path, Prefix, "match:80"))
        .collect();
    manifests.extend([
        ingress("exact").rule("exact.test", &rule),
        ingress("prefix").rule("prefix.test", &below),
        ingress("escaped").rule(
            "escaped.test",
            &[
                ("/caf%C3%A9", Exact, "match:80"),
                ("/%7ename/%41", Prefix, "match:80"),
            ],
        ),
        // Nobody can ask for these, and their owner is told.
        ingress("never").rule(
            "never.test",
            &[
                ("/a?b", Exact, "match:80"),
                ("/a#b", Prefix, "match:80"),
                (r"/a\b", Exact, "match:80"),
                ("/a/../b", ImplementationSpecific, "match:80"),
                ("/a//b", ImplementationSpecific, "match:80"),
            ],
        ),
    ]);
    let stand = Stand::start(&manifests).await;
    assert_eq!(refused(&stand).await, 5);
    let mut wrong = Vec::new();
    for (host, end) in [("exact.test", ""), ("prefix.test", "/below")] {
        for text in &characters {
            // What a browser sends: escaped where it must be, and every byte escaped that is no letter.
            let must: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
            let is_plain = text.is_ascii() && !"\"<>^`{|} ".contains(text.as_str());
            let spelling = if is_plain { text } else { &must };
            let mut spellings = vec![spelling.clone()];
            if text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-._~".contains(c))
            {
                spellings.push(must.clone());
            }
            for spelling in spellings {
                let path = format!("/x{spelling}y{end}");
                let status = raw_status(&stand, host, &path).await;
                if status != "200" {
                    wrong.push(format!("{host}{path} for {text:?}: {status}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    check(
        &stand,
        &[
            ("escaped.test", "/caf%C3%A9", "match"),
            ("escaped.test", "/~name/A/b", "match"),
            ("escaped.test", "/%7Ename/%41", "match"),
            ("never.test", "/a", "404"),
            ("never.test", "/b", "404"),
            ("never.test", "/a/b", "404"),
        ],
        PLAIN,
    )
    .await;
}

/// The status of a request whose path is sent byte for byte.
async fn raw_status(stand: &Stand, host: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(stand.isobath.http()).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer);
    answer.split(' ').nth(1).unwrap_or("closed").to_owned()
}
