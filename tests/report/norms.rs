//! What a report says of cells of other norms than the paper's.

use crate::synthetic::results;
use crate::written;
use deepsleep::attack::Norm;
use deepsleep::method::Profile;

/// In other norms half the range of every pixel is out of reach, and print is in linf.
#[test]
fn what_holds_in_linf_is_not_said_of_other_norms() {
    let folder = tempfile::tempdir().unwrap();
    let mut results = results(Profile::Published, false);
    results.cells.iter_mut().for_each(|cell| cell.norm = Norm::L2);
    let built = written(folder.path(), &results, None);
    for file in [&built.html, &built.markdown] {
        let text = std::fs::read_to_string(file).unwrap();
        assert!(!text.contains("uniform gray"), "{text}");
        assert!(!text.contains("this attack failed"), "{text}");
        assert!(!text.contains("No model was attacked"), "{text}");
    }
}
