//! EOT-PGD: PGD on the expected loss of a model that draws random numbers (Athalye et al. 2018, "Obfuscated gradients
//! give a false sense of security", section 4.2; Liu et al. 2019, "Adv-BNN").

use crate::attack::methods::pgd::Pgd;

/// PGD with two draws a step. On a deterministic model it takes the same steps as PGD.
pub fn eot_pgd() -> Pgd {
    Pgd { name: "eot-pgd", draws: 2, ..Pgd::default() }
}
