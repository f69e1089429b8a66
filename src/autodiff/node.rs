//! The record that the tape keeps for each variable and parameter.

use crate::tensor::Tensor;

/// A variable: its value, and the gradient that has reached it so far.
pub(super) struct TapeNode {
    pub value: Tensor,
    pub grad: Option<Tensor>,
    pub wants_grad: bool,
    /// Whether the value's memory has been taken back already.
    pub released: bool,
}

/// A parameter, its shape filled up with ones.
pub(super) struct WeightNode {
    pub value: Vec<f32>,
    pub shape: [usize; 4],
    pub grad: Option<Vec<f32>>,
    pub wants_grad: bool,
    /// The parameter of whose numbers these are the sizes, if they are.
    pub sizes_of: Option<u32>,
}
