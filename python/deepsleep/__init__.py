"""Attacks on networks, honest ones, and defenses by sleep: fast on plain CPUs.

>>> import deepsleep
>>> report = deepsleep.attack(model, images, labels, "autoattack", eps=8/255)
>>> report.robust_accuracy
"""

from . import torchattacks
from ._architecture import architecture, architectures
from ._attack import attack, attacks
from ._autoattack import AutoAttack
from ._models import Classifier, Model, load
from ._native import Error, __version__
from ._report import Report

__all__ = [
    "AutoAttack",
    "Classifier",
    "Error",
    "Model",
    "Report",
    "__version__",
    "architecture",
    "architectures",
    "attack",
    "attacks",
    "load",
    "torchattacks",
]
