"""Trainings and defenses."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from . import _native
from ._architecture import Layers
from ._architecture import architecture as describe
from ._arguments import StrPath, brief, json_of, kind, path_of, seed_of, switch, whole
from ._data import data_of
from ._models import Model, load
from ._native import Error
from ._progress import shown


# What other packages call settings of a training.
_ELSEWHERE = {
    "lr": "learning_rate",
    "batch": "batch_size",
    "bs": "batch_size",
    "optimizer": "rule, such as rule='adam'",
    "momentum": "rule, such as rule='sgd:momentum=0.9'",
    "weight_decay": "rule, such as rule='sgd:weight_decay=5e-4'",
}


def train(
    data: Any = "mnist",
    test: Any = None,
    *,
    architecture: StrPath | Layers | None = None,
    start: Any = None,
    seed: int | None = 0,
    settings: Mapping[str, Any] | None = None,
    out: StrPath | None = None,
    resume: bool = False,
    threads: int = 0,
    progress: bool | None = None,
    **control: Any,
) -> Model:
    """Train a network without a defense.

    Parameters
    ----------
    data : Dataset, pair of arrays, name or path
        What to train on: images and labels. Of a named data set it is the half `train`.
    test : Dataset, pair of arrays, name or path, optional
        What to measure on after every epoch; by default the other half of the named data set.
    architecture : str, path or dict, optional
        Which network; see `deepsleep.architecture`. By default `lenet`.
    start : Model or path, optional
        A network to go on with instead, which has its own architecture.
    seed : int
        Of the first weights and the order of the images.
    settings : mapping, optional
        Settings by dotted name; `deepsleep.settings` lists them.
    out : path, optional
        A file for the network; `out.checkpoint` holds the last epoch until it is there.
    resume : bool
        Whether to go on from `out.checkpoint`, or else from `out`: with its epochs done it is returned as it is, with fewer
        it gets the rest. Without either file the training begins. The bits are those of an uninterrupted training.
    threads : int
        0: all cores. Results do not depend on it.
    progress : bool, optional
        Whether to show it, through tqdm; by default on a terminal and in a notebook.
    **control
        Settings of the control by their own names: `epochs=3, learning_rate=0.05, batch_size=64`.

    Returns
    -------
    Model
        Its `history` has loss and accuracy of every epoch.

    Raises
    ------
    Error
        If anything does not fit, if a file cannot be written, or if the one to resume is of other options.
    """
    changes = dict(_mapping(settings))
    for name, value in control.items():
        if name in _ELSEWHERE:
            raise Error(f"{name}: the setting is called {_ELSEWHERE[name]}")
        if f"control.{name}" in changes:
            raise Error(f"{name}: {brief(value)} and settings['control.{name}']: {brief(changes[f'control.{name}'])}; give one of them")
        changes[f"control.{name}"] = value
    if start is not None and architecture is not None:
        raise Error(f"architecture: {brief(architecture)}, and start: its network has its own; give one of them")
    network = None if start is None else _network(start, "start")
    layers = None if network is not None else "lenet" if architecture is None else architecture
    return _run(data, test, None, network, layers, "published", seed, changes, out, resume, threads, progress)


def defend(
    control: Any,
    defense: str = "deepsleep",
    data: Any = "mnist",
    test: Any = None,
    *,
    profile: str | None = None,
    seed: int | None = 0,
    settings: Mapping[str, Any] | None = None,
    out: StrPath | None = None,
    resume: bool = False,
    threads: int = 0,
    progress: bool | None = None,
) -> Model:
    """Defend a trained network.

    Parameters
    ----------
    control : Model or path
        The network to start from.
    defense : str
        `defenses` lists them.
    data : Dataset, pair of arrays, name or path
        What to train on: images and labels. Of a named data set it is the half `train`.
    test : Dataset, pair of arrays, name or path, optional
        What to measure on after every epoch; by default the other half of the named data set.
    profile : {"published", "paper", "standard", "lucid"}, optional
        Whose settings; by default `lucid` for the defense of that name, else `published`.
    seed : int
        Of all random numbers.
    settings : mapping, optional
        Settings by dotted name; `deepsleep.settings` lists them.
    out : path, optional
        A file for the network; `out.checkpoint` holds the last pass until it is there.
    resume : bool
        Whether to go on from `out.checkpoint`; without it a finished `out` is returned as it is. Without either file the
        defense begins. The bits are those of an uninterrupted run.
    threads : int
        0: all cores. Results do not depend on it.
    progress : bool, optional
        Whether to show it, through tqdm; by default on a terminal and in a notebook.

    Returns
    -------
    Model
        Its `history` has what was measured after every pass.

    Raises
    ------
    Error
        If anything does not fit, if a file cannot be written, or if the one to resume is of other options.
    """
    if not isinstance(defense, str):
        raise Error(f"defense: {kind(defense)}; give a name, deepsleep.defenses() lists all")
    name = defense.strip().lower()
    usual = "lucid" if name == "lucid" else "published"
    network = _network(control, "control")
    return _run(data, test, name, network, None, usual if profile is None else profile, seed, _mapping(settings), out, resume, threads, progress)


def _network(given: Any, what: str) -> _native.Network:
    if isinstance(given, (str, os.PathLike)):
        given = load(given)
    if not isinstance(given, Model):
        raise Error(f"{what}: {kind(given)}; give what deepsleep.load or train returns, or a file")
    return given._network


def _run(
    data: Any, test: Any, defense: str | None, network: _native.Network | None, layers: StrPath | Layers | None, profile: str,
    seed: Any, settings: Mapping[str, Any], out: Any, resume: bool, threads: int, progress: bool | None,
) -> Model:
    profile = profile_of(profile)
    if test is None and not isinstance(data, (str, os.PathLike)):
        raise Error("test: give images to measure on, as (images, labels); only of a named data set the other half is known")
    changes, seed = changes_of(settings), seed_of(seed)
    resume, threads, display = switch(resume, "resume"), whole(threads, "threads", 0, 1024), shown(progress)
    if resume and out is None:
        raise Error("resume: without out there is no checkpoint to go on from")
    place = None if out is None else path_of(out, "out")
    classes = network.classes if network is not None else None
    ours, known = data_of(data, "data", classes)
    theirs, _ = data_of(data if test is None else test, "test", classes or known.classes)
    described = None
    if layers is not None:
        named = isinstance(layers, str) and "/" not in layers and "." not in layers
        shape = known.images.shape[1:]
        described = json.dumps(describe(layers, shape, known.classes) if named else describe(layers))
    with display as advance:
        trained, history = _native.run_training(
            ours, theirs, defense, network, described, profile, seed, changes, place, resume,
            threads, progress=advance,
        )
    return Model(trained, json.loads(history))


def _mapping(settings: Any) -> Mapping[str, Any]:
    if settings is None:
        return {}
    if not isinstance(settings, Mapping):
        raise Error(f"settings: {kind(settings)}; give a dict, such as {{'control.epochs': 3}}")
    return settings


def profile_of(profile: Any) -> str:
    """The name of a profile, in any case; the engine knows which there are."""
    if not isinstance(profile, str) or not profile.isprintable():
        raise Error(f"profile: {brief(profile)}; expected published, paper, standard or lucid")
    return profile.lower()


def changes_of(settings: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """Settings as the engine reads them."""
    changes = [(str(name), _text(value)) for name, value in _mapping(settings).items()]
    for name, value in changes:
        if not name.isprintable() or not value.isprintable():
            raise Error(f"settings: {brief(name)}: {brief(value)}; expected the name of a setting and its value")
    return changes


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else json_of(value, "settings") if isinstance(value, (dict, list)) else str(value)


def settings(profile: str = "published") -> dict[str, str]:
    """All settings of a profile.

    Parameters
    ----------
    profile : {"published", "paper", "standard", "lucid"}
        Whose settings.

    Returns
    -------
    dict
        Values by dotted name, as text.
    """
    return dict(_native.all_settings(profile_of(profile)))


def defenses() -> dict[str, str]:
    """The defenses.

    Returns
    -------
    dict
        From names to what they do.
    """
    return dict(_native.defenses())
