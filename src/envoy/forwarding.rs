//! What is forwarded without a look into it: the filters `tcp_proxy` and `udp_proxy`.

use envoy_types::pb::envoy::config::core::v3::RuntimeFractionalPercent;
use envoy_types::pb::envoy::config::listener::v3 as pb;
use envoy_types::pb::envoy::extensions::filters::network::tcp_proxy::v3 as tcp;
use envoy_types::pb::envoy::extensions::filters::udp::udp_proxy::v3 as udp;
use envoy_types::pb::envoy::extensions::matching::common_inputs::network::v3::SourcePortInput;
use envoy_types::pb::envoy::extensions::matching::input_matchers::runtime_fraction::v3::RuntimeFraction;
use envoy_types::pb::envoy::r#type::v3::hash_policy::SourceIp;
use envoy_types::pb::envoy::r#type::v3::{
    FractionalPercent, HashPolicy, fractional_percent::DenominatorType, hash_policy,
};
use envoy_types::pb::xds::core::v3::TypedExtensionConfig;
use envoy_types::pb::xds::r#type::matcher::v3 as matcher;
use envoy_types::util::pack_any;
use matcher::matcher::matcher_list::{FieldMatcher, Predicate, predicate};
use matcher::matcher::{MatcherList, MatcherType, OnMatch, on_match};
use tcp::tcp_proxy::{
    ClusterSpecifier, WeightedCluster as Weighted, weighted_cluster::ClusterWeight,
};
use udp::udp_proxy_config;

use super::encode::{duration, reference};
use crate::model::{Forwarding, Share};
use crate::xds::{Reference, ResourceType};

/// No cluster has this name: connections that go there are closed, datagrams dropped.
const NOWHERE: &str = "isobath.invalid";

/// Of a million.
const MILLION: u64 = 1_000_000;

/// The clusters that it needs.
pub(super) fn clusters(forwarding: &Forwarding) -> impl Iterator<Item = Reference> {
    shares(forwarding).map(|share| reference(ResourceType::Cluster, &share.cluster))
}

/// Those that get something, and last those that can't be.
fn weights(forwarding: &Forwarding) -> Vec<(&str, u32)> {
    let refused = (NOWHERE, forwarding.refused);
    let shares = shares(forwarding).map(|share| (&*share.cluster, share.weight));
    let all = shares.chain(Some(refused).filter(|(_, weight)| *weight > 0));
    all.collect()
}

/// Those that get something.
fn shares(forwarding: &Forwarding) -> impl Iterator<Item = &Share> {
    forwarding.shares.iter().filter(|share| share.weight > 0)
}

/// The last filter of a chain: every connection goes to one of the back ends.
pub(super) fn tcp_proxy(stat_prefix: &str, forwarding: &Forwarding) -> pb::Filter {
    let shares = weights(forwarding);
    let specifier = match *shares {
        [] => ClusterSpecifier::Cluster(NOWHERE.to_owned()),
        [(one, _)] => ClusterSpecifier::Cluster(one.to_owned()),
        _ => ClusterSpecifier::WeightedClusters(Weighted {
            clusters: shares
                .iter()
                .map(|(name, weight)| ClusterWeight {
                    name: (*name).to_owned(),
                    weight: *weight,
                    ..Default::default()
                })
                .collect(),
        }),
    };
    let proxy = tcp::TcpProxy {
        stat_prefix: stat_prefix.to_owned(),
        idle_timeout: forwarding.idle_timeout.and_then(duration),
        cluster_specifier: Some(specifier),
        hash_policy: hash_policy(forwarding.hash_source_ip),
        ..Default::default()
    };
    pb::Filter {
        name: "envoy.filters.network.tcp_proxy".to_owned(),
        config_type: Some(pb::filter::ConfigType::TypedConfig(pack_any(proxy))),
    }
}

/// The only filter of a listener for datagrams: every session goes to one of the back ends.
pub(super) fn udp_proxy(stat_prefix: &str, forwarding: &Forwarding) -> pb::ListenerFilter {
    let proxy = udp::UdpProxyConfig {
        stat_prefix: stat_prefix.to_owned(),
        idle_timeout: forwarding.idle_timeout.and_then(duration),
        route_specifier: Some(udp_proxy_config::RouteSpecifier::Matcher(by_weight(
            forwarding,
        ))),
        hash_policies: hash_policies(forwarding.hash_source_ip),
        ..Default::default()
    };
    pb::ListenerFilter {
        name: "envoy.filters.udp_listener.udp_proxy".to_owned(),
        config_type: Some(pb::listener_filter::ConfigType::TypedConfig(pack_any(
            proxy,
        ))),
        ..Default::default()
    }
}

/// What of a connection chooses the endpoint.
fn hash_policy(by_source_ip: bool) -> Vec<HashPolicy> {
    let policy = HashPolicy {
        policy_specifier: Some(hash_policy::PolicySpecifier::SourceIp(SourceIp {})),
    };
    by_source_ip.then_some(policy).into_iter().collect()
}

/// What of a session chooses the endpoint.
fn hash_policies(by_source_ip: bool) -> Vec<udp_proxy_config::HashPolicy> {
    use udp_proxy_config::hash_policy::PolicySpecifier;
    let policy = udp_proxy_config::HashPolicy {
        policy_specifier: Some(PolicySpecifier::SourceIp(true)),
    };
    by_source_ip.then_some(policy).into_iter().collect()
}

/// By the client's port, so that a session stays where it is: each but the last takes its share of what those before it
/// leave.
fn by_weight(forwarding: &Forwarding) -> matcher::Matcher {
    let shares = weights(forwarding);
    let Some(((last, _), others)) = shares.split_last() else {
        return matcher::Matcher {
            on_no_match: Some(Box::new(to(NOWHERE))),
            ..Default::default()
        };
    };
    let mut left: u64 = shares.iter().map(|(_, weight)| u64::from(*weight)).sum();
    let mut matchers = Vec::new();
    for (name, weight) in others {
        let weight = u64::from(*weight);
        matchers.push(FieldMatcher {
            predicate: Some(fraction(weight * MILLION / left, matchers.len())),
            on_match: Some(to(name)),
        });
        left -= weight;
    }
    matcher::Matcher {
        matcher_type: (!matchers.is_empty())
            .then_some(MatcherType::MatcherList(MatcherList { matchers })),
        on_no_match: Some(Box::new(to(last))),
    }
}

fn to(cluster: &str) -> OnMatch {
    let route = udp::Route {
        cluster: cluster.to_owned(),
    };
    OnMatch {
        on_match: Some(on_match::OnMatch::Action(TypedExtensionConfig {
            name: "route".to_owned(),
            typed_config: Some(pack_any(route)),
        })),
        ..Default::default()
    }
}

/// So many of a million ports. Each matcher has a seed of its own: with the same one a port that the first leaves would be
/// left by all.
fn fraction(numerator: u64, seed: usize) -> Predicate {
    let fraction = RuntimeFraction {
        runtime_fraction: Some(RuntimeFractionalPercent {
            default_value: Some(FractionalPercent {
                numerator: numerator.try_into().unwrap_or(u32::MAX),
                denominator: DenominatorType::Million.into(),
            }),
            ..Default::default()
        }),
        seed: seed as u64,
    };
    Predicate {
        match_type: Some(predicate::MatchType::SinglePredicate(
            predicate::SinglePredicate {
                input: Some(TypedExtensionConfig {
                    name: "source-port".to_owned(),
                    typed_config: Some(pack_any(SourcePortInput {})),
                }),
                matcher: Some(predicate::single_predicate::Matcher::CustomMatch(
                    TypedExtensionConfig {
                        name: "fraction".to_owned(),
                        typed_config: Some(pack_any(fraction)),
                    },
                )),
            },
        )),
    }
}
