//! `status` of the kinds of the Gateway API: what is ours of it, in one shape for all of them, as it was seen and as it is to be.

use std::sync::Arc;

use super::reference::ParentReference;

/// What is ours of a status. What a kind does not have is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Status {
    /// `conditions` of the types that we write, sorted by type.
    pub conditions: Box<[StatusCondition]>,
    /// `addresses` of a Gateway: type and value.
    pub addresses: Box<[(Arc<str>, Arc<str>)]>,
    /// `listeners` of a Gateway or a ListenerSet, as its spec has them.
    pub listeners: Box<[ListenerStatus]>,
    /// `attachedListenerSets` of a Gateway.
    pub attached_listener_sets: u32,
    /// `supportedFeatures` of a GatewayClass, sorted.
    pub features: Box<[Arc<str>]>,
    /// `parents` of a route, or `ancestors` of a policy, those of our controller alone, sorted: in which order they stand is also others' to say.
    pub parents: Box<[ParentStatus]>,
}

/// What `Programmed` says where it holds.
pub const PROGRAMMED: &str = "It is published, and acknowledged by an Envoy if one is connected";

/// What `Programmed` says until an Envoy has it.
pub const NOT_ACKNOWLEDGED: &str = "No Envoy has acknowledged it yet";

/// What `Programmed` of a Gateway begins with where none of its listeners is there.
pub const NONE_PROGRAMMED: &str = "none of its listeners is programmed";

/// Whether it is one of ours that says so of `Programmed`.
#[must_use]
pub fn is_programmed_message(message: &str) -> bool {
    [PROGRAMMED, NOT_ACKNOWLEDGED].contains(&message) || message.starts_with(NONE_PROGRAMMED)
}

/// A condition, less its time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StatusCondition {
    /// `type`.
    pub kind: Arc<str>,
    /// `status`.
    pub status: ConditionStatus,
    /// `reason`.
    pub reason: Arc<str>,
    /// `message`.
    pub message: Arc<str>,
    /// `observedGeneration`.
    pub observed_generation: i64,
}

/// `status` of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not.
    False,
    /// Nobody has looked.
    Unknown,
}

impl ConditionStatus {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// `status.listeners[]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ListenerStatus {
    /// `name`.
    pub name: Arc<str>,
    /// `supportedKinds`: group and kind.
    pub kinds: Box<[(Arc<str>, Arc<str>)]>,
    /// `attachedRoutes`.
    pub attached_routes: u32,
    /// `conditions` of the types that we write, sorted by type.
    pub conditions: Box<[StatusCondition]>,
}

/// `status.parents[]`, or `status.ancestors[]`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParentStatus {
    /// `parentRef`, or `ancestorRef`.
    pub parent: ParentReference,
    /// `conditions` of the types that we write, sorted by type.
    pub conditions: Box<[StatusCondition]>,
}

/// As many entries as the status of a policy has room for, whosoever they are.
pub const MOST_ANCESTORS: usize = 16;

/// As long as the schema lets the message of a condition be.
pub const MOST_MESSAGE: usize = 32_768;

impl Status {
    /// The types of conditions that we write; those of others are left as they are.
    pub const CONDITIONS: [&'static str; 7] = [
        "Accepted",
        "Conflicted",
        "InsecureFrontendValidationMode",
        "OverlappingTLSConfig",
        "PartiallyInvalid",
        "Programmed",
        "ResolvedRefs",
    ];
}
