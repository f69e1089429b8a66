//! Handles Ctrl-C, SIGTERM and a closed terminal. The program finishes the file it is writing, then prints one line that
//! says what is saved and how to continue.
//!
//! A second signal ends the process at once, because the file may be on a disk that does not respond.

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
                    "{path} holds the finished work; run the same command with --resume to continue"
                )
            }
            Self::Finished(path) if path.exists() => {
                let path = path.display();
                format!("{path} holds the finished work; run the same command again to continue")
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
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
    use signal_hook::{flag, iterator::Signals, low_level};
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    // A file that outgrows its limit is a failed write, not the end.
    let _ = flag::register(SIGXFSZ, Arc::default());
    let again = Arc::new(AtomicBool::new(false));
    let watched = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|&signal| !is_ignored(signal));
    let watched: Vec<i32> = watched.collect();
    for &signal in &watched {
        let _ = flag::register_conditional_shutdown(signal, 128 + signal, again.clone());
        let _ = flag::register(signal, again.clone());
    }
    let Ok(mut signals) = Signals::new(&watched) else { return };
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

/// Whether the parent process wants this one to ignore a signal: `nohup` and SIGHUP, a shell's background job and
/// SIGINT. Where that cannot be found out (in /proc), only SIGHUP may be such a one.
#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    match mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()) {
        Some(mask) => mask >> (signal - 1) & 1 == 1,
        None => signal == signal_hook::consts::SIGHUP,
    }
}

/// Where there are no such signals, nothing is watched.
#[cfg(not(unix))]
pub fn watch(_leftover: Leftover) {}
