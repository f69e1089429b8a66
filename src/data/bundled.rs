//! The networks that come with the sources, by name.

use super::SearchPath;
use std::path::{Path, PathBuf};

/// Names of the networks in `data/models`; its README says how each was made and what it scores.
pub const BUNDLED_MODELS: &[&str] = &["control", "deepsleep", "plain", "lucid", "bounds"];

/// The file of a network that comes with the sources, looked for in `models` of the [standard](SearchPath::standard)
/// places; none if there is no network of this name, or its file is not there.
pub fn bundled_model(name: &str) -> Option<PathBuf> {
    let name = BUNDLED_MODELS.iter().find(|known| **known == name)?;
    let file = Path::new("models").join(format!("{name}.safetensors"));
    let places = SearchPath::from_env(None).standard;
    places.into_iter().map(|place| place.join(&file)).find(|file| file.is_file())
}
