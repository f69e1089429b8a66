"""Models of Python's, which the engine asks by callbacks."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _native
from ._answers import Forward, Pullback, alike, narrowed, spread
from ._arguments import Images, is_module, is_tensor, kind, shorter, switch, whole, word_of
from ._exports import TURNS, warn
from ._native import Error, OutputRange
from ._slopes import IMAGES, wrong_gradient

# How many images a model is tried on.
PROBE = 32


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
    surrogate : bool
        Whether its gradients are estimates on purpose, such as the surrogate gradients of spikes: `audit` then does not hold them
        against finite differences.

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
    __slots__ = ("__weakref__", "_batch_size", "_draws", "_framework", "_gradient", "_logits", "_random", "_surrogate")

    def __init__(
        self,
        logits: Callable[[Any], Any],
        gradient: Callable[[Any, Any], Any] | None = None,
        *,
        batch_size: int = 256,
        random: bool = False,
        draws: int | None = None,
        framework: str | None = None,
        surrogate: bool = False,
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
        self._framework, self._surrogate = framework, switch(surrogate, "surrogate")

    @property
    def batch_size(self) -> int:
        """Images in a batch, at most."""
        return self._batch_size

    @property
    def random(self) -> bool:
        """Whether the same images get different answers."""
        return self._random

    @property
    def surrogate(self) -> bool:
        """Whether its gradients are estimates on purpose."""
        return self._surrogate

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

    def _forward(self, images: Images, seen: OutputRange) -> Forward:
        if self._is_torch(images):
            from ._modes import check_mode
            from ._torch import as_tensors, device_of, differentiable

            check_mode(self._logits, self._random)
            device = device_of(self._logits, images.tensor)
            forward = differentiable(self._logits, device, seen)
            if not is_module(self._logits) and self.framework is None:
                forward = _told(forward, self._logits)
            return forward if self._gradient is None else self._with_gradient(forward, as_tensors(self._logits, device))

        def of_arrays(pixels: NDArray[np.float32], wanted: bool) -> tuple[NDArray[np.float32], None]:
            with _other_kind(self._logits, pixels, "tensors"):
                answer = self._logits(pixels)
            if is_tensor(answer):
                raise Error("logits: it answers arrays with a tensor; give framework='torch', and it gets tensors")
            return narrowed(_numbers(answer, "logits"), seen), None

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
        seen = OutputRange()
        forward = _in_turn(self._forward(images, seen))
        probe = np.ascontiguousarray(images.pixels[: min(PROBE, self.batch_size // 16 * 16)])
        answers = self._tried(forward, probe)
        classes = answers.shape[1]
        by_hand = self._gradient is not None and not self._surrogate
        asked = _Asked(forward, probe, answers, self.random, min(IMAGES, self.batch_size // 16 * 16), seen, by_hand)
        callback = _native.Callback(asked, images.shape, classes, self.batch_size, self.random, self.draws, self.surrogate)
        return callback, classes

    def _tried(self, forward: Forward, probe: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the model answers to some images, if that is logits, the same each time and whatever batch an image is in."""
        # Copies: a model may write every answer to the same place.
        answers = [forward(probe.copy(), False)[0].copy() for _ in range(1 if self.random else 2)]
        for answer in answers:
            _check_rows(answer, len(probe))
        if answers[0].shape[1] < 2:
            raise Error(
                f"logits: shape {answers[0].shape} is of {answers[0].shape[1]} classes; at least 2 are needed (of the one logit z of a binary model: torch.cat([-z, z], 1))"
            )
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
        return answers[0]


def _told(forward: Forward, function: Callable[[Any], Any]) -> Forward:
    """The same answers of a function of tensors, with a word about one that takes arrays."""

    def told(pixels: NDArray[np.float32], wanted: bool) -> tuple[NDArray[np.float32], Pullback | None]:
        with _other_kind(function, pixels, "arrays"):
            return forward(pixels, wanted)

    return told


@contextlib.contextmanager
def _other_kind(function: Callable[[Any], Any], pixels: NDArray[np.float32], other: str) -> Iterator[None]:
    """Says so where a function cannot take what it is given, and takes the other kind of images."""
    try:
        yield
    except (TypeError, AttributeError, RuntimeError, ValueError) as problem:
        if isinstance(problem, Error) or "torch" not in sys.modules or not _takes(function, pixels, other):
            raise
        given, framework = ("numpy arrays", "torch") if other == "tensors" else ("tensors", "numpy")
        raise Error(
            f"logits: it takes {other}, and was given {given}, as the images are ({shorter(problem)}); give "
            f"deepsleep.Classifier(..., framework='{framework}')"
        ) from problem


def _takes(function: Callable[[Any], Any], pixels: NDArray[np.float32], kind: str) -> bool:
    import torch

    try:
        answer = function(pixels.copy() if kind == "arrays" else torch.from_numpy(pixels.copy()))
    except Exception:  # whatever a model raises: it takes neither
        return False
    return is_tensor(answer) == (kind == "tensors")


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
    """A model as the engine asks it, with what it said when it was tried, and what is wrong with its gradients."""

    def __init__(
        self,
        forward: Forward,
        probe: NDArray[np.float32],
        answers: NDArray[np.float32],
        random: bool,
        most: int,
        seen: OutputRange,
        by_hand: bool,
    ) -> None:
        self._forward, self._probe, self._answers = forward, probe, answers.copy()
        self._random, self._most, self._seen, self._by_hand = random, most, seen, by_hand
        # None until a gradient was asked for.
        self._gradient: str | None = None
        self._is_finite = True

    def __call__(self, pixels: NDArray[np.float32], wanted: bool) -> tuple[NDArray[np.float32], Pullback | None]:
        if wanted and self._gradient is None:
            self._gradient = self._try_gradient()
        logits, pullback = self._forward(pixels, wanted)
        expected = len(pixels), self._answers.shape[1]
        if logits.shape != expected:
            raise Error(f"logits: {len(pixels)} images give shape {logits.shape}; expected {expected}")
        return np.array(logits, order="C"), None if pullback is None else self._watched(pullback)

    def has_changed(self) -> bool:
        """Whether it says anything else by now; a random model always does."""
        return not self._random and not alike(self(self._probe.copy(), False)[0], self._answers)

    def wrong_gradients(self) -> list[str]:
        """What is wrong with its gradients."""
        return [*([self._gradient] if self._gradient else []), *([] if self._is_finite else [_NOT_FINITE])]

    def hidden_range(self) -> list[str]:
        """What the engine would say of the answers' range, had they not become differences."""
        doubt = self._seen.doubt() if self._gradient is not None else None
        return [] if doubt is None else [doubt]

    def _try_gradient(self) -> str:
        """What finite differences say of its gradient; nothing of a random model."""
        if self._random:
            return ""
        try:
            return wrong_gradient(self._forward, np.resize(self._probe, (self._most, *self._probe.shape[1:])), self._by_hand)
        except Error:
            raise
        except Exception as problem:  # whatever a model raises
            raise Error(
                f"gradient: {type(problem).__name__} when it was tried on {self._most} images with noise: {shorter(problem)}; logits and gradient "
                "have to take any images from 0 to 1"
            ) from problem

    def _watched(self, pullback: Pullback) -> Pullback:
        """The same gradients, with a warning where they are none."""

        def watched(weights: NDArray[np.float32]) -> NDArray[np.float32]:
            gradient = pullback(weights)
            if not np.isfinite(gradient).all():
                self._is_finite = False
                warn(_NOT_FINITE, stacklevel=2)
            return gradient

        return watched


_NOT_FINITE = "gradient: it is not finite (NaN or infinite) at some pixels, which count as zero"


def _asked(models: Iterable[_native.Network | _native.Callback | None]) -> list[_Asked]:
    """Those of the models that are asked by callbacks, each once."""
    forwards = [model.forward for model in models if isinstance(model, _native.Callback)]
    return list(dict.fromkeys(forward for forward in forwards if isinstance(forward, _Asked)))


def changes(*models: _native.Network | _native.Callback | None) -> list[str]:
    """What to say after work with models, if one of them has changed since it was tried."""
    if not any(asked.has_changed() for asked in _asked(models)):
        return []
    return [
        "the model changed since it was tried: the first images get other answers than before, so that no number of this holds; "
        "reset the model's state before every answer"
    ]


def wrong_gradients(*models: _native.Network | _native.Callback | None) -> list[str]:
    """What is wrong with gradients that were asked for."""
    return [doubt for asked in _asked(models) for doubt in asked.wrong_gradients()]


def doubts(*models: _native.Network | _native.Callback | None) -> list[str]:
    """What to say after work with models: of those that changed, of gradients, and of outputs that are no logits."""
    ranges = [doubt for asked in _asked(models) for doubt in asked.hidden_range()]
    return [*changes(*models), *wrong_gradients(*models), *ranges]


def rows_of(answer: Any, count: int) -> NDArray[np.float64]:
    """What a model answered to so many images, an array or a tensor, as an array of its own with a row for each."""
    logits = np.array(_numbers(_detached(answer), "logits"), np.float64)
    _check_rows(logits, count)
    return logits


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
