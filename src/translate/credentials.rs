//! Passwords of a Secret: what SDS calls them, as its name tells.

use std::fmt;
use std::sync::Arc;

use crate::model::CredentialsFile;
use crate::objects::{Field, Kind, NamespacedName, ObjectRef};

use super::{Input, source};

/// The passwords of a Secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CredentialsKey {
    /// The Secret.
    pub secret: NamespacedName,
    /// Whether each key of its data is a name, in the place of a file under `auth`.
    pub is_map: bool,
}

/// What a name begins with. The name of a certificate has one slash, and that of a bundle another beginning.
const FILE: &str = "htpasswd/";
/// The same of a map.
const MAP: &str = "htpasswd-map/";

impl CredentialsKey {
    /// The name on the wire.
    #[must_use]
    pub fn name(&self) -> Arc<str> {
        self.to_string().into()
    }

    /// The object that it is made from.
    #[must_use]
    pub fn object(&self) -> ObjectRef {
        ObjectRef {
            kind: Kind::Secret,
            name: self.secret.clone(),
        }
    }

    /// What is called so; `None` for what is no name of passwords.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        let file = name.strip_prefix(FILE).map(|rest| (rest, false));
        let (rest, is_map) = file.or_else(|| Some((name.strip_prefix(MAP)?, true)))?;
        let (namespace, name) = rest.split_once('/')?;
        let is_name = !namespace.is_empty() && !name.is_empty() && !name.contains('/');
        is_name.then(|| Self {
            secret: NamespacedName::new(namespace, name),
            is_map,
        })
    }
}

impl fmt::Display for CredentialsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = if self.is_map { MAP } else { FILE };
        write!(f, "{prefix}{}", self.secret)
    }
}

/// The passwords, `None` where they are missing or broken. Whoever names them reads that too.
#[must_use]
pub fn credentials(input: Input<'_>, key: &CredentialsKey) -> Option<CredentialsFile> {
    let secret = input.reader.secret(&key.secret)?;
    Some(CredentialsFile {
        name: key.name(),
        credentials: secret.check_credentials(key.is_map).ok()?.clone(),
        source: source(Kind::Secret, &key.secret, Field::Data),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_what_it_is_of() {
        for (secret, is_map, expected) in [
            (
                NamespacedName::new("ns", "users"),
                false,
                "htpasswd/ns/users",
            ),
            (
                NamespacedName::new("ns", "users"),
                true,
                "htpasswd-map/ns/users",
            ),
            (
                NamespacedName::new("htpasswd", "x"),
                false,
                "htpasswd/htpasswd/x",
            ),
        ] {
            let key = CredentialsKey { secret, is_map };
            assert_eq!(&*key.name(), expected);
            assert_eq!(CredentialsKey::of_name(expected), Some(key));
        }
        for name in [
            "",
            "ns/users",
            "htpasswd/users",
            "htpasswd/a/b/c",
            "htpasswd-map/x",
            "htpasswd//x",
        ] {
            assert_eq!(CredentialsKey::of_name(name), None, "{name}");
        }
    }
}
