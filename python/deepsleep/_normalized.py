"""Images that are normalized outside of the model, as the package torchattacks allows it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._arguments import brief, is_module, is_tensor, kind
from ._native import Error

# How far outside of 0..=1 a pixel may lie that was normalized and is so no longer.
_ROUNDING = 1e-5


class Normalization:
    """Means and deviations of the channels.

    Parameters
    ----------
    mean, std : sequence of float
        One a channel.
    """

    def __init__(self, mean: Any, std: Any) -> None:
        self.mean, self.std = _channels(mean, "mean"), _channels(std, "std")
        if self.mean.shape != self.std.shape:
            raise Error(f"std: {self.std.size} channels; mean has {self.mean.size}")
        if not (self.std > 0).all():
            raise Error(f"std: {brief(std)}; expected numbers above 0")

    def apply(self, images: Any) -> Any:
        """Pixels from 0 to 1 normalized."""
        mean, std = self._as(images)
        return (images - mean) / std

    def undo(self, images: Any) -> Any:
        """Normalized pixels from 0 to 1 again."""
        if getattr(images, "ndim", 0) != 4 or images.shape[1] != self.mean.size:
            shape = tuple(getattr(images, "shape", ()))
            raise Error(f"images: shape {shape}; normalization is of {self.mean.size} channels: expected n x channels x height x width")
        mean, std = self._as(images)
        pixels = images * std + mean
        if is_tensor(pixels):
            import torch

            return torch.where((pixels > -_ROUNDING) & (pixels < 1 + _ROUNDING), pixels.clip(0, 1), pixels)
        return np.where((pixels > -_ROUNDING) & (pixels < 1 + _ROUNDING), pixels.clip(0, 1), pixels)

    def before(self, model: Any) -> Any:
        """The model of pixels from 0 to 1 that this one is of normalized ones."""
        if is_module(model):
            from ._torch import Normalized

            return Normalized(self, model)
        if callable(model):
            return lambda images: model(self.apply(images))
        raise Error(
            f"normalization: the model is {kind(model)}, which takes pixels from 0 to 1; leave set_normalization_used out, and give such images"
        )

    def _as(self, images: Any) -> tuple[Any, Any]:
        """Both, as what images are."""
        if not is_tensor(images):
            dtype = getattr(images, "dtype", np.dtype(np.float32))
            return self.mean.astype(dtype), self.std.astype(dtype)
        import torch

        return torch.as_tensor(self.mean).to(images), torch.as_tensor(self.std).to(images)


def _channels(value: Any, name: str) -> NDArray[np.float64]:
    """A number a channel, as `[1, channels, 1, 1]`."""
    try:
        array = np.asarray(value.detach().cpu() if is_tensor(value) else value, np.float64)
    except (TypeError, ValueError):
        array = np.array(np.nan)
    if array.ndim != 1 or not array.size or not np.isfinite(array).all():
        raise Error(f"{name}: {brief(value)}; expected a number for each channel")
    return array.reshape(1, -1, 1, 1)
