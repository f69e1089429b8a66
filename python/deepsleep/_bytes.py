"""Pixels as floats from 0 to 1 and as bytes, as the package torchattacks converts them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._arguments import is_tensor, kind, word_of
from ._native import Error


def to_type(images: Any, type: str) -> Any:
    """Floats as bytes (`int`), rounded down, or bytes as floats (`float`); what is of this kind already as it is."""
    if not is_tensor(images) and not isinstance(images, np.ndarray):
        raise Error(f"inputs: {kind(images)}; give a numpy array or a torch tensor")
    is_float = images.is_floating_point() if is_tensor(images) else images.dtype.kind == "f"
    if word_of(type, "type", ("float", "int")) == "int":
        return _as_bytes(images) if is_float else images
    if str(images.dtype).rsplit(".", 1)[-1] != "uint8":
        return images
    return images.float() / 255 if is_tensor(images) else images.astype(np.float32) / np.float32(255)


def _as_bytes(images: Any) -> Any:
    if not is_tensor(images):
        return (images * 255).astype(np.uint8)
    import torch

    return (images * 255).to(torch.uint8)
