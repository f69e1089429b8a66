//! Refuses work that foreseeably does not fit in memory, before it begins. A process that runs out of memory ends without
//! a word about what was too large.

use crate::{Error, Result};

/// Work of fewer bytes is not checked.
const SMALL: u64 = 1 << 24;

/// Refuses what takes at least `bytes` where there are fewer; `what` says what takes them, `remedy` what to do.
///
/// # Errors
/// [`Error::Argument`] with both numbers.
pub(crate) fn check(operation: &'static str, bytes: u64, what: &str, remedy: &str) -> Result<()> {
    if bytes <= SMALL {
        return Ok(());
    }
    let gigabytes = |bytes: u64| format!("{:.1} GB", bytes as f64 / 1e9);
    let problem = match free() {
        Some(free) if free < bytes => format!("and {} are free", gigabytes(free)),
        _ if !is_granted(bytes) => "which the system does not grant".to_owned(),
        _ => return Ok(()),
    };
    let needed = gigabytes(bytes);
    let problem = format!("{what}: at least {needed} are needed, {problem}; {remedy}");
    Err(Error::argument(operation, problem))
}

/// Whether the system would give so much, by its limits on this process (`ulimit -v`) and by what it has at all.
fn is_granted(bytes: u64) -> bool {
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    Vec::<u8>::new().try_reserve_exact(bytes).is_ok()
}

/// The memory that Linux says programs can have; None where the system does not say.
fn free() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let kilobytes = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
    };
    let swap = kilobytes("SwapFree:").unwrap_or(0);
    Some(1024 * (kilobytes("MemAvailable:")? + swap))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_machine_has_is_refused_in_a_line() {
        for bytes in [0, 1, SMALL, SMALL + 1] {
            check("training", bytes, "a batch", "take a smaller one").expect("so much there is");
        }
        for bytes in [1 << 50, u64::MAX] {
            let error = check("training", bytes, "a batch of 7 images", "take a smaller one");
            let error = error.unwrap_err().to_string();
            let begin = "training: a batch of 7 images: at least 1";
            assert!(error.starts_with(begin) && error.ends_with("take a smaller one"), "{error}");
            assert!(!error.contains('\n'));
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn linux_says_what_is_free() {
        assert!(free().is_some_and(|bytes| bytes > 1 << 20));
    }
}
