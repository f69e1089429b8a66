//! Attributes of nodes that are written.

use super::proto::{Attribute, attribute_type};

/// A number with a point.
pub fn float(name: &str, number: f32) -> Attribute {
    let r#type = Some(attribute_type::FLOAT);
    Attribute { name: Some(name.into()), f: Some(number), r#type, ..Attribute::default() }
}

/// A whole number.
pub fn int(name: &str, number: usize) -> Attribute {
    let r#type = Some(attribute_type::INT);
    Attribute { name: Some(name.into()), i: Some(number as i64), r#type, ..Attribute::default() }
}

/// Whole numbers.
pub fn ints(name: &str, numbers: impl IntoIterator<Item = usize>) -> Attribute {
    let ints = numbers.into_iter().map(|number| number as i64).collect();
    let r#type = Some(attribute_type::INTS);
    Attribute { name: Some(name.into()), ints, r#type, ..Attribute::default() }
}

/// The attributes of a window.
pub fn window(window: [usize; 2], stride: [usize; 2], [y, x]: [usize; 2]) -> Vec<Attribute> {
    vec![ints("kernel_shape", window), ints("strides", stride), ints("pads", [y, x, y, x])]
}
