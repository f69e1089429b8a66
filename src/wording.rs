//! Numbers and lists as words.

/// `a`, `a and b`, `a, b and c`.
#[cfg(feature = "report")]
pub fn listed(items: &[&str]) -> String {
    match items {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

/// `1 pass`, `2 passes`.
pub fn times(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// A strength as the paper writes it, where it is a whole number of 255ths.
pub fn fraction(eps: f32) -> String {
    let of_255 = eps * 255.0;
    if (of_255 - of_255.round()).abs() < 1e-3 {
        format!("{}/255", of_255.round())
    } else {
        eps.to_string()
    }
}

/// A number with four digits that say something, however small it is.
pub fn significant(number: f32) -> String {
    let rounded = format!("{number:.3e}").parse::<f32>();
    let text = rounded.unwrap_or(number).to_string();
    if number != 0.0 && number.abs() < 1e-4 { format!("{number:.3e}") } else { text }
}

/// A number with separators between thousands.
pub fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let first = digits.len() % 3;
    let (head, rest) = digits.split_at(first);
    let groups = rest.as_bytes().chunks(3).map(|group| String::from_utf8_lossy(group).into_owned());
    let head = (!head.is_empty()).then(|| head.to_owned());
    head.into_iter().chain(groups).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(listed(&["a", "b", "c"]), "a, b and c");
        assert_eq!(fraction(128.0 / 255.0), "128/255");
        assert_eq!(fraction(0.3), "0.3");
        let numbers = [0.0, 0.3, 1.0 / 3.0, 24.000_01, 0.000_01].map(significant);
        assert_eq!(numbers, ["0", "0.3", "0.3333", "24", "1.000e-5"]);
        assert_eq!(
            (grouped(7), grouped(1234), grouped(100_000)),
            ("7".into(), "1,234".into(), "100,000".into())
        );
    }
}
