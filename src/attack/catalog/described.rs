//! Options that several attacks have: key, default, meaning.

/// Key, default, meaning.
pub type Described = (&'static str, &'static str, &'static str);

pub const LOSS: Described = (
    "loss",
    "ce",
    "what is maximized: ce, ce-scaled, ce-f32, dlr, margin, targeted-ce, targeted-dlr, difference",
);
pub const CROSS_ENTROPY: Described = (
    "loss",
    "ce",
    "ce; ce-scaled: of logits divided by their spread; ce-f32: as PyTorch computes it in f32, as used for the published sets",
);
pub const RETURN: Described = (
    "return",
    "first",
    "first: stop at the first success; last: the last point of all samples, to show to other models",
);
pub const LATEST: Described = (
    "return",
    "first",
    "first: stop at the first success; latest: the last success of a run, to show to other models",
);
pub const STEPS: Described = ("steps", "40", "steps of a run");
pub const STEP: Described = (
    "step",
    "2.5 eps / steps",
    "size of a step, e.g. 2/255, or with a trailing `eps` in radii: 0.2eps",
);
pub const RESTARTS: Described = ("restarts", "1", "independent runs");
pub const START: Described = (
    "start",
    "random",
    "random: a point of the ball; clean: the image; in linf gray: the corner nearest to gray, for networks that \
     threshold pixels; corner: a random one; in l2 radial: at a distance that is uniform from 0 to eps",
);
pub const DRAWS: Described =
    ("draws", "1", "random draws averaged per evaluation, for models that draw random numbers");
pub const TARGET: Described =
    ("target", "none", "target class: only a prediction of this class counts as success");
pub const GRADIENT: Described = (
    "gradient",
    "own",
    "of spikes: own, triangle:W, rectangle:A, exponential:A, arctan:A, straight-through and other surrogates of settings, bptr, rga, \
     relu, hart:W, pdsg or assg:A (docs/attacks.md)",
);
pub const POOL: Described = (
    "pool",
    "largest",
    "who gets the gradient of a pooling window without a spike: first, largest or all (of a spiking network)",
);
pub const TIME: Described = (
    "time",
    "1",
    "take gradients from the network run for this multiple of its time steps (of a spiking network)",
);
pub const JITTER: Described = (
    "jitter",
    "none",
    "average gradients over points at most this far away per pixel, e.g. 0.25eps; draws is their number (8)",
);
pub const BOUNDED: Described = ("bounded", "no", "yes: only what lies within eps counts");

/// The options of attacks that follow gradients.
pub const GUIDED: &[Described] = &[TARGET, GRADIENT, POOL, TIME, DRAWS];
/// The options of attacks that do not.
pub const BLIND: &[Described] = &[TARGET, DRAWS];
