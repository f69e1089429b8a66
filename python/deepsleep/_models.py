"""Models: networks that the engine runs itself, and models of Python's that it asks by callbacks."""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from . import _native
from ._architecture import architecture as describe
from ._architecture import shape_of
from ._arguments import Images, ids_of, is_tensor, kind, labels_of, seed_of, whole
from ._native import Error

# The images that a model of Python's is tried on.
_PROBE = 4


class Model:
    """A network that the engine runs itself, made by `load`, `train` or `defend`.

    Attributes
    ----------
    input_shape : tuple of int
        Channels, height and width of an image.
    classes : int
    is_spiking : bool
    notes : list of str
        What was left out of the file.
    """

    def __init__(self, network: _native.Network, history: list | None = None) -> None:
        self._network = network
        self.history = history or []

    @property
    def input_shape(self) -> tuple[int, int, int]:
        return self._network.input_shape

    @property
    def classes(self) -> int:
        return self._network.classes

    @property
    def is_spiking(self) -> bool:
        return self._network.is_spiking

    @property
    def notes(self) -> list[str]:
        return self._network.notes

    @property
    def architecture(self) -> dict:
        """The layers, as `deepsleep.architecture` gives them."""
        return json.loads(self._network.architecture)

    def spiking(self, draws: int | None = None) -> Model:
        """The same weights run with neurons that spike.

        Parameters
        ----------
        draws : int, optional
            Draws that decide about an image, if the encoder is random.
        """
        draws = None if draws is None else whole(draws, "draws", 1, 100_000)
        return Model(self._network.spiking(draws), self.history)

    def logits(self, images: Any, *, seed: int = 0, threads: int = 0) -> Any:
        """The logits, `[n, classes]`: numpy of numpy, torch of torch. Of a random network, means over its draws."""
        given = Images(images, self.input_shape)
        return given.give_back(_logits(self._network, given, seed_of(seed), threads))

    def predict(self, images: Any, *, seed: int = 0, threads: int = 0) -> Any:
        """The class of each image."""
        return self.logits(images, seed=seed, threads=threads).argmax(1)

    def accuracy(self, images: Any, labels: Any, *, seed: int = 0, threads: int = 0) -> float:
        """The share of images that are classified rightly."""
        given = Images(images, self.input_shape)
        labels = labels_of(labels, len(given), self.classes)
        logits = _logits(self._network, given, seed_of(seed), threads)
        return float((np.isfinite(logits).all(1) & (logits.argmax(1) == labels)).mean())

    def save(self, path: str | os.PathLike) -> None:
        """Saves it as safetensors with PyTorch's names or, if the name ends in .onnx, as ONNX."""
        self._network.save(path_of(path, "path"))

    def __repr__(self) -> str:
        what = "spiking network" if self.is_spiking else "network"
        return f"<deepsleep.Model: {what}, {' x '.join(map(str, self.input_shape))} -> {self.classes} classes>"


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
        return _is_module(self._logits) or images.tensor is not None

    def _forward(self, images: Images) -> Callable[[np.ndarray, bool], tuple]:
        if self._is_torch(images):
            from ._torch import check_mode, device_of, differentiable

            check_mode(self._logits)
            forward = differentiable(self._logits, device_of(self._logits, images.tensor))
            return forward if self._gradient is None else self._with_gradient(forward)

        def of_arrays(pixels: np.ndarray, wanted: bool) -> tuple:
            answer = self._logits(pixels)
            if is_tensor(answer):
                raise Error("logits: it answers arrays with a tensor; give framework='torch', and it gets tensors")
            return np.asarray(answer, dtype=np.float32), None

        return self._with_gradient(of_arrays)

    def _with_gradient(self, forward: Callable) -> Callable[[np.ndarray, bool], tuple]:
        gradient = self._gradient

        def both(pixels: np.ndarray, wanted: bool) -> tuple:
            if not wanted or gradient is None:
                return forward(pixels, False)[0], None
            # What a function does to its images is not done to those that the other one gets.
            logits, _ = forward(pixels.copy(), False)

            def pullback(weights: np.ndarray) -> np.ndarray:
                answer = np.asarray(_detached(gradient(pixels, weights)), dtype=np.float32)
                if answer.shape != pixels.shape:
                    raise Error(f"gradient: its answer has shape {answer.shape}, expected that of the images, {pixels.shape}")
                return answer

            return logits, pullback

        return both

    def _bind(self, images: Images) -> tuple[_native.Callback, int]:
        """The model as the engine asks it, for images like these, and its number of classes."""
        forward = self._forward(images)
        probe = np.ascontiguousarray(images.pixels[:_PROBE])
        answers = [forward(probe.copy(), False)[0] for _ in range(1 if self.random else 2)]
        for answer in answers:
            if answer.ndim != 2 or len(answer) != len(probe):
                raise Error(f"logits: {len(probe)} images give shape {answer.shape}; expected ({len(probe)}, classes)")
        classes = answers[0].shape[1]
        if classes < 2:
            raise Error(f"logits: shape {answers[0].shape} is of {classes} classes; at least 2 are needed")
        if not np.allclose(answers[0], answers[-1], rtol=1e-4, atol=1e-5, equal_nan=True):
            raise Error(
                "logits: the same images get different answers; reset the model's state in it, or say random=True if it "
                "draws random numbers (AutoAttack: version='rand')"
            )

        def checked(pixels: np.ndarray, wanted: bool) -> tuple:
            logits, pullback = forward(pixels, wanted)
            if logits.shape != (len(pixels), classes):
                raise Error(f"logits: {len(pixels)} images give shape {logits.shape}; expected ({len(pixels)}, {classes})")
            return np.ascontiguousarray(logits), pullback

        callback = _native.Callback(checked, images.shape, classes, self.batch_size, self.random, self.draws)
        return callback, classes


def _detached(value: Any) -> Any:
    return value.detach().cpu().numpy() if is_tensor(value) else value


def _is_module(value: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.nn.Module)


def _logits(network: Any, images: Images, seed: int, threads: int) -> np.ndarray:
    samples = _native.Samples(images.pixels, np.zeros(len(images), np.int64), ids_of(None, len(images)))
    return _native.logits(network, samples, seed, whole(threads, "threads", 0, 1024))


def path_of(path: Any, name: str) -> str:
    """A path as text."""
    if not isinstance(path, (str, os.PathLike)) or not os.fspath(path):
        raise Error(f"{name}: {path!r}; expected a path")
    return os.fsdecode(path)


def load(
    source: str | os.PathLike | Any,
    *,
    input_shape: tuple[int, int, int] | None = None,
    architecture: str | dict | None = None,
    spiking: bool = False,
    draws: int | None = None,
) -> Model | Classifier:
    """Loads a network.

    Parameters
    ----------
    source : path or torch.nn.Module
        A file of safetensors (with PyTorch's names) or ONNX; the name of a network that comes with the sources (`control`,
        `deepsleep`, `plain`, `lucid`); or a torch module, which is exported to ONNX in memory. A module that cannot be
        exported, or whose export answers otherwise, becomes a `Classifier`, with a warning that says so.
    input_shape : tuple of int
        Channels, height and width of the images of a torch module.
    architecture : str or dict, optional
        Which network a file's weights are of, if it does not say: a name, a TOML or JSON file, or the result of
        `deepsleep.architecture`.
    spiking : bool
        Run it with neurons that spike.
    draws : int, optional
        Draws that decide about an image, for a network with Poisson spikes.

    Returns
    -------
    Model or Classifier

    Raises
    ------
    Error
        If the file cannot be read, or is of no network.
    """
    draws = None if draws is None else whole(draws, "draws", 1, 100_000)
    if _is_module(source):
        if architecture is not None or draws is not None:
            raise Error("architecture and draws are for files; a torch module says itself what it is")
        return _of_module(source, input_shape, spiking)
    if input_shape is not None:
        raise Error("input_shape is for torch modules; a file says itself which images it takes")
    path = path_of(source, "model")
    if architecture is not None:
        architecture = json.dumps(describe(architecture))
    return Model(_native.Network.load(path, architecture, bool(spiking), draws))


def _of_module(module: Any, input_shape: Any, spiking: bool, images: Images | None = None) -> Model | Classifier:
    """A module as a network of the engine, if it answers as the module does: to these images, or to noise."""
    from ._torch import check_mode, export

    shape = shape_of(input_shape)
    if shape is None:
        raise Error("input_shape: a torch module does not say it; give channels, height and width: (3, 32, 32)")
    check_mode(module)
    probe = np.random.default_rng(0).random((_PROBE, *shape), dtype=np.float32) if images is None else images.pixels[:_PROBE]
    try:
        return Model(export(module, probe, spiking))
    except Error as problem:
        if spiking:
            raise
        warnings.warn(f"{type(module).__name__} is asked by callbacks, which is slower: {problem}", stacklevel=3)
        return Classifier(module)


def resolve(model: Any, images: Any) -> tuple[Any, int, Images]:
    """A model as the engine takes it, its number of classes, and the images as it takes them."""
    if isinstance(model, (str, Path)):
        model = load(model)
    if isinstance(model, Model):
        return model._network, model.classes, Images(images, model.input_shape)
    if isinstance(model, Classifier):
        given = Images(images)
        return (*model._bind(given), given)
    if _is_module(model):
        given = Images(images)
        loaded = _of_module(model, given.shape, False, given)
        return resolve(loaded, images)
    if callable(model):
        given = Images(images)
        return (*Classifier(model)._bind(given), given)
    raise Error(f"model: {kind(model)}; give what deepsleep.load returns, a Classifier, a torch module or a function of images")
