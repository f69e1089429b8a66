"""Many attacks at many radii, audits, and the paper's tables."""

from __future__ import annotations

import hashlib
import html
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from . import _native
from ._architecture import architecture as describe
from ._arguments import Error, attack_of, eps_of, ids_of, labels_of, norm_of, seed_of, whole
from ._data import data_of, dataset
from ._models import path_of, resolve
from ._progress import shown
from ._training import changes_of


def _several(value: Any) -> list:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _fingerprint(target: Any, images: np.ndarray) -> str:
    """What a file of finished parts remembers a model by: its weights or, of a model of Python's, some of its answers."""
    if isinstance(target, _native.Network):
        run_as = f"{target.architecture} {target.is_spiking} {target.draws}"
        return hashlib.sha256(run_as.encode() + target.to_bytes()).hexdigest()
    if target.random:
        # Its answers are others every time; that it is the same model is for the caller to know.
        return "a random model of Python's"
    some = np.ascontiguousarray(images[:16])
    samples = _native.Samples(some, np.zeros(len(some), np.int64), ids_of(None, len(some)))
    return "answers " + hashlib.sha256(_native.logits(target, samples, 0, 1).round(3).tobytes()).hexdigest()


class Evaluation:
    """What attacks leave of a model.

    Attributes
    ----------
    results : list of dict
        One an attack and radius: `attack`, `eps`, `robust_accuracy`, `warnings` and all other numbers.
    worst_case : list of dict
        One a radius, over all attacks, image by image: `robust_accuracy`, `strongest`, `fooled_only_by`.
    """

    def __init__(self, results: list[dict], worst_case: list[dict]) -> None:
        self.results, self.worst_case = results, worst_case

    def __repr__(self) -> str:
        rows = [f"{r['attack']} ({r['norm']}, eps {r['eps']:.6g}): {100 * r['robust_accuracy']:.2f} %" for r in self.results]
        return "\n".join(rows + [f"worst case at {w['eps']:.6g}: {100 * w['robust_accuracy']:.2f} %" for w in self.worst_case])

    def _repr_html_(self) -> str:
        def row(name: str, eps: float, share: float) -> str:
            return f"<tr><td>{html.escape(name)}</td><td>{eps:.6g}</td><td>{100 * share:.2f} %</td></tr>"

        rows = [row(r["attack"], r["eps"], r["robust_accuracy"]) for r in self.results]
        rows += [row("worst case", w["eps"], w["robust_accuracy"]) for w in self.worst_case]
        return f"<table><tr><th>attack</th><th>eps</th><th>robust accuracy</th></tr>{''.join(rows)}</table>"


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
    checkpoint: str | os.PathLike | None = None,
    portion: int = 256,
    threads: int = 0,
    progress: bool | None = None,
) -> Evaluation:
    """Runs attacks at radii, and takes the worst case over all of them.

    Parameters
    ----------
    attacks : str or sequence of str
        Descriptions, as for `deepsleep.attack`.
    eps : number or sequence
        Radii.
    checkpoint : path, optional
        A file that keeps every portion of images as soon as it is done. The same call again goes on from there, after
        Ctrl-C or a power cut.
    portion : int
        Images attacked between two of these.

    See `deepsleep.attack` for the rest.
    """
    norm = norm_of(norm)
    target, classes, given = resolve(model, images)
    labels = labels_of(labels, len(given), classes)
    about = {"model": _fingerprint(target, given.pixels)} if checkpoint is not None else {}
    crafted_on = None
    if source is not None:
        crafted_on, _, _ = resolve(source, images)
        about["source"] = _fingerprint(crafted_on, given.pixels)
    samples = _native.Samples(given.pixels, labels, ids_of(None, len(given)))
    with shown(progress) as advance:
        found = _native.run_many(
            target, samples, [attack_of(attack) for attack in _several(attacks)], norm,
            [eps_of(radius, norm) for radius in _several(eps)], seed_of(seed), whole(threads, "threads", 0, 1024),
            whole(portion, "portion", 1), about, None if checkpoint is None else path_of(checkpoint, "checkpoint"),
            source=crafted_on, progress=advance,
        )
    found = json.loads(found)
    return Evaluation(found["results"], found["worst_case"])


class Audit:
    """Whether a robust accuracy can be trusted.

    Attributes
    ----------
    verdict : str
        `not trusted`, `doubtful`, `no reason to doubt`, or `undecided` (fewer than 500 images).
    robust_accuracy : float
        The number to report: the share of images that withstand everything that was tried.
    interval : tuple of float
        Where the true one lies, with 95 % confidence.
    checks : list of dict
        `name`, `finding` (`pass`, `warn` or `fail`), `statistic`, `threshold`, `meaning`.
    attacks : list of dict
        What each attack found.
    """

    def __init__(self, report: str) -> None:
        self._report = report
        self.summary: dict[str, Any] = json.loads(report)
        self.verdict: str = self.summary["verdict"]
        self.robust_accuracy: float = self.summary["robust_accuracy"]
        self.interval: tuple[float, float] = tuple(self.summary["interval"])
        self.checks: list[dict] = self.summary["checks"]
        self.attacks: list[dict] = self.summary["attacks"]

    def page(self, model: str = "the model", data: str = "") -> str:
        """The audit as a page of HTML, with its curves; it names the model and the data set."""
        return _native.page_of_audit(str(model), str(data), self._report)

    def __repr__(self) -> str:
        doubts = [f"{check['finding']}: {check['name']}: {check['meaning']}" for check in self.checks if check["finding"] != "pass"]
        low, high = self.interval
        number = f"{100 * self.robust_accuracy:.2f} % ({100 * low:.2f} to {100 * high:.2f})"
        return "\n".join([f"verdict: {self.verdict}; the number to report: {number}", *doubts])

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{check['finding']}</td><td>{html.escape(check['name'])}</td><td>{check['statistic']:.4f}</td>"
            f"<td>{html.escape(check.get('meaning', ''))}</td></tr>"
            for check in self.checks
        )
        return f"<pre>{html.escape(repr(self).splitlines()[0])}</pre><table>{rows}</table>"


def audit(
    model: Any,
    images: Any,
    labels: Any,
    *,
    norm: str = "linf",
    eps: float | str,
    claim: float | None = None,
    attack: str | None = None,
    twins: Sequence[Any] = (),
    count: int = 500,
    search: int = 100,
    fast: bool = False,
    seed: int | None = 0,
    checkpoint: str | os.PathLike | None = None,
    threads: int = 0,
    progress: bool | None = None,
) -> Audit:
    """Checks whether a robust accuracy can be trusted: masked gradients, attacks that fail, numbers above what is left.

    Parameters
    ----------
    claim : float, optional
        The robust accuracy that somebody claims, from 0 to 1.
    attack : str, optional
        The attack that the claim comes from.
    twins : sequence of models
        Other networks for the same task, whose images are shown to this one.
    count : int
        Rightly classified images to audit; fewer than 500 that raise no doubt decide nothing.
    search : int
        Images that withstood gradients and are searched without them.
    fast : bool
        Whether to leave out the long tail of attacks with gradients.
    checkpoint : path, optional
        A file that keeps what is done; the same call again goes on from there.

    See `deepsleep.attack` for the rest.
    """
    norm = norm_of(norm)
    if claim is not None and not (isinstance(claim, (int, float)) and 0 <= claim <= 1):
        raise Error(f"claim: {claim!r}; a robust accuracy is a share from 0 to 1")
    if attack is not None and claim is None:
        raise Error("attack: it belongs to a claim; give claim=")
    target, classes, given = resolve(model, images)
    labels = labels_of(labels, len(given), classes)
    others = [resolve(twin, images)[0] for twin in twins]
    about = {}
    if checkpoint is not None:
        about = {f"model {i}": _fingerprint(other, given.pixels) for i, other in enumerate([target, *others])}
    samples = _native.Samples(given.pixels, labels, ids_of(None, len(given)))
    with shown(progress, "stage") as advance:
        report = _native.run_audit(
            target, samples, norm, eps_of(eps, norm), seed_of(seed), whole(count, "count", 1),
            None if claim is None else float(claim), whole(search, "search", 1), bool(fast),
            None if attack is None else attack_of(attack), others, whole(threads, "threads", 0, 1024), about,
            None if checkpoint is None else path_of(checkpoint, "checkpoint"), progress=advance,
        )
    return Audit(report)


def reproduce(
    out: str | os.PathLike = "results",
    *,
    quick: bool = False,
    tables: Sequence[int] = (),
    figures: Sequence[int] = (),
    profile: str = "published",
    settings: Mapping[str, Any] | None = None,
    seeds: int = 1,
    threat_models: Sequence[str] = ("transfer", "white-box"),
    images: int | None = None,
    white_box_images: int | None = None,
    architecture: str | os.PathLike | dict = "lenet",
    data: str | os.PathLike = "mnist",
    jobs: int = 1,
    threads: int = 0,
    progress: bool | None = None,
) -> tuple[dict[str, Any], Path]:
    """Reproduces the paper's tables and figures.

    Finished jobs are kept in the folder `out` and never repeated: after Ctrl-C or a power cut, the same call goes on. The
    folder is that of `deepsleep-cli reproduce`, and either can go on with what the other began.

    Returns
    -------
    results : dict
    page : Path
        The report, to open in a browser.
    """
    threats = _several(threat_models)
    for threat in threats:
        if threat not in ("transfer", "white-box"):
            raise Error(f"threat_models: {threat!r}; expected 'transfer' or 'white-box'")
    if not threats:
        raise Error("threat_models: none; give 'transfer', 'white-box' or both")
    named = path_of(data, "data")
    train, known = data_of(dataset(named, "train"), "data")
    test, other = data_of(dataset(named, "test"), "test")

    def count(value: int | None, name: str) -> int | None:
        return None if value is None else whole(value, name, 1, len(other))

    plain = isinstance(architecture, str) and "/" not in architecture and "." not in architecture
    layers = describe(architecture, known.images.shape[1:], known.classes) if plain else describe(architecture)
    with shown(progress, "job") as advance:
        results, page = _native.run_reproduction(
            train, test, known.name, path_of(out, "out"), bool(quick), [whole(t, "tables", 1) for t in tables],
            [whole(f, "figures", 1) for f in figures], json.dumps(layers), str(profile).lower(), changes_of(settings or {}),
            whole(seeds, "seeds", 1, 1000), "transfer" in threats, "white-box" in threats, count(images, "images"),
            count(white_box_images, "white_box_images"), whole(jobs, "jobs", 0, 64), whole(threads, "threads", 0, 1024),
            progress=advance,
        )
    return json.loads(results), Path(page)
