//! The one way to stderr.

use std::fmt::Display;
use std::io::{self, Write};

/// One line on stderr. If nobody reads it any more, there is nobody to tell.
pub fn to_stderr(line: impl Display) {
    let _ = writeln!(io::stderr(), "{line}");
}
