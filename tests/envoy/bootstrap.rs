//! The bootstrap that Envoy is started with, compared with its files in `tests/envoy/golden/`, and the addresses that it takes.

use clap::Parser;
use isobath::cli::bootstrap::Args;
use isobath::envoy::bootstrap::XdsServer;

use crate::golden::check;

#[test]
fn bootstraps() {
    let run = |arguments: &[&str]| {
        #[derive(Parser)]
        struct Cli {
            #[command(flatten)]
            args: Args,
        }
        let cli = Cli::try_parse_from([&["bootstrap"], arguments].concat()).unwrap();
        cli.args.render()
    };
    check("bootstrap.json", &run(&["envoy.json"]).unwrap());
    let tls = [
        "--xds-address=isobath.web:8001",
        "--xds-ca-file=/certs/ca.crt",
        "--xds-cert-file=/certs/tls.crt",
        "--xds-key-file=/certs/tls.key",
        "--admin-socket=/tmp/admin.sock",
        "--node-id=node-1",
        "--envoy-max-heap-bytes=1073741824",
    ];
    check("bootstrap-tls.yaml", &run(&tls).unwrap());
    assert!(
        run(&["--xds-address=isobath.web:8001"])
            .unwrap_err()
            .to_string()
            .contains("TLS")
    );
}

#[test]
fn addresses_of_control_planes() {
    let tcp = |host: &str, port| {
        Ok(XdsServer::Tcp {
            host: host.to_owned(),
            port,
            tls: None,
        })
    };
    let cases = [
        (
            "unix:/run/xds.sock",
            Ok(XdsServer::Unix("/run/xds.sock".into())),
        ),
        ("127.0.0.1:8001", tcp("127.0.0.1", 8001)),
        ("[::1]:8001", tcp("::1", 8001)),
        ("localhost:8001", tcp("localhost", 8001)),
        ("unix:", Err("`unix:` needs the path of a socket")),
        (
            "/run/xds.sock",
            Err("`/run/xds.sock` is neither `unix:PATH` nor `HOST:PORT`"),
        ),
        ("localhost:http", Err("`http` is not a port")),
        (":8001", Err("`:8001` names no host")),
        (
            "10.0.0.1:8001",
            Err(
                "the control plane at 10.0.0.1:8001 is reached over a network, which needs TLS: name a CA, a certificate and a key",
            ),
        ),
    ];
    for (address, expected) in cases {
        assert_eq!(
            XdsServer::parse(address, None),
            expected.map_err(str::to_owned),
            "{address}"
        );
    }
}
