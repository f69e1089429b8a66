"""What the attacks of `deepsleep.torchattacks` have in common."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from ._arguments import Images, brief, is_module, option_of, switch, word_of
from ._attack import attack
from ._models import load
from ._native import Error
from ._report import Report


@dataclass(slots=True, eq=False, repr=False)
class Attack:
    """An attack on a model. Subclasses say which, in `_form`.

    What is set on an object counts from its next call on. What is no attribute of it cannot be set: a typo would go
    unnoticed.

    Parameters
    ----------
    model : Model, Classifier, torch.nn.Module, callable or path
        What is attacked.
    eps : float
        The radius.

    Attributes
    ----------
    norm : {"Linf", "L2", "L1"}
        How the change of an image is measured.
    report : Report or None
        What the last call found.
    """

    # The attack as `deepsleep.attack` takes it, with the names of attributes.
    _form: ClassVar[str] = ""
    # Parameters of torchattacks that have one value here.
    _fixed: ClassVar[Mapping[str, Any]] = {}

    model: Any
    norm: str = field(default="Linf", init=False)
    eps: float = 8 / 255
    report: Report | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._description()

    def _description(self) -> str:
        """The attack with the values of now."""
        word_of(self.norm, "norm", ("Linf", "L2", "L1"))
        for name, value in self._fixed.items():
            given = getattr(self, name)
            if np.ndim(given) != 0 or given != value:
                raise Error(f"{name}: {brief(given)}; here it is always {value}")
        names = re.findall(r"{(\w+)}", self._form)
        return self._form.format(**{name: _text(name, getattr(self, name)) for name in names})

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
        from ._modes import evaluating

        with evaluating(self.model):
            return self._attack(self._current(images), images, labels)

    def _attack(self, model: Any, images: Any, labels: Any) -> Any:
        attacked, seed = self._description(), getattr(self, "seed", 0)
        verbose = switch(getattr(self, "verbose", False), "verbose")
        self.report = attack(model, images, labels, attacked, norm=self.norm, eps=self.eps, seed=seed, progress=verbose)
        return self.report.adversarial

    def _current(self, images: Any) -> Any:
        """The module as it is now, exported anew for each call: it may be in training, or changed in any other way."""
        return load(self.model, input_shape=Images(images).shape)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._description()}, {self.norm}, eps={self.eps})"


def _text(name: str, value: Any) -> str:
    """A parameter as attacks read it; numpy's numbers are numbers too."""
    if name == "random_start":
        return "random" if switch(value, name) else "clean"
    if name == "resc_schedule":
        return "yes" if switch(value, name) else "no"
    return value if name == "_name" else option_of(value, name)
