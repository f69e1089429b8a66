//! Ball and box, hyperplane and box: feasible, and no feasible point nearer.

use deepsleep::attack::Norm;
use deepsleep::attack::geometry::{Breakpoints, SortBuffer, into_ball, onto_hyperplane};
use deepsleep::simd::Isa;
use proptest::prelude::*;

const NORMS: [Norm; 3] = [Norm::Linf, Norm::L2, Norm::L1];

fn pixels(count: usize) -> impl Strategy<Value = Vec<f32>> {
    // Many pixels of an image are exactly black or white.
    let pixel = prop_oneof![Just(0.0f32), Just(1.0f32), 0.0f32..=1.0];
    prop::collection::vec(pixel, count)
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

fn isa() -> Isa {
    Isa::detect().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_projection_into_the_ball_is_feasible_and_idempotent(
        clean in pixels(40),
        steps in prop::collection::vec(-2.0f32..2.0, 40),
        eps in 0.001f32..3.0,
        norm in prop::sample::select(&NORMS[..]),
    ) {
        let mut x: Vec<f32> = clean.iter().zip(&steps).map(|(c, s)| c + s).collect();
        let mut scratch = Breakpoints::default();
        into_ball(norm, eps, &clean, &mut x, &mut scratch);
        prop_assert!(x.iter().all(|v| (0.0..=1.0).contains(v)));
        let size = norm.distance(&x, &clean);
        prop_assert!(size <= eps, "{size} > {eps}");
        if norm == Norm::Linf {
            prop_assert!(x.iter().zip(&clean).all(|(x, c)| (x - c).abs() <= eps));
            // And no more of it is given up than rounding asks for.
            let outside = |(v, c): (&f32, &f32)| (v - c).abs() > eps;
            let edge = |(v, c): (&f32, &f32)| {
                *v == 0.0 || *v == 1.0 || (v - c).abs() >= eps - f32::EPSILON
            };
            let pixels = || clean.iter().zip(&steps).map(|(c, s)| c + s).zip(&x).zip(&clean);
            prop_assert!(pixels().all(|((far, x), c)| !outside((&far, c)) || edge((x, c))));
        } else {
            let exact: f64 = match norm {
                Norm::L2 => x.iter().zip(&clean).map(|(x, c)| (f64::from(*x) - f64::from(*c)).powi(2)).sum::<f64>().sqrt(),
                _ => x.iter().zip(&clean).map(|(x, c)| (f64::from(*x) - f64::from(*c)).abs()).sum(),
            };
            prop_assert!(exact <= f64::from(eps), "{exact} > {eps}");
        }
        let once = x.clone();
        into_ball(norm, eps, &clean, &mut x, &mut scratch);
        let moved = Norm::Linf.distance(&x, &once);
        prop_assert!(moved <= 1e-5, "moved by {moved}");
    }

    /// By the variational inequality: <x - p, q - p> <= 0 for the nearest point p and every feasible q.
    #[test]
    fn no_feasible_point_is_nearer_in_linf_and_l1(
        clean in pixels(12),
        steps in prop::collection::vec(-1.0f32..1.0, 12),
        others in prop::collection::vec(prop::collection::vec(-1.0f32..1.0, 12), 8),
        eps in 0.05f32..2.0,
        norm in prop::sample::select(&[Norm::Linf, Norm::L1][..]),
    ) {
        let mut scratch = Breakpoints::default();
        let outside: Vec<f32> = clean.iter().zip(&steps).map(|(c, s)| c + s).collect();
        let mut nearest = outside.clone();
        into_ball(norm, eps, &clean, &mut nearest, &mut scratch);
        let ours = Norm::L2.distance(&outside, &nearest);
        for other in &others {
            let mut q: Vec<f32> = clean.iter().zip(other).map(|(c, s)| c + s).collect();
            into_ball(norm, eps, &clean, &mut q, &mut scratch);
            prop_assert!(Norm::L2.distance(&outside, &q) >= ours - 1e-4);
        }
    }

    #[test]
    fn the_step_onto_a_hyperplane_reaches_it_inside_the_box(
        point in pixels(30),
        normal in prop::collection::vec(prop_oneof![Just(0.0f32), -1.0f32..1.0], 30),
        gap in -3.0f32..3.0,
        norm in prop::sample::select(&NORMS[..]),
    ) {
        let mut step = vec![0.0; 30];
        onto_hyperplane(isa(), norm, &point, &normal, gap, &mut step, &mut SortBuffer::default());
        for (t, d) in point.iter().zip(&step) {
            prop_assert!((-1e-6..=1.0 + 1e-6).contains(&(t + d)));
        }
        let room: f32 = point.iter().zip(&normal)
            .map(|(t, w)| w.abs() * if w * gap < 0.0 { 1.0 - t } else { *t })
            .sum();
        let left = f64::from(gap) + dot(&normal, &step);
        if room > gap.abs() * 1.0001 {
            prop_assert!(left.abs() <= 2e-5, "{left} of {gap} left, room {room}");
        } else {
            // As near as the box lets it come.
            prop_assert!((left.abs() - f64::from(gap.abs() - room)).abs() <= 1e-4);
        }
    }

    #[test]
    fn the_step_onto_a_hyperplane_does_not_see_the_size_of_its_normal(
        point in pixels(30),
        normal in prop::collection::vec(prop_oneof![Just(0.0f32), -1.0f32..1.0], 30),
        gap in -3.0f32..3.0,
        exponent in -90i32..90,
        norm in prop::sample::select(&NORMS[..]),
    ) {
        let scale = 2.0f32.powi(exponent);
        let (mut step, mut other) = (vec![0.0; 30], vec![0.0; 30]);
        let scaled: Vec<f32> = normal.iter().map(|w| w * scale).collect();
        onto_hyperplane(isa(), norm, &point, &normal, gap, &mut step, &mut SortBuffer::default());
        onto_hyperplane(isa(), norm, &point, &scaled, gap * scale, &mut other, &mut SortBuffer::default());
        prop_assert_eq!(step, other);
    }

    /// A feasible point: the step, changed by a random direction along the plane, back in the box by scaling.
    #[test]
    fn no_step_onto_the_hyperplane_is_shorter(
        point in prop::collection::vec(0.1f32..0.9, 10),
        normal in prop::collection::vec(prop_oneof![-1.0f32..-0.05, 0.05f32..1.0], 10),
        gap in -1.0f32..1.0,
        directions in prop::collection::vec(prop::collection::vec(-1.0f32..1.0, 10), 8),
        norm in prop::sample::select(&NORMS[..]),
    ) {
        let mut step = vec![0.0; 10];
        onto_hyperplane(isa(), norm, &point, &normal, gap, &mut step, &mut SortBuffer::default());
        prop_assume!((f64::from(gap) + dot(&normal, &step)).abs() < 1e-5);
        let size = norm.of(&step);
        for direction in &directions {
            let along = dot(direction, &normal) / dot(&normal, &normal);
            for scale in [1e-3f32, 1e-2, 0.1] {
                let other: Vec<f32> = (0..10)
                    .map(|i| step[i] + scale * (direction[i] - along as f32 * normal[i]))
                    .collect();
                let inside = point.iter().zip(&other).all(|(t, d)| (0.0..=1.0).contains(&(t + d)));
                if inside {
                    prop_assert!(norm.of(&other) >= size - 1e-5, "{} < {size}", norm.of(&other));
                }
            }
        }
    }
}
