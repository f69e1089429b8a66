//! Values that may be missing as files have them: an empty text where there is none.

use serde::{Deserialize, Deserializer, Serializer};
use std::fmt::Display;

pub(crate) fn serialize<T: Display, S: Serializer>(
    value: &Option<T>,
    to: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => to.collect_str(value),
        None => to.serialize_str(""),
    }
}

pub(crate) fn deserialize<'a, T: From<String>, D: Deserializer<'a>>(
    from: D,
) -> Result<Option<T>, D::Error> {
    let text = String::deserialize(from)?;
    Ok((!text.is_empty()).then(|| text.into()))
}
