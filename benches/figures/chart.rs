//! One chart: each figure that has a limit beside it, on one logarithmic scale per unit.

use std::fmt::Write as _;

use crate::report::{Report, Row};

const LEFT: f64 = 430.0;
const WIDTH: f64 = 620.0;
const LINE: f64 = 30.0;

/// The figures that were compared with the null control plane, as pairs of bars.
pub fn svg(report: &Report) -> String {
    let rows: Vec<&Row> = report
        .rows
        .iter()
        .filter(|row| row.null.is_some())
        .collect();
    #[allow(clippy::cast_precision_loss)]
    let height = 70.0 + LINE * rows.len() as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{:.0}\" height=\"{height:.0}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"10\" y=\"20\" font-size=\"15\">Isobath (dark) beside the limit (light); logarithmic, each unit by \
         itself</text>\n<text x=\"10\" y=\"38\" fill=\"#666\">{}</text>\n",
        LEFT + WIDTH + 40.0,
        escape(&report.machine)
    );
    for (index, row) in rows.iter().enumerate() {
        let same_unit = || {
            let of = rows.iter().filter(|other| other.unit == row.unit);
            of.flat_map(|row| [row.ours, row.null.unwrap_or(row.ours)])
        };
        let (least, most) = (
            same_unit().fold(f64::MAX, f64::min),
            same_unit().fold(0.0, f64::max),
        );
        let length = |value: f64| {
            let (least, most) = ((least / 2.0).max(1e-9).ln(), most.max(1e-9).ln());
            ((value.max(1e-9).ln() - least) / (most - least).max(1e-9) * WIDTH * 0.72).max(1.0)
        };
        #[allow(clippy::cast_precision_loss)]
        let top = 54.0 + LINE * index as f64;
        let null = row.null.unwrap_or_default();
        let label = match row.hosts {
            Some(hosts) => format!("{} ({hosts} hosts)", row.figure),
            None => row.figure.clone(),
        };
        let text = format!(
            "{:.3} {} · {:.2} ×",
            row.ours,
            row.unit,
            row.ratio.unwrap_or_default()
        );
        let (ours, at) = (length(row.ours), LEFT + length(row.ours.max(null)) + 6.0);
        let _ = writeln!(
            svg,
            "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{}</text>\
             <rect x=\"{LEFT}\" y=\"{top:.0}\" width=\"{ours:.1}\" height=\"11\" fill=\"#1b4d6b\"/>\
             <rect x=\"{LEFT}\" y=\"{:.0}\" width=\"{:.1}\" height=\"9\" fill=\"#a9c8d8\"/>\
             <text x=\"{at:.0}\" y=\"{:.0}\" fill=\"#333\">{}</text>",
            LEFT - 8.0,
            top + 14.0,
            escape(&label),
            top + 12.0,
            length(null),
            top + 14.0,
            escape(&text),
        );
    }
    svg += "</svg>\n";
    svg
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
