"""Attacks of `deepsleep.torchattacks` that go along the gradient in steps of one length, or in one step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, SupportsFloat

import numpy as np

from ._arguments import brief, switch
from ._native import Error
from ._torchattack import Attack


@dataclass(slots=True, eq=False, repr=False)
class FGSM(Attack):
    """One step of eps along the sign of the gradient (Goodfellow et al. 2015), Linf.

    Parameters
    ----------
    model : Model, Classifier, torch.nn.Module, callable or path
        What is attacked.
    eps : float
        The radius.
    """

    _form: ClassVar[str] = "fgsm:return=last"


@dataclass(slots=True, eq=False, repr=False)
class BIM(Attack):
    """Iterated FGSM (Kurakin et al. 2017), Linf.

    Parameters
    ----------
    model : Model, Classifier, torch.nn.Module, callable or path
        What is attacked.
    eps, alpha : float
        The radius, and the length of a step.
    steps : int
        Number of steps; 0: as many as Kurakin et al. take for this radius.
    """

    _form: ClassVar[str] = "bim:steps={steps},step={alpha},return=last"

    alpha: float = 2 / 255
    steps: int = 10

    def __post_init__(self) -> None:
        if np.ndim(self.steps) == 0 and self.steps == 0:
            is_number = not isinstance(self.eps, str) and isinstance(self.eps, SupportsFloat) and np.ndim(self.eps) == 0
            if not is_number or not math.isfinite(self.eps):
                raise Error(f"eps: {brief(self.eps)}; steps=0 takes as many as a radius asks for that is a number")
            self.steps = int(min(self.eps * 255 + 4, 1.25 * self.eps * 255))
        Attack.__post_init__(self)


@dataclass(slots=True, eq=False, repr=False)
class PGD(Attack):
    """Projected gradient ascent (Madry et al. 2018), Linf.

    Parameters
    ----------
    model : Model, Classifier, torch.nn.Module, callable or path
        What is attacked.
    eps, alpha : float
        The radius, and the length of a step.
    steps : int
        Number of steps.
    random_start : bool
        Whether to begin at a random point of the ball instead of the image.
    seed : int
        Of all random numbers.
    """

    _form: ClassVar[str] = "pgd:steps={steps},step={alpha},start={random_start},return=last"

    alpha: float = 2 / 255
    steps: int = 10
    random_start: bool = True
    seed: int = field(default=0, kw_only=True)

    def _draws(self) -> bool:
        return switch(self.random_start, "random_start")


@dataclass(slots=True, eq=False, repr=False)
class PGDL2(PGD):
    """Projected gradient ascent, L2.

    Parameters
    ----------
    model : Model, Classifier, torch.nn.Module, callable or path
        What is attacked.
    eps, alpha : float
        The radius, and the length of a step.
    steps : int
        Number of steps.
    random_start : bool
        Whether to begin in a random direction, at a distance that is uniform from 0 to `eps`, instead of at the image.
    eps_for_division : float
        Always 1e-10; it changes nothing, as gradients are divided by their length however short they are.
    seed : int
        Of all random numbers.
    """

    _fixed: ClassVar[Mapping[str, Any]] = {"eps_for_division": 1e-10}
    _form: ClassVar[str] = "pgd:steps={steps},step={alpha},start={_start},return=last"

    norm: str = field(default="L2", init=False)
    eps: float = 1.0
    alpha: float = 0.2
    eps_for_division: float = 1e-10

    @property
    def _start(self) -> str:
        return "radial" if self._draws() else "clean"


@dataclass(slots=True, eq=False, repr=False)
class EOTPGD(Attack):
    """PGD on the expected loss of a model that draws random numbers (Athalye et al. 2018), Linf.

    Parameters
    ----------
    model : Model, Classifier, torch.nn.Module, callable or path
        What is attacked.
    eps, alpha : float
        The radius, and the length of a step.
    steps : int
        Number of steps.
    eot_iter : int
        Gradients that are averaged for a step.
    random_start : bool
        Whether to begin at a random point of the ball instead of the image.
    seed : int
        Of all random numbers.
    """

    _form: ClassVar[str] = "eot-pgd:steps={steps},step={alpha},draws={eot_iter},start={random_start},return=last"

    alpha: float = 2 / 255
    steps: int = 10
    eot_iter: int = 2
    random_start: bool = True
    seed: int = field(default=0, kw_only=True)

    def _draws(self) -> bool:
        return switch(self.random_start, "random_start")


@dataclass(slots=True, eq=False, repr=False)
class MIFGSM(Attack):
    """Iterated FGSM with momentum (Dong et al. 2018), Linf.

    Parameters
    ----------
    model : Model, Classifier, torch.nn.Module, callable or path
        What is attacked.
    eps, alpha : float
        The radius, and the length of a step.
    steps : int
        Number of steps.
    decay : float
        How much of the momentum is kept from step to step.
    """

    _form: ClassVar[str] = "mi-fgsm:steps={steps},step={alpha},decay={decay},return=last"

    alpha: float = 2 / 255
    steps: int = 10
    decay: float = 1.0


@dataclass(slots=True, eq=False, repr=False)
class NIFGSM(MIFGSM):
    """Iterated FGSM with Nesterov's momentum (Lin et al. 2020), Linf.

    Parameters
    ----------
    model : Model, Classifier, torch.nn.Module, callable or path
        What is attacked.
    eps, alpha : float
        The radius, and the length of a step.
    steps : int
        Number of steps.
    decay : float
        How much of the momentum is kept from step to step.
    """

    _form: ClassVar[str] = "ni-fgsm:steps={steps},step={alpha},decay={decay},return=last"


@dataclass(slots=True, eq=False, repr=False)
class VMIFGSM(MIFGSM):
    """Momentum with gradients tuned by those around (Wang & He 2021), Linf.

    Parameters
    ----------
    model : Model, Classifier, torch.nn.Module, callable or path
        What is attacked.
    eps, alpha : float
        The radius, and the length of a step.
    steps : int
        Number of steps.
    decay : float
        How much of the momentum is kept from step to step.
    N : int
        Neighbors whose gradients tune the step.
    beta : float
        How far away these lie, in radii.
    seed : int
        Of all random numbers.
    """

    _form: ClassVar[str] = "vmi-fgsm:steps={steps},step={alpha},decay={decay},neighbors={N},beta={beta},return=last"

    N: int = 5
    beta: float = 3 / 2
    seed: int = field(default=0, kw_only=True)

    def _draws(self) -> bool:
        return self.N != 0


@dataclass(slots=True, eq=False, repr=False)
class DIFGSM(MIFGSM):
    """Iterated FGSM on images that are resized and shifted at random (Xie et al. 2019), Linf.

    Parameters
    ----------
    model : Model, Classifier, torch.nn.Module, callable or path
        What is attacked.
    eps, alpha : float
        The radius, and the length of a step.
    steps : int
        Number of steps.
    decay : float
        How much of the momentum is kept from step to step.
    resize_rate : float
        The smallest size, as a share of the image's side.
    diversity_prob : float
        Probability that an image is resized.
    random_start : bool
        Always False: it begins at the image.
    seed : int
        Of all random numbers.
    """

    _form: ClassVar[str] = (
        "di-fgsm:steps={steps},step={alpha},decay={decay},resize={resize_rate},diversity={diversity_prob},return=last"
    )

    _fixed: ClassVar[Mapping[str, Any]] = {"random_start": False}

    decay: float = 0.0
    resize_rate: float = 0.9
    diversity_prob: float = 0.5
    random_start: bool = False
    seed: int = field(default=0, kw_only=True)

    def _draws(self) -> bool:
        return self.diversity_prob != 0
