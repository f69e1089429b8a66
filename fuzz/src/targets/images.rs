//! Files of images in every format but IDX, which has a target of its own: any bytes are a data set or an error.

use deepsleep::data::{Dataset, Split};
use std::path::Path;

/// Where each format expects the test images, and what is beside them.
const PLACES: [&str; 5] =
    ["test_batch.bin", "test.bin", "test_32x32.mat", "test.npz", "test/class/image.png"];

pub fn run(bytes: &[u8]) {
    for file in PLACES {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).expect("a folder");
        std::fs::write(&path, bytes).expect("written");
        match Dataset::load(folder.path(), Split::Test) {
            Ok(images) => {
                assert!(images.labels().iter().all(|&label| usize::from(label) < images.classes()));
                for i in 0..images.len().min(16) {
                    assert!(images.image(i).iter().all(|pixel| (0.0..=1.0).contains(pixel)));
                }
            }
            Err(error) => assert!(!error.to_string().contains('\n'), "{error}"),
        }
    }
}
