//! Writes numbers and lists as words, for reports and messages.

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

/// Text as text of HTML or SVG, between tags or in an attribute: it never becomes markup.
#[cfg(feature = "draw")]
pub fn html(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;")
}

/// `1 pass`, `2 passes`.
pub fn times(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// A number as people write it: 64/255, 0.1, 0.00001; whichever is shorter. Read back, it has the same bits.
///
/// ```
/// assert_eq!([0.3, 64.0 / 255.0, 1e-5].map(deepsleep::written), ["0.3", "64/255", "0.00001"]);
/// ```
pub fn written(number: f32) -> String {
    let decimal = number.to_string();
    let above = (f64::from(number) * 255.0).round();
    let fraction = format!("{above}/255");
    let same = (above / 255.0) as f32 == number;
    if same && fraction.len() < decimal.len() { fraction } else { decimal }
}

/// A number as somebody wrote it before it was computed with: 0.00525 for `0.005 * 1.05`, whose last bit is another.
#[cfg(feature = "report")]
pub fn as_meant(number: f32) -> String {
    let near = |digits: usize| {
        let short: f32 = format!("{number:.digits$e}").parse().ok()?;
        let fits = [number.next_down(), number, number.next_up()].contains(&short);
        fits.then(|| written(short))
    };
    (0..6).find_map(near).unwrap_or_else(|| written(number))
}

/// A number with four digits that say something, however small it is.
///
/// ```
/// assert_eq!([0.0, 0.3, 1.0 / 3.0, 1e-5].map(deepsleep::significant), ["0", "0.3", "0.3333", "1.000e-5"]);
/// ```
pub fn significant(number: f64) -> String {
    let rounded = format!("{number:.3e}");
    match rounded.parse::<f64>() {
        Ok(round) if number == 0.0 || number.abs() >= 1e-4 => round.to_string(),
        _ => rounded,
    }
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

/// What is wrong with JSON, and where.
pub fn of_json(error: &serde_json::Error) -> String {
    let what = of_json_line(error);
    match (error.line(), error.column()) {
        // A value that was read before.
        (0, _) => what,
        (line, column) => format!("line {line}, column {column}: {what}"),
    }
}

/// What is wrong with JSON whose place is known.
pub fn of_json_line(error: &serde_json::Error) -> String {
    use serde_json::error::Category;
    let text = error.to_string();
    let message = text.rsplit_once(" at line ").map_or(text.as_str(), |(message, _)| message);
    match error.classify() {
        Category::Syntax => "this is no JSON".to_owned(),
        Category::Eof => "the JSON breaks off".to_owned(),
        Category::Data | Category::Io => in_words(message),
    }
}

/// What serde says of a value, in the words of who writes the file.
pub fn in_words(message: &str) -> String {
    let message = message.replace('\n', " ");
    if let Some(name) = message.strip_prefix("missing field ") {
        return format!("{name} is missing");
    }
    if let Some((name, known)) =
        message.strip_prefix("unknown field ").and_then(|rest| rest.split_once(", expected "))
    {
        let known = known.strip_prefix("one of ").unwrap_or(known);
        return format!("there is no {name} here; there are {known}");
    }
    if let Some((name, known)) =
        message.strip_prefix("unknown variant ").and_then(|rest| rest.split_once(", expected "))
    {
        let known = known.strip_prefix("one of ").unwrap_or(known);
        return format!("{name} is unknown; there are {known}");
    }
    let wrong = ["invalid type: ", "invalid value: "];
    let parts = wrong.iter().find_map(|kind| message.strip_prefix(kind)?.split_once(", expected "));
    let Some((found, expected)) = parts else { return message };
    let found = match found.split_once(' ') {
        Some(("string" | "integer" | "boolean" | "float", value)) => match value {
            "point" => found,
            value => value.trim_start_matches("point "),
        },
        _ if found == "map" => "a table",
        _ if found == "sequence" => "a list",
        _ => found,
    };
    let accepted = match expected {
        "a boolean" => "true or false",
        "a string" => "a text in quotes, such as '64/255'",
        "a sequence" => "a list in brackets",
        "a map" => "a table of names and values",
        "usize" | "u64" | "u32" => "a whole number from 0 on",
        "f32" | "f64" => "a number",
        other if other.starts_with("struct ") => "a table of names and values",
        other => other,
    };
    format!("{found} does not fit here; expected {accepted}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(listed(&["a", "b", "c"]), "a, b and c");
        assert_eq!(
            [128.0 / 255.0, 0.3, 0.005 * 1.05].map(written),
            ["128/255", "0.3", "0.0052499995"]
        );
        let meant = [128.0 / 255.0, 0.3, 0.005 * 1.05, 1.0 / 3.0, 0.0, 1e-5].map(as_meant);
        assert_eq!(meant, ["128/255", "0.3", "0.00525", "85/255", "0", "0.00001"]);
        let numbers = [0.0, -0.3, 1.0 / 3.0, 24.000_01, 0.000_01, f64::NAN].map(significant);
        assert_eq!(numbers, ["0", "-0.3", "0.3333", "24", "1.000e-5", "NaN"]);
        assert_eq!(
            (grouped(7), grouped(1234), grouped(100_000)),
            ("7".into(), "1,234".into(), "100,000".into())
        );
    }

    #[test]
    fn what_is_wrong_with_json_is_said_without_jargon() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        #[allow(dead_code)]
        struct Notes {
            seed: u64,
        }
        for (text, words) in [
            (
                r#"{"seed": "x"}"#,
                "line 1, column 12: \"x\" does not fit here; expected a whole number from 0 on",
            ),
            ("{", "line 1, column 1: the JSON breaks off"),
            ("nonsense", "line 1, column 2: this is no JSON"),
            ("{}", "line 1, column 2: `seed` is missing"),
            (r#"{"sed": 1}"#, "there is no `sed` here; there are `seed`"),
        ] {
            let error = serde_json::from_str::<Notes>(text).expect_err("wrong");
            let said = of_json(&error);
            assert!(said.ends_with(words), "{said}");
        }
    }
}
