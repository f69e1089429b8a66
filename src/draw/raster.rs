//! Spike rasters: which neuron spiked at which step.

use crate::draw::failed;
use crate::{Error, Result};
use plotters::prelude::*;

/// Pixels of a panel.
const WIDTH: u32 = 640;
const HEIGHT: u32 = 320;

/// A raster of each layer's spikes, one panel under the other: time steps to the right, neurons upwards, a dot a spike.
/// Layers are (title, `[step][neuron]`).
///
/// # Errors
/// If there is no layer, or a layer has no steps or neurons.
pub fn raster_svg(layers: &[(&str, &[Vec<bool>])]) -> Result<String> {
    let empty = |spikes: &[Vec<bool>]| spikes.first().is_none_or(Vec::is_empty);
    if layers.is_empty() || layers.iter().any(|(_, spikes)| empty(spikes)) {
        let found = format!("{} layers", layers.len());
        return Err(Error::shape("raster", "layers of at least one step and one neuron", found));
    }
    let mut svg = String::new();
    {
        let size = (WIDTH, HEIGHT * layers.len() as u32);
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        root.fill(&WHITE).map_err(failed)?;
        for (panel, (title, spikes)) in root.split_evenly((layers.len(), 1)).iter().zip(layers) {
            let neurons = spikes[0].len();
            let mut chart = ChartBuilder::on(panel)
                .caption(title, ("sans-serif", 16))
                .margin(8)
                .x_label_area_size(32)
                .y_label_area_size(48)
                .build_cartesian_2d(0..spikes.len(), 0..neurons)
                .map_err(failed)?;
            chart
                .configure_mesh()
                .disable_mesh()
                .x_desc("time step")
                .y_desc("neuron")
                .draw()
                .map_err(failed)?;
            let dots = spikes.iter().enumerate().flat_map(|(t, step)| {
                let spiked = step.iter().enumerate().filter(|(_, spiked)| **spiked);
                spiked.map(move |(neuron, _)| Circle::new((t, neuron), 1, BLACK.filled()))
            });
            chart.draw_series(dots).map_err(failed)?;
        }
        root.present().map_err(failed)?;
    }
    Ok(svg)
}
