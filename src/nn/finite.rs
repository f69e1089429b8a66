//! Catches non-finite numbers where they arise, before they spread.

use crate::checkpoint::StateDict;
use crate::{Error, Result};

/// Refuses named arrays that hold a number which is not finite; `place` says what was just done.
///
/// # Errors
/// If there is such a number: its array, and where in it.
pub(crate) fn check_finite<'a>(
    arrays: impl IntoIterator<Item = (&'a str, &'a [f32])>,
    place: impl FnOnce() -> String,
) -> Result<()> {
    // Without a branch a number: it runs after every training step.
    let finite = |values: &[f32]| values.iter().fold(true, |all, v| all & v.is_finite());
    let Some((name, values)) = arrays.into_iter().find(|(_, values)| !finite(values)) else {
        return Ok(());
    };
    let at = values.iter().position(|v| !v.is_finite()).unwrap_or(0);
    let problem = format!(
        "`{name}` became {} at position {at}; a smaller learning rate usually helps",
        values[at]
    );
    Err(Error::NotFinite { place: place(), problem })
}

/// [`check_finite`] of everything in a state dict.
pub(crate) fn check_finite_state(state: &StateDict, place: impl FnOnce() -> String) -> Result<()> {
    let arrays = state.names().filter_map(|name| Some((name, state.get(name)?.values.as_slice())));
    check_finite(arrays, place)
}
