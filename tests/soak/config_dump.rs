//! Whether Envoy has what it is meant to have: its configuration dump against what the control plane serves now.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};
use envoy_types::pb::envoy::config::core::v3::address::Address;
use envoy_types::pb::envoy::config::core::v3::socket_address::PortSpecifier;
use envoy_types::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
use envoy_types::pb::envoy::config::endpoint::v3::lb_endpoint::HostIdentifier;
use envoy_types::pb::envoy::config::listener::v3::Listener;
use envoy_types::pb::google::protobuf::StringValue;
use envoy_types::pb::xds::r#type::matcher::v3::matcher::MatcherType;
use envoy_types::pb::xds::r#type::matcher::v3::matcher::matcher_tree::TreeType;
use envoy_types::pb::xds::r#type::matcher::v3::matcher::on_match;
use prost::Message as _;
use serde_json::Value;

use crate::support::ads::{Ads, CDS, EDS, LDS, RDS, SDS, Served};
use crate::support::envoy::Envoy;
use crate::support::eventually::eventually;
use crate::support::stand::Stand;

/// Resources by type and name: their versions, which are hashes of their bytes; of assignments the addresses, because
/// Envoy tells no version of them; of listeners the chains and the names that lead to them, because an update of
/// chains in place leaves the version that Envoy tells as it was.
type Configuration = BTreeMap<(&'static str, String), String>;

/// Waits until Envoy has exactly what a new client of the control plane is served, and returns how many resources
/// that is. Both are read anew each time: what was written last may not have been read when this is called.
pub(crate) async fn agrees(stand: &Stand) -> usize {
    let count = Cell::new(0);
    eventually("Envoy has what is intended", async || -> Result<()> {
        let mut ads = Ads::connect(&stand.isobath.xds()).await?;
        let intended = intended(&ads.everything().await?);
        count.set(intended.len());
        let active = active(&stand.envoy).await?;
        let differences: BTreeSet<_> = intended
            .keys()
            .chain(active.keys())
            .filter(|key| intended.get(*key) != active.get(*key))
            .map(|key| (key, intended.get(key), active.get(key)))
            .collect();
        ensure!(
            differences.is_empty(),
            "{} differ, as intended and as they are: {:?}",
            differences.len(),
            differences.iter().take(5).collect::<Vec<_>>()
        );
        Ok(())
    })
    .await;
    count.get()
}

fn intended(served: &Served) -> Configuration {
    served
        .iter()
        .filter_map(|((type_url, name), (version, bytes))| {
            let known = [CDS, EDS, LDS, RDS, SDS].into_iter();
            // Managers and scopes show in what listeners answer.
            let type_url = known.into_iter().find(|known| known == type_url)?;
            let value = match type_url {
                EDS => addresses(bytes),
                LDS => chains(bytes),
                _ => version.clone(),
            };
            Some(((type_url, name.clone()), value))
        })
        .collect()
}

fn addresses(bytes: &[u8]) -> String {
    let assignment = ClusterLoadAssignment::decode(bytes).unwrap();
    let endpoints = assignment
        .endpoints
        .into_iter()
        .flat_map(|locality| locality.lb_endpoints);
    let addresses: BTreeSet<String> = endpoints
        .map(|endpoint| {
            let Some(HostIdentifier::Endpoint(endpoint)) = endpoint.host_identifier else {
                panic!("an endpoint without address");
            };
            let address = endpoint.address.and_then(|address| address.address);
            let Some(Address::SocketAddress(address)) = address else {
                panic!("no socket address");
            };
            let Some(PortSpecifier::PortValue(port)) = address.port_specifier else {
                panic!("no port");
            };
            format!("{}:{port}", address.address)
        })
        .collect();
    format!("{addresses:?}")
}

fn chains(bytes: &[u8]) -> String {
    let listener = Listener::decode(bytes).unwrap();
    let chains = listener.filter_chains.into_iter();
    let names = match listener.filter_chain_matcher.and_then(|it| it.matcher_type) {
        Some(MatcherType::MatcherTree(tree)) => match tree.tree_type {
            Some(TreeType::ExactMatchMap(map)) => map.map,
            other => panic!("{other:?}"),
        },
        _ => Default::default(),
    };
    let names = names.into_iter().map(|(name, to)| {
        let Some(on_match::OnMatch::Action(action)) = to.on_match else {
            panic!("no action");
        };
        let chain = StringValue::decode(&*action.typed_config.unwrap().value).unwrap();
        (name, chain.value)
    });
    listener_text(chains.map(|chain| chain.name).collect(), names.collect())
}

fn listener_text(chains: BTreeSet<String>, names: BTreeMap<String, String>) -> String {
    format!("{chains:?} {names:?}")
}

/// What Envoy has; an error while any of it is warming.
async fn active(envoy: &Envoy) -> Result<Configuration> {
    let page = envoy.get("/config_dump?include_eds").await?;
    let page: Value = serde_json::from_str(&page)?;
    let mut all = Configuration::new();
    for config in list(&page["configs"]) {
        let kind = text(&config["@type"]).rsplit('.').next().unwrap_or("");
        match kind {
            "ClustersConfigDump" => {
                ensure!(list(&config["dynamic_warming_clusters"]).is_empty());
                for cluster in list(&config["dynamic_active_clusters"]) {
                    let key = (CDS, text(&cluster["cluster"]["name"]).to_owned());
                    all.insert(key, text(&cluster["version_info"]).to_owned());
                }
            }
            "ListenersConfigDump" => {
                for listener in list(&config["dynamic_listeners"]) {
                    ensure!(listener["warming_state"].is_null(), "a listener warms");
                    let key = (LDS, text(&listener["name"]).to_owned());
                    let listener = &listener["active_state"]["listener"];
                    let chains = list(&listener["filter_chains"]).iter();
                    let tree = &listener["filter_chain_matcher"]["matcher_tree"];
                    let map = tree["exact_match_map"]["map"].as_object();
                    let names = map.into_iter().flatten().map(|(name, to)| {
                        let chain = &to["action"]["typed_config"]["value"];
                        (name.clone(), text(chain).to_owned())
                    });
                    let chains = chains.map(|chain| text(&chain["name"]).to_owned());
                    all.insert(key, listener_text(chains.collect(), names.collect()));
                }
            }
            "RoutesConfigDump" => {
                for route in list(&config["dynamic_route_configs"]) {
                    let key = (RDS, text(&route["route_config"]["name"]).to_owned());
                    all.insert(key, text(&route["version_info"]).to_owned());
                }
            }
            "SecretsConfigDump" => {
                ensure!(list(&config["dynamic_warming_secrets"]).is_empty());
                for secret in list(&config["dynamic_active_secrets"]) {
                    let key = (SDS, text(&secret["name"]).to_owned());
                    all.insert(key, text(&secret["version_info"]).to_owned());
                }
            }
            "EndpointsConfigDump" => {
                for config in list(&config["dynamic_endpoint_configs"]) {
                    let config = &config["endpoint_config"];
                    let endpoints = list(&config["endpoints"])
                        .iter()
                        .flat_map(|locality| list(&locality["lb_endpoints"]));
                    let addresses = endpoints
                        .map(|endpoint| {
                            let address = &endpoint["endpoint"]["address"]["socket_address"];
                            let ip = text(&address["address"]);
                            let port = address["port_value"].as_u64().context("no port")?;
                            Ok(format!("{ip}:{port}"))
                        })
                        .collect::<Result<BTreeSet<String>>>()?;
                    let key = (EDS, text(&config["cluster_name"]).to_owned());
                    all.insert(key, format!("{addresses:?}"));
                }
            }
            _ => {}
        }
    }
    ensure!(!all.is_empty(), "an empty dump");
    Ok(all)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}
