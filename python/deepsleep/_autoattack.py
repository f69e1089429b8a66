"""The official AutoAttack's interface, with this engine behind it."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

import numpy as np

from . import _native
from ._arguments import (
    Array, Images, StrPath, brief, eps_of, ids_of, is_module, is_tensor, labels_of, norm_of, path_of, seed_of, switch, whole, word_of,
)
from ._attack import attack
from ._classifier import Classifier, doubts
from ._devices import check_device, move
from ._exports import warn
from ._logs import check_log
from ._models import Model, answer_of, of_module, resolve
from ._native import Error
from ._report import Report
from ._versions import ALL, RUNS, Apgd, Fab, Square, Targeted, attacks_of, checked, descriptions


class AutoAttack:
    """AutoAttack with the arguments and the results of the official package (Croce & Hein 2020).

    Parameters
    ----------
    model : torch.nn.Module, callable, Model or Classifier
        From images with pixels from 0 to 1 to logits.
    norm : {"Linf", "L2", "L1"}
        How the change of an image is measured.
    eps : float
        The radius, pixels from 0 to 1.
    seed : int, optional
        None is 0, so that results are the same every time (the official package takes the time).
    verbose : bool
        Whether to print a line for each attack.
    attacks_to_run : list of str
        Of version `custom`: some of `apgd-ce`, `apgd-dlr`, `apgd-t`, `fab`, `fab-t`, `square`, in their order. The numbers
        of restarts, steps and queries are attributes, as in the official package: `adversary.apgd.n_restarts = 2`.
    version : {"standard", "plus", "rand", "custom"}
        Which attacks run; `rand` is for models that draw random numbers.
    is_tf_model : bool
        Refused; a TensorFlow model can be wrapped as a `Classifier`.
    device : str, optional
        Of a torch module: it is moved there; by default it computes where its parameters are. Refused for any other model.
    log_path : path, optional
        A file that the lines are appended to, if `verbose`.

    Attributes
    ----------
    report : Report or None
        What a version of the official package found on all images, which the engine runs as one ensemble. None of `custom`, of
        a version with changed attributes, and of `run_standard_evaluation_individual`: `reports` has their parts.
    reports : dict of Report
        By name what each attack found: on all images, if it ran individually, else on those that the attacks before it left.
        Of an ensemble, it is `autoattack` alone.

    Examples
    --------
    >>> adversary = deepsleep.AutoAttack(model, norm="Linf", eps=8/255, version="standard")
    >>> x_adv = adversary.run_standard_evaluation(x, y, bs=250)
    """

    __slots__ = (
        "apgd", "apgd_targeted", "attacks_to_run", "device", "epsilon", "fab", "log_path", "model", "norm", "reports", "seed",
        "square", "verbose", "_version",
    )

    model: Any
    norm: str
    epsilon: float
    seed: int | None
    verbose: bool
    _version: str
    device: str | None
    log_path: StrPath | None
    attacks_to_run: list[str]
    apgd: Apgd
    apgd_targeted: Targeted
    fab: Fab
    square: Square
    reports: dict[str, Report]

    def __init__(
        self,
        model: Any,
        norm: str = "Linf",
        eps: float = 0.3,
        seed: int | None = None,
        verbose: bool = True,
        attacks_to_run: list[str] | tuple[str, ...] = (),
        version: str = "standard",
        is_tf_model: bool = False,
        device: str | None = None,
        log_path: StrPath | None = None,
    ) -> None:
        if switch(is_tf_model, "is_tf_model"):
            raise Error("is_tf_model: TensorFlow models are not read; wrap one as deepsleep.Classifier(logits=..., gradient=...)")
        version, attacks = word_of(version, "version", (*RUNS, "custom")), checked(attacks_to_run)
        if attacks and version != "custom":
            raise Error(f"attacks_to_run: version {version!r} says which; give version='custom'")
        check_log(log_path)
        _check_norm(norm)
        eps_of(eps, norm_of(norm))
        seed_of(seed)
        switch(verbose, "verbose")
        check_device(device, model)
        self.model, self.norm, self.epsilon, self.seed, self.verbose = model, norm, eps, seed, verbose
        self._version, self.device, self.log_path = version, device, log_path
        self.attacks_to_run = attacks
        self.apgd, self.apgd_targeted, self.fab, self.square = attacks_of("custom", norm_of(norm))
        self.reports = {}
        if version != "custom":
            self.set_version(version)

    @property
    def version(self) -> str:
        """Which attacks run; `set_version` changes it."""
        return self._version

    def set_version(self, version: str = "standard") -> None:
        """Set which attacks run, and how often.

        Attributes that are changed afterwards count, as in the official package: `adversary.square.n_queries = 1000`.

        Parameters
        ----------
        version : {"standard", "plus", "rand"}
            A version of the official package.
        """
        version = word_of(version, "version", tuple(RUNS))
        _check_norm(self.norm)
        self._version, self.attacks_to_run = version, list(RUNS[version])
        self.apgd, self.apgd_targeted, self.fab, self.square = attacks_of(version, norm_of(self.norm))

    @property
    def report(self) -> Report | None:
        """What a version of the official package found on all images; None where `reports` has the parts instead."""
        return self.reports.get("autoattack")

    def _is_as_published(self) -> bool:
        """Whether nothing of the version was changed, so that the engine's own ensemble is meant."""
        if self.version not in RUNS:
            return False
        ours = self.apgd, self.apgd_targeted, self.fab, self.square
        return self.attacks_to_run == RUNS[self.version] and ours == attacks_of(self.version, norm_of(self.norm))

    def run_standard_evaluation(
        self, x_orig: Any, y_orig: Any, bs: int = 250, return_labels: bool = False, state_path: StrPath | None = None
    ) -> Any:
        """Attack images; each attack sees what those before it left.

        Parameters
        ----------
        x_orig, y_orig : torch.Tensor or numpy.ndarray
            Images, pixels from 0 to 1, and classes.
        bs : int
            Images in a batch of a model that is asked by callbacks, at least 16; results do not depend on it. A `Classifier` has its
            own `batch_size`.
        return_labels : bool
            Whether to return the classes of the returned images too.
        state_path : path, optional
            Refused; `deepsleep.evaluate` keeps what is done.

        Returns
        -------
        array or tensor, or a pair of them
            The images, clean where nothing was found. The attributes `report` and `reports` hold all the rest.
        """
        if state_path is not None:
            raise Error("state_path: not supported; deepsleep.evaluate(..., checkpoint=...) keeps what is done")
        return_labels = switch(return_labels, "return_labels")
        model, images = self._model(x_orig, bs)
        self._log(f"using {self.version} version including {', '.join(checked(self.attacks_to_run))}.")
        start, labels = time.time(), labels_of(y_orig, len(images), None)
        self.reports = {}
        if self._is_as_published():
            adversarial, classes, robust = self._ensemble(model, images, labels)
        else:
            adversarial, classes, robust = self._chain(model, images, labels, start)
        largest = max(report.arrays[norm_of(self.norm)].max() for report in self.reports.values())
        self._log(f"max {self.norm} perturbation: {largest:.5f} (total time {time.time() - start:.1f} s)")
        self._log(f"robust accuracy: {robust:.2%}")
        for name in self.reports:
            self._warn(name)
        x_adv = images.give_back(adversarial)
        return (x_adv, _like(y_orig, classes)) if return_labels else x_adv

    def run_standard_evaluation_individual(
        self, x_orig: Any, y_orig: Any, bs: int = 250, return_labels: bool = False
    ) -> dict[str, Any]:
        """Run each attack on all images.

        Parameters
        ----------
        x_orig, y_orig : torch.Tensor or numpy.ndarray
            Images, pixels from 0 to 1, and classes.
        bs : int
            Images in a batch of a model that is asked by callbacks, at least 16; results do not depend on it. A `Classifier` has its
            own `batch_size`.
        return_labels : bool
            Whether to return the classes of the returned images too.

        Returns
        -------
        dict
            By the attack's name what `run_standard_evaluation` returns.
        """
        return_labels = switch(return_labels, "return_labels")
        model, images = self._model(x_orig, bs)
        self._log(f"using {self.version} version including {', '.join(checked(self.attacks_to_run))}.")
        found, labels = {}, labels_of(y_orig, len(images), None)
        self.reports = {}
        for name, spec in self._specs(self._classes(model, images)):
            start, report = time.time(), self._run(model, images, labels, spec)
            self.reports[name] = report
            found[name] = (report.adversarial, _like(y_orig, report.arrays["prediction"])) if return_labels else report.adversarial
            robust, seconds = report.robust_accuracy, time.time() - start
            self._log(f"robust accuracy by {name.upper()} \t {robust:.2%} \t (time attack: {seconds:.1f} s)")
            self._warn(name)
        return found

    def clean_accuracy(self, x_orig: Any, y_orig: Any, bs: int = 250) -> float:
        """The share of images that are classified correctly, as attacks tell it; what gives reason to doubt it is a warning.

        A model that answers by callbacks is asked twice: images that get another answer then are not right.

        Parameters
        ----------
        x_orig, y_orig : torch.Tensor or numpy.ndarray
            Images, pixels from 0 to 1, and classes.
        bs : int
            Images in a batch of a model that is asked by callbacks, at least 16. A `Classifier` has its own `batch_size`.

        Returns
        -------
        float
            From 0 to 1.
        """
        model, images = self._model(x_orig, bs)
        network, classes, given = resolve(model, x_orig)
        labels = labels_of(y_orig, len(given), classes)
        samples = _native.Samples(given.pixels, labels, ids_of(None, len(given)))
        accuracy, said = _native.clean_accuracy(network, samples, seed_of(self.seed), 0)
        self._log(f"clean accuracy: {accuracy:.2%}")
        for warning in [*said, *doubts(network)]:
            self._log(f"Warning: {warning}")
            warn(warning, stacklevel=2)
        return accuracy

    def get_logits(self, x: Any) -> Any:
        """The logits of images.

        Parameters
        ----------
        x : torch.Tensor or numpy.ndarray
            Images, pixels from 0 to 1.

        Returns
        -------
        array or tensor
            `[n, classes]`: what a module or a function answers, with its gradient graph, or the logits of any other model.
        """
        return answer_of(self.model, x)

    def get_seed(self) -> int:
        """The seed that attacks run with.

        Returns
        -------
        int
            0, if None was given.
        """
        return seed_of(self.seed)

    def cheap(self) -> None:
        """Set what early releases of the official package call cheap: one restart of each attack, 1,000 queries of Square."""
        self.apgd.n_restarts = self.fab.n_restarts = self.apgd_targeted.n_restarts = 1
        self.square.n_queries, self.square.resc_schedule = 1000, True

    def _model(self, x: Any, bs: int) -> tuple[Any, Images]:
        """The model, resolved once for all attacks, and the images."""
        bs, images = whole(bs, "bs", 1, 65_536), Images(x)
        _check_norm(self.norm)
        random = self.version == "rand"
        switch(self.verbose, "verbose")
        check_log(self.log_path)
        check_device(self.device, self.model)
        if isinstance(self.model, (Model, Classifier, str, Path)):
            return self.model, images
        if not callable(self.model) or isinstance(self.model, type):
            resolve(self.model, x)
        if is_module(self.model):
            if self.device is not None:
                move(self.model, self.device)
            if not random:
                loaded = of_module(self.model, images.shape, False, images)
                if isinstance(loaded, Model):
                    return loaded, images
        return Classifier(self.model, batch_size=whole(bs, "bs (of a model that is asked by callbacks)", 16), random=random), images

    def _specs(self, classes: int) -> list[tuple[str, str]]:
        """Names of attacks, and their descriptions for a model of so many classes."""
        described = descriptions(self.apgd, self.apgd_targeted, self.fab, self.square, classes)
        if not self.attacks_to_run:
            raise Error(f"attacks_to_run: none; give some of {', '.join(ALL)}")
        return [(name, described[name]) for name in checked(self.attacks_to_run)]

    def _run(self, model: Any, images: Images, labels: Array, spec: str, which: Array | None = None) -> Report:
        """One attack on some images, or on all."""
        which = np.arange(len(images)) if which is None else which
        return attack(
            model, images.some(which), labels[which], spec, norm=self.norm, eps=self.epsilon, seed=self.seed,
            ids=which, progress=None if self.verbose else False,
        )

    def _ensemble(self, model: Any, images: Images, labels: Array) -> tuple[Array, Array, float]:
        """The engine's own ensemble; images, their classes, and the robust accuracy."""
        report = self._run(model, images, labels, f"autoattack:version={self.version}")
        self.reports["autoattack"] = report
        self._log(f"initial accuracy: {report.clean_accuracy:.2%}")
        left = report.clean_accuracy
        for part in report.summary.get("found_by", []):
            left -= part["found"] / report.summary["images"]
            self._log(f"robust accuracy after {part['attack'].upper()}: {left:.2%}")
        return report._returned(), report.arrays["prediction"], report.robust_accuracy

    def _chain(self, model: Any, images: Images, labels: Array, start: float) -> tuple[Array, Array, float]:
        """Attacks one after the other, each on what those before it left; images, their classes, and the robust accuracy."""
        adversarial, predictions, left = images.exact.copy(), labels.copy(), np.arange(len(images))
        for name, spec in self._specs(self._classes(model, images)):
            if not len(left):
                break
            report = self._run(model, images, labels, spec, left)
            if not self.reports:
                self._log(f"initial accuracy: {report.clean_accuracy:.2%}")
                # Also of what is misclassified without an attack.
                predictions = report.arrays["prediction"].copy()
            self.reports[name] = report
            fooled = left[report.fooled]
            adversarial[fooled] = report._returned()[report.fooled]
            predictions[fooled] = report.arrays["prediction"][report.fooled]
            left = left[report.status == "survived"]
            robust, seconds = len(left) / len(images), time.time() - start
            self._log(f"robust accuracy after {name.upper()}: {robust:.2%} (total time {seconds:.1f} s)")
        return adversarial, predictions, len(left) / len(images)

    def _classes(self, model: Any, images: Images) -> int:
        return resolve(model, images.tensor if images.tensor is not None else images.pixels)[1]

    def _warn(self, name: str) -> None:
        """Says what gives reason to doubt an attack's result."""
        for warning in self.reports[name].warnings:
            self._log(f"Warning: {warning}" if name == "autoattack" else f"Warning: {name}: {warning}")

    def _log(self, line: str) -> None:
        if not switch(self.verbose, "verbose"):
            return
        with contextlib.suppress(OSError, ValueError):  # nobody reads it any more
            print(line)
        if self.log_path is not None:
            path = path_of(self.log_path, "log_path")
            try:
                with open(path, "a", encoding="utf-8") as file:
                    file.write(line + "\n")
            except OSError as problem:
                raise Error(f"log_path: cannot write {brief(path)}: {problem.strerror}") from None


def _check_norm(norm: Any) -> None:
    """Refuses a norm that AutoAttack does not exist in."""
    if norm_of(norm) == "l0":
        raise Error("norm: AutoAttack exists in Linf, L2 and L1")


def _like(labels: Any, classes: Array) -> Any:
    """Classes as what the labels came as."""
    if not is_tensor(labels):
        return classes.copy()
    import torch

    return torch.from_numpy(classes.copy()).to(labels.device, labels.dtype)
