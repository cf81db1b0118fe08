//! JSON as Go's decoder reads it, which is what the API server's objects mean.
//!
//! In Go, a field that is absent, one that is `null` and one that has its type's zero value are the same;
//! `null` is also a list's element. serde's derive sees three different things there, and would take an
//! array for a struct. The wrappers in here close the gap, so that the wire types of the neighbouring
//! modules can be read field for field beside the Go ones. Pointers in Go are `Option` there.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Unexpected, Visitor};

/// A `string`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

/// A `string` that is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Kept(pub(super) Arc<str>);

/// A `struct`.
#[derive(Debug, Default)]
pub(super) struct Struct<T>(pub(super) T);

/// A slice.
#[derive(Debug)]
pub(super) struct List<T>(pub(super) Vec<T>);

/// A `map[string]string`.
#[derive(Debug, Default)]
pub(super) struct TextMap<'a>(pub(super) Vec<(Cow<'a, str>, Text<'a>)>);

/// An `int32`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Int(pub(super) i32);

/// An `integer` of a schema, whose type in Go the schema may not tell.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Whole(pub(super) i128);

/// A `bool`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bool(pub(super) bool);

/// Any value; the string if it is one. For looking at objects that are otherwise wrong.
#[derive(Debug, Default)]
pub(super) struct PerhapsText(pub(super) Option<String>);

/// Any value; the struct if it is an object.
#[derive(Debug, Default)]
pub(super) struct PerhapsStruct<T>(pub(super) T);

impl Text<'_> {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Bool {
    /// What a field says; false where it says nothing.
    pub(super) fn of(field: Option<Self>) -> bool {
        field.unwrap_or_default().0
    }
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor<'a>(PhantomData<&'a ()>);

        impl<'de: 'a, 'a> Visitor<'de> for TextVisitor<'a> {
            type Value = Text<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(value)))
            }

            fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(value.to_owned())))
            }

            fn visit_string<E: Error>(self, value: String) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(value)))
            }

            fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
                Ok(Text::default())
            }
        }

        deserializer.deserialize_any(TextVisitor(PhantomData))
    }
}

impl<'de, T: Default + Deserialize<'de>> Deserialize<'de> for Struct<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct StructVisitor<T>(PhantomData<T>);

        impl<'de, T: Default + Deserialize<'de>> Visitor<'de> for StructVisitor<T> {
            type Value = Struct<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Struct)
            }

            fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
                Ok(Struct(T::default()))
            }
        }

        deserializer.deserialize_any(StructVisitor(PhantomData))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for ListVisitor<T> {
            type Value = List<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(List(items))
            }

            fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
                Ok(List::default())
            }
        }

        deserializer.deserialize_any(ListVisitor(PhantomData))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for TextMap<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MapVisitor<'a>(PhantomData<&'a ()>);

        impl<'de: 'a, 'a> Visitor<'de> for MapVisitor<'a> {
            type Value = TextMap<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some((Text(key), value)) = map.next_entry()? {
                    entries.push((key, value));
                }
                Ok(TextMap(entries))
            }

            fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
                Ok(TextMap::default())
            }
        }

        deserializer.deserialize_any(MapVisitor(PhantomData))
    }
}

impl<'de> Deserialize<'de> for Int {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct IntVisitor;

        impl Visitor<'_> for IntVisitor {
            type Value = Int;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a 32-bit integer")
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Int, E> {
                i32::try_from(value)
                    .map(Int)
                    .map_err(|_| E::invalid_value(Unexpected::Signed(value), &self))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Int, E> {
                i32::try_from(value)
                    .map(Int)
                    .map_err(|_| E::invalid_value(Unexpected::Unsigned(value), &self))
            }

            fn visit_unit<E: Error>(self) -> Result<Int, E> {
                Ok(Int::default())
            }
        }

        deserializer.deserialize_any(IntVisitor)
    }
}

impl<'de> Deserialize<'de> for Kept {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeptVisitor;

        impl Visitor<'_> for KeptVisitor {
            type Value = Kept;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E: Error>(self, value: &str) -> Result<Kept, E> {
                Ok(Kept(Arc::from(value)))
            }

            fn visit_unit<E: Error>(self) -> Result<Kept, E> {
                Ok(Kept::default())
            }
        }

        deserializer.deserialize_any(KeptVisitor)
    }
}

impl<'de> Deserialize<'de> for Whole {
    /// A number with a fraction of zero is one: `80.0` is 80 to a schema.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WholeVisitor;

        impl Visitor<'_> for WholeVisitor {
            type Value = Whole;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number")
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Whole, E> {
                Ok(Whole(value.into()))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Whole, E> {
                Ok(Whole(value.into()))
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<Whole, E> {
                /// Below it every whole number is one that a float has.
                const LIMIT: f64 = 9_007_199_254_740_992.0;
                match value.fract() == 0.0 && value.abs() < LIMIT {
                    true => Ok(Whole(value as i128)),
                    false => Err(E::invalid_value(Unexpected::Float(value), &self)),
                }
            }

            fn visit_unit<E: Error>(self) -> Result<Whole, E> {
                Ok(Whole::default())
            }
        }

        deserializer.deserialize_any(WholeVisitor)
    }
}

impl<'de> Deserialize<'de> for Bool {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Option::deserialize(deserializer)?.unwrap_or_default()))
    }
}

/// Implements the methods of a visitor that swallows every value that is not text or an object.
macro_rules! swallow {
    ($value:ty) => {
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("anything")
        }

        fn visit_bool<E: Error>(self, _: bool) -> Result<$value, E> {
            Ok(<$value>::default())
        }

        fn visit_i64<E: Error>(self, _: i64) -> Result<$value, E> {
            Ok(<$value>::default())
        }

        fn visit_u64<E: Error>(self, _: u64) -> Result<$value, E> {
            Ok(<$value>::default())
        }

        fn visit_f64<E: Error>(self, _: f64) -> Result<$value, E> {
            Ok(<$value>::default())
        }

        fn visit_unit<E: Error>(self) -> Result<$value, E> {
            Ok(<$value>::default())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<$value, A::Error> {
            while seq.next_element::<serde::de::IgnoredAny>()?.is_some() {}
            Ok(<$value>::default())
        }
    };
}

impl<'de> Deserialize<'de> for PerhapsText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyVisitor;

        impl<'de> Visitor<'de> for AnyVisitor {
            type Value = PerhapsText;

            swallow!(PerhapsText);

            fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
                Ok(PerhapsText(Some(value.to_owned())))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                use serde::de::IgnoredAny;
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(PerhapsText::default())
            }
        }

        deserializer.deserialize_any(AnyVisitor)
    }
}

impl<'de, T: Default + Deserialize<'de>> Deserialize<'de> for PerhapsStruct<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyVisitor<T>(PhantomData<T>);

        impl<'de, T: Default + Deserialize<'de>> Visitor<'de> for AnyVisitor<T> {
            type Value = PerhapsStruct<T>;

            swallow!(PerhapsStruct<T>);

            fn visit_str<E: Error>(self, _: &str) -> Result<Self::Value, E> {
                Ok(PerhapsStruct::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(PerhapsStruct)
            }
        }

        deserializer.deserialize_any(AnyVisitor(PhantomData))
    }
}
