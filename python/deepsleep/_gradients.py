"""Whether an exported network has the gradients of its module: an export computes what the forward pass does, and leaves out a
backward of the module's own."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _native
from ._arguments import ids_of
from ._exports import TURNS, Stuck
from ._native import Error

# Images that gradients are compared on.
_IMAGES = 32

# By which share of its length an image's gradient may be another, and the share of images where it may be any: at a kink (a rectifier
# at 0, a window with two largest values) the last digit decides where it points.
_APART, _KINKS = 0.05, 0.25

# How far images are moved to see how well a gradient is known, and how many times what it changes by then does not count.
_MOVED, _TIMES = 1e-6, 4.0


def check_gradients(network: _native.Network, module: Any, images: NDArray[np.float32]) -> None:
    """Compares the gradients of a random sum of the logits. A module without any gradient is as good as its export.

    Raises
    ------
    Error
        If the module's are others, or vary.
    """
    shown, rng = _shown(images), np.random.default_rng(2)
    weights = rng.standard_normal((len(shown), network.classes)).astype(np.float32)
    moved = (shown + _MOVED * rng.choice([-1.0, 1.0], shown.shape)).astype(np.float32)
    try:
        (theirs, again), (near, _) = _differentiated(module, shown, weights), _differentiated(module, moved, weights)
    except Stuck:
        raise
    except (Error, RuntimeError):
        return
    samples = _native.Samples(shown, np.zeros(len(shown), np.int64), ids_of(None, len(shown)))
    ours = _rows(_native.gradients(network, samples, weights))
    if _share(theirs, again, 0) > _KINKS:
        raise Error("the gradients of the module vary, those of an exported network do not")
    if _share(ours, theirs, _TIMES * _length(near - theirs)) > _KINKS:
        raise Error(
            "an export leaves out the module's own backward (a torch.autograd.Function, .detach() or a backward hook), and its gradients "
            "are others"
        )


def _shown(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Some images, with noise on them so that no two pixels are equal, and noise alone."""
    rng = np.random.default_rng(3)
    noise = rng.random((_IMAGES, *images.shape[1:]), dtype=np.float32)
    some = np.resize(images, (_IMAGES // 2, *images.shape[1:]))
    noise[: len(some)] = np.float32(0.01) + np.float32(0.97) * some + np.float32(0.01) * noise[: len(some)]
    return noise


def _differentiated(module: Any, images: NDArray[np.float32], weights: NDArray[np.float32]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The gradient as the module gives it, twice."""
    from ._torch import device_of, differentiable

    with TURNS.asking():
        _, pullback = differentiable(module, device_of(module, None))(images.copy(), True)
        assert pullback is not None
        return _rows(pullback(weights)), _rows(pullback(weights))


def _rows(gradients: NDArray[np.float32]) -> NDArray[Any]:
    """A row for each image; what is not finite counts as zero, as in attacks."""
    return np.nan_to_num(gradients.reshape(len(gradients), -1).astype(np.float64), posinf=0, neginf=0)


def _length(rows: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(np.linalg.norm(rows, axis=1))


def _share(ours: NDArray[Any], theirs: NDArray[Any], unknown: Any) -> float:
    """The share of images whose gradients are apart."""
    most = _APART * np.maximum(_length(ours), _length(theirs)) + unknown
    return float((_length(ours - theirs) > most + 1e-30).mean())
