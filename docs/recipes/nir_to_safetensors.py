"""A network in the Neuromorphic Intermediate Representation (.nir, which is HDF5) as a file of deepsleep.

    pip install nir numpy safetensors
    python nir_to_safetensors.py net.nir net.safetensors [--dt 1e-4] [--steps 25]

NIR's neurons live in continuous time; `--dt` is the time between two steps in its unit (snnTorch and others export with
1e-4); `--steps` for how many steps the network runs, 8 if it is not said. Neurons of one layer have to be alike, and the graph a chain.
"""

import argparse
import json
import sys

import nir
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import save_file


def one(name, values):
    """The number that all neurons of a layer share."""
    values = np.unique(np.asarray(values, dtype=np.float64))
    if values.size != 1:
        sys.exit(f"node `{name}`: its neurons differ ({values.min()} to {values.max()}); those of a layer have to be alike")
    return float(values[0])


def neuron(name, node, dt):
    """The parameters of a layer of neurons."""
    get = lambda what: one(name, getattr(node, what))
    leaks = not isinstance(node, nir.IF)
    reset = getattr(node, "v_reset", None)
    rest = get("v_leak") if leaks else 0.0
    if reset is not None and one(name, reset) != rest:
        sys.exit(f"node `{name}`: its v_reset is not its resting potential, {rest}")
    # In a step that is longer than a time constant, the membrane would overshoot.
    for what in (what for what in ("tau", "tau_mem", "tau_syn") if hasattr(node, what)):
        if not np.float32(dt) <= np.float32(get(what)):
            sys.exit(f"node `{name}`: its {what} is {get(what):g}, less than --dt {dt:g}; give a smaller --dt")
    synapse = get("tau_syn") if isinstance(node, nir.CubaLIF) else None
    # What enters a step: `dt / tau r I` of a leaky neuron, `dt r I` of one that does not leak.
    resistance = get("r") * (1.0 if leaks else dt)
    if synapse is not None:
        resistance *= get("w_in") * dt / synapse
    return {
        "tau": get("tau" if not isinstance(node, nir.CubaLIF) else "tau_mem") if leaks else None, "time_step": dt,
        "resistance": resistance, "rest": rest, "threshold": get("v_threshold"), "inclusive": False, "reset": "hard",
        "reset_grad": False, "decay_input": leaks, "synapse_tau": synapse,
    }


def read(path):
    """The graph of a file; ends with one line if there is none."""
    try:
        with open(path, "rb"):
            pass
        return nir.read(path)
    except OSError as error:
        sys.exit(f"{path}: {error.strerror or 'no NIR file, which is HDF5'}")
    except (KeyError, ValueError, TypeError, AttributeError, AssertionError) as error:
        sys.exit(f"{path}: HDF5, but no network that nir can read: {' '.join(str(error).split())}")


def pair(values):
    return [int(value) for value in np.broadcast_to(values, 2)]


def chain(graph):
    """The nodes from input to output."""
    following = dict(graph.edges)
    if len(following) != len(graph.edges) or len(set(following.values())) != len(following):
        sys.exit("its graph branches; a chain from `input` to `output` is possible")
    name, seen = one_input(graph), 1
    while name in following:
        name, seen = following[name], seen + 1
        if seen > len(graph.nodes):
            sys.exit("its graph has a circle; a chain from `input` to `output` is possible")
        if not isinstance(graph.nodes[name], nir.Output):
            yield name, graph.nodes[name]
    if seen < len(graph.nodes):
        sys.exit(f"its graph has {len(graph.nodes) - seen} nodes beside the chain from `input`")


def one_input(graph):
    """The name of the input."""
    names = [name for name, node in graph.nodes.items() if isinstance(node, nir.Input)]
    if len(names) != 1:
        sys.exit(f"its graph has {len(names)} inputs; one is possible")
    return names[0]


def convert(graph, dt):
    source = graph.nodes[one_input(graph)]
    shape = [int(side) for side in np.asarray(source.input_type["input"]).reshape(-1)]
    image = shape if len(shape) == 3 else [int(np.prod(shape)), 1, 1]
    nodes, arrays, classes = [], {}, None
    for name, node in chain(graph):
        if isinstance(node, nir.Conv2d):
            if pair(node.dilation) != [1, 1] or isinstance(node.padding, str):
                sys.exit(f"node `{name}`: padding by numbers and dilation 1 are possible")
            bias = bool(np.any(node.bias))
            nodes.append({
                "name": name, "op": "conv2d", "out": node.weight.shape[0], "kernel": list(node.weight.shape[2:]),
                "stride": pair(node.stride), "padding": pair(node.padding), "groups": int(node.groups), "bias": bias,
            })
        elif isinstance(node, (nir.Linear, nir.Affine)):
            bias, classes = isinstance(node, nir.Affine), node.weight.shape[0]
            nodes.append({"name": name, "op": "linear", "out": classes, "bias": bias})
        elif isinstance(node, (nir.AvgPool2d, nir.SumPool2d)):
            window = pair(node.kernel_size)
            pool = {"op": "avg_pool", "window": window, "stride": pair(node.stride), "padding": pair(node.padding)}
            nodes.append({"name": name, **pool})
            if isinstance(node, nir.SumPool2d):
                nodes.append({"name": f"{name}.sum", "op": "scale", "factor": float(np.prod(window))})
            continue
        elif isinstance(node, nir.Flatten):
            nodes.append({"name": name, "op": "flatten"})
            continue
        elif isinstance(node, nir.Scale):
            nodes.append({"name": name, "op": "scale", "factor": one(name, node.scale)})
            continue
        elif isinstance(node, (nir.LIF, nir.IF, nir.CubaLIF)):
            nodes.append({"name": name, "op": "lif", "neuron": neuron(name, node, dt)})
            continue
        else:
            sys.exit(f"node `{name}`: {type(node).__name__} has no counterpart")
        arrays[f"{name}.weight"] = np.ascontiguousarray(node.weight, dtype=np.float32)
        if bias:
            arrays[f"{name}.bias"] = np.ascontiguousarray(node.bias, dtype=np.float32).reshape(-1)
    if not nodes or classes is None:
        sys.exit("it has no linear layer, and so no classes")
    return {"input": image, "classes": classes, "nodes": nodes}, arrays


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("network")
    parser.add_argument("out")
    parser.add_argument("--dt", type=float, default=1e-4)
    parser.add_argument("--steps", type=int)
    options = parser.parse_args()
    if not 0 < options.dt < float("inf"):
        parser.error(f"--dt {options.dt:g}: a time above 0 is needed")
    spiking = {}
    if options.steps is not None:
        if not 1 <= options.steps <= 10_000:
            parser.error(f"--steps {options.steps}: a whole number from 1 to 10000 is needed")
        spiking["spiking"] = {"steps": options.steps}
    architecture, arrays = convert(read(options.network), options.dt)
    notes = json.dumps({"architecture": architecture, **spiking}, sort_keys=True)
    try:
        save_file(arrays, options.out, metadata={"deepsleep": notes})
    except (OSError, SafetensorError) as error:
        sys.exit(f"{options.out}: {error}")


if __name__ == "__main__":
    main()
