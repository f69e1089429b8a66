"""Attacks with the names, arguments and results of the package torchattacks, with this engine behind them.

As there, an attack is an object that maps images and labels to adversarial images: `PGD(model, eps=8/255)(images, labels)`.
It returns its last point, whether that fools or not; what it found is in the attribute `report`. A model is anything that
`deepsleep.attack` takes; torch is not needed.
"""

from __future__ import annotations

from typing import Any

from ._native import Error
from ._torchattack import Attack, norm_name, number, start_name

__all__ = [
    "APGD", "APGDT", "BIM", "CW", "DIFGSM", "DeepFool", "EOTPGD", "FAB", "FGSM", "MIFGSM", "NIFGSM", "PGD", "PGDL2",
    "Square", "VMIFGSM",
]


class FGSM(Attack):
    """One step of eps along the sign of the gradient (Goodfellow et al. 2015), Linf.

    Parameters
    ----------
    model : Model, Classifier, torch.nn.Module, callable or path
        What is attacked.
    eps : float
        The radius.
    """

    def __init__(self, model: Any, eps: float = 8 / 255) -> None:
        super().__init__(model, "fgsm:return=last", "linf", eps)


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

    def __init__(self, model: Any, eps: float = 8 / 255, alpha: float = 2 / 255, steps: int = 10) -> None:
        if steps == 0:
            steps = int(min(eps * 255 + 4, 1.25 * eps * 255))
        super().__init__(model, f"bim:steps={steps},step={number(alpha)},return=last", "linf", eps)


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

    def __init__(
        self, model: Any, eps: float = 8 / 255, alpha: float = 2 / 255, steps: int = 10, random_start: bool = True, *, seed: int = 0
    ) -> None:
        description = f"pgd:steps={steps},step={number(alpha)},start={start_name(random_start)},return=last"
        super().__init__(model, description, "linf", eps, seed)


class PGDL2(Attack):
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
        Whether to begin at a random point of the ball instead of the image.
    seed : int
        Of all random numbers.
    """

    def __init__(
        self, model: Any, eps: float = 1.0, alpha: float = 0.2, steps: int = 10, random_start: bool = True, *, seed: int = 0
    ) -> None:
        description = f"pgd:steps={steps},step={number(alpha)},start={start_name(random_start)},return=last"
        super().__init__(model, description, "l2", eps, seed)


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

    def __init__(
        self, model: Any, eps: float = 8 / 255, alpha: float = 2 / 255, steps: int = 10, eot_iter: int = 2,
        random_start: bool = True, *, seed: int = 0,
    ) -> None:
        description = f"eot-pgd:steps={steps},step={number(alpha)},draws={eot_iter},start={start_name(random_start)},return=last"
        super().__init__(model, description, "linf", eps, seed)


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

    def __init__(
        self, model: Any, eps: float = 8 / 255, alpha: float = 2 / 255, steps: int = 10, decay: float = 1.0
    ) -> None:
        super().__init__(model, f"mi-fgsm:steps={steps},step={number(alpha)},decay={number(decay)},return=last", "linf", eps)


class NIFGSM(Attack):
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

    def __init__(
        self, model: Any, eps: float = 8 / 255, alpha: float = 2 / 255, steps: int = 10, decay: float = 1.0
    ) -> None:
        super().__init__(model, f"ni-fgsm:steps={steps},step={number(alpha)},decay={number(decay)},return=last", "linf", eps)


class VMIFGSM(Attack):
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

    def __init__(
        self, model: Any, eps: float = 8 / 255, alpha: float = 2 / 255, steps: int = 10, decay: float = 1.0, N: int = 5,
        beta: float = 3 / 2, *, seed: int = 0,
    ) -> None:
        description = (
            f"vmi-fgsm:steps={steps},step={number(alpha)},decay={number(decay)},neighbors={N},beta={number(beta)},return=last"
        )
        super().__init__(model, description, "linf", eps, seed)


class DIFGSM(Attack):
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
    seed : int
        Of all random numbers.
    """

    def __init__(
        self, model: Any, eps: float = 8 / 255, alpha: float = 2 / 255, steps: int = 10, decay: float = 0.0,
        resize_rate: float = 0.9, diversity_prob: float = 0.5, *, seed: int = 0,
    ) -> None:
        description = (
            f"di-fgsm:steps={steps},step={number(alpha)},decay={number(decay)},resize={number(resize_rate)},"
            f"diversity={number(diversity_prob)},return=last"
        )
        super().__init__(model, description, "linf", eps, seed)


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
    """

    def __init__(
        self, model: Any, norm: str = "Linf", eps: float = 8 / 255, steps: int = 10, n_restarts: int = 1, seed: int = 0,
        loss: str = "ce", eot_iter: int = 1,
    ) -> None:
        if loss not in ("ce", "dlr"):
            raise Error(f"loss: {loss!r}; expected ce or dlr")
        description = f"apgd-{loss}:steps={steps},restarts={n_restarts},draws={eot_iter},return=latest"
        super().__init__(model, description, norm_name(norm), eps, seed)


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
    n_classes : int
        Number of classes; all wrong ones become targets, the likeliest first.
    """

    def __init__(
        self, model: Any, norm: str = "Linf", eps: float = 8 / 255, steps: int = 10, n_restarts: int = 1, seed: int = 0,
        eot_iter: int = 1, n_classes: int = 10,
    ) -> None:
        description = f"apgd-t:steps={steps},restarts={n_restarts},draws={eot_iter},targets={n_classes - 1},return=latest"
        super().__init__(model, description, norm_name(norm), eps, seed)


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
    seed : int
        Of all random numbers.
    multi_targeted : bool
        Whether to go for each wrong class, instead of the nearest boundary.
    n_classes : int
        Number of classes; all wrong ones become targets, the likeliest first.
    """

    def __init__(
        self, model: Any, norm: str = "Linf", eps: float = 8 / 255, steps: int = 10, n_restarts: int = 1, seed: int = 0,
        multi_targeted: bool = False, n_classes: int = 10,
    ) -> None:
        targeted = f"fab-t:targets={n_classes - 1}," if multi_targeted else "fab:"
        super().__init__(model, f"{targeted}steps={steps},restarts={n_restarts}", norm_name(norm), eps, seed)


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
        Queries of the model, for each start.
    n_restarts : int
        Number of starts.
    p_init : float
        Share of the pixels that a first square covers.
    seed : int
        Of all random numbers.
    """

    def __init__(
        self, model: Any, norm: str = "Linf", eps: float = 8 / 255, n_queries: int = 5000, n_restarts: int = 1,
        p_init: float = 0.8, seed: int = 0,
    ) -> None:
        super().__init__(model, f"square:queries={n_queries},restarts={n_restarts},p={number(p_init)}", norm_name(norm), eps, seed)


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

    def __init__(self, model: Any, c: float = 1, kappa: float = 0, steps: int = 50, lr: float = 0.01) -> None:
        # No radius bounds it: any will do.
        super().__init__(model, f"cw:search=1,c={number(c)},kappa={number(kappa)},steps={steps},rate={number(lr)}", "l2", 1.0)


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

    def __init__(self, model: Any, steps: int = 50, overshoot: float = 0.02) -> None:
        super().__init__(model, f"deepfool:steps={steps},overshoot={number(overshoot)}", "l2", 1.0)
