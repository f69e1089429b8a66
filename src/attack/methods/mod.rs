//! The attacks themselves: one file or folder each. What only one of them needs stands beside it.

pub mod apgd;
pub mod carlini_wagner;
pub mod cw_linf;
pub mod ddn;
pub mod deepfool;
mod descent;
pub mod fab;
pub mod fgsm;
pub mod fmn;
pub mod hopskipjump;
pub mod jitter;
pub mod momentum;
pub mod nes_pgd;
pub mod pgd;
pub mod rays;
pub mod sa_pgd;
pub mod sigma_zero;
pub mod square;
pub mod uniform;
