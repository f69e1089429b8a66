//! Transposes a square matrix of sixteen vectors.

use super::{LANES, array};

/// The transposed matrix, by the interleaving of two vectors: `[a0, b0, a1, b1, ...]`, the first sixteen and the last.
///
/// An element's place is eight bits, four of its row and four of its lane. Interleaving rows that are eight apart rotates
/// those bits by one, so four rounds exchange rows and lanes.
#[inline(always)]
pub fn transpose<T: Copy>(mut rows: [T; LANES], interleave: impl Fn(T, T) -> [T; 2]) -> [T; LANES] {
    for _ in 0..4 {
        let pairs = array::from_fn::<_, { LANES / 2 }>(
            #[inline(always)]
            |i| interleave(rows[i], rows[i + LANES / 2]),
        );
        rows = array::from_fn(
            #[inline(always)]
            |i| pairs[i / 2][i % 2],
        );
    }
    rows
}

#[cfg(test)]
mod tests {
    use crate::simd::{Isa, LANES, Lanes, Simd, array, dispatch};

    #[inline(always)]
    fn transposed<S: Simd>(s: S, rows: &[Lanes; LANES]) -> [Lanes; LANES] {
        let columns = s.transpose(array::from_fn(
            #[inline(always)]
            |i| s.load(&rows[i]),
        ));
        let mut out = [Lanes::ZERO; LANES];
        for i in 0..LANES {
            s.store(columns[i], &mut out[i]);
        }
        out
    }

    #[test]
    fn rows_become_columns() {
        let number = |row: usize, lane: usize| (row * LANES + lane) as f32;
        let matrix: [Lanes; LANES] =
            std::array::from_fn(|i| Lanes(std::array::from_fn(|j| number(i, j))));
        for isa in Isa::available() {
            let out = dispatch!(isa, s => transposed(s, &matrix));
            for (i, row) in out.iter().enumerate() {
                assert_eq!(row.0, std::array::from_fn(|j| number(j, i)), "{} row {i}", isa.name());
            }
        }
    }
}
