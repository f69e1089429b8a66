"""Models of Python's, which the engine asks by callbacks."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _native
from ._arguments import Images, is_module, is_tensor, kind, whole
from ._native import Error

# How many images a model is tried on.
PROBE = 32

# From weights of the logits to the gradient of the weighted sum.
Pullback = Callable[[NDArray[np.float32]], NDArray[np.float32]]

# From images, and whether a gradient will be asked for, to logits and the function that gives it.
Forward = Callable[[NDArray[np.float32], bool], "tuple[NDArray[np.float32], Pullback | None]"]


def alike(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> bool:
    """Whether two answers to the same images are one model's: but for rounding, which differs between engines and batches."""
    scale = usual_size(theirs.reshape(1, -1)).item()
    return ours.shape == theirs.shape and np.allclose(ours, theirs, rtol=1e-3, atol=1e-6 + 1e-4 * scale, equal_nan=True)


def usual_size(numbers: NDArray[Any]) -> NDArray[np.float64]:
    """Of every row, `[row, 1]`, the size that differences count by: the largest one, but for numbers that have no part in
    the rest, as the logits of masked classes."""
    sizes = np.abs(numbers.astype(np.float64))
    sizes[~np.isfinite(sizes) | (sizes == 0)] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of a row without numbers
        small, largest = np.nanquantile(sizes, 0.1, axis=1), np.nanmax(sizes, axis=1)
    usual: NDArray[np.float64] = np.nan_to_num(np.minimum(largest, 30 * small))[:, None]
    return usual


class Classifier:
    """Any model of Python's, asked by callbacks over batches: every attack works on it.

    Parameters
    ----------
    logits : callable or torch.nn.Module
        From images `[n, channels, height, width]` to logits `[n, classes]`. It gets torch tensors if it is a module, or if
        the images to attack are tensors, else numpy arrays.
    gradient : callable, optional
        From images and weights `[n, classes]` to the gradient `[n, channels, height, width]` of the sum of
        `weights * logits(images)`. Of a torch model it is made by autograd. Without any, only attacks that need no
        gradients work: square, rays, hopskipjump, nes-pgd.
    batch_size : int
        Images in a batch, at most; at least 16.
    random : bool
        Whether the same images get different answers. Such a model is judged by several draws.
    draws : int, optional
        How many; 20, if it is random.
    framework : {"numpy", "torch"}, optional
        What the callbacks take, where that is not to follow from the images.

    Notes
    -----
    The callbacks are called by the thread that called deepsleep. Networks with a state (SpikingJelly, snnTorch, Norse)
    must reset it in `logits`.

    Examples
    --------
    >>> model = deepsleep.Classifier(logits=lambda x: x.reshape(len(x), -1) @ w, gradient=lambda x, g: (g @ w.T).reshape(x.shape))
    """

    batch_size: int
    random: bool
    draws: int | None
    framework: str | None

    def __init__(
        self,
        logits: Callable[[Any], Any],
        gradient: Callable[[Any, Any], Any] | None = None,
        *,
        batch_size: int = 256,
        random: bool = False,
        draws: int | None = None,
        framework: str | None = None,
    ) -> None:
        if not callable(logits):
            raise Error(f"logits: {kind(logits)}; give a function of images, or a torch module")
        if gradient is not None and not callable(gradient):
            raise Error(f"gradient: {kind(gradient)}; give a function of images and weights of the logits")
        if framework not in (None, "numpy", "torch"):
            raise Error(f"framework: {framework!r}; expected 'numpy' or 'torch'")
        if draws is not None and not random:
            raise Error("draws: a model that is not random gives the same answer every time; say random=True or leave draws out")
        self._logits, self._gradient = logits, gradient
        self.batch_size = whole(batch_size, "batch_size", 16, 65_536)
        self.random, self.draws = bool(random), None if draws is None else whole(draws, "draws", 1, 100_000)
        self.framework = framework

    def _is_torch(self, images: Images) -> bool:
        if self.framework is not None:
            return self.framework == "torch"
        return is_module(self._logits) or images.tensor is not None

    def _forward(self, images: Images) -> Forward:
        if self._is_torch(images):
            from ._torch import as_tensors, check_mode, device_of, differentiable

            check_mode(self._logits)
            device = device_of(self._logits, images.tensor)
            forward = differentiable(self._logits, device)
            return forward if self._gradient is None else self._with_gradient(forward, as_tensors(self._logits, device))

        def of_arrays(pixels: NDArray[np.float32], wanted: bool) -> tuple[NDArray[np.float32], None]:
            answer = self._logits(pixels)
            if is_tensor(answer):
                raise Error("logits: it answers arrays with a tensor; give framework='torch', and it gets tensors")
            return _numbers(answer, "logits"), None

        return self._with_gradient(of_arrays)

    def _with_gradient(self, forward: Forward, as_tensor: Callable[[Any], Any] = lambda array: array) -> Forward:
        """The forward pass with the gradient that was given, which takes what `as_tensor` makes of arrays."""
        gradient = self._gradient
        if gradient is None:
            return lambda pixels, wanted: (forward(pixels, False)[0], None)

        def both(pixels: NDArray[np.float32], wanted: bool) -> tuple[NDArray[np.float32], Pullback | None]:
            if not wanted:
                return forward(pixels, False)[0], None
            # What a function does to its images is not done to those that the other one gets.
            logits, _ = forward(pixels.copy(), False)

            def pullback(weights: NDArray[np.float32]) -> NDArray[np.float32]:
                answer = _numbers(_detached(gradient(as_tensor(pixels.copy()), as_tensor(weights.copy()))), "gradient")
                if answer.shape != pixels.shape:
                    raise Error(f"gradient: its answer has shape {answer.shape}, expected that of the images, {pixels.shape}")
                return answer

            return logits, pullback

        return both

    def _bind(self, images: Images) -> tuple[_native.Callback, int]:
        """The model as the engine asks it, for images like these, and its number of classes."""
        forward = self._forward(images)
        probe = np.ascontiguousarray(images.pixels[: min(PROBE, self.batch_size // 16 * 16)])
        answers = [forward(probe.copy(), False)[0] for _ in range(1 if self.random else 2)]
        for answer in answers:
            if answer.ndim != 2 or len(answer) != len(probe):
                raise Error(f"logits: {len(probe)} images give shape {answer.shape}; expected ({len(probe)}, classes)")
        classes = answers[0].shape[1]
        if classes < 2:
            raise Error(f"logits: shape {answers[0].shape} is of {classes} classes; at least 2 are needed")
        if not alike(answers[0], answers[-1]):
            raise Error(
                "logits: the same images get different answers; reset the model's state in it, or say random=True if it "
                "draws random numbers (AutoAttack: version='rand')"
            )
        if not self.random and not alike(forward(probe[-1:].copy(), False)[0], answers[0][-1:]):
            raise Error(
                f"logits: an image alone gets another answer than in a batch of {len(probe)}; each answer may depend on its own "
                "image alone (is there a normalization by the batch?)"
            )

        def checked(pixels: NDArray[np.float32], wanted: bool) -> tuple[NDArray[np.float32], Pullback | None]:
            logits, pullback = forward(pixels, wanted)
            if logits.shape != (len(pixels), classes):
                raise Error(f"logits: {len(pixels)} images give shape {logits.shape}; expected ({len(pixels)}, {classes})")
            return np.ascontiguousarray(logits), None if pullback is None else _watched(pullback)

        callback = _native.Callback(checked, images.shape, classes, self.batch_size, self.random, self.draws)
        return callback, classes


def _watched(pullback: Pullback) -> Pullback:
    """The same gradients, with a warning where they are none."""

    def watched(weights: NDArray[np.float32]) -> NDArray[np.float32]:
        gradient = pullback(weights)
        if not np.isfinite(gradient).all():
            warnings.warn("gradient: it is not finite (NaN or infinite) at some pixels, which count as zero", stacklevel=2)
        return gradient

    return watched


def _numbers(value: Any, what: str) -> NDArray[np.float32]:
    """An answer as an array."""
    try:
        return np.asarray(value, dtype=np.float32)
    except (TypeError, ValueError):
        raise Error(f"{what}: its answer is {kind(value)}; expected an array of numbers") from None


def _detached(value: Any) -> Any:
    return value.detach().cpu().numpy() if is_tensor(value) else value
