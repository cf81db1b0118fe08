//! The real Contour, and a bootstrap for its Envoy.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::port::Port;
use crate::support::process::Process;

/// The path of the Contour to compare with.
pub(crate) fn binary() -> PathBuf {
    std::env::var_os("ISOBATH_TEST_CONTOUR")
        .expect("ISOBATH_TEST_CONTOUR names the Contour to compare with; `make peers` sets it")
        .into()
}

/// A running one, and where it has Envoy listen.
pub(crate) struct Contour {
    pub(crate) process: Process,
    xds: Port,
    http: Port,
    https: Port,
    /// Held as long as it runs.
    _others: [Port; 4],
}

impl Contour {
    /// Starts it on this API server. `configuration` is its file, `flags` are further ones.
    pub(crate) fn start(
        directory: &Path,
        kubeconfig: &Path,
        configuration: &Value,
        flags: &[&str],
    ) -> Self {
        let [xds, http, https] = [(); 3].map(|()| Port::take());
        let others = [(); 4].map(|()| Port::take());
        let file = directory.join("contour.yaml");
        fs::write(&file, configuration.to_string()).unwrap();
        let mut command = Command::new(binary());
        command
            .args(["serve", "--insecure", "--disable-leader-election"])
            .args(["--ingress-status-address", crate::side::ADDRESS])
            .arg("--config-path")
            .arg(&file)
            .arg("--kubeconfig")
            .arg(kubeconfig);
        for (flag, port) in [
            ("xds", &xds),
            ("envoy-service-http", &http),
            ("envoy-service-https", &https),
            ("stats", &others[0]),
            ("http", &others[1]),
            ("health", &others[2]),
            ("debug-http", &others[3]),
        ] {
            let address = port.address();
            command
                .args([format!("--{flag}-address"), address.ip().to_string()])
                .args([format!("--{flag}-port"), address.port().to_string()]);
        }
        command.args(flags);
        let log = directory.join("contour.log");
        Self {
            process: Process::start("Contour", &mut command, &log),
            xds,
            http,
            https,
            _others: others,
        }
    }

    pub(crate) fn http(&self) -> SocketAddr {
        self.http.address()
    }

    pub(crate) fn https(&self) -> SocketAddr {
        self.https.address()
    }

    /// Where it serves xDS.
    pub(crate) fn xds(&self) -> SocketAddr {
        self.xds.address()
    }

    /// Has it write Envoy's bootstrap, for xDS at `xds`. `more` is YAML that is added.
    pub(crate) fn bootstrap(directory: &Path, xds: SocketAddr, more: &str) -> PathBuf {
        let path = directory.join("envoy.json");
        let output = Command::new(binary())
            .arg("bootstrap")
            .arg(&path)
            .args(["--xds-address", &xds.ip().to_string()])
            .args(["--xds-port", &xds.port().to_string()])
            .arg("--admin-address")
            .arg(directory.join("admin.sock"))
            .output()
            .unwrap();
        assert!(output.status.success(), "contour bootstrap: {output:?}");
        let mut bootstrap: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let more: Value = serde_saphyr::from_str(more).unwrap();
        for (key, value) in more.as_object().into_iter().flatten() {
            bootstrap[key] = value.clone();
        }
        fs::write(&path, bootstrap.to_string()).unwrap();
        path
    }
}
