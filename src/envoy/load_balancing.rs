//! Which endpoint of a cluster gets a request.

use envoy_types::pb::envoy::config::cluster::v3::cluster as pb;
use envoy_types::pb::envoy::config::core::v3::RuntimeDouble;
use envoy_types::pb::envoy::r#type::v3::Percent;
use pb::{LbConfig, LbPolicy};

use super::encode::duration;
use crate::model::{LoadBalancing, SlowStart};

/// No configuration where the policy has all that it needs: that is what most clusters are.
pub(super) fn load_balancing(balancing: &LoadBalancing) -> (LbPolicy, Option<LbConfig>) {
    match balancing {
        LoadBalancing::RoundRobin(slow) => {
            let config = slow.as_ref().map(|slow| pb::RoundRobinLbConfig {
                slow_start_config: Some(slow_start(slow)),
            });
            (
                LbPolicy::RoundRobin,
                config.map(LbConfig::RoundRobinLbConfig),
            )
        }
        LoadBalancing::LeastRequest(slow) => {
            let config = slow.as_ref().map(|slow| pb::LeastRequestLbConfig {
                slow_start_config: Some(slow_start(slow)),
                ..Default::default()
            });
            (
                LbPolicy::LeastRequest,
                config.map(LbConfig::LeastRequestLbConfig),
            )
        }
        LoadBalancing::Random => (LbPolicy::Random, None),
        LoadBalancing::RingHash => {
            let config = LbConfig::RingHashLbConfig(pb::RingHashLbConfig::default());
            (LbPolicy::RingHash, Some(config))
        }
        LoadBalancing::Maglev => (LbPolicy::Maglev, None),
    }
}

fn slow_start(slow: &SlowStart) -> pb::SlowStartConfig {
    pb::SlowStartConfig {
        slow_start_window: duration(slow.window()),
        aggression: Some(RuntimeDouble {
            default_value: f64::from(slow.aggression()) / 100.0,
            // Envoy refuses an empty one; nothing sets it.
            runtime_key: "slow_start.aggression".to_owned(),
        }),
        min_weight_percent: Some(Percent {
            value: slow.least().get().into(),
        }),
    }
}
