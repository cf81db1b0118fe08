//! Namespaces, of which the labels say who may attach routes, and the selectors of labels.

use std::sync::Arc;

use super::super::Metadata;

/// `v1` Namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    /// Its name.
    pub metadata: Metadata,
    /// `metadata.labels`, sorted.
    pub labels: Box<[(Arc<str>, Arc<str>)]>,
}

/// `LabelSelector`: all of it has to hold. One that says nothing takes everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LabelSelector {
    /// `matchLabels`, sorted.
    pub labels: Box<[(Arc<str>, Arc<str>)]>,
    /// `matchExpressions`.
    pub expressions: Box<[LabelRequirement]>,
}

/// `LabelSelectorRequirement`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LabelRequirement {
    /// `key`.
    pub key: Arc<str>,
    /// `operator`.
    pub operator: SelectorOperator,
    /// `values`.
    pub values: Box<[Arc<str>]>,
}

/// `operator`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SelectorOperator {
    /// The label has one of the values.
    In,
    /// It has none of them, or is not there.
    NotIn,
    /// It is there.
    Exists,
    /// It is not there.
    DoesNotExist,
    /// Something that no selector knows.
    Other(Arc<str>),
}

impl LabelSelector {
    /// What no selector can mean, which the schema takes all the same.
    ///
    /// # Errors
    ///
    /// One sentence.
    pub fn check(&self) -> Result<(), String> {
        for it in &self.expressions {
            match (&it.operator, it.values.is_empty()) {
                (SelectorOperator::Other(operator), _) => {
                    return Err(format!(
                        "{operator:?} is no operator of a selector: In, NotIn, Exists and DoesNotExist are"
                    ));
                }
                (SelectorOperator::In | SelectorOperator::NotIn, true) => {
                    return Err(format!("of {} no values are said", it.key));
                }
                (SelectorOperator::Exists | SelectorOperator::DoesNotExist, false) => {
                    return Err(format!("values of {} are said that say nothing", it.key));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether it takes an object with these labels, sorted. One that is wrong takes nothing.
    #[must_use]
    pub fn takes(&self, labels: &[(Arc<str>, Arc<str>)]) -> bool {
        let value = |key: &str| {
            let place = labels
                .binary_search_by(|(held, _)| (**held).cmp(key))
                .ok()?;
            Some(&labels.get(place)?.1)
        };
        let is_equal = |(key, wanted): &(Arc<str>, Arc<str>)| value(key) == Some(wanted);
        let holds = |it: &LabelRequirement| {
            let value = value(&it.key);
            let is_one = value.is_some_and(|value| it.values.contains(value));
            match &it.operator {
                SelectorOperator::In => is_one,
                SelectorOperator::NotIn => !is_one,
                SelectorOperator::Exists => value.is_some(),
                SelectorOperator::DoesNotExist => value.is_none(),
                SelectorOperator::Other(_) => false,
            }
        };
        self.check().is_ok()
            && self.labels.iter().all(is_equal)
            && self.expressions.iter().all(holds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_a_selector_holds() {
        let labels = |pairs: &[(&str, &str)]| -> Box<[(Arc<str>, Arc<str>)]> {
            let pairs = pairs.iter();
            pairs
                .map(|(key, value)| (Arc::from(*key), Arc::from(*value)))
                .collect()
        };
        let of = labels(&[("env", "test"), ("team", "shop")]);
        let requirement = |key: &str, operator, values: &[&str]| LabelRequirement {
            key: key.into(),
            operator,
            values: values.iter().map(|value| Arc::from(*value)).collect(),
        };
        use SelectorOperator::{DoesNotExist, Exists, In, NotIn, Other};
        for (pairs, expressions, expected) in [
            (&[][..], vec![], true),
            (&[("env", "test")], vec![], true),
            (&[("env", "other")], vec![], false),
            (&[("env", "test"), ("zone", "a")], vec![], false),
            (&[], vec![requirement("env", In, &["a", "test"])], true),
            (&[], vec![requirement("env", NotIn, &["a", "test"])], false),
            (&[], vec![requirement("zone", NotIn, &["a"])], true),
            (&[], vec![requirement("zone", In, &["a"])], false),
            (&[], vec![requirement("zone", NotIn, &[])], false),
            (&[], vec![requirement("zone", DoesNotExist, &["a"])], false),
            (
                &[],
                vec![requirement("env", Other("Like".into()), &["test"])],
                false,
            ),
            (&[], vec![requirement("zone", Exists, &[])], false),
            (&[], vec![requirement("zone", DoesNotExist, &[])], true),
            (
                &[("env", "test")],
                vec![requirement("team", DoesNotExist, &[])],
                false,
            ),
        ] {
            let selector = LabelSelector {
                labels: labels(pairs),
                expressions: expressions.into(),
            };
            assert_eq!(selector.takes(&of), expected, "{selector:?}");
        }
    }
}
