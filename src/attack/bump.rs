//! The pattern that Square adds in L2 and L1: a positive half beside a negative one, each steepest in its middle
//! (Andriushchenko et al. 2020, "Square attack", section 4.3; L1: Croce & Hein 2021, "Mind the box", appendix).

use super::norm::Norm;

/// A pattern of side `side` and norm 1, kept until another side is asked for.
#[derive(Default)]
pub struct Bump {
    side: usize,
    /// `[y][x]`, the positive half above the negative one.
    values: Vec<f32>,
}

impl Bump {
    /// The pattern `[y][x]` for L2 or L1.
    pub fn of_side(&mut self, side: usize, norm: Norm) -> &[f32] {
        if self.side != side {
            self.side = side;
            self.values.clear();
            let upper = side / 2;
            for y in 0..side {
                for x in 0..side {
                    let value = if y < upper {
                        height(upper, side, y, x, norm)
                    } else {
                        -height(side - upper, side, y - upper, x, norm)
                    };
                    self.values.push(value);
                }
            }
            let size = norm.of(&self.values).max(f32::MIN_POSITIVE);
            self.values.iter_mut().for_each(|value| *value /= size);
        }
        &self.values
    }
}

/// A pyramid of nested rectangles over `rows` x `columns`: the sum of (k + 1)^-2 (L1: ^-4) over those around (y, x).
fn height(rows: usize, columns: usize, y: usize, x: usize, norm: Norm) -> f32 {
    let ring = y.abs_diff(rows / 2).max(x.abs_diff(columns / 2));
    let rings = (rows / 2).max(columns / 2) + 1;
    let power = if norm == Norm::L1 { 4 } else { 2 };
    (ring..rings).map(|k| 1.0 / ((k + 1) as f32).powi(power)).sum()
}
