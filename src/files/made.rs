//! Folders that are made before it is known whether anything comes of them.

use crate::{Error, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// Folders that were not there before. They go away again, as far as they are empty, unless they are
/// [kept](Self::keep).
#[derive(Debug)]
#[must_use = "what is not kept goes away at once"]
pub struct MadeFolders(Vec<PathBuf>);

impl MadeFolders {
    /// Makes a folder, and those that it is in, as far as they are not there.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn make(folder: &Path) -> Result<Self> {
        let missing = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
        let made = Self(folder.ancestors().take_while(missing).map(Path::to_owned).collect());
        fs::create_dir_all(folder).map_err(|e| Error::io(folder, "create", e))?;
        Ok(made)
    }

    /// They stay.
    pub fn keep(mut self) {
        self.0.clear();
    }
}

impl Drop for MadeFolders {
    fn drop(&mut self) {
        // The innermost first. A folder that has got files since cannot be removed, and need not be.
        for folder in &self.0 {
            let _ = fs::remove_dir(folder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_for_nothing_goes_away() {
        let outer = tempfile::tempdir().expect("a folder");
        let [a, deep] = ["a", "a/b/c"].map(|name| outer.path().join(name));
        drop(MadeFolders::make(&deep).expect("made"));
        assert!(!a.exists() && outer.path().exists());
        // What was there stays, and so does what is no longer empty.
        fs::create_dir(&a).expect("made");
        drop(MadeFolders::make(&deep).expect("made"));
        assert!(a.exists() && !a.join("b").exists());
        let made = MadeFolders::make(&deep).expect("made");
        fs::write(a.join("b/file"), "mine").expect("written");
        drop(made);
        assert!(a.join("b/file").exists() && !deep.exists());
        MadeFolders::make(&deep).expect("made").keep();
        assert!(deep.exists());
        // Half of a way is none.
        fs::write(a.join("file"), "mine").expect("written");
        let error = MadeFolders::make(&a.join("file/x")).expect_err("in a file").to_string();
        assert!(error.contains("file/x: cannot create"), "{error}");
    }
}
