//! How numbers, lists and texts of others stand in messages, settings and reports.

mod json;
mod lists;
#[cfg(feature = "draw")]
mod markup;
mod meant;
mod numbers;
mod printable;
pub(crate) mod serde_errors;
pub(crate) mod short_form;

pub(crate) use json::{from_strict_json, of_32_bits, to_json};
#[cfg(feature = "report")]
pub(crate) use lists::listed;
pub(crate) use lists::{joined, times};
#[cfg(feature = "draw")]
pub(crate) use markup::html;
pub(crate) use meant::meant;
pub(crate) use numbers::{fraction, grouped, number};
pub use numbers::{significant, written};
#[cfg(feature = "onnx")]
pub(crate) use printable::in_line;
pub use printable::{Medium, printable};
pub(crate) use printable::{list, shown};
#[cfg(feature = "experiment")]
pub(crate) use serde_errors::in_words;
pub(crate) use serde_errors::{of_json, of_json_line};
