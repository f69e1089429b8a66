"""What models answer, and when two answers are one model's."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

# From weights of the logits to the gradient of the weighted sum.
Pullback = Callable[[NDArray[np.float32]], NDArray[np.float32]]

# From images, and whether a gradient will be asked for, to logits and the function that gives it.
Forward = Callable[[NDArray[np.float32], bool], "tuple[NDArray[np.float32], Pullback | None]"]


def relative(logits: NDArray[Any]) -> NDArray[Any]:
    """Logits in float64, less the largest of each row: what is added to a row decides nothing."""
    exact = logits.astype(np.float64)
    if exact.ndim != 2 or not exact.size:
        return exact
    most = exact.max(1, keepdims=True)
    return np.asarray(exact - np.where(np.isfinite(most), most, 0))


def narrowed(logits: NDArray[Any]) -> NDArray[np.float32]:
    """Logits in float32, as the engine takes them. Of numbers that it cannot hold, differences count: those of float64 decide."""
    if np.can_cast(logits.dtype, np.float32) or _are_probabilities(logits):
        return logits.astype(np.float32, copy=False)
    exact, bound = relative(logits), float(np.finfo(np.float32).max)
    with np.errstate(all="ignore"):
        differences = np.where(np.isfinite(exact), np.clip(exact, -bound, bound), exact).astype(np.float32)
    return np.where(_keep_their_order(logits), logits.astype(np.float32), differences) if _are_shares(logits) else differences


def _are_shares(answers: NDArray[Any]) -> bool:
    """Whether answers lie in 0..1, as those of a sigmoid do: the engine has to see them as they are, since it warns of them."""
    if answers.ndim != 2 or not np.issubdtype(answers.dtype, np.floating):
        return False
    return bool(((answers > -1e-5) & (answers < 1 + 1e-5)).all())


def _are_probabilities(answers: NDArray[Any]) -> bool:
    """Whether they sum to 1 as well."""
    return _are_shares(answers) and bool((np.abs(answers.sum(1) - 1) < 1e-5).all())


def _keep_their_order(answers: NDArray[Any]) -> NDArray[np.bool_]:
    """The rows `[n, 1]` whose largest number is as far from the others in float32, but for rounding."""
    short = np.sort(answers.astype(np.float32), axis=1)[:, -2:].astype(np.float64)
    exact = np.sort(answers, axis=1)[:, -2:]
    gaps = [two[:, -1:] - two[:, :1] for two in (short, exact)]
    return np.asarray(np.abs(gaps[0] - gaps[1]) <= 0.1 * gaps[1])


def alike(ours: NDArray[np.float32], theirs: NDArray[np.float32], scale: float | None = None) -> bool:
    """Whether two answers to the same images are one model's: but for rounding, which differs between engines and batches.

    `scale` is what `spread` says of more images, where these are few."""
    return ours.shape == theirs.shape and bool(same(ours, theirs, 1e-3 * (spread(theirs) if scale is None else scale)).all())


def same(ours: NDArray[Any], theirs: NDArray[Any], most: Any) -> NDArray[np.bool_]:
    """Which numbers differ by no more than that and rounding, or are infinite or NaN on both sides."""
    a, b = ours.astype(np.float64), theirs.astype(np.float64)
    with np.errstate(all="ignore"):
        near: NDArray[np.bool_] = np.abs(a - b) <= 1e-6 + most + 2e-6 * np.abs(b)
    return np.asarray(near | (a == b) | (np.isnan(a) & np.isnan(b)))


def spread(logits: NDArray[Any]) -> float:
    """What differences count by: how far the logits of a class lie apart among these images. Masked classes and what is added
    to all logits have no part in it."""
    numbers = np.where(np.isfinite(logits), logits, np.nan).astype(np.float64)
    if numbers.size == 0:
        return 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of a class without numbers
        if len(numbers) >= 8:
            return float(np.nan_to_num(np.nanmax(np.nanmax(numbers, 0) - np.nanmin(numbers, 0))))
        # Of few images, their sizes, but for those far above the small ones.
        sizes = np.abs(numbers[numbers != 0])
        return float(np.nan_to_num(np.nanmin([np.nanmax(sizes, initial=0.0), 30 * np.nanquantile(sizes, 0.1)]))) if sizes.size else 0.0
