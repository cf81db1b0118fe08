//! HTTPProxies and ExtensionServices, as the other objects of [`crate::generate`].

use serde_json::{Value, json};

use crate::generate::Generator;

const NAMES: &[&str] = &["a", "b", "web", "api", "x-1", "gone"];
const SECRETS: &[&str] = &["cert", "rsa", "certs/cert"];

impl Generator {
    pub fn http_proxy(&mut self) -> Value {
        let mut spec = json!({
            "routes": self.list(3, Self::route),
            "includes": self.list(2, |this| json!({
                "name": this.text(NAMES),
                "namespace": this.text(&["east", "west"]),
                "conditions": this.list(2, Self::condition),
            })),
            "ingressClassName": self.text(&["contour", "isobath", "other"]),
        });
        if self.random.percent(50) {
            spec["virtualhost"] = self.virtual_host();
        }
        if self.random.percent(10) {
            spec["tcpproxy"] = json!({
                "services": self.list(2, Self::target),
                "include": {"name": self.text(NAMES)},
                "healthCheckPolicy": {"intervalSeconds": self.number(&[5])},
            });
        }
        json!({"spec": spec})
    }

    pub fn extension_service(&mut self) -> Value {
        json!({"spec": {
            "services": [{"name": self.text(NAMES), "port": self.number(&[80, 443]), "weight": self.number(&[0, 3])}],
            "protocol": self.text(&["h2", "h2c"]),
            "timeoutPolicy": {"response": self.text(&["1s", "infinity"])},
            "loadBalancerPolicy": {"strategy": self.text(&["Random", "Cookie"])},
            "circuitBreakerPolicy": {"maxConnections": self.number(&[0, 5])},
        }})
    }

    fn virtual_host(&mut self) -> Value {
        let mut host =
            json!({"fqdn": self.text(&["a.test", "b.test", "*.test", "x.a.test", "*.a.test"])});
        if self.random.percent(50) {
            host["tls"] = json!({
                "secretName": self.text(SECRETS),
                "minimumProtocolVersion": self.text(&["1.2", "1.3"]),
                "passthrough": self.boolean(),
            });
        }
        if self.random.percent(20) {
            host["tls"]["clientValidation"] = json!({
                "caSecret": self.text(SECRETS),
                "crlSecret": self.text(SECRETS),
                "optionalClientCertificate": self.boolean(),
                "forwardClientCertificate": {"uri": self.boolean()},
            });
        }
        if self.random.percent(20) {
            host["authorization"] = json!({
                "extensionRef": {"name": self.text(NAMES)},
                "authPolicy": {"context": {"a": self.text(&["b"])}},
                "withRequestBody": {"maxRequestBytes": self.number(&[10])},
            });
            host["jwtProviders"] = self.list(2, |this| json!({
                "name": this.text(NAMES),
                "remoteJWKS": {"uri": this.text(&["http://a.example.com/jwks", "https://b.example.com"]), "timeout": this.text(&["1s"])},
            }));
        }
        if self.random.percent(20) {
            host["corsPolicy"] = json!({
                "allowOrigin": [self.text(&["*", "https://a.test", "https://.*"])],
                "allowMethods": [self.text(&["GET"])],
                "maxAge": self.text(&["10m", "0"]),
            });
            host["rateLimitPolicy"] = self.rate_limit();
            host["ipAllowPolicy"] = self.list(2, Self::ip_filter);
        }
        host
    }

    fn route(&mut self) -> Value {
        let mut route = json!({
            "conditions": self.list(3, Self::condition),
            "services": self.list(3, Self::target),
            "permitInsecure": self.boolean(),
        });
        if self.random.percent(30) {
            route["timeoutPolicy"] =
                json!({"response": self.text(&["1s", "infinity"]), "idle": self.text(&["1h2m"])});
            route["retryPolicy"] = json!({
                "count": self.number(&[-1, 0, 3]),
                "retryOn": [self.text(&["5xx", "reset"])],
                "retriableStatusCodes": [self.number(&[503])],
            });
            route["healthCheckPolicy"] = json!({
                "path": self.text(&["/", "/health"]),
                "intervalSeconds": self.number(&[5, 0]),
                "expectedStatuses": [{"start": self.number(&[200]), "end": self.number(&[300])}],
            });
        }
        if self.random.percent(30) {
            route["loadBalancerPolicy"] = json!({
                "strategy": self.text(&["Cookie", "RequestHash", "RoundRobin"]),
                "requestHashPolicies": [{"headerHashOptions": {"headerName": self.text(&["x-a"])}}, {"hashSourceIP": self.boolean()}],
            });
            route["pathRewritePolicy"] =
                json!({"replacePrefix": [{"replacement": self.text(&["/", "/new"])}]});
            route["requestHeadersPolicy"] = self.headers();
            route["cookieRewritePolicies"] =
                json!([{"name": self.text(&["c"]), "secure": self.boolean()}]);
        }
        if self.random.percent(20) {
            route["requestRedirectPolicy"] = json!({
                "hostname": self.text(&["a.test"]),
                "statusCode": self.number(&[301, 302]),
                "prefix": self.text(&["/b"]),
            });
            route["directResponsePolicy"] =
                json!({"statusCode": self.number(&[200]), "body": self.text(&["hello"])});
            route["internalRedirectPolicy"] =
                json!({"redirectResponseCodes": [self.number(&[302])]});
            route["rateLimitPolicy"] = self.rate_limit();
            route["jwtVerificationPolicy"] = json!({"require": self.text(NAMES)});
            route["ipDenyPolicy"] = self.list(2, Self::ip_filter);
        }
        route
    }

    fn condition(&mut self) -> Value {
        match self.random.below(6) {
            0 => json!({"exact": self.text(&["/a", "/"])}),
            1 => json!({"regex": self.text(&["/x[0-9]+", "/(a|b)*", "/x["])}),
            2 => {
                json!({"header": {"name": self.text(&["x-a", ":method"]), "exact": self.text(&["b"]), "ignoreCase": self.boolean()}})
            }
            3 => {
                json!({"queryParameter": {"name": self.text(&["q"]), "prefix": self.text(&["b"])}})
            }
            _ => json!({"prefix": self.text(&["/", "/a", "/a/", "/a//b"])}),
        }
    }

    fn target(&mut self) -> Value {
        let mut service = json!({"name": self.text(NAMES), "port": self.number(&[80, 443, 81]), "weight": self.number(&[0, 1, 90])});
        if self.random.percent(20) {
            service["protocol"] = self.text(&["h2", "h2c", "tls"]);
            let subject = self.text(&["a.test"]);
            service["validation"] = json!({"caSecret": self.text(SECRETS), "subjectName": subject, "subjectNames": [subject]});
            service["responseHeadersPolicy"] = self.headers();
            service["slowStartPolicy"] =
                json!({"window": self.text(&["3s"]), "aggression": self.text(&["1.5"])});
        }
        service
    }

    fn headers(&mut self) -> Value {
        json!({
            "set": [{"name": self.text(&["x-a", "Host"]), "value": self.text(&["b", "%REQ(x)%", "%CONTOUR_NAMESPACE%"])}],
            "remove": [self.text(&["x-b"])],
        })
    }

    fn rate_limit(&mut self) -> Value {
        json!({
            "local": {"requests": self.number(&[1, 100]), "unit": self.text(&["second", "hour"])},
            "global": {"descriptors": [{"entries": [
                {"genericKey": {"value": self.text(&["a"])}},
                {"requestHeaderValueMatch": {"headers": [{"name": self.text(&["x-a"])}], "value": self.text(&["b"])}},
            ]}]},
        })
    }

    fn ip_filter(&mut self) -> Value {
        json!({"source": self.text(&["Peer", "Remote"]), "cidr": self.text(&["10.0.0.0/8", "::1", "nowhere"])})
    }
}
