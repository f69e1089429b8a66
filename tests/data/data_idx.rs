//! The IDX reader against arrays of any shape and against damage of any kind.

use std::io::Write;
use std::path::Path;

use deepsleep::Error;
use deepsleep::data::{Dataset, IdxArray};
use proptest::prelude::*;

/// Any array of up to five dimensions and a few hundred bytes.
fn array() -> impl Strategy<Value = IdxArray> {
    prop::collection::vec(0usize..5, 0..5).prop_flat_map(|dims| {
        let count = dims.iter().product::<usize>();
        prop::collection::vec(any::<u8>(), count)
            .prop_map(move |data| IdxArray::new(dims.clone(), data).unwrap())
    })
}

/// The array's file, gzipped or not.
fn encode(array: &IdxArray, gzip: bool) -> Vec<u8> {
    let mut plain = Vec::new();
    array.write(&mut plain).unwrap();
    if !gzip {
        return plain;
    }
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Default::default());
    encoder.write_all(&plain).unwrap();
    encoder.finish().unwrap()
}

fn read(bytes: &[u8]) -> Result<IdxArray, Error> {
    IdxArray::read(bytes, "damaged.idx")
}

proptest! {
    #[test]
    fn what_is_written_is_read(array in array(), gzip: bool) {
        prop_assert_eq!(read(&encode(&array, gzip)).unwrap(), array);
    }

    #[test]
    fn truncated_anywhere_is_an_error_that_names_the_file(
        array in array(), gzip: bool, at: prop::sample::Index,
    ) {
        let bytes = encode(&array, gzip);
        let error = read(&bytes[..at.index(bytes.len())]).unwrap_err();
        let named = matches!(&error, Error::Format { path, .. } if path == Path::new("damaged.idx"));
        prop_assert!(named, "{:?}", error);
    }

    #[test]
    fn anything_after_the_end_is_an_error(
        array in array(), gzip: bool, more in prop::collection::vec(any::<u8>(), 1..9),
    ) {
        // Zeros behind gzip are padding.
        prop_assume!(!gzip || more.iter().any(|&byte| byte != 0));
        let mut bytes = encode(&array, gzip);
        bytes.extend(more);
        prop_assert!(read(&bytes).is_err());
    }

    #[test]
    fn flipped_bits_never_panic(
        array in array(), gzip: bool, flips in prop::collection::vec(any::<(prop::sample::Index, u8)>(), 1..9),
    ) {
        let mut bytes = encode(&array, gzip);
        for (index, flip) in flips {
            *index.get_mut(&mut bytes) ^= flip;
        }
        // A flip of a pixel in a plain file goes unnoticed, all else must come back as an error; a panic fails the test.
        let _ = read(&bytes);
    }

    #[test]
    fn noise_never_panics(mut bytes in prop::collection::vec(any::<u8>(), 0..99), honest: bool) {
        if honest && bytes.len() > 4 {
            bytes[..3].copy_from_slice(&[0, 0, 8]);
        }
        let _ = read(&bytes);
    }
}

#[test]
fn files_that_do_not_fit_together_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let save = |name: &str, dims: &[usize], value: u8| {
        let path = folder.path().join(name);
        let data = vec![value; dims.iter().product()];
        IdxArray::new(dims.to_vec(), data).unwrap().save(&path).unwrap();
        path
    };
    let images = save("images.gz", &[3, 2, 2], 0);
    let colored = save("colored", &[3, 3, 2, 2], 0);
    let labels = save("labels.gz", &[3], 9);
    assert_eq!(Dataset::from_idx(&images, &labels).unwrap().shape(), [1, 2, 2].into());
    assert_eq!(Dataset::from_idx(&colored, &labels).unwrap().shape(), [3, 2, 2].into());

    let problem =
        |images: &Path, labels: &Path| Dataset::from_idx(images, labels).unwrap_err().to_string();
    let cases = [
        (problem(&images, &save("four", &[4], 0)), "images.gz: 3 images, but 4 labels in"),
        (problem(&images, &save("ten", &[3], 10)), "ten: label number 0 is 10"),
        (problem(&images, &images), "images.gz: labels need 1 dimension, found [3, 2, 2]"),
        (problem(&labels, &labels), "labels.gz: images need 3 dimensions"),
        (problem(&save("flat", &[3, 0, 2], 0), &labels), "flat: images of 1 x 0 x 2 pixels"),
        (problem(&images, &folder.path().join("nowhere")), "nowhere: cannot open"),
        (problem(&images, folder.path()), ": cannot"),
    ];
    for (found, expected) in cases {
        assert!(found.contains(expected), "{found:?} lacks {expected:?}");
    }
}
