//! A real Envoy. It fails any test in whose course it refused an update, without the test saying so.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use nix::sys::signal::Signal;

use super::client::Connection;
use super::eventually::eventually;
use super::process::Process;

/// A running Envoy, spoken to through its admin socket.
#[derive(Debug)]
pub(crate) struct Envoy {
    process: Process,
    admin: PathBuf,
}

impl Envoy {
    /// Starts Envoy with a bootstrap whose admin listens on the socket `admin`. It is not ready yet.
    pub(crate) fn start(bootstrap: &Path, admin: &Path, log: &Path) -> Self {
        Self::start_with(bootstrap, admin, log, &[])
    }

    /// The same with more arguments.
    pub(crate) fn start_with(
        bootstrap: &Path,
        admin: &Path,
        log: &Path,
        arguments: &[&str],
    ) -> Self {
        let mut command = Command::new(binary());
        command
            .arg("--config-path")
            .arg(bootstrap)
            // Several run on one host, and none may die with the thread that started it.
            .arg("--disable-hot-restart")
            .args(["--concurrency", "2", "--log-level", "warning"])
            // What a pod's resolv.conf says.
            .env("LOCALDOMAIN", "svc.cluster.local")
            .env("RES_OPTIONS", "ndots:5")
            .args(arguments);
        Self {
            process: Process::start("Envoy", &mut command, log),
            admin: admin.to_owned(),
        }
    }

    /// Waits until it is LIVE: every listener of its first configuration is there.
    pub(crate) async fn live(&mut self) {
        eventually("Envoy is LIVE", async || {
            self.process.assert_running();
            let answer = self.get("/ready").await?;
            ensure!(answer == "LIVE\n", "{answer}");
            Ok(())
        })
        .await;
    }

    /// One page of its admin.
    pub(crate) async fn get(&self, path: &str) -> Result<String> {
        page(&self.admin, path).await
    }

    /// Its admin socket.
    pub(crate) fn admin(&self) -> &Path {
        &self.admin
    }

    /// The counters and gauges whose names match this regular expression.
    pub(crate) async fn stats(&self, filter: &str) -> Result<BTreeMap<String, u64>> {
        stats(&self.admin, filter).await
    }

    /// One counter or gauge; zero where Envoy has not made it yet.
    pub(crate) async fn stat(&self, name: &str) -> u64 {
        let stats = self.stats(&format!("^{}$", name.replace('.', "\\."))).await;
        stats.unwrap().get(name).copied().unwrap_or(0)
    }

    /// What must not move when nothing has changed.
    pub(crate) async fn modifications(&self) -> BTreeMap<String, u64> {
        self.stats(
            "^(listener_manager.listener_(added|modified|removed|in_place_updated)\
             |cluster_manager.cluster_(added|modified|removed)|.*ssl_context_update_by_sds|.*config_reload)$",
        )
        .await
        .unwrap()
        .into_iter()
        // Scopes that come again count there, though nothing of them has changed.
        .filter(|(name, _)| !name.contains("scoped_rds"))
        .collect()
    }

    /// Kills it: nothing is asked of it at the end.
    pub(crate) async fn kill(mut self) {
        self.process.signal(Signal::SIGKILL);
        self.process.end().await;
    }

    /// Its process.
    pub(crate) fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        if std::thread::panicking() || self.process.ended().is_some() {
            return;
        }
        let admin = self.admin.clone();
        // Drop can't await, so this has a thread and a runtime of its own.
        let stats = std::thread::spawn(move || {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = runtime.enable_all().build().unwrap();
            runtime.block_on(stats(&admin, "update_rejected")).unwrap()
        });
        let mut refused = stats.join().unwrap();
        refused.retain(|_, count| *count > 0);
        assert!(refused.is_empty(), "Envoy has refused: {refused:?}");
    }
}

/// The path of the Envoy to test with.
pub(crate) fn binary() -> PathBuf {
    std::env::var_os("ISOBATH_TEST_ENVOY")
        .expect("ISOBATH_TEST_ENVOY names the Envoy binary to test with; `make test` sets it")
        .into()
}

/// One page of the admin that listens on this socket.
pub(crate) async fn page(admin: &Path, path: &str) -> Result<String> {
    let answer = Connection::unix(admin).await?.get("admin", path).await?;
    Ok(answer.text())
}

/// The counters and gauges whose names match this regular expression.
pub(crate) async fn stats(admin: &Path, filter: &str) -> Result<BTreeMap<String, u64>> {
    let filter: String = filter.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let text = page(admin, &format!("/stats?filter={filter}")).await?;
    text.lines()
        .filter(|line| !line.contains("No recorded values") && !line.contains("P0("))
        .map(|line| {
            let (name, value) = line.rsplit_once(": ").context("no value")?;
            Ok((
                name.to_owned(),
                value.parse().with_context(|| line.to_owned())?,
            ))
        })
        .collect()
}
