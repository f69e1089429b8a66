//! The elementary functions: error against `f64`, special values, and the same bits on every instruction set.
//!
//! The sweeps go through the bit patterns of all `f32` in steps of `DEEPSLEEP_ULP_STRIDE` (997 unless set; 1 takes
//! them all, and minutes: add `DEEPSLEEP_ISA=avx2`, and `ulp` to leave out the comparison with the slow portable one).

use crate::common::{EDGES, isas, portable, same_bits};
use deepsleep::simd::math::{atan, exp, ln, sigmoid, tanh};
use deepsleep::simd::{Isa, LANES, Lanes, Simd, dispatch};
use proptest::prelude::*;

/// A function and its meaning.
#[derive(Clone, Copy)]
struct Function {
    name: &'static str,
    vector: fn(Isa, &mut [Lanes]),
    exact: fn(f64) -> f64,
}

/// The functions below turn every number of a slice into its image.
macro_rules! on_slices {
    ($($name:ident: $function:ident),*) => {$(
        fn $name(isa: Isa, x: &mut [Lanes]) {
            #[inline(always)]
            fn body<S: Simd>(s: S, x: &mut [Lanes]) {
                for x in x {
                    s.store($function(s, s.load(x)), x);
                }
            }
            dispatch!(isa, s => body(s, x))
        }
    )*};
}
on_slices!(exps: exp, lns: ln, tanhs: tanh, sigmoids: sigmoid, atans: atan);

const EXP: Function = Function { name: "exp", vector: exps, exact: f64::exp };
const LN: Function = Function { name: "ln", vector: lns, exact: f64::ln };
const TANH: Function = Function { name: "tanh", vector: tanhs, exact: f64::tanh };
const ATAN: Function = Function { name: "atan", vector: atans, exact: f64::atan };
const SIGMOID: Function =
    Function { name: "sigmoid", vector: sigmoids, exact: |x| 1.0 / (1.0 + (-x).exp()) };
const ALL: [Function; 5] = [EXP, LN, TANH, SIGMOID, ATAN];

impl Function {
    fn of(self, isa: Isa, x: f32) -> f32 {
        let mut lanes = [Lanes::splat(x)];
        (self.vector)(isa, &mut lanes);
        assert!(lanes[0].0.iter().all(|&y| same_bits(y, lanes[0].0[0])));
        lanes[0].0[0]
    }
}

/// The distance of `got` from `exact` in ulp: the spacing of `f32` at `exact`, denormal numbers included.
fn ulps(got: f32, exact: f64) -> f64 {
    /// The first number too large for `f32`, and what infinity stands for.
    const BEYOND: f64 = 2.0 * (1u128 << 127) as f64;
    if got.is_nan() || exact.is_nan() {
        return if got.is_nan() && exact.is_nan() { 0.0 } else { f64::INFINITY };
    }
    // A pole: nothing but the infinity will do.
    if exact == f64::NEG_INFINITY {
        return if got == f32::NEG_INFINITY { 0.0 } else { f64::INFINITY };
    }
    let got = if got.is_infinite() { BEYOND.copysign(f64::from(got)) } else { f64::from(got) };
    let exact = exact.clamp(-BEYOND, BEYOND);
    let exponent = ((exact.to_bits() >> 52) & 0x7ff) as i32 - 1023;
    // 2^-(exponent - 23), from its bits: the sweep over everything asks four billion times.
    let per_ulp = f64::from_bits(((1023 + 23 - exponent.clamp(-126, 127)) as u64) << 52);
    (got - exact).abs() * per_ulp
}

fn stride() -> usize {
    let stride = std::env::var("DEEPSLEEP_ULP_STRIDE").unwrap_or_else(|_| "997".into());
    stride.parse().ok().filter(|&stride| stride > 0).expect("DEEPSLEEP_ULP_STRIDE: a number from 1")
}

/// Calls `f` with vectors of the bit patterns of all `f32`, in steps of the stride.
fn sweep(mut f: impl FnMut(&[Lanes])) {
    let stride = stride();
    let mut patterns = (0..=u64::from(u32::MAX)).step_by(stride);
    let mut chunk = vec![Lanes::ZERO; 256];
    loop {
        let mut any = false;
        for x in chunk.iter_mut().flat_map(|lanes| &mut lanes.0) {
            let next = patterns.next();
            any |= next.is_some();
            *x = f32::from_bits(next.unwrap_or(0) as u32);
        }
        if !any {
            break;
        }
        f(&chunk);
    }
}

fn check_ulp(function: Function) {
    for isa in isas() {
        let mut worst = (0.0, 0.0, 0.0);
        let mut y = Vec::new();
        sweep(|x| {
            y.clear();
            y.extend_from_slice(x);
            (function.vector)(isa, &mut y);
            for (x, y) in x.iter().zip(&y) {
                for (&x, &y) in x.0.iter().zip(&y.0) {
                    let error = ulps(y, (function.exact)(f64::from(x)));
                    if error > worst.0 {
                        worst = (error, x, y);
                    }
                }
            }
        });
        let (error, x, y) = worst;
        let name = function.name;
        println!("{} {name}: at most {error:.4} ulp, at {x:e}: {y:e}", isa.name());
        assert!(error <= 2.0, "{} {name}({x:e}) = {y:e}: {error} ulp", isa.name());
    }
}

#[test]
fn ulp_exp() {
    check_ulp(EXP);
}
#[test]
fn ulp_ln() {
    check_ulp(LN);
}
#[test]
fn ulp_tanh() {
    check_ulp(TANH);
}
#[test]
fn ulp_sigmoid() {
    check_ulp(SIGMOID);
}
#[test]
fn ulp_atan() {
    check_ulp(ATAN);
}

/// Every instruction set against the portable one (itself always among them).
#[test]
fn same_bits_everywhere() {
    let others: Vec<_> = isas().into_iter().filter(|isa| isa.name() != "portable").collect();
    for function in ALL {
        sweep(|x| {
            let mut expected = x.to_vec();
            (function.vector)(portable(), &mut expected);
            for &isa in &others {
                let mut got = x.to_vec();
                (function.vector)(isa, &mut got);
                let got = got.iter().flat_map(|y| y.0);
                for (i, (got, expected)) in got.zip(expected.iter().flat_map(|y| y.0)).enumerate() {
                    let (x, name) = (x[i / LANES].0[i % LANES], function.name);
                    assert!(
                        same_bits(got, expected),
                        "{} {name}({x:e}) = {got:e}, portable {expected:e}",
                        isa.name()
                    );
                }
            }
        });
    }
}

#[test]
fn special_values() {
    const INF: f32 = f32::INFINITY;
    const NAN: f32 = f32::NAN;
    const HALF_PI: f32 = std::f32::consts::FRAC_PI_2;
    let expected = [
        (EXP, 0.0, 1.0),
        (EXP, -0.0, 1.0),
        (EXP, INF, INF),
        (EXP, -INF, 0.0),
        (EXP, NAN, NAN),
        (EXP, 88.722_84, INF),
        (EXP, 89.0, INF),
        (EXP, f32::MAX, INF),
        (EXP, -103.972_08, 1e-45),
        (EXP, -103.972_09, 0.0),
        (EXP, -104.5, 0.0),
        (EXP, f32::MIN, 0.0),
        (EXP, 1e-45, 1.0),
        (LN, 0.0, -INF),
        (LN, -0.0, -INF),
        (LN, 1.0, 0.0),
        (LN, INF, INF),
        (LN, -INF, NAN),
        (LN, -1.0, NAN),
        (LN, -1e-45, NAN),
        (LN, NAN, NAN),
        (LN, 1e-45, -103.278_93),
        (LN, f32::MIN_POSITIVE, -87.336_55),
        (LN, f32::MAX, 88.722_84),
        (TANH, 0.0, 0.0),
        (TANH, -0.0, -0.0),
        (TANH, INF, 1.0),
        (TANH, -INF, -1.0),
        (TANH, NAN, NAN),
        (TANH, 1e-45, 1e-45),
        (TANH, -1e-45, -1e-45),
        (TANH, 1e-30, 1e-30),
        (TANH, -1e-5, -1e-5),
        (TANH, 9.1, 1.0),
        (TANH, f32::MIN, -1.0),
        (SIGMOID, 0.0, 0.5),
        (SIGMOID, -0.0, 0.5),
        (SIGMOID, INF, 1.0),
        (SIGMOID, -INF, 0.0),
        (SIGMOID, NAN, NAN),
        (SIGMOID, 20.0, 1.0),
        (SIGMOID, f32::MAX, 1.0),
        (SIGMOID, -103.5, 1e-45),
        (SIGMOID, -105.0, 0.0),
        (SIGMOID, f32::MIN, 0.0),
        (ATAN, 0.0, 0.0),
        (ATAN, -0.0, -0.0),
        (ATAN, INF, HALF_PI),
        (ATAN, -INF, -HALF_PI),
        (ATAN, f32::MAX, HALF_PI),
        (ATAN, NAN, NAN),
        (ATAN, 1e-45, 1e-45),
        (ATAN, -1e-45, -1e-45),
        (ATAN, -1e-5, -1e-5),
    ];
    for isa in isas() {
        for (function, x, y) in expected {
            let (got, name) = (function.of(isa, x), function.name);
            assert!(same_bits(got, y), "{} {name}({x:e}) = {got:e}, not {y:e}", isa.name());
        }
    }
}

#[test]
fn edges_are_within_two_ulp() {
    for isa in isas() {
        for function in ALL {
            for x in EDGES {
                let got = function.of(isa, x);
                let error = ulps(got, (function.exact)(f64::from(x)));
                assert!(error <= 2.0, "{} {}({x:e}) = {got:e}", isa.name(), function.name);
            }
        }
    }
}

/// The measure itself.
#[test]
fn ulps_measures() {
    assert_eq!(ulps(1.0, 1.0), 0.0);
    assert_eq!(ulps(1.0 + f32::EPSILON, 1.0), 1.0);
    assert_eq!(ulps(1e-45, 0.0), 1.0);
    assert_eq!(ulps(f32::INFINITY, f64::INFINITY), 0.0);
    assert_eq!(ulps(f32::INFINITY, f64::from(f32::MAX)), 1.0);
    assert!(ulps(f32::MAX, f64::NEG_INFINITY).is_infinite());
    assert!(ulps(1.0, f64::NAN).is_infinite());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Lanes do not see each other: a number's image does not depend on its mates.
    #[test]
    fn lanes_are_independent(bits in prop::array::uniform16(any::<u32>())) {
        let x = Lanes(bits.map(f32::from_bits));
        for isa in isas() {
            for function in ALL {
                let mut y = [x];
                (function.vector)(isa, &mut y);
                for (&x, &y) in x.0.iter().zip(&y[0].0) {
                    prop_assert!(same_bits(function.of(portable(), x), y), "{}", function.name);
                }
            }
        }
    }

    /// What soft-max and the losses rely on.
    #[test]
    fn shapes(x in -110f32..110.0) {
        for isa in isas() {
            prop_assert_eq!(TANH.of(isa, -x), -TANH.of(isa, x));
            prop_assert_eq!(ATAN.of(isa, -x), -ATAN.of(isa, x));
            prop_assert!((SIGMOID.of(isa, x) + SIGMOID.of(isa, -x) - 1.0).abs() <= 2.0 * f32::EPSILON);
            prop_assert!((0.0..=1.0).contains(&SIGMOID.of(isa, x)));
            prop_assert!(TANH.of(isa, x).abs() <= 1.0);
            let there_and_back = LN.of(isa, EXP.of(isa, x));
            if x.abs() < 80.0 {
                prop_assert!((there_and_back - x).abs() <= 2e-7 + 2e-7 * x.abs());
            }
        }
    }
}
