//! IDX files, plain and gzipped: any bytes are an array or an error.
#![no_main]

use deepsleep::data::IdxArray;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(array) = IdxArray::read(bytes, "fuzz") {
        assert_eq!(array.dims().iter().product::<usize>(), array.data().len());
        let mut again = Vec::new();
        array.write(&mut again).expect("memory takes all");
        let read = IdxArray::read(again.as_slice(), "again").expect("what was written can be read");
        assert_eq!(read.data(), array.data());
    }
});
