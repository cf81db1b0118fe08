//! Logs: text on a terminal, JSON otherwise, always on standard error (standard output belongs to results).

use std::fs::File;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::fd::AsFd as _;
use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{OnceLock, PoisonError, RwLock};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, reload};

/// Flags of the log.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Log")]
pub struct Args {
    /// How log lines are written; `auto` is text on a terminal and JSON otherwise.
    #[arg(
        long,
        env = "ISOBATH_LOG_FORMAT",
        value_name = "FORMAT",
        default_value = "auto",
        global = true
    )]
    pub log_format: Format,
    /// What is logged: a level (off, error, warn, info, debug, trace) for the lines of Isobath, or a list such as
    /// `info,isobath::xds=debug`. The targets are isobath::sources, isobath::status, isobath::xds and so on, envoy, and the
    /// names of libraries, whose lines are shown only where they are named. The reason that the process ends for is
    /// written at any level.
    #[arg(
        long,
        env = "ISOBATH_LOG_LEVEL",
        value_name = "FILTER",
        default_value = "info",
        value_parser = filter,
        global = true
    )]
    pub log_level: String,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Text when standard error is a terminal, JSON otherwise.
    Auto,
    /// For people.
    Text,
    /// One object per line, fields at its top level.
    Json,
}

impl Format {
    fn is_json(self) -> bool {
        match self {
            Self::Auto => !io::stderr().is_terminal(),
            Self::Text => false,
            Self::Json => true,
        }
    }
}

/// Whether lines are JSON: what is written beside the subscriber has its form.
static JSON: AtomicBool = AtomicBool::new(false);

/// The filter of a log that was started.
struct Filter {
    handle: reload::Handle<EnvFilter, Registry>,
    /// What the flag says.
    of_flag: String,
    /// What is in force.
    in_force: RwLock<String>,
}

/// The process has one log.
static FILTER: OnceLock<Filter> = OnceLock::new();

/// Starts the log and installs the panic hook. To be called once, by the program and never by the library's tests:
/// the hook aborts.
pub fn init(args: &Args) {
    let json = args.log_format.is_json();
    JSON.store(json, Ordering::Relaxed);
    let filter = EnvFilter::try_new(ours(&args.log_level));
    let filter = filter.unwrap_or_else(|_| EnvFilter::new(ours("info")));
    let (filter, handle) = reload::Layer::new(filter);
    let registry = tracing_subscriber::registry().with(filter);
    FILTER.get_or_init(|| Filter {
        handle,
        of_flag: args.log_level.clone(),
        in_force: RwLock::new(args.log_level.clone()),
    });
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        // The subscriber would report a failed write to standard error, which is what failed, and panic.
        .log_internal_errors(false);
    // An error means that a subscriber is there already: it stays.
    let _ = if json {
        registry.with(layer.json().flatten_event(true)).try_init()
    } else {
        registry
            .with(layer.with_ansi(io::stderr().is_terminal()))
            .try_init()
    };
    // A panic is the end in every profile: `panic = "abort"` of the release profile must not be the only thing that
    // makes it so, or development builds would limp on where releases die.
    std::panic::set_hook(Box::new(move |panic| {
        write_whole(&fatal_panic(panic, json));
        std::process::abort();
    }));
}

/// Logs what this filter says from now on ([`filter`] has read it), or what the flag says again. Without a log that was started
/// nothing is done.
pub fn set(filter: Option<&str>) {
    let Some(log) = FILTER.get() else { return };
    let wanted = filter.unwrap_or(&log.of_flag);
    let Ok(filter) = EnvFilter::try_new(ours(wanted)) else {
        return;
    };
    if log.handle.reload(filter).is_ok() {
        let mut in_force = log.in_force.write().unwrap_or_else(PoisonError::into_inner);
        wanted.clone_into(&mut in_force);
    }
}

/// What the log's filter is now; nothing without a log that was started.
#[must_use]
pub fn filter_in_force() -> String {
    let in_force = FILTER.get().map(|log| {
        let in_force = log.in_force.read().unwrap_or_else(PoisonError::into_inner);
        in_force.clone()
    });
    in_force.unwrap_or_default()
}

/// Writes the process's last line: the reason that it ends for. No filter holds it back.
pub fn fatal(error: &anyhow::Error) {
    // One line, whatever the causes say.
    let reason = format!("{error:#}").replace('\n', " ");
    write_whole(&line(
        &format!("fatal: {reason}"),
        JSON.load(Ordering::Relaxed),
    ));
}

/// A level alone is one of our own lines and of Envoy's (`isobath run`). Libraries repeat what our lines say already, in
/// words that nobody can act on (kube's ERROR for a failed request names no server): theirs are asked for by their names.
fn ours(filter: &str) -> String {
    let parts = filter
        .split(',')
        .map(str::trim)
        .map(|part| match part.parse::<LevelFilter>() {
            Ok(level) => format!("off,isobath={level},envoy={level}"),
            Err(_) => part.to_owned(),
        });
    parts.collect::<Vec<_>>().join(",")
}

/// Reads a filter. A word by itself is a level or a target of ours: the filter's own syntax takes any other for the target
/// of somebody, and then logs nothing.
///
/// # Errors
///
/// One sentence that says what is wrong with it.
pub fn filter(value: &str) -> Result<String, String> {
    let directives: Vec<_> = value.split(',').map(directive).collect::<Result<_, _>>()?;
    let filter = directives.join(",");
    match EnvFilter::try_new(&filter) {
        Ok(_) => Ok(filter),
        Err(error) => Err(error.to_string()),
    }
}

fn directive(text: &str) -> Result<String, String> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let text = text.trim();
    let (target, level) = match text.rsplit_once('=') {
        Some((target, level)) => (Some(target), level),
        None => (None, text),
    };
    let level = match level.to_ascii_lowercase().as_str() {
        "warning" => "warn",
        known => LEVELS
            .into_iter()
            .find(|name| *name == known)
            .unwrap_or(level),
    };
    let is_target = |word: &str| word.starts_with("isobath") || word == "envoy";
    match target {
        Some(target) => Ok(format!("{target}={level}")),
        None if LEVELS.contains(&level) || is_target(level) => Ok(level.to_owned()),
        None => Err(format!(
            "`{text}` is none of {}; a target has a level, as in isobath::xds=debug",
            LEVELS.join(", ")
        )),
    }
}

fn fatal_panic(panic: &PanicHookInfo<'_>, json: bool) -> String {
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("unnamed");
    let place = panic
        .location()
        .map_or_else(String::new, |place| format!(" at {place}"));
    let payload = panic.payload();
    let reason = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    line(
        &format!("fatal: panic in thread {thread}{place}: {reason}"),
        json,
    )
}

/// One log line in the same form as the subscriber's.
fn line(message: &str, json: bool) -> String {
    let time = jiff::Timestamp::now();
    if json {
        let object = serde_json::json!({
            "timestamp": format!("{time:.6}"),
            "level": "ERROR",
            "message": message,
            "target": "isobath",
        });
        format!("{object}\n")
    } else {
        format!("{time:.6} ERROR isobath: {}\n", message.replace('\n', " "))
    }
}

/// Past `std::io::stderr`'s lock: the panic may have come out of a half-written log line.
fn write_whole(line: &str) {
    if let Ok(stderr) = io::stderr().as_fd().try_clone_to_owned() {
        let _ = File::from(stderr).write_all(line.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn a_fatal_line_is_one_line_in_both_forms() {
        for json in [true, false] {
            let line = line("fatal: panic: a\nb \"c\"", json);
            assert_eq!(line.matches('\n').count(), 1, "{line:?}");
            assert!(line.ends_with('\n'));
        }
        let object: serde_json::Value = serde_json::from_str(&line("a\nb", true)).unwrap();
        assert_eq!(object["message"], "a\nb");
        assert_eq!(object["level"], "ERROR");
    }

    #[test]
    fn a_level_is_for_our_own_lines() {
        for (filter, expected) in [
            ("info", "off,isobath=info,envoy=info"),
            ("off", "off,isobath=off,envoy=off"),
            (
                "warn, isobath::xds=debug",
                "off,isobath=warn,envoy=warn,isobath::xds=debug",
            ),
            ("isobath=debug,h2=trace", "isobath=debug,h2=trace"),
        ] {
            assert_eq!(ours(filter), expected);
            assert!(EnvFilter::try_new(ours(filter)).is_ok());
        }
    }

    #[test]
    fn a_filter_is_checked_when_flags_are_parsed() {
        for (given, read) in [
            ("info,isobath::xds=debug", "info,isobath::xds=debug"),
            ("warning", "warn"),
            ("WARNING", "warn"),
            ("Info, hyper=Warning", "info,hyper=warn"),
            ("isobath::xds", "isobath::xds"),
            ("off", "off"),
            (
                "isobath[task{name=xds}]=debug",
                "isobath[task{name=xds}]=debug",
            ),
        ] {
            assert_eq!(filter(given).as_deref(), Ok(read), "{given}");
        }
        for wrong in ["isobath=loud", "verbose", "inf", "", "info,all", "hyper"] {
            assert!(filter(wrong).is_err(), "{wrong}");
        }
    }
}
