//! Tables of words, for page and Markdown alike.

/// A table of words.
#[derive(Clone, Debug, Default)]
pub struct Plain {
    /// What it is, in a line.
    pub caption: String,
    /// Its columns.
    pub head: Vec<&'static str>,
    /// Its rows; the first word of each is its head.
    pub rows: Vec<Vec<String>>,
}

impl Plain {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}
