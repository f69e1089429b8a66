//! Folders from elsewhere, such as results that were sent: names in them must not lead outside.

use crate::{Error, Result};
use std::fs;
use std::path::{Component, Path, PathBuf};

/// The most that is read of a file in a folder of results: the largest ones, of a thousand seeds, have some hundred
/// megabytes.
pub const MOST: u64 = 1 << 30;

/// The path of a file that a folder's own contents name: plain names below the folder, also after links were followed.
///
/// # Errors
/// If the name is absolute, goes up or leads out of the folder, or there is no such file.
pub fn inside(folder: &Path, name: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    let refuse = |problem: String| Err(Error::format(folder, problem));
    let plain = |part: Component<'_>| matches!(part, Component::Normal(_));
    if name.is_empty() || !Path::new(name).components().all(plain) {
        return refuse(format!("{name:?} is not the name of a file in this folder"));
    }
    let real = |path: &Path| fs::canonicalize(path).map_err(|e| Error::io(path, "read", e));
    if !real(&path)?.starts_with(real(folder)?) {
        return refuse(format!("{name:?} is a link that leads out of this folder"));
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_inside_of_their_folder() {
        let outer = tempfile::tempdir().expect("a folder");
        let folder = outer.path().join("results");
        fs::create_dir_all(folder.join("store")).expect("a folder");
        for name in ["results/store/a", "results/b", "secret"] {
            fs::write(outer.path().join(name), b"x").expect("written");
        }
        assert_eq!(inside(&folder, "store/a").expect("inside"), folder.join("store/a"));
        let secret = outer.path().join("secret");
        for name in ["../secret", "store/../../secret", "", ".", "..", &secret.to_string_lossy()] {
            let error = inside(&folder, name).expect_err("outside").to_string();
            assert!(error.contains("not the name of a file"), "{name}: {error}");
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(&secret, folder.join("out")).expect("a link");
            std::os::unix::fs::symlink(folder.join("b"), folder.join("in")).expect("a link");
            assert!(inside(&folder, "in").is_ok());
            let error = inside(&folder, "out").expect_err("outside").to_string();
            assert!(error.contains("leads out"), "{error}");
        }
    }
}
