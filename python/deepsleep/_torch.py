"""Torch models. Only imported once a torch model or tensor is there."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from ._answers import alike, narrowed, relative, spread
from ._arguments import shorter
from ._endings import ENDINGS, Ending
from ._exports import TURNS, Stuck
from ._gradients import check_gradients
from ._native import Error, Network, OutputRange

if TYPE_CHECKING:
    from ._answers import Forward, Pullback
    from ._normalized import Normalization


class Normalized(torch.nn.Module):
    """A module of normalized images as one of pixels from 0 to 1."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, normalization: Normalization, module: torch.nn.Module) -> None:
        super().__init__()
        self.module, self.training = module, module.training
        device = device_of(module, None)
        for name, values in [("mean", normalization.mean), ("std", normalization.std)]:
            self.register_buffer(name, torch.as_tensor(values, device=device, dtype=dtype_of(module)))

    def forward(self, images: torch.Tensor) -> Any:
        return self.module((images - self.mean) / self.std)


def as_tensors(model: Any, device: Any) -> Callable[[NDArray[np.float32]], torch.Tensor]:
    """Makes tensors of arrays, where a model computes and as it does."""
    dtype = dtype_of(model)
    return lambda array: torch.from_numpy(array).to(device=device, dtype=dtype)


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


def _tensor(answer: Any) -> torch.Tensor:
    """What a model answered, if it is logits."""
    if not isinstance(answer, torch.Tensor):
        raise Error(f"model: its answer is a {type(answer).__name__}; expected logits as a tensor, n x classes")
    if answer.is_complex() or answer.is_quantized or answer.layout is not torch.strided:
        what = "complex" if answer.is_complex() else "quantized" if answer.is_quantized else "sparse"
        help = {"complex": "real ones: .real or .abs()", "quantized": "floats: .dequantize()", "sparse": "dense ones: .to_dense()"}[what]
        raise Error(f"model: its logits are {what}; let it answer with {help}")
    return answer


def answers(module: Any, images: NDArray[np.float32]) -> NDArray[Any]:
    """The logits of images, as the module gives them, in float32 or float64.

    Raises
    ------
    Error
        If it cannot take them, or answers with anything but a tensor.
    """
    probe = _copy(module, images)
    with TURNS.asking(), torch.no_grad():
        try:
            values = _array(_tensor(module(probe)))
        except Error:
            raise
        except Exception as problem:  # of any kind: an exported program guards its shapes by AssertionError
            shape = " x ".join(map(str, images.shape))
            raise Error(f"model: it cannot take images of shape {shape}: {shorter(problem)}") from problem
    return values


def _array(logits: torch.Tensor) -> NDArray[Any]:
    """Logits as an array: in float64 if float32 cannot hold them, for numpy has not every precision."""
    logits = logits.detach()
    exact = logits.dtype in (torch.float64, torch.int64, torch.int32)
    values: NDArray[Any] = (logits.double() if exact else logits.float()).cpu().numpy()
    return values


def _copy(module: Any, images: NDArray[np.float32]) -> torch.Tensor:
    """Images as a tensor of a module's kind, which it may change in place."""
    return torch.tensor(images, device=device_of(module, None), dtype=dtype_of(module))


_NO_GRADIENT = (
    "model: its logits have no gradient (is there a .detach(), .numpy(), torch.no_grad() or a quantized layer in it?); give gradient=, or "
    "an attack that needs none: square, rays"
)


def differentiable(model: Callable[[Any], Any], device: Any, seen: OutputRange | None = None) -> Forward:
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
        values = narrowed(_array(logits), seen)
        if not wanted:
            return values, None
        if not logits.requires_grad:
            raise Error(_NO_GRADIENT)

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
            if gradient is None:  # not that it is zero: no way leads from the logits to the images
                raise Error(_NO_GRADIENT)
            values: NDArray[np.float32] = gradient.float().cpu().numpy()
            return values

        return values, pullback

    return forward


def export(module: Any, images: NDArray[np.float32], logits: NDArray[Any], spiking: bool) -> tuple[Network, Ending]:
    """A module as a network of the engine, by way of ONNX in memory, which answers as the module does and has its gradients, and what of
    the module's end it leaves out. `logits` is what the module answered to the images.

    Raises
    ------
    Error
        If it cannot be exported, is not read, answers differently, or has other gradients.
    """
    content = _onnx(module, _copy(module, images))
    name = type(module).__name__
    network = Network.of_onnx(content, name, spiking)
    from ._models import Model

    exported = Model(Network.of_onnx(content, name, False))
    if not alike(answers(module, images), logits):
        raise Error("its answers vary")
    # Also what was not traced: one image alone, and noise in a batch of another size.
    noise = np.random.default_rng(1).random((len(images) + 1, *images.shape[1:]), dtype=np.float32)
    shown = [(images, logits), *((batch, answers(module, batch)) for batch in (images[-1:], noise, noise * np.float32(0.1)))]
    ours = [exported.logits(batch) for batch, _ in shown]

    def ends_in(ending: Ending) -> bool:
        pairs = zip(ours, (theirs for _, theirs in shown))
        return all(_answers_alike(ending.of(z), theirs, logits if len(z) == 1 else None) for z, theirs in pairs)

    ending = next(filter(ends_in, ENDINGS), None)
    if ending is None:
        raise Error("the exported network answers differently")
    if not spiking:
        check_gradients(exported._network, module, ending, images)
    return network, ending


def _answers_alike(ours: NDArray[Any], theirs: NDArray[Any], others: NDArray[Any] | None) -> bool:
    """Whether answers are one model's, which told more images `others`; those of float64 by what float32 leaves of their differences."""
    if theirs.dtype == np.float64:
        ours, theirs, others = relative(ours), relative(theirs), None if others is None else relative(others)
    return alike(ours, theirs, None if others is None else spread(others))


class _OthersOnly:
    """A stream for all threads but this one: torch prints half a graph on it when an export fails."""

    def __init__(self, stream: Any) -> None:
        self._stream, self._thread = stream, threading.get_ident()

    def write(self, text: str) -> int:
        return len(text) if threading.get_ident() == self._thread else int(self._stream.write(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


# Where the code of torch's layers is.
_LAYERS = os.path.dirname(torch.nn.__file__) + os.sep


@contextlib.contextmanager
def _quiet() -> Iterator[Callable[[bool], None]]:
    """No warnings and no log of the exporters; how to silence torch's own. That a trace may not hold for other images is an error, where
    it is the module's own code that is traced: torch's layers look at shapes, and the answers are compared afterwards."""
    parts: Any = torch.jit, torch._C  # its types do not know all of them
    jit, native = parts
    # torch's exporter switches a log of its own on, pages of standard output, before it calls the module.
    silence = getattr(native, "_jit_set_onnx_log_enabled", lambda enabled: None)
    with TURNS.exporting(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", jit.TracerWarning)
        shown: Any = warnings
        show, thread = shown.showwarning, threading.get_ident()

        def answer(message: Warning | str, category: type[Warning], file: str, *where: Any) -> None:
            # A trace of another thread's is none of ours.
            if threading.get_ident() != thread or not isinstance(message, Warning):
                show(message, category, file, *where)
            elif not file.startswith(_LAYERS):
                raise category(str(message).split(". ")[0])

        shown.showwarning = answer
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
    meanwhile, which other threads would see.

    Raises
    ------
    Error
        If it cannot be copied.
    """
    while (inner := _wrapped(module)) is not None:
        module = inner
    # What was computed with a graph, such as a state or a normalized weight, is copied without it.
    memo: dict[int, Any] = {}
    for part in module.modules():
        for value in [*vars(part).values(), *part.buffers(recurse=False)]:
            if isinstance(value, torch.Tensor) and value.requires_grad and not value.is_leaf:
                memo[id(value)] = value.detach().clone()
    try:
        return copy.deepcopy(module, memo)
    except Exception as problem:  # whatever a part's own way to copy itself raises
        raise Error(f"it cannot be copied, and an export of it would show in other threads: {shorter(problem)}") from problem


def _onnx(module: Any, probe: Any) -> bytes:
    """The content of an ONNX file; torch's exporters differ in what they can do and in what they need."""
    problems: list[str] = []
    to_onnx: Any = torch.onnx.export  # by its types it writes to paths alone; it writes to memory too
    for dynamo in (False, True):
        content = io.BytesIO()
        with TURNS.asking():
            own = _apart(module)
        try:
            with _quiet() as silence, torch.no_grad(), contextlib.ExitStack() as stack:
                if not isinstance(own, torch.jit.ScriptModule):
                    stack.callback(own.register_forward_pre_hook(lambda *_: silence(False)).remove)
                if dynamo:
                    program = to_onnx(own, (probe,), dynamo=True, verbose=False)
                    program.save(content)
                else:
                    to_onnx(own, (probe,), content, dynamo=False, input_names=["images"])
        except (KeyboardInterrupt, Stuck):
            raise
        except Exception as problem:  # whatever an exporter raises: the other one may do
            # A warning that was raised within a conversion of torch's is the cause of its error. That the other exporter is not installed
            # is no reason.
            if not (problems and isinstance(problem, ImportError)):
                reason = shorter(problem.__cause__ if isinstance(problem, SystemError) else problem)
                # What follows the newer exporter's first sentence is advice on how to change the module.
                problems.append(reason.split(". ")[0] if dynamo else reason)
            continue
        if content.getvalue():
            return content.getvalue()
    raise Error(f"torch cannot export it: {'; '.join(problems)}")
