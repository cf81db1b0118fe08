//! Whether `isobath serve` takes a flag: what it does not take is told where it stands, and not when it is started.

use std::error::Error as _;

use clap::CommandFactory as _;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::cli::Cli;

/// Whether the value of a flag, `--flag=value`, is taken.
///
/// # Errors
///
/// One sentence.
pub fn taken(flag: &str) -> Result<(), String> {
    let name = flag.split_once('=').map_or(flag, |(name, _)| name);
    let read = Cli::command().try_get_matches_from(["isobath", "serve", flag]);
    let Err(error) = read else {
        return Ok(());
    };
    // What is said of other flags, as one that is needed beside it, is nothing about this value.
    let is_of_it = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(argument)) => argument.split(' ').next() == Some(name),
        _ => false,
    };
    match error.kind() {
        ErrorKind::UnknownArgument if is_of_it => Err(format!("there is no flag {name}")),
        ErrorKind::ValueValidation | ErrorKind::InvalidValue if is_of_it => {
            let why = error.source().map(ToString::to_string);
            let why = why.unwrap_or_else(|| "it has no such value".to_owned());
            Err(format!("{name} does not take it: {why}"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::taken;

    #[test]
    fn flags_are_taken_as_serve_takes_them() {
        for (flag, wanted) in [
            ("--disable-permit-insecure", Ok(())),
            ("--tls-minimum-protocol-version=1.3", Ok(())),
            (
                "--tls-minimum-protocol-version=1.4",
                Err("--tls-minimum-protocol-version does not take it: it has no such value"),
            ),
            ("--default-http-versions=HTTP/1.1,HTTP/2", Ok(())),
            (
                "--envoy-trusted-hops=many",
                Err("--envoy-trusted-hops does not take it: invalid digit found in string"),
            ),
            ("--no-such-flag=1", Err("there is no flag --no-such-flag")),
        ] {
            let wanted = wanted.map_err(str::to_owned);
            assert_eq!(taken(flag), wanted, "{flag}");
        }
    }
}
