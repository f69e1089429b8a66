//! What serde says of a value, in the words of who writes the file.

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
    match error.classify() {
        Category::Syntax => "not valid JSON".to_owned(),
        Category::Eof => "the JSON ends early".to_owned(),
        Category::Data | Category::Io => in_words(&error.to_string()),
    }
}

/// What serde finds wrong with a value. Names stand between backticks, as serde writes them.
#[derive(Debug, PartialEq, Eq)]
pub enum Fault<'a> {
    /// There is no field of this name; there are others.
    Field { name: &'a str, known: String },
    /// The field is not there.
    Missing { name: &'a str },
    /// An enumeration has no such name; it has `a` or `b`, or one of `a`, `b`, `c`.
    Variant { name: &'a str, known: &'a str },
    /// The value is of another kind.
    Kind { found: &'a str, expected: &'a str },
    /// Anything else.
    Other,
}

impl<'a> Fault<'a> {
    /// Out of serde's message, without the place that may follow.
    pub fn of(message: &'a str) -> Self {
        let message = message.rsplit_once(" at line ").map_or(message, |(message, _)| message);
        let expected = |start: &str| message.strip_prefix(start)?.split_once(", expected ");
        let names =
            |known: &str| known.strip_prefix("one of ").unwrap_or(known).replace("` or `", "`, `");
        if let Some(name) = message.strip_prefix("missing field ") {
            return Self::Missing { name };
        }
        if let Some((name, known)) = expected("unknown field ") {
            return Self::Field { name, known: names(known) };
        }
        if let Some((name, known)) = expected("unknown variant ") {
            return Self::Variant { name, known };
        }
        let kind = expected("invalid type: ").or_else(|| expected("invalid value: "));
        kind.map_or(Self::Other, |(found, expected)| Self::Kind { found, expected })
    }
}

/// What serde says of a value.
pub fn in_words(message: &str) -> String {
    let message = message.replace('\n', " ");
    match Fault::of(&message) {
        Fault::Missing { name } => format!("{name} is missing"),
        Fault::Field { name, known } => format!("there is no {name} here; there are {known}"),
        Fault::Variant { name, known } => {
            let known = known.strip_prefix("one of ").unwrap_or(known);
            format!("{name} is unknown; there are {known}")
        }
        Fault::Kind { found, expected } => {
            format!("{} does not fit here; expected {}", value(found), accepted(expected))
        }
        Fault::Other => match message.rsplit_once(" at line ") {
            Some((what, _)) => what.to_owned(),
            None => message,
        },
    }
}

/// A value as it was written, without serde's name of its type.
fn value(found: &str) -> &str {
    match found.split_once(' ') {
        Some(("string" | "integer" | "boolean" | "float", value)) => match value {
            "point" => found,
            value => value.trim_start_matches("point "),
        },
        _ if found == "map" => "a table",
        _ if found == "sequence" => "a list",
        _ => found,
    }
}

/// What would have fitted.
fn accepted(expected: &str) -> &str {
    match expected {
        "a boolean" => "true or false",
        "a string" => "a text in quotes, such as '64/255'",
        "a sequence" => "a list in brackets",
        "a map" => "a table of names and values",
        "usize" | "u64" | "u32" => "a whole number, 0 or greater",
        "f32" | "f64" => "a number",
        other if other.starts_with("struct ") => "a table of names and values",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
                "line 1, column 12: \"x\" does not fit here; expected a whole number, 0 or greater",
            ),
            ("{", "line 1, column 1: the JSON ends early"),
            ("nonsense", "line 1, column 2: not valid JSON"),
            ("{}", "line 1, column 2: `seed` is missing"),
            (r#"{"sed": 1}"#, "there is no `sed` here; there are `seed`"),
        ] {
            let error = serde_json::from_str::<Notes>(text).expect_err("wrong");
            let said = of_json(&error);
            assert!(said.ends_with(words), "{said}");
        }
    }

    #[test]
    fn names_are_listed_however_many_there_are() {
        for (message, known) in [
            ("unknown field `x`, expected `a`", "`a`"),
            ("unknown field `x`, expected `a` or `b`", "`a`, `b`"),
            (
                "unknown field `x`, expected one of `a`, `b`, `c` at line 1 column 2",
                "`a`, `b`, `c`",
            ),
        ] {
            assert_eq!(Fault::of(message), Fault::Field { name: "`x`", known: known.into() });
        }
    }
}
