"""Attacks."""

from __future__ import annotations

from typing import Any

from . import _native
from ._arguments import attack_of, eps_of, ids_of, labels_of, norm_of, seed_of, whole
from ._classifier import doubts
from ._models import another, resolve
from ._progress import shown
from ._report import Report


def attacks() -> dict[str, dict[str, Any]]:
    """All attacks.

    Returns
    -------
    dict
        By name: `{"summary": ..., "options": {key: (default, meaning)}}`.
    """
    return {
        name: {"summary": summary, "options": {key: (default, meaning) for key, default, meaning in options}}
        for name, summary, options in _native.attacks()
    }


def attack(
    model: Any,
    images: Any,
    labels: Any,
    attack: str = "autoattack",
    *,
    norm: str = "linf",
    eps: float | str,
    seed: int | None = 0,
    source: Any = None,
    ids: Any = None,
    threads: int = 0,
    progress: bool | None = None,
) -> Report:
    """Attack a model.

    Parameters
    ----------
    model : Model, Classifier, torch.nn.Module, callable or path
        What is attacked; see `load` and `Classifier`.
    images : numpy.ndarray or torch.Tensor
        `[n, channels, height, width]`, float32, pixels from 0 to 1: normalization belongs in the model.
    labels : numpy.ndarray or torch.Tensor
        `[n]`, the classes as integers.
    attack : str
        `name:key=value,...`, such as `"apgd-ce:steps=100"`; `attacks` lists names and options.
    norm : {"linf", "l2", "l1", "l0"}
        How the change of an image is measured.
    eps : float or str
        The radius, pixels from 0 to 1: `8/255` or `"8/255"`.
    seed : int
        Of all random numbers. Attacks that draw none (`cw`, `deepfool`, `fgsm`, `fab` with one restart, ...) give the same with any.
    source : model, optional
        Another model to craft the images on (transfer).
    ids : array of int, optional
        Identities of the images, which their random numbers depend on; by default their places.
    threads : int
        0: all cores. Results do not depend on it.
    progress : bool, optional
        Whether to show it, through tqdm; by default on a terminal and in a notebook.

    Returns
    -------
    Report
        Numpy of numpy, torch of torch.

    Raises
    ------
    Error
        If anything does not fit, in one line.

    Examples
    --------
    >>> report = deepsleep.attack("lucid", images, labels, "pgd:steps=40", eps=64/255)
    >>> report.robust_accuracy
    """
    description, norm = attack_of(attack), norm_of(norm)
    radius, seed = eps_of(eps, norm), seed_of(seed)
    threads, display = whole(threads, "threads", 0, 1024), shown(progress)
    target, classes, given = resolve(model, images)
    labels = labels_of(labels, len(given), classes)
    crafted_on = None if source is None else another(source, images, classes, "source")
    samples = _native.Samples(given.pixels, labels, ids_of(ids, len(given)))
    with display as advance:
        result = _native.run_one(
            target, samples, description, norm, radius, seed, threads, source=crafted_on, progress=advance
        )
    return Report(result, given, radius, doubts(target, crafted_on))
