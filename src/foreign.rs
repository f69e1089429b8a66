//! Recognizes files of an unexpected kind by their first bytes, and says what they are and how to convert them.

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    Empty,
    PyTorch,
    Pickle,
    Onnx,
    TensorFlow,
    Npz,
    Npy,
    Hdf5,
    Safetensors,
    Idx,
    Gguf,
    Zip,
    Compressed(&'static str),
    Picture(&'static str),
    Document(&'static str),
    WebPage,
    LfsPointer,
    Json,
    Toml,
    Text,
}

/// How many bytes from the beginning are looked at, at most.
pub(crate) const HEAD: usize = 512;

/// The kind of a file that begins so; None if it is none of those known here.
pub(crate) fn kind(content: &[u8]) -> Option<FileKind> {
    use FileKind::{Compressed, Document, Picture};
    let head = &content[..content.len().min(HEAD)];
    if head.is_empty() {
        return Some(FileKind::Empty);
    }
    // Before the magic numbers: a length may begin like any of those.
    if is_safetensors(head) {
        return Some(FileKind::Safetensors);
    }
    let magics: [(&[u8], FileKind); 23] = [
        (b"\x93NUMPY", FileKind::Npy),
        (b"\x89HDF\r\n\x1a\n", FileKind::Hdf5),
        (b"GGUF", FileKind::Gguf),
        (b"\0\0\x08\x01", FileKind::Idx),
        (b"\0\0\x08\x03", FileKind::Idx),
        (b"\0\0\x08\x04", FileKind::Idx),
        // The magic number that PyTorch pickles first, before version 1.6.
        (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", FileKind::PyTorch),
        (b"\x1f\x8b", Compressed("gzip")),
        (b"BZh", Compressed("bzip2")),
        (b"\xfd7zXZ\0", Compressed("xz")),
        (b"\x28\xb5\x2f\xfd", Compressed("zstd")),
        (b"7z\xbc\xaf\x27\x1c", Compressed("7-zip")),
        (b"Rar!", Compressed("rar")),
        (b"\x78\x01", Compressed("zlib")),
        (b"\x78\x9c", Compressed("zlib")),
        (b"\x78\xda", Compressed("zlib")),
        (b"\x89PNG\r\n\x1a\n", Picture("PNG")),
        (b"\xff\xd8\xff", Picture("JPEG")),
        (b"GIF8", Picture("GIF")),
        (b"%PDF", Document("a PDF document")),
        (b"\x7fELF", Document("a program (ELF)")),
        (b"MATLAB 5.0", Document("a MATLAB file")),
        (b"MATLAB 7.3", Document("a MATLAB file of version 7.3 (HDF5)")),
    ];
    if let Some((_, kind)) = magics.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Some(*kind);
    }
    if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
        return Some(zip(head));
    }
    match *head {
        [0x80, 2..=5, ..] => return Some(FileKind::Pickle),
        // Protobuf: field 1 is a small number (ONNX: its version of the format; TensorFlow: 1), then a text or a message.
        [0x08, 1, 0x12, ..] => return Some(FileKind::TensorFlow),
        [0x08, 2..=32, 0x12 | 0x1a | 0x22 | 0x2a | 0x32 | 0x3a | 0x42, ..] => {
            return Some(FileKind::Onnx);
        }
        _ => {}
    }
    if head.get(257..262) == Some(b"ustar") {
        return Some(Compressed("tar"));
    }
    text(head)
}

/// Whether the first bytes are a length that the format allows, and the brace that follows it.
pub(crate) fn is_safetensors(head: &[u8]) -> bool {
    const MOST_HEADER: u64 = 100_000_000;
    let Some((length, rest)) = head.split_first_chunk() else { return false };
    u64::from_le_bytes(*length) <= MOST_HEADER && rest.first() == Some(&b'{')
}

/// A zip archive by the name of its first file.
fn zip(head: &[u8]) -> FileKind {
    let length = head.get(26..28).map_or(0, |b| usize::from(u16::from_le_bytes([b[0], b[1]])));
    let name = &head[30.min(head.len())..(30 + length).min(head.len())];
    let (ends, within) = (
        |end: &[u8]| name.ends_with(end),
        |part: &[u8]| name.windows(part.len()).any(|window| window == part),
    );
    match () {
        () if ends(b".npy") => FileKind::Npz,
        // `archive/data.pkl`, or in TorchScript `archive/code/...`, `archive/data/...` first.
        () if ends(b".pkl")
            || ends(b"/.format_version")
            || within(b"/data/")
            || within(b"/code/") =>
        {
            FileKind::PyTorch
        }
        () => FileKind::Zip,
    }
}

/// The kind of a text; None if it is none.
fn text(head: &[u8]) -> Option<FileKind> {
    let valid = match std::str::from_utf8(head) {
        Ok(text) => text,
        // The head may end within a letter.
        Err(error) if error.error_len().is_none() && error.valid_up_to() > 0 => {
            std::str::from_utf8(&head[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    if valid.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\u{c}')) {
        return None;
    }
    let text = valid.trim_start_matches('\u{feff}').trim_start();
    let start = |prefix: &str| {
        text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    if start("version https://git-lfs") || start("/annex/objects/") {
        return Some(FileKind::LfsPointer);
    }
    if start("<!doctype html") || start("<html") || start("<head") || start("<body") {
        return Some(FileKind::WebPage);
    }
    if start("<?xml") || start("<svg") {
        return Some(FileKind::Document("an XML document"));
    }
    let mut lines = text.lines().map(str::trim);
    let first = lines.find(|line| !line.is_empty() && !line.starts_with('#')).unwrap_or("");
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '"' | ' ');
    let section =
        first.strip_prefix('[').and_then(|rest| rest.trim_start_matches('[').split_once(']'));
    let is_section = section.is_some_and(|(name, _)| {
        name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(word)
    });
    let is_setting = first.split_once('=').is_some_and(|(name, _)| name.chars().all(word));
    Some(match text.chars().next() {
        _ if is_section || is_setting => FileKind::Toml,
        Some('{' | '[') => FileKind::Json,
        _ => FileKind::Text,
    })
}

impl FileKind {
    /// What it is, as the end of a sentence that begins with "it is".
    pub(crate) fn name(self) -> String {
        match self {
            Self::Empty => "empty".into(),
            Self::PyTorch => "a PyTorch file (torch.save)".into(),
            Self::Pickle => "a Python pickle".into(),
            Self::Onnx => "an ONNX network".into(),
            Self::TensorFlow => "a TensorFlow network".into(),
            Self::Npz => "an npz file (numpy.savez)".into(),
            Self::Npy => "an npy file (numpy.save)".into(),
            Self::Hdf5 => "an HDF5 file (h5, Keras, NIR)".into(),
            Self::Safetensors => "a safetensors file, which holds a network".into(),
            Self::Idx => "an IDX file, which holds a data set's images or labels".into(),
            Self::Gguf => "a GGUF network".into(),
            Self::Zip => "a zip archive".into(),
            Self::Compressed(by) => format!("compressed or packed by {by}"),
            Self::Picture(what) => format!("a {what} picture"),
            Self::Document(what) => what.into(),
            Self::WebPage => "a web page (HTML)".into(),
            Self::LfsPointer => "a pointer of Git LFS or git-annex, not the file itself".into(),
            Self::Json => "JSON".into(),
            Self::Toml => "TOML".into(),
            Self::Text => "text".into(),
        }
    }

    /// What to do where any other kind was expected.
    fn remedy(self) -> Option<&'static str> {
        match self {
            Self::Empty => Some("obtain it again"),
            Self::Zip | Self::Compressed(_) => Some("unpack it first"),
            Self::WebPage => Some("the address answered with a page: download the file itself"),
            Self::LfsPointer => Some("get the file with `git lfs pull` or `git annex get`"),
            _ => None,
        }
    }

    /// What to do where a network was expected.
    pub(crate) fn remedy_for_network(self) -> &'static str {
        self.remedy().unwrap_or(match self {
            Self::PyTorch | Self::Pickle => {
                "convert it in Python: safetensors.torch.save_file(torch.load(\"FILE\", weights_only=True), \
                 \"FILE.safetensors\"), of TorchScript torch.jit.load(\"FILE\").state_dict() (docs/formats.md)"
            }
            Self::Npz => {
                "convert it in Python: safetensors.numpy.save_file(dict(numpy.load(\"FILE\")), \
                 \"FILE.safetensors\") (docs/formats.md)"
            }
            Self::Onnx if !cfg!(feature = "onnx") => {
                "ONNX files cannot be read: built without the feature `onnx`; convert it with a program that has it: \
                 deepsleep-cli convert FILE FILE.safetensors"
            }
            Self::Onnx => {
                "convert it: deepsleep-cli convert FILE FILE.safetensors (in Rust: deepsleep::onnx::read)"
            }
            Self::TensorFlow | Self::Hdf5 | Self::Gguf => {
                "save its arrays as safetensors, under PyTorch's names (docs/formats.md has the lines)"
            }
            Self::Npy => "it holds one array; a network has several, as safetensors (docs/formats.md)",
            Self::Idx => "it belongs in the folder of a data set",
            _ => "expected a network as safetensors or ONNX (docs/formats.md)",
        })
    }

    /// What to do where a set of crafted images was expected.
    #[cfg(feature = "npz")]
    pub(crate) fn remedy_for_set(self) -> &'static str {
        self.remedy().unwrap_or(match self {
            Self::PyTorch | Self::Pickle | Self::Safetensors | Self::Hdf5 | Self::Npy => {
                "save arrays `images`, `adversarial`, and `labels` with numpy.savez (docs/formats.md)"
            }
            _ => "expected crafted images, as an attack or numpy.savez saves them (docs/formats.md)",
        })
    }

    /// What to do where images or labels of a data set were expected.
    pub(crate) fn remedy_for_data(self) -> &'static str {
        self.remedy().unwrap_or("expected IDX, as MNIST comes, gzipped or not (docs/formats.md)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A safetensors file begins with the length of its header, in which some saw a pickle, a zlib stream or ONNX.
    #[test]
    fn safetensors_of_any_length_are_recognized() {
        for length in 2u64..100_000 {
            let head = [&length.to_le_bytes()[..], b"{\"__metadata__\":{"].concat();
            assert_eq!(kind(&head), Some(FileKind::Safetensors), "a header of {length} bytes");
        }
    }

    #[test]
    fn kinds_are_told_by_their_first_bytes() {
        let zip = |name: &str| {
            let mut head = b"PK\x03\x04".to_vec();
            head.resize(26, 0);
            head.extend([name.len() as u8, 0, 0, 0]);
            head.extend(name.as_bytes());
            head
        };
        for (head, expected) in [
            (b"".to_vec(), FileKind::Empty),
            (zip("archive/data.pkl"), FileKind::PyTorch),
            (zip("net/data.pkl"), FileKind::PyTorch),
            (zip("images.npy"), FileKind::Npz),
            (zip("metadata.json"), FileKind::Zip),
            (b"PK\x05\x06".to_vec(), FileKind::Zip),
            (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80".to_vec(), FileKind::PyTorch),
            (b"\x80\x04\x95\x10".to_vec(), FileKind::Pickle),
            (b"\x08\x08\x12\x07pytorch\x1a\x05".to_vec(), FileKind::Onnx),
            (b"\x08\x0a:\xb0\x02".to_vec(), FileKind::Onnx),
            (b"\x08\x01\x12\xff".to_vec(), FileKind::TensorFlow),
            (b"\x93NUMPY\x01\0".to_vec(), FileKind::Npy),
            (b"\x89HDF\r\n\x1a\n\0".to_vec(), FileKind::Hdf5),
            (b"MATLAB 5.0 MAT".to_vec(), FileKind::Document("a MATLAB file")),
            (b"MATLAB 7.3 MAT".to_vec(), FileKind::Document("a MATLAB file of version 7.3 (HDF5)")),
            (b"\x02\0\0\0\0\0\0\0{}".to_vec(), FileKind::Safetensors),
            (b"\0\0\x08\x03\0\0\x27\x10".to_vec(), FileKind::Idx),
            (b"\x1f\x8b\x08\0".to_vec(), FileKind::Compressed("gzip")),
            (b"\x89PNG\r\n\x1a\n".to_vec(), FileKind::Picture("PNG")),
            (b"\n <!DOCTYPE HTML PUBLIC".to_vec(), FileKind::WebPage),
            (b"version https://git-lfs.github.com/spec/v1\noid".to_vec(), FileKind::LfsPointer),
            (b"{\"conv1\": [1]}".to_vec(), FileKind::Json),
            (b"[1, 2]".to_vec(), FileKind::Json),
            (b"[[0.5]]".to_vec(), FileKind::Json),
            (b"# sweep\n[control]\nepochs = 3".to_vec(), FileKind::Toml),
            (b"seeds = 3\n".to_vec(), FileKind::Toml),
            (b"hello, world".to_vec(), FileKind::Text),
        ] {
            assert_eq!(kind(&head), Some(expected), "{head:?}");
        }
        for head in [&[0xff; 100][..], &[0; 100], b"\x01\x02\x03"] {
            assert_eq!(kind(head), None, "{head:?}");
        }
    }

    #[test]
    fn every_remedy_is_short() {
        for kind in [
            FileKind::PyTorch,
            FileKind::Npz,
            FileKind::Compressed("gzip"),
            FileKind::Idx,
            FileKind::Json,
        ] {
            for remedy in [kind.remedy_for_network(), kind.remedy_for_set(), kind.remedy_for_data()]
            {
                assert!(remedy.len() + kind.name().len() < 220, "{remedy}");
            }
        }
    }
}
