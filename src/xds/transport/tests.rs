#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;

#[test]
fn only_the_same_user_and_root_connect() {
    assert!(may_connect(1000, 1000));
    assert!(may_connect(0, 1000));
    assert!(!may_connect(1000, 0));
    assert!(!may_connect(1001, 1000));
}

#[tokio::test]
async fn a_unix_socket_is_private_and_replaces_a_stale_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("xds.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "left behind by a process that was killed");

    let address = Address::Unix(path.clone());
    let listener = Listener::bind(&address, None).await.unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let (accepted, connected) = tokio::join!(listener.accept(), UnixStream::connect(&path));
    connected.unwrap();
    accepted.unwrap().establish().await.unwrap();

    let error = Listener::bind(&address, None).await.unwrap_err();
    assert!(
        error.to_string().contains("another process serves"),
        "{error}"
    );
    assert!(UnixStream::connect(&path).await.is_ok(), "still there");
}

#[tokio::test]
async fn a_file_is_not_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    std::fs::write(&path, "precious").unwrap();
    let error = Listener::bind(&Address::Unix(path.clone()), None)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("no socket"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

#[tokio::test]
async fn without_tls_only_loopback() {
    let refused: Address = "0.0.0.0:0".parse().unwrap();
    let error = Listener::bind(&refused, None).await.unwrap_err();
    assert!(error.to_string().contains("--xds-tls-cert"), "{error}");
    let local: Address = "127.0.0.1:0".parse().unwrap();
    Listener::bind(&local, None).await.unwrap();
}
