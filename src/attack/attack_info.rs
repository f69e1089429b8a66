//! What there is to know of an attack before it runs.

use crate::attack::geometry::norm::Norm;
use crate::attack::loss::Loss;

/// What there is to know of an attack before it runs. One that wraps another changes what it has to change and takes over
/// the rest: `AttackInfo { target: Some(3), ..inner.info() }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttackInfo {
    /// Its name.
    pub name: String,
    /// Its name in lists: with the options that distinguish it from other variants of the same attack.
    pub label: String,
    /// Its name with all options that differ from what the name alone stands for, as in `pgd:steps=20,restarts=5`.
    pub description: String,
    /// Random draws averaged per evaluation. (What the attack returns is judged by the draws that a random
    /// model wants, and by as many as these where a model does not say that it is random.)
    pub draws: usize,
    /// The norms that it exists in.
    pub norms: Vec<Norm>,
    /// Whether what it finds has to lie in the ball.
    pub bounded: bool,
    /// Whether it returns its last points even if they do not fool the model, and attacks what is misclassified already: to
    /// be shown to other models.
    pub returns_all: bool,
    /// The class that counts as success; None: any but the label. (See [`Targeted`](crate::attack::Targeted).)
    pub target: Option<usize>,
    /// Whether it follows gradients of the model. What does not sees its answers alone.
    pub needs_gradients: bool,
    /// Whether it consists of attacks of which the later ones see only what the earlier ones could not fool.
    pub is_ensemble: bool,
    /// Whether it is for spiking networks alone. (See [`Estimated`](crate::attack::Estimated).)
    pub needs_spikes: bool,
    /// Whether it sets the pooling rule for windows without a spike. Such attacks need a network with 2 x 2 windows over
    /// spikes.
    pub needs_windows: bool,
    /// Whether what it maximizes becomes another loss where logits lie close together.
    pub flattens: bool,
    /// The losses that it takes gradients of.
    pub losses: Vec<Loss>,
    /// Whether it draws random numbers itself. Else the seed makes no difference to it, unless the model draws some.
    pub random: bool,
}

impl AttackInfo {
    /// For an attack that returns what fools the model inside the ball, by logits alone, one draw at a time.
    pub fn of(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            label: name.to_owned(),
            description: name.to_owned(),
            draws: 1,
            norms: Norm::ALL.to_vec(),
            bounded: true,
            returns_all: false,
            target: None,
            needs_gradients: false,
            is_ensemble: false,
            needs_spikes: false,
            needs_windows: false,
            flattens: false,
            losses: Vec::new(),
            random: true,
        }
    }

    /// That it does not exist in this norm, and where it does.
    pub(crate) fn missing_in(&self, norm: Norm) -> String {
        let names: Vec<&str> = self.norms.iter().map(|norm| norm.name()).collect();
        format!("exists in {}, not in {norm}", names.join(", "))
    }
}
