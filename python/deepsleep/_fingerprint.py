"""What a file of finished parts remembers a model by.

A network of the engine is its weights, bit for bit. A model of Python's is known by its answers, which differ in the last
digits from processor to processor, and of a random model from call to call: they are kept as numbers, and compared as such.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _native
from ._answers import same, spread
from ._arguments import Array, StrPath
from ._native import Error

# Images whose answers are remembered.
_IMAGES = 16

# How large the noise is that they are also shown with.
_NOISE = 0.1

# Directions that gradients are seen from: two that differ look alike from eight random ones by no chance.
_DIRECTIONS = 8

# How often a random model is asked, and how many standard errors its means may lie apart.
_DRAWS, _ERRORS = 32, 6.0

# How many times as large one's deviations of a class may be as the other's, and the share of the noisiest class's that does not count.
_NOISIER, _QUIET = 3.0, 0.05

# By which share of their spread two logits of one model may differ, and by which of its length two gradients. A gradient may jump
# where the last digit of an activation decides, so that a quarter of the images does not count.
_LOGITS, _GRADIENTS, _JUMPS = 1e-3, 1e-2, 0.25

# Bytes of a first line, at most.
_LINE = 1 << 24


def remembered(
    checkpoint: StrPath, models: Mapping[str, _native.Network | _native.Callback], images: Array
) -> dict[str, str]:
    """What models are remembered by, in the words of the file, if it is there and of these models.

    Raises
    ------
    Error
        If the file is of a model of Python's that answers differently, or of other images.
    """
    found, some = _settings(checkpoint), np.ascontiguousarray(images[:_IMAGES])
    about = {"first images": hashlib.sha256(repr(some.shape).encode() + some.tobytes()).hexdigest()}
    if found.get("first images", about["first images"]) != about["first images"]:
        raise Error(f"checkpoint: {checkpoint} is of other images; give those to go on, or name another file to begin anew")
    for name, target in models.items():
        about[name] = _kind(target)
        theirs = found.get(name, about[name])
        if theirs != about[name]:
            raise Error(
                f"checkpoint: {checkpoint} was made with {_said(theirs)}, not {_said(about[name])}, as its {name}; give that one to go "
                "on, or name another file to begin anew"
            )
        if isinstance(target, _native.Network):
            continue
        answers, kept = _answers(target, some), f"{name}'s answers"
        different = _difference(answers, found.get(kept), target.classes) if name in found else ""
        if different:
            raise Error(
                f"checkpoint: {checkpoint} is of another {name}: its {different} for the first images were others; give that "
                "one to go on, or name another file to begin anew"
            )
        # Compared here, and nowhere else.
        about[kept] = found.get(kept, base64.b64encode(answers.tobytes()).decode())
    return about


def _kind(target: _native.Network | _native.Callback) -> str:
    """What a model is, in words; of a network of the engine, its fingerprint."""
    if isinstance(target, _native.Network):
        run_as = f"{target.architecture} {target.is_spiking} {target.draws}"
        return hashlib.sha256(run_as.encode() + target.to_bytes()).hexdigest()
    draws = f"{target.draws} random draws" if target.random else "fixed"
    return f"a model of Python's, {draws}"


def _said(kind: object) -> str:
    """What a model is, for a sentence: of a fingerprint its beginning, which tells networks apart."""
    text = str(kind)
    return f"the network {text[:8]}" if re.fullmatch("[0-9a-f]{64}", text) else " ".join(text.split())[:100]


def _settings(checkpoint: StrPath) -> dict[str, str]:
    """What a file says that it was made with; nothing if it is no such file, which the engine will refuse."""
    if not os.path.isfile(checkpoint):
        return {}
    try:
        with open(checkpoint, "rb") as file:
            settings = json.loads(file.readline(_LINE))
    except (OSError, ValueError, RecursionError):
        return {}
    return settings if isinstance(settings, dict) else {}


def _answers(target: _native.Callback, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """`[2, image, number]`: means over draws of what a model says of each image, as it is and with noise, which a model may
    notice, and their standard errors."""
    noise = np.random.default_rng(0).uniform(-_NOISE, _NOISE, images.shape).astype(np.float32)
    shown = images, np.clip(images + noise, 0, 1)
    draws = np.stack([
        np.concatenate([_draw(target, each) for each in shown]) for _ in range(_DRAWS if target.random else 1)
    ])
    with np.errstate(all="ignore"):
        return np.stack([draws.mean(0), draws.std(0) / len(draws) ** 0.5]).astype(np.float32)


def _draw(target: _native.Callback, images: NDArray[np.float32]) -> NDArray[np.float64]:
    """Logits, and the gradient's length and what it is in each of the directions; only the former if there is none."""
    try:
        logits, pullback = target.forward(images.copy(), True)
    except Error:  # it answers without a gradient
        logits, pullback = target.forward(images.copy(), False)
    answers = logits.astype(np.float64)
    if pullback is None:
        return answers
    weights = np.linspace(-1, 1, logits.size, dtype=np.float32).reshape(logits.shape)
    gradients = pullback(weights).reshape(len(images), -1).astype(np.float64)
    directions = np.random.default_rng(0).standard_normal((gradients.shape[1], _DIRECTIONS))
    with np.errstate(all="ignore"):
        return np.hstack([answers, np.linalg.norm(gradients, axis=1, keepdims=True), gradients @ directions])


def _difference(ours: NDArray[np.float32], kept: Any, classes: int) -> str:
    """In what two answers are not one model's; nothing, if they are."""
    try:
        theirs = np.frombuffer(base64.b64decode(kept), np.float32).reshape(*ours.shape[:2], -1)
    except (TypeError, ValueError):  # of fewer classes, or damaged
        return "logits"
    logits, others = ours[:, :, :classes], theirs[:, :, :classes]
    if _apart(logits, others, _LOGITS * min(spread(logits[0]), spread(others[0]))).any():
        return "logits"
    if _noisier(logits[1], others[1]):
        return "noise"
    gradients, others = ours[:, :, classes:], theirs[:, :, classes:]
    with np.errstate(all="ignore"):
        sizes = np.minimum(*(np.nan_to_num(np.abs(of[0]), posinf=0.0).max(1, keepdims=True, initial=0.0) for of in (gradients, others)))
    jumps = _apart(gradients, others, _GRADIENTS * sizes)
    return "gradients" if jumps.mean() > _JUMPS else ""


def _noisier(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> bool:
    """Whether the answers of a class vary more from call to call than chance explains: from 32 draws of 32 images, a deviation is
    known to less than a fifth. How classes vary together is not looked at."""
    with np.errstate(all="ignore"):
        a, b = (np.sqrt(np.square(np.nan_to_num(errors.astype(float), posinf=0)).mean(0)) for errors in (ours, theirs))
    least = 1e-6 + _QUIET * max(a.max(initial=0.0), b.max(initial=0.0))
    return bool((np.maximum(a, b) > _NOISIER * np.minimum(a, b) + least).any())


def _apart(ours: NDArray[np.float32], theirs: NDArray[np.float32], most: Any) -> Array:
    """Which images differ by more than that, and by more than rounding and chance explain."""
    if ours.shape != theirs.shape:
        return np.ones(ours.shape[1], bool)
    (a, a_error), (b, b_error) = ours, theirs
    with np.errstate(all="ignore"):
        chance = _ERRORS * np.hypot(a_error, b_error)
    apart: Array = np.asarray(~same(a, b, most + chance).all(1))
    return apart
