//! Text that never becomes markup.

/// Text as text of HTML or SVG, between tags or in an attribute.
pub fn html(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;")
}
