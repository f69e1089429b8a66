"""Attacks on networks, honest ones, and defenses by sleep: fast on plain CPUs.

>>> import deepsleep
>>> report = deepsleep.attack(model, images, labels, "autoattack", eps=8/255)
>>> report.robust_accuracy
"""

from . import torchattacks
from ._architecture import architecture, architectures
from ._attack import attack, attacks
from ._audit import Audit, audit
from ._autoattack import AutoAttack
from ._classifier import Classifier
from ._data import Dataset, dataset, datasets
from ._evaluation import Evaluation, evaluate, reproduce
from ._models import Model, load
from ._native import Error, __version__
from ._report import Report
from ._training import defend, defenses, settings, train

__all__ = [
    "Audit",
    "AutoAttack",
    "Classifier",
    "Dataset",
    "Error",
    "Evaluation",
    "Model",
    "Report",
    "__version__",
    "architecture",
    "architectures",
    "attack",
    "attacks",
    "audit",
    "dataset",
    "datasets",
    "defend",
    "defenses",
    "evaluate",
    "load",
    "reproduce",
    "settings",
    "torchattacks",
    "train",
]
