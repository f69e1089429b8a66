//! Locks an output, so that only one process writes it at a time.

use crate::{Error, Result};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The files of all locks of this process.
static HELD: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// How often, a hundredth of a second apart, the holder is asked for its number: it writes that after it has the lock.
const PATIENCE: usize = 100;

/// A place that belongs to this process while this lives.
///
/// The lock is the system's, on a small file that holds the process's number and is never replaced. The system lets go
/// of it however the process ends, so the file that a killed process leaves behind blocks no other.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    file: File,
}

impl Lock {
    /// Locks `place` by means of the file `path`, which is made and, in the end, removed.
    ///
    /// # Errors
    /// If another process has the lock (its number is said), or the file cannot be made. A file system without locks is
    /// no error: no other process is kept away then.
    pub fn take(path: &Path, place: &Path) -> Result<Self> {
        let error = |action| move |source| Error::io(path, action, source);
        let mut asked = 0;
        loop {
            let mut file = lock_file(path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::Error(e)) if e.kind() == io::ErrorKind::Unsupported => {}
                Err(TryLockError::Error(e)) => return Err(error("lock")(e)),
                Err(TryLockError::WouldBlock) => {
                    let mut holder = String::new();
                    let _ = file.read_to_string(&mut holder);
                    asked += 1;
                    if holder.trim().is_empty() && asked < PATIENCE {
                        std::thread::sleep(Duration::from_millis(10));
                        continue;
                    }
                    return Err(busy(place, holder.trim()));
                }
            }
            // The one before us may have removed the file after we opened it. Then another process may lock a new one.
            if !is_at(&file, path) {
                continue;
            }
            return Self::held(path, file);
        }
    }

    /// [`take`](Self::take), but waits while another process has it: for work that takes a moment.
    ///
    /// # Errors
    /// If the file cannot be made or locked.
    #[cfg(feature = "experiment")]
    pub(crate) fn wait(path: &Path) -> Result<Self> {
        loop {
            let file = lock_file(path)?;
            match file.lock() {
                Err(e) if e.kind() != io::ErrorKind::Unsupported => {
                    return Err(Error::io(path, "lock", e));
                }
                _ if is_at(&file, path) => return Self::held(path, file),
                _ => {}
            }
        }
    }

    /// From here on the file goes away with the lock, also where there is no room for a number in it.
    fn held(path: &Path, file: File) -> Result<Self> {
        held().push(path.to_owned());
        let lock = Self { path: path.to_owned(), file };
        let mut file = &lock.file;
        let written = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
        written.map_err(|e| Error::io(path, "write", e))?;
        Ok(lock)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        held().retain(|path| *path != self.path);
        // While it is still locked. Elsewhere an open file cannot be removed; one left behind does no harm.
        if cfg!(unix) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Removes the files of all locks, for a process that ends without dropping them.
pub(super) fn remove_all() {
    for path in held().drain(..) {
        let _ = fs::remove_file(path);
    }
}

fn held() -> MutexGuard<'static, Vec<PathBuf>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

fn busy(place: &Path, holder: &str) -> Error {
    let who = match holder == std::process::id().to_string() {
        true => "this process".to_owned(),
        false => format!("another process (pid {holder})"),
    };
    let problem = format!("{who} is at work on it; wait for it, or name another place");
    Error::io(place, "write", io::Error::new(io::ErrorKind::ResourceBusy, problem))
}

/// Opens a file to lock it, and makes it if it is not there; what is in it stays. In an outside folder, a link may
/// lead to another file and a pipe may let us wait.
///
/// # Errors
/// If it cannot be opened, or what is there is no regular file.
pub fn lock_file(path: &Path) -> Result<File> {
    if fs::symlink_metadata(path).is_ok_and(|there| !there.is_file()) {
        let problem = "this is not a regular file, so it cannot be locked; delete it";
        return Err(Error::format(path, problem));
    }
    open(path).map_err(|e| Error::io(path, "create", e))
}

/// Never a file that a link leads to, nor a device or pipe, though one may have come there since it was looked at.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    }
    let file = options.open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::other("it is not an ordinary file; remove it"))
    }
}

#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), fs::metadata(path)) {
        (Ok(ours), Ok(theirs)) => (ours.dev(), ours.ino()) == (theirs.dev(), theirs.ino()),
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_at(_file: &File, _path: &Path) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn one_at_a_time_and_never_two() {
        let folder = tempfile::tempdir().unwrap();
        let (path, place) = (folder.path().join("lock"), Path::new("place"));
        let (inside, taken) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        if let Ok(lock) = Lock::take(&path, place) {
                            assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                            taken.fetch_add(1, Ordering::SeqCst);
                            std::thread::yield_now();
                            inside.fetch_sub(1, Ordering::SeqCst);
                            drop(lock);
                        }
                    }
                });
            }
        });
        assert!(taken.load(Ordering::SeqCst) > 0);
        assert!(!cfg!(unix) || !path.exists());
    }

    #[test]
    fn the_holder_is_named_and_the_dead_block_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        fs::write(&path, "4711").unwrap();
        let lock = Lock::take(&path, Path::new("place")).unwrap();
        let error = Lock::take(&path, Path::new("place")).unwrap_err().to_string();
        assert!(error.starts_with("place: cannot write: this process is at work"), "{error}");
        fs::write(&path, "4711").unwrap();
        let error = Lock::take(&path, Path::new("place")).unwrap_err().to_string();
        assert!(error.starts_with("place: cannot write: another process (pid 4711)"), "{error}");
        drop(lock);
        assert!(Lock::take(&path, Path::new("place")).is_ok());
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_lock_file_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let [mine, link] = ["mine", "link"].map(|name| folder.path().join(name));
        fs::write(&mine, "mine").unwrap();
        std::os::unix::fs::symlink(&mine, &link).unwrap();
        assert!(Lock::take(&link, Path::new("place")).is_err());
        assert_eq!(fs::read(&mine).unwrap(), b"mine");
    }

    #[cfg(unix)]
    #[test]
    fn a_lock_is_a_file_of_its_own() {
        let folder = tempfile::tempdir().expect("a folder");
        let [lock, other] = ["lock", "other"].map(|name| folder.path().join(name));
        fs::write(&other, b"mine").expect("written");
        lock_file(&lock).expect("made");
        lock_file(&lock).expect("there");
        fs::remove_file(&lock).expect("there");
        std::os::unix::fs::symlink(&other, &lock).expect("a link");
        let error = lock_file(&lock).expect_err("a link").to_string();
        assert!(error.contains("not a regular file"), "{error}");
        assert_eq!(fs::read(&other).expect("there"), b"mine");
        fs::remove_file(&lock).expect("there");
        let made = std::process::Command::new("mkfifo").arg(&lock).status().expect("mkfifo");
        assert!(made.success() && lock_file(&lock).is_err());
    }
}
