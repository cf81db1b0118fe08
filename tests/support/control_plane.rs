//! A real control plane for tests: etcd and kube-apiserver (and, where asked for, kube-controller-manager),
//! ready in about 3 seconds, ended by their process ids when the value is dropped.
//!
//! The programs, and kubectl, come from `KUBEBUILDER_ASSETS`, which `make` sets (`tests/control-plane/build.sh`
//! builds them once). Without it a test is skipped with a loud line, except on CI (`CI=true`), where it fails:
//! a test that nobody runs proves nothing.
//!
//! Users are client certificates signed by the plane's own CA, so any name can have one at any time; RBAC
//! decides what each may do, and the user `admin` (group `system:masters`) may do everything.
//!
//! Use it with `#[path = "support/control_plane.rs"] mod control_plane;`.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used)]

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use kube::config::{KubeConfigOptions, Kubeconfig};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

/// The user that may do everything.
pub const ADMIN: &str = "admin";

/// How long the API server may take until `/readyz` answers 200 (on a busy machine).
const READY_WITHIN: Duration = Duration::from_secs(90);

/// A running control plane.
pub struct ControlPlane {
    assets: PathBuf,
    dir: tempfile::TempDir,
    ca: Authority,
    address: SocketAddr,
    etcd_port: u16,
    api_server_flags: Vec<String>,
    etcd: Option<Program>,
    api_server: Option<Program>,
    controller_manager: Option<Program>,
}

impl ControlPlane {
    /// Starts a control plane of the test's own. `None`: the programs are missing and this is not CI.
    pub async fn start() -> Option<Self> {
        Self::start_with(&[]).await
    }

    /// As [`Self::start`], with further flags for kube-apiserver (a flag given again replaces the first).
    pub async fn start_with(api_server_flags: &[&str]) -> Option<Self> {
        let assets = assets()?;
        // The ports are free when they are chosen; somebody else may take one before the programs bind it.
        for _ in 0..3 {
            let mut plane = Self::prepare(&assets, api_server_flags);
            match plane.boot().await {
                Ok(()) => return Some(plane),
                Err(reason) => eprintln!("control plane: {reason}; once more with other ports"),
            }
        }
        panic!("the control plane did not start three times in a row");
    }

    /// A control plane shared by the tests of one binary that run at the same time: each keeps to a namespace
    /// of its own. It ends with the last one.
    pub async fn shared() -> Option<Arc<Self>> {
        static SHARED: tokio::sync::Mutex<Weak<ControlPlane>> =
            tokio::sync::Mutex::const_new(Weak::new());
        let mut shared = SHARED.lock().await;
        if let Some(plane) = shared.upgrade() {
            return Some(plane);
        }
        let plane = Arc::new(Self::start().await?);
        *shared = Arc::downgrade(&plane);
        Some(plane)
    }

    /// Where the API server listens (TLS, with [`Self::authority`]'s certificate).
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The CA of servers and users alike; a proxy in front of the API server takes its certificate from here.
    pub fn authority(&self) -> &Authority {
        &self.ca
    }

    /// A folder that lives as long as the control plane.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The path of a kubeconfig for `user`, with one context that has the user's name.
    pub fn kubeconfig(&self, user: &str) -> PathBuf {
        self.kubeconfig_at(user, self.address)
    }

    /// As [`Self::kubeconfig`], by way of another address (a proxy's).
    pub fn kubeconfig_at(&self, user: &str, server: SocketAddr) -> PathBuf {
        let path = self
            .dir()
            .join(format!("{user}-{}.kubeconfig", server.port()));
        if !path.exists() {
            let group = (user == ADMIN).then_some("system:masters");
            let identity = self.ca.client(user, group);
            let credentials = format!(
                "client-certificate: {}\n    client-key: {}",
                write(
                    self.dir(),
                    &format!("{user}-{}.crt", server.port()),
                    &identity.certificate
                ),
                write(
                    self.dir(),
                    &format!("{user}-{}.key", server.port()),
                    &identity.key
                ),
            );
            self.write_kubeconfig(&path, user, server, &credentials);
        }
        path
    }

    /// The path of a kubeconfig that reads a bearer token from `token_file`.
    pub fn kubeconfig_with_token_file(
        &self,
        name: &str,
        server: SocketAddr,
        token_file: &Path,
    ) -> PathBuf {
        let path = self.dir().join(format!("{name}.kubeconfig"));
        let credentials = format!("tokenFile: {}", token_file.display());
        self.write_kubeconfig(&path, name, server, &credentials);
        path
    }

    /// A client for `user`, with kube's own retries turned off.
    pub async fn client(&self, user: &str) -> kube::Client {
        client_of(&self.kubeconfig(user)).await
    }

    /// Runs kubectl as `user` with `stdin` and returns what it printed; panics where it fails.
    pub fn kubectl(&self, user: &str, args: &[&str], stdin: &str) -> String {
        self.try_kubectl(user, args, stdin)
            .unwrap_or_else(|reason| panic!("kubectl {args:?}: {reason}"))
    }

    /// Runs `kubectl wait` as [`Self::kubectl`] until it has waited: it gives up at once where an object has no conditions yet.
    pub fn kubectl_wait(&self, user: &str, args: &[&str]) {
        const TRIES: usize = 50;
        let mut last = Ok(String::new());
        for _ in 0..TRIES {
            last = self.try_kubectl(user, args, "");
            if last.is_ok() {
                return;
            }
        }
        panic!("kubectl {args:?}: {last:?}");
    }

    /// As [`Self::kubectl`]; where it fails, what it said about it.
    pub fn try_kubectl(&self, user: &str, args: &[&str], stdin: &str) -> Result<String, String> {
        use std::io::Write as _;
        let mut child = Command::new(kubectl())
            .arg("--kubeconfig")
            .arg(self.kubeconfig(user))
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("kubectl is in KUBEBUILDER_ASSETS or installed");
        child
            .stdin
            .take()
            .unwrap()
            .write_all(stdin.as_bytes())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        if output.status.success() {
            Ok(String::from_utf8(output.stdout).unwrap())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    /// Says what in a cluster a kubelet or a cloud would say of an object; `namespace` is empty for those that have
    /// none.
    pub fn patch_status(
        &self,
        namespace: &str,
        kind: &str,
        name: &str,
        status: &serde_json::Value,
    ) {
        let namespace = format!("--namespace={namespace}");
        let patch = format!("--patch={}", serde_json::json!({ "status": status }));
        let line = [
            "patch",
            kind,
            name,
            &namespace,
            "--subresource=status",
            "--type=merge",
            &patch,
        ];
        self.kubectl(ADMIN, &line, "");
    }

    /// Lets `user` do what the RBAC `rules` (YAML or JSON list of PolicyRules) say, in the whole cluster.
    pub fn grant(&self, user: &str, rules: &str) {
        self.bind("ClusterRole", user, rules, None);
    }

    /// As [`Self::grant`], in one namespace.
    pub fn grant_in(&self, namespace: &str, user: &str, rules: &str) {
        self.bind("Role", user, rules, Some(namespace));
    }

    /// Starts kube-controller-manager with the controllers that make endpoints out of Deployments.
    pub fn start_controller_manager(&mut self) {
        let kubeconfig = self.kubeconfig(ADMIN);
        let flags = vec![
            format!("--kubeconfig={}", kubeconfig.display()),
            "--controllers=endpointslice-controller,deployment-controller,replicaset-controller,\
             namespace-controller,garbage-collector-controller"
                .to_owned(),
            "--leader-elect=false".to_owned(),
            "--secure-port=0".to_owned(),
        ];
        let program = Program::spawn(&self.assets, "kube-controller-manager", &flags, self.dir());
        self.controller_manager = Some(program);
    }

    /// Kills the API server (SIGKILL): connections are reset, further ones refused.
    pub fn kill_api_server(&mut self) {
        self.api_server = None;
    }

    /// Starts the API server again on the same port with the same data.
    pub async fn restart_api_server(&mut self) {
        self.api_server = None;
        self.spawn_api_server();
        self.ready().await.unwrap();
    }

    /// Starts the API server again with a certificate of a new authority. Clients with a kubeconfig of this control
    /// plane trust both from then on.
    pub async fn rotate_authority(&mut self) -> Authority {
        let next = Authority::new("the isobath test CA's successor");
        let server = next.server();
        write(self.dir(), "server.crt", &server.certificate);
        write(self.dir(), "server.key", &server.key);
        let both = format!("{}{}", self.ca.certificate, next.certificate);
        write(self.dir(), "ca.crt", &both);
        self.restart_api_server().await;
        next
    }

    fn prepare(assets: &Path, api_server_flags: &[&str]) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("isobath-control-plane-")
            .tempdir()
            .unwrap();
        let ca = Authority::new("isobath test CA");
        let server = ca.server();
        write(dir.path(), "ca.crt", &ca.certificate);
        write(dir.path(), "server.crt", &server.certificate);
        write(dir.path(), "server.key", &server.key);
        let service_accounts = KeyPair::generate().unwrap();
        write(dir.path(), "sa.key", &service_accounts.serialize_pem());
        write(dir.path(), "sa.pub", &service_accounts.public_key_pem());
        Self {
            assets: assets.to_owned(),
            ca,
            address: SocketAddr::from(([127, 0, 0, 1], free_port())),
            etcd_port: free_port(),
            api_server_flags: api_server_flags.iter().map(ToString::to_string).collect(),
            etcd: None,
            api_server: None,
            controller_manager: None,
            dir,
        }
    }

    async fn boot(&mut self) -> Result<(), String> {
        let client = format!("http://127.0.0.1:{}", self.etcd_port);
        let peer = format!("http://127.0.0.1:{}", free_port());
        let flags = vec![
            format!("--data-dir={}", self.dir().join("etcd").display()),
            format!("--listen-client-urls={client}"),
            format!("--advertise-client-urls={client}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster=default={peer}"),
            // Nothing of it has to outlive the test.
            "--unsafe-no-fsync".to_owned(),
            "--log-level=warn".to_owned(),
        ];
        self.etcd = Some(Program::spawn(&self.assets, "etcd", &flags, self.dir()));
        self.spawn_api_server();
        self.ready().await
    }

    fn spawn_api_server(&mut self) {
        let file = |name: &str| self.dir().join(name).display().to_string();
        let mut flags = vec![
            format!("--etcd-servers=http://127.0.0.1:{}", self.etcd_port),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--secure-port={}", self.address.port()),
            // Never used, as nothing reconciles the endpoints of the service `kubernetes`; without it the API
            // server looks for a default route, which a network namespace need not have.
            "--advertise-address=192.0.2.1".to_owned(),
            "--endpoint-reconciler-type=none".to_owned(),
            "--service-cluster-ip-range=10.0.0.0/16".to_owned(),
            format!("--tls-cert-file={}", file("server.crt")),
            format!("--tls-private-key-file={}", file("server.key")),
            format!("--client-ca-file={}", file("ca.crt")),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            format!("--service-account-key-file={}", file("sa.pub")),
            format!("--service-account-signing-key-file={}", file("sa.key")),
            "--authorization-mode=RBAC".to_owned(),
            "--disable-admission-plugins=ServiceAccount,StorageObjectInUseProtection,DefaultStorageClass"
                .to_owned(),
        ];
        flags.extend(self.api_server_flags.iter().cloned());
        let program = Program::spawn(&self.assets, "kube-apiserver", &flags, self.dir());
        self.api_server = Some(program);
    }

    /// Waits until `/readyz` answers 200, or a program ends.
    async fn ready(&mut self) -> Result<(), String> {
        let client = client_of(&self.kubeconfig(ADMIN)).await;
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            let request = http::Request::get("/readyz").body(Vec::new()).unwrap();
            let answer = client.request_text(request).await;
            if answer.is_ok() {
                return Ok(());
            }
            for program in [&mut self.etcd, &mut self.api_server].into_iter().flatten() {
                if let Some(log) = program.ended() {
                    return Err(log);
                }
            }
            if Instant::now() > deadline {
                return Err(format!("not ready after {READY_WITHIN:?}: {answer:?}"));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn write_kubeconfig(&self, path: &Path, user: &str, server: SocketAddr, credentials: &str) {
        let ca = self.dir().join("ca.crt");
        let text = format!(
            "apiVersion: v1
kind: Config
clusters:
- name: test
  cluster:
    server: https://{server}
    certificate-authority: {}
users:
- name: {user}
  user:
    {credentials}
contexts:
- name: {user}
  context:
    cluster: test
    user: {user}
current-context: {user}
",
            ca.display()
        );
        fs::write(path, text).unwrap();
    }

    fn bind(&self, kind: &str, user: &str, rules: &str, namespace: Option<&str>) {
        let namespace = namespace.map_or_else(String::new, |name| format!(", namespace: {name}"));
        let role = format!(
            "apiVersion: rbac.authorization.k8s.io/v1
kind: {kind}
metadata: {{name: test-{user}{namespace}}}
rules: {rules}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {kind}Binding
metadata: {{name: test-{user}{namespace}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: {kind}, name: test-{user}}}
subjects: [{{apiGroup: rbac.authorization.k8s.io, kind: User, name: {user}}}]
"
        );
        self.kubectl(ADMIN, &["apply", "-f", "-"], &role);
    }
}

/// A certificate authority of the test's own.
pub struct Authority {
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, as PEM.
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// The key.
    pub key: String,
}

impl Authority {
    /// Makes a new one.
    pub fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).unwrap().pem();
        Self {
            certificate,
            issuer: Issuer::new(params, key),
        }
    }

    /// Its own certificate, as PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// An identity for a server on 127.0.0.1.
    pub fn server(&self) -> Identity {
        let names = [
            "127.0.0.1",
            "localhost",
            "kubernetes.default.svc",
            "10.0.0.1",
        ];
        let params = CertificateParams::new(names.map(String::from)).unwrap();
        self.sign(params, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// An identity for a Kubernetes user: the common name is the user, the organization a group.
    pub fn client(&self, user: &str, group: Option<&str>) -> Identity {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, user);
        if let Some(group) = group {
            params
                .distinguished_name
                .push(DnType::OrganizationName, group);
        }
        self.sign(params, ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn sign(&self, mut params: CertificateParams, usage: ExtendedKeyUsagePurpose) -> Identity {
        let key = KeyPair::generate().unwrap();
        params.extended_key_usages = vec![usage];
        Identity {
            certificate: params.signed_by(&key, &self.issuer).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }
}

/// The kubectl of the API server's own version; where there is none the one that is installed.
pub fn kubectl() -> PathBuf {
    std::env::var_os("KUBEBUILDER_ASSETS")
        .map(|assets| PathBuf::from(assets).join("kubectl"))
        .filter(|program| program.is_file())
        .unwrap_or_else(|| "kubectl".into())
}

/// A client from a kubeconfig, with kube's own retries turned off.
pub async fn client_of(kubeconfig: &Path) -> kube::Client {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).unwrap();
    let options = KubeConfigOptions::default();
    let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .unwrap();
    config.default_retry = false;
    kube::Client::try_from(config).unwrap()
}

/// The folder with the programs; `None` where they are missing and this is not CI.
fn assets() -> Option<PathBuf> {
    let missing = match std::env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from) {
        None => "KUBEBUILDER_ASSETS is not set".to_owned(),
        Some(folder) => {
            let mut programs = ["etcd", "kube-apiserver", "kube-controller-manager"].into_iter();
            match programs.find(|name| !folder.join(name).is_file()) {
                None => return Some(folder),
                Some(name) => format!("{} has no {name}", folder.display()),
            }
        }
    };
    let advice = "run `make control-plane` and set KUBEBUILDER_ASSETS to the folder that it prints";
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "no control plane on CI: {missing}; {advice}"
    );
    eprintln!("SKIPPED, no control plane: {missing}; {advice}");
    None
}

/// A program that is ended when this is dropped.
struct Program {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Program {
    fn spawn(assets: &Path, name: &'static str, flags: &[String], dir: &Path) -> Self {
        let log = dir.join(format!("{name}.log"));
        let file = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .unwrap();
        let child = Command::new(assets.join(name))
            .args(flags)
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        Self { name, child, log }
    }

    /// The end of its log, if it has ended.
    fn ended(&mut self) -> Option<String> {
        let status = self.child.try_wait().unwrap()?;
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().rev().take(15).collect();
        let tail: Vec<_> = lines.into_iter().rev().collect();
        Some(format!(
            "{} ended, {status}:\n{}",
            self.name,
            tail.join("\n")
        ))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn write(dir: &Path, name: &str, text: &str) -> String {
    let path = dir.join(name);
    fs::write(&path, text).unwrap();
    path.display().to_string()
}
