//! Random numbers that depend on nothing but their purpose.
//!
//! A [`Key`] is (seed, purpose, epoch or time, sample index), folded by SplitMix64. Every sample owns the stream of
//! its key, so its numbers change neither with its place in a batch, nor with its lane mates, nor with threads.
//! A key opens a scalar stream ([`Key::generator`]) or one lane of a [`RandomLanes`]; both give the same numbers.
//!
//! ```
//! use deepsleep::simd::random::{Key, RandomLanes};
//! use deepsleep::simd::{dispatch, Isa, Lanes, Simd};
//!
//! let epoch = Key::new(7).named("dropout").with(3);
//! let keys = std::array::from_fn(|sample| epoch.with(sample as u64));
//! let mut lanes = RandomLanes::new(&keys);
//!
//! #[inline(always)]
//! fn draw<S: Simd>(s: S, lanes: &mut RandomLanes, to: &mut [Lanes]) {
//!     let mut random = lanes.load(s); // in registers
//!     for to in to {
//!         s.store(random.uniform(s), to);
//!     }
//!     random.store(s, lanes);
//! }
//! let mut numbers = [Lanes::ZERO; 100];
//! dispatch!(Isa::detect()?, s => draw(s, &mut lanes, &mut numbers));
//! # Ok::<(), deepsleep::Error>(())
//! ```

#![forbid(unsafe_code)]

use super::{LANES, LanesU32, Simd, array};
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use rand_xoshiro::{SplitMix64, Xoshiro128PlusPlus};

/// What a stream of random numbers is for. Equal keys give equal streams; different ones, unrelated streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key(u64);

impl Key {
    /// The root of an experiment's keys.
    pub fn new(seed: u64) -> Self {
        Self(split_mix(seed))
    }

    /// The key of one epoch, time step, sample... under this one. The order matters.
    pub fn with(self, part: u64) -> Self {
        // For one key a bijection of `part`: siblings never share a stream.
        Self(split_mix(self.0 ^ part))
    }

    /// The key of a purpose under this one, e.g. `"poisson"`.
    pub fn named(self, purpose: &str) -> Self {
        let mut key = self.with(purpose.len() as u64);
        for chunk in purpose.as_bytes().chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            key = key.with(u64::from_le_bytes(word));
        }
        key
    }

    /// An order of this many things: sorted by a hash of (key, thing), so that there is no generator whose state a resumed run
    /// would need.
    pub fn order(self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        order.sort_by_cached_key(|&i| self.with(i as u64).to_u64());
        order
    }

    /// The key as a number.
    pub fn to_u64(self) -> u64 {
        self.0
    }

    /// The stream of this key: the numbers that a lane with this key draws.
    pub fn generator(self) -> Xoshiro128PlusPlus {
        Xoshiro128PlusPlus::seed_from_u64(self.0)
    }
}

/// The first number of SplitMix64 from this state: a bijection that mixes every bit into every other.
fn split_mix(state: u64) -> u64 {
    SplitMix64::seed_from_u64(state).next_u64()
}

/// The upper 24 bits as a number in `0.0..1.0`: k 2^-24, every multiple of 2^-24 equally likely. Exact, so never 1.
///
/// What [`Random::uniform`] does with its bits, for one number of a scalar stream.
pub fn uniform_from_bits(bits: u32) -> f32 {
    (bits >> 8) as f32 * UNIT
}

/// 2^-24
const UNIT: f32 = 1.0 / 16_777_216.0;

/// Sixteen xoshiro128++ generators at rest, one a lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RandomLanes {
    state: [LanesU32; 4],
}

impl RandomLanes {
    /// Lane i draws the stream of `keys[i]`.
    pub fn new(keys: &[Key; LANES]) -> Self {
        let mut lanes = Self { state: [LanesU32::ZERO; 4] };
        for (lane, &key) in keys.iter().enumerate() {
            lanes.set(lane, key);
        }
        lanes
    }

    /// Starts the stream of `key` in one lane, as when a waiting sample takes the lane of a finished one.
    ///
    /// # Panics
    /// If `lane` is not below 16.
    pub fn set(&mut self, lane: usize, key: Key) {
        // As `seed_from_u64` does. Two successive numbers of SplitMix64 are not both zero, so the state is never zero,
        // which xoshiro could not leave.
        let mut words = SplitMix64::seed_from_u64(key.0);
        for pair in self.state.as_chunks_mut::<2>().0 {
            let word = words.next_u64();
            pair[0].0[lane] = word as u32;
            pair[1].0[lane] = (word >> 32) as u32;
        }
    }

    /// The generators in registers, to draw from.
    #[inline(always)]
    pub fn load<S: Simd>(&self, s: S) -> Random<S> {
        Random {
            state: array::from_fn(
                #[inline(always)]
                |i| s.load_u32(&self.state[i]),
            ),
        }
    }
}

/// Sixteen xoshiro128++ generators in registers: lane by lane the numbers of [`Xoshiro128PlusPlus`].
#[derive(Clone, Copy)]
pub struct Random<S: Simd> {
    state: [S::U32; 4],
}

impl<S: Simd> Random<S> {
    /// Sixteen times 32 random bits.
    #[inline(always)]
    pub fn next_u32(&mut self, s: S) -> S::U32 {
        let [s0, s1, s2, s3] = self.state;
        let result = s.add_u32(s.rotate_left::<7, 25>(s.add_u32(s0, s3)), s0);
        let shifted = s.shift_left::<9>(s1);
        let s2 = s.xor_u32(s2, s0);
        let s3 = s.xor_u32(s3, s1);
        let s1 = s.xor_u32(s1, s2);
        let s0 = s.xor_u32(s0, s3);
        let s2 = s.xor_u32(s2, shifted);
        let s3 = s.rotate_left::<11, 21>(s3);
        self.state = [s0, s1, s2, s3];
        result
    }

    /// Sixteen numbers in `0.0..1.0`: [`uniform_from_bits`] of the next 32 bits.
    #[inline(always)]
    pub fn uniform(&mut self, s: S) -> S::F32 {
        let upper = s.shift_right::<8>(self.next_u32(s));
        s.mul(s.i32_to_f32(upper), s.splat(UNIT))
    }

    /// Puts the generators back to rest.
    #[inline(always)]
    pub fn store(self, s: S, to: &mut RandomLanes) {
        for i in 0..self.state.len() {
            s.store_u32(self.state[i], &mut to.state[i]);
        }
    }
}
