//! That the random histories reach what they are there for: a policy that no served route has is compared by nobody.

use std::collections::BTreeSet;

use isobath::translate::Options;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config as RunnerConfig, TestRunner};

use crate::objects::history_of_proxies;
use crate::{builder, dump, operator, with_gateways};

/// Words of Envoy's that only the policy of an HTTPProxy brings into a snapshot.
const WORDS: [&str; 16] = [
    "extensions.filters.http.cors.v3.CorsPolicy",
    "extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
    "extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute",
    "extensions.filters.http.jwt_authn.v3.PerRouteConfig",
    "2001:db8:1::1",
    "extensions.filters.http.lua.v3.LuaPerRoute",
    "keys.test",
    "X-Contour-Session-Affinity",
    "retriable-status-codes",
    "elsewhere.test",
    "/prefix",
    "/health",
    "%DOWNSTREAM_REMOTE_ADDRESS%",
    "limited",
    "slow_start",
    "internal_redirect",
];

#[test]
fn each_policy_is_served() {
    let mut runner = TestRunner::new_with_rng(
        RunnerConfig::default(),
        proptest::test_runner::TestRng::deterministic_rng(
            proptest::test_runner::RngAlgorithm::ChaCha,
        ),
    );
    let mut missing: BTreeSet<&str> = WORDS.into();
    let mut histories = 0;
    while !missing.is_empty() && histories < 4000 {
        histories += 1;
        let history = history_of_proxies()
            .new_tree(&mut runner)
            .unwrap()
            .current();
        let http_proxy = operator().new_tree(&mut runner).unwrap().current();
        let mut builder = builder(Options {
            allow_external_names: true,
            http_proxy,
            ..with_gateways(true)
        });
        for (event, _) in history {
            builder.apply(event);
        }
        builder.build();
        for (.., bytes) in dump(builder.snapshot()) {
            missing.retain(|word| !bytes.windows(word.len()).any(|it| it == word.as_bytes()));
        }
    }
    assert_eq!(missing, BTreeSet::new(), "after {histories} histories");
}
