//! One file per operation: its method on the tape, what it keeps, its backward.

pub(super) mod activation;
pub(super) mod arithmetic;
pub(super) mod batch_norm;
pub(super) mod conv2d;
pub(super) mod cross_entropy;
pub(super) mod dropout;
pub(super) mod frozen;
pub(super) mod join;
pub(super) mod lif;
pub(super) mod mean_steps;
pub(super) mod norm_relu_pool;
pub(super) mod pair_loss;
pub(super) mod poisson;
pub(super) mod pool;
pub(super) mod repeat_steps;
pub(super) mod softmax;
pub(super) mod worst_margins;
