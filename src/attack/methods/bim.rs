//! BIM: the iterated FGSM, from the image itself (Kurakin et al. 2017, "Adversarial examples in the physical world").

use crate::attack::methods::pgd::{Pgd, Start, StepSize};

/// 10 steps of a fifth of the radius, no random start.
pub fn bim() -> Pgd {
    Pgd {
        name: "bim",
        steps: 10,
        step: StepSize::OfEps(0.2),
        start: Start::Clean,
        ..Pgd::default()
    }
}
