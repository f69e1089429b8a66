"""Whether a model's gradient is surely wrong, by finite differences along it.

A gradient need not be that of the logits: a surrogate, such as that of a spiking neuron or a straight-through estimator, is another one
on purpose. It still leads uphill more often than not, by an amount that differs from image to image. What leads downhill almost
everywhere, or is too long by the same factor everywhere, is a mistake.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ._answers import Forward

# Images that are tried, at most, and of how many a slope has to be seen.
IMAGES, _FEWEST = 32, 16

# How far an image is moved, in L2: far beyond what float32 rounds, and too little to cross many kinks; and so far that logits which are
# steps and have no slope, as those of spikes, climb some.
_STEPS = 0.01, 1.0

# The share of images where a gradient leads downhill that is no chance.
_DOWNHILL = 0.95

# By how much slopes may differ that are one factor, the share that has to (at a kink one may be any), and what factors are mistakes.
_ALIKE, _MOST, _FACTOR = 0.05, 0.75, 3.0


def wrong_gradient(forward: Forward, images: NDArray[np.float32]) -> str:
    """What is surely wrong with the gradient of random sums of the logits; nothing, if it may be right.

    Gradients of zero, and those that are not finite, are not looked at here."""
    rng = np.random.default_rng(4)
    shown = (0.05 + 0.85 * images + 0.05 * rng.random(images.shape)).astype(np.float32)
    logits, pullback = forward(shown.copy(), True)
    if pullback is None:
        return ""
    # The sum of all logits has no part in a decision, and logits may have lost it (float64 is taken as differences).
    weights = rng.standard_normal(logits.shape)
    weights = (weights - weights.mean(1, keepdims=True)).astype(np.float32)
    gradients = np.nan_to_num(pullback(weights).astype(np.float64), posinf=0, neginf=0)

    def slopes(step: float) -> NDArray[np.float64]:
        """How far the weighted sum rises along the gradient, as a share of what that says; not of images where it does not."""
        lengths = np.sqrt(np.square(gradients).sum((1, 2, 3)))
        ahead = step * gradients / np.where(lengths, lengths, 1)[:, None, None, None]
        sums = [(forward(np.clip(shown + way, 0, 1).astype(np.float32), False)[0] * weights.astype(np.float64)).sum(1) for way in (ahead, -ahead)]
        with np.errstate(all="ignore"):
            found = (sums[0] - sums[1]) / (2 * step * lengths)
        return np.asarray(found[np.isfinite(found) & (found != 0)])

    near, far = (slopes(step) for step in _STEPS)
    downhill, farther = _downhill(near), _downhill(far)
    factor = _one_factor(near)
    if downhill >= _DOWNHILL or farther >= _DOWNHILL and downhill >= 0.5 or factor < 0:
        return (
            "gradient: it points the wrong way: along it the weighted sum of the logits falls, at "
            f"{max(downhill, farther):.0%} of the images that were tried, so that attacks lead away from what fools; give the gradient of the "
            "sum of weights * logits(images), with its sign"
        )
    if 1 / _FACTOR <= factor <= _FACTOR:
        return ""
    return (
        f"gradient: it is {1 / factor:.3g} times that of the logits, by finite differences at the images that were tried: attacks that use "
        "its length (fab, deepfool, cw) fail; give the gradient of the sum of weights * logits(images), with respect to pixels from 0 to 1"
    )


def _downhill(slopes: NDArray[np.float64]) -> float:
    """The share of slopes that go down; a half, where too few are seen to tell."""
    return float((slopes < 0).mean()) if len(slopes) >= _FEWEST else 0.5


def _one_factor(slopes: NDArray[np.float64]) -> float:
    """The factor that most slopes have; 1, where they have none in common, or too few are seen to tell."""
    if len(slopes) < _FEWEST:
        return 1.0
    factor = float(np.median(slopes))
    return factor if np.isclose(slopes, factor, rtol=_ALIKE).mean() >= _MOST else 1.0
