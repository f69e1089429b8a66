//! Recycled buffers, so that the second iteration of a loop allocates nothing.

use crate::simd::Lanes;

/// A stock of buffers that were used before.
#[derive(Debug, Default)]
pub struct Buffers {
    lanes: Stock<Lanes>,
    floats: Stock<f32>,
}

#[derive(Debug, Default)]
struct Stock<T> {
    buffers: Vec<Vec<T>>,
    /// Buffers that were taken and not given back. No more are accepted: what came from elsewhere, such as the input
    /// that a caller made anew for each iteration, would pile up.
    lent: usize,
}

impl<T> Stock<T> {
    /// The stocked buffer that fits `length` most tightly (of equals the one last used, which is the likeliest to be in the
    /// cache), else the largest one, else a new one.
    fn take(&mut self, length: usize) -> Vec<T> {
        self.lent += 1;
        let fits =
            |capacity: usize| if capacity >= length { capacity } else { usize::MAX - capacity };
        let best = (0..self.buffers.len()).rev().min_by_key(|&i| fits(self.buffers[i].capacity()));
        best.map_or_else(Vec::new, |i| self.buffers.swap_remove(i))
    }

    fn give(&mut self, buffer: Vec<T>) {
        if self.lent > 0 {
            self.lent -= 1;
            self.buffers.push(buffer);
        }
    }
}

/// Makes a buffer at least this long, with zeros at its end; never shorter.
pub(super) fn grow(buffer: &mut Vec<Lanes>, length: usize) {
    if buffer.len() < length {
        buffer.resize(length, Lanes::ZERO);
    }
}

impl Buffers {
    /// At least `length` lanes with unspecified (old) content. (Not shortened: the next who needs all of them would have
    /// to clear the rest first.)
    pub fn lanes(&mut self, length: usize) -> Vec<Lanes> {
        let mut buffer = self.lanes.take(length);
        grow(&mut buffer, length);
        buffer
    }

    /// `length` numbers with unspecified (old) content.
    pub fn floats(&mut self, length: usize) -> Vec<f32> {
        let mut buffer = self.floats.take(length);
        buffer.resize(length, 0.0);
        buffer
    }

    /// Takes a buffer back, if one is still out.
    pub fn give_lanes(&mut self, buffer: Vec<Lanes>) {
        self.lanes.give(buffer);
    }

    /// Takes a buffer back, if one is still out.
    pub fn give_floats(&mut self, buffer: Vec<f32>) {
        self.floats.give(buffer);
    }
}
