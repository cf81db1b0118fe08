//! `isobath run` where its source is wrong: one sentence that names it.

use std::fs;

use crate::process::{envoy, output, text};
use crate::run::command;

#[test]
fn flags_that_speak_of_two_sources_are_refused() {
    let Some(program) = envoy() else { return };
    let folder = tempfile::tempdir().unwrap();
    for (arguments, expected) in [
        (
            &["--kubeconfig", "/no/such", "."][..],
            "isobath: --kubeconfig names a cluster and . manifests: leave one of them out\n",
        ),
        (
            &["--watch-namespaces", "a"],
            "isobath: --watch-namespaces is about a cluster: name one with --kubeconfig or --context\n",
        ),
    ] {
        let output = output(command(&program, folder.path()).args(arguments));
        assert_eq!(output.status.code(), Some(2));
        let said = text(&output.stderr);
        assert!(said.ends_with(expected), "{said}");
    }
}

/// A cluster that is not there is named by its address.
#[test]
fn an_api_server_that_is_down_is_named() {
    let Some(program) = envoy() else { return };
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    fs::write(
        &kubeconfig,
        "{apiVersion: v1, kind: Config, current-context: a, contexts: [{name: a, context: {cluster: a, user: a}}], users: [{name: a, user: {}}], clusters: [{name: a, cluster: {server: \"http://127.0.0.1:1\"}}]}",
    )
    .unwrap();
    let arguments = ["--kubeconfig", kubeconfig.to_str().unwrap()];
    let output = output(command(&program, folder.path()).args(arguments));
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    let last = said.lines().last().unwrap();
    assert!(
        last.contains("fatal: can't reach the API server at http://127.0.0.1:1/: "),
        "{said}"
    );
    assert!(
        last.contains("Connection refused") && !last.contains("TLSCertificateDelegation"),
        "{said}"
    );
    // Nothing but our own lines.
    assert!(said.lines().all(|line| line.contains(" isobath")), "{said}");
}
