"""Networks that the engine runs itself, and what else is taken as a model."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from . import _native
from ._architecture import MOST_NUMBERS, Layers, shape_of
from ._architecture import architecture as describe
from ._arguments import Images, StrPath, brief, ids_of, is_module, kind, labels_of, path_of, seed_of, switch, whole
from ._classifier import PROBE, Classifier
from ._exports import warn
from ._native import Error


# The networks that come with the sources.
_BUNDLED = ("control", "deepsleep", "plain", "lucid", "bounds")


class Model:
    """A network that the engine runs itself, made by `load`, `train` or `defend`.

    Parameters
    ----------
    network : object
        The engine's network.
    history : list of dict
        Loss and accuracy of every epoch, if `train` or `defend` made it.
    """

    # What is set on it counts or cannot be set; a subclass has attributes of its own.
    __slots__ = ("__weakref__", "_network", "history")

    history: list[dict[str, Any]]

    def __init__(self, network: _native.Network, history: list[dict[str, Any]] | None = None) -> None:
        self._network = network
        self.history = history or []

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        return self._network.input_shape

    @property
    def classes(self) -> int:
        """The number of classes."""
        return self._network.classes

    @property
    def is_spiking(self) -> bool:
        """Whether its neurons spike."""
        return self._network.is_spiking

    @property
    def notes(self) -> list[str]:
        """What was left out of the file."""
        return self._network.notes

    @property
    def architecture(self) -> Layers:
        """The layers, as `deepsleep.architecture` gives them."""
        layers: Layers = json.loads(self._network.architecture)
        return layers

    def spiking(self, draws: int | None = None) -> Model:
        """The same weights run with neurons that spike.

        Parameters
        ----------
        draws : int, optional
            Draws that decide about an image, if the encoder is random.

        Returns
        -------
        Model
            Another one; this one stays as it is.
        """
        draws = None if draws is None else whole(draws, "draws", 1, 100_000)
        return Model(_drawing(self._network.spiking(draws), draws), self.history)

    def logits(self, images: Any, *, seed: int = 0, threads: int = 0) -> Any:
        """The logits of images.

        Parameters
        ----------
        images : numpy.ndarray or torch.Tensor
            `[n, channels, height, width]`, pixels from 0 to 1.
        seed : int
            Of the draws of a random network.
        threads : int
            0: all cores. Results do not depend on it.

        Returns
        -------
        numpy.ndarray or torch.Tensor
            `[n, classes]`, float32. Of a random network, means over its draws.
        """
        given = Images(images, self.input_shape)
        return given.give_back(_logits(self._network, given, seed_of(seed), threads))

    def predict(self, images: Any, *, seed: int = 0, threads: int = 0) -> Any:
        """The class of each image.

        Parameters
        ----------
        images : numpy.ndarray or torch.Tensor
            `[n, channels, height, width]`, pixels from 0 to 1.
        seed : int
            Of the draws of a random network.
        threads : int
            0: all cores. Results do not depend on it.

        Returns
        -------
        numpy.ndarray or torch.Tensor
            `[n]`, int64.
        """
        return self.logits(images, seed=seed, threads=threads).argmax(1)

    def accuracy(self, images: Any, labels: Any, *, seed: int = 0, threads: int = 0) -> float:
        """The share of images that are classified correctly.

        Parameters
        ----------
        images : numpy.ndarray or torch.Tensor
            `[n, channels, height, width]`, pixels from 0 to 1.
        labels : numpy.ndarray or torch.Tensor
            `[n]`, the classes as integers.
        seed : int
            Of the draws of a random network.
        threads : int
            0: all cores. Results do not depend on it.

        Returns
        -------
        float
            From 0 to 1.
        """
        given = Images(images, self.input_shape)
        labels = labels_of(labels, len(given), self.classes)
        logits = _logits(self._network, given, seed_of(seed), threads)
        return float((np.isfinite(logits).all(1) & (logits.argmax(1) == labels)).mean())

    def save(self, path: StrPath) -> None:
        """Save the network's weights.

        That its neurons spike is not in a file: `load(path, spiking=True)` runs them so again, and a warning says it.

        Parameters
        ----------
        path : path
            A file of ONNX if the name ends in `.onnx`, else one of safetensors with PyTorch's names.

        Raises
        ------
        Error
            If the file cannot be written.
        """
        place = path_of(path, "path")
        self._network.save(place)
        if self.is_spiking:
            draws = f", draws={self._network.draws}" if self._network.is_random else ""
            warn(
                f"path: {brief(place)} holds the weights, not that the neurons spike; deepsleep.load(..., spiking=True{draws}) runs them so",
                stacklevel=2,
            )

    def __getstate__(self) -> dict[str, Any]:
        """For pickle."""
        n = self._network
        network = n.to_bytes(), n.architecture, n.is_spiking, n.draws, n.notes
        return {"network": network, "history": self.history, "own": dict(getattr(self, "__dict__", {}))}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._network, self.history = _native.Network.of_bytes(*state["network"]), state["history"]
        for name, value in state["own"].items():
            setattr(self, name, value)

    def __repr__(self) -> str:
        what = "spiking network" if self.is_spiking else "network"
        return f"<deepsleep.Model: {what}, {' x '.join(map(str, self.input_shape))} -> {self.classes} classes>"


def _logits(network: _native.Network | _native.Callback, images: Images, seed: int, threads: int) -> NDArray[np.float32]:
    samples = _native.Samples(images.pixels, np.zeros(len(images), np.int64), ids_of(None, len(images)))
    return _native.logits(network, samples, seed, whole(threads, "threads", 0, 1024))


@overload
def load(
    source: StrPath,
    *,
    input_shape: None = None,
    architecture: StrPath | Layers | None = None,
    spiking: bool = False,
    draws: int | None = None,
) -> Model: ...


@overload
def load(
    source: Callable[..., Any],
    *,
    input_shape: Sequence[int] | None = None,
    architecture: None = None,
    spiking: bool = False,
    draws: None = None,
) -> Model | Classifier: ...


def load(
    source: Any,
    *,
    input_shape: Sequence[int] | None = None,
    architecture: StrPath | Layers | None = None,
    spiking: bool = False,
    draws: int | None = None,
) -> Model | Classifier:
    """Load a network.

    Parameters
    ----------
    source : path or torch.nn.Module
        A file of safetensors (with PyTorch's names) or ONNX; the name of a network that comes with the sources (`control`,
        `deepsleep`, `plain`, `lucid`, `bounds`); or a torch module, which is exported to ONNX in memory. A softmax at its end is left
        out, with a warning. A module that cannot be exported, or whose export answers differently or has other gradients, becomes
        a `Classifier`, with a warning that says so.
    input_shape : sequence of int, optional
        Channels, height and width of the images, of a torch module.
    architecture : str, path or dict, optional
        Which network a file's weights are of, if it does not say: a name, a TOML or JSON file, or the result of
        `deepsleep.architecture`.
    spiking : bool
        Whether to run it with neurons that spike.
    draws : int, optional
        Draws that decide about an image, for a network with Poisson spikes.

    Returns
    -------
    Model or Classifier
        Of a file or a name always a `Model`.

    Raises
    ------
    Error
        If the file cannot be read, or is of no network.
    """
    draws = None if draws is None else whole(draws, "draws", 1, 100_000)
    spiking = switch(spiking, "spiking")
    if is_module(source):
        if architecture is not None or draws is not None:
            raise Error("architecture and draws are for files; a torch module says itself what it is")
        return of_module(source, input_shape, spiking)
    if input_shape is not None:
        raise Error("input_shape is for torch modules; a file says itself which images it takes")
    path = path_of(source, "model")
    layers = None if architecture is None else json.dumps(describe(architecture))
    try:
        network = _native.Network.load(path, layers, spiking, draws)
    except Error as problem:
        bundled = path in _BUNDLED and "cannot read" not in str(problem)
        if bundled or os.path.exists(path) or Path(path).name != path or Path(path).suffix:
            raise
        raise Error(
            f"model: {brief(path)} is neither a file nor a network that comes with the sources ({', '.join(_BUNDLED)}; they are read from the "
            "clone that the package was built in)"
        ) from None
    return Model(_drawing(network, draws))


def _drawing(network: _native.Network, draws: int | None) -> _native.Network:
    """The network, if it draws random numbers where a number of draws was asked for."""
    if draws is not None and not network.is_random:
        raise Error(f"draws: {draws} of a network that draws no random numbers, which answers the same every time; leave draws out")
    return network


def of_module(module: Any, input_shape: Any, spiking: bool, images: Images | None = None) -> Model | Classifier:
    """A module as a network of the engine, if it answers as the module does: to these images, or to noise."""
    from ._modes import check_mode
    from ._torch import answers, export

    shape = shape_of(input_shape)
    if shape is None:
        raise Error("input_shape: a torch module does not say it; give channels, height and width: (3, 32, 32)")
    check_mode(module)
    few = max(2, min(PROBE, MOST_NUMBERS // math.prod(shape)))
    probe = np.random.default_rng(0).random((few, *shape), dtype=np.float32) if images is None else images.pixels[:few]
    # What it cannot take, it cannot take by callbacks either.
    logits, name = answers(module, probe), type(module).__name__
    try:
        network, ending = export(module, probe, logits, spiking)
    except Error as problem:
        if spiking:
            raise
        reason = str(problem).split("; supported are ")[0]
        warn(
            f"{name} is asked by callbacks, which is slower: {reason} (deepsleep.Classifier(module, batch_size=...) says how many images at "
            "a time)",
            stacklevel=3,
        )
        return Classifier(module)
    if ending.hides_gradients:
        warn(
            f"{name} ends in a softmax, which is left out: its logits are attacked, which give the same classes, but where "
            "probabilities round to equal ones. Gradients of probabilities vanish where the model is certain, so that attacks fail and it "
            "looks robust (deepsleep.Classifier(module) attacks them all the same)",
            stacklevel=3,
        )
    return Model(network)


def asked(model: Any, images: Any, seed: int = 0) -> Any:
    """The logits of any model, as the images came; of a random one means over its draws."""
    network, _, given = resolve(model, images)
    return given.give_back(_logits(network, given, seed, 0))


def answer_of(model: Any, images: Any) -> Any:
    """What a model says of images when it is asked directly: a module or a function with its gradient graph, any other its logits."""
    direct = callable(model) and not isinstance(model, (Model, Classifier, type))
    return model(images) if direct else asked(model, images)


def another(model: Any, images: Any, classes: int, name: str) -> _native.Network | _native.Callback:
    """Another model for the same task, as the engine takes it."""
    found, others, _ = resolve(model, images)
    if others != classes:
        raise Error(f"{name}: it tells {others} classes, the model {classes}")
    return found


def resolve(model: Any, images: Any) -> tuple[_native.Network | _native.Callback, int, Images]:
    """A model as the engine takes it, its number of classes, and the images as it takes them."""
    if isinstance(model, (str, Path)):
        model = load(model)
    if isinstance(model, Model):
        return model._network, model.classes, Images(images, model.input_shape)
    if isinstance(model, Classifier):
        given = Images(images)
        return (*model._bind(given), given)
    if is_module(model):
        given = Images(images)
        loaded = of_module(model, given.shape, False, given)
        return resolve(loaded, images)
    if isinstance(model, type):
        raise Error(f"model: the class {model.__name__}; give an object of it: {model.__name__}()")
    if callable(model):
        given = Images(images)
        return (*Classifier(model)._bind(given), given)
    raise Error(f"model: {kind(model)}; give what deepsleep.load returns, a Classifier, a torch module or a function of images")
