//! Measures the running statistics again.

use super::{Mode, Network};
use crate::autodiff::Tape;
use crate::data::Dataset;
use crate::simd::random::Key;
use crate::tensor::Context;
use crate::{Error, Result};

/// Replaces a network's running statistics by the mean of the statistics of all batches: one pass over the data in
/// order, a last and smaller batch left out. (A random network draws from the key of seed 0 and of each image.)
///
/// # Errors
/// If the images do not have the network's shape, or do not fill one batch.
pub fn recalibrate<N: Network + ?Sized>(
    context: &Context,
    network: &mut N,
    data: &Dataset,
    batch_size: usize,
) -> Result<()> {
    if batch_size < 2 || data.len() < batch_size {
        let problem =
            format!("{} images do not fill one batch of {batch_size} (at least 2)", data.len());
        return Err(Error::argument("recalibrate", problem));
    }
    let noise = Key::new(0).named("recalibrate");
    let mut tape = Tape::new(context.clone());
    let mut weights = Vec::new();
    let indices: Vec<usize> = (0..data.len()).collect();
    for (batch, indices) in indices.chunks_exact(batch_size).enumerate() {
        let mut images = tape.tensor(network.input_shape(), indices.len(), 1);
        data.gather(context, indices, &mut images)?;
        tape.set_noise(indices.iter().map(|&i| noise.with(i as u64)));
        let x = tape.constant(images);
        network.parameters().record(&mut tape, &mut weights)?;
        network.forward(&mut tape, x, &weights, Mode::Train)?;
        // A momentum of 1 / batches so far makes the running statistics their plain mean.
        network.move_statistics(&tape, 1.0 / (batch + 1) as f32);
        tape.reset();
    }
    Ok(())
}
