//! Every operation of the trait against its meaning for one number, on every instruction set.

use crate::common::{edge_pairs, isas, same_bits};
use deepsleep::simd::{Isa, LANES, Lanes, LanesU32, Simd, dispatch, first_lanes};
use proptest::prelude::*;

/// Runs `body` of three vectors on one instruction set.
macro_rules! run {
    ($isa:expr, $a:expr, $b:expr, $c:expr, $s:ident, $x:ident, $y:ident, $z:ident => $body:expr) => {{
        #[inline(always)]
        fn body<S: Simd>($s: S, a: &Lanes, b: &Lanes, c: &Lanes) -> Lanes {
            let ($x, $y, $z) = ($s.load(a), $s.load(b), $s.load(c));
            let mut to = Lanes::ZERO;
            $s.store($body, &mut to);
            to
        }
        dispatch!($isa, s => body(s, $a, $b, $c))
    }};
}

/// The same of integers.
macro_rules! run_u32 {
    ($isa:expr, $a:expr, $b:expr, $s:ident, $x:ident, $y:ident => $body:expr) => {{
        #[inline(always)]
        fn body<S: Simd>($s: S, a: &LanesU32, b: &LanesU32) -> LanesU32 {
            let ($x, $y) = ($s.load_u32(a), $s.load_u32(b));
            let mut to = LanesU32::ZERO;
            $s.store_u32($body, &mut to);
            to
        }
        dispatch!($isa, s => body(s, $a, $b))
    }};
}

/// The same with a mask for the result.
macro_rules! run_mask {
    ($isa:expr, $a:expr, $b:expr, $s:ident, $x:ident, $y:ident => $body:expr) => {{
        #[inline(always)]
        fn body<S: Simd>($s: S, a: &Lanes, b: &Lanes) -> u16 {
            let ($x, $y) = ($s.load(a), $s.load(b));
            $s.mask_bits($body)
        }
        dispatch!($isa, s => body(s, $a, $b))
    }};
}

#[track_caller]
fn check(isa: Isa, what: &str, got: &Lanes, expected: impl Fn(usize) -> f32) {
    for i in 0..LANES {
        let expected = expected(i);
        assert!(
            same_bits(got.0[i], expected),
            "{} {what}, lane {i}: {:?}, not {expected:?}",
            isa.name(),
            got.0[i]
        );
    }
}

fn check_arithmetic(isa: Isa, a: &Lanes, b: &Lanes, c: &Lanes) {
    macro_rules! is {
        ($name:literal, |$s:ident, $x:ident, $y:ident, $z:ident| $vector:expr, $scalar:expr) => {{
            let scalar: fn(f32, f32, f32) -> f32 = $scalar;
            let got = run!(isa, a, b, c, $s, $x, $y, $z => { let _ = ($x, $y, $z); $vector });
            check(isa, $name, &got, |i| scalar(a.0[i], b.0[i], c.0[i]));
        }};
    }
    is!("add", |s, x, y, z| s.add(x, y), |x, y, _| x + y);
    is!("sub", |s, x, y, z| s.sub(x, y), |x, y, _| x - y);
    is!("mul", |s, x, y, z| s.mul(x, y), |x, y, _| x * y);
    is!("div", |s, x, y, z| s.div(x, y), |x, y, _| x / y);
    is!("mul_add", |s, x, y, z| s.mul_add(x, y, z), f32::mul_add);
    is!("neg_mul_add", |s, x, y, z| s.neg_mul_add(x, y, z), |x, y, z| (-x).mul_add(y, z));
    is!("sqrt", |s, x, y, z| s.sqrt(x), |x, _, _| x.sqrt());
    is!("round", |s, x, y, z| s.round(x), |x, _, _| x.round_ties_even());
    is!("min", |s, x, y, z| s.min(x, y), |x, y, _| if x < y { x } else { y });
    is!("max", |s, x, y, z| s.max(x, y), |x, y, _| if x > y { x } else { y });
    is!("abs", |s, x, y, z| s.abs(x), |x, _, _| x.abs());
    is!("neg", |s, x, y, z| s.neg(x), |x, _, _| -x);
    is!("copy_sign", |s, x, y, z| s.copy_sign(x, y), |x, y, _| x.copysign(y));
    is!("select", |s, x, y, z| s.select(s.lt(x, y), z, x), |x, y, z| if x < y { z } else { x });
    is!("splat", |s, x, y, z| s.splat(1.25), |_, _, _| 1.25);
    is!("zero", |s, x, y, z| s.zero(), |_, _, _| 0.0);
    is!("bits there and back", |s, x, y, z| s.from_bits(s.to_bits(x)), |x, _, _| x);
}

fn check_comparisons(isa: Isa, a: &Lanes, b: &Lanes) {
    macro_rules! is {
        ($name:literal, |$s:ident, $x:ident, $y:ident| $vector:expr, $scalar:expr) => {{
            let scalar: fn(&f32, &f32) -> bool = $scalar;
            let got = run_mask!(isa, a, b, $s, $x, $y => $vector);
            for i in 0..LANES {
                let (x, y) = (a.0[i], b.0[i]);
                let (got, expected) = (got >> i & 1 == 1, scalar(&x, &y));
                assert_eq!(got, expected, "{} {} of {x:?} and {y:?}", isa.name(), $name);
            }
        }};
    }
    is!("lt", |s, x, y| s.lt(x, y), f32::lt);
    is!("le", |s, x, y| s.le(x, y), f32::le);
    is!("eq", |s, x, y| s.eq(x, y), f32::eq);
    is!("gt", |s, x, y| s.gt(x, y), f32::gt);
    is!("ge", |s, x, y| s.ge(x, y), f32::ge);
    is!("and", |s, x, y| s.mask_and(s.le(x, y), s.ge(x, y)), f32::eq);
    is!("or", |s, x, y| s.mask_or(s.lt(x, y), s.gt(x, y)), |x, y| {
        x.partial_cmp(y).is_some_and(|order| order.is_ne())
    });
    is!("not", |s, x, y| s.mask_not(s.eq(x, y)), |x, y| x != y);
}

fn check_integers(isa: Isa, a: &LanesU32, b: &LanesU32) {
    macro_rules! is {
        ($name:literal, |$s:ident, $x:ident, $y:ident| $vector:expr, $scalar:expr) => {{
            let scalar: fn(u32, u32) -> u32 = $scalar;
            let got = run_u32!(isa, a, b, $s, $x, $y => { let _ = $y; $vector });
            for i in 0..LANES {
                let (x, y) = (a.0[i], b.0[i]);
                assert_eq!(got.0[i], scalar(x, y), "{} {} of {x} and {y}", isa.name(), $name);
            }
        }};
    }
    is!("add", |s, x, y| s.add_u32(x, y), u32::wrapping_add);
    is!("sub", |s, x, y| s.sub_u32(x, y), u32::wrapping_sub);
    is!("and", |s, x, y| s.and_u32(x, y), |x, y| x & y);
    is!("or", |s, x, y| s.or_u32(x, y), |x, y| x | y);
    is!("xor", |s, x, y| s.xor_u32(x, y), |x, y| x ^ y);
    is!("left 0", |s, x, y| s.shift_left::<0>(x), |x, _| x);
    is!("left 1", |s, x, y| s.shift_left::<1>(x), |x, _| x << 1);
    is!("left 23", |s, x, y| s.shift_left::<23>(x), |x, _| x << 23);
    is!("left 31", |s, x, y| s.shift_left::<31>(x), |x, _| x << 31);
    is!("right 0", |s, x, y| s.shift_right::<0>(x), |x, _| x);
    is!("right 8", |s, x, y| s.shift_right::<8>(x), |x, _| x >> 8);
    is!("right 31", |s, x, y| s.shift_right::<31>(x), |x, _| x >> 31);
    is!("rotate 7", |s, x, y| s.rotate_left::<7, 25>(x), |x, _| x.rotate_left(7));
    is!("rotate 11", |s, x, y| s.rotate_left::<11, 21>(x), |x, _| x.rotate_left(11));
    is!("eq", |s, x, y| s.select_u32(s.eq_u32(x, y), x, s.splat_u32(9)), |x, y| {
        if x == y { x } else { 9 }
    });
    is!("to f32", |s, x, y| s.to_bits(s.i32_to_f32(x)), |x, _| (x as i32 as f32).to_bits());
}

/// `f32_to_i32`, where it is specified.
fn check_to_i32(isa: Isa, a: &Lanes) {
    let inside = Lanes(a.0.map(|x| if x.abs() < 2_147_483_648.0 { x } else { -2_147_483_648.0 }));
    let got = run!(isa, &inside, a, a, s, x, _y, _z => s.from_bits(s.f32_to_i32(x)));
    for i in 0..LANES {
        let expected = inside.0[i].round_ties_even() as i32;
        assert_eq!(got.0[i].to_bits() as i32, expected, "{} {:?}", isa.name(), inside.0[i]);
    }
}

#[test]
fn edges() {
    for isa in isas() {
        let pairs = edge_pairs();
        for (n, (a, b)) in pairs.iter().enumerate() {
            check_arithmetic(isa, a, b, &pairs[(n * 7 + 3) % pairs.len()].1);
            check_comparisons(isa, a, b);
            let bits = |x: &Lanes| LanesU32(x.0.map(f32::to_bits));
            check_integers(isa, &bits(a), &bits(b));
            check_integers(isa, &bits(a), &bits(a));
            check_to_i32(isa, a);
        }
    }
}

fn lanes() -> impl Strategy<Value = Lanes> {
    prop::array::uniform16(any::<u32>()).prop_map(|bits| Lanes(bits.map(f32::from_bits)))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bits(a in lanes(), b in lanes(), c in lanes()) {
        for isa in isas() {
            check_arithmetic(isa, &a, &b, &c);
            check_comparisons(isa, &a, &b);
            check_integers(isa, &LanesU32(a.0.map(f32::to_bits)), &LanesU32(b.0.map(f32::to_bits)));
            check_to_i32(isa, &a);
        }
    }

    /// The exponents of random bits are too far apart for sums to round: numbers of like size.
    #[test]
    fn like_sizes(a in prop::array::uniform16(-2f32..2.0), b in prop::array::uniform16(-2f32..2.0)) {
        for isa in isas() {
            check_arithmetic(isa, &Lanes(a), &Lanes(b), &Lanes(a.map(|x| -x * x)));
            check_folds(isa, &Lanes(a));
        }
    }
}

#[test]
fn masks_are_lane_i_is_bit_i() {
    #[inline(always)]
    fn there_and_back<S: Simd>(s: S, bits: u16) -> (u16, u16) {
        let mask = s.mask_from_bits(bits);
        (s.mask_bits(mask), s.mask_bits(s.mask_not(mask)))
    }
    for isa in isas() {
        for bits in 0..=u16::MAX {
            assert_eq!(dispatch!(isa, s => there_and_back(s, bits)), (bits, !bits));
        }
        let counting = Lanes(std::array::from_fn(|i| i as f32));
        let low = run_mask!(isa, &counting, &Lanes::splat(2.5), s, x, y => s.lt(x, y));
        assert_eq!(low, 0b111);
    }
}

#[test]
fn keep_first_keeps_the_first() {
    #[inline(always)]
    fn keep<S: Simd>(s: S, x: &Lanes, live: usize) -> Lanes {
        let mut to = Lanes::ZERO;
        s.store(s.keep_first(s.load(x), live), &mut to);
        to
    }
    // Dead lanes become zero even if they hold NaN.
    for isa in isas() {
        for live in 0..=LANES + 1 {
            let x =
                Lanes(std::array::from_fn(|i| if i < live { i as f32 + 1.0 } else { f32::NAN }));
            let kept = dispatch!(isa, s => keep(s, &x, live));
            check(isa, "keep_first", &kept, |i| if i < live { i as f32 + 1.0 } else { 0.0 });
            assert_eq!(first_lanes(live).count_ones() as usize, live.min(LANES));
        }
    }
}

/// The folds, written out: i + (i + 8), then + 4, + 2, + 1.
fn check_folds(isa: Isa, x: &Lanes) {
    #[inline(always)]
    fn folds<S: Simd>(s: S, x: &Lanes) -> (f32, f32) {
        (s.reduce_add(s.load(x)), s.reduce_max(s.load(x)))
    }
    let (sum, largest) = dispatch!(isa, s => folds(s, x));
    let x = x.0;
    let pairs: [f32; 8] = std::array::from_fn(|i| x[i] + x[i + 8]);
    let fours: [f32; 4] = std::array::from_fn(|i| pairs[i] + pairs[i + 4]);
    let expected = (fours[0] + fours[2]) + (fours[1] + fours[3]);
    assert!(same_bits(sum, expected), "{}: {sum:?}, not {expected:?}", isa.name());
    assert_eq!(largest, x.into_iter().fold(f32::NEG_INFINITY, f32::max));
}

#[test]
fn folds_follow_the_tree() {
    for isa in isas() {
        // Sums of powers of two that only this order of additions gets right.
        check_folds(isa, &Lanes(std::array::from_fn(|i| (1 << i) as f32 * 1.000_000_1)));
        check_folds(isa, &Lanes(std::array::from_fn(|i| if i % 3 == 0 { 1e8 } else { -0.3 })));
        check_folds(isa, &Lanes::splat(-0.0));
        check_folds(isa, &Lanes(std::array::from_fn(|i| if i == 9 { f32::INFINITY } else { 1.0 })));
    }
}

#[test]
fn parts_are_the_lanes_in_order() {
    #[inline(always)]
    fn by_parts<S: Simd>(s: S, a: &Lanes, b: &Lanes, c: &Lanes) -> Lanes {
        let mut to = Lanes::ZERO;
        for part in 0..S::PARTS {
            let load = |x| s.load_part(x, part);
            s.store_part(s.mul_add_part(load(a), load(b), load(c)), &mut to, part);
        }
        to
    }
    let a = Lanes(std::array::from_fn(|i| 1.0 + i as f32 / 3.0));
    let b = Lanes(std::array::from_fn(|i| 0.7 - i as f32 / 7.0));
    let c = Lanes(std::array::from_fn(|i| -(1.0 + i as f32 / 3.0) * (0.7 - i as f32 / 7.0)));
    for isa in isas() {
        // c cancels the rounded product: what is left is the rounding error, which only a fused operation sees.
        let got = dispatch!(isa, s => by_parts(s, &a, &b, &c));
        check(isa, "mul_add_part", &got, |i| a.0[i].mul_add(b.0[i], c.0[i]));
        assert!(got.0.iter().any(|&x| x != 0.0));
    }
}
