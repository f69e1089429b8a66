"""The official AutoAttack's interface, with this engine behind it."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from . import _native
from ._arguments import Array, Images, StrPath, eps_of, ids_of, is_module, is_tensor, labels_of, norm_of, seed_of, whole
from ._attack import attack
from ._classifier import Classifier
from ._models import Model, of_module, resolve
from ._native import Error
from ._report import Report

_ALL = ("apgd-ce", "apgd-dlr", "apgd-t", "fab", "fab-t", "square")

_RUNS = {
    "standard": ["apgd-ce", "apgd-t", "fab-t", "square"],
    "plus": ["apgd-ce", "apgd-dlr", "fab", "square", "apgd-t", "fab-t"],
    "rand": ["apgd-ce", "apgd-dlr"],
}


def _attacks(version: str, norm: str) -> list[SimpleNamespace]:
    """APGD, targeted APGD, FAB and Square as a version runs them."""
    l1, standard, rand = norm == "l1", version == "standard", version == "rand"
    restarts = {"standard": 5 if l1 else 1, "rand": 1}.get(version, 5)
    targets = 5 if l1 and standard else 9
    return [
        SimpleNamespace(n_restarts=restarts, n_iter=100, eot_iter=20 if rand else 1),
        SimpleNamespace(n_restarts=1, n_iter=100, n_target_classes=targets, eot_iter=1),
        SimpleNamespace(n_restarts=1 if standard else 5, n_iter=100, n_target_classes=9),
        SimpleNamespace(n_restarts=1, n_queries=5000, p_init=0.8),
    ]


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
        Where a torch model computes; by default where its parameters are.
    log_path : path, optional
        A file that the lines are appended to.

    Attributes
    ----------
    report : Report or None
        What the engine's ensemble found on all images; None where the attacks ran one after the other.
    reports : dict of Report
        What each attack found, on the images that those before it left.

    Examples
    --------
    >>> adversary = deepsleep.AutoAttack(model, norm="Linf", eps=8/255, version="standard")
    >>> x_adv = adversary.run_standard_evaluation(x, y, bs=250)
    """

    model: Any
    norm: str
    epsilon: float
    seed: int | None
    verbose: bool
    version: str
    device: str | None
    log_path: StrPath | None
    attacks_to_run: list[str]
    apgd: SimpleNamespace
    apgd_targeted: SimpleNamespace
    fab: SimpleNamespace
    square: SimpleNamespace
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
        if is_tf_model:
            raise Error("is_tf_model: TensorFlow models are not read; wrap one as deepsleep.Classifier(logits=..., gradient=...)")
        if version not in ("standard", "plus", "rand", "custom"):
            raise Error(f"version: {version!r}; expected standard, plus, rand or custom")
        if attacks_to_run and version != "custom":
            raise Error(f"attacks_to_run: version {version!r} says which; give version='custom'")
        if not isinstance(attacks_to_run, (list, tuple)):
            raise Error(f"attacks_to_run: {attacks_to_run!r}; give a list of {', '.join(_ALL)}")
        if log_path is not None and not Path(log_path).resolve().parent.is_dir():
            raise Error(f"log_path: {str(log_path)!r} is in no folder that exists")
        if norm_of(norm) == "l0":
            raise Error("norm: AutoAttack exists in Linf, L2 and L1")
        eps_of(eps, norm_of(norm))
        seed_of(seed)
        self.model, self.norm, self.epsilon, self.seed, self.verbose = model, norm, eps, seed, verbose
        self.version, self.device, self.log_path = version, device, log_path
        self.attacks_to_run = list(attacks_to_run)
        self.apgd, self.apgd_targeted, self.fab, self.square = _attacks("custom", norm_of(norm))
        self.reports = {}
        if version != "custom":
            self.set_version(version)

    def set_version(self, version: str = "standard") -> None:
        """Set which attacks run, and how often.

        Attributes that are changed afterwards count, as in the official package: `adversary.square.n_queries = 1000`.

        Parameters
        ----------
        version : {"standard", "plus", "rand"}
            A version of the official package.
        """
        if version not in _RUNS:
            raise Error(f"version: {version!r}; expected standard, plus or rand")
        self.version, self.attacks_to_run = version, list(_RUNS[version])
        self.apgd, self.apgd_targeted, self.fab, self.square = _attacks(version, norm_of(self.norm))

    @property
    def report(self) -> Report | None:
        """What the engine's ensemble found on all images; None where the attacks ran one after the other (`reports`)."""
        return self.reports.get("autoattack")

    def _is_as_published(self) -> bool:
        """Whether nothing of the version was changed, so that the engine's own ensemble is meant."""
        if self.version not in _RUNS:
            return False
        ours = [self.apgd, self.apgd_targeted, self.fab, self.square]
        return self.attacks_to_run == _RUNS[self.version] and ours == _attacks(self.version, norm_of(self.norm))

    def run_standard_evaluation(
        self, x_orig: Any, y_orig: Any, bs: int = 250, return_labels: bool = False, state_path: StrPath | None = None
    ) -> Any:
        """Attack images; each attack sees what those before it left.

        Parameters
        ----------
        x_orig, y_orig : torch.Tensor or numpy.ndarray
            Images, pixels from 0 to 1, and classes.
        bs : int
            Images in a batch of a model that is asked by callbacks; results do not depend on it.
        return_labels : bool
            Whether to return the classes of the returned images too.
        state_path : path, optional
            Refused; `deepsleep.evaluate` keeps what is done.

        Returns
        -------
        array or tensor, or a pair of them
            The images, clean where nothing was found. The attribute `report` holds all the rest.
        """
        if state_path is not None:
            raise Error("state_path: not supported; deepsleep.evaluate(..., checkpoint=...) keeps what is done")
        model, images = self._model(x_orig, bs)
        if self.verbose:
            self._log(f"using {self.version} version including {', '.join(self.attacks_to_run)}.")
        start = time.time()
        self.reports = {}
        if not self._is_as_published():
            adversarial, labels = self._chain(model, images, y_orig, self._specs())
        else:
            report = attack(
                model, x_orig, y_orig, f"autoattack:version={self.version}", norm=self.norm, eps=self.epsilon,
                seed=self.seed, progress=None if self.verbose else False,
            )
            self.reports = {"autoattack": report}
            adversarial, labels = report.arrays["adversarial"], report.arrays["prediction"]
            self._tell(report, start)
        x_adv = images.give_back(adversarial)
        return (x_adv, _like(y_orig, labels)) if return_labels else x_adv

    def run_standard_evaluation_individual(
        self, x_orig: Any, y_orig: Any, bs: int = 250, return_labels: bool = False
    ) -> dict[str, Any]:
        """Run each attack on all images.

        Parameters
        ----------
        x_orig, y_orig : torch.Tensor or numpy.ndarray
            Images, pixels from 0 to 1, and classes.
        bs : int
            Images in a batch of a model that is asked by callbacks; results do not depend on it.
        return_labels : bool
            Whether to return the classes of the returned images too.

        Returns
        -------
        dict
            By the attack's name what `run_standard_evaluation` returns.
        """
        model, images = self._model(x_orig, bs)
        if self.verbose:
            self._log(f"using {self.version} version including {', '.join(self.attacks_to_run)}.")
        found = {}
        self.reports = {}
        for name, spec in self._specs():
            start = time.time()
            adversarial, labels = self._chain(model, images, y_orig, [(name, spec)], quiet=True)
            x_adv = images.give_back(adversarial)
            found[name] = (x_adv, _like(y_orig, labels)) if return_labels else x_adv
            if self.verbose:
                robust = (labels == labels_of(y_orig, len(images), None)).mean()
                self._log(f"robust accuracy by {name.upper()} \t {robust:.2%} \t (time attack: {time.time() - start:.1f} s)")
        return found

    def clean_accuracy(self, x_orig: Any, y_orig: Any, bs: int = 250) -> float:
        """The share of images that are classified rightly.

        Parameters
        ----------
        x_orig, y_orig : torch.Tensor or numpy.ndarray
            Images, pixels from 0 to 1, and classes.
        bs : int
            Images in a batch of a model that is asked by callbacks.

        Returns
        -------
        float
            From 0 to 1.
        """
        model, images = self._model(x_orig, bs)
        network, classes, given = resolve(model, x_orig)
        labels = labels_of(y_orig, len(given), classes)
        samples = _native.Samples(given.pixels, labels, ids_of(None, len(given)))
        right = _native.logits(network, samples, seed_of(self.seed), 0).argmax(1) == labels
        if self.verbose:
            self._log(f"clean accuracy: {right.mean():.2%}")
        return float(right.mean())

    def _model(self, x: Any, bs: int) -> tuple[Any, Images]:
        """The model, resolved once for all attacks, and the images."""
        bs, images = whole(bs, "bs", 1, 65_536), Images(x)
        random = self.version == "rand"
        if isinstance(self.model, (Model, str, Path)):
            return self.model, images
        if isinstance(self.model, Classifier):
            return self.model, images
        if is_module(self.model):
            if self.device is not None:
                self.model.to(self.device)
            if not random:
                loaded = of_module(self.model, images.shape, False, images)
                if isinstance(loaded, Model):
                    return loaded, images
        return Classifier(self.model, batch_size=max(bs, 16), random=random), images

    def _specs(self) -> list[tuple[str, str]]:
        """Names of attacks, and their descriptions."""
        guided = f"steps={self.apgd.n_iter},restarts={self.apgd.n_restarts},draws={self.apgd.eot_iter}"
        specs = {
            "apgd-ce": f"apgd-ce:{guided}",
            "apgd-dlr": f"apgd-dlr:{guided}",
            "apgd-t": f"apgd-t:steps={self.apgd_targeted.n_iter},restarts={self.apgd_targeted.n_restarts},"
            f"targets={self.apgd_targeted.n_target_classes},"
            f"draws={self.apgd_targeted.eot_iter}",
            "fab": f"fab:steps={self.fab.n_iter},restarts={self.fab.n_restarts}",
            # As in the official package, one restart for each target.
            "fab-t": f"fab-t:steps={self.fab.n_iter},restarts=1,targets={self.fab.n_target_classes}",
            "square": f"square:queries={self.square.n_queries},restarts={self.square.n_restarts},p={self.square.p_init}",
        }
        for name in self.attacks_to_run:
            if name not in specs:
                raise Error(f"attacks_to_run: {name!r}; expected some of {', '.join(_ALL)}")
        if not self.attacks_to_run:
            raise Error(f"attacks_to_run: none; give some of {', '.join(_ALL)}")
        return [(name, specs[name]) for name in self.attacks_to_run]

    def _chain(
        self, model: Any, images: Images, y: Any, specs: list[tuple[str, str]], quiet: bool = False
    ) -> tuple[Array, Array]:
        """Attacks one after the other, each on what those before it left; images and their classes."""
        adversarial = images.pixels.copy()
        labels = labels_of(y, len(images), None)
        predictions, left = labels.copy(), np.arange(len(images))
        start = time.time()
        classes = self._classes(model, images)
        for name, spec in specs:
            if not len(left):
                break
            spec = _fewer_targets(spec, classes)
            some = images.pixels[left]
            given = images.give_back(some)
            report = attack(
                model, given, labels[left], spec, norm=self.norm, eps=self.epsilon, seed=self.seed, ids=left,
                progress=None if self.verbose and not quiet else False,
            )
            found = report.arrays
            if len(left) == len(images):
                # Also of what is misclassified without an attack.
                predictions = found["prediction"].copy()
            fooled = report.fooled
            adversarial[left[fooled]] = found["adversarial"][fooled]
            predictions[left[fooled]] = found["prediction"][fooled]
            left, self.reports[name] = left[report.status == "survived"], report
            if self.verbose and not quiet:
                robust, seconds = len(left) / len(images), time.time() - start
                self._log(f"robust accuracy after {name.upper()}: {robust:.2%} (total time {seconds:.1f} s)")
        return adversarial, predictions

    def _classes(self, model: Any, images: Images) -> int:
        return resolve(model, images.tensor if images.tensor is not None else images.pixels)[1]

    def _tell(self, report: Report, start: float) -> None:
        if not self.verbose:
            return
        self._log(f"initial accuracy: {report.clean_accuracy:.2%}")
        left = report.clean_accuracy
        for part in report.summary.get("found_by", []):
            left -= part["found"] / report.summary["images"]
            self._log(f"robust accuracy after {part['attack'].upper()}: {left:.2%}")
        largest = report.arrays[norm_of(self.norm)].max()
        self._log(f"max {self.norm} perturbation: {largest:.5f} (total time {time.time() - start:.1f} s)")
        self._log(f"robust accuracy: {report.robust_accuracy:.2%}")
        for warning in report.warnings:
            self._log(f"Warning: {warning}")

    def _log(self, line: str) -> None:
        print(line)
        if self.log_path is not None:
            with open(self.log_path, "a", encoding="utf-8") as file:
                file.write(line + "\n")


def _fewer_targets(spec: str, classes: int) -> str:
    """No more targets than there are wrong classes."""
    name, _, options = spec.partition(":")
    parts = [part.partition("=") for part in options.split(",")]
    fewer = [f"{key}={min(int(value), classes - 1) if key == 'targets' else value}" for key, _, value in parts]
    return f"{name}:{','.join(fewer)}"


def _like(labels: Any, classes: Array) -> Any:
    """Classes as what the labels came as."""
    if not is_tensor(labels):
        return classes
    import torch

    return torch.from_numpy(classes).to(labels.device, labels.dtype)
