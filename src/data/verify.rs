//! Checks files against the published hashes of their content.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::catalog::{DatasetName, DownloadSource, FileForm, SourceFile};
use super::files::find_file;
use super::gz::{MaybeGz, read_error};
use crate::fingerprint::hex;
use crate::{Error, Result};

/// What the check of one file found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileCheck {
    /// The file, or where it should have been.
    pub path: PathBuf,
    /// SHA-256 that the uncompressed content must have, in hexadecimal.
    pub expected: String,
    /// SHA-256 that it has; `None` if there is no file or it could not be read, see `problem`.
    pub found: Option<String>,
    /// Whether the file is the right one.
    pub ok: bool,
    /// What is wrong, in words; `None` if nothing is.
    pub problem: Option<String>,
}

/// Checks the files of a known data set in folder `dir`: the ones [`Dataset::load`](super::Dataset::load) would read,
/// gzipped or not where the hash is of the content.
///
/// Missing, damaged and wrong files are findings, not errors.
///
/// # Errors
/// [`Error::NotFound`] if `dir` is no folder, [`Error::Argument`] for a data set whose archive alone has a published hash.
pub fn verify(dir: impl AsRef<Path>, name: DatasetName) -> Result<Vec<FileCheck>> {
    let source = DownloadSource::of(name);
    if source.files.iter().any(|file| matches!(file.form, FileForm::Archive(_))) {
        let problem = format!(
            "only the archive of {name} has a published hash, which `deepsleep-cli data fetch {name}` checks"
        );
        return Err(Error::argument("data verify", problem));
    }
    verify_source(dir, &source)
}

/// Like [`verify`], for any files.
///
/// # Errors
/// As [`verify`].
pub fn verify_source(dir: impl AsRef<Path>, source: &DownloadSource) -> Result<Vec<FileCheck>> {
    let dir = dir.as_ref();
    if !dir.is_dir() {
        return Err(Error::NotFound(format!("{}: no such folder", dir.display())));
    }
    Ok(source.files.iter().map(|file| check_file(dir, file)).collect())
}

/// Checks one file of `dir`.
pub(crate) fn check_file(dir: &Path, file: &SourceFile) -> FileCheck {
    let place = dir.join(&file.name);
    let path = match file.form {
        FileForm::Unpacked(split, part) => find_file(dir, split, part),
        FileForm::AsIs | FileForm::Archive(_) => Some(place.clone()).filter(|path| path.is_file()),
    };
    let outcome = match &path {
        None => Err(Error::NotFound(missing(&place, file).to_owned())),
        Some(path) => File::open(path)
            .map_err(|error| Error::io(path, "open", error))
            .and_then(|content| check_content(BufReader::new(content), path, file)),
    };
    let (found, problem) = match outcome {
        Ok(found) if found == file.sha256 => (Some(found), None),
        Ok(found) => (Some(found), Some("the content is not the published one".to_owned())),
        Err(error) => (None, Some(error.to_string())),
    };
    FileCheck {
        path: path.unwrap_or(place),
        expected: file.sha256.clone(),
        found,
        ok: problem.is_none(),
        problem,
    }
}

/// What is said where a file is not found.
fn missing(place: &Path, file: &SourceFile) -> &'static str {
    match file.form {
        FileForm::Unpacked(..) => "no such file, with or without .gz",
        _ if place.with_extension("").is_file() => {
            "it is here unpacked; only the packed file has a published hash"
        }
        _ => "no such file",
    }
}

/// SHA-256 of what the published hash is of, in `content`, which comes from `path`.
pub(crate) fn check_content(
    content: impl BufRead,
    path: &Path,
    file: &SourceFile,
) -> Result<String> {
    match file.form {
        FileForm::Unpacked(..) => {
            hash(MaybeGz::new(content).map_err(|error| read_error(path, error))?, path, file)
        }
        FileForm::AsIs | FileForm::Archive(_) => hash(content, path, file),
    }
}

/// SHA-256 of `content`, which may not be longer than `file` says: a few kilobytes of gzip can unpack to gigabytes.
fn hash(mut content: impl Read, path: &Path, file: &SourceFile) -> Result<String> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    let mut total = 0;
    loop {
        match content.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => {
                total += count as u64;
                if total > file.bytes {
                    let problem = format!("expected {} bytes, found more", file.bytes);
                    return Err(Error::format(path, problem));
                }
                hash.update(&buffer[..count]);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(read_error(path, error)),
        }
    }
    Ok(hex(&hash.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{IdxArray, IdxPart, Split};

    #[test]
    fn right_wrong_long_damaged_and_missing_files_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t10k-labels-idx1-ubyte.gz");
        let array = IdxArray::new(vec![3], vec![1, 2, 3]).unwrap();
        array.save(&path).unwrap();
        let mut file = SourceFile {
            name: "t10k-labels-idx1-ubyte.gz".to_owned(),
            form: FileForm::Unpacked(Split::Test, IdxPart::Labels),
            bytes: 11,
            // printf '\0\0\x08\x01\0\0\0\x03\1\2\3' | sha256sum
            sha256: "398a8a7fbd9531f1d9aa2ae368533e137cb53c202c3665f25affcf1ca88844ab".to_owned(),
        };
        let check = |file: &SourceFile| {
            let source = DownloadSource { files: vec![file.clone()], mirrors: vec![] };
            verify_source(folder.path(), &source).unwrap().remove(0)
        };
        assert!(check(&file).ok, "{:?}", check(&file));

        file.bytes = 10;
        assert!(check(&file).problem.unwrap().contains("expected 10 bytes"));
        file.bytes = 11;
        file.sha256.replace_range(..1, "x");
        let wrong = check(&file);
        assert!(!wrong.ok && wrong.found.is_some() && wrong.path == path);

        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 5]).unwrap();
        assert!(check(&file).problem.unwrap().contains("truncated"));
        // The same file as it is served: gzip's bytes count.
        let served = Sha256::digest(&bytes);
        let as_is = SourceFile { form: FileForm::AsIs, sha256: hex(&served), ..file.clone() };
        std::fs::write(&path, &bytes).unwrap();
        assert!(check(&as_is).problem.unwrap().contains("expected 11 bytes"));
        assert!(check(&SourceFile { bytes: bytes.len() as u64, ..as_is.clone() }).ok);
        std::fs::remove_file(&path).unwrap();
        assert!(check(&file).problem.unwrap().contains("no such file, with or without .gz"));
        assert_eq!(check(&as_is).problem.unwrap(), "no such file");
        std::fs::write(path.with_extension(""), [0; 11]).unwrap();
        assert!(check(&as_is).problem.unwrap().contains("it is here unpacked"));
        assert!(verify(folder.path().join("nowhere"), DatasetName::Mnist).is_err());
        let archive = verify(folder.path(), DatasetName::Cifar10).unwrap_err().to_string();
        assert!(archive.contains("only the archive of cifar-10"), "{archive}");
    }
}
