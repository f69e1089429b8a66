"""Attacks with the names, arguments and results of the package torchattacks, with this engine behind them.

As there, an attack is an object that maps images and labels to adversarial images: `PGD(model, eps=8/255)(images, labels)`.
It returns its last point, whether that fools or not; what it found is in the attribute `report`. A model is anything that
`deepsleep.attack` takes; torch is not needed.
"""

from __future__ import annotations

from typing import Any

from ._arguments import Error
from ._attack import attack
from ._models import Model, load, _is_module
from ._arguments import Images
from ._report import Report

__all__ = [
    "APGD", "APGDT", "BIM", "CW", "DIFGSM", "DeepFool", "EOTPGD", "FAB", "FGSM", "MIFGSM", "NIFGSM", "PGD", "PGDL2",
    "Square", "VMIFGSM",
]


class Attack:
    """An attack on a model. Subclasses say which."""

    def __init__(self, model: Any, description: str, norm: str, eps: float, seed: int = 0) -> None:
        self.model, self.description, self.norm, self.eps, self.seed = model, description, norm, eps, seed
        self.report: Report | None = None
        self._exported: tuple[Any, Any] | None = None

    def __call__(self, images: Any, labels: Any) -> Any:
        """The adversarial images of some images, pixels from 0 to 1, and their classes. A module is put into evaluation mode
        meanwhile, as torchattacks does, so that an attack can be part of a training."""
        if not _is_module(self.model):
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
        """The model as it is now. A module is exported anew whenever its weights have changed: it may be in training."""
        from ._torch import fingerprint

        shape = Images(images).shape
        state = (shape, fingerprint(self.model))
        if self._exported is None or self._exported[0] != state:
            self._exported = (state, load(self.model, input_shape=shape))
        return self._exported[1]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.description}, {self.norm}, eps={self.eps})"


def _norm(norm: str) -> str:
    if norm not in ("Linf", "L2", "L1"):
        raise Error(f"norm: {norm!r}; expected Linf, L2 or L1")
    return norm.lower()


def _start(random_start: bool) -> str:
    return "random" if random_start else "clean"


class FGSM(Attack):
    """One step of eps along the sign of the gradient (Goodfellow et al. 2015), Linf."""

    def __init__(self, model: Any, eps: float = 8 / 255) -> None:
        super().__init__(model, "fgsm:return=last", "linf", eps)


class BIM(Attack):
    """Iterated FGSM (Kurakin et al. 2017), Linf."""

    def __init__(self, model: Any, eps: float = 8 / 255, alpha: float = 2 / 255, steps: int = 10) -> None:
        if steps == 0:
            steps = int(min(eps * 255 + 4, 1.25 * eps * 255))
        super().__init__(model, f"bim:steps={steps},step={alpha!r},return=last", "linf", eps)


class PGD(Attack):
    """Projected gradient ascent (Madry et al. 2018), Linf."""

    def __init__(
        self, model: Any, eps: float = 8 / 255, alpha: float = 2 / 255, steps: int = 10, random_start: bool = True, *, seed: int = 0
    ) -> None:
        description = f"pgd:steps={steps},step={alpha!r},start={_start(random_start)},return=last"
        super().__init__(model, description, "linf", eps, seed)


class PGDL2(Attack):
    """Projected gradient ascent, L2."""

    def __init__(
        self, model: Any, eps: float = 1.0, alpha: float = 0.2, steps: int = 10, random_start: bool = True, *, seed: int = 0
    ) -> None:
        description = f"pgd:steps={steps},step={alpha!r},start={_start(random_start)},return=last"
        super().__init__(model, description, "l2", eps, seed)


class EOTPGD(Attack):
    """PGD on the expected loss of a model that draws random numbers (Athalye et al. 2018), Linf."""

    def __init__(
        self, model: Any, eps: float = 8 / 255, alpha: float = 2 / 255, steps: int = 10, eot_iter: int = 2,
        random_start: bool = True, *, seed: int = 0,
    ) -> None:
        description = f"eot-pgd:steps={steps},step={alpha!r},draws={eot_iter},start={_start(random_start)},return=last"
        super().__init__(model, description, "linf", eps, seed)


class MIFGSM(Attack):
    """Iterated FGSM with momentum (Dong et al. 2018), Linf."""

    def __init__(
        self, model: Any, eps: float = 8 / 255, alpha: float = 2 / 255, steps: int = 10, decay: float = 1.0
    ) -> None:
        super().__init__(model, f"mi-fgsm:steps={steps},step={alpha!r},decay={decay!r},return=last", "linf", eps)


class NIFGSM(Attack):
    """Iterated FGSM with Nesterov's momentum (Lin et al. 2020), Linf."""

    def __init__(
        self, model: Any, eps: float = 8 / 255, alpha: float = 2 / 255, steps: int = 10, decay: float = 1.0
    ) -> None:
        super().__init__(model, f"ni-fgsm:steps={steps},step={alpha!r},decay={decay!r},return=last", "linf", eps)


class VMIFGSM(Attack):
    """Momentum with gradients tuned by those around (Wang & He 2021), Linf."""

    def __init__(
        self, model: Any, eps: float = 8 / 255, alpha: float = 2 / 255, steps: int = 10, decay: float = 1.0, N: int = 5,
        beta: float = 3 / 2, *, seed: int = 0,
    ) -> None:
        description = f"vmi-fgsm:steps={steps},step={alpha!r},decay={decay!r},neighbors={N},beta={beta!r},return=last"
        super().__init__(model, description, "linf", eps, seed)


class DIFGSM(Attack):
    """Iterated FGSM on images that are resized and shifted at random (Xie et al. 2019), Linf."""

    def __init__(
        self, model: Any, eps: float = 8 / 255, alpha: float = 2 / 255, steps: int = 10, decay: float = 0.0,
        resize_rate: float = 0.9, diversity_prob: float = 0.5, *, seed: int = 0,
    ) -> None:
        description = (
            f"di-fgsm:steps={steps},step={alpha!r},decay={decay!r},resize={resize_rate!r},diversity={diversity_prob!r},return=last"
        )
        super().__init__(model, description, "linf", eps, seed)


class APGD(Attack):
    """Auto-PGD (Croce & Hein 2020) on cross-entropy or the difference of logits ratio."""

    def __init__(
        self, model: Any, norm: str = "Linf", eps: float = 8 / 255, steps: int = 10, n_restarts: int = 1, seed: int = 0,
        loss: str = "ce", eot_iter: int = 1,
    ) -> None:
        if loss not in ("ce", "dlr"):
            raise Error(f"loss: {loss!r}; expected ce or dlr")
        description = f"apgd-{loss}:steps={steps},restarts={n_restarts},draws={eot_iter},return=latest"
        super().__init__(model, description, _norm(norm), eps, seed)


class APGDT(Attack):
    """Auto-PGD on a targeted loss, the likeliest wrong classes one after the other."""

    def __init__(
        self, model: Any, norm: str = "Linf", eps: float = 8 / 255, steps: int = 10, n_restarts: int = 1, seed: int = 0,
        eot_iter: int = 1, n_classes: int = 10,
    ) -> None:
        description = f"apgd-t:steps={steps},restarts={n_restarts},draws={eot_iter},targets={n_classes - 1},return=latest"
        super().__init__(model, description, _norm(norm), eps, seed)


class FAB(Attack):
    """Minimal perturbations along the boundary (Croce & Hein 2020)."""

    def __init__(
        self, model: Any, norm: str = "Linf", eps: float = 8 / 255, steps: int = 10, n_restarts: int = 1, seed: int = 0,
        multi_targeted: bool = False, n_classes: int = 10,
    ) -> None:
        targeted = f"fab-t:targets={n_classes - 1}," if multi_targeted else "fab:"
        super().__init__(model, f"{targeted}steps={steps},restarts={n_restarts}", _norm(norm), eps, seed)


class Square(Attack):
    """Random search from scores alone (Andriushchenko et al. 2020)."""

    def __init__(
        self, model: Any, norm: str = "Linf", eps: float = 8 / 255, n_queries: int = 5000, n_restarts: int = 1,
        p_init: float = 0.8, seed: int = 0,
    ) -> None:
        super().__init__(model, f"square:queries={n_queries},restarts={n_restarts},p={p_init!r}", _norm(norm), eps, seed)


class CW(Attack):
    """Carlini & Wagner's minimal perturbation in L2, for one c, wherever it lies."""

    def __init__(self, model: Any, c: float = 1, kappa: float = 0, steps: int = 50, lr: float = 0.01) -> None:
        # No radius bounds it: any will do.
        super().__init__(model, f"cw:search=1,c={c!r},kappa={kappa!r},steps={steps},rate={lr!r}", "l2", 1.0)


class DeepFool(Attack):
    """To the nearest linearized boundary, again and again (Moosavi-Dezfooli et al. 2016), L2, wherever it lies."""

    def __init__(self, model: Any, steps: int = 50, overshoot: float = 0.02) -> None:
        super().__init__(model, f"deepfool:steps={steps},overshoot={overshoot!r}", "l2", 1.0)
