//! `isobath doctor` on what is around an installation: ports and classes of others, definitions, addresses and certificates.

use serde_json::{Value, json};

use crate::contour;
use crate::diagnosed::{doctor, typed};
use crate::installation::{HOME, Installation, our_site, overlay};
use crate::support::certificate::Authority;
use crate::support::network::alone;
use crate::waited::add_pods;

/// A pod of a node, with a port of it.
fn pod_with_port(cluster: &Installation, name: &str, labels: &Value, port: u16) {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"namespace": "default", "name": name, "labels": labels},
        "spec": {
            "nodeName": "node", "automountServiceAccountToken": false,
            "serviceAccountName": "default",
            "containers": [{
                "name": "isobath", "image": "proxy",
                "ports": [{"containerPort": 8080, "hostPort": port}],
            }],
        },
    });
    cluster.kubectl(&["apply", "-f", "-"], &pod.to_string());
}

#[test]
fn others_are_there_first() {
    alone(async || {
        let Some(cluster) = Installation::start().await else {
            return;
        };
        cluster.kubectl(
            &["-n", "default", "create", "serviceaccount", "default"],
            "",
        );
        let admin = doctor(&cluster, "admin", 1);
        admin
            .becomes_well("ports", "ports 80, 443, 8002 of all nodes are free")
            .await;
        pod_with_port(&cluster, "proxy", &json!({}), 80);
        pod_with_port(&cluster, "exporter", &json!({}), 9100);
        let service = json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"namespace": "default", "name": "game"},
            "spec": {"type": "NodePort", "ports": [{"port": 80, "nodePort": 30443}]},
        });
        cluster.kubectl(&["apply", "-f", "-"], &service.to_string());
        let set = |namespace: &str, name: &str, port: u16| {
            let labels = json!({"app.kubernetes.io/name": name});
            let set = json!({
                "apiVersion": "apps/v1", "kind": "DaemonSet",
                "metadata": {"namespace": namespace, "name": name, "labels": labels},
                "spec": {
                    "selector": {"matchLabels": labels},
                    "template": {"metadata": {"labels": labels}, "spec": {"containers": [{
                        "name": "envoy", "image": "a", "ports": [{"containerPort": 8080, "hostPort": port}],
                    }]}},
                },
            });
            cluster.kubectl(&["apply", "-f", "-"], &set.to_string());
        };
        set("default", "late", 443);
        let taken = [
            "DaemonSet default/late has port 443 of nodes, so",
            "Pod default/proxy has port 80 of node, so Isobath's pods can't be there with the overlay hostport",
            "node port 30443 is that of Service default/game",
        ];
        admin.becomes("ports", &taken).await;
        // Once it is there only what it takes matters.
        set(HOME, "isobath", 80);
        let taken =
            ["Pod default/proxy has port 80 of node, so Isobath's pods can't be there: end it"];
        admin.becomes("ports", &taken).await;
        set(HOME, "isobath", 8080);
        admin
            .becomes_well("ports", "nobody else has ports 8080 of nodes")
            .await;

        // The classes.
        admin
            .becomes_well("classes", "class isobath serves 0 Ingresses")
            .await;
        let default = "ingressclass.kubernetes.io/is-default-class=true";
        let other = json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "IngressClass",
            "metadata": {"name": "other"}, "spec": {"controller": "example.com/other"},
        });
        cluster.kubectl(&["apply", "-f", "-"], &other.to_string());
        for class in ["isobath", "other"] {
            cluster.kubectl(&["annotate", "ingressclass", class, default], "");
        }
        let commands = admin
            .becomes("classes", &["2 IngressClasses are the default one"])
            .await;
        typed(&cluster, &commands[0]);
        admin.becomes_well("classes", "class isobath serves").await;
        cluster.apply(&[our_site("web", "web.test", "one:80").class("isobaht")]);
        let says =
            "of class isobaht, which does not exist, so nobody serves it; perhaps isobath is meant";
        let commands = admin.becomes("classes", &[says]).await;
        typed(&cluster, &commands[0]);
        admin
            .becomes_well("classes", "class isobath serves 1 Ingress")
            .await;
        pod_with_port(
            &cluster,
            "rival",
            &json!({"app.kubernetes.io/name": "isobath"}),
            81,
        );
        admin
            .becomes(
                "classes",
                &["another Isobath in namespace default serves the same"],
            )
            .await;
        cluster.kubectl(
            &["delete", "pod", "rival", "--force", "--grace-period=0"],
            "",
        );
        admin.becomes_well("classes", "class isobath serves").await;
        let address = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.9"}]}});
        cluster
            .plane
            .patch_status("default", "ingress", "web", &address);
        let says =
            "kubectl-patch has written the address of Ingress default/web, which is served here";
        admin.becomes("classes", &[says]).await;
        cluster.kubectl(&["delete", "ingressclass", "isobath"], "");
        let says = "no IngressClass has the controller isobath.dev/ingress-controller";
        let commands = admin
            .becomes("classes", &[says, "which does not exist"])
            .await;
        typed(&cluster, &commands[0]);
    });
}

#[test]
fn definitions_addresses_and_certificates() {
    alone(async || {
        let Some(cluster) = Installation::start().await else {
            return;
        };
        let Some(definitions) = contour::definitions() else {
            return;
        };
        let admin = doctor(&cluster, "admin", 1);
        let none = "Contour's kinds are not installed, the Gateway API is not installed";
        admin.becomes_well("definitions", none).await;
        cluster.kubectl(&["apply", "--server-side", "-f", "-"], &definitions);
        cluster.wait_established("crd/httpproxies.projectcontour.io");
        admin
            .becomes_well("definitions", "Contour's kinds are served")
            .await;
        // What is served at another version only.
        let name = "tlscertificatedelegations.projectcontour.io";
        cluster.kubectl(&["delete", "crd", name], "");
        let old = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": name},
            "spec": {
                "group": "projectcontour.io", "scope": "Namespaced",
                "names": {"kind": "TLSCertificateDelegation", "plural": "tlscertificatedelegations"},
                "versions": [{
                    "name": "v1beta1", "served": true, "storage": true,
                    "schema": {"openAPIV3Schema": {"type": "object"}},
                }],
            },
        });
        cluster.kubectl(&["apply", "-f", "-"], &old.to_string());
        let says = "TLSCertificateDelegation is served at v1beta1, and Isobath reads it at projectcontour.io/v1:";
        admin.becomes("definitions", &[says]).await;

        // Nothing says where the address comes from, then a Service does that has none.
        let _node = add_pods(&cluster).await;
        let authority = Authority::new();
        let mut broken = authority.leaf(&["broken.test"]).secret("broken");
        broken.0["data"]["tls.key"] =
            authority.leaf(&["other.test"]).secret("x").0["data"]["tls.key"].clone();
        cluster.apply(&[
            authority.leaf(&["good.test"]).secret("good"),
            broken,
            our_site("good", "good.test", "one:80").tls(&["good.test"], "good"),
        ]);
        admin
            .becomes_well("certificates", "1 certificate, the first ends on ")
            .await;
        cluster.apply(&[
            our_site("broken", "broken.test", "one:80").tls(&["broken.test"], "broken"),
            our_site("gone", "gone.test", "one:80").tls(&["gone.test"], "gone"),
        ]);
        let says = [
            "Secret default/broken, which Ingress default/broken names, can't be served: ",
            "Secret default/gone does not exist, which Ingress default/gone names",
        ];
        admin.becomes("certificates", &says).await;
        let (out, _, _) = admin.run(&[]).await;
        let key = authority.leaf(&["a.test"]).key;
        let begin = key.lines().next().unwrap();
        assert!(!out.contains(begin) && !out.contains("PRIVATE"), "{out}");
        // A certificate of an hour that is nearly over, and one that is.
        for (hours, says) in [(1, "ends in 0 hours, on "), (-1, "has ended on ")] {
            let ends = jiff::Timestamp::now() + jiff::SignedDuration::from_mins(hours * 9);
            let leaf = authority.leaf_until(&["good.test"], ends);
            cluster.apply(&[leaf.secret("good")]);
            let says = [
                "Secret default/broken, which Ingress default/broken names, can't be served: ",
                "Secret default/gone does not exist, which Ingress default/gone names",
                says,
            ];
            admin.becomes("certificates", &says).await;
        }

        let service = |name: &str| {
            let set = json!({
                "apiVersion": "apps/v1", "kind": "DaemonSet",
                "metadata": {
                    "namespace": HOME, "name": "isobath",
                    "labels": {"app.kubernetes.io/name": "isobath"},
                },
                "spec": {
                    "selector": {"matchLabels": {"a": "b"}},
                    "template": {"metadata": {"labels": {"a": "b"}}, "spec": {
                        "serviceAccountName": "isobath",
                        "containers": [{
                            "name": "isobath", "image": "isobath", "args": ["serve"],
                            "env": [{"name": "ISOBATH_ENVOY_SERVICE", "value": name}],
                        }],
                    }},
                },
            });
            cluster.kubectl(&["apply", "-f", "-"], &set.to_string());
        };
        service("isobath/isobath-envoy");
        let says = "Service isobath/isobath-envoy does not exist, whose address is to be published";
        let commands = admin.becomes("addresses", &[says]).await;
        assert_eq!(commands, ["kubectl apply -k deploy/overlays/loadbalancer"]);
        let text = overlay("loadbalancer", "service");
        cluster.kubectl(&["apply", "-f", "-"], &text);
        let says = "Service isobath/isobath-envoy has no address";
        admin.becomes("addresses", &[says]).await;
        let address = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}});
        cluster
            .plane
            .patch_status(HOME, "service", "isobath-envoy", &address);
        // What is younger than a minute may have none yet.
        admin
            .becomes_well("addresses", "3 objects with an address")
            .await;
    });
}
