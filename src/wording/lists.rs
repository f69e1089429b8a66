//! Several things in a sentence.

/// `a`, `a and b`, `a, b and c`.
#[cfg(feature = "report")]
pub fn listed(items: &[&str]) -> String {
    joined(items, "and")
}

/// `a`, `a or b`, `a, b or c` with the word `or`.
pub fn joined(items: &[&str], word: &str) -> String {
    match items {
        [most @ .., last] if !most.is_empty() => format!("{} {word} {last}", most.join(", ")),
        all => all.concat(),
    }
}

/// `1 pass`, `2 passes`.
pub fn times(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_read_well() {
        let lists = [&["a"][..], &["a", "b"], &["a", "b", "c"]].map(|items| joined(items, "and"));
        assert_eq!(lists, ["a", "a and b", "a, b and c"]);
        assert_eq!(
            (times(1, "pass", "passes"), times(2, "pass", "passes")),
            ("1 pass".into(), "2 passes".into())
        );
    }
}
