//! An image shown smaller and somewhere else, on black; and what that means for a gradient.

use crate::tensor::Shape;

/// A linear map of images: bilinear resizing, then a shift. Its transpose takes gradients back.
pub struct Resize {
    shape: Shape,
    /// Rows and columns of the smaller image, and where it begins; None: the image as it is.
    to: Option<[(usize, usize); 2]>,
    memory: Vec<f32>,
}

/// For a place of the smaller image the two places of the larger one between which it lies, and the second's share.
fn source(at: usize, small: usize, large: usize) -> (usize, usize, f32) {
    let place = ((at as f32 + 0.5) * large as f32 / small as f32 - 0.5).max(0.0);
    let first = (place as usize).min(large - 1);
    (first, (first + 1).min(large - 1), place - first as f32)
}

impl Resize {
    pub fn new(shape: Shape) -> Self {
        Self { shape, to: None, memory: vec![0.0; shape.features()] }
    }

    /// Images are to stay as they are.
    pub fn none(&mut self) {
        self.to = None;
    }

    /// Images are to have `size` (rows, columns), and begin at `shift`.
    pub fn set(&mut self, shape: Shape, size: (usize, usize), shift: (usize, usize)) {
        self.shape = shape;
        self.to = Some([(size.0, shift.0), (size.1, shift.1)]);
    }

    /// Calls `f(from, to, weight)` for every pixel of the image that has a share in one of the result.
    fn terms(shape: Shape, to: [(usize, usize); 2], mut f: impl FnMut(usize, usize, f32)) {
        let [(rows, top), (columns, left)] = to;
        for channel in 0..shape.channels {
            let place = |y: usize, x: usize| (channel * shape.height + y) * shape.width + x;
            for y in 0..rows {
                let (y0, y1, down) = source(y, rows, shape.height);
                for x in 0..columns {
                    let (x0, x1, right) = source(x, columns, shape.width);
                    let result = place(top + y, left + x);
                    f(place(y0, x0), result, (1.0 - down) * (1.0 - right));
                    f(place(y0, x1), result, (1.0 - down) * right);
                    f(place(y1, x0), result, down * (1.0 - right));
                    f(place(y1, x1), result, down * right);
                }
            }
        }
    }

    /// Puts the result in the place of the image.
    pub fn apply(&mut self, image: &mut [f32]) {
        let Some(to) = self.to else { return };
        self.memory.fill(0.0);
        Self::terms(self.shape, to, |from, to, weight| self.memory[to] += weight * image[from]);
        image.iter_mut().zip(&self.memory).for_each(|(x, new)| *x = new.clamp(0.0, 1.0));
    }

    /// The gradient to the image, given that to the result.
    pub fn transposed<'a>(&'a mut self, gradient: &'a [f32]) -> &'a [f32] {
        let Some(to) = self.to else { return gradient };
        self.memory.fill(0.0);
        Self::terms(self.shape, to, |from, to, weight| self.memory[from] += weight * gradient[to]);
        &self.memory
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transpose_is_the_transpose() {
        let shape = Shape::new(2, 5, 7);
        let value = |i: usize| ((i * 37 + 11) % 101) as f32 / 101.0;
        let image: Vec<f32> = (0..70).map(value).collect();
        let gradient: Vec<f32> = (0..70).map(|i| value(i + 70) - 0.5).collect();
        for (size, shift) in
            [((5, 7), (0, 0)), ((4, 6), (1, 0)), ((3, 7), (0, 0)), ((1, 1), (2, 3))]
        {
            let mut resize = Resize::new(shape);
            resize.set(shape, size, shift);
            let mut shown = image.clone();
            resize.apply(&mut shown);
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
            let (there, back) = (dot(&shown, &gradient), dot(&image, resize.transposed(&gradient)));
            assert!((there - back).abs() < 1e-5, "{size:?} {there} {back}");
            if size == (5, 7) {
                assert_eq!(shown, image);
            }
        }
        let mut none = Resize::new(shape);
        assert_eq!(none.transposed(&gradient), gradient);
        none.apply(&mut image.clone());
    }
}
