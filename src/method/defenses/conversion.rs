//! The conversion stage, which ends every sleep.

use crate::Result;
use crate::method::{Batches, Networks, Settings, SinglePass, Stage, StageRun};
use crate::nn::recalibrate;
use crate::simd::random::Key;
use crate::snn::Statistics;
use crate::tensor::Context;

/// The network rebuilt at the end of a sleep: its running statistics as the settings say.
pub struct Conversion;

impl Stage for Conversion {
    fn name(&self) -> &'static str {
        "conversion"
    }

    fn batches(&self, settings: &Settings) -> Option<Batches> {
        let recalibrates = settings.conversion == Statistics::Recalibrate;
        recalibrates.then(|| Batches::of("fast_wave", settings.fast_wave.recipe.batch_size))
    }

    fn begin(
        &self,
        _: &Context,
        settings: &Settings,
        _: Key,
        _: &mut Networks,
    ) -> Result<Box<dyn StageRun>> {
        let (conversion, batch_size) = (settings.conversion, settings.fast_wave.recipe.batch_size);
        Ok(Box::new(SinglePass::new(move |context, data, networks, _| {
            conversion.apply(networks.model.statistics_mut());
            if conversion == Statistics::Recalibrate {
                recalibrate(context, &mut networks.model, data, batch_size)?;
            }
            Ok(())
        })))
    }
}
