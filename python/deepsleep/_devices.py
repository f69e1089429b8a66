"""Devices that torch modules compute on."""

from __future__ import annotations

from typing import Any

from ._arguments import brief, is_module, kind
from ._classifier import Classifier
from ._native import Error


def check_device(device: Any, model: Any) -> None:
    """Refuses a device for what does not compute where it is told to."""
    if device is None or is_module(model):
        return
    if isinstance(model, Classifier) or callable(model):
        where = "its function computes where it wants to; move what it uses and leave device out"
    else:
        where = "it is no torch module, and the engine runs it on the processor; leave device out"
    raise Error(f"device: {brief(str(device))} is for torch modules, the model is {kind(model)}: {where}")


def move(module: Any, device: Any) -> None:
    """Moves a torch module to a device, if there is such a one."""
    import torch

    if not isinstance(device, (str, torch.device)):
        raise Error(f"device: {brief(device)}; expected the name of a device, such as 'cpu' or 'cuda:0'")
    if str(device).startswith("meta"):
        raise Error("device: 'meta' holds no numbers, and the model would lose its own; name a device that computes")
    try:
        module.to(torch.device(device))
    except (RuntimeError, AssertionError, ValueError, TypeError, NotImplementedError) as problem:
        raise Error(f"device: {brief(str(device))}: {(str(problem) or type(problem).__name__).splitlines()[0]}") from None
