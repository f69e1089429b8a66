"""Models of Python's, which the engine asks by callbacks."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _native
from ._arguments import Images, is_module, is_tensor, kind, switch, whole, word_of
from ._exports import TURNS, warn
from ._native import Error

# How many images a model is tried on.
PROBE = 32

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
    if np.can_cast(logits.dtype, np.float32):
        return logits.astype(np.float32, copy=False)
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
    Logits of a precision that float32 cannot hold (float64, int64) are compared in it: the largest of each row is subtracted
    before they become float32, so that margins and verdicts are those of float64.

    The callbacks are called by the thread that called deepsleep. Networks with a state (SpikingJelly, snnTorch, Norse)
    must reset it in `logits`.

    Examples
    --------
    >>> model = deepsleep.Classifier(logits=lambda x: x.reshape(len(x), -1) @ w, gradient=lambda x, g: (g @ w.T).reshape(x.shape))
    """

    # Attributes count or cannot be set: what is asked differently is another model.
    __slots__ = ("__weakref__", "_batch_size", "_draws", "_framework", "_gradient", "_logits", "_random")

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
        if framework is not None:
            framework = word_of(framework, "framework", ("numpy", "torch"))
        if framework == "numpy" and is_module(logits):
            raise Error("framework: 'numpy' of a torch module, which takes tensors; leave framework out")
        random = switch(random, "random")
        if draws is not None and not random:
            raise Error("draws: a model that is not random gives the same answer every time; say random=True or leave draws out")
        self._logits, self._gradient = logits, gradient
        self._batch_size = whole(batch_size, "batch_size", 16, 65_536)
        self._random, self._draws = random, None if draws is None else whole(draws, "draws", 1, 100_000)
        self._framework = framework

    @property
    def batch_size(self) -> int:
        """Images in a batch, at most."""
        return self._batch_size

    @property
    def random(self) -> bool:
        """Whether the same images get different answers."""
        return self._random

    @property
    def draws(self) -> int | None:
        """How many draws judge it, if that was said."""
        return self._draws

    @property
    def framework(self) -> str | None:
        """What the callbacks take, if that was said."""
        return self._framework

    def _is_torch(self, images: Images) -> bool:
        if self.framework is not None:
            return self.framework == "torch"
        return is_module(self._logits) or images.tensor is not None

    def _forward(self, images: Images) -> Forward:
        if self._is_torch(images):
            from ._modes import check_mode
            from ._torch import as_tensors, device_of, differentiable

            check_mode(self._logits, self._random)
            device = device_of(self._logits, images.tensor)
            forward = differentiable(self._logits, device)
            return forward if self._gradient is None else self._with_gradient(forward, as_tensors(self._logits, device))

        def of_arrays(pixels: NDArray[np.float32], wanted: bool) -> tuple[NDArray[np.float32], None]:
            answer = self._logits(pixels)
            if is_tensor(answer):
                raise Error("logits: it answers arrays with a tensor; give framework='torch', and it gets tensors")
            return narrowed(_numbers(answer, "logits")), None

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
                answer = _numbers(_detached(gradient(as_tensor(pixels.copy()), as_tensor(weights.copy()))), "gradient").astype(np.float32)
                if answer.shape != pixels.shape:
                    raise Error(f"gradient: its answer has shape {answer.shape}, expected that of the images, {pixels.shape}")
                return answer

            return logits, pullback

        return both

    def _bind(self, images: Images) -> tuple[_native.Callback, int]:
        """The model as the engine asks it, for images like these, and its number of classes."""
        forward = _in_turn(self._forward(images))
        probe = np.ascontiguousarray(images.pixels[: min(PROBE, self.batch_size // 16 * 16)])
        # Copies: a model may write every answer to the same place.
        answers = [forward(probe.copy(), False)[0].copy() for _ in range(1 if self.random else 2)]
        for answer in answers:
            _check_rows(answer, len(probe))
        classes = answers[0].shape[1]
        if classes < 2:
            raise Error(f"logits: shape {answers[0].shape} is of {classes} classes; at least 2 are needed")
        # The same batch twice: what differs is rounding in another order, not that of another batch.
        if not alike(answers[0], answers[-1], 0.1 * spread(answers[0])):
            raise Error(
                "logits: the same images get different answers; reset the model's state in it, or say random=True if it "
                f"draws random numbers (AutoAttack: version='rand'){_hint(self._logits)}"
            )
        alone = forward(probe[-1:].copy(), False)[0]
        _check_rows(alone, 1)
        if not self.random and not alike(alone, answers[0][-1:], spread(answers[0])):
            raise Error(
                f"logits: an image alone gets another answer than in a batch of {len(probe)}; each answer may depend on its own "
                f"image alone (is there a normalization, or a dynamic quantization, by the batch?){_hint(self._logits)}"
            )

        asked = _Asked(forward, probe, answers[0])
        callback = _native.Callback(asked, images.shape, classes, self.batch_size, self.random, self.draws)
        return callback, classes


def _check_rows(logits: NDArray[Any], count: int) -> None:
    """Refuses answers that are no row for each image."""
    if logits.ndim != 2 or len(logits) != count:
        squeezed = " (is there a .squeeze()?)" if logits.ndim < 2 and count == 1 else ""
        images = "1 image gives" if count == 1 else f"{count} images give"
        raise Error(f"logits: {images} shape {logits.shape}; expected ({count}, classes){squeezed}")


def _in_turn(forward: Forward) -> Forward:
    """The same answers, none of them in the middle of an export."""

    def asked(pixels: NDArray[np.float32], wanted: bool) -> tuple[NDArray[np.float32], Pullback | None]:
        with TURNS.asking():
            logits, pullback = forward(pixels, wanted)
        if pullback is None:
            return logits, None

        def differentiated(weights: NDArray[np.float32]) -> NDArray[np.float32]:
            with TURNS.asking():
                return pullback(weights)

        return logits, differentiated

    return asked


def _hint(model: Any) -> str:
    """What to try first with a module that does not answer as it should."""
    if not is_module(model):
        return ""
    from ._modes import hint

    return hint(model)


class _Asked:
    """A model as the engine asks it, with what it said when it was tried."""

    def __init__(self, forward: Forward, probe: NDArray[np.float32], answers: NDArray[np.float32]) -> None:
        self._forward, self._probe, self._answers = forward, probe, answers.copy()

    def __call__(self, pixels: NDArray[np.float32], wanted: bool) -> tuple[NDArray[np.float32], Pullback | None]:
        logits, pullback = self._forward(pixels, wanted)
        expected = len(pixels), self._answers.shape[1]
        if logits.shape != expected:
            raise Error(f"logits: {len(pixels)} images give shape {logits.shape}; expected {expected}")
        return np.array(logits, order="C"), None if pullback is None else _watched(pullback)

    def has_changed(self) -> bool:
        """Whether it says anything else by now."""
        return not alike(self(self._probe.copy(), False)[0], self._answers)


def doubts(*models: _native.Network | _native.Callback | None) -> list[str]:
    """What to say after work with models, some of which may have changed since they were tried."""
    asked = [model.forward for model in models if isinstance(model, _native.Callback) and not model.random]
    if not any(isinstance(forward, _Asked) and forward.has_changed() for forward in asked):
        return []
    return [
        "the model changed since it was tried: the first images get other answers than before, so that no number of this holds; "
        "reset the model's state before every answer"
    ]


def _watched(pullback: Pullback) -> Pullback:
    """The same gradients, with a warning where they are none."""

    def watched(weights: NDArray[np.float32]) -> NDArray[np.float32]:
        gradient = pullback(weights)
        if not np.isfinite(gradient).all():
            warn("gradient: it is not finite (NaN or infinite) at some pixels, which count as zero", stacklevel=2)
        return gradient

    return watched


def _numbers(value: Any, what: str) -> NDArray[Any]:
    """An answer as an array of numbers."""
    try:
        array = np.asarray(value)
        if isinstance(value, np.ma.MaskedArray) or array.dtype.kind == "c":
            raise Error(f"{what}: its answer is {kind(value)}, masked or complex; expected an array of numbers")
        if array.dtype.kind in "biufO":
            return array.astype(np.float64) if array.dtype.kind == "O" else array
    except (TypeError, ValueError) as problem:
        if isinstance(problem, Error):
            raise
    raise Error(f"{what}: its answer is {kind(value)}; expected an array of numbers") from None


def _detached(value: Any) -> Any:
    """What a function of tensors answered, as an array: numpy has not every precision."""
    if not is_tensor(value):
        return value
    value = value.detach().cpu().to_dense().resolve_conj()
    return (value.float() if value.is_floating_point() else value).numpy()
