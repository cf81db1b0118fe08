//! The `isobath` program: parse, log, run. Everything else is in the library.

use std::process::ExitCode;

use isobath::cli;
use isobath::process::{exit_code, log};

/// musl's own allocator takes one lock for the whole process and never gives a fragmented heap back; a control
/// plane that builds snapshots on several threads feels both. On other platforms it does no harm, and one
/// allocator everywhere means that figures compare.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Two rustls providers in one dependency tree is a panic at the first handshake: name ours before anything asks.
    if rustls::crypto::ring::default_provider()
        .install_default()
        .is_err()
    {
        eprintln!("isobath: another TLS provider was installed before ring");
        return exit_code::FATAL.into();
    }
    match cli::parse(std::env::args_os()) {
        Ok(cli) => {
            log::init(&cli.log);
            cli::run(cli)
        }
        Err(end) => end,
    }
}
