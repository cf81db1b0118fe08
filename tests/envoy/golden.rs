//! Every rendering as JSON, compared with the files of `tests/envoy/golden/`. `ISOBATH_REWRITE=1` rewrites them.

/// Whether this run rewrites what it would compare.
pub fn rewriting() -> bool {
    std::env::var_os("ISOBATH_REWRITE").is_some_and(|value| value == "1")
}
