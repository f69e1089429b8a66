//! The types of the file's numbers: those that nodes compute of them wrap around and are rounded as their type is.

use super::node::FileNode;
use super::proto::data_type::{
    BFLOAT16, BOOL, DOUBLE, FLOAT, FLOAT16, INT8, INT16, INT32, INT64, UINT8, UINT16, UINT32,
};
use super::value::{NodeResult, Operand, Whole};

/// The types that numbers may be cast to.
const READ: [i32; 12] =
    [FLOAT, DOUBLE, FLOAT16, BFLOAT16, BOOL, INT64, INT32, UINT32, INT16, UINT16, INT8, UINT8];

/// The type of what a node computes of numbers of the file.
///
/// # Errors
/// If it is of another type than can be read.
pub fn of_result(node: &FileNode<'_>) -> NodeResult<i32> {
    let attribute = |name| node.attribute(name);
    let tensor = || attribute("value").and_then(|a| a.t.as_ref()).and_then(|t| t.data_type);
    Ok(match node.op() {
        "Constant" if attribute("value_int").or(attribute("value_ints")).is_some() => INT64,
        "Constant" | "ConstantOfShape" => tensor().unwrap_or(FLOAT),
        "Shape" => INT64,
        "Equal" | "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual" => BOOL,
        "Where" => node.kind(1),
        "Cast" => {
            let to = node.int("to", i64::from(FLOAT));
            let read = READ.into_iter().find(|&kind| i64::from(kind) == to);
            read.ok_or_else(|| format!("casts to type {to}, which is not read"))?
        }
        _ => node.kind(0),
    })
}

/// Numbers as those of a type are: whole ones modulo the power of two that it ends at, floats with as many digits.
pub fn fit(value: Operand, kind: i32) -> Operand {
    match value {
        Operand::Wholes(all) => {
            let wrap: fn(i64) -> i64 = match kind {
                INT8 => |x| i64::from(x as i8),
                UINT8 => |x| i64::from(x as u8),
                INT16 => |x| i64::from(x as i16),
                UINT16 => |x| i64::from(x as u16),
                INT32 => |x| i64::from(x as i32),
                UINT32 => |x| i64::from(x as u32),
                _ => return Operand::Wholes(all),
            };
            let wrap = |whole| match whole {
                Whole::Known(number) => Whole::Known(wrap(number)),
                Whole::Batch => Whole::Batch,
            };
            Operand::Wholes(all.mapv(wrap).into_shared())
        }
        Operand::Floats(all) => {
            let round = match kind {
                FLOAT16 => as_half,
                BFLOAT16 => as_bfloat,
                _ => return Operand::Floats(all),
            };
            Operand::Floats(all.mapv(round).into_shared())
        }
        other => other,
    }
}

/// The nearest float of 16 bits with 10 of fraction, ties to even.
fn as_half(x: f32) -> f32 {
    /// Half-way between the largest and what would follow it.
    const OVERFLOW: f32 = 65_520.0;
    if x.is_nan() || x.is_infinite() {
        return x;
    }
    if x.abs() >= OVERFLOW {
        return f32::INFINITY.copysign(x);
    }
    // Eleven digits from the first on, and nothing below 2^-24.
    let exponent = ((x.to_bits() >> 23 & 0xff) as i32 - 127).max(-14);
    let unit = f64::from(exponent - 10).exp2();
    ((f64::from(x) / unit).round_ties_even() * unit) as f32
}

/// The nearest float with 7 bits of fraction, ties to even.
fn as_bfloat(x: f32) -> f32 {
    if x.is_nan() {
        return x;
    }
    let bits = x.to_bits();
    let odd = bits >> 16 & 1;
    f32::from_bits(bits.wrapping_add(0x7fff + odd) & 0xffff_0000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::half;

    /// Between two neighbors, the nearer one; half-way, the one whose last bit is 0.
    fn check(round: fn(f32) -> f32, low: f32, high: f32, is_even: bool) {
        let middle = ((f64::from(low) + f64::from(high)) / 2.0) as f32;
        for sign in [1.0, -1.0] {
            assert_eq!(round(sign * low), sign * low);
            assert_eq!(round(sign * middle), sign * if is_even { low } else { high });
            assert_eq!(round(sign * middle.next_down()), sign * low);
            assert_eq!(round(sign * middle.next_up()), sign * high);
        }
    }

    #[test]
    fn floats_of_16_bits_are_the_nearest() {
        for bits in 0..0x7bff_u16 {
            check(as_half, half(bits), half(bits + 1), bits % 2 == 0);
        }
        for bits in (0..0x7f7f_u32).step_by(7) {
            let wide = |bits: u32| f32::from_bits(bits << 16);
            check(as_bfloat, wide(bits), wide(bits + 1), bits % 2 == 0);
        }
        for (x, expected) in [(65_519.0, 65_504.0), (65_520.0, f32::INFINITY)] {
            assert_eq!(as_half(x), expected);
            assert_eq!(as_half(-x), -expected);
        }
        assert!(as_half(f32::NAN).is_nan() && as_bfloat(f32::NAN).is_nan());
        assert_eq!(as_bfloat(f32::MAX), f32::INFINITY);
    }

    #[test]
    fn whole_numbers_wrap_around() {
        let fitted = |number, kind| {
            let all = ndarray::arr0(Whole::Known(number)).into_dyn().into_shared();
            fit(Operand::Wholes(all), kind).wholes().expect("whole numbers")[0]
        };
        for (number, kind, expected) in [
            (-10, UINT8, 246),
            (200, INT8, -56),
            (70_000, UINT16, 4_464),
            (40_000, INT16, -25_536),
            (1 << 31, INT32, -(1 << 31)),
            (-1, UINT32, (1 << 32) - 1),
            (1 << 40, INT64, 1 << 40),
        ] {
            assert_eq!(fitted(number, kind), expected, "{number} as type {kind}");
        }
    }
}
