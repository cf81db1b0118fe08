//! What the kernel says about this process, read when the page is asked for.

use std::fmt;
use std::fs;

use nix::unistd::{SysconfVar, sysconf};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

/// The collector of `process_*`, under the names that Prometheus's client libraries agreed on
/// (<https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics>). Where there is no `/proc` it has
/// nothing to say.
#[derive(Debug)]
pub(super) struct Process;

/// The fields of `/proc/self/stat` that are of use, in seconds and bytes.
struct Figures {
    cpu: f64,
    start: f64,
    resident: u64,
    descriptors: Option<u64>,
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Some(figures) = Figures::read() else {
            return Ok(());
        };
        ConstCounter::new(figures.cpu).encode(encoder.encode_descriptor(
            "process_cpu",
            "User and system CPU time spent",
            Some(&Unit::Seconds),
            MetricType::Counter,
        )?)?;
        ConstGauge::new(figures.start).encode(encoder.encode_descriptor(
            "process_start_time",
            "Start of the process since the Unix epoch",
            Some(&Unit::Seconds),
            MetricType::Gauge,
        )?)?;
        ConstGauge::new(figures.resident).encode(encoder.encode_descriptor(
            "process_resident_memory",
            "Resident memory",
            Some(&Unit::Bytes),
            MetricType::Gauge,
        )?)?;
        if let Some(descriptors) = figures.descriptors {
            ConstGauge::new(descriptors).encode(encoder.encode_descriptor(
                "process_open_fds",
                "Open file descriptors",
                None,
                MetricType::Gauge,
            )?)?;
        }
        Ok(())
    }
}

impl Figures {
    fn read() -> Option<Self> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        let ticks = setting(SysconfVar::CLK_TCK)?;
        // proc(5): the second field is the program's name in parentheses, which may hold spaces; the third is at [0].
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        let (user, system, start, pages) = (number(14)?, number(15)?, number(22)?, number(24)?);
        let boot: f64 = fs::read_to_string("/proc/stat")
            .ok()?
            .lines()
            .find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok())?;
        Some(Self {
            cpu: (user + system) as f64 / ticks,
            start: boot + start as f64 / ticks,
            resident: pages * setting(SysconfVar::PAGE_SIZE)? as u64,
            descriptors: fs::read_dir("/proc/self/fd")
                .ok()
                .map(|entries| entries.count() as u64),
        })
    }
}

fn setting(variable: SysconfVar) -> Option<f64> {
    sysconf(variable).ok().flatten().map(|value| value as f64)
}
