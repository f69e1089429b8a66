"""Networks as values: names, files, dictionaries."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

from . import _native
from ._arguments import Error, kind, whole

_FILES = (".toml", ".json", ".safetensors", ".onnx")


def architecture(
    source: str | os.PathLike | dict, input_shape: Sequence[int] | None = None, classes: int | None = None
) -> dict[str, Any]:
    """The layers of a network.

    Parameters
    ----------
    source : str, path or dict
        A name (`architectures` lists them), a file in TOML or JSON or a saved network, or a dictionary like the result.
    input_shape : sequence of int, optional
        Channels, height and width, for a name; the shape that the network was made for, unless said otherwise.
    classes : int, optional
        For a name; 10, unless said otherwise.

    Returns
    -------
    dict
        `{"input": [channels, height, width], "classes": ..., "nodes": [...]}`, checked: the layers fit one another.

    Examples
    --------
    >>> deepsleep.architecture("resnet20", input_shape=(3, 32, 32), classes=10)["nodes"][0]
    """
    if isinstance(source, dict):
        _only_names(input_shape, classes, "a dictionary")
        return json.loads(_native.checked(json.dumps(source)))
    if not isinstance(source, (str, os.PathLike)):
        raise Error(f"architecture: {kind(source)}; give a name, a file or a dictionary")
    text = os.fspath(source)
    if isinstance(source, os.PathLike) or "/" in text or text.lower().endswith(_FILES):
        _only_names(input_shape, classes, "a file")
        return json.loads(_native.of_file(text))
    return json.loads(_native.named(text, shape_of(input_shape), 10 if classes is None else whole(classes, "classes", 1)))


def _only_names(input_shape: Any, classes: Any, what: str) -> None:
    if input_shape is not None or classes is not None:
        raise Error(f"architecture: {what} says itself for which images and classes it is; leave input_shape and classes out")


def shape_of(shape: Any) -> tuple[int, int, int] | None:
    """Channels, height and width, if they are given."""
    if shape is None:
        return None
    try:
        sides = tuple(whole(side, "input_shape", 1) for side in shape)
    except TypeError:
        raise Error(f"input_shape: {shape!r}; expected channels, height and width: (3, 32, 32)") from None
    if len(sides) != 3:
        raise Error(f"input_shape: {sides}; expected channels, height and width: (3, 32, 32)")
    return sides


def architectures() -> dict[str, str]:
    """The named networks, and what they are."""
    return dict(_native.architectures())
