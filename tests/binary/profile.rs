//! Profiles of a binary that works: in both forms, one after the other, with the names of this crate's functions.
//!
//! Twice in the ordinary run; `ISOBATH_SOAK=1` makes it a hundred times (`ISOBATH_SOAK=1 make build`: of the release). A static binary is profiled in what a pod gives
//! it: a read-only root with nothing but itself in it, a small /tmp, and the user of the manifests.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use flate2::read::GzDecoder;
use nix::sys::signal::Signal;
use prost::Message as _;

use crate::elf::Elf;
use crate::subject::{Place, Serve, Subject, subjects};
use crate::support::client::{Connection, Version};
use crate::support::manifest::{self, Manifest, endpoint_slice, service, site};

#[path = "../../src/process/profile/encode.rs"]
#[allow(dead_code)]
mod encode;

/// Hosts that are read and translated again and again while profiles are taken: by an optimised binary, and by another.
const MANY_HOSTS: usize = 3000;
const HOSTS: usize = 300;

/// Samples that say something of where they were taken.
const SAMPLES: i64 = 50;

/// Bounds the wait for them: a hundred profiles and flame graphs take 200 s on any machine.
const PATIENCE: Duration = Duration::from_secs(400);

/// The memory limit of the manifests, in KiB.
const LIMIT: u64 = 512 * 1024;

/// What all profiles of one process come to, in samples.
#[derive(Debug, Default)]
struct Seen {
    samples: i64,
    /// The function at the top of the stack has a name.
    named: i64,
    /// A function of this crate is on the stack.
    ours: i64,
    /// Functions of this crate by how often they were the topmost of this crate's.
    tops: BTreeMap<String, i64>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_working_binary_can_be_profiled_again_and_again() {
    let times = if std::env::var_os("ISOBATH_SOAK").is_some() {
        100
    } else {
        2
    };
    // An emulator can't be profiled: it is the emulator that the timer interrupts.
    for subject in subjects().iter().filter(|subject| subject.is_native()) {
        profile(subject, times).await;
    }
}

async fn profile(subject: &Subject, times: usize) {
    let is_static = Elf::read(subject.path()).is_static();
    let place = if is_static && nix::unistd::Uid::effective().is_root() {
        Place::Pod
    } else {
        Place::Here
    };
    let hosts = if is_static { MANY_HOSTS } else { HOSTS };
    let serve = Serve::start(subject, &manifests(hosts, 0), place).await;
    let admin = serve.admin.address();
    let pid = serve.process.pid();
    // Written beforehand: the binary is to be busy, not this test.
    let texts = [1, 2].map(|round| manifest::text(&manifests(hosts, round)));
    let done = Arc::new(AtomicBool::new(false));
    let load = std::thread::spawn({
        let done = done.clone();
        move || {
            let mut serve = serve;
            for text in texts.iter().cycle() {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                serve.process.assert_running();
                serve.write(text);
                std::thread::sleep(Duration::from_millis(20));
            }
            serve
        }
    });

    let mut seen = Seen::default();
    let mut connection = Connection::open(admin, Version::H1, None).await.unwrap();
    let end = Instant::now() + PATIENCE;
    let (mut profiles, mut pictures) = (0, 0);
    // A sample is a hundredth of a second of processor time: on a busy machine a profile has few, or none.
    while profiles < times || pictures < times || seen.samples < SAMPLES {
        assert!(Instant::now() < end, "{pictures} flame graphs, {seen:?}");
        let answer = connection
            .get("localhost", "/debug/pprof/profile?seconds=1")
            .await
            .unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        let mut bytes = Vec::new();
        GzDecoder::new(&*answer.body)
            .read_to_end(&mut bytes)
            .unwrap();
        seen.add(&encode::Profile::decode(&*bytes).unwrap());
        profiles += 1;
        let answer = connection
            .get(
                "localhost",
                "/debug/pprof/profile?seconds=1&format=flamegraph",
            )
            .await
            .unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        let picture = answer.text();
        assert!(
            picture.contains("<svg"),
            "{}",
            &picture[..picture.len().min(1000)]
        );
        pictures += usize::from(picture.contains("isobath::"));
    }
    // It did not stall: its pages answer at once, and it goes on.
    let ready = connection.get("localhost", "/readyz").await.unwrap();
    assert_eq!(ready.status, 200);
    let most = most_memory(pid.as_raw()).unwrap();
    done.store(true, Ordering::Relaxed);
    let mut serve = load.join().unwrap();
    serve.process.assert_running();
    eprintln!(
        "{}, {place:?}: {profiles} profiles and {pictures} flame graphs with names; {} samples, {} % topped by a name, {} % of this crate; at most {} MiB; {:#?}",
        subject.path().display(),
        seen.samples,
        seen.named * 100 / seen.samples.max(1),
        seen.ours * 100 / seen.samples.max(1),
        most / 1024,
        seen.busiest(),
    );
    assert!(seen.named * 100 >= seen.samples * 90, "{seen:?}");
    assert!(seen.ours * 100 >= seen.samples * 50, "{seen:?}");
    assert!(most < LIMIT, "{most} KiB");
    serve.process.signal(Signal::SIGTERM);
    assert_eq!(serve.process.end().await.code(), Some(0));
}

impl Seen {
    fn add(&mut self, profile: &encode::Profile) {
        let functions = |location: u64| {
            let location = &profile.location[usize::try_from(location).unwrap() - 1];
            location.line.iter().map(|line| {
                let function = &profile.function[usize::try_from(line.function_id).unwrap() - 1];
                profile.string_table[usize::try_from(function.name).unwrap()].as_str()
            })
        };
        for sample in &profile.sample {
            let count = sample.value[0];
            let stack: Vec<&str> = sample
                .location_id
                .iter()
                .flat_map(|id| functions(*id))
                .collect();
            self.samples += count;
            let is_named = |name: &&&str| !name.is_empty() && **name != "Unknown";
            if stack.first().filter(is_named).is_some() {
                self.named += count;
            }
            if let Some(top) = stack.iter().find(|name| name.contains("isobath::")) {
                self.ours += count;
                *self.tops.entry((*top).to_owned()).or_default() += count;
            }
        }
    }

    fn busiest(&self) -> Vec<(&String, &i64)> {
        let mut all: Vec<_> = self.tops.iter().collect();
        all.sort_by_key(|(_, count)| -**count);
        all.truncate(8);
        all
    }
}

/// The same hosts each time, with something different on each.
fn manifests(hosts: usize, round: usize) -> Vec<Manifest> {
    let mut all = vec![
        service("web"),
        endpoint_slice("web-1", "web", "", &["10.1.2.3"], 8080, true),
    ];
    all.extend((0..hosts).map(|number| {
        site(
            &format!("site-{number}"),
            &format!("host-{number}.test"),
            "web:80",
        )
        .annotate("isobath.dev/request-headers", &format!("X-Round: {round}"))
    }));
    all
}

/// The most that was ever resident, in KiB.
fn most_memory(pid: i32) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let value = line.and_then(|line| line.trim().strip_suffix(" kB"));
    ensure!(value.is_some(), "no VmHWM in {status}");
    Ok(value.unwrap_or_default().parse()?)
}
