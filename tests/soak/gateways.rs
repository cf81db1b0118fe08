//! Objects of the Gateway API, as the other objects of [`crate::generate`].

use serde_json::{Value, json};

use crate::generate::Generator;

const NAMES: &[&str] = &["a", "b", "web", "api", "x-1", "gone"];
const HOSTS: &[&str] = &["a.test", "b.test", "*.test", "x.a.test", "*.a.test"];

impl Generator {
    pub fn gateway_class(&mut self) -> Value {
        json!({"spec": {"controllerName": self.text(&["isobath.dev/gateway-controller", "example.com/other"])}})
    }

    pub fn gateway(&mut self) -> Value {
        json!({
            "spec": {
                "gatewayClassName": self.text(&["isobath", "other"]),
                "listeners": self.list(3, Self::gateway_listener),
                "addresses": self.list(2, |this| json!({"type": this.text(&["IPAddress"]), "value": this.text(&["127.9.0.1", "127.9.0.2", ""])})),
                "infrastructure": {"labels": {"a": self.text(&["b"])}},
                "allowedListeners": {"namespaces": {"from": self.text(&["All", "Same"])}},
                "tls": {
                    "frontend": {"default": self.clients(), "perPort": [{"port": self.number(&[443]), "tls": self.clients()}]},
                    "backend": {"clientCertificateRef": {"name": self.text(&["cert", "gone"])}},
                },
            },
            "status": {
                "addresses": [{"type": "IPAddress", "value": self.text(&["127.9.0.1", "127.9.0.3"])}],
                "conditions": self.list(2, |this| json!({"type": this.text(&["Accepted", "Foreign"]), "status": this.text(&["True"])})),
            },
        })
    }

    pub fn listener_set(&mut self) -> Value {
        json!({"spec": {
            "parentRef": {"name": self.text(NAMES), "namespace": self.text(&["east", "west"])},
            "listeners": self.list(3, Self::gateway_listener),
        }})
    }

    /// What clients have to show.
    fn clients(&mut self) -> Value {
        json!({"validation": {
            "caCertificateRefs": self.list(2, |this| json!({"group": "", "kind": this.text(&["ConfigMap", "Secret"]), "name": this.text(&["web", "gone"])})),
            "mode": self.text(&["AllowValidOnly", "AllowInsecureFallback"]),
        }})
    }

    fn gateway_listener(&mut self) -> Value {
        json!({
            "name": self.text(NAMES),
            "hostname": self.text(HOSTS),
            "port": self.number(&[80, 443]),
            "protocol": self.text(&["HTTP", "HTTPS", "TCP", "TLS"]),
            "tls": {"certificateRefs": self.list(2, |this| json!({"name": this.text(&["cert", "rsa"]), "namespace": this.text(&["east", "west"])}))},
            "allowedRoutes": {
                "namespaces": {"from": self.text(&["All", "Same", "Selector"]), "selector": {"matchLabels": {"env": self.text(&["test"])}}},
                "kinds": self.list(2, |this| json!({"kind": this.text(&["HTTPRoute", "GRPCRoute", "TCPRoute"])})),
            },
        })
    }

    pub fn http_route(&mut self) -> Value {
        let rules = self.list(3, |this| json!({
            "matches": this.list(3, Self::http_match),
            "filters": this.list(2, Self::route_filter),
            "backendRefs": this.list(3, Self::backend_ref),
            "timeouts": {"request": this.text(&["1s", "1h2m3s", "0s"]), "backendRequest": this.text(&["500ms"])},
            "retry": {"codes": [this.number(&[500, 503])], "attempts": this.number(&[0, 3]), "backoff": this.text(&["10ms"])},
        }));
        self.gateway_route(rules)
    }

    pub fn grpc_route(&mut self) -> Value {
        let rules = self.list(3, |this| json!({
            "matches": this.list(2, |this| json!({
                "method": {"type": this.text(&["Exact", "RegularExpression"]), "service": this.text(&["a.B", "a.+"]), "method": this.text(&["Get"])},
            })),
            "filters": this.list(2, Self::route_filter),
            "backendRefs": this.list(3, Self::backend_ref),
        }));
        self.gateway_route(rules)
    }

    pub fn opaque_route(&mut self) -> Value {
        let rules = self.list(
            1,
            |this| json!({"backendRefs": this.list(3, Self::backend_ref)}),
        );
        self.gateway_route(rules)
    }

    fn gateway_route(&mut self, rules: Value) -> Value {
        json!({
            "spec": {
                "parentRefs": self.list(3, |this| json!({
                    "name": this.text(NAMES),
                    "namespace": this.text(&["east", "west"]),
                    "port": this.number(&[80, 443]),
                })),
                "hostnames": self.list(3, |this| this.text(HOSTS)),
                "rules": rules,
            },
        })
    }

    fn http_match(&mut self) -> Value {
        json!({
            "path": {"type": self.text(&["Exact", "PathPrefix", "RegularExpression"]), "value": self.text(&["/", "/a", "/a/b", "/x[0-9]+", "/x["])},
            "headers": self.list(2, |this| json!({"name": this.text(&["x-a", "X-A"]), "value": this.text(&["1", "a.+"]), "type": this.text(&["Exact", "RegularExpression"])})),
            "queryParams": self.list(2, |this| json!({"name": this.text(&["q"]), "value": this.text(&["1"])})),
            "method": self.text(&["GET", "POST"]),
        })
    }

    fn backend_ref(&mut self) -> Value {
        json!({
            "name": self.text(&["web", "api", "gone"]),
            "namespace": self.text(&["east", "west"]),
            "port": self.number(&[80, 443]),
            "weight": self.number(&[0, 1, 1_000_000]),
            "filters": self.list(1, Self::route_filter),
        })
    }

    fn route_filter(&mut self) -> Value {
        let headers = |this: &mut Self| {
            json!({
                "set": [{"name": this.text(&["x-a", "host"]), "value": this.text(&["1", "%"])}],
                "remove": [this.text(&["x-b"])],
            })
        };
        json!({
            "type": self.text(&["RequestHeaderModifier", "ResponseHeaderModifier", "RequestRedirect", "URLRewrite", "RequestMirror", "CORS", "ExtensionRef", "ExternalAuth"]),
            "requestHeaderModifier": headers(self),
            "responseHeaderModifier": headers(self),
            "requestRedirect": {"hostname": self.text(&["b.test"]), "port": self.number(&[80]), "statusCode": self.number(&[301])},
            "urlRewrite": {"path": {"type": self.text(&["ReplaceFullPath", "ReplacePrefixMatch"]), "replacePrefixMatch": self.text(&["/new", "/"])}},
            "requestMirror": {"backendRef": {"name": self.text(&["web"]), "port": self.number(&[80])}, "percent": self.number(&[50, 0])},
            "cors": {"allowOrigins": [self.text(&["*", "https://*.test"])], "allowMethods": [self.text(&["GET", "*"])], "maxAge": self.number(&[5])},
            "extensionRef": {"group": self.text(&["example.com"]), "kind": self.text(&["Any"]), "name": self.text(NAMES)},
        })
    }

    pub fn backend_tls_policy(&mut self) -> Value {
        json!({"spec": {
            "targetRefs": self.list(2, |this| json!({"group": "", "kind": "Service", "name": this.text(&["web", "api"]), "sectionName": this.text(&["http", "web"])})),
            "validation": {
                "caCertificateRefs": self.list(2, |this| json!({"group": "", "kind": this.text(&["ConfigMap", "Secret"]), "name": this.text(&["web", "gone"])})),
                "hostname": self.text(HOSTS),
                "subjectAltNames": self.list(2, |this| json!({"type": this.text(&["Hostname", "URI"]), "hostname": this.text(HOSTS), "uri": this.text(&["spiffe://a/b"])})),
            },
        }})
    }

    pub fn config_map(&mut self) -> Value {
        let authority = include_str!("../data/certificates/p256.crt");
        json!({"data": {"ca.crt": self.text(&[authority, "broken"])}})
    }

    pub fn reference_grant(&mut self) -> Value {
        json!({"spec": {
            "from": self.list(2, |this| json!({"group": "gateway.networking.k8s.io", "kind": this.text(&["HTTPRoute", "Gateway"]), "namespace": this.text(&["east", "west"])})),
            "to": self.list(2, |this| json!({"group": "", "kind": this.text(&["Service", "Secret"]), "name": this.text(&["web", "cert"])})),
        }})
    }
}
