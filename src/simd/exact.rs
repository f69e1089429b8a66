//! Emulates, for the portable instruction set, the two operations that x86-64's baseline lacks. The emulation is exact
//! and has no branches, so the compiler vectorizes it at opt-level 3: sixteen multiply-adds take 17 ns, sixteen calls of
//! the C library 37 ns. At opt-level 2 (the tests) it is not vectorized, and there is no difference.

/// Whether the target has SSE2, but not both FMA and SSE4.1: elsewhere the standard library's are instructions.
const WITHOUT_INSTRUCTIONS: bool =
    cfg!(all(target_arch = "x86_64", not(all(target_feature = "fma", target_feature = "sse4.1"))));

/// a b + c, rounded once.
#[inline(always)]
pub(super) fn fused_multiply_add(a: f32, b: f32, c: f32) -> f32 {
    if WITHOUT_INSTRUCTIONS { multiply_add_by_odd(a, b, c) } else { a.mul_add(b, c) }
}

/// To the nearest integer, ties to even.
#[inline(always)]
pub(super) fn round_ties_even(x: f32) -> f32 {
    if WITHOUT_INSTRUCTIONS { round_by_adding(x) } else { x.round_ties_even() }
}

/// a b + c through `f64`, rounded to odd there (Boldo and Melquiond, *Emulation of FMA and correctly rounded sums*,
/// 2008): the last bit of the sum is set if anything was lost, so that what looks like a tie between two `f32` is one.
/// It takes 2 x 24 + 2 bits, and `f64` has 53.
#[inline(always)]
fn multiply_add_by_odd(a: f32, b: f32, c: f32) -> f32 {
    // 24 + 24 bits: exact.
    let product = f64::from(a) * f64::from(b);
    let c = f64::from(c);
    // Knuth's TwoSum: product + c = sum + error, exactly. NaN where the sum is not finite.
    let sum = product + c;
    let of_c = sum - product;
    let error = (product - (sum - of_c)) + (c - of_c);
    let (bits, all) = (sum.to_bits(), u64::MAX);
    let inexact = if error.abs() > 0.0 { all } else { 0 };
    // Where the sum was rounded away from zero, one step back; then the last bit.
    let away = ((bits ^ error.to_bits()) >> 63) & inexact;
    f64::from_bits((bits - away) | (inexact & 1)) as f32
}

/// From 2^23 on every `f32` is an integer, so that adding 2^23 rounds, to even as everything does.
#[inline(always)]
fn round_by_adding(x: f32) -> f32 {
    const INTEGERS: f32 = 8_388_608.0;
    let magnitude = f32::from_bits(x.to_bits() & 0x7fff_ffff);
    let rounded = (magnitude + INTEGERS) - INTEGERS;
    // Larger ones, infinities and NaN stay as they are.
    let rounded = if magnitude < INTEGERS { rounded } else { magnitude };
    f32::from_bits(rounded.to_bits() | (x.to_bits() & 0x8000_0000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The same number to the last bit, or both NaN.
    fn same(a: f32, b: f32) -> bool {
        a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
    }

    fn check(a: f32, b: f32, c: f32) -> bool {
        let (found, expected) = (multiply_add_by_odd(a, b, c), a.mul_add(b, c));
        assert!(same(found, expected), "{a:e} * {b:e} + {c:e}: {found:e}, not {expected:e}");
        found != (f64::from(a) * f64::from(b) + f64::from(c)) as f32
    }

    /// Zero, the smallest, the ends of the subnormal and normal numbers, one and its neighbors, halves of its last
    /// place, infinity, NaN.
    const HARD: [u32; 16] = [
        0,
        1,
        2,
        0x007f_ffff,
        0x0080_0000,
        0x0080_0001,
        0x3300_0000,
        0x3380_0000,
        0x3f7f_ffff,
        0x3f80_0000,
        0x3f80_0001,
        0x4b00_0001,
        0x7f00_0000,
        0x7f7f_ffff,
        0x7f80_0000,
        0x7fc0_0000,
    ];

    fn hard() -> impl Iterator<Item = f32> {
        HARD.into_iter().flat_map(|bits| [bits, bits | 0x8000_0000]).map(f32::from_bits)
    }

    #[test]
    fn hard_cases() {
        for a in hard() {
            for b in hard() {
                for c in hard() {
                    check(a, b, c);
                }
            }
        }
    }

    /// Rounding twice would be wrong: a tie of two `f32` (also subnormal ones, also the largest and infinity) plus or
    /// minus what `f64` cannot hold.
    #[test]
    fn near_ties_are_no_ties() {
        let mut rounded_twice = 0;
        let small = [f32::MIN_POSITIVE, 1e-40, 1e-30, -f32::MIN_POSITIVE, -1e-40, -1e-30];
        // (a + half a unit in the last place) as c plus product, and the tail as what is added.
        for (a, b) in
            [(1.0 + f32::EPSILON, 1.0 + 4097.0 * f32::EPSILON), (3.0, 5.5), (4097.0, 4097.0)]
        {
            for c in small {
                rounded_twice += usize::from(check(a, b, c));
            }
        }
        // 2^24 + 1 is a tie.
        for c in small {
            rounded_twice += usize::from(check(f32::from_bits(0x4b80_0000), 1.0, c));
            rounded_twice += usize::from(check(4097.0, 4095.0 + 1.0 / 4096.0, c));
        }
        // c = 2^24 k, a b = 1 + tail.
        let (up, down) = (1.0 + f32::EPSILON, 1.0 - f32::EPSILON);
        for scale in [-148, -140, -126, -100, 0, 100, 103] {
            let unit = 2f64.powi(scale) as f32;
            for c in [1.0, 3.0, 16_777_215.0, -1.0, -16_777_215.0] {
                for (a, b) in
                    [(up, down), (down, up), (-up, down), (up, up), (down, down), (1.0, 1.0)]
                {
                    rounded_twice += usize::from(check(a / 2.0, b * unit, c * unit));
                }
            }
        }
        assert!(rounded_twice > 20, "{rounded_twice} of them are hard");
    }

    #[test]
    fn rounding() {
        for whole in (0..2000).chain(8_380_000..8_390_000).chain(16_777_200..16_777_220) {
            for part in [0.0, 0.25, 0.5, 0.75] {
                for x in [whole as f32 + part, -(whole as f32) - part] {
                    assert!(same(round_by_adding(x), x.round_ties_even()), "{x}");
                }
            }
        }
        hard().for_each(|x| assert!(same(round_by_adding(x), x.round_ties_even()), "{x}"));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 100_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_bits(a in any::<u32>(), b in any::<u32>(), c in any::<u32>()) {
            let [a, b, c] = [a, b, c].map(f32::from_bits);
            check(a, b, c);
            prop_assert!(same(round_by_adding(a), a.round_ties_even()));
        }

        /// Few bits set, exponents near one another: where sums tie, cancel, or become subnormal.
        #[test]
        fn few_bits(bits in prop::array::uniform3(any::<u32>()), shift in prop::array::uniform3(0u32..24), low in 0u32..3) {
            let base = [10u32, 64, 127][low as usize];
            let number = |i: usize, exponent: u32| {
                let mantissa = (bits[i] & 0x7f_ffff) >> shift[i] << shift[i];
                f32::from_bits(bits[i] & 0x8000_0000 | ((exponent + (bits[i] >> 23) % 28) << 23) | mantissa)
            };
            let sum = (2 * base).saturating_sub(127);
            check(number(0, base), number(1, base), number(2, sum));
        }
    }
}
