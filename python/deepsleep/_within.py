"""Adversarial images of the engine, which are of float32, as images of float64 in the ball around the user's own."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

# How much shorter than the radius a change is made that was longer, so that no rounding makes it longer again.
_MARGIN = 1e-12


def within(found: NDArray[np.float64], own: NDArray[np.float64], norm: str, eps: float) -> NDArray[np.float64]:
    """The images next to these in the ball."""
    exact = found.copy()
    if norm == "linf":
        exact = np.clip(exact, own - eps, own + eps)
        while (beyond := np.abs(exact - own) > eps).any():  # by the last digit
            exact[beyond] = np.nextafter(exact[beyond], own[beyond])
    elif norm in ("l2", "l1"):
        change = (exact - own).reshape(len(own), math.prod(own.shape[1:]))
        lengths = np.linalg.norm(change, 2 if norm == "l2" else 1, axis=1)
        longer = lengths > eps * (1 - _MARGIN)
        change[longer] *= (eps / lengths[longer] * (1 - _MARGIN))[:, None]
        exact[longer] = own[longer] + change[longer].reshape(-1, *own.shape[1:])
    return exact


def number_of(radius: str) -> float:
    """A radius as it was written: a number, or a fraction such as 8/255."""
    above, _, below = radius.partition("/")
    return float(above) / float(below or 1)
