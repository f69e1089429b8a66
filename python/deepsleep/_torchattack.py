"""What the attacks of `deepsleep.torchattacks` have in common."""

from __future__ import annotations

from typing import Any

from ._arguments import Images, is_module
from ._attack import attack
from ._models import load
from ._native import Error
from ._report import Report


class Attack:
    """An attack on a model. Subclasses say which.

    Parameters
    ----------
    model : Model, Classifier, torch.nn.Module, callable or path
        What is attacked.
    description : str
        The attack as `deepsleep.attack` takes it.
    norm : {"linf", "l2", "l1"}
        How the change of an image is measured.
    eps : float
        The radius.
    seed : int
        Of all random numbers.

    Attributes
    ----------
    report : Report or None
        What the last call found.
    """

    model: Any
    description: str
    norm: str
    eps: float
    seed: int
    report: Report | None

    def __init__(self, model: Any, description: str, norm: str, eps: float, seed: int = 0) -> None:
        self.model, self.description, self.norm, self.eps, self.seed = model, description, norm, eps, seed
        self.report = None

    def __call__(self, images: Any, labels: Any) -> Any:
        """Attack images. A module is put into evaluation mode meanwhile, so that an attack can be part of a training.

        Parameters
        ----------
        images : numpy.ndarray or torch.Tensor
            `[n, channels, height, width]`, pixels from 0 to 1.
        labels : numpy.ndarray or torch.Tensor
            `[n]`, the classes as integers.

        Returns
        -------
        numpy.ndarray or torch.Tensor
            The attack's last point for each image, as what the images came as.
        """
        if not is_module(self.model):
            return self._attack(self.model, images, labels)
        from ._torch import evaluating

        with evaluating(self.model):
            return self._attack(self._current(images), images, labels)

    def _attack(self, model: Any, images: Any, labels: Any) -> Any:
        self.report = attack(
            model, images, labels, self.description, norm=self.norm, eps=self.eps, seed=self.seed, progress=False
        )
        return self.report.adversarial

    def _current(self, images: Any) -> Any:
        """The module as it is now, exported anew for each call: it may be in training, or changed in any other way."""
        return load(self.model, input_shape=Images(images).shape)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.description}, {self.norm}, eps={self.eps})"


def norm_name(norm: str) -> str:
    """The engine's name of a norm of torchattacks."""
    if norm not in ("Linf", "L2", "L1"):
        raise Error(f"norm: {norm!r}; expected Linf, L2 or L1")
    return norm.lower()


def start_name(random_start: bool) -> str:
    """Where an attack begins, as the engine calls it."""
    return "random" if random_start else "clean"


def number(value: Any) -> str:
    """A number as attacks read it; numpy's are numbers too."""
    try:
        return repr(float(value))
    except (TypeError, ValueError, OverflowError):
        raise Error(f"{value!r}: expected a number") from None
