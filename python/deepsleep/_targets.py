"""Attacks of `deepsleep.torchattacks` at classes that the user names, and how these are named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ._arguments import Images, is_tensor, kind, labels_of, seed_of, switch, whole
from ._classifier import rows_of
from ._models import asked
from ._native import Error

# From images and labels to the class that each image is to be taken for.
Targets = Callable[[Any, Any], Any]


@dataclass(slots=True, eq=False, repr=False)
class Targeting:
    """The modes of an attack: away from the label, or at a class."""

    # Whether it has modes with targets, as in torchattacks.
    _targetable: ClassVar[bool] = True

    _mode: str = field(default="default", init=False)
    _target_map: Targets | None = field(default=None, init=False)
    _kth_min: int = field(default=1, init=False)

    @property
    def attack_mode(self) -> str:
        """The mode's name; the methods `set_mode_...` change it."""
        return self._mode

    @property
    def supported_mode(self) -> list[str]:
        """`default`, and `targeted` where there are such modes."""
        return ["default", "targeted"] if self._targetable else ["default"]

    @property
    def targeted(self) -> bool:
        """Whether it goes for a class instead of away from the label."""
        return self._mode != "default"

    def get_mode(self) -> str:
        """The mode's name.

        Returns
        -------
        str
            `default`, `targeted(label)`, `targeted(custom)`, `targeted(random)` or `targeted(least-likely)`.
        """
        return self._mode

    def set_mode_default(self) -> None:
        """Attack away from the labels."""
        self._mode, self._target_map = "default", None
        print("Attack mode is changed to 'default.'")

    def set_mode_targeted_by_label(self, quiet: bool = False) -> None:
        """Attack at the labels: each is the class that its image is to be taken for.

        Parameters
        ----------
        quiet : bool
            Whether to print nothing.
        """
        self._set_mode("targeted(label)", quiet, lambda images, labels: labels)

    def set_mode_targeted_by_function(self, target_map_function: Targets, quiet: bool = False) -> None:
        """Attack at the classes that a function of images and labels gives.

        Parameters
        ----------
        target_map_function : callable
            From images and labels to classes: `lambda images, labels: (labels + 1) % 10`.
        quiet : bool
            Whether to print nothing.
        """
        if not callable(target_map_function):
            raise Error(f"target_map_function: {kind(target_map_function)}; give a function of images and labels")
        self._set_mode("targeted(custom)", quiet, target_map_function)

    def set_mode_targeted_random(self, quiet: bool = False) -> None:
        """Attack at classes that are drawn from all but the labels; each call draws the same ones, by the attack's seed.

        Parameters
        ----------
        quiet : bool
            Whether to print nothing.
        """
        self._set_mode("targeted(random)", quiet, self.get_random_target_label)

    def set_mode_targeted_least_likely(self, kth_min: int = 1, quiet: bool = False) -> None:
        """Attack at the classes with the smallest logits.

        Parameters
        ----------
        kth_min : int
            Which of the classes but the label, by their logits from below; 1: the smallest.
        quiet : bool
            Whether to print nothing.
        """
        kth_min = whole(kth_min, "kth_min", 1)
        self._set_mode("targeted(least-likely)", quiet, self.get_least_likely_label)
        self._kth_min = kth_min

    def _set_mode(self, mode: str, quiet: bool, targets: Targets) -> None:
        quiet = switch(quiet, "quiet")
        if not self._targetable:
            name = type(self).__name__
            raise Error(f"mode: {name} has no targets; take one that has, such as PGD, or deepsleep.attack(..., 'apgd-ce:target=3')")
        self._mode, self._target_map = mode, targets
        if not quiet:
            print(f"Attack mode is changed to '{mode}'.")

    def get_target_label(self, images: Any, labels: Any = None) -> Any:
        """The classes that images are to be taken for, in the mode of now.

        Parameters
        ----------
        images : numpy.ndarray or torch.Tensor
            `[n, channels, height, width]`.
        labels : numpy.ndarray or torch.Tensor, optional
            `[n]`, the classes as integers.

        Returns
        -------
        numpy.ndarray or torch.Tensor
            `[n]`.
        """
        if self._target_map is None:
            raise Error("mode: 'default' has no targets; call one of the methods set_mode_targeted_... first")
        # A function may change what it is given in place: that is not the caller's.
        targets = self._target_map(_copy(images), _copy(labels))
        if targets is None:
            raise Error("target_map_function: it returned nothing; return a class for each image")
        return targets

    def get_least_likely_label(self, images: Any, labels: Any = None) -> Any:
        """The classes with the `kth_min`-th smallest logits, the labels left out.

        Parameters
        ----------
        images : numpy.ndarray or torch.Tensor
            `[n, channels, height, width]`.
        labels : numpy.ndarray or torch.Tensor, optional
            `[n]`; by default what the model takes them for.

        Returns
        -------
        numpy.ndarray or torch.Tensor
            `[n]`, int64.
        """
        given, logits, known = self._wrong_classes(images, labels)
        kth = whole(self._kth_min, f"kth_min (of {logits.shape[1]} classes)", 1, logits.shape[1] - 1)
        logits[np.arange(len(known)), known] = np.inf
        return given.give_back(np.argsort(logits, 1, kind="stable")[:, kth - 1])

    def get_random_target_label(self, images: Any, labels: Any = None) -> Any:
        """Classes drawn from all but the labels.

        Parameters
        ----------
        images : numpy.ndarray or torch.Tensor
            `[n, channels, height, width]`.
        labels : numpy.ndarray or torch.Tensor, optional
            `[n]`; by default what the model takes them for.

        Returns
        -------
        numpy.ndarray or torch.Tensor
            `[n]`, int64.
        """
        given, logits, known = self._wrong_classes(images, labels)
        drawn = np.random.default_rng(seed_of(getattr(self, "seed", 0))).integers(0, logits.shape[1] - 1, len(known))
        return given.give_back(drawn + (drawn >= known))

    def _wrong_classes(self, images: Any, labels: Any) -> tuple[Images, NDArray[np.float64], NDArray[np.int64]]:
        """The images, their logits, and the labels."""
        given = Images(images)
        logits = rows_of(self.get_output_with_eval_nograd(images), len(given))
        known = logits.argmax(1) if labels is None else labels_of(labels, len(given), logits.shape[1])
        return given, logits, known

    def get_output_with_eval_nograd(self, images: Any) -> Any:
        raise NotImplementedError


def _copy(value: Any) -> Any:
    """A copy of an array or a tensor; anything else as it is."""
    if is_tensor(value):
        return value.detach().clone()
    return value.copy() if isinstance(value, np.ndarray) else value


def at_targets(
    model: Any,
    images: Any,
    targets: tuple[Any, str],
    seed: int,
    attack: Callable[[Any, NDArray[np.int64], int, NDArray[np.int64]], Any],
) -> tuple[Any, dict[int, Any]]:
    """Attacks each image at its class, of `targets` and where these come from: the adversarial images, and the reports by class. `attack`
    attacks some images, which the model takes for these classes, at one class, under their identities. What the model takes for its target
    already is left as it is."""
    given = Images(images)
    logits = rows_of(asked(model, images, seed), len(given))
    classes, name = targets
    wanted, own = labels_of(classes, len(given), logits.shape[1], name), logits.argmax(1)
    adversarial, reports = given.exact.copy(), {}
    for target in np.unique(wanted).tolist():
        which = np.flatnonzero((wanted == target) & (own != target))
        if len(which):
            report = attack(given.some(which), own[which], target, which)
            adversarial[which], reports[target] = report._returned(), report
    return given.give_back(adversarial), reports
