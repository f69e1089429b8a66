//! What lies inside of the box and of a ball. There are three answers, because there are three questions.
//!
//! *Did an attack of ours succeed?* ([`reach`], for `audit` too, which measures its finds again in f64.) Its image was made and
//! measured in f32. A strict limit would lose real successes to rounding, so in every norm the ball is a hundred-thousandth
//! of its radius and [`ROUNDING`] wider. Bounds that are certified hold in this wider ball.
//!
//! *Does an image lie where it is said to lie?* ([`keeps`].) It may come from anywhere, and its maker had to respect the radius.
//! So it is measured in f64, where no rounding of ours adds to it, and may be off by what the maker's rounding explains:
//! [`ROUNDING`] and, in L1 and L2, a hundred-thousandth of the radius, because a sum over hundreds of rounded pixels is off by
//! a share of itself. The largest change of one pixel is not.
//!
//! *May an attack keep an image that it came upon?* ([`is_inside`].) Only if its distance does not exceed the radius, in
//! whatever order it is summed: no search may gain by rounding.
//!
//! Whatever keeps the claim is also inside for an attack. What does not is outside, whether it fools or not.

use super::norm::Norm;
use super::projection;

/// How far outside of box or ball rounding may put a pixel or an image.
const ROUNDING: f64 = 1e-6;

/// The largest perturbation, measured in f32, with which an attack succeeds.
pub(crate) fn reach(eps: f32) -> f32 {
    eps * (1.0 + 1e-5) + ROUNDING as f32
}

/// Whether an image this far away, measured in f64, lies in a ball that it is said to lie in.
pub(crate) fn keeps(norm: Norm, eps: f32, distance: f64) -> bool {
    let eps = f64::from(eps);
    let share = match norm {
        Norm::Linf | Norm::L0 => 0.0,
        Norm::L2 | Norm::L1 => 1e-5 * eps,
    };
    distance <= eps + (ROUNDING + share)
}

/// Whether `x` lies in the ball, in whatever order its differences are added up: what [`into_ball`](projection::into_ball)
/// places does, and of what an attack came upon elsewhere only what leaves as much to rounding.
pub fn is_inside(norm: Norm, eps: f32, clean: &[f32], x: &[f32]) -> bool {
    let differences = || x.iter().zip(clean).map(|(x, c)| f64::from(x - c));
    let least = f64::from(eps) * (1.0 - 0.5 * f64::from(projection::ROUNDING));
    match norm {
        Norm::Linf | Norm::L0 => norm.distance(x, clean) <= eps,
        Norm::L1 => differences().map(f64::abs).sum::<f64>() <= least,
        Norm::L2 => differences().map(|d| d * d).sum::<f64>().sqrt() <= least,
    }
}

/// Whether a pixel is a number in 0..=1, up to rounding.
pub(crate) fn near_box(pixel: f32) -> bool {
    (-ROUNDING..=1.0 + ROUNDING).contains(&f64::from(pixel))
}

/// How far two images are apart, to the last digits of single precision.
pub(crate) fn distance(norm: Norm, a: &[f32], b: &[f32]) -> f64 {
    let changes = a.iter().zip(b).map(|(&a, &b)| (f64::from(a) - f64::from(b)).abs());
    match norm {
        Norm::Linf => changes.fold(0.0, f64::max),
        Norm::L2 => changes.map(|change| change * change).sum::<f64>().sqrt(),
        Norm::L1 => changes.sum(),
        Norm::L0 => changes.filter(|&change| change != 0.0).count() as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_has_no_share_of_the_radius_where_one_pixel_decides() {
        for (norm, eps, inside, outside) in [
            (Norm::Linf, 0.25, 0.9e-6, 1.1e-6),
            (Norm::L2, 1.0, 1.09e-5, 1.11e-5),
            (Norm::L1, 10.0, 1.009e-4, 1.011e-4),
            (Norm::L0, 3.0, 0.0, 1.0),
        ] {
            let at = |beyond| keeps(norm, eps, f64::from(eps) + beyond);
            assert!(at(inside) && !at(outside), "{norm}");
        }
        assert!(!keeps(Norm::L2, 1.0, f64::NAN));
    }

    #[test]
    fn what_keeps_a_claim_is_inside_for_an_attack() {
        for norm in Norm::ALL {
            for eps in [0.0, 1e-6, 8.0 / 255.0, 0.25, 1.0, 3.0, 28.0] {
                let edge = [1.5e-6, 1e-6, 0.5e-6, 0.0];
                for distance in edge.map(|beyond| f64::from(eps) * (1.0 + 0.9e-5) + beyond) {
                    let distance = distance as f32;
                    assert!(!keeps(norm, eps, f64::from(distance)) || distance <= reach(eps));
                }
            }
        }
        // Not the other way round: the share of the radius.
        let distance = 0.25 + 2e-6;
        assert!(distance <= reach(0.25) && !keeps(Norm::Linf, 0.25, f64::from(distance)));
    }
}
