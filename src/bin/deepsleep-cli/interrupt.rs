//! Ctrl-C, and a request to end: one line that says what is left and how to go on, after whatever file is being written.
//!
//! A second signal ends the process at once: the file may be on a disk that does not answer.

use crate::output::checkpoint_of;
use std::path::{Path, PathBuf};

/// What an interrupted command leaves behind.
#[derive(Clone, Debug)]
pub enum Leftover {
    /// Nothing that would spare any work.
    Nothing,
    /// A checkpoint, once there is one, that `--resume` continues from.
    Checkpoint(PathBuf),
    /// What is finished, which the same command does not do again.
    Finished(PathBuf),
}

impl Leftover {
    /// Of a command that writes `out` at its end, and `out.checkpoint` on the way.
    pub fn beside(out: &Path) -> Self {
        Self::Checkpoint(checkpoint_of(out))
    }

    #[cfg(unix)]
    fn advice(&self) -> String {
        match self {
            Self::Checkpoint(path) if path.exists() => {
                let path = path.display();
                format!(
                    "{path} holds what is done; the same command with --resume goes on from there"
                )
            }
            Self::Finished(path) if path.exists() => {
                let path = path.display();
                format!("{path} holds what is done; the same command goes on from there")
            }
            Self::Nothing | Self::Checkpoint(_) | Self::Finished(_) => {
                "there is nothing to go on from".into()
            }
        }
    }
}

/// From now on signals are answered. A system that refuses leaves them as they were: they end the process.
#[cfg(unix)]
pub fn watch(leftover: Leftover) {
    use signal_hook::consts::{SIGINT, SIGTERM, SIGXFSZ};
    use signal_hook::{flag, iterator::Signals, low_level};
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    // A file that outgrows its limit is a failed write, not the end.
    let _ = flag::register(SIGXFSZ, Arc::default());
    let again = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        let _ = flag::register_conditional_shutdown(signal, 128 + signal, again.clone());
        let _ = flag::register(signal, again.clone());
    }
    let Ok(mut signals) = Signals::new([SIGINT, SIGTERM]) else { return };
    // Where no thread can be had, signals end the process as they always did: that is no reason not to work.
    let _ = std::thread::Builder::new().spawn(move || {
        if let Some(signal) = signals.forever().next() {
            let _settled = deepsleep::files::settle();
            let advice = leftover.advice();
            crate::stderr::to_stderr(format_args!("interrupted: {advice}"));
            low_level::exit(128 + signal);
        }
    });
}

/// Where there are no such signals, nothing is watched.
#[cfg(not(unix))]
pub fn watch(_leftover: Leftover) {}
