//! Suggestions for misspelled names, and safe printing of names that come from files.

/// `, did you mean ...?`, if one of the names is near enough.
pub(crate) fn meant(name: &str, names: &[&str]) -> String {
    let name = name.to_ascii_lowercase();
    let scored =
        names.iter().map(|known| (strsim::normalized_damerau_levenshtein(&name, known), known));
    let best = scored.max_by(|(a, _), (b, _)| a.total_cmp(b));
    match best {
        Some((score, known)) if score > 0.5 => format!(", did you mean `{known}`?"),
        _ => String::new(),
    }
}

/// Letters of a foreign name that are shown.
const LETTERS: usize = 60;

/// Letters of a list of foreign names that are shown.
const LIST: usize = 240;

/// A name out of somebody else's file, fit to stand in a line: control characters are escaped, what is long is cut.
pub(crate) fn shown(name: &str) -> String {
    match name.char_indices().nth(LETTERS) {
        Some((end, _)) => in_line(&name[..end]) + "...",
        None => in_line(name),
    }
}

/// A text with words out of somebody else's file, fit to stand in a line: control characters are escaped.
pub(crate) fn in_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter.is_control() || is_invisible(letter) {
            true => line.extend(letter.escape_default()),
            false => line.push(letter),
        }
    }
    line
}

/// Marks that change the direction or the lines of what is printed around them.
fn is_invisible(letter: char) -> bool {
    matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Names out of somebody else's file in one line, in the order given; a long list is cut and says how many more there are.
pub(crate) fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let (mut text, mut more) = (String::new(), 0);
    for name in names {
        let name = if name.is_empty() { "``".to_owned() } else { shown(name) };
        if more > 0 || (!text.is_empty() && text.len() + name.len() > LIST) {
            more += 1;
            continue;
        }
        if !text.is_empty() {
            text.push_str(", ");
        }
        text.push_str(&name);
    }
    match (text.is_empty(), more) {
        (true, _) => "nothing".into(),
        (_, 0) => text,
        (_, more) => format!("{text}, and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_names_stay_in_their_line() {
        assert_eq!(shown("conv1.weight"), "conv1.weight");
        assert_eq!(shown("a\nerror: b\u{1b}[2J\u{202e}"), "a\\nerror: b\\u{1b}[2J\\u{202e}");
        assert_eq!(shown(&"ä".repeat(61)), "ä".repeat(60) + "...");
        assert_eq!(list([]), "nothing");
        assert_eq!(list(["", "b"]), "``, b");
        let many: Vec<String> = (0..3000).map(|i| format!("layer{i}.weight")).collect();
        let text = list(many.iter().map(String::as_str));
        assert!(text.starts_with("layer0.weight, layer1.weight") && text.len() < 280, "{text}");
        let listed = text.matches("layer").count();
        assert!(text.ends_with(&format!(", and {} more", 3000 - listed)), "{text}");
    }
}
