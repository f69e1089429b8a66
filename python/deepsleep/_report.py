"""What came of an attack."""

from __future__ import annotations

import base64
import copy
import html
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _native
from ._arguments import Array, Images, StrPath, path_of, whole
from ._within import number_of, within


class Report:
    """What an attack did to every image, and what follows. It is made by `attack`.

    Parameters
    ----------
    result : object
        What the engine answered.
    images : object
        The images, and what they came as.
    radius : str
        The radius as it was given.
    doubts : sequence of str
        What else gives reason to doubt the result.

    Notes
    -----
    What a report gives is yours: changing it changes no report. The arrays of `arrays` are its own, and cannot be written to.
    """

    def __init__(self, result: _native.AttackResult, images: Images, radius: str, doubts: Sequence[str] = ()) -> None:
        self._result: _native.AttackResult | bytes = result
        self._form, self._radius = images.form, radius
        # A copy: it is no concern of a report's what becomes of the caller's.
        self._own: Array | None = images.exact.copy() if images.exact.dtype == np.float64 else None
        self._summary: dict[str, Any] = json.loads(result.summary)
        self._summary["warnings"] += doubts
        self._arrays: dict[str, Array] = {name: np.asarray(column) for name, column in result.columns().items()}
        self._protect()

    def _protect(self) -> None:
        for array in self._arrays.values():
            array.flags.writeable = False

    @property
    def summary(self) -> dict[str, Any]:
        """All numbers about the attack as a whole."""
        return copy.deepcopy(self._summary)

    @property
    def arrays(self) -> dict[str, Array]:
        """Everything about each image, under the names that `save` writes it by. They cannot be written to; `.copy()` can."""
        return dict(self._arrays)

    @property
    def robust_accuracy(self) -> float:
        """The share of images that are classified correctly under attack."""
        return float(self._summary["robust_accuracy"])

    @property
    def robust_interval(self) -> tuple[float, float]:
        """Where the robust accuracy on all images of this kind lies, with 95 % confidence."""
        low, high = self._summary["robust_interval"]
        return low, high

    @property
    def clean_accuracy(self) -> float:
        """The share of images that are classified correctly without an attack."""
        return float(self._summary["clean_accuracy"])

    @property
    def forward_passes(self) -> int:
        """Forward passes that it took, all images together; `arrays` has them for each image."""
        return int(self._summary["forward_passes"])

    @property
    def backward_passes(self) -> int:
        """Backward passes that it took, all images together; `arrays` has them for each image."""
        return int(self._summary["backward_passes"])

    @property
    def warnings(self) -> list[str]:
        """What gives reason to doubt the result."""
        return list(self._summary["warnings"])

    @property
    def status(self) -> NDArray[np.str_]:
        """What became of each image.

        `clean-wrong`, `fooled`, `survived`, `invalid` (a logit was not finite, or the model answered differently after the
        attack than before it), or `outside` (the image that was shown, crafted on `source`, lies beyond the radius).
        """
        return self._arrays["status"].copy()

    @property
    def winner(self) -> NDArray[np.str_]:
        """Which attack of an ensemble fooled, for each image."""
        return self._arrays["winner"].copy()

    @property
    def fooled(self) -> NDArray[np.bool_]:
        """Which images were fooled."""
        return np.asarray(self.status == "fooled")

    @property
    def adversarial(self) -> Any:
        """The images that prove it, as what the clean ones came as.

        Where nothing was found they are the clean ones, unless the attack was to return its last points (`return=last`) or
        they were crafted on another model (`source`).
        """
        return self._form.give_back(self._returned())

    def _returned(self) -> Array:
        """The images that `adversarial` gives, as an array: float32, or in the ball of float64 around images of that kind."""
        found = self._arrays["adversarial"]
        if self._own is None:
            return found
        exact = np.where(found == self._own.astype(np.float32), self._own, found)
        inside = (self._arrays["status"] != "outside") & bool(self._summary["bounded"])
        exact[inside] = within(exact[inside], self._own[inside], self._summary["norm"].lower(), number_of(self._radius))
        return exact

    @property
    def prediction(self) -> Any:
        """The class of each returned image."""
        return self._given_back("prediction")

    @property
    def margin(self) -> Any:
        """The label's logit minus the largest other one, of each returned image."""
        return self._given_back("margin")

    @property
    def linf(self) -> Any:
        """The largest change of a pixel, of each image."""
        return self._given_back("linf")

    @property
    def l2(self) -> Any:
        """The Euclidean length of each image's change."""
        return self._given_back("l2")

    @property
    def l1(self) -> Any:
        """The sum of the absolute changes of each image's pixels."""
        return self._given_back("l1")

    @property
    def l0(self) -> Any:
        """How many pixels of each image were changed; channels count separately."""
        return self._given_back("l0")

    def _given_back(self, name: str) -> Any:
        return self._form.give_back(self._arrays[name])

    def save(self, path: StrPath) -> None:
        """Save everything, as `deepsleep-cli attack --save` does.

        Parameters
        ----------
        path : path
            An npz file.

        Raises
        ------
        Error
            If the file cannot be written.
        """
        _native.save_set(self._file(), path_of(path, "path"))

    def _file(self) -> bytes:
        """The content of the file that `save` writes."""
        return self._result if isinstance(self._result, bytes) else self._result.to_bytes()

    def __getstate__(self) -> dict[str, Any]:
        """For pickle."""
        return {**self.__dict__, "_result": self._file()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._protect()

    def grid(self, images: int = 20) -> bytes:
        """A picture of the first images that fool: clean, adversarial, difference.

        Parameters
        ----------
        images : int
            How many, from 1 to 200.

        Returns
        -------
        bytes
            A file of PNG.

        Raises
        ------
        Error
            If the images are neither gray nor in color.
        """
        most, arrays = whole(images, "images", 1, 200), self._arrays
        which = np.flatnonzero(self.fooled) if self.fooled.any() else np.arange(len(self.fooled))
        some = [arrays[name][which[:most]] for name in ("images", "adversarial", "labels", "prediction")]
        clean, adversarial, labels, predictions = some
        return _native.grid(clean, adversarial, [f"{label} > {found}" for label, found in zip(labels, predictions)])

    def __repr__(self) -> str:
        s = self._summary
        low, high = self.robust_interval
        doubts = len(self.warnings)
        said = f"; {doubts} warning{'s' if doubts > 1 else ''}, see .warnings" if doubts else ""
        return (
            f"{s['attack']} ({s['norm']}, eps {s['eps']:.6g}) on {s['images']} images: robust accuracy "
            f"{100 * self.robust_accuracy:.2f} % ({100 * low:.2f} to {100 * high:.2f}), clean {100 * self.clean_accuracy:.2f} %{said}"
        )

    def _repr_html_(self) -> str:
        s = self._summary
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
