//! Fingerprints: short hashes that identify contents.

use crate::Result;
use crate::files::read_regular;
#[cfg(feature = "experiment")]
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::path::Path;

/// Digits of a fingerprint: 128 bits, half of a SHA-256.
const DIGITS: usize = 32;

/// What a thing is made of, hashed part by part. Every part is preceded by its length, so that no two lists of parts
/// run into the same bytes.
pub(crate) struct Fingerprint(Sha256);

impl Fingerprint {
    /// For a thing of this kind: things of two kinds never share a fingerprint.
    pub fn of(kind: &str) -> Self {
        Self(Sha256::new()).bytes(kind.as_bytes())
    }

    /// Adds a number.
    pub fn number(mut self, number: u64) -> Self {
        self.0.update(number.to_le_bytes());
        self
    }

    /// Adds bytes.
    pub fn bytes(self, bytes: &[u8]) -> Self {
        let mut this = self.number(bytes.len() as u64);
        this.0.update(bytes);
        this
    }

    /// The fingerprint, 32 hexadecimal digits.
    pub fn finish(self) -> String {
        let mut digits = hex(&self.0.finalize());
        digits.truncate(DIGITS);
        digits
    }
}

#[cfg(feature = "experiment")]
/// The fingerprint of a value by its JSON, whose keys are in order.
pub(crate) fn hash_of(kind: &str, value: &impl Serialize) -> String {
    Fingerprint::of(kind).bytes(&serde_json::to_vec(value).unwrap_or_default()).finish()
}

/// The fingerprint of a file: the first half of what `sha256sum` prints.
///
/// # Errors
/// If it cannot be read.
pub(crate) fn of_file(path: &Path) -> Result<String> {
    let mut digits = sha256(&read_regular(path, u64::MAX)?);
    digits.truncate(DIGITS);
    Ok(digits)
}

/// A whole SHA-256, 64 hexadecimal digits.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// A value for a sentence: of a fingerprint its beginning, which tells things apart.
pub(crate) fn shortened(value: &str) -> &str {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let is_fingerprint = matches!(value.len(), DIGITS | 64) && value.bytes().all(is_digit);
    if is_fingerprint { &value[..8] } else { value }
}

/// Two hexadecimal digits a byte.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_into_each_other() {
        let of = |parts: &[&[u8]]| {
            parts.iter().fold(Fingerprint::of("test"), |all, part| all.bytes(part)).finish()
        };
        assert_eq!(of(&[b"ab", b"c"]), of(&[b"ab", b"c"]));
        assert_ne!(of(&[b"ab", b"c"]), of(&[b"a", b"bc"]));
        assert_ne!(of(&[b"ab"]), of(&[b"ab", b""]));
        assert_ne!(Fingerprint::of("a").finish(), Fingerprint::of("b").finish());
        assert_eq!(of(&[]).len(), DIGITS);
    }

    #[test]
    fn sentences_hold_the_beginning_of_a_fingerprint() {
        let whole = sha256(b"abc");
        assert_eq!(shortened(&whole), "ba7816bf");
        assert_eq!(shortened(&whole[..DIGITS]), "ba7816bf");
        for other in ["0.1", "ba7816bf8f01cfea", "autoattack:version=standard,abcd"] {
            assert_eq!(shortened(other), other);
        }
    }

    #[test]
    fn a_whole_hash_is_sha_256() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(b"abc"), abc);
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), b"abc").expect("written");
        assert_eq!(of_file(file.path()).expect("read"), abc[..DIGITS]);
    }
}
