"""Many attacks at many radii, and the paper's tables."""

from __future__ import annotations

import contextlib
import html
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from . import _native
from ._architecture import Layers
from ._architecture import architecture as describe
from ._arguments import StrPath, attack_of, brief, eps_of, ids_of, labels_of, list_of, norm_of, path_of, seed_of, switch, whole, word_of
from ._classifier import changes, wrong_gradients
from ._data import data_of, dataset
from ._fingerprint import remembered
from ._models import another, resolve
from ._native import Error
from ._progress import shown
from ._training import changes_of, profile_of


def _several(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple, np.ndarray)) and np.ndim(value) else [value]


@contextlib.contextmanager
def doubted(checkpoint: str | None, *models: Any) -> Iterator[list[str]]:
    """What to say of models after work with them, however that ends. What was kept of a model that changed is set aside: it would
    be taken for results of the model that it was."""
    found: list[str] = []
    try:
        yield found
    finally:
        changed = changes(*models)
        found += [*changed, *wrong_gradients(*models)]
        if changed and checkpoint is not None and Path(checkpoint).is_file():
            aside = f"{checkpoint}.doubted"
            os.replace(checkpoint, aside)
            found[0] += f" (its results were set aside: {aside})"


class Evaluation:
    """What attacks leave of a model.

    Parameters
    ----------
    results : list of dict
        One an attack and radius: `attack`, `eps`, `robust_accuracy`, `warnings` and all other numbers.
    worst_case : list of dict
        One a radius, over all attacks, image by image: `robust_accuracy`, `strongest`, `fooled_only_by`.
    """

    results: list[dict[str, Any]]
    worst_case: list[dict[str, Any]]

    def __init__(self, results: list[dict[str, Any]], worst_case: list[dict[str, Any]]) -> None:
        self.results, self.worst_case = results, worst_case

    def __repr__(self) -> str:
        rows = [f"{r['attack']} ({r['norm']}, eps {r['eps']:.6g}): {100 * r['robust_accuracy']:.2f} %" for r in self.results]
        rows += [f"worst case at {w['eps']:.6g}: {100 * w['robust_accuracy']:.2f} %" for w in self.worst_case]
        return "\n".join(rows + [f"warning: {warning}" for warning in self.warnings])

    @property
    def warnings(self) -> list[str]:
        """What to know before any of these numbers is used, with the attack and radius that it is about."""
        return [f"{r['attack']}, eps {r['eps']:.6g}: {warning}" for r in self.results for warning in r["warnings"]]

    def _repr_html_(self) -> str:
        def row(name: str, eps: float, share: float) -> str:
            return f"<tr><td>{html.escape(name)}</td><td>{eps:.6g}</td><td>{100 * share:.2f} %</td></tr>"

        rows = [row(r["attack"], r["eps"], r["robust_accuracy"]) for r in self.results]
        rows += [row("worst case", w["eps"], w["robust_accuracy"]) for w in self.worst_case]
        items = "".join(f"<li>{html.escape(warning)}</li>" for warning in self.warnings)
        table = f"<table><tr><th>attack</th><th>eps</th><th>robust accuracy</th></tr>{''.join(rows)}</table>"
        return table + (f"<ul>{items}</ul>" if items else "")


def evaluate(
    model: Any,
    images: Any,
    labels: Any,
    attacks: str | Sequence[str] = "autoattack",
    *,
    norm: str = "linf",
    eps: float | str | Sequence[float | str],
    seed: int | None = 0,
    source: Any = None,
    checkpoint: StrPath | None = None,
    portion: int = 256,
    threads: int = 0,
    progress: bool | None = None,
) -> Evaluation:
    """Run attacks at radii, and take the worst case over all of them.

    Parameters
    ----------
    model : Model, Classifier, torch.nn.Module, callable or path
        What is attacked; see `load` and `Classifier`.
    images : numpy.ndarray or torch.Tensor
        `[n, channels, height, width]`, float32, pixels from 0 to 1.
    labels : numpy.ndarray or torch.Tensor
        `[n]`, the classes as integers.
    attacks : str or sequence of str
        Descriptions, as for `deepsleep.attack`.
    norm : {"linf", "l2", "l1", "l0"}
        How the change of an image is measured.
    eps : float, str or sequence of them
        Radii, pixels from 0 to 1: `8/255` or `"8/255"`.
    seed : int
        Of all random numbers.
    source : model, optional
        Another model to craft the images on (transfer).
    checkpoint : path, optional
        A file that keeps every portion of images as soon as it is done. The same call again goes on from there, after
        Ctrl-C or a power cut.
    portion : int
        How many images are attacked before the file is written again.
    threads : int
        0: all cores. Results do not depend on it.
    progress : bool, optional
        Whether to show it, through tqdm; by default on a terminal and in a notebook.

    Returns
    -------
    Evaluation
        Numbers by attack and radius, and the worst case by radius.

    Raises
    ------
    Error
        If anything does not fit, or if the file holds something else.
    """
    norm, display = norm_of(norm), shown(progress)
    specs, radii = [attack_of(attack) for attack in _several(attacks)], [eps_of(radius, norm) for radius in _several(eps)]
    seed, threads, portion = seed_of(seed), whole(threads, "threads", 0, 1024), whole(portion, "portion", 1)
    place = None if checkpoint is None else path_of(checkpoint, "checkpoint")
    target, classes, given = resolve(model, images)
    labels = labels_of(labels, len(given), classes)
    models, crafted_on = {"model": target}, None
    if source is not None:
        crafted_on = models["source"] = another(source, images, classes, "source")
    about = {} if place is None else remembered(place, models, given.pixels)
    samples = _native.Samples(given.pixels, labels, ids_of(None, len(given)))
    with doubted(place, target, crafted_on) as said, display as advance:
        answer = _native.run_many(
            target, samples, specs, norm, radii, seed, threads, portion, about, place, source=crafted_on, progress=advance
        )
    found = json.loads(answer)
    of_gradients = wrong_gradients(target, crafted_on)
    for result in found["results"]:
        # What is wrong with gradients is of no concern to an attack that asks for none.
        result["warnings"] += [doubt for doubt in said if result["backward_passes"] or doubt not in of_gradients]
    return Evaluation(found["results"], found["worst_case"])


def reproduce(
    out: StrPath = "results",
    *,
    quick: bool = False,
    tables: Sequence[int] = (),
    figures: Sequence[int] = (),
    profile: str = "published",
    settings: Mapping[str, Any] | None = None,
    seeds: int = 1,
    threat_models: str | Sequence[str] = ("transfer", "white-box"),
    images: int | None = None,
    white_box_images: int | None = None,
    architecture: StrPath | Layers = "lenet",
    data: StrPath = "mnist",
    jobs: int = 1,
    threads: int = 0,
    progress: bool | None = None,
) -> tuple[dict[str, Any], Path]:
    """Reproduce the paper's tables and figures.

    Finished jobs are kept in the folder `out` and never repeated: after Ctrl-C or a power cut, the same call goes on. The
    folder is that of `deepsleep-cli reproduce`, and either can go on with what the other began.

    Parameters
    ----------
    out : path
        The folder of the results.
    quick : bool
        Whether to make a short run: five methods, two noise scales, fewer images, long trainings shortened. The report gives error bars.
    tables : sequence of int
        Which tables; by default all, unless figures are given.
    figures : sequence of int
        Which figures; by default all, unless tables are given.
    profile : {"published", "paper", "standard", "lucid"}
        Whose settings.
    settings : mapping, optional
        Settings by dotted name; `deepsleep.settings` lists them.
    seeds : int
        How many seeds: 0, 1, ...
    threat_models : str or sequence of str
        Who crafts the images: `transfer` (on the control), `white-box` (on the model itself), or both.
    images : int, optional
        Test images under transfer attacks; by default all.
    white_box_images : int, optional
        Test images under white-box attacks; 1,000 by default.
    architecture : str, path or dict
        Which network; see `deepsleep.architecture`.
    data : str or path
        A data set's name or folder.
    jobs : int
        Jobs side by side. 0: one a thread, but four at most. Results do not depend on it.
    threads : int
        0: all cores. Results do not depend on it.
    progress : bool, optional
        Whether to show it, through tqdm; by default on a terminal and in a notebook.

    Returns
    -------
    results : dict
        The numbers of the report.
    page : pathlib.Path
        The report, to open in a browser.

    Raises
    ------
    Error
        If anything does not fit, or if the folder holds results of other images, of another network or another profile. Those of other
        settings are kept for when they are asked for again; the report is of what was asked for last.
    """
    quick, display, threats = switch(quick, "quick"), shown(progress, "job"), _several(threat_models)
    for threat in threats:
        word_of(threat, "threat_models", ("transfer", "white-box"))
    if not threats:
        raise Error("threat_models: none; give 'transfer', 'white-box' or both")
    for name, asked, threat in [("images", images, "transfer"), ("white_box_images", white_box_images, "white-box")]:
        if asked is not None and threat not in threats:
            raise Error(f"{name}: {brief(asked)}, of the threat model {threat!r}, which is not in threat_models; leave {name} out")
    named = path_of(data, "data")
    train, known = data_of(dataset(named, "train"), "data")
    test, other = data_of(dataset(named, "test"), "test")

    def count(value: int | None, name: str) -> int | None:
        return None if value is None else whole(value, name, 1, len(other))

    plain = isinstance(architecture, str) and "/" not in architecture and "." not in architecture
    layers = describe(architecture, known.images.shape[1:], known.classes) if plain else describe(architecture)
    with display as advance:
        answer, page = _native.run_reproduction(
            train, test, known.name, path_of(out, "out"), quick,
            [whole(t, "tables", 1) for t in list_of(tables, "tables", "numbers")],
            [whole(f, "figures", 1) for f in list_of(figures, "figures", "numbers")], json.dumps(layers), profile_of(profile),
            changes_of(settings), whole(seeds, "seeds", 1, 1000), "transfer" in threats, "white-box" in threats,
            count(images, "images"), count(white_box_images, "white_box_images"), whole(jobs, "jobs", 0, 64),
            whole(threads, "threads", 0, 1024), progress=advance,
        )
    results: dict[str, Any] = json.loads(answer)
    return results, Path(page)
