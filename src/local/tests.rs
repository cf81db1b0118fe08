#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;

fn args(path: Option<PathBuf>) -> Args {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    Args {
        path,
        envoy: Some("/bin/sh".into()),
        backend: Vec::new(),
        envoy_http_address: any,
        envoy_https_address: any,
        envoy_stats_address: any,
    }
}

#[test]
fn the_place_has_real_ports_and_the_example_and_goes_with_its_owner() {
    let place = Place::prepare(&args(None), false).unwrap();
    assert!(place.is_example);
    assert!(
        place
            .manifests
            .as_ref()
            .unwrap()
            .join("shop.yaml")
            .is_file()
    );
    let ports: std::collections::BTreeSet<_> = place.addresses.map(|address| address.port()).into();
    assert!(ports.len() == 3 && !ports.contains(&0), "{ports:?}");
    let folder = place.folder().to_owned();
    drop(place);
    assert!(!folder.exists());
}

#[test]
fn what_a_flag_can_put_right_is_a_sentence() {
    let check = |args: Args, expected: &str| {
        let error = Place::prepare(&args, false).unwrap_err();
        assert!(error.downcast_ref::<UsageError>().is_some(), "{error:#}");
        let error = format!("{error:#}");
        assert!(error.starts_with(expected), "{error}");
    };
    check(
        args(Some("/no/such/dir".into())),
        "there is no file or directory /no/such/dir",
    );
    let mut no_envoy = args(None);
    no_envoy.envoy = Some("/no/such/envoy".into());
    check(no_envoy, "--envoy /no/such/envoy is no program");
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let mut port_taken = args(None);
    port_taken.envoy_https_address = taken.local_addr().unwrap();
    let expected = format!("can't listen on {}: ", taken.local_addr().unwrap());
    check(port_taken, &expected);
    // Envoy would share one port among two listeners in silence.
    drop(taken);
    let free = TcpListener::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap();
    let mut twice = args(None);
    twice.envoy_http_address = free;
    twice.envoy_https_address = free;
    check(twice, &format!("can't listen on {free}: "));
    let cluster = Place::prepare(&args(None), true).unwrap();
    assert_eq!(
        (cluster.manifests.clone(), cluster.is_example),
        (None, false)
    );
}
