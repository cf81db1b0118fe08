//! The names of the Services that are kept for a Gateway.

use std::sync::Arc;

use crate::objects::NamespacedName;

/// How much of a Gateway's name is in that of its Service: a Service's has 63 characters at most.
const MOST_OF_NAME: usize = 40;

/// A name that a Service may have, and that no two Gateways share: theirs may have dots, begin with a digit, and be longer.
pub fn service_name(gateway: &NamespacedName) -> Arc<str> {
    let readable = gateway.name.chars();
    let readable = readable.map(|it| if it == '.' { '-' } else { it });
    let readable: String = readable.take(MOST_OF_NAME).collect();
    let hash = xxhash_rust::xxh3::xxh3_64(gateway.name.as_bytes());
    format!("gw-{readable}-{hash:016x}").into()
}

/// The name of the Service of a Gateway's own.
pub fn load_balancer_name(gateway: &NamespacedName) -> Arc<str> {
    format!("{}-lb", service_name(gateway)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_can_have_the_name() {
        let long = "x".repeat(253);
        for name in ["edge", "1.edge", "a.b", "a-b", &long] {
            let service = load_balancer_name(&NamespacedName::new("infra", name));
            let is_label =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            assert!(
                service.len() <= 63 && service.bytes().all(is_label),
                "{service}"
            );
            assert!(service.starts_with("gw-"));
        }
        let of = |name: &str| service_name(&NamespacedName::new("infra", name));
        assert_ne!(of("a.b"), of("a-b"));
        assert_eq!(of("a.b"), of("a.b"));
    }
}
