//! The pattern that Square adds in L2 and L1: a positive half beside a negative one, each steepest in its middle
//! (Andriushchenko et al. 2020, "Square attack", section 4.3; L1: Croce & Hein 2021, "Mind the box", appendix).

use crate::attack::geometry::norm::Norm;

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
            for (rows, sign) in [(upper, 1.0), (side - upper, -1.0)] {
                let first = self.values.len();
                let places = (0..rows).flat_map(|y| (0..side).map(move |x| (y, x)));
                self.values.extend(places.map(|(y, x)| sign * height(rows, side, y, x, norm)));
                // Both halves weigh the same, also where one has a row more.
                scale_to_one(norm, &mut self.values[first..]);
            }
            scale_to_one(norm, &mut self.values);
        }
        &self.values
    }
}

fn scale_to_one(norm: Norm, values: &mut [f32]) {
    let size = norm.of(values).max(f32::MIN_POSITIVE);
    values.iter_mut().for_each(|value| *value /= size);
}

/// A pyramid of nested rectangles over `rows` x `columns`: the sum of (k + 1)^-2 (L1: ^-4) over those around (y, x).
fn height(rows: usize, columns: usize, y: usize, x: usize, norm: Norm) -> f32 {
    let ring = y.abs_diff(rows / 2).max(x.abs_diff(columns / 2));
    let rings = (rows / 2).max(columns / 2) + 1;
    let power = if norm == Norm::L1 { 4 } else { 2 };
    (ring..rings).map(|k| 1.0 / ((k + 1) as f32).powi(power)).sum()
}
