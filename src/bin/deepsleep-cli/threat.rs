//! The options of the threat model, which `attack` and `evaluate` share.

use crate::architecture;
use crate::console::Console;
use crate::dataset::DatasetOptions;
use crate::failure::WrongUse;
use crate::model::{self, Identity, LoadedNetwork, ModelKind, saved_network};
use crate::numbers::{between, whole};
use anyhow::{Context as _, Result};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use deepsleep::attack::{AttackSpec, Norm, parse_eps};
use deepsleep::data::Dataset;
use deepsleep::evaluation::ThreatModel;
use deepsleep::nn::FrozenNetwork;
use deepsleep::tensor::Shape;
use std::path::PathBuf;

/// Who attacks, how, and how far.
#[derive(Debug, Args)]
pub struct ThreatOptions {
    /// Norm of the perturbation
    #[arg(long, value_name = "NORM", default_value_t = Norm::Linf, value_parser = norms(), ignore_case = true, requires = "eps")]
    pub norm: Norm,
    /// Network to craft the images on before showing them to --model (transfer) [default: --model itself]
    #[arg(long, value_name = "FILE|NAME", value_parser = saved_network(), requires = "attack")]
    pub source: Option<PathBuf>,
    /// Architecture of the source, like --architecture for --model
    #[arg(long, value_name = "NAME|FILE", requires = "source")]
    pub source_architecture: Option<String>,
    /// How to run the source
    #[arg(long, value_enum, default_value_t = ModelKind::Cnn, ignore_case = true, requires = "source")]
    pub source_kind: ModelKind,
    /// Seed of all random numbers, including those of a network with Poisson spikes [default: 0]
    #[arg(long, value_name = "N", value_parser = whole::<u64>)]
    pub seed: Option<u64>,
    /// Number of random draws that together decide on an image, for a network with Poisson spikes [default: 20]
    #[arg(long, value_name = "N", value_parser = between::<1, 100_000>)]
    pub draws: Option<usize>,
}

impl ThreatOptions {
    /// The files that the source is read from, with the options that name them.
    pub fn files(&self) -> Vec<(&'static str, PathBuf)> {
        let source = self.source.iter().flat_map(|path| model::files("--source", path));
        let option = "--source-architecture";
        source.chain(architecture::files(option, self.source_architecture.as_deref())).collect()
    }

    /// What the attacker knows.
    pub fn model(&self) -> ThreatModel {
        if self.source.is_some() { ThreatModel::Transfer } else { ThreatModel::WhiteBox }
    }

    /// The network of `--source`, if it was given.
    pub fn load_source(
        &self,
        images: &dyn Fn() -> Result<Shape>,
        console: Console,
    ) -> Result<Option<LoadedNetwork>> {
        let architecture = self.source_architecture.as_deref();
        let Some(path) = self.source.as_deref() else { return Ok(None) };
        let loaded = self.source_kind.load(path, architecture, images, self.draws, console)?;
        loaded.note_neurons("--source-kind", path, console);
        Ok(Some(loaded))
    }

    /// Refuses images that the source does not take.
    pub fn check_source(
        &self,
        source: Option<&dyn FrozenNetwork>,
        data: &DatasetOptions,
        images: &Dataset,
    ) -> Result<()> {
        let (Some(path), Some(source)) = (&self.source, source) else { return Ok(()) };
        let checked = data.check(images, source.input_shape(), source.classes());
        checked.with_context(|| format!("--source {}", path.display()))
    }

    /// Says so if the source is the network itself: then nothing is transferred.
    pub fn note_own(
        &self,
        source: Option<&LoadedNetwork>,
        network: &Identity,
        console: Console,
    ) -> bool {
        let own = source.is_some_and(|source| source.identity == *network);
        if own {
            console.say("note: --source is the network itself, so its images are shown to the model that made them");
        }
        own
    }

    /// The seed of all random numbers.
    pub fn seed(&self) -> u64 {
        self.seed.unwrap_or_default()
    }

    /// Where nothing is attacked: refuses `--seed` and `--draws` where none of these networks draws anything.
    pub fn check_random<'a>(
        &self,
        networks: impl IntoIterator<Item = &'a dyn FrozenNetwork> + Clone,
    ) -> Result<()> {
        self.check_draws(networks.clone())?;
        if self.seed.is_none() || networks.into_iter().any(|network| network.is_random()) {
            return Ok(());
        }
        let problem = "--seed is for attacks and for networks that draw random numbers: without an \
                       attack, this one gives the same answer whatever the seed";
        Err(WrongUse(problem.into()).into())
    }

    /// Refuses attacks that the network under attack, `attacked`, cannot have ([`check_attack`]), and a `--seed` that makes no
    /// difference. `networks` are all networks.
    pub fn check_attacks<'a>(
        &self,
        attacks: &[AttackSpec],
        attacked: &dyn FrozenNetwork,
        networks: impl IntoIterator<Item = &'a dyn FrozenNetwork>,
        console: Console,
    ) -> Result<()> {
        let randoms = networks.into_iter().filter(|network| network.is_random()).count();
        if let (Some(draws), Some(source)) = (self.draws, &self.source)
            && attacked.is_random()
            && randoms == 1
        {
            let source = source.display();
            let mut attacks = attacks.iter().map(AttackSpec::build);
            if attacks.all(|attack| attack.is_ok_and(|attack| attack.info().returns_all)) {
                let problem = format!(
                    "--draws {draws} would decide nothing: --model draws no random numbers, and all images crafted on {source} \
                     are shown to it whatever that network answers"
                );
                return Err(WrongUse(problem).into());
            }
            console.say(format_args!(
                "note: --draws {draws}: --model draws no random numbers; the draws only decide which images of {source} are \
                 attacked and passed on"
            ));
        }
        let mut random = randoms > 0;
        for spec in attacks {
            random |= spec.build()?.info().random;
            check_attack(spec, attacked, console)?;
        }
        match (self.seed, random) {
            (Some(seed), false) => {
                let problem = format!(
                    "--seed {seed} makes no difference: neither the attack nor the network draws random numbers; leave it out"
                );
                Err(WrongUse(problem).into())
            }
            _ => Ok(()),
        }
    }

    /// Refuses `--draws` where none of these networks draws anything.
    pub fn check_draws<'a>(
        &self,
        networks: impl IntoIterator<Item = &'a dyn FrozenNetwork>,
    ) -> Result<()> {
        if self.draws.is_none() || networks.into_iter().any(|network| network.is_random()) {
            return Ok(());
        }
        let problem = "--draws is for networks that draw random numbers (spiking ones with Poisson spikes): this one \
                       gives the same answer every time";
        Err(WrongUse(problem.into()).into())
    }
}

/// Refuses an attack's `draws` option for a network that draws nothing, and prints a note where draws are the attack's
/// default. Refuses more targets than there are classes.
pub fn check_attack(
    spec: &AttackSpec,
    attacked: &dyn FrozenNetwork,
    console: Console,
) -> Result<()> {
    spec.check_classes(attacked.classes())?;
    let (draws, text) = (spec.build()?.info().draws, spec.to_string());
    if draws == 1 || attacked.is_random() {
        return Ok(());
    }
    let alike = format!(
        "its {draws} draws would all be the same: the network that it attacks draws no random numbers"
    );
    if spec.option("draws").is_some() {
        return Err(WrongUse(format!("{text}: {alike}; leave draws out")).into());
    }
    console.say(format_args!("note: {text}: {alike}, and the draws only take time"));
    Ok(())
}

/// The radii of `--eps`. For 8 instead of 8/255, the error asks whether 8/255 was meant.
pub fn radii(text: &str, norm: Norm, features: usize) -> Result<Vec<f32>> {
    let of_bytes = |part: &str| part.trim().parse::<u32>().is_ok_and(|n| (2..=255).contains(&n));
    parse_eps(text, norm, features).map_err(|error| match text.split(',').find(|p| of_bytes(p)) {
        Some(part) if norm == Norm::Linf => {
            let part = part.trim();
            WrongUse(format!("{error}; pixels go from 0 to 1: did you mean {part}/255?")).into()
        }
        _ => error.into(),
    })
}

/// The radius of an `--eps` that takes one.
pub fn one_radius(text: &str, norm: Norm, features: usize) -> Result<f32> {
    match *radii(text, norm, features)? {
        [eps] => Ok(eps),
        _ => {
            let problem = "--eps: one radius at a time; `evaluate --attack` takes several";
            Err(WrongUse(problem.into()).into())
        }
    }
}

/// An attack as it was typed, in the spelling of its name: `PGD` is pgd.
pub fn attack_spec(text: &str) -> deepsleep::Result<AttackSpec> {
    text.trim().to_ascii_lowercase().parse()
}

/// Parses a norm.
pub fn norms() -> impl TypedValueParser<Value = Norm> {
    PossibleValuesParser::new(Norm::ALL.map(Norm::name)).try_map(|name| name.parse::<Norm>())
}

/// Parses a threat model.
pub fn threat_models() -> impl TypedValueParser<Value = ThreatModel> {
    PossibleValuesParser::new(ThreatModel::ALL.map(ThreatModel::name)).try_map(|name| {
        let named = |model: &ThreatModel| model.name().eq_ignore_ascii_case(&name);
        ThreatModel::ALL.into_iter().find(named).ok_or("there is no such threat model")
    })
}
