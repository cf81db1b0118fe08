//! Envoy as the child of `isobath run`.

use std::path::Path;
use std::time::Duration;

use isobath::local::envoy::Envoy;
use isobath::process::supervisor::Supervisor;
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::process::{PATIENCE, envoy, program};
use crate::script;

fn bootstrap(folder: &Path) -> String {
    let socket = folder.join("admin.sock");
    serde_json::json!({"admin": {"address": {"pipe": {"path": socket}}}}).to_string()
}

async fn until_it_listens(folder: &Path) {
    while UnixStream::connect(folder.join("admin.sock"))
        .await
        .is_err()
    {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_ends_with_the_others() {
    let Some(path) = envoy() else { return };
    let folder = tempfile::tempdir().unwrap();
    let child =
        Envoy::start_by(program(), &path, folder.path(), &bootstrap(folder.path())).unwrap();
    let socket = folder.path().to_owned();
    let mut supervisor = Supervisor::new();
    supervisor.add("envoy", |stop| child.run(stop));
    supervisor.add_finite("check", |_| async move {
        timeout(PATIENCE, until_it_listens(&socket)).await?;
        Ok(())
    });
    supervisor.run().await.unwrap();
    let refused = UnixStream::connect(folder.path().join("admin.sock")).await;
    assert!(refused.is_err(), "Envoy still listens");
}

#[tokio::test(flavor = "multi_thread")]
async fn its_last_words_are_the_reason() {
    let Some(path) = envoy() else { return };
    let folder = tempfile::tempdir().unwrap();
    let broken = "{\"admin\": {\"address\": {\"pope\": {}}}}";
    let child = Envoy::start_by(program(), &path, folder.path(), broken).unwrap();
    let mut supervisor = Supervisor::new();
    supervisor.add("envoy", |stop| child.run(stop));
    let error = timeout(PATIENCE, supervisor.run())
        .await
        .unwrap()
        .unwrap_err();
    let error = format!("{error:#}");
    assert!(
        error.starts_with("task envoy ended: Envoy ended (exit status: 1); its last words: "),
        "{error}"
    );
    assert!(error.contains("pope"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_envoy_ends_the_process() {
    let folder = tempfile::tempdir().unwrap();
    // What matters is the signal, so that any program does.
    let script = folder.path().join("envoy");
    script::write(
        &script,
        "#!/bin/sh\necho 'out of memory' >&2\nkill -KILL $$\n",
    );
    let child = Envoy::start_by(program(), &script, folder.path(), "{}").unwrap();
    let mut supervisor = Supervisor::new();
    supervisor.add("envoy", |stop| child.run(stop));
    let error = timeout(PATIENCE, supervisor.run())
        .await
        .unwrap()
        .unwrap_err();
    assert_eq!(
        format!("{error:#}"),
        "task envoy ended: Envoy ended (signal: 9 (SIGKILL)); its last words: out of memory"
    );
}
