//! The registry of metrics, and those that belong to the process as a whole.
//!
//! Every module registers its own metrics at wiring time; then the registry is shared and only read. All names begin
//! with `isobath_`, except `process_*`, which every exporter spells the same way.

use std::sync::Arc;

use prometheus_client::encoding::text;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

mod process;

/// The content type of [`Exposition::render`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics, while modules still register theirs.
#[derive(Debug)]
pub struct Metrics {
    root: Registry,
}

/// All metrics, readable from any task.
#[derive(Clone, Debug)]
pub struct Exposition(Arc<Registry>);

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// A registry that has the metrics of the process: build, memory, CPU time, file descriptors, start time.
    #[must_use]
    pub fn new() -> Self {
        let mut metrics = Self {
            root: Registry::default(),
        };
        metrics.registry().register(
            "build",
            "The version that runs",
            Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]),
        );
        metrics.root.register_collector(Box::new(process::Process));
        metrics
    }

    /// Where modules register: what is named `x` here is `isobath_x` on the page.
    pub fn registry(&mut self) -> &mut Registry {
        self.root.sub_registry_with_prefix("isobath")
    }

    /// Ends the registration.
    #[must_use]
    pub fn share(self) -> Exposition {
        Exposition(Arc::new(self.root))
    }
}

impl Exposition {
    /// The page in OpenMetrics text format.
    #[must_use]
    pub fn render(&self) -> String {
        let mut page = String::new();
        // Writing to a String can't fail; a collector that does is a page that ends early, which scrapers notice by
        // its missing `# EOF`.
        let _ = text::encode(&mut page, &self.0);
        page
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use prometheus_client::metrics::counter::Counter;

    use super::*;

    #[test]
    fn the_page_has_the_process_and_what_modules_register() {
        let mut metrics = Metrics::new();
        let requests = Counter::<u64>::default();
        metrics
            .registry()
            .register("requests", "Requests", requests.clone());
        metrics
            .registry()
            .register("others", "Others", Counter::<u64>::default());
        requests.inc_by(3);
        let page = metrics.share().render();
        for line in [
            "isobath_build_info{version=\"0.1.0\"} 1",
            "isobath_requests_total 3",
            "isobath_others_total 0",
            "# EOF",
        ] {
            assert!(page.lines().any(|l| l == line), "{line} is not in\n{page}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_process_figures_are_plausible() {
        let page = Metrics::new().share().render();
        let figure = |name: &str| -> f64 {
            let line = page
                .lines()
                .find(|line| line.starts_with(&format!("{name} ")));
            line.unwrap_or_else(|| panic!("no {name} in\n{page}"))
                .rsplit(' ')
                .next()
                .unwrap()
                .parse()
                .unwrap()
        };
        assert!(figure("process_resident_memory_bytes") > 1e6);
        assert!(figure("process_cpu_seconds_total") >= 0.0);
        assert!(figure("process_open_fds") >= 3.0);
        let start = figure("process_start_time_seconds");
        let now = jiff::Timestamp::now().as_second() as f64;
        assert!(start > now - 86_400.0 && start < now + 2.0, "{start} {now}");
    }
}
