"""The modes of torch modules, training or evaluation: whose answers are those of training, and evaluation for a while."""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import torch

from ._native import Error

# Modules that answer differently in training.
_TRAINS = (torch.nn.modules.dropout._DropoutNd, torch.nn.modules.batchnorm._BatchNorm)
# Of these, what draws random numbers then.
_DRAWING = {part.__name__ for part in torch.nn.modules.dropout._DropoutNd.__subclasses__()}
_TRAINS_IF_TRACKED = torch.nn.modules.instancenorm._InstanceNorm

# Operations of graphs, of what is traced or exported: what normalizes by the batch and what draws random numbers, with the place of
# the argument that says so.
_BY_THE_BATCH = dict.fromkeys(
    ("aten::batch_norm", "aten::native_batch_norm", "aten::_native_batch_norm_legit", "aten::_native_batch_norm_legit_functional"), 5
)
_DROPOUTS = "aten::dropout", "aten::native_dropout", "aten::feature_dropout", "aten::alpha_dropout", "aten::feature_alpha_dropout"
_AT_RANDOM = {**dict.fromkeys(_DROPOUTS, 2), "aten::rrelu": 3}
_PLACES = {**_BY_THE_BATCH, **_AT_RANDOM, **{f"{kind}_": place for kind, place in _AT_RANDOM.items()}}


def check_mode(model: Any, random: bool = False) -> None:
    """Refuses a module whose answers are those of training, or that has no numbers to answer with; a `random` one may draw some."""
    if not isinstance(model, torch.nn.Module):
        return
    if any(tensor.device.type == "meta" for tensor in [*model.parameters(), *model.buffers()]):
        raise Error(
            "model: its parameters are on the device meta, which holds no numbers; call model.to_empty(device='cpu') and load them"
        )
    for name, part in model.named_modules():
        tracks = isinstance(part, _TRAINS_IF_TRACKED) and part.track_running_stats
        if tracks or isinstance(part, _TRAINS):
            _check_part(part, name, random)
    for name, part in _graphs(model):
        if isinstance(part, torch.jit.ScriptModule):
            _check_parts(part, name, random)
        _check_fixed(part, f"{name} ({kind_of(part)})" if name else "it", random)


def _check_part(part: torch.nn.Module, name: str, random: bool) -> None:
    """Refuses a part in training mode, but for one that draws random numbers and is to do so."""
    draws = kind_of(part) in _DRAWING
    if _is_in_training(part) and not (draws and random):
        meant = ", or say deepsleep.Classifier(model, random=True) if it is to draw random numbers" if draws else ""
        raise Error(f"model: {name or 'it'} ({kind_of(part)}) is in training mode; call model.eval() first{meant}")


def _graphs(model: torch.nn.Module, name: str = "") -> Iterator[tuple[str, torch.nn.Module]]:
    """The parts with graphs, as `torch.jit`, `torch.export` and `torch.fx` make them, without those within them."""
    if isinstance(model, (torch.jit.ScriptModule, torch.fx.GraphModule)):
        yield name, model
        return
    for inner, part in model.named_children():
        yield from _graphs(part, f"{name}.{inner}" if name else inner)


def _script(module: torch.nn.Module) -> Any:
    """The graph of what torch.jit made, with those of its parts; None if it has no forward."""
    try:
        return module.inlined_graph
    except (AttributeError, RuntimeError):
        return None


def _check_parts(module: torch.nn.Module, name: str, random: bool) -> None:
    """Refuses what torch.jit made if it reads that a part is in training mode: of its parts, only the names of the types are left."""
    graph = _script(module)
    for node in graph.findAllNodes("prim::GetAttr") if graph else []:
        path = _path(node)
        if path and path[-1] == "training":
            part = _part(module, path[:-1])
            if part is not None:
                _check_part(part, ".".join([*([name] if name else []), *path[:-1]]), random)


def _check_fixed(module: torch.nn.Module, what: str, random: bool) -> None:
    """Refuses what trains in every mode: what is traced or exported keeps the mode that it was in then."""
    trains = set(_trains_always(module))
    advice = "eval() has no effect on it any more: call eval() on the module that it was made of, and trace or export that anew"
    if trains & set(_BY_THE_BATCH):
        raise Error(f"model: {what} was traced or exported in training mode, and normalizes by the batch; {advice}")
    if trains and not random:
        raise Error(
            f"model: {what} was traced or exported in training mode, or draws random numbers in every mode (dropout); {advice}, or say "
            "random=True if it is to draw them"
        )


def _trains_always(module: torch.nn.Module) -> Iterator[str]:
    """Operations of a graph that train in every mode."""
    if isinstance(module, torch.fx.GraphModule):
        for node in module.graph.nodes:
            schema, name = getattr(node.target, "_schema", None), getattr(node.target, "__name__", "")
            kind = schema.name if schema else f"aten::{name}"
            if node.op == "call_function" and kind in _PLACES:
                said = [*node.args[_PLACES[kind] : _PLACES[kind] + 1], node.kwargs.get("training")]
                if any(value is True for value in said):
                    yield kind
        return
    graph = _script(module)
    for kind, place in _PLACES.items() if graph else ():
        for node in graph.findAllNodes(kind):
            value = node.inputsAt(place)
            if value.node().kind() == "prim::Constant" and value.toIValue() is True:
                yield kind


def _path(node: Any) -> list[str]:
    """The names by which a node of a graph comes to an attribute of the module; none if it comes to it in another way."""
    names: list[str] = []
    while node.kind() == "prim::GetAttr":
        names.insert(0, node.s("name"))
        node = node.inputsAt(0).node()
    return names if node.kind() == "prim::Param" else []


def _part(module: torch.nn.Module, path: list[str]) -> torch.nn.Module | None:
    part: Any = module
    for name in path:
        part = getattr(part, name, None)
    return part if isinstance(part, torch.nn.Module) else None


def kind_of(part: torch.nn.Module) -> str:
    """The name of a part's class; of what torch.jit made, that of the class that it was made of."""
    return str(getattr(part, "original_name", None) or type(part).__name__)


def hint(model: Any) -> str:
    """What to try first with a module whose answers vary, if a part of it is in training mode, whatever that does there."""
    # An exported program takes no other mode.
    if isinstance(model, torch.nn.Module) and "eval" not in vars(model):
        for name, part in model.named_modules():
            if _is_in_training(part):
                return f" ({name or 'it'} is in training mode, which may be why: try model.eval())"
    return ""


# Parts of modules that are in evaluation mode for some threads, for each time that one wants it so, and the mode that they were
# found in: None of what has none, a frozen module of torch.jit. Modules share parts, so that each part is counted by itself.
_EVALUATED: weakref.WeakKeyDictionary[torch.nn.Module, tuple[bool | None, list[int]]] = weakref.WeakKeyDictionary()
_MODES = threading.RLock()


@contextlib.contextmanager
def evaluating(module: torch.nn.Module) -> Iterator[None]:
    """The module in evaluation mode; each part of it is in the mode that it was found in after the last who wants it so."""
    thread, parts = threading.get_ident(), list(module.modules())
    with _MODES:
        for part in parts:
            _EVALUATED.setdefault(part, (getattr(part, "training", None), []))[1].append(thread)
    try:
        with _MODES:
            _evaluate(module)
        yield
    finally:
        with _MODES:
            for part in parts:
                found, threads = _EVALUATED[part]
                threads.remove(thread)
                if not threads:
                    del _EVALUATED[part]
                    _put_back(part, found)


def _evaluate(module: torch.nn.Module) -> None:
    """Evaluation mode by the module's own method; what refuses it has its modes fixed, as `torch.export` leaves it."""
    try:
        module.eval()
    except NotImplementedError:
        pass


def _put_back(part: torch.nn.Module, training: bool | None) -> None:
    """A part into the mode that it was found in, by its own method if it has one, which may undo what that did for evaluation."""
    if training is None:
        part.__dict__.pop("training", None)
        return
    modes = [(inner, inner.training) for inner in part.modules() if hasattr(inner, "training")]
    if type(part).train is not torch.nn.Module.train and part.training != training:
        part.train(training)
        for inner, mode in modes:
            inner.training = mode
    part.training = training


def _is_in_training(part: torch.nn.Module) -> bool:
    """Whether a part is in training mode for this thread: what another one does to it meanwhile does not count."""
    with _MODES:
        now = getattr(part, "training", None)
        found, threads = _EVALUATED.get(part, (now, []))
        return bool(now if threading.get_ident() in threads else found)
