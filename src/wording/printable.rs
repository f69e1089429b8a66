//! Text that others may have written, such as names in their files, fit to be printed: no terminal takes it for a command.

use std::borrow::Cow;

/// Where a text is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// In a line of a terminal: control characters are escaped as in JSON.
    Line,
    /// On a terminal, in lines: the same, but lines and tabs stay. JSON stays JSON.
    Lines,
    /// In a line of a page, where control characters have pictures.
    Page,
}

/// A text without control characters, and without marks that are not seen or turn the direction of what follows.
///
/// ```
/// use deepsleep::wording::{Medium, printable};
/// assert_eq!(printable("a\u{1b}[2J\n", Medium::Line), "a\\u001b[2J\\n");
/// ```
pub fn printable(text: &str, medium: Medium) -> Cow<'_, str> {
    let stays = |letter: char| medium == Medium::Lines && matches!(letter, '\n' | '\t');
    let hostile = |letter: char| (letter.is_control() && !stays(letter)) || is_invisible(letter);
    if !text.contains(hostile) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            letter if !hostile(letter) => clean.push(letter),
            letter if medium == Medium::Page => clean.push(picture(letter)),
            '\n' => clean.push_str("\\n"),
            '\r' => clean.push_str("\\r"),
            '\t' => clean.push_str("\\t"),
            letter => clean.push_str(&format!("\\u{:04x}", u32::from(letter))),
        }
    }
    Cow::Owned(clean)
}

/// Marks that change the direction or the lines of what is printed around them, or are not seen at all.
fn is_invisible(letter: char) -> bool {
    matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// What stands for a control character on a page.
fn picture(letter: char) -> char {
    match letter {
        '\n' | '\r' | '\t' => ' ',
        // The pictures of the first 32 control characters.
        letter if u32::from(letter) < 32 => {
            char::from_u32(0x2400 + u32::from(letter)).unwrap_or(' ')
        }
        _ => '\u{fffd}',
    }
}

/// Letters of a foreign name that are shown.
const LETTERS: usize = 60;

/// Letters of a list of foreign names that are shown.
const LIST: usize = 240;

/// A name from an outside file, made fit for a line of text and cut if it is long.
pub fn shown(name: &str) -> String {
    match name.char_indices().nth(LETTERS) {
        Some((end, _)) => in_line(&name[..end]) + "...",
        None => in_line(name),
    }
}

/// A text with words from an outside file, made fit for a line of text.
pub fn in_line(text: &str) -> String {
    printable(text, Medium::Line).into_owned()
}

/// Names from an outside file in one line, in the order given. A long list is cut and says how many more there are.
pub fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
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
    fn commands_to_terminals_are_escaped() {
        assert_eq!(printable("10 µs\n", Medium::Lines), "10 µs\n");
        assert_eq!(printable("a\u{1b}[2J\u{9b}b\r\n", Medium::Lines), "a\\u001b[2J\\u009bb\\r\n");
        assert_eq!(printable("a\nb\u{202e}\u{200d}", Medium::Line), "a\\nb\\u202e\\u200d");
        assert_eq!(
            printable("a\n\u{1b}\u{7f}\u{202e}\u{200b}", Medium::Page),
            "a \u{241b}\u{fffd}\u{fffd}\u{fffd}"
        );
        let json = serde_json::to_string("\u{1b}\u{7f}\u{9b}\u{202e}").expect("JSON");
        let read: String =
            serde_json::from_str(&printable(&json, Medium::Lines)).expect("still JSON");
        assert_eq!(read, "\u{1b}\u{7f}\u{9b}\u{202e}");
    }

    #[test]
    fn foreign_names_stay_in_their_line() {
        assert_eq!(shown("conv1.weight"), "conv1.weight");
        assert_eq!(shown("a\nerror: b\u{1b}[2J\u{202e}"), "a\\nerror: b\\u001b[2J\\u202e");
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
