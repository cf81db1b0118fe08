//! What a GatewayClass says that it supports: what is served, and nothing else.

use super::effective::Transport;
use super::options::GatewayOptions;

/// The names of features, sorted.
pub const FEATURES: [&str; 50] = [
    "BackendTLSPolicy",
    "BackendTLSPolicySANValidation",
    "GRPCRoute",
    "GRPCRouteNamedRouteRule",
    "GRPCRouteRequestHeaderModifier",
    "Gateway",
    "GatewayAddressEmpty",
    "GatewayBackendClientCertificate",
    "GatewayFrontendClientCertificateValidation",
    "GatewayFrontendClientCertificateValidationInsecureFallback",
    "GatewayHTTPListenerIsolation",
    "GatewayHTTPSListenerDetectMisdirectedRequests",
    "GatewayInfrastructure",
    "GatewayPort8080",
    "GatewayRouteHostnameIntersectionPrecedence",
    "GatewayStaticAddresses",
    "HTTPRoute",
    "HTTPRoute303RedirectStatusCode",
    "HTTPRoute307RedirectStatusCode",
    "HTTPRoute308RedirectStatusCode",
    "HTTPRouteBackendProtocolH2C",
    "HTTPRouteBackendProtocolWebSocket",
    "HTTPRouteBackendRequestHeaderModification",
    "HTTPRouteBackendTimeout",
    "HTTPRouteBackendURLRewrite",
    "HTTPRouteCORS",
    "HTTPRouteDestinationPortMatching",
    "HTTPRouteHostRewrite",
    "HTTPRouteMethodMatching",
    "HTTPRouteNamedRouteRule",
    "HTTPRouteParentRefPort",
    "HTTPRoutePathRedirect",
    "HTTPRoutePathRewrite",
    "HTTPRoutePortRedirect",
    "HTTPRouteQueryParamMatching",
    "HTTPRouteRequestMirror",
    "HTTPRouteRequestMultipleMirrors",
    "HTTPRouteRequestPercentageMirror",
    "HTTPRouteRequestTimeout",
    "HTTPRouteResponseHeaderModification",
    "HTTPRouteRetryCodes",
    "HTTPRouteRetryConnectionError",
    "HTTPRouteSchemeRedirect",
    "ListenerSet",
    "ReferenceGrant",
    "TCPRoute",
    "TLSRoute",
    "TLSRouteModeMixed",
    "TLSRouteModeTerminate",
    "UDPRoute",
];

/// Whether a feature is served as the operator has it: some need addresses for Gateways.
pub fn is_served(feature: &str, options: &GatewayOptions) -> bool {
    let has_addresses = !options.addresses.is_empty();
    match feature {
        "GatewayStaticAddresses" => has_addresses,
        "GatewayPort8080" => {
            has_addresses
                || options.services.is_some()
                || options.ports.pod_port((8080, Transport::Tcp)).is_some()
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn names_are_sorted_as_the_api_server_wants_them() {
        assert!(FEATURES.is_sorted());
    }

    #[test]
    fn what_needs_addresses_is_not_told_without_them() {
        let with = GatewayOptions {
            addresses: [crate::model::Cidr::new("192.0.2.0/28").unwrap()].into(),
            ..GatewayOptions::default()
        };
        let without = GatewayOptions::default();
        let missing = FEATURES.into_iter().filter(|it| !is_served(it, &without));
        let missing: Vec<&str> = missing.collect();
        assert_eq!(missing, ["GatewayPort8080", "GatewayStaticAddresses"]);
        assert!(FEATURES.into_iter().all(|it| is_served(it, &with)));
    }

    /// What the table of `deploy/gateway-api.md` says is served is what a GatewayClass says is supported.
    #[test]
    fn the_page_names_what_is_supported() {
        let page = include_str!("../../../deploy/gateway-api.md");
        let (_, table) = page.split_once("| feature | channel |").unwrap();
        let rows = table.lines().skip(2).take_while(|line| !line.is_empty());
        let mut told = [Vec::new(), Vec::new()];
        for row in rows {
            let cells: Vec<&str> = row.trim_matches('|').split(" | ").collect();
            let [names, _, _, served] = cells[..] else {
                panic!("{row}");
            };
            let names = names.split('`').skip(1).step_by(2);
            told[usize::from(served.starts_with("yes"))].extend(names);
        }
        let [unserved, mut served] = told;
        served.sort_unstable();
        assert_eq!(served, FEATURES);
        assert!(!unserved.is_empty());
    }
}
