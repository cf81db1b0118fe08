//! How the structs of the schema are written.

/// Structs of a schema: each of their fields may be missing, or `null`, which the API server takes out.
macro_rules! wires {
    ($($(#[$doc:meta])* struct $name:ident { $($(#[$attribute:meta])* $field:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Default, serde::Deserialize)]
        #[serde(default, rename_all = "camelCase")]
        pub(in super::super) struct $name {
            $($(#[$attribute])* pub(in super::super) $field: Option<$type>,)*
        }
    )*};
}
pub(super) use wires;
