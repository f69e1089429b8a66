//! IDX files, plain and gzipped: any bytes are an array or an error, as a file and as a stream.

use deepsleep::data::IdxArray;

pub fn run(bytes: &[u8]) {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), bytes).expect("written");
    let opened = IdxArray::open(file.path());
    let Ok(array) = IdxArray::read(bytes, "fuzz") else {
        assert!(opened.is_err());
        return;
    };
    assert_eq!(opened.expect("a file is a stream"), array);
    let product =
        array.dims().iter().fold(1, |product: u128, &n| product.saturating_mul(n as u128));
    assert!(product == array.data().len() as u128 || array.dims().contains(&0));
    let mut again = Vec::new();
    array.write(&mut again).expect("memory takes all");
    assert_eq!(IdxArray::read(again.as_slice(), "again").expect("it was written"), array);
}
