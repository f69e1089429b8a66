"""Whether a model's gradient is surely wrong, by finite differences along it.

A gradient need not be that of the logits: a surrogate, such as that of a spiking neuron or a straight-through estimator, is another one
on purpose. It still leads uphill more often than not, by an amount that differs from image to image. What leads downhill almost
everywhere, or is too long by the same factor everywhere, is a mistake.

Logits may be coarse (whole numbers, bfloat16, large numbers in float32): a difference then counts only where it is far beyond what they
round, if need be by a longer step.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ._answers import Forward, Pullback

# Images that are tried, at most, and of how many a slope has to be seen.
IMAGES, _FEWEST = 32, 16

# How far images are moved, in L2: the first step is far beyond what float32 rounds, and too little to cross many kinks. The others are
# taken where logits are too coarse for it. The last one shows where logits that are steps and have no slope, as those of spikes, climb.
_STEPS = 0.01, 0.03, 0.1, 0.3, 1.0

# The share of images where a gradient leads downhill that is no chance.
_DOWNHILL = 0.95

# By how much slopes may differ that are one factor, the share that has to (at a kink one may be any), and what factors are mistakes.
_ALIKE, _MOST, _FACTOR = 0.05, 0.75, 1.5

# The rounding of a slope, as a share of it, up to which it is seen: two standard deviations of it.
_SEEN = 0.2


def wrong_gradient(forward: Forward, images: NDArray[np.float32], by_hand: bool = False) -> str:
    """What is surely wrong with the gradient of random sums of the logits; nothing, if it may be right. Of one that was made by hand also
    that logits are too coarse to tell.

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
    if by_hand and _is_even(gradients, forward(shown.copy(), True)[1], weights):
        return (
            "gradient: it is the same for weights and for -weights, so it is not that of the sum of weights * logits(images) but of something "
            "that does not depend on them, such as a loss of its own; attacks choose the loss, by the weights: use what the function is given"
        )
    tried = _Tried(forward, shown, weights.astype(np.float64), gradients)
    near, far = tried.slopes(_STEPS[0]), tried.slopes(_STEPS[-1])
    downhill, farther = _downhill(near), _downhill(far)
    factor = _one_factor(near)
    for step in _STEPS[1:]:
        if factor is not None:
            break
        factor = _one_factor(tried.slopes(step), tried.slopes(step / 2))
    if downhill >= _DOWNHILL or farther >= _DOWNHILL and downhill >= 0.5 or factor is not None and factor < 0:
        return (
            "gradient: it points the wrong way: along it the weighted sum of the logits falls, at "
            f"{max(downhill, farther):.0%} of the images that were tried, so that attacks lead away from what fools; give the gradient of the "
            "sum of weights * logits(images), with its sign"
        )
    if factor is None and by_hand and near.is_hidden():
        return (
            "gradient: its length could not be checked, for the logits are rounded so coarsely that finite differences do not show it; try it "
            "on the same model with logits in float32 or float64, as they are before they are rounded"
        )
    if factor is None or 1 / _FACTOR <= factor <= _FACTOR:
        return ""
    return (
        f"gradient: it is {1 / factor:.3g} times that of the logits, by finite differences at the images that were tried: attacks that use "
        "its length (fab, deepfool, cw) fail; give the gradient of the sum of weights * logits(images), with respect to pixels from 0 to 1"
    )


def _is_even(gradients: NDArray[np.float64], pullback: Pullback | None, weights: NDArray[np.float32]) -> bool:
    """Whether gradients of opposite weights point the same way, almost everywhere: they should point opposite ways."""
    if pullback is None:
        return False
    opposite = np.nan_to_num(pullback(-weights).astype(np.float64), posinf=0, neginf=0)
    lengths = [np.sqrt(np.square(g).sum((1, 2, 3))) for g in (gradients, opposite)]
    there = (lengths[0] > 0) & (lengths[1] > 0)
    cosines = (gradients * opposite).sum((1, 2, 3))[there] / (lengths[0] * lengths[1])[there]
    return len(cosines) >= _FEWEST and bool((cosines > 0.9).mean() >= _DOWNHILL)


@dataclass(slots=True)
class _Slopes:
    """How far weighted sums rise along their gradients, as shares of what these say, and twice the standard deviation of what rounding
    makes of that; one an image with a gradient."""

    found: NDArray[np.float64]
    rounding: NDArray[np.float64]

    def is_hidden(self) -> bool:
        """Whether rounding hides them, also of a gradient that is far too long."""
        return bool(np.median(self.rounding) > _SEEN * max(1e-3, float(np.median(np.abs(self.found)))))


@dataclass(slots=True)
class _Tried:
    """A model at the images that are tried, with the gradients of the weighted sums of its logits."""

    forward: Forward
    shown: NDArray[np.float32]
    weights: NDArray[np.float64]
    gradients: NDArray[np.float64]

    def slopes(self, step: float) -> _Slopes:
        lengths = np.sqrt(np.square(self.gradients).sum((1, 2, 3), keepdims=True))
        way = step * self.gradients / np.where(lengths, lengths, 1)
        ends = [np.clip(self.shown + side * way, 0, 1).astype(np.float32) for side in (1, -1)]
        logits = [self.forward(end.copy(), False)[0].astype(np.float64) for end in ends]
        with np.errstate(all="ignore"):
            said = (self.gradients * (ends[0].astype(np.float64) - ends[1])).sum((1, 2, 3))
            found = ((logits[0] - logits[1]) * self.weights).sum(1) / said
            # Of a number that is rounded to multiples, the error is uniform; there are two of each.
            square = np.square(self.weights * _resolution(logits[0], logits[1])).sum(1) / 6
            rounding = 2 * np.sqrt(square) / np.abs(said)
        is_there = np.isfinite(found) & np.isfinite(rounding)
        return _Slopes(found[is_there], rounding[is_there])


def _resolution(*answers: NDArray[np.float64]) -> NDArray[np.float64]:
    """By how much logits can change, at least: the smallest difference that a class has, or a unit in the last place of the numbers that they
    are (float32, or any of fewer digits)."""
    logits = np.concatenate(answers)
    numbers = np.where(np.isfinite(logits), logits, 0)
    mantissas, exponents = np.frexp(numbers)
    whole = np.abs(mantissas * 2**24).astype(np.int64)
    digits = 24 - np.log2(np.maximum(whole & -whole, 1)).min()
    unit = np.ldexp(1.0, exponents - int(digits))
    gaps = np.array([np.diff(np.unique(column)).min(initial=np.inf) for column in numbers.T])
    coarse = np.maximum(unit, np.where(np.isfinite(gaps), gaps, 0))
    largest: NDArray[np.float64] = np.asarray(np.split(coarse, len(answers))).max(0)
    return largest


def _downhill(slopes: _Slopes) -> float:
    """The share of slopes that go down; a half, where too few are seen to tell."""
    seen = slopes.found[slopes.found != 0]
    return float((seen < 0).mean()) if len(seen) >= _FEWEST else 0.5


def _one_factor(slopes: _Slopes, nearer: _Slopes | None = None) -> float | None:
    """The factor that most slopes have; 1, where they have none in common, or there are too few; None where rounding hides it.

    Of a long step, that at its half has to be the same: else it is the logits that bend."""
    if len(slopes.found) < _FEWEST:
        return 1.0
    factor = float(np.median(slopes.found))
    seen = slopes.rounding <= _SEEN * np.median(np.abs(slopes.found))
    if seen.mean() < _MOST or seen.sum() < _FEWEST:
        return None
    apart = np.abs(slopes.found - factor) > _ALIKE * abs(factor) + slopes.rounding
    if (~apart[seen]).mean() < _MOST:
        return 1.0 if nearer is None else None
    if nearer is not None and not np.isclose(np.median(nearer.found), factor, rtol=2 * _ALIKE):
        return None
    return factor
