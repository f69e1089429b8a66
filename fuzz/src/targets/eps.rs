//! `--eps 16/255,0.3`: any text is radii of the norm or an error.

use deepsleep::attack::{Norm, parse_eps};

pub fn run(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    for (norm, features, most) in
        [(Norm::Linf, 784, 1.0), (Norm::L2, 784, 28.0), (Norm::L1, 784, 784.0), (Norm::L2, 0, 0.0)]
    {
        if let Ok(radii) = parse_eps(text, norm, features) {
            assert!(!radii.is_empty() && radii.iter().all(|eps| *eps > 0.0 && *eps <= most));
        }
    }
}
