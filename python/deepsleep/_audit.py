"""Whether a robust accuracy can be trusted."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from . import _native
from ._arguments import StrPath, attack_of, brief, eps_of, ids_of, labels_of, list_of, norm_of, path_of, seed_of, switch, text_of, whole
from ._evaluation import doubted
from ._exports import warn
from ._fingerprint import remembered
from ._models import another, resolve
from ._native import Error
from ._progress import shown


class Audit:
    """Whether a robust accuracy can be trusted. It is made by `audit`.

    Parameters
    ----------
    report : str
        What the engine answered, as JSON.

    Attributes
    ----------
    verdict : str
        `not trusted`, `doubtful`, `no reason to doubt`, or `undecided` (fewer than 500 images).
    robust_accuracy : float
        The number to report: the share of images that withstand everything that was tried.
    interval : tuple of float
        Where the true one lies, with 95 % confidence.
    checks : list of dict
        `name`, `finding` (`pass`, `warn` or `fail`), `statistic`, `interval`, `threshold`, what it `catches`, and of those that do
        not pass their `meaning`.
    attacks : list of dict
        What each attack found: `attack` with its options, `eps`, `samples`, `fooled`, `invalid`, and passes.
    summary : dict
        All of it.
    """

    def __init__(self, report: str) -> None:
        self._report = report
        self.summary: dict[str, Any] = json.loads(report)
        self.verdict: str = self.summary["verdict"]
        self.robust_accuracy: float = self.summary["robust_accuracy"]
        low, high = self.summary["interval"]
        self.interval: tuple[float, float] = low, high
        self.checks: list[dict[str, Any]] = self.summary["checks"]
        self.attacks: list[dict[str, Any]] = self.summary["attacks"]

    def page(self, model: str = "the model", data: str = "") -> str:
        """The audit as a page of HTML, with its curves.

        Parameters
        ----------
        model : str
            What the page calls the model.
        data : str
            What the page calls the data set.

        Returns
        -------
        str
            The content of an HTML file.
        """
        return _native.page_of_audit(text_of(str(model), "model"), text_of(str(data), "data"), self._report)

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


def _claim(claim: Any) -> float | None:
    """A robust accuracy that is claimed."""
    numbers = int, float, np.integer, np.floating
    if claim is None:
        return None
    if isinstance(claim, bool) or not isinstance(claim, numbers) or not 0 <= claim <= 1:
        raise Error(f"claim: {brief(claim)}; a robust accuracy is a share from 0 to 1")
    return float(claim)


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
    checkpoint: StrPath | None = None,
    threads: int = 0,
    progress: bool | None = None,
) -> Audit:
    """Check whether a robust accuracy can be trusted: masked gradients, attacks that fail, numbers above what is left.

    Parameters
    ----------
    model : Model, Classifier, torch.nn.Module, callable or path
        What is audited; see `load` and `Classifier`.
    images : numpy.ndarray or torch.Tensor
        `[n, channels, height, width]`, float32, pixels from 0 to 1.
    labels : numpy.ndarray or torch.Tensor
        `[n]`, the classes as integers.
    norm : {"linf", "l2", "l1", "l0"}
        How the change of an image is measured.
    eps : float or str
        The radius, pixels from 0 to 1: `8/255` or `"8/255"`.
    claim : float, optional
        The robust accuracy that is claimed, from 0 to 1.
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
    seed : int
        Of all random numbers.
    checkpoint : path, optional
        A file that keeps what is done; the same call again goes on from there.
    threads : int
        0: all cores. Results do not depend on it.
    progress : bool, optional
        Whether to show it, through tqdm; by default on a terminal and in a notebook.

    Returns
    -------
    Audit
        The verdict, the number to report, and every check.

    Raises
    ------
    Error
        If anything does not fit, or if the file holds something else.
    """
    norm, display = norm_of(norm), shown(progress, "stage")
    claimed, by = _claim(claim), None if attack is None else attack_of(attack)
    fast, radius = switch(fast, "fast"), eps_of(eps, norm)
    if attack is not None and claim is None:
        raise Error("attack: it belongs to a claim; give claim=")
    seed, threads = seed_of(seed), whole(threads, "threads", 0, 1024)
    count, search = whole(count, "count", 1), whole(search, "search", 1)
    place = None if checkpoint is None else path_of(checkpoint, "checkpoint")
    target, classes, given = resolve(model, images)
    labels = labels_of(labels, len(given), classes)
    others = [another(twin, images, classes, f"twin {i}") for i, twin in enumerate(list_of(twins, "twins", "models"), 1)]
    models = {"model": target, **{f"twin {i}": twin for i, twin in enumerate(others, 1)}}
    about = {} if place is None else remembered(place, models, given.pixels)
    samples = _native.Samples(given.pixels, labels, ids_of(None, len(given)))
    with doubted(place, target, *others) as said, display as advance:
        report = _native.run_audit(
            target, samples, norm, radius, seed, count, claimed, search, fast, by, others, threads, about, place, progress=advance
        )
    for doubt in said:
        warn(doubt, stacklevel=2)
    return Audit(report)
