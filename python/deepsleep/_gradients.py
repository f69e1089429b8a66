"""Whether an exported network has the gradients of its module: an export computes what the forward pass does, and leaves out a
backward of the module's own."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _native
from ._arguments import ids_of
from ._endings import Ending
from ._exports import TURNS
from ._native import Error

# Images that gradients are compared on, and how many of these tell first whether the others are needed.
_IMAGES, _FIRST = 32, 8

# By which share of its length an image's gradient may be another, and the share of images where it may be any: at a kink (a rectifier
# at 0, a window with two largest values) the last digit decides where it points.
_APART, _KINKS = 0.05, 0.25

# How far images are moved to see how well a gradient is known, and how many times what it changes by then does not count.
_MOVED, _TIMES = 1e-6, 4.0


def check_gradients(network: _native.Network, module: Any, ending: Ending, images: NDArray[np.float32]) -> None:
    """Compares the gradients of a random sum of the logits. A module without any gradient is as good as its export.

    Raises
    ------
    Error
        If the module's are others, or vary.
    """
    shown = _shown(images)
    # Some of both kinds. Gradients that all agree need no closer look, which takes eight times as long.
    few = shown[:: _IMAGES // _FIRST]
    try:
        if _Compared(network, module, ending, few).agree():
            return
        compared = _Compared(network, module, ending, shown)
        unknown = compared.unknown()
    except Exception:  # of any kind: an own backward raises what it likes
        return
    if _share(compared.theirs, compared.again, 0) > _KINKS:
        raise Error("the gradients of the module vary, those of an exported network do not")
    if _share(compared.ours, compared.theirs, _TIMES * unknown) > _KINKS:
        raise Error(
            "an export leaves out the module's own backward (a torch.autograd.Function, .detach() or a backward hook), and its gradients "
            "are others"
        )


class _Compared:
    """The gradients of a network and twice those of its module, for some images."""

    def __init__(self, network: _native.Network, module: Any, ending: Ending, images: NDArray[np.float32]) -> None:
        self._module, self._images, self._rng = module, images, np.random.default_rng(2)
        with TURNS.asking():
            answers, pullback = _forward(module, images)
            weights, self._weights = ending.weights(self._rng, answers)
            self.theirs, self.again = (_rows(pullback(self._weights)) for _ in range(2))
        samples = _native.Samples(images, np.zeros(len(images), np.int64), ids_of(None, len(images)))
        self.ours = _rows(_native.gradients(network, samples, weights))

    def agree(self) -> bool:
        """Whether they do, for all images."""
        return not _share(self.theirs, self.again, 0) and not _share(self.ours, self.theirs, 0)

    def unknown(self) -> NDArray[Any]:
        """How far the module's are from those of images next to these."""
        moved = (self._images + _MOVED * self._rng.choice([-1.0, 1.0], self._images.shape)).astype(np.float32)
        with TURNS.asking():
            _, pullback = _forward(self._module, moved)
            return _length(_rows(pullback(self._weights)) - self.theirs)


def _shown(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Some images, with noise on them so that no two pixels are equal, and noise alone."""
    rng = np.random.default_rng(3)
    noise = rng.random((_IMAGES, *images.shape[1:]), dtype=np.float32)
    some = np.resize(images, (_IMAGES // 2, *images.shape[1:]))
    noise[: len(some)] = np.float32(0.01) + np.float32(0.97) * some + np.float32(0.01) * noise[: len(some)]
    return noise


def _forward(module: Any, images: NDArray[np.float32]) -> tuple[NDArray[np.float32], Any]:
    from ._torch import device_of, differentiable

    return differentiable(module, device_of(module, None))(images.copy(), True)


def _rows(gradients: NDArray[np.float32]) -> NDArray[Any]:
    """A row for each image; what is not finite counts as zero, as in attacks."""
    return np.nan_to_num(gradients.reshape(len(gradients), -1).astype(np.float64), posinf=0, neginf=0)


def _length(rows: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(np.linalg.norm(rows, axis=1))


def _share(ours: NDArray[Any], theirs: NDArray[Any], unknown: Any) -> float:
    """The share of images whose gradients are apart."""
    most = _APART * np.maximum(_length(ours), _length(theirs)) + unknown
    return float((_length(ours - theirs) > most + 1e-30).mean())
