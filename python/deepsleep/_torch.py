"""Torch models. Only imported once a torch model or tensor is there."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import re
import sys
import textwrap
import threading
import warnings
import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from ._classifier import alike, spread
from ._native import Error, Network

if TYPE_CHECKING:
    from ._classifier import Forward, Pullback

# Modules that answer differently in training.
_TRAINS = (torch.nn.modules.dropout._DropoutNd, torch.nn.modules.batchnorm._BatchNorm)
_TRAINS_IF_TRACKED = torch.nn.modules.instancenorm._InstanceNorm


def as_tensors(model: Any, device: Any) -> Callable[[NDArray[np.float32]], torch.Tensor]:
    """Makes tensors of arrays, where a model computes and as it does."""
    dtype = dtype_of(model)
    return lambda array: torch.from_numpy(array).to(device=device, dtype=dtype)


def check_mode(model: Any) -> None:
    """Refuses a module whose answers are those of training, or that has no numbers to answer with."""
    if not isinstance(model, torch.nn.Module):
        return
    if any(tensor.device.type == "meta" for tensor in [*model.parameters(), *model.buffers()]):
        raise Error(
            "model: its parameters are on the device meta, which holds no numbers; call model.to_empty(device='cpu') and load them"
        )
    for name, module in model.named_modules():
        tracks = isinstance(module, _TRAINS_IF_TRACKED) and module.track_running_stats
        if (tracks or isinstance(module, _TRAINS)) and _is_in_training(module):
            raise Error(f"model: {name or 'it'} ({type(module).__name__}) is in training mode; call model.eval() first")


def device_of(model: Any, images: Any) -> Any:
    """Where a model computes: where its first parameter or buffer is, else where the images are."""
    if isinstance(model, torch.nn.Module):
        for tensor in [*model.parameters(), *model.buffers()]:
            return tensor.device
    return images.device if isinstance(images, torch.Tensor) else torch.device("cpu")


def dtype_of(model: Any) -> Any:
    """The dtype that a model computes in."""
    if isinstance(model, torch.nn.Module):
        for parameter in model.parameters():
            if parameter.is_floating_point():
                return parameter.dtype
    return torch.float32


# Parts of modules that are in evaluation mode for some threads, for each time that one wants it so, and the mode that they were
# found in. Modules share parts, so that each part is counted by itself.
_EVALUATED: weakref.WeakKeyDictionary[torch.nn.Module, tuple[bool, list[int]]] = weakref.WeakKeyDictionary()
_MODES = threading.RLock()


@contextlib.contextmanager
def evaluating(module: torch.nn.Module) -> Iterator[None]:
    """The module in evaluation mode; each part of it is in the mode that it was found in after the last who wants it so."""
    thread, parts = threading.get_ident(), list(module.modules())
    with _MODES:
        for part in parts:
            _EVALUATED.setdefault(part, (part.training, []))[1].append(thread)
    try:
        with _MODES:
            module.eval()
        yield
    finally:
        with _MODES:
            for part in parts:
                found, threads = _EVALUATED[part]
                threads.remove(thread)
                if not threads:
                    del _EVALUATED[part]
                    _put_back(part, found)


def _put_back(part: torch.nn.Module, training: bool) -> None:
    """A part into the mode that it was found in, by its own method if it has one, which may undo what that did for evaluation."""
    modes = [(inner, inner.training) for inner in part.modules()]
    if type(part).train is not torch.nn.Module.train and part.training != training:
        part.train(training)
        for inner, mode in modes:
            inner.training = mode
    part.training = training


def _is_in_training(part: torch.nn.Module) -> bool:
    """Whether a part is in training mode for this thread: what another one does to it meanwhile does not count."""
    with _MODES:
        found, threads = _EVALUATED.get(part, (part.training, []))
        return part.training if threading.get_ident() in threads else found


def _tensor(answer: Any) -> torch.Tensor:
    """What a model answered, if it is logits."""
    if not isinstance(answer, torch.Tensor):
        raise Error(f"model: its answer is a {type(answer).__name__}; expected logits as a tensor, n x classes")
    return answer


def answers(module: Any, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """The logits of images, as the module gives them.

    Raises
    ------
    Error
        If it cannot take them, or answers with anything but a tensor.
    """
    probe = _copy(module, images)
    with torch.no_grad():
        try:
            values: NDArray[np.float32] = _tensor(module(probe)).float().cpu().numpy()
        except (RuntimeError, ValueError, TypeError, IndexError) as problem:
            if isinstance(problem, Error):
                raise
            shape = " x ".join(map(str, images.shape))
            raise Error(f"model: it cannot take images of shape {shape}: {_short(problem)}") from problem
    return values


def _copy(module: Any, images: NDArray[np.float32]) -> torch.Tensor:
    """Images as a tensor of a module's kind, which it may change in place."""
    return torch.tensor(images, device=device_of(module, None), dtype=dtype_of(module))


def _short(problem: object) -> str:
    """The beginning of a message, without the colors of terminals."""
    return textwrap.shorten(re.sub(r"\x1b\[[0-9;]*m", "", str(problem)), 200, placeholder=" ...")


def differentiable(model: Callable[[Any], Any], device: Any) -> Forward:
    """A function on tensors as one on arrays, with its gradient by autograd.

    It maps images and whether a gradient will be asked for to logits and, if so, a function from weights of the logits to
    the gradient of the weighted sum.
    """
    dtype = dtype_of(model)

    def forward(images: NDArray[np.float32], wanted: bool) -> tuple[NDArray[np.float32], Pullback | None]:
        with torch.inference_mode(False), torch.set_grad_enabled(wanted):
            x = torch.from_numpy(images).to(device=device, dtype=dtype)
            # A copy, which a model may change in place.
            logits = _tensor(model(x.requires_grad_().clone() if wanted else x))
        values = logits.detach().float().cpu().numpy()
        if not wanted:
            return values, None
        if not logits.requires_grad:
            raise Error(
                "model: its logits have no gradient (is there a .detach(), .numpy() or torch.no_grad() in it?); give "
                "gradient=, or an attack that needs none: square, rays"
            )

        def pullback(weights: NDArray[np.float32]) -> NDArray[np.float32]:
            seed = torch.from_numpy(weights).to(logits)
            try:
                (gradient,) = torch.autograd.grad(logits, x, seed, retain_graph=True, allow_unused=True)
            except RuntimeError as problem:
                if "donated buffer" not in str(problem):
                    raise
                # What was compiled keeps its graph for no second gradient.
                with torch.inference_mode(False), torch.enable_grad():
                    (gradient,) = torch.autograd.grad(_tensor(model(x.clone())), x, seed, allow_unused=True)
            if gradient is None:
                return np.zeros_like(images)
            values: NDArray[np.float32] = gradient.float().cpu().numpy()
            return values

        return values, pullback

    return forward


def export(module: Any, images: NDArray[np.float32], spiking: bool) -> Network:
    """A module as a network of the engine, by way of ONNX in memory, which answers as the module does.

    Raises
    ------
    Error
        If it cannot be exported, is not read, or answers differently.
    """
    content = _onnx(module, _copy(module, images))
    name = type(module).__name__
    network = Network.of_onnx(content, name, spiking)
    from ._models import Model

    exported = Model(Network.of_onnx(content, name, False))
    logits = answers(module, images)
    if not alike(answers(module, images), logits):
        raise Error("its answers vary")
    # Also what was not traced: one image alone, and noise in a batch of another size.
    noise = np.random.default_rng(1).random((len(images) + 1, *images.shape[1:]), dtype=np.float32)
    for batch in (images, images[-1:], noise, noise * np.float32(0.1)):
        if not alike(exported.logits(batch), answers(module, batch), spread(logits) if len(batch) == 1 else None):
            raise Error("the exported network answers differently")
    return network


class _OthersOnly:
    """A stream for all threads but this one: torch prints half a graph on it when an export fails."""

    def __init__(self, stream: Any) -> None:
        self._stream, self._thread = stream, threading.get_ident()

    def write(self, text: str) -> int:
        return len(text) if threading.get_ident() == self._thread else int(self._stream.write(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


# What an export silences is the whole process's, so there is one at a time.
_EXPORT = threading.RLock()


@contextlib.contextmanager
def _quiet() -> Iterator[Callable[[bool], None]]:
    """No warnings and no log of the exporters; how to silence torch's own. That a trace may not hold for other images is an error."""
    parts: Any = torch.jit, torch._C  # its types do not know all of them
    jit, native = parts
    # torch's exporter switches a log of its own on, pages of standard output, before it calls the module.
    silence = getattr(native, "_jit_set_onnx_log_enabled", lambda enabled: None)
    with _EXPORT, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", jit.TracerWarning)
        disabled = logging.root.manager.disable
        logging.disable(logging.CRITICAL)
        stderr = sys.stderr
        sys.stderr = muted = _OthersOnly(stderr)
        try:
            yield silence
        finally:
            if sys.stderr is muted:
                sys.stderr = stderr
            silence(False)
            logging.disable(disabled)


def _wrapped(module: torch.nn.Module) -> torch.nn.Module | None:
    """What a module of `torch.compile` or `DataParallel` wraps, and answers as; None of any other."""
    around = torch.nn.DataParallel, torch.nn.parallel.DistributedDataParallel
    inner = getattr(module, "module" if isinstance(module, around) else "_orig_mod", None)
    return inner if isinstance(inner, torch.nn.Module) else None


def _apart(module: torch.nn.Module) -> torch.nn.Module:
    """A copy to export, of what `torch.compile` or `DataParallel` wraps: exporters change the modes of parts and replace parameters
    meanwhile, which other threads would see. What cannot be copied, such as a state with a graph, is exported itself."""
    while (inner := _wrapped(module)) is not None:
        module = inner
    try:
        return copy.deepcopy(module)
    except Exception:  # whatever a part's own way to copy itself raises
        return module


def _onnx(module: Any, probe: Any) -> bytes:
    """The content of an ONNX file; torch's exporters differ in what they can do and in what they need."""
    problems = []
    to_onnx: Any = torch.onnx.export  # by its types it writes to paths alone; it writes to memory too
    for dynamo in (False, True):
        content = io.BytesIO()
        try:
            with _quiet() as silence, torch.no_grad(), contextlib.ExitStack() as stack:
                own = _apart(module)
                if own in module.modules():
                    stack.enter_context(evaluating(own))
                if not isinstance(own, torch.jit.ScriptModule):
                    stack.callback(own.register_forward_pre_hook(lambda *_: silence(False)).remove)
                if dynamo:
                    program = to_onnx(own, (probe,), dynamo=True, verbose=False)
                    program.save(content)
                else:
                    to_onnx(own, (probe,), content, dynamo=False, input_names=["images"])
        except KeyboardInterrupt:
            raise
        except Exception as problem:  # whatever an exporter raises: the other one may do
            # A warning that was raised within a conversion of torch's is the cause of its error.
            problems.append(_short(problem.__cause__ if isinstance(problem, SystemError) else problem))
            continue
        if content.getvalue():
            return content.getvalue()
    raise Error(f"torch cannot export it: {'; '.join(problems)}")
