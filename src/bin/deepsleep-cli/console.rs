//! Prints the result to stdout and everything else to stderr.

use crate::progress::Progress;
use crate::stderr::to_stderr;
use anyhow::{Context, Result};
use deepsleep::wording::{Medium, printable};
use serde::Serialize;
use std::fmt::Display;
use std::io::{self, Write};
use std::path::Path;

/// Where a subcommand prints.
#[derive(Clone, Copy, Debug)]
pub struct Console {
    json: bool,
    quiet: bool,
}

impl Console {
    /// With `json`, results are JSON; with `quiet`, stderr stays empty but for an error.
    pub fn new(json: bool, quiet: bool) -> Self {
        Self { json, quiet }
    }

    /// Prints the result: as JSON if the user wants that, else as text.
    pub fn result(self, value: &impl Serialize, text: impl Display) -> Result<()> {
        let text = if self.json { serde_json::to_string_pretty(value)? } else { text.to_string() };
        let text = printable(&text, Medium::Lines);
        let mut out = io::stdout().lock();
        match writeln!(out, "{text}").and_then(|()| out.flush()) {
            // The reader has seen enough (`| head`).
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other.context("cannot write to stdout"),
        }
    }

    /// Prints a note or a line of progress, unless quiet.
    pub fn say(self, line: impl Display) {
        if !self.quiet {
            to_stderr(line);
        }
    }

    /// Says that a file was written.
    pub fn wrote(self, path: &Path) {
        self.say(format_args!("wrote {}", path.display()));
    }

    /// A display of work on `total` images.
    pub fn progress(self, total: usize) -> Progress {
        self.progress_of("images", total)
    }

    /// A display of work on `total` of something.
    pub fn progress_of(self, unit: &'static str, total: usize) -> Progress {
        Progress::new(unit, total, self.quiet)
    }
}
