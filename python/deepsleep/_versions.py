"""Which attacks the versions of AutoAttack run, and how often."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ._arguments import brief, kind, option_of, switch, whole
from ._native import Error

ALL = ("apgd-ce", "apgd-dlr", "apgd-t", "fab", "fab-t", "square")

RUNS = {
    "standard": ["apgd-ce", "apgd-t", "fab-t", "square"],
    "plus": ["apgd-ce", "apgd-dlr", "fab", "square", "apgd-t", "fab-t"],
    "rand": ["apgd-ce", "apgd-dlr"],
}


# What is no attribute of these cannot be set: a typo, or an option that is not there, would go unnoticed.
@dataclass(slots=True)
class Apgd:
    n_restarts: int = 1
    n_iter: int = 100
    eot_iter: int = 1


@dataclass(slots=True)
class Targeted(Apgd):
    n_target_classes: int = 9


@dataclass(slots=True)
class Fab:
    n_restarts: int = 1
    n_iter: int = 100
    n_target_classes: int = 9


@dataclass(slots=True)
class Square:
    n_restarts: int = 1
    n_queries: int = 5000
    p_init: float = 0.8
    resc_schedule: bool = False


def attacks_of(version: str, norm: str) -> tuple[Apgd, Targeted, Fab, Square]:
    """The attacks as a version runs them."""
    l1, standard, rand = norm == "l1", version == "standard", version == "rand"
    restarts = {"standard": 5 if l1 else 1, "rand": 1}.get(version, 5)
    return (
        Apgd(restarts, eot_iter=20 if rand else 1),
        Targeted(n_target_classes=5 if l1 and standard else 9),
        Fab(1 if standard else 5),
        Square(),
    )


def checked(attacks: Any) -> list[str]:
    """Names of attacks to run, each once."""
    if not isinstance(attacks, (list, tuple)) or not all(isinstance(name, str) for name in attacks):
        raise Error(f"attacks_to_run: {brief(attacks)}; give a list of {', '.join(ALL)}")
    for place, name in enumerate(attacks):
        if name not in ALL:
            raise Error(f"attacks_to_run: {brief(name)}; expected some of {', '.join(ALL)}")
        if name in attacks[:place]:
            raise Error(f"attacks_to_run: {name!r} is given twice; its restarts are attributes, such as apgd.n_restarts")
    return list(attacks)


def descriptions(apgd: Apgd, targeted: Targeted, fab: Fab, square: Square, classes: int) -> dict[str, str]:
    """The attacks as the engine reads them, for a model of so many classes: targets are no more than there are wrong ones."""

    for name, settings, of in [("apgd", apgd, Apgd), ("apgd_targeted", targeted, Targeted), ("fab", fab, Fab), ("square", square, Square)]:
        if not isinstance(settings, of):
            raise Error(f"{name}: {kind(settings)}; leave it as it is and set its attributes, such as {name}.n_restarts = 2")

    def number(attack: Any, name: str) -> str:
        return option_of(getattr(attack, name), name)

    def guided(by: Apgd) -> str:
        return f"steps={number(by, 'n_iter')},restarts={number(by, 'n_restarts')},draws={number(by, 'eot_iter')}"

    targets = [min(whole(attack.n_target_classes, "n_target_classes", 1), classes - 1) for attack in (targeted, fab)]
    return {
        "apgd-ce": f"apgd-ce:{guided(apgd)}",
        "apgd-dlr": f"apgd-dlr:{guided(apgd)}",
        "apgd-t": f"apgd-t:{guided(targeted)},targets={targets[0]}",
        "fab": f"fab:steps={number(fab, 'n_iter')},restarts={number(fab, 'n_restarts')}",
        # As in the official package, one restart for each target.
        "fab-t": f"fab-t:steps={number(fab, 'n_iter')},restarts=1,targets={targets[1]}",
        "square": f"square:queries={number(square, 'n_queries')},restarts={number(square, 'n_restarts')},p={number(square, 'p_init')}"
        + (",rescale=yes" if switch(square.resc_schedule, "resc_schedule") else ""),
    }
