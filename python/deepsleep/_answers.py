"""What models answer, and when two answers are one model's."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._native import OutputRange

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


def narrowed(logits: NDArray[Any], seen: OutputRange | None = None) -> NDArray[np.float32]:
    """Logits in float32, as the engine takes them. Of numbers that it cannot hold, differences count: those of float64 decide.
    `seen` sees what becomes a difference, for the engine cannot see its range any more."""
    if np.can_cast(logits.dtype, np.float32):
        return logits.astype(np.float32, copy=False)
    if seen is not None and logits.ndim == 2 and np.issubdtype(logits.dtype, np.floating):
        seen.see(logits.astype(np.float64))
    exact, bound = relative(logits), float(np.finfo(np.float32).max)
    with np.errstate(all="ignore"):
        return np.where(np.isfinite(exact), np.clip(exact, -bound, bound), exact).astype(np.float32)


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
