//! The members of the ensemble for spiking networks, whose own gradients hide what other estimates of them find. The cheap
//! and strong ones come first; what needs no gradient comes last, and says what the gradients missed.

use crate::attack::attack_trait::Attack;
use crate::attack::ensemble::estimated::Estimated;
use crate::attack::ensemble::member::Member;
use crate::attack::geometry::norm::Norm;
use crate::attack::loss::Loss;
use crate::attack::methods::apgd::Apgd;
use crate::attack::methods::fab::Fab;
use crate::attack::methods::hopskipjump::HopSkipJump;
use crate::attack::methods::pgd::{Pgd, Start};
use crate::attack::methods::rays::RayS;
use crate::attack::methods::sa_pgd::SaPgd;
use crate::attack::methods::square::Square;
use crate::attack::methods::uniform::Uniform;
use crate::attack::stepper::Goal;
use crate::kernels::lif::{Estimator, RateRule, SilentWindow};
use crate::kernels::surrogate::Surrogate;

/// The members for this norm. The `fast` version leaves out the long tail.
pub fn members(norm: Norm, loss: Loss, goal: Goal, fast: bool) -> Vec<Member> {
    let with = |attack: Box<dyn Attack>, estimator: Estimator| {
        Member::of(if estimator.is_own() {
            attack
        } else {
            Box::new(Estimated { attack, estimator })
        })
    };
    let apgd =
        |loss: Loss, estimator| with(Box::new(Apgd { loss, goal, ..Apgd::default() }), estimator);
    // SA-PGD exists in linf.
    let sa_pgd = |steps: usize, estimator| match norm {
        Norm::Linf => with(Box::new(SaPgd { loss, steps, ..SaPgd::default() }), estimator),
        _ => with(Box::new(Apgd { loss, steps, goal, ..Apgd::default() }), estimator),
    };
    let own = Estimator::default();
    let [pdsg, assg] = [Estimator::pdsg(), Estimator::assg(0.425)];
    let rga = Estimator::rate(RateRule::Rga(0.2));
    let mut all = vec![apgd(loss, own), sa_pgd(100, assg), apgd(loss, pdsg), apgd(loss, rga)];
    let rates = [RateRule::Bptr, RateRule::Relu].map(Estimator::rate);
    all.extend(rates.into_iter().chain([Estimator::hart(1.0)]).map(|e| apgd(loss, e)));
    let others = [0.41, 0.44, 0.455].map(Estimator::assg);
    if !fast {
        all.extend(others.into_iter().map(|e| sa_pgd(100, e)));
        all.push(sa_pgd(100, Estimator { pool: Some(SilentWindow::All), ..assg }));
    }
    all.extend([own, pdsg, assg].into_iter().map(|e| apgd(Loss::Dlr, e)));
    if !fast {
        all.extend([assg, rga].into_iter().map(|e| apgd(Loss::TargetedDlr, e)));
        all.extend(families().into_iter().map(|e| sa_pgd(100, e)));
        all.push(sa_pgd(1000, assg));
        all.push(with(Box::new(Fab { goal: Goal::First, ..Fab::default() }), pdsg));
    }
    let queries = if fast { 1000 } else { 5000 };
    let square = Square { queries, accept_ties: true, ..Square::default() };
    all.push(Member::of(Box::new(square)));
    if !fast {
        all.extend(match norm {
            Norm::Linf => Some(Member::of(Box::new(RayS::default()))),
            Norm::L2 => Some(Member::of(Box::new(HopSkipJump::default()))),
            Norm::L1 | Norm::L0 => None,
        });
        all.push(Member::transfer(Box::new(Pgd { loss, goal: Goal::Last, ..Pgd::default() })));
        // All others begin at the image or at the ball's surface. What lies in a small pocket inside, they do not see.
        all.push(Member::of(Box::new(Pgd {
            loss,
            goal,
            start: Start::Random,
            restarts: STARTS,
            ..Pgd::default()
        })));
        all.push(Member::of(Box::new(Uniform::default())));
    }
    all
}

/// Random points of the ball from which the last member with gradients begins.
const STARTS: usize = 20;

/// Slopes of fixed shapes and widths, in units of the threshold.
fn families() -> Vec<Estimator> {
    let surrogates = [
        Surrogate::Triangle(0.25),
        Surrogate::Triangle(0.5),
        Surrogate::Triangle(1.0),
        Surrogate::Triangle(2.0),
        Surrogate::Rectangle(4.0),
        Surrogate::Rectangle(2.0),
        Surrogate::Rectangle(1.0),
        Surrogate::Exponential(1.0),
        Surrogate::Exponential(2.0),
        Surrogate::Exponential(4.0),
        Surrogate::Arctan(2.0),
        Surrogate::StraightThrough(1.0),
    ];
    surrogates.map(Estimator::fixed).to_vec()
}
