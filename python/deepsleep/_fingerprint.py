"""What a file of finished parts remembers a model by."""

from __future__ import annotations

import hashlib

import numpy as np

from . import _native
from ._arguments import Array, ids_of
from ._native import Error


def fingerprint(target: _native.Network | _native.Callback, images: Array) -> str:
    """What a file of finished parts remembers a model by: its weights or, of a model of Python's, some of its answers."""
    if isinstance(target, _native.Network):
        run_as = f"{target.architecture} {target.is_spiking} {target.draws}"
        return hashlib.sha256(run_as.encode() + target.to_bytes()).hexdigest()
    if target.random:
        # Its answers are others every time; that it is the same model is for the caller to know.
        return "a random model of Python's"
    some = np.ascontiguousarray(images[:16])
    samples = _native.Samples(some, np.zeros(len(some), np.int64), ids_of(None, len(some)))
    hashed = hashlib.sha256(_native.logits(target, samples, 0, 1).round(3).tobytes())
    hashed.update(_gradients(target, some).tobytes())
    return f"answers {hashed.hexdigest()}"


def _gradients(target: _native.Callback, images: Array) -> Array:
    """The gradients that a model of Python's gives, as shares of each image's largest, rounded; none if it gives none."""
    try:
        logits, pullback = target.forward(images.copy(), True)
    except Error:
        return np.zeros(0)
    if pullback is None:
        return np.zeros(0)
    weights = np.linspace(-1, 1, logits.size, dtype=np.float32).reshape(logits.shape)
    gradients = pullback(weights)
    largest = np.abs(gradients).reshape(len(gradients), -1).max(1).reshape(-1, 1, 1, 1)
    shares: Array = np.nan_to_num(gradients / np.maximum(largest, 1e-30)).round(2) + 0.0
    return shares
