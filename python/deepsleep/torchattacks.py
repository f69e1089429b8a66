"""Attacks with the names, arguments and results of the package torchattacks, with this engine behind them.

As there, an attack is an object that maps images and labels to adversarial images: `PGD(model, eps=8/255)(images, labels)`.
It returns its last point, whether that fools or not; what it found is in the attribute `report`. A model is anything that
`deepsleep.attack` takes; torch is not needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ._arguments import switch, whole
from ._iterated import BIM, DIFGSM, EOTPGD, FGSM, MIFGSM, NIFGSM, PGD, PGDL2, VMIFGSM
from ._torchattack import Attack

__all__ = [
    "APGD", "APGDT", "BIM", "CW", "DIFGSM", "DeepFool", "EOTPGD", "FAB", "FGSM", "MIFGSM", "NIFGSM", "PGD", "PGDL2",
    "Square", "VMIFGSM",
]


@dataclass(slots=True, eq=False, repr=False)
class APGD(Attack):
    """Auto-PGD (Croce & Hein 2020) on cross-entropy or the difference of logits ratio.

    Parameters
    ----------
    model : Model, Classifier, torch.nn.Module, callable or path
        What is attacked.
    norm : {"Linf", "L2", "L1"}
        How the change of an image is measured.
    eps : float
        The radius.
    steps : int
        Number of steps.
    n_restarts : int
        Number of starts.
    seed : int
        Of all random numbers.
    loss : {"ce", "dlr"}
        Cross-entropy, or the difference of logits ratio.
    eot_iter : int
        Gradients that are averaged for a step.
    rho : float
        Share of steps that have to go up, so that the step is not halved; always 0.75.
    verbose : bool
        Whether to show progress.
    """

    _targetable: ClassVar[bool] = False
    _form: ClassVar[str] = "apgd-{loss}:steps={steps},restarts={n_restarts},draws={eot_iter},return=latest"
    _fixed: ClassVar[Mapping[str, Any]] = {"rho": 0.75}

    norm: str = "Linf"
    steps: int = 10
    n_restarts: int = 1
    seed: int = 0
    loss: str = "ce"
    eot_iter: int = 1
    rho: float = 0.75
    verbose: bool = False


@dataclass(slots=True, eq=False, repr=False)
class APGDT(Attack):
    """Auto-PGD on a targeted loss, the likeliest wrong classes one after the other.

    Parameters
    ----------
    model : Model, Classifier, torch.nn.Module, callable or path
        What is attacked.
    norm : {"Linf", "L2", "L1"}
        How the change of an image is measured.
    eps : float
        The radius.
    steps : int
        Number of steps.
    n_restarts : int
        Number of starts.
    seed : int
        Of all random numbers.
    eot_iter : int
        Gradients that are averaged for a step.
    rho : float
        Share of steps that have to go up, so that the step is not halved; always 0.75.
    verbose : bool
        Whether to show progress.
    n_classes : int
        Number of classes; all wrong ones become targets, the likeliest first.
    """

    _targetable: ClassVar[bool] = False
    _form: ClassVar[str] = "apgd-t:steps={steps},restarts={n_restarts},draws={eot_iter},targets={_targets},return=latest"
    _fixed: ClassVar[Mapping[str, Any]] = {"rho": 0.75}

    norm: str = "Linf"
    steps: int = 10
    n_restarts: int = 1
    seed: int = 0
    eot_iter: int = 1
    rho: float = 0.75
    verbose: bool = False
    n_classes: int = 10

    @property
    def _targets(self) -> int:
        return whole(self.n_classes, "n_classes", 2) - 1


@dataclass(slots=True, eq=False, repr=False)
class FAB(Attack):
    """Minimal perturbations along the boundary (Croce & Hein 2020).

    Parameters
    ----------
    model : Model, Classifier, torch.nn.Module, callable or path
        What is attacked.
    norm : {"Linf", "L2", "L1"}
        How the change of an image is measured.
    eps : float
        The radius.
    steps : int
        Number of steps.
    n_restarts : int
        Number of starts.
    alpha_max, eta, beta : float
        The largest weight of the original image, the overshoot, and the way back from a success: always 0.1, 1.05 and 0.9.
    verbose : bool
        Whether to show progress.
    seed : int
        Of all random numbers.
    multi_targeted : bool
        Whether to go for each wrong class, instead of the nearest boundary.
    n_classes : int
        Number of classes; all wrong ones become targets, the likeliest first.
    """

    _form: ClassVar[str] = "{_name}steps={steps},restarts={n_restarts}"
    _fixed: ClassVar[Mapping[str, Any]] = {"alpha_max": 0.1, "eta": 1.05, "beta": 0.9}

    norm: str = "Linf"
    steps: int = 10
    n_restarts: int = 1
    alpha_max: float = 0.1
    eta: float = 1.05
    beta: float = 0.9
    verbose: bool = False
    seed: int = 0
    multi_targeted: bool = False
    n_classes: int = 10

    @property
    def _name(self) -> str:
        targets = whole(self.n_classes, "n_classes", 2) - 1
        return f"fab-t:targets={targets}," if switch(self.multi_targeted, "multi_targeted") else "fab:"


@dataclass(slots=True, eq=False, repr=False)
class Square(Attack):
    """Random search from scores alone (Andriushchenko et al. 2020).

    Parameters
    ----------
    model : Model, Classifier, torch.nn.Module, callable or path
        What is attacked.
    norm : {"Linf", "L2", "L1"}
        How the change of an image is measured.
    eps : float
        The radius.
    n_queries : int
        Queries of the model after each start.
    n_restarts : int
        Number of starts.
    p_init : float
        Share of the pixels that a first square covers.
    loss : {"margin"}
        The difference between the label's logit and the largest other one.
    resc_schedule : bool
        Whether squares shrink over `n_queries` as they do over 10,000; else they shrink as fast, however many queries there are.
    seed : int
        Of all random numbers.
    verbose : bool
        Whether to show progress.
    """

    _form: ClassVar[str] = "square:queries={_images},restarts={n_restarts},p={p_init},rescale={resc_schedule}"
    _fixed: ClassVar[Mapping[str, Any]] = {"loss": "margin"}

    norm: str = "Linf"
    n_queries: int = 5000
    n_restarts: int = 1
    p_init: float = 0.8
    loss: str = "margin"
    resc_schedule: bool = True
    seed: int = 0
    verbose: bool = False

    @property
    def _images(self) -> int:
        """Images asked about in a run. The start is one more than the queries, as torchattacks counts them."""
        return whole(self.n_queries, "n_queries", 0) + 1


@dataclass(slots=True, eq=False, repr=False)
class CW(Attack):
    """Carlini & Wagner's minimal perturbation in L2, for one c, wherever it lies.

    Parameters
    ----------
    model : Model, Classifier, torch.nn.Module, callable or path
        What is attacked.
    c : float
        Weight of misclassification against distance.
    kappa : float
        How far a wrong logit is to lie above the label's.
    steps : int
        Number of steps.
    lr : float
        Learning rate of the optimizer.
    """

    _form: ClassVar[str] = "cw:search=1,c={c},kappa={kappa},steps={steps},rate={lr}"

    norm: str = field(default="L2", init=False)
    eps: float = field(default=1.0, init=False)  # no radius bounds it: any will do
    c: float = 1
    kappa: float = 0
    steps: int = 50
    lr: float = 0.01


@dataclass(slots=True, eq=False, repr=False)
class DeepFool(Attack):
    """To the nearest linearized boundary, again and again (Moosavi-Dezfooli et al. 2016), L2, wherever it lies.

    Parameters
    ----------
    model : Model, Classifier, torch.nn.Module, callable or path
        What is attacked.
    steps : int
        Number of steps.
    overshoot : float
        By how much the sum of the steps is stretched, to end beyond the boundary.
    """

    _targetable: ClassVar[bool] = False
    _form: ClassVar[str] = "deepfool:steps={steps},overshoot={overshoot}"

    norm: str = field(default="L2", init=False)
    eps: float = field(default=1.0, init=False)  # no radius bounds it: any will do
    steps: int = 50
    overshoot: float = 0.02
