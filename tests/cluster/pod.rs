//! The configuration that a pod finds: the API server's address in the environment, and the ServiceAccount's token,
//! CA and namespace where kubelet mounts them.

use std::fs;
use std::path::Path;

use crate::installation::{HOME, Installation};
use crate::support::ads::Ads;
use crate::support::eventually::eventually;
use crate::support::isobath::Isobath;
use crate::support::network::{alone, mount_empty};

/// The path is fixed (kubernetes.io/docs/tasks/run-application/access-api-from-pod).
const MOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

#[test]
fn the_service_account_of_the_pod() {
    alone(async || {
        let Some(mut cluster) = Installation::start().await else {
            return;
        };
        // /var/run is a link to it; what lies there is the machine's, and out of sight from here on.
        mount_empty("/run");
        let port = cluster.plane.address().port().to_string();
        let environment = [
            ("KUBERNETES_SERVICE_HOST", "127.0.0.1"),
            ("KUBERNETES_SERVICE_PORT", &*port),
            // Names no file, so it does not stand before the ServiceAccount.
            ("KUBECONFIG", ""),
        ];
        let mut isobath = Isobath::of_environment(&["--pod-name", "pod"], &environment);

        // Without the mount: one sentence, and nothing that a restart would cure.
        isobath.spawn();
        let (status, last) = isobath.ends().await;
        assert_eq!(status.code(), Some(2), "{last}");
        assert!(
            last.contains("the pod's service account can't be used: "),
            "{last}"
        );

        let file = |name: &str, text: &str| {
            let staged = Path::new(MOUNT).join("staged");
            fs::write(&staged, text).unwrap();
            fs::rename(staged, Path::new(MOUNT).join(name)).unwrap();
        };
        fs::create_dir_all(MOUNT).unwrap();
        file("token", &cluster.token());
        file("ca.crt", cluster.plane.authority().certificate());
        file("namespace", HOME);
        isobath.restart().await;
        // Whoever it is may list, and elects itself in its own namespace.
        let holder = "jsonpath={.spec.holderIdentity}";
        eventually("it holds the Lease", async || {
            let line = ["-n", HOME, "get", "leases", "isobath", "-o", holder];
            let holder = cluster
                .plane
                .try_kubectl(crate::control_plane::ADMIN, &line, "")?;
            match holder.starts_with("pod_") {
                true => Ok(()),
                false => Err(holder),
            }
        })
        .await;
        let mut ads = Ads::connect(&isobath.xds()).await.unwrap();
        ads.everything().await.unwrap();

        // Another authority, as after a rotation of the cluster's CA. What is not trusted ends it.
        let next = cluster.plane.rotate_authority().await;
        let (status, last) = isobath.ends().await;
        assert_eq!(status.code(), Some(1), "{last}");
        isobath.spawn();
        let (status, last) = isobath.ends().await;
        assert_eq!(status.code(), Some(1), "{last}");
        assert!(
            last.contains("can't reach the API server at https://") && last.contains("certificate"),
            "{last}"
        );
        // kubelet brings the new CA.
        file("ca.crt", next.certificate());
        isobath.restart().await;
    });
}
