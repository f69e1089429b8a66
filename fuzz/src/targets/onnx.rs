//! ONNX files: any bytes are a network or an error of one line; a network can be written and read again.

use deepsleep::nn::Model;
use deepsleep::onnx;

pub fn run(bytes: &[u8]) {
    // A folder without files of weights.
    let read = match onnx::from_bytes(bytes, "/proc/none/fuzz.onnx") {
        Ok(read) => read,
        Err(error) => return assert!(!error.to_string().contains('\n'), "{error}"),
    };
    let is_finite = Model::open(&read.state).is_ok();
    // Weights that are not finite, or negative variances, are refused where they are used.
    let Ok(written) = onnx::to_bytes(&read.architecture, &read.state) else {
        return assert!(!is_finite);
    };
    let again = onnx::from_bytes(&written, "again").expect("what was read can be written");
    assert_eq!(again.architecture.classes(), read.architecture.classes());
}
