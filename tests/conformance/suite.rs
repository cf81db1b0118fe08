//! The suite: its test binary, its flags, what it says.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

/// Where the programs lie that `tests/conformance/build.sh` makes.
const PROGRAMS: &str = "ISOBATH_TEST_CONFORMANCE";

/// What was built; `None`, with a loud line, where it was not and this is not CI.
pub(crate) struct Suite(PathBuf);

impl Suite {
    pub(crate) fn find() -> Option<Self> {
        if let Some(folder) = std::env::var_os(PROGRAMS) {
            return Some(Self(folder.into()));
        }
        assert!(
            std::env::var("CI").as_deref() != Ok("true"),
            "{PROGRAMS} is not set on CI"
        );
        eprintln!("SKIPPED: {PROGRAMS} is not set (tests/conformance/build.sh builds it)");
        None
    }

    /// The suite's echo server, by all protocols.
    pub(crate) fn echo_basic(&self) -> PathBuf {
        self.0.join("echo-basic")
    }

    /// The folder with the definitions of a channel.
    pub(crate) fn crds(&self, channel: &str) -> PathBuf {
        self.0.join("crds").join(channel)
    }

    /// Runs it with these flags. Its report comes to `report`, all that it says beside it.
    pub(crate) async fn run(&self, kubeconfig: &Path, flags: &[String], report: &Path) -> Verdict {
        let log = report.with_extension("log");
        let file = fs::File::create(&log).unwrap();
        let status = Command::new(self.0.join("suite"))
            .args(["-test.v", "-test.timeout=30m"])
            .args(flags)
            .arg(format!("-report-output={}", report.display()))
            .env("KUBECONFIG", kubeconfig)
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .kill_on_drop(true)
            .status();
        let status = tokio::time::timeout(Duration::from_secs(31 * 60), status)
            .await
            .expect("the suite ends by its own time-out")
            .unwrap();
        let text = fs::read_to_string(&log).unwrap();
        Verdict::of(status.success(), &text)
    }
}

/// What became of each test, by the suite's own lines: its report alone hides tests that belong to no profile.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) success: bool,
    pub(crate) passed: BTreeSet<String>,
    pub(crate) failed: BTreeSet<String>,
    pub(crate) skipped: BTreeSet<String>,
}

impl Verdict {
    fn of(success: bool, log: &str) -> Self {
        let mut verdict = Self {
            success,
            ..Self::default()
        };
        for line in log.lines() {
            let Some((kind, rest)) = line
                .trim_start()
                .strip_prefix("--- ")
                .and_then(|rest| rest.split_once(": "))
            else {
                continue;
            };
            let name = rest.split_once(" (").map_or(rest, |(name, _)| name);
            let Some(name) = name.strip_prefix("TestConformance/") else {
                continue;
            };
            let list = match kind {
                "PASS" => &mut verdict.passed,
                "FAIL" => &mut verdict.failed,
                "SKIP" => &mut verdict.skipped,
                _ => continue,
            };
            list.insert(name.to_owned());
        }
        verdict
    }

    /// How many tests passed; what a test asks within itself is no test of its own.
    pub(crate) fn tests_passed(&self) -> usize {
        let top = |name: &&String| !name.contains('/');
        self.passed.iter().filter(top).count()
    }
}

#[test]
fn lines_are_read() {
    let log = "=== RUN   TestConformance/A\n    --- PASS: TestConformance/A (0.10s)\n        \
               --- SKIP: TestConformance/A/six (0.00s)\n    --- FAIL: TestConformance/B (1.00s)\nFAIL\n";
    let set = |names: &[&str]| names.iter().map(ToString::to_string).collect();
    let wanted = Verdict {
        success: false,
        passed: set(&["A"]),
        failed: set(&["B"]),
        skipped: set(&["A/six"]),
    };
    assert_eq!(Verdict::of(false, log), wanted);
    assert_eq!(wanted.tests_passed(), 1);
}
