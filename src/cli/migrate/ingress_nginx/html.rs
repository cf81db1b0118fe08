//! The report as one page, which prints well: no script, nothing from elsewhere.

use std::fmt::Write as _;

use super::written::{head, totals};
use super::{Moves, Verdict};

const STYLE: &str = "body{font:14px/1.45 system-ui,sans-serif;margin:2em auto;max-width:60em;color:#111}\
h1{font-size:1.5em}h2{font-size:1.05em;margin:1.6em 0 .3em;break-after:avoid}\
table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;padding:.2em .6em;border-bottom:1px solid #ccc}\
tr{break-inside:avoid}td:first-child{white-space:nowrap;font-weight:600}code{font-size:.95em}\
.closed,.refused{color:#a40000}.differs{color:#8a5a00}.withoutEffect,.same{color:#35603a}\
@media print{body{margin:0;max-width:none;font-size:10pt}a{color:inherit}}";

/// One page.
#[must_use]
pub fn html(moves: &Moves) -> String {
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>From ingress-nginx to Isobath</title><style>{STYLE}</style></head>\n<body><h1>From ingress-nginx to Isobath</h1>\n<p>{}</p>\n",
        escaped(&totals(moves))
    );
    for ingress in moves.all() {
        let _ = writeln!(out, "<h2>{}</h2>", escaped(&head(ingress)));
        if ingress.lines.is_empty() {
            out.push_str("<p>Nothing is said in the dialect.</p>\n");
            continue;
        }
        out.push_str(
            "<table><tr><th>verdict</th><th>annotation or field</th><th>how, or why</th></tr>\n",
        );
        for line in &ingress.lines {
            let _ = writeln!(
                out,
                "<tr class=\"{}\"><td>{}</td><td><code>{}</code></td><td>{}</td></tr>",
                line.verdict.key(),
                line.verdict.word(),
                escaped(&line.what),
                escaped(&line.text)
            );
        }
        out.push_str("</table>\n");
    }
    if !moves.unread.is_empty() {
        out.push_str("<h2>Not read</h2>\n<ul>\n");
        for unread in &moves.unread {
            let _ = writeln!(out, "<li>{}</li>", escaped(unread));
        }
        out.push_str("</ul>\n");
    }
    if let Some(replay) = &moves.replay {
        let class = match replay.differs() {
            true => Verdict::Refused,
            false => Verdict::Same,
        };
        let _ = writeln!(
            out,
            "<h2>Replay</h2>\n<pre class=\"{}\">{}</pre>",
            class.key(),
            escaped(&replay.to_string())
        );
    }
    out.push_str("</body></html>\n");
    out
}

/// Text that is no markup.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn nothing_of_an_object_is_markup() {
        assert_eq!(escaped("<a b=\"&\">"), "&lt;a b=&quot;&amp;&quot;&gt;");
    }
}
