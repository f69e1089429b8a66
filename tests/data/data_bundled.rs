//! The data set that comes with the repository.

use std::path::Path;

use deepsleep::data::{Dataset, DatasetName, SearchPath, Split, verify};

#[test]
fn bundled_mnist_is_complete_and_genuine() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    let path = SearchPath { standard: vec![root.clone()], ..SearchPath::default() };
    let folder = path.locate(DatasetName::Mnist).unwrap();
    assert_eq!(folder, root.join("mnist"));

    let train = Dataset::load(&folder, Split::Train).unwrap();
    let test = Dataset::load(&folder, Split::Test).unwrap();
    assert_eq!((train.len(), test.len()), (60_000, 10_000));
    assert_eq!((train.label(0), test.label(0)), (5, 7));
    assert_eq!((train.shape(), train.classes()), ([1, 28, 28].into(), 10));

    for check in verify(&folder, DatasetName::Mnist).unwrap() {
        assert!(check.ok, "{check:?}");
    }
    // The digits are no clothes: every file differs, and a folder that a user named is not taken for the other.
    assert!(verify(&folder, DatasetName::FashionMnist).unwrap().iter().all(|check| !check.ok));
    let named = SearchPath { data_dir: Some(folder.clone()), ..SearchPath::default() };
    assert_eq!(named.locate(DatasetName::Mnist).unwrap(), folder);
    let problem = named.locate(DatasetName::FashionMnist).unwrap_err().to_string();
    assert!(problem.contains("these are the files of mnist"), "{problem}");
}
