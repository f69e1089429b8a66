//! A few neurons that advance together, and where in a block they and their spikes are.

use super::{Dynamics, SilentWindow};
use crate::simd::{Lanes, Simd, array};
use crate::tensor::Shape;

/// Neurons advanced together: four chains of dependent multiply-adds, and the four pixels of a pooling window.
pub(super) const TOGETHER: usize = 4;

/// The dynamics as vectors.
pub(super) struct LifCoefficients<S: Simd> {
    pub synapse: S::F32,
    pub decay: S::F32,
    pub gain: S::F32,
    pub offset: S::F32,
    pub initial: S::F32,
    /// What a membrane must exceed.
    pub limit: S::F32,
    pub threshold: S::F32,
    pub keep: S::F32,
    pub reset: S::F32,
}

/// Membranes and synaptic currents of `N` neurons.
pub(super) struct GroupState<S: Simd, const N: usize> {
    v: [S::F32; N],
    /// The synaptic currents.
    pub i: [S::F32; N],
}

impl<S: Simd> LifCoefficients<S> {
    #[inline(always)]
    pub fn new(s: S, d: &Dynamics) -> Self {
        let limit = if d.inclusive { d.threshold.next_down() } else { d.threshold };
        Self {
            synapse: s.splat(d.synapse),
            decay: s.splat(d.decay),
            gain: s.splat(d.gain),
            offset: s.splat(d.offset),
            initial: s.splat(d.initial),
            limit: s.splat(limit),
            threshold: s.splat(d.threshold),
            keep: s.splat(d.keep),
            reset: s.splat(d.reset),
        }
    }

    #[inline(always)]
    pub fn start<const N: usize>(&self, s: S) -> GroupState<S, N> {
        GroupState { v: [self.initial; N], i: [s.zero(); N] }
    }

    /// One step of `N` neurons: their membranes before the reset, and who spiked.
    #[inline(always)]
    pub fn advance<const SYNAPSE: bool, const N: usize>(
        &self,
        s: S,
        x: [S::F32; N],
        state: &mut GroupState<S, N>,
    ) -> ([S::F32; N], [S::Mask; N]) {
        let mut u = x;
        let mut spike = [s.mask_from_bits(0); N];
        for k in 0..N {
            let current = if SYNAPSE {
                state.i[k] = s.mul_add(self.synapse, state.i[k], x[k]);
                state.i[k]
            } else {
                x[k]
            };
            let drive = s.mul_add(self.gain, current, self.offset);
            u[k] = s.mul_add(self.decay, state.v[k], drive);
            spike[k] = s.gt(u[k], self.limit);
            let after = s.mul_add(u[k], self.keep, self.reset);
            state.v[k] = s.select(spike[k], after, u[k]);
        }
        (u, spike)
    }
}

/// `N` neurons of a layer and how their spikes are written.
pub(super) trait Group<const N: usize>: Copy {
    /// Their places in a step of the input.
    fn at(self) -> [usize; N];

    /// Writes their spikes into a step of the output.
    fn write<S: Simd>(self, s: S, one: S::F32, spikes: [S::Mask; N], out: &mut [Lanes]);

    /// The gradients of their spikes, from a step of the output's gradient. `saved` are their membranes.
    fn read<S: Simd>(self, s: S, limit: S::F32, saved: &[Lanes], grad: &[Lanes]) -> [S::F32; N];
}

/// Neurons that follow one another, each with a spike of its own.
#[derive(Clone, Copy)]
pub(super) struct Neighbors {
    pub first: usize,
}

impl<const N: usize> Group<N> for Neighbors {
    #[inline(always)]
    fn at(self) -> [usize; N] {
        array::from_fn(
            #[inline(always)]
            |k| self.first + k,
        )
    }

    #[inline(always)]
    fn write<S: Simd>(self, s: S, one: S::F32, spikes: [S::Mask; N], out: &mut [Lanes]) {
        let out = &mut out[self.first..][..N];
        for k in 0..N {
            s.store(s.select(spikes[k], one, s.zero()), &mut out[k]);
        }
    }

    #[inline(always)]
    fn read<S: Simd>(self, s: S, _limit: S::F32, _saved: &[Lanes], grad: &[Lanes]) -> [S::F32; N] {
        load(s, grad, self.at())
    }
}

/// A 2 x 2 window, whose spike is that of any of the four.
#[derive(Clone, Copy)]
pub(super) struct SpikeWindow {
    cell: usize,
    corners: [usize; TOGETHER],
    silent: SilentWindow,
}

impl SpikeWindow {
    /// The window of a pooled cell of a layer with this shape.
    #[inline(always)]
    pub fn new(shape: Shape, cell: usize, silent: SilentWindow) -> Self {
        let half = shape.width / 2;
        // Rows of all channels follow one another, and a channel has an even number of them.
        let first = cell / half * 2 * shape.width + cell % half * 2;
        let corners = [first, first + 1, first + shape.width, first + shape.width + 1];
        Self { cell, corners, silent }
    }
}

impl Group<TOGETHER> for SpikeWindow {
    #[inline(always)]
    fn at(self) -> [usize; TOGETHER] {
        self.corners
    }

    #[inline(always)]
    fn write<S: Simd>(self, s: S, one: S::F32, spike: [S::Mask; TOGETHER], out: &mut [Lanes]) {
        let any = s.mask_or(s.mask_or(spike[0], spike[1]), s.mask_or(spike[2], spike[3]));
        s.store(s.select(any, one, s.zero()), &mut out[self.cell]);
    }

    /// To the first that spiked; where none did, as [`SilentWindow`] says.
    #[inline(always)]
    fn read<S: Simd>(
        self,
        s: S,
        limit: S::F32,
        saved: &[Lanes],
        grad: &[Lanes],
    ) -> [S::F32; TOGETHER] {
        let u = load(
            s,
            saved,
            array::from_fn::<_, TOGETHER>(
                #[inline(always)]
                |k| k,
            ),
        );
        let mut rest = s.load(&grad[self.cell]);
        let mut grads = [s.zero(); TOGETHER];
        let mut any = s.mask_from_bits(0);
        for k in 0..TOGETHER {
            let spiked = s.gt(u[k], limit);
            grads[k] = s.select(spiked, rest, s.zero());
            rest = s.select(spiked, s.zero(), rest);
            any = s.mask_or(any, spiked);
        }
        // What is left of the gradient is that of silent windows.
        match self.silent {
            SilentWindow::First => grads[0] = s.select(any, grads[0], rest),
            SilentWindow::Largest => {
                let top = s.max(s.max(u[0], u[1]), s.max(u[2], u[3]));
                for k in 0..TOGETHER {
                    let smaller = s.mask_or(any, s.gt(top, u[k]));
                    grads[k] = s.select(smaller, grads[k], rest);
                    rest = s.select(smaller, rest, s.zero());
                }
            }
            SilentWindow::All => {
                for grad in &mut grads {
                    *grad = s.select(any, *grad, rest);
                }
            }
        }
        grads
    }
}

#[inline(always)]
pub(super) fn load<S: Simd, const N: usize>(s: S, x: &[Lanes], at: [usize; N]) -> [S::F32; N] {
    let mut values = [s.zero(); N];
    for k in 0..N {
        values[k] = s.load(&x[at[k]]);
    }
    values
}

/// Calls `$run` with the groups of a layer without pooling: fours, then what is left one by one.
macro_rules! for_neighbors {
    ($features:expr, $run:ident::<$($generic:tt),*>($($argument:expr),*)) => {
        let whole = $features / TOGETHER * TOGETHER;
        for first in (0..whole).step_by(TOGETHER) {
            $run::<$($generic,)* TOGETHER>($($argument,)* Neighbors { first });
        }
        for first in whole..$features {
            $run::<$($generic,)* 1>($($argument,)* Neighbors { first });
        }
    };
}
pub(super) use for_neighbors;
