//! Spiking neurons and traces of spikes, one time step at a time: plasticity by spike timing looks at every step.

use super::lif::Dynamics;
use crate::simd::{Isa, Lanes, Simd, array, dispatch};

/// One step of a block's neurons (see [`super::lif`] for the update): `x` is their input; `membrane` and `current` (the
/// synaptic one) are the state before and after; `spikes` gets 1 or 0, in dead lanes 0.
pub fn spike(
    isa: Isa,
    dynamics: &Dynamics,
    live: usize,
    x: &[Lanes],
    membrane: &mut [Lanes],
    current: &mut [Lanes],
    spikes: &mut [Lanes],
) {
    let d = dynamics;
    let limit = if d.inclusive { d.threshold.next_down() } else { d.threshold };
    dispatch!(isa, s => {
        let constants = [d.synapse, d.decay, d.gain, d.offset, limit, d.keep, d.reset];
        let [synapse, decay, gain, offset, limit, keep, reset] =
            array::map(constants, #[inline(always)] |x| s.splat(x));
        let one = s.keep_first(s.splat(1.0), live);
        let state = membrane.iter_mut().zip(current);
        for ((x, spikes), (v, i)) in x.iter().zip(spikes).zip(state) {
            let drive = s.mul_add(synapse, s.load(i), s.load(x));
            s.store(drive, i);
            let u = s.mul_add(decay, s.load(v), s.mul_add(gain, drive, offset));
            let spike = s.gt(u, limit);
            s.store(s.select(spike, s.mul_add(u, keep, reset), u), v);
            s.store(s.select(spike, one, s.zero()), spikes);
        }
    });
}

/// One step of exponential traces, `trace <- keep trace + spikes`; `out` gets a copy of them.
pub fn follow(isa: Isa, keep: f32, spikes: &[Lanes], trace: &mut [Lanes], out: &mut [Lanes]) {
    dispatch!(isa, s => {
        let keep = s.splat(keep);
        for ((spikes, trace), out) in spikes.iter().zip(trace).zip(out) {
            let new = s.mul_add(keep, s.load(trace), s.load(spikes));
            s.store(new, trace);
            s.store(new, out);
        }
    });
}
