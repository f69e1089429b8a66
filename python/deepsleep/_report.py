"""What came of an attack."""

from __future__ import annotations

import base64
import html
import json
import os
from typing import Any

import numpy as np

from . import _native
from ._arguments import Images, whole
from ._models import path_of


class Report:
    """What an attack did to every image, and what follows.

    Attributes
    ----------
    robust_accuracy, clean_accuracy : float
        Shares of images classified rightly, under attack and without.
    robust_interval : tuple of float
        Where the robust accuracy on all images of this kind lies, with 95 % confidence.
    adversarial : array or tensor
        The images that prove it, `[n, channels, height, width]`; where nothing was found, the clean ones to the bit.
    status : numpy.ndarray of str
        `clean-wrong`, `fooled`, `survived`, `invalid` (a logit was not finite), or `outside`.
    winner : numpy.ndarray of str
        Which attack of an ensemble found the image.
    margin : array or tensor
        The label's logit minus the largest other one, of the image that was returned.
    prediction : array or tensor
        The class of the image that was returned.
    linf, l2, l1, l0 : array or tensor
        How far the image was changed.
    forward_passes, backward_passes : int
        What it cost, all images together; `arrays` has them for each image.
    warnings : list of str
        What gives reason to doubt the result.
    summary : dict
        All numbers about the attack as a whole.
    arrays : dict
        Everything about each image, as numpy arrays, under the names that `save` writes them by.
    """

    def __init__(self, result: _native.AttackResult, images: Images) -> None:
        self._result, self._images = result, images
        self.summary: dict[str, Any] = json.loads(result.summary())
        self.arrays: dict[str, np.ndarray] = {name: np.asarray(column) for name, column in result.columns().items()}
        self.robust_accuracy: float = self.summary["robust_accuracy"]
        self.clean_accuracy: float = self.summary["clean_accuracy"]
        self.robust_interval: tuple[float, float] = tuple(self.summary["robust_interval"])
        self.forward_passes: int = self.summary["forward_passes"]
        self.backward_passes: int = self.summary["backward_passes"]
        self.warnings: list[str] = self.summary["warnings"]
        self.status, self.winner = self.arrays["status"], self.arrays["winner"]

    def __getattr__(self, name: str) -> Any:
        if name in ("adversarial", "margin", "prediction", "linf", "l2", "l1", "l0"):
            return self._images.give_back(self.arrays[name])
        raise AttributeError(f"a Report has no {name}")

    @property
    def fooled(self) -> np.ndarray:
        """Which images were fooled."""
        return self.status == "fooled"

    def save(self, path: str | os.PathLike) -> None:
        """Saves everything as an npz file, as `deepsleep-cli attack --save` does."""
        self._result.save(path_of(path, "path"))

    def grid(self, images: int = 20) -> bytes:
        """A picture of the first images that fool, as a PNG: clean, adversarial, difference."""
        return self._result.grid(whole(images, "images", 1, 200))

    def __repr__(self) -> str:
        s = self.summary
        low, high = self.robust_interval
        return (
            f"{s['attack']} ({s['norm']}, eps {s['eps']:.6g}) on {s['images']} images: robust accuracy "
            f"{100 * self.robust_accuracy:.2f} % ({100 * low:.2f} to {100 * high:.2f}), clean {100 * self.clean_accuracy:.2f} %"
        )

    def _repr_html_(self) -> str:
        s = self.summary
        rows = [
            ("robust accuracy", f"{100 * self.robust_accuracy:.2f} %"),
            ("95 % confidence", " to ".join(f"{100 * bound:.2f}" for bound in self.robust_interval) + " %"),
            ("clean accuracy", f"{100 * self.clean_accuracy:.2f} %"),
            ("fooled, survived", f"{s['fooled']}, {s['survived']} of {s['images']}"),
            ("passes, forward and backward", f"{self.forward_passes:,} and {self.backward_passes:,}"),
            ("seconds", f"{s['seconds']:.1f}"),
        ]
        table = "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in rows)
        title = html.escape(f"{s['attack']}, {s['norm']}, eps {s['eps']:.6g}")
        doubts = "".join(f"<li>{html.escape(warning)}</li>" for warning in self.warnings)
        return f"<p><b>{title}</b></p><table>{table}</table><ul>{doubts}</ul>{self._picture()}"

    def _picture(self) -> str:
        try:
            picture = base64.b64encode(self.grid(8)).decode()
        except _native.Error:  # neither gray nor color
            return ""
        return f'<img alt="clean, adversarial, difference" src="data:image/png;base64,{picture}">'
