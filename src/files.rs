//! Writes a file whole or not at all, and to where its name leads.
//!
//! An [`Output`] is a place to write to, looked at before the work begins: links are followed, devices and pipes are
//! written to and never replaced, a file keeps its mode and owner. A [`Lock`] keeps a second process away from it.

mod lock;
mod output;

pub use lock::Lock;
pub use output::{Output, same_file};

use crate::Result;
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Held by whoever is writing; all of it by whoever wants nobody to be.
static WRITING: RwLock<()> = RwLock::new(());

/// While this lives, no file of ours is half written, and nobody begins to write one.
#[derive(Debug)]
pub struct Settled(#[allow(dead_code)] RwLockWriteGuard<'static, ()>);

/// Waits until nobody in this process is in the middle of writing a file, and removes the files of its locks: the moment
/// for a program to end at a signal, without a temporary file left behind or half a line in a journal.
#[must_use]
pub fn settle() -> Settled {
    let settled = Settled(WRITING.write().unwrap_or_else(PoisonError::into_inner));
    lock::remove_all();
    settled
}

/// To be held while a file is being written.
pub(crate) fn writing() -> RwLockReadGuard<'static, ()> {
    WRITING.read().unwrap_or_else(PoisonError::into_inner)
}

/// Lets `fill` write to `path` as [`Output::write`] does: an ordinary file appears whole or not at all.
///
/// # Errors
/// Those of [`Output::open`] and of the file system; `path` is named.
pub fn write_atomically(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>,
) -> Result<()> {
    Output::open(path)?.write(fill)
}
