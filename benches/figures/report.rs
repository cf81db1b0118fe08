//! What was measured, as a table and as JSON.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

/// One figure.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub figure: String,
    /// The hosts of the world that it was measured in.
    pub hosts: Option<usize>,
    pub unit: &'static str,
    pub ours: f64,
    /// The null control plane, or the bare download.
    pub null: Option<f64>,
    /// Ours ÷ null: where both took turns, the median of the turns' ratios.
    pub ratio: Option<f64>,
    pub target: Option<Target>,
    pub met: Option<bool>,
}

/// What a figure must show.
#[derive(Clone, Copy, Debug, Serialize)]
pub enum Target {
    /// Of ours, in the figure's unit.
    AtMost(f64),
    /// Of the ratio to null.
    Ratio(f64),
}

/// All figures.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    pub command: String,
    pub machine: String,
    /// What ours are compared with, where it is not the null control plane.
    pub other: &'static str,
    pub rows: Vec<Row>,
    pub notes: Vec<String>,
}

/// Median and 99th percentile.
#[derive(Clone, Copy, Debug)]
pub struct Summary {
    pub p50: f64,
    pub p99: f64,
}

/// Of any values.
pub fn summary(values: &[f64]) -> Summary {
    Summary {
        p50: quantile(values, 0.5),
        p99: quantile(values, 0.99),
    }
}

/// The middle one.
pub fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]
fn quantile(values: &[f64], of: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (sorted.len() as f64 * of) as usize;
    sorted
        .get(at.min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or(f64::NAN)
}

/// In milliseconds.
pub fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

impl Report {
    /// Adds a figure and prints it at once, so that a long run can be followed.
    pub fn add(
        &mut self,
        figure: &str,
        hosts: Option<usize>,
        unit: &'static str,
        ours: f64,
    ) -> &mut Row {
        eprintln!("  {figure} [{}]: {ours:.3} {unit}", hosts.unwrap_or(0));
        self.rows.push(Row {
            figure: figure.to_owned(),
            hosts,
            unit,
            ours,
            null: None,
            ratio: None,
            target: None,
            met: None,
        });
        let last = self.rows.len() - 1;
        &mut self.rows[last]
    }

    /// Adds value(10 k) ÷ value(1 k) of a figure.
    pub fn slope(&mut self, figure: &str) {
        let of = |hosts| {
            let mut rows = self.rows.iter();
            rows.find(|row| row.figure == figure && row.hosts == Some(hosts))
                .map(|row| row.ours)
        };
        if let (Some(small), Some(large)) = (of(1_000), of(10_000)) {
            let name = format!("slope 10k ÷ 1k: {figure}");
            self.add(&name, None, "×", large / small);
        }
    }

    /// The table, as Markdown.
    pub fn table(&self) -> String {
        let mut table = format!("{}\n{}\n\n", self.command, self.machine);
        let other = if self.other.is_empty() {
            "null"
        } else {
            self.other
        };
        let _ = writeln!(
            table,
            "| figure | hosts | ours | {other} | ours ÷ {other} | target | |\n|---|--:|--:|--:|--:|---|---|"
        );
        for row in &self.rows {
            let number = |value: f64| format!("{value:.*}", if value.abs() < 10.0 { 3 } else { 1 });
            let hosts = row
                .hosts
                .map_or_else(String::new, |hosts| hosts.to_string());
            let null = row
                .null
                .map_or_else(String::new, |null| format!("{} {}", number(null), row.unit));
            let ratio = row
                .ratio
                .map_or_else(String::new, |ratio| format!("{ratio:.2}"));
            let target = match row.target {
                None => String::new(),
                Some(Target::AtMost(most)) => format!("≤ {most} {}", row.unit),
                Some(Target::Ratio(most)) => format!("≤ {most} × {other}"),
            };
            let met = match row.met {
                None => "",
                Some(true) => "met",
                Some(false) => "**missed**",
            };
            let (figure, ours, unit) = (&row.figure, number(row.ours), row.unit);
            let _ = writeln!(
                table,
                "| {figure} | {hosts} | {ours} {unit} | {null} | {ratio} | {target} | {met} |"
            );
        }
        for note in &self.notes {
            let _ = writeln!(table, "\n{note}");
        }
        table
    }

    /// Writes `figures.md` and `figures.json`.
    pub fn write(&self, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder)?;
        std::fs::write(folder.join("figures.md"), self.table())?;
        std::fs::write(
            folder.join("figures.json"),
            serde_json::to_string_pretty(self)?,
        )?;
        Ok(())
    }
}

impl Row {
    /// Sets what it is compared with, and the ratio of the two.
    pub fn against(&mut self, null: f64) -> &mut Self {
        let ratio = self.ours / null;
        self.against_with(null, ratio)
    }

    /// The same with a ratio that was made otherwise.
    pub fn against_with(&mut self, null: f64, ratio: f64) -> &mut Self {
        eprintln!("      null {null:.3}, ratio {ratio:.2}");
        self.null = Some(null);
        self.ratio = Some(ratio);
        self
    }

    /// Sets the target, and judges.
    pub fn target(&mut self, target: Target) -> &mut Self {
        self.target = Some(target);
        self.met = match target {
            Target::AtMost(most) => Some(self.ours <= most),
            Target::Ratio(most) => self.ratio.map(|ratio| ratio <= most),
        };
        self
    }
}
