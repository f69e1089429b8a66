"""Networks as values: names, files, dictionaries."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from typing import Any

from . import _native
from ._arguments import StrPath, brief, json_of, kind, path_of, text_of, whole
from ._native import Error

Layers = dict[str, Any]

# Numbers of an image, at most: as many as the engine takes of all layers together.
MOST_NUMBERS = 2**26

_FILES = (".toml", ".json", ".safetensors", ".onnx")


def architecture(
    source: StrPath | Layers, input_shape: Sequence[int] | None = None, classes: int | None = None
) -> Layers:
    """The layers of a network.

    Parameters
    ----------
    source : str, path or dict
        A name (`architectures` lists them), a file in TOML or JSON, a saved network, or a dictionary like the result.
    input_shape : sequence of int, optional
        For a name: channels, height and width. By default the shape that the network was made for.
    classes : int, optional
        For a name; 10 by default.

    Returns
    -------
    dict
        `{"input": [channels, height, width], "classes": ..., "nodes": [...]}`. It was checked that the layers fit one another.

    Raises
    ------
    Error
        If there is no such network, or if its layers do not fit.

    Examples
    --------
    >>> deepsleep.architecture("resnet20", input_shape=(3, 32, 32), classes=10)["nodes"][0]
    """
    if isinstance(source, dict):
        _only_names(input_shape, classes, "a dictionary")
        return _layers(_native.checked(json_of(source, "architecture")))
    if not isinstance(source, (str, os.PathLike)):
        raise Error(f"architecture: {kind(source)}; give a name, a file or a dictionary")
    text = path_of(source, "architecture")
    if isinstance(source, os.PathLike) or "/" in text or text.lower().endswith(_FILES):
        _only_names(input_shape, classes, "a file")
        return _layers(_native.of_file(text))
    text = text_of(text, "architecture")
    return _layers(_native.named(text, shape_of(input_shape), 10 if classes is None else whole(classes, "classes", 2)))


def _layers(text: str) -> Layers:
    layers: Layers = json.loads(text)
    return layers


def _only_names(input_shape: Any, classes: Any, what: str) -> None:
    if input_shape is not None or classes is not None:
        raise Error(f"architecture: {what} says itself for which images and classes it is; leave input_shape and classes out")


def shape_of(shape: Any) -> tuple[int, int, int] | None:
    """Channels, height and width, if they are given."""
    if shape is None:
        return None
    try:
        sides = [whole(side, "input_shape", 1) for side in shape]
    except TypeError:
        raise Error(f"input_shape: {brief(shape)}; expected channels, height and width: (3, 32, 32)") from None
    if len(sides) != 3:
        raise Error(f"input_shape: {tuple(sides)}; expected channels, height and width: (3, 32, 32)")
    if math.prod(sides) > MOST_NUMBERS:
        raise Error(f"input_shape: {brief(tuple(sides))}; an image has {MOST_NUMBERS} numbers at most")
    return sides[0], sides[1], sides[2]


def architectures() -> dict[str, str]:
    """The named networks.

    Returns
    -------
    dict
        From names to what they are.
    """
    return dict(_native.architectures())
