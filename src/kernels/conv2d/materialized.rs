//! The general way: write the im2col matrix out and multiply, one sample at a time in the usual C x H x W layout
//! ([`Algorithm::Im2col`](super::Algorithm::Im2col)).

use super::Geometry;

/// A convolution by materialized im2col and `matrixmultiply::sgemm`.
#[derive(Debug)]
pub struct Materialized<'a> {
    geometry: Geometry,
    /// One row a tap `[in][ky][kx]`, one column an output pixel; one group.
    columns: &'a mut [f32],
}

impl<'a> Materialized<'a> {
    /// A convolution that writes its matrix to `columns`: [`room`](Self::room) of it.
    pub fn new(geometry: Geometry, columns: &'a mut [f32]) -> Self {
        Self { geometry, columns: &mut columns[..Self::room(&geometry)] }
    }

    /// Numbers in the im2col matrix.
    pub fn room(geometry: &Geometry) -> usize {
        geometry.fan_in() * geometry.output.pixels()
    }

    /// The im2col matrix of one group of one sample: `fan_in` rows, one column an output pixel.
    pub fn im2col(&mut self, x: &[f32], group: usize) -> &[f32] {
        let g = &self.geometry;
        let inputs = g.in_channels() * g.input.pixels();
        let x = &x[group * inputs..][..inputs];
        let mut rows = self.columns.chunks_mut(g.output.pixels());
        for plane in x.chunks(g.input.pixels()) {
            for ky in 0..g.kernel[0] {
                for kx in 0..g.kernel[1] {
                    let Some(row) = rows.next() else { return self.columns };
                    for (y, out) in row.chunks_mut(g.output.width).enumerate() {
                        let from = &plane[(y * g.stride[0] + ky) * g.input.width + kx..];
                        for (out, value) in out.iter_mut().zip(from.iter().step_by(g.stride[1])) {
                            *out = *value;
                        }
                    }
                }
            }
        }
        self.columns
    }

    /// Convolves one sample: `x` is `[channel][y][x]` with border, `weight` `[out][in][ky][kx]`.
    pub fn forward(&mut self, x: &[f32], weight: &[f32], out: &mut [f32]) {
        let g = self.geometry;
        let (taps, pixels, channels) = (g.fan_in(), g.output.pixels(), g.out_channels());
        for group in 0..g.groups {
            let weight = &weight[group * channels * taps..][..channels * taps];
            let out = &mut out[group * channels * pixels..][..channels * pixels];
            let columns = self.im2col(x, group);
            multiply([channels, taps, pixels], (weight, taps, 1), (columns, pixels, 1), 0.0, out);
        }
    }

    /// Adds one sample's gradient to the weights: `grad` is `[channel][y][x]` of the output.
    pub fn add_weight_grad(&mut self, x: &[f32], grad: &[f32], out: &mut [f32]) {
        let g = self.geometry;
        let (taps, pixels, channels) = (g.fan_in(), g.output.pixels(), g.out_channels());
        for group in 0..g.groups {
            let grad = &grad[group * channels * pixels..][..channels * pixels];
            let out = &mut out[group * channels * taps..][..channels * taps];
            let columns = self.im2col(x, group);
            multiply([channels, pixels, taps], (grad, pixels, 1), (columns, 1, pixels), 1.0, out);
        }
    }

    /// One sample's gradient to the input (col2im of the gradient's matrix), border included.
    pub fn input_grad(&mut self, grad: &[f32], weight: &[f32], out: &mut [f32]) {
        let g = self.geometry;
        let (taps, pixels, channels) = (g.fan_in(), g.output.pixels(), g.out_channels());
        let inputs = g.in_channels() * g.input.pixels();
        out.fill(0.0);
        for group in 0..g.groups {
            let weight = &weight[group * channels * taps..][..channels * taps];
            let grad = &grad[group * channels * pixels..][..channels * pixels];
            let columns = &mut *self.columns;
            multiply([taps, channels, pixels], (weight, 1, taps), (grad, pixels, 1), 0.0, columns);
            let out = &mut out[group * inputs..][..inputs];
            let mut rows = columns.chunks(pixels);
            for plane in out.chunks_mut(g.input.pixels()) {
                for ky in 0..g.kernel[0] {
                    for kx in 0..g.kernel[1] {
                        let Some(row) = rows.next() else { return };
                        for (y, row) in row.chunks(g.output.width).enumerate() {
                            let to = &mut plane[(y * g.stride[0] + ky) * g.input.width + kx..];
                            for (to, value) in to.iter_mut().step_by(g.stride[1]).zip(row) {
                                *to += value;
                            }
                        }
                    }
                }
            }
        }
    }
}

/// `out = a b + beta out` for a of m x k and b of k x n, each given with its strides of rows and columns; `out` dense.
#[allow(unsafe_code)]
fn multiply(
    [m, k, n]: [usize; 3],
    (a, a_row, a_column): (&[f32], usize, usize),
    (b, b_row, b_column): (&[f32], usize, usize),
    beta: f32,
    out: &mut [f32],
) {
    assert!(m * k * n > 0 && out.len() >= m * n);
    assert!(a.len() > (m - 1) * a_row + (k - 1) * a_column);
    assert!(b.len() > (k - 1) * b_row + (n - 1) * b_column);
    let strides = [a_row, a_column, b_row, b_column].map(|s| s as isize);
    // SAFETY: the assertions above bound every element that the three strided matrices reach; `out` is borrowed mutably
    // and dense, so it aliases neither operand and no two of its elements are the same.
    unsafe {
        matrixmultiply::sgemm(
            m,
            k,
            n,
            1.0,
            a.as_ptr(),
            strides[0],
            strides[1],
            b.as_ptr(),
            strides[2],
            strides[3],
            beta,
            out.as_mut_ptr(),
            n as isize,
            1,
        );
    }
}
