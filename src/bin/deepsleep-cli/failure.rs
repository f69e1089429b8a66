//! Errors become one line on stderr and an exit code: 2 for wrong use, 1 for everything else that went wrong.

use crate::stderr::to_stderr;
use clap::error::ErrorKind;
use std::borrow::Cow;
use std::io::Write as _;
use std::process::ExitCode;

const FAILED: u8 = 1;
const WRONG_USE: u8 = 2;

/// Arguments that are valid one by one but cannot be followed, for example together.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WrongUse(pub String);

/// Refuses to call a result whole, printed and saved though it is, where the network's logits are not finite for `invalid`
/// of the images.
pub fn answered(model: &str, invalid: usize, images: usize) -> anyhow::Result<()> {
    if invalid == 0 {
        return Ok(());
    }
    anyhow::bail!(
        "{model}: its logits are not finite for {invalid} of {images} images, so that the result is incomplete: the \
         weights are damaged or far too large"
    )
}

/// What clap has to say: help, version, or what is wrong with the arguments.
pub fn of_arguments(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            match error.print().and_then(|()| std::io::stdout().flush()) {
                // The reader of the help has seen enough (`| head`).
                Err(problem) if problem.kind() != std::io::ErrorKind::BrokenPipe => {
                    to_stderr(format_args!("error: cannot write to stdout: {problem}"));
                    ExitCode::from(FAILED)
                }
                _ => ExitCode::SUCCESS,
            }
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            ExitCode::from(WRONG_USE)
        }
        _ => {
            to_stderr(shortened(&one_line(&error.to_string())));
            ExitCode::from(WRONG_USE)
        }
    }
}

/// Clap's paragraphs without the usage, in one line.
fn one_line(text: &str) -> String {
    let lines = text.lines().map(str::trim);
    let wanted = lines.filter(|line| !line.is_empty() && !line.starts_with("Usage:"));
    let wanted = wanted.filter(|line| !line.starts_with("For more information"));
    let tip = |line: &str| match line.strip_prefix("tip: ") {
        Some(tip) => format!("({tip})"),
        None => line.to_owned(),
    };
    wanted.map(tip).collect::<Vec<_>>().join(" ")
}

/// A subcommand's error.
pub fn of_command(error: &anyhow::Error) -> ExitCode {
    to_stderr(format_args!("error: {}", shortened(&chain(error))));
    ExitCode::from(if is_wrong_use(error) { WRONG_USE } else { FAILED })
}

fn is_wrong_use(error: &anyhow::Error) -> bool {
    use deepsleep::Error::{Argument, Isa};
    error.chain().any(|cause| {
        cause.is::<WrongUse>() || matches!(cause.downcast_ref(), Some(Argument { .. } | Isa(_)))
    })
}

/// The error and its causes; a cause that the text before already ends with is not said again.
fn chain(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.ends_with(&cause) {
            text = text + ": " + &cause;
        }
    }
    text
}

/// Letters of an error at its beginning, and at its end, that are said in any case.
const BEGINNING: usize = 500;
const END: usize = 250;

/// An error of readable length: the beginning says what and where, the end what to do.
fn shortened(text: &str) -> Cow<'_, str> {
    let letters = text.chars().count();
    if letters <= BEGINNING + END + 50 {
        return text.into();
    }
    let beginning: String = text.chars().take(BEGINNING).collect();
    let end: String = text.chars().skip(letters - END).collect();
    let more = letters - BEGINNING - END;
    format!("{beginning} ... ({more} more letters) ... {end}").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn causes_are_said_once() {
        let io = || std::io::Error::other("disk on fire");
        let error = anyhow::Error::from(deepsleep::Error::io("a", "read", io()));
        assert_eq!(chain(&error), "a: cannot read: disk on fire");
        assert_eq!(chain(&error.context("training")), "training: a: cannot read: disk on fire");
        // A line feed is part of a name: it is escaped where it is printed.
        let error = Err::<(), _>(io()).context("first\nsecond").unwrap_err();
        assert_eq!(chain(&error), "first\nsecond: disk on fire");
    }

    #[test]
    fn long_errors_keep_their_beginning_and_their_end() {
        assert_eq!(shortened("short"), "short");
        let long = format!("beginning {} end", "ä".repeat(70_000));
        let short = shortened(&long);
        assert!(short.starts_with("beginning") && short.ends_with("ä end"), "{short}");
        assert!(short.contains("... (69264 more letters) ..."), "{short}");
        assert!(short.chars().count() < 800);
    }

    #[test]
    fn only_wrong_arguments_are_wrong_use() {
        let code = |error: deepsleep::Error| is_wrong_use(&error.into());
        assert!(code(deepsleep::Error::argument("eps", "is none")));
        assert!(!code(deepsleep::Error::argument("samples", "a pixel of 7").in_file("set.npz")));
        assert!(!code(deepsleep::Error::failed("drawing", "no")));
        assert!(!code(deepsleep::Error::format("a", "b")));
    }

    #[test]
    fn paragraphs_become_a_line() {
        let text = "error: bad 'x'\n  [possible values: y]\n\n  tip: 'y'\n\nUsage: z\n\nFor more information, try '--help'.\n";
        assert_eq!(one_line(text), "error: bad 'x' [possible values: y] ('y')");
    }
}
