//! What a misspelt word may have been meant to be.

/// Most slips of a misspelling.
const MOST: usize = 2;

/// In how many places two words differ, where one is perhaps the other misspelt: two slips at most, and less than half of what it
/// would be. Upper case counts as lower.
#[must_use]
pub fn slips(word: &str, meant: &str) -> Option<usize> {
    let slips = match word.is_ascii() && meant.is_ascii() {
        true => of_ascii(word.as_bytes(), meant.as_bytes())?,
        false => {
            let [word, meant] = [word, meant].map(str::to_ascii_lowercase);
            strsim::damerau_levenshtein(&word, &meant)
        }
    };
    (slips <= MOST && slips * 2 < meant.len()).then_some(slips)
}

/// The same, where it may be no more than [`MOST`]. Ten thousand names are compared with one: what all but few of them differ in
/// is seen at once, and what they have in common is not compared.
fn of_ascii(word: &[u8], meant: &[u8]) -> Option<usize> {
    if word.len().abs_diff(meant.len()) > MOST {
        return None;
    }
    let is_same = |(a, b): &(&u8, &u8)| a.eq_ignore_ascii_case(b);
    let begin = word.iter().zip(meant).take_while(is_same).count();
    let [word, meant] = [word, meant].map(|it| it.get(begin..).unwrap_or_default());
    let backwards = word.iter().rev().zip(meant.iter().rev());
    let end = backwards.take_while(is_same).count();
    let [word, meant] =
        [word, meant].map(|it| it.get(..it.len().saturating_sub(end)).unwrap_or_default());
    // A slip puts one letter in the place of another at most.
    let mut counts = [0_i32; 128];
    for (letters, one) in [(word, 1), (meant, -1)] {
        for letter in letters {
            if let Some(count) = counts.get_mut(usize::from(letter.to_ascii_lowercase())) {
                *count += one;
            }
        }
    }
    let differing: u32 = counts.iter().map(|count| count.unsigned_abs()).sum();
    if differing as usize > 2 * MOST {
        return None;
    }
    let [word, meant] = [word, meant].map(|it| String::from_utf8_lossy(it).to_ascii_lowercase());
    Some(strsim::damerau_levenshtein(&word, &meant))
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
            ("stra\u{df}e", "strasse", Some(2)),
            ("aaaa", "aaaaaa", Some(2)),
            ("aaa", "aaaaaa", None),
        ] {
            assert_eq!(slips(word, meant), expected, "{word} {meant}");
        }
    }

    /// What is left out makes no difference: all words of few letters, each with each.
    #[test]
    fn what_is_not_compared_makes_no_difference() {
        let mut words = vec![String::new()];
        for length in 1..=5 {
            let longer: Vec<String> = words
                .iter()
                .filter(|word| word.len() + 1 == length)
                .flat_map(|word| ["a", "B", "c"].map(|letter| format!("{word}{letter}")))
                .collect();
            words.extend(longer);
        }
        assert_eq!(words.len(), 364);
        for word in &words {
            for meant in &words {
                let [one, other] = [word, meant].map(|it| it.to_ascii_lowercase());
                let plain = strsim::damerau_levenshtein(&one, &other);
                let expected = (plain <= 2 && plain * 2 < meant.len()).then_some(plain);
                assert_eq!(slips(word, meant), expected, "{word} {meant}");
            }
        }
    }
}
