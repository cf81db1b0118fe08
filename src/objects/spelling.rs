//! What a misspelt word may have been meant to be.

/// In how many places two words differ, where one is perhaps the other misspelt: two slips at most, and less than half of what it
/// would be. Upper case counts as lower.
#[must_use]
pub fn slips(word: &str, meant: &str) -> Option<usize> {
    let [lower, candidate] = [word, meant].map(str::to_ascii_lowercase);
    let slips = strsim::damerau_levenshtein(&lower, &candidate);
    (slips <= 2 && slips * 2 < candidate.len()).then_some(slips)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_slips_are_a_misspelling() {
        for (word, meant, expected) in [
            ("spec", "spec", Some(0)),
            ("Spec", "spec", Some(0)),
            ("psec", "spec", Some(1)),
            ("shp.tset", "shop.test", Some(2)),
            ("a.b", "c.d", None),
            ("ab", "cd", None),
            ("backend", "frontend", None),
        ] {
            assert_eq!(slips(word, meant), expected, "{word} {meant}");
        }
    }
}
