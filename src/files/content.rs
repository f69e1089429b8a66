//! Checks the existing content of a file before it is overwritten: a file of another kind may be of value.

use super::Output;
use crate::foreign::{self, FileKind};
use crate::{Error, Result};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// What is to be written to a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// A network, as safetensors.
    Network,
    /// A network, as ONNX.
    Onnx,
    /// Crafted images, as npz.
    CraftedSet,
    /// A result, as JSON.
    Result,
    /// A picture, as PNG or SVG.
    Picture,
    /// A page, as HTML.
    Page,
}

impl Content {
    fn name(self) -> &'static str {
        match self {
            Self::Network => "a network (safetensors)",
            Self::Onnx => "a network (ONNX)",
            Self::CraftedSet => "a set of images (npz)",
            Self::Result => "a result (JSON)",
            Self::Picture => "a picture",
            Self::Page => "a page (HTML)",
        }
    }

    /// Whether a file of this kind may be an older one of ours.
    fn may_replace(self, kind: FileKind) -> bool {
        match kind {
            FileKind::Empty | FileKind::LfsPointer => true,
            FileKind::WebPage => self == Self::Page,
            FileKind::Safetensors => self == Self::Network,
            FileKind::Onnx => self == Self::Onnx,
            FileKind::Npz => self == Self::CraftedSet,
            FileKind::Json => self == Self::Result,
            FileKind::Picture(_) | FileKind::Document(_) => self == Self::Picture,
            _ => false,
        }
    }
}

impl Output {
    /// Refuses a place where a file of another kind lies, as far as its first bytes or its name tell: a network where a
    /// result is to be written, a checkpoint, a data set.
    ///
    /// # Errors
    /// [`Error::Argument`] that says what lies there.
    pub fn to_hold(self, content: Content) -> Result<Self> {
        let found = match kind(self.path()) {
            Some(kind) if kind != FileKind::Empty && is_checkpoint(self.path()) => {
                "the checkpoint of interrupted work".to_owned()
            }
            Some(kind) if !content.may_replace(kind) => kind.name(),
            _ => return Ok(self),
        };
        let problem = format!(
            "{}: this is {found}, and {} would replace it; name another file, or move it away",
            self.path().display(),
            content.name()
        );
        Err(Error::argument("cannot write", problem))
    }
}

/// The kind of what lies there; None of a device, a pipe, nothing, and what cannot be read or told.
fn kind(path: &Path) -> Option<FileKind> {
    if !path.is_file() {
        return None;
    }
    let mut head = Vec::new();
    File::open(path).ok()?.take(foreign::HEAD as u64).read_to_end(&mut head).ok()?;
    foreign::kind(&head)
}

/// By its name, which only checkpoints have.
fn is_checkpoint(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "checkpoint")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_be_an_older_one_is_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let (network, set) = (&b"\x02\0\0\0\0\0\0\0{}"[..], &b"PK\x03\x04"[..]);
        let named_set = [set, &[0; 22], b"\x0a\0\0\0images.npy"].concat();
        let all = [
            Content::Network,
            Content::Onnx,
            Content::CraftedSet,
            Content::Result,
            Content::Picture,
            Content::Page,
        ];
        for (name, bytes, replaced_by, words) in [
            ("net", network, Some(Content::Network), "safetensors"),
            ("onnx", b"\x08\x08\x12\x07pytorch\x1a\x05", Some(Content::Onnx), "an ONNX network"),
            ("set", &named_set, Some(Content::CraftedSet), "an npz file"),
            ("zip", set, None, "a zip archive"),
            ("json", b"{\"a\": 1}", Some(Content::Result), "JSON"),
            ("png", b"\x89PNG\r\n\x1a\n", Some(Content::Picture), "PNG"),
            ("svg", b"<svg>", Some(Content::Picture), "XML"),
            ("idx", b"\0\0\x08\x03\0\0\x27\x10", None, "an IDX file"),
            ("page", b"<!DOCTYPE html><html>", Some(Content::Page), "HTML"),
            ("toml", b"[settings]\nseed = 1\n", None, "TOML"),
            ("text", b"mine", None, "text"),
            ("a.checkpoint", b"{\"a\": 1}", None, "the checkpoint of interrupted work"),
            ("b.checkpoint", network, None, "the checkpoint of interrupted work"),
        ] {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).expect("a file");
            for content in all {
                let held = Output::open(&path).and_then(|output| output.to_hold(content));
                match held {
                    Ok(_) => assert_eq!(replaced_by, Some(content), "{name}"),
                    Err(error) => {
                        assert_ne!(replaced_by, Some(content), "{name}: {error}");
                        let error = error.to_string();
                        assert!(error.contains(words) && error.contains("another file"), "{error}");
                    }
                }
            }
            assert_eq!(std::fs::read(&path).expect("it is still there"), bytes);
        }
        for (name, bytes) in [("empty", &b""[..]), ("noise", &[0xff; 9])] {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).expect("a file");
            for content in all {
                Output::open(&path)
                    .and_then(|output| output.to_hold(content))
                    .expect("a free place");
            }
        }
    }
}
