//! Recycled buffers, so that the second iteration of a loop allocates nothing.

use crate::simd::Lanes;

/// A stock of buffers that were used before.
#[derive(Debug, Default)]
pub struct Buffers {
    lanes: Vec<Vec<Lanes>>,
    floats: Vec<Vec<f32>>,
}

/// The stocked buffer that fits `length` most tightly, else the largest one, else a new one.
fn take<T>(stock: &mut Vec<Vec<T>>, length: usize) -> Vec<T> {
    let fits = |capacity: usize| if capacity >= length { capacity } else { usize::MAX - capacity };
    let best = (0..stock.len()).min_by_key(|&i| fits(stock[i].capacity()));
    best.map_or_else(Vec::new, |i| stock.swap_remove(i))
}

impl Buffers {
    /// `length` lanes with unspecified (old) content.
    pub fn lanes(&mut self, length: usize) -> Vec<Lanes> {
        let mut buffer = take(&mut self.lanes, length);
        buffer.resize(length, Lanes::ZERO);
        buffer
    }

    /// `length` numbers with unspecified (old) content.
    pub fn floats(&mut self, length: usize) -> Vec<f32> {
        let mut buffer = take(&mut self.floats, length);
        buffer.resize(length, 0.0);
        buffer
    }

    /// Takes a buffer back.
    pub fn give_lanes(&mut self, buffer: Vec<Lanes>) {
        self.lanes.push(buffer);
    }

    /// Takes a buffer back.
    pub fn give_floats(&mut self, buffer: Vec<f32>) {
        self.floats.push(buffer);
    }
}
