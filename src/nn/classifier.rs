//! The view of a model that evaluation and attacks get: logits, and gradients of functions of the logits with respect to
//! the pixels.

use super::{DRAWS, FrozenNetwork, PartialForward};
use crate::autodiff::{Tape, Var};
use crate::kernels::lif::Estimate;
use crate::simd::random::Key;
use crate::simd::{LANES, Lanes};
use crate::tensor::{Context, Region, Shape};
use crate::{Error, Result};

/// A model that can be evaluated and attacked. It is in evaluation mode and does not change: nothing here can reach its
/// parameters.
///
/// A model that runs on the tape implements [`FrozenNetwork`] too, and its [`session`](Self::session) is
/// [`tape_session`]; any other model brings a [`Session`] of its own.
pub trait Classifier: Sync {
    /// The shape of one image, pixels in 0..=1.
    fn input_shape(&self) -> Shape;

    /// The number of classes, at least two.
    fn classes(&self) -> usize;

    /// Bytes that its layers' values take for one sample, at least; 0: not known.
    fn sample_bytes(&self) -> usize {
        0
    }

    /// Whether its logits depend on random draws.
    fn is_random(&self) -> bool {
        false
    }

    /// Whether all that it draws comes from the [keys](Session::logits) that it is given. Else it draws on its own, and no answer
    /// can be had twice.
    fn draws_by_key(&self) -> bool {
        true
    }

    /// Whether its answers to the same image may change between calls, as those of a user's own model that counts its calls or
    /// keeps a state. It is then asked again at the end of an attack.
    fn may_change(&self) -> bool {
        false
    }

    /// Whether there are spikes in it, whose gradients an attack may estimate in its own way
    /// ([`Session::gradient_by`]).
    fn is_spiking(&self) -> bool {
        false
    }

    /// Whether its gradients are estimates on purpose, such as the surrogate gradients of spikes, and no derivatives.
    fn estimates_gradients(&self) -> bool {
        self.is_spiking()
    }

    /// Whether there are 2 x 2 windows over spikes, of which a silent one may send its gradient anywhere.
    fn pools_spikes(&self) -> bool {
        false
    }

    /// The network behind it, if it is one of this crate, for callers that need its layers.
    fn as_network(&self) -> Option<&dyn FrozenNetwork> {
        None
    }

    /// The network of rectifiers with the same weights, if this is a spiking network that has one: images that fool it
    /// may fool both.
    fn rectified(&self) -> Option<&dyn FrozenNetwork> {
        None
    }

    /// Evaluations whose mean logits decide about an image: 1 unless it is random, else [`DRAWS`]. An attack on a random
    /// model goes on after an image that seems to fool it, and returns the one whose margin was the lowest; these
    /// draws, which it never saw, then decide.
    fn draws(&self) -> usize {
        if self.is_random() { DRAWS } else { 1 }
    }

    /// Announces how many blocks of work are about to begin, each in a session that is new or idle: a model that answers several
    /// sessions at once then knows whether to wait for more.
    fn announce(&self, _blocks: usize) {}

    /// What one worker evaluates with; `context` is serial and the worker's own.
    fn session(&self, context: Context) -> Box<dyn Session + '_>;
}

/// One worker's evaluations: sixteen images at a time, each in a lane of its own. What one lane gets must not depend
/// on the others. Lanes in which there is no sample hold zeros; their results are not looked at.
pub trait Session: Send {
    /// Which lanes (bit i: lane i) hold a sample from now on, until it is said again; all of them, as long as it was not. A
    /// model to which every image costs something need not look at the others. None: a block of work is
    /// over, and the session is idle until the next one that is [announced](Classifier::announce).
    fn occupy(&mut self, _lanes: u16) {}

    /// The logits `[class]` of sixteen images `[channel][y][x]`. With `differentiable`, [`gradient`](Self::gradient)
    /// may be asked for afterwards, any number of times; without, only the forward path has to be computed.
    ///
    /// A randomized model draws the noise of lane i from `noise[i]` and nothing else; equal keys give equal logits.
    ///
    /// # Errors
    /// If the model cannot be evaluated. Logits that are not finite are no error: those samples end as invalid.
    fn logits(
        &mut self,
        images: &[Lanes],
        noise: &[Key; LANES],
        differentiable: bool,
        out: &mut [Lanes],
    ) -> Result<()>;

    /// For the images of the last call of [`logits`](Self::logits), the gradient `[channel][y][x]` of
    /// `sum_i weight_i logit_i` with respect to the pixels, weights `[class]` per lane: by the chain rule, of any
    /// function of the logits.
    ///
    /// # Errors
    /// If the last evaluation was not `differentiable`.
    fn gradient(&mut self, weight: &[Lanes], out: &mut [Lanes]) -> Result<()>;

    /// [`gradient`](Self::gradient) with the gradients of spikes estimated as asked. A model without spikes has nothing to
    /// estimate.
    ///
    /// # Errors
    /// As those of [`gradient`](Self::gradient).
    fn gradient_by(
        &mut self,
        _estimate: &Estimate,
        weight: &[Lanes],
        out: &mut [Lanes],
    ) -> Result<()> {
        self.gradient(weight, out)
    }

    /// How it evaluates images again of which little has changed, if that costs it less than all of an evaluation. Not
    /// asked of a random model.
    fn changes(&mut self) -> Option<&mut dyn Changes> {
        None
    }
}

/// Incremental evaluation for attacks such as Square, which perturb a small window of the last accepted image.
pub trait Changes {
    /// The logits of sixteen images, bit for bit those of [`Session::logits`]. Outside of `changed` an image is what it
    /// was: for the lanes of `kept`, at the call before this one; for the others, at the last call whose image was kept.
    /// An image that is new changes everywhere, as all do at the first call.
    ///
    /// # Errors
    /// If the model cannot be evaluated.
    fn logits(
        &mut self,
        images: &[Lanes],
        changed: &Region,
        kept: u16,
        out: &mut [Lanes],
    ) -> Result<()>;
}

/// The session of a network that runs on the tape.
pub fn tape_session(network: &dyn FrozenNetwork, context: Context) -> Box<dyn Session + '_> {
    let tape = Tape::new(context);
    Box::new(OnTape { network, tape, stretched: None, recorded: None, incremental: None })
}

/// A network recorded on the worker's tape.
struct OnTape<'a> {
    network: &'a dyn FrozenNetwork,
    tape: Tape,
    /// The network over a multiple of its time steps, whose gradient was last asked for.
    stretched: Option<(usize, Box<dyn FrozenNetwork + Send + 'a>)>,
    /// The last differentiable evaluation.
    recorded: Option<Recorded>,
    /// Made when it is first asked for: most attacks change everything at once.
    incremental: Option<PartialForward<'a>>,
}

/// What is on the tape.
#[derive(Clone, Copy)]
struct Recorded {
    x: Var,
    logits: Var,
    noise: [Key; LANES],
    /// How many times as many steps as the network's own were recorded.
    stretch: usize,
}

impl OnTape<'_> {
    /// Records the images, over a multiple of the network's time steps.
    fn record(
        &mut self,
        images: &[Lanes],
        noise: &[Key; LANES],
        differentiable: bool,
        stretch: usize,
    ) -> Result<Recorded> {
        let tape = &mut self.tape;
        tape.reset();
        tape.set_noise(noise.iter().copied());
        self.recorded = None;
        let network: &dyn FrozenNetwork = match &self.stretched {
            Some((factor, network)) if *factor == stretch => network.as_ref(),
            _ => self.network,
        };
        let mut x = tape.tensor(network.input_shape(), LANES, 1);
        x.lanes_mut().copy_from_slice(images);
        let x = if differentiable { tape.input(x) } else { tape.constant(x) };
        let logits = network.logits(tape, x)?;
        let recorded = Recorded { x, logits, noise: *noise, stretch };
        self.recorded = differentiable.then_some(recorded);
        Ok(recorded)
    }

    /// Records the images of the last evaluation again, over another number of steps.
    fn stretch(&mut self, last: Recorded, factor: usize) -> Result<Recorded> {
        if factor > 1 && self.stretched.as_ref().is_none_or(|(known, _)| *known != factor) {
            let longer = self.network.stretched(factor).ok_or_else(|| {
                let problem = format!("time={factor}: the network has no time steps to multiply");
                Error::argument("classifier", problem)
            })?;
            self.stretched = Some((factor, longer));
        }
        let images = self.tape.value(last.x).lanes().to_vec();
        self.record(&images, &last.noise, true, factor)
    }
}

impl Changes for PartialForward<'_> {
    fn logits(
        &mut self,
        images: &[Lanes],
        changed: &Region,
        kept: u16,
        out: &mut [Lanes],
    ) -> Result<()> {
        self.evaluate(images, changed, kept, out);
        Ok(())
    }
}

impl Session for OnTape<'_> {
    fn logits(
        &mut self,
        images: &[Lanes],
        noise: &[Key; LANES],
        differentiable: bool,
        out: &mut [Lanes],
    ) -> Result<()> {
        let recorded = self.record(images, noise, differentiable, 1)?;
        let value = self.tape.value(recorded.logits).lanes();
        if value.len() != out.len() {
            self.recorded = None;
            return Err(Error::shape(
                "classifier",
                format!("{} logits a sample, as the network declares", out.len()),
                format!("{}", value.len()),
            ));
        }
        out.copy_from_slice(value);
        Ok(())
    }

    fn gradient(&mut self, weight: &[Lanes], out: &mut [Lanes]) -> Result<()> {
        self.gradient_by(&Estimate::default(), weight, out)
    }

    fn gradient_by(
        &mut self,
        estimate: &Estimate,
        weight: &[Lanes],
        out: &mut [Lanes],
    ) -> Result<()> {
        let mut recorded = self.recorded.ok_or_else(|| {
            Error::argument("classifier", "gradient asked for after a forward pass without one")
        })?;
        if recorded.stretch != estimate.estimator.stretch {
            recorded = self.stretch(recorded, estimate.estimator.stretch)?;
        }
        let Recorded { x, logits, .. } = recorded;
        let shape = self.tape.value(logits).shape();
        let mut seed = self.tape.tensor(shape, LANES, 1);
        seed.lanes_mut().copy_from_slice(weight);
        self.tape.set_estimate(*estimate);
        self.tape.backward_from(logits, seed)?;
        match self.tape.take_gradient(x) {
            Some(grad) => {
                out.copy_from_slice(grad.lanes());
                self.tape.recycle(grad);
            }
            // The logits do not depend on the pixels.
            None => out.fill(Lanes::ZERO),
        }
        Ok(())
    }

    fn changes(&mut self) -> Option<&mut dyn Changes> {
        if self.incremental.is_none() {
            let isa = self.tape.context().isa();
            self.incremental = self.network.chain().map(|chain| PartialForward::new(&chain, isa));
        }
        self.incremental.as_mut().map(|incremental| incremental as &mut dyn Changes)
    }
}
