//! Text that others may have written, such as names and warnings in results that were sent, as text of a page: it never
//! becomes markup.

use crate::wording::{Medium, html, printable};
use std::borrow::Cow;

/// Characters with a meaning in Markdown anywhere in a line.
const MARKUP: &str = r"\`*[]|~$@#";

/// Text in Markdown, in one line.
pub fn markdown(text: impl AsRef<str>) -> String {
    let letters: Vec<char> = one_line(text.as_ref()).chars().collect();
    let word = |at: Option<&char>| at.is_some_and(|letter| letter.is_alphanumeric());
    let digits = letters.iter().take_while(|letter| letter.is_ascii_digit()).count();
    let mut escaped = String::new();
    for (i, &letter) in letters.iter().enumerate() {
        let (before, after) = (&letters[..i], letters.get(i + 1));
        let marks = match letter {
            // Within a word it is a letter like any other.
            '_' => !(word(before.last()) && word(after)),
            // It may begin an entity.
            '&' => word(after) || after == Some(&'#'),
            // What is taken for an address is made a link.
            ':' => after == Some(&'/'),
            '.' if before.ends_with(&['w', 'w', 'w']) => true,
            // A list or a heading, at the beginning.
            '-' | '+' | '=' => i == 0,
            '.' | ')' => i == digits && digits > 0 && after.is_none_or(|letter| *letter == ' '),
            _ => MARKUP.contains(letter),
        };
        escaped.extend(marks.then_some('\\'));
        match letter {
            // As in HTML: not every reader of Markdown knows that it can be escaped otherwise.
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            _ => escaped.push(letter),
        }
    }
    escaped
}

/// A sentence in Markdown; what stands between backticks is code.
pub fn markdown_prose(text: impl AsRef<str>) -> String {
    let part = |(i, part): (usize, &str)| match i % 2 {
        // Within code nothing is markup, but a cell of a table ends at any bar.
        1 if !part.contains(['<', '>']) => format!("`{}`", one_line(part).replace('|', "\\|")),
        _ => markdown(part),
    };
    text.as_ref().split('`').enumerate().map(part).collect()
}

/// A sentence in HTML; what stands between backticks is code.
pub fn html_prose(text: impl AsRef<str>) -> String {
    let mut prose = String::new();
    for (i, part) in text.as_ref().split('`').enumerate() {
        let part = html(&one_line(part));
        prose += &if i % 2 == 1 { format!("<code>{part}</code>") } else { part };
    }
    prose
}

/// Text without control characters, in one line: a page and a table show it as what it is.
pub fn one_line(text: &str) -> Cow<'_, str> {
    printable(text, Medium::Page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_becomes_text() {
        assert_eq!(html_prose("a `b<c` & d\u{1b}"), "a <code>b&lt;c</code> &amp; d\u{241b}");
        assert_eq!(markdown("a|b\nc"), "a\\|b c");
        assert_eq!(markdown("<b>a(1)</b>"), "&lt;b&gt;a(1)&lt;/b&gt;");
        assert_eq!(markdown("[x](javascript:alert(3))"), "\\[x\\](javascript:alert(3))");
        assert_eq!(markdown("\n\n# h1\u{1b}[31m"), "  \\# h1\u{241b}\\[31m");
        assert_eq!(markdown("http://a www.b &lt; *c*"), "http\\://a www\\.b \\&lt; \\*c\\*");
        assert_eq!(markdown("1. a"), "1\\. a");
        assert_eq!(markdown("- a"), "\\- a");
        assert_eq!(markdown_prose("a `b|c` *d*"), "a `b\\|c` \\*d\\*");
        assert_eq!(markdown_prose("a `b"), "a `b`");
        assert_eq!(markdown_prose("a `<b>`"), "a &lt;b&gt;");
    }

    #[test]
    fn ordinary_text_stays_as_it_is() {
        for text in ["DeepSleep (depth=3)", "5 & 6: 0.5, 1 - 2", "fast_wave.eps = 64/255", "2.5 s"]
        {
            assert_eq!(markdown(text), text);
            assert_eq!(markdown_prose(text), text);
        }
    }
}
