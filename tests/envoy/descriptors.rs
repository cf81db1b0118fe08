//! `src/envoy/descriptors.bin.gz`: envoy-types' own descriptor set, less what no resource of ours can reach.
//!
//! After an update of envoy-types: `UPDATE_GOLDEN=1 cargo test --test envoy descriptors`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use prost_reflect::prost::Message;
use prost_reflect::prost_types::{FileDescriptorProto, FileDescriptorSet};

use crate::update;

/// The files of the messages that we serve, or put into an `Any`.
const ROOTS: &[&str] = &[
    "envoy/config/cluster/v3/cluster.proto",
    "envoy/config/endpoint/v3/endpoint.proto",
    "envoy/config/listener/v3/listener.proto",
    "envoy/config/route/v3/route.proto",
    "envoy/config/trace/v3/opentelemetry.proto",
    "envoy/extensions/access_loggers/stats/v3/stats.proto",
    "envoy/extensions/access_loggers/stream/v3/stream.proto",
    "envoy/extensions/compression/brotli/compressor/v3/brotli.proto",
    "envoy/extensions/compression/gzip/compressor/v3/gzip.proto",
    "envoy/extensions/compression/zstd/compressor/v3/zstd.proto",
    "envoy/extensions/filters/http/body_size_limit/v3/body_size_limit.proto",
    "envoy/extensions/filters/http/compressor/v3/compressor.proto",
    "envoy/extensions/filters/http/cors/v3/cors.proto",
    "envoy/extensions/filters/http/custom_response/v3/custom_response.proto",
    "envoy/extensions/filters/http/ext_authz/v3/ext_authz.proto",
    "envoy/extensions/filters/http/filter_chain/v3/filter_chain.proto",
    "envoy/extensions/filters/http/grpc_web/v3/grpc_web.proto",
    "envoy/extensions/filters/http/header_mutation/v3/header_mutation.proto",
    "envoy/extensions/filters/http/health_check/v3/health_check.proto",
    "envoy/extensions/filters/http/jwt_authn/v3/config.proto",
    "envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit.proto",
    "envoy/extensions/filters/http/lua/v3/lua.proto",
    "envoy/extensions/filters/http/ratelimit/v3/rate_limit.proto",
    "envoy/extensions/filters/http/rbac/v3/rbac.proto",
    "envoy/extensions/filters/http/router/v3/router.proto",
    "envoy/extensions/filters/http/set_filter_state/v3/set_filter_state.proto",
    "envoy/extensions/filters/http/set_metadata/v3/set_metadata.proto",
    "envoy/extensions/filters/http/stateful_session/v3/stateful_session.proto",
    "envoy/extensions/filters/listener/proxy_protocol/v3/proxy_protocol.proto",
    "envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector.proto",
    "envoy/extensions/filters/network/direct_response/v3/config.proto",
    "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.proto",
    "envoy/extensions/filters/network/rbac/v3/rbac.proto",
    "envoy/extensions/filters/network/set_filter_state/v3/set_filter_state.proto",
    "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.proto",
    "envoy/extensions/filters/udp/udp_proxy/v3/route.proto",
    "envoy/extensions/filters/udp/udp_proxy/v3/udp_proxy.proto",
    "envoy/extensions/http/custom_response/local_response_policy/v3/local_response_policy.proto",
    "envoy/extensions/http/custom_response/redirect_policy/v3/redirect_policy.proto",
    "envoy/extensions/http/early_header_mutation/header_mutation/v3/header_mutation.proto",
    "envoy/extensions/http/stateful_session/cookie/v3/cookie.proto",
    "envoy/extensions/http/stateful_session/header/v3/header.proto",
    "envoy/extensions/internal_redirect/previous_routes/v3/previous_routes_config.proto",
    "envoy/extensions/internal_redirect/safe_cross_scheme/v3/safe_cross_scheme_config.proto",
    "envoy/extensions/matching/common_inputs/network/v3/network_inputs.proto",
    "envoy/extensions/matching/input_matchers/ip/v3/ip.proto",
    "envoy/extensions/matching/input_matchers/runtime_fraction/v3/runtime_fraction.proto",
    "envoy/extensions/retry/host/previous_hosts/v3/previous_hosts.proto",
    "envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol.proto",
    "envoy/extensions/transport_sockets/quic/v3/quic_transport.proto",
    "envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer.proto",
    "envoy/extensions/transport_sockets/tls/v3/tls.proto",
    "envoy/extensions/upstreams/http/v3/http_protocol_options.proto",
    "envoy/type/matcher/v3/http_inputs.proto",
    "envoy/type/matcher/v3/status_code_input.proto",
    "google/protobuf/wrappers.proto",
];

#[test]
fn descriptors_are_those_of_envoy_types() {
    let set = FileDescriptorSet::decode(&*std::fs::read(types_bin()).unwrap()).unwrap();
    let wanted = trimmed(set).encode_to_vec();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/envoy/descriptors.bin.gz");
    if update::updates() {
        let mut file = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        file.write_all(&wanted).unwrap();
        std::fs::write(&path, file.finish().unwrap()).unwrap();
    }
    let mut found = Vec::new();
    flate2::read::GzDecoder::new(std::fs::File::open(&path).unwrap())
        .read_to_end(&mut found)
        .unwrap();
    assert!(
        found == wanted,
        "descriptors.bin.gz is not what envoy-types has; UPDATE_GOLDEN=1 makes it anew"
    );
}

/// The descriptor set that envoy-types ships and does not expose.
fn types_bin() -> PathBuf {
    let output = Command::new(env!("CARGO"))
        // A crate of another platform may not be in a fresh machine's cache, and is not needed.
        .args(["metadata", "--locked", "--format-version=1"])
        .args(["--filter-platform=x86_64-unknown-linux-gnu"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let package = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .find(|package| package["name"] == "envoy-types")
        .unwrap();
    Path::new(package["manifest_path"].as_str().unwrap()).with_file_name("src/generated/types.bin")
}

/// The roots and what they import, by name, without comments. Options go by themselves: prost keeps no extensions.
fn trimmed(set: FileDescriptorSet) -> FileDescriptorSet {
    let mut files: BTreeMap<String, FileDescriptorProto> = set
        .file
        .into_iter()
        .map(|file| (file.name().to_owned(), file))
        .collect();
    let mut reached: BTreeSet<String> = BTreeSet::new();
    let mut next: Vec<String> = ROOTS.iter().map(|root| (*root).to_owned()).collect();
    while let Some(name) = next.pop() {
        if reached.insert(name.clone()) {
            let file = files.get(&name).unwrap_or_else(|| panic!("no {name}"));
            next.extend(file.dependency.iter().cloned());
        }
    }
    files.retain(|name, _| reached.contains(name));
    let file = files
        .into_values()
        .map(|file| FileDescriptorProto {
            source_code_info: None,
            ..file
        })
        .collect();
    FileDescriptorSet { file }
}
