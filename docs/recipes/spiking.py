"""snnTorch's and SpikingJelly's networks as files of deepsleep: safetensors with the architecture in its metadata.

    pip install torch safetensors

From Python, for an nn.Sequential, neurons included:

    from spiking import save
    save(net, (1, 28, 28), "net.safetensors", steps=25)

Of a state dict, which does not say how its layers are connected, with a description of them (docs/formats.md):

    python spiking.py net.pt net.toml net.safetensors --steps 25

`steps` is for how many time steps the network runs; a file that does not say it is run for 8, with a note.

Names are kept; what belongs to neurons and is no weight (beta, threshold, ...) is left out of the arrays and, for snnTorch,
taken as the parameters of the `lif` node of that name. A module that the file cannot hold is refused by name and attribute.
What only gradients depend on (surrogates, detach_reset) is not kept. A dilated kernel is written as a larger one with zeros in
between, and an uneven border (padding="same" of an even kernel) as zeros of the kernel.
"""

import json
import math
import sys

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import nn

ARRAYS = ("weight", "bias", "running_mean", "running_var")
OF_NEURONS = ("beta", "threshold", "graded_spikes_factor", "reset_mechanism_val", "w")
NEURONS = ("Leaky", "IFNode", "LIFNode", "ParametricLIFNode")
ELEMENTWISE = ("ReLU", "Dropout", "Dropout2d", "Identity", *NEURONS)


def warn(text):
    print(f"warning: {text}", file=sys.stderr)


def need(good, label, attribute, value, only):
    """Ends with one line, unless an attribute of a module has a value that the file can hold."""
    if not good:
        value = " ".join(str(value).split())
        sys.exit(f"{label}: {attribute}={value} has no counterpart; only {only} is possible")


def number(label, attribute, value):
    """The one number of a float or tensor."""
    numbers = torch.as_tensor(value, dtype=torch.float64).detach().unique()
    need(numbers.numel() == 1, label, attribute, f"({numbers.numel()} numbers)", "one number for the whole layer")
    need(math.isfinite(numbers.item()), label, attribute, numbers.item(), "a finite number")
    return numbers.item()


def neuron(tau, threshold, reset, decay_input, inclusive=False, rest=0.0):
    """A neuron with time steps of 1; `tau` None does not leak."""
    return {
        "tau": tau, "time_step": 1.0, "resistance": 1.0, "rest": rest, "threshold": threshold,
        "inclusive": inclusive, "reset": reset, "reset_grad": False, "decay_input": decay_input, "synapse_tau": None,
    }


def leaky(label, beta, threshold, mechanism, factor=1.0, delay=True):
    """snnTorch's Leaky: u <- beta u + I, with beta from 0 to 1. `delay` None is unknown."""
    beta = min(max(number(label, "beta", beta), 0.0), 1.0)
    threshold, factor = number(label, "threshold", threshold), number(label, "graded_spikes_factor", factor)
    need(factor == 1, label, "graded_spikes_factor", factor, "1")
    reset = ["soft", "hard", "none"][int(number(label, "reset_mechanism_val", mechanism))]
    # Where the membrane is above the threshold before the first step, it is reset before the first step.
    need(threshold >= 0 or reset == "none", label, "threshold", threshold, "0 or more")
    # A hard reset a step late gives the same spikes, and so does a soft one without a leak.
    if reset == "soft" and not (delay is True and beta == 1):
        above = "where a membrane is still above its threshold after a reset"
        warn(f"{label}: " + {
            True: "reset_delay=True: snnTorch resets a step later than the file's neuron, so the outputs differ",
            False: f"reset_delay=False: the outputs differ {above}",
            None: f"subtracts at a reset: the outputs differ if reset_delay is True, and otherwise {above}",
        }[delay])
    return neuron(None if beta == 1 else 1 / (1 - beta), threshold, reset, decay_input=False)


def of_snntorch(label, module):
    need(not module.inhibition, label, "inhibition", module.inhibition, "False")
    need(not module.state_quant, label, "state_quant", module.state_quant, "False")
    at_threshold = spikes(label, "spike_grad", module.spike_grad)
    need(not at_threshold, label, "spike_grad", module.spike_grad, "a spike above the threshold")
    # A state dict loaded later may change the number of the mechanism, but not the function.
    functions = {"_base_sub": 0, "_base_zero": 1, "_base_int": 2}
    mechanism, function = int(module.reset_mechanism_val), getattr(getattr(module, "state_function", None), "__name__", "")
    same = functions.get(function, mechanism) == mechanism
    need(same, label, "reset_mechanism_val", mechanism, "the one of its constructor")
    factor, delay = getattr(module, "graded_spikes_factor", 1.0), bool(getattr(module, "reset_delay", True))
    return {"op": "lif", "neuron": leaky(label, module.beta, module.threshold, mechanism, factor, delay)}


def of_w(label, w):
    """The time constant of SpikingJelly's ParametricLIFNode."""
    w = number(label, "w", w)
    need(w > -80, label, "w", w, "a number above -80")
    return 1 + math.exp(-w)


def spikes(label, attribute, surrogate):
    """Whether a membrane at the threshold spikes. A surrogate that gives its smooth curve in place of spikes is refused."""
    x = torch.tensor([-1.0, -0.001, 0.0, 0.001, 1.0])
    with torch.no_grad():
        y = surrogate(x).tolist()
    need(y[:2] + y[3:] == [0, 0, 1, 1] and y[2] in (0, 1), label, attribute, surrogate, "a function with spikes of 0 and 1")
    return y[2] == 1


def of_spikingjelly(label, module, kind):
    inclusive = spikes(label, "surrogate_function", module.surrogate_function)
    precision = getattr(module, "_neuron_precision", None)
    need(precision is None, label, "neuron precision", precision, "None")
    threshold = number(label, "v_threshold", module.v_threshold)
    hard = module.v_reset is not None
    rest = number(label, "v_reset", module.v_reset) if hard else 0.0
    start = getattr(module, "_memories_rv", {}).get("v", rest)
    need(start == rest, label, "v at the first step", start, rest)
    tau, decay_input = None, False
    if kind != "IFNode":
        decay_input = bool(module.decay_input)
        learned = kind == "ParametricLIFNode"
        tau = of_w(label, module.w) if learned else number(label, "tau", module.tau)
        need(tau >= 1, label, "tau", tau, "1 or more")
    return {"op": "lif", "neuron": neuron(tau, threshold, "hard" if hard else "soft", decay_input, inclusive, rest)}


def kernel_of(module):
    """The kernel of a convolution without dilation, and its padding: as much before as after."""
    weight, pair = module.weight.detach(), lambda x: (x, x) if isinstance(x, int) else tuple(x) * (2 // len(x))
    dilation = pair(module.dilation)
    sides = [d * (k - 1) + 1 for d, k in zip(dilation, weight.shape[2:])]
    if module.padding == "same":
        padding, uneven = [side // 2 for side in sides], [(side - 1) % 2 for side in sides]
    else:
        padding, uneven = [0, 0] if module.padding == "valid" else list(pair(module.padding)), [0, 0]
    kernel = weight.new_zeros(*weight.shape[:2], *(side + more for side, more in zip(sides, uneven)))
    kernel[:, :, uneven[0]::dilation[0], uneven[1]::dilation[1]] = weight
    return kernel, padding


def of_module(label, module, kind):
    """The node of a module, without its name. Attributes that it does not read do not change what the module computes."""
    pair = lambda x: x if isinstance(x, int) else list(x) * (2 // len(x))
    ones = lambda x: pair(x) in (1, [1, 1])
    if kind == "Conv2d":
        need(module.padding_mode == "zeros", label, "padding_mode", module.padding_mode, "zeros")
        kernel, padding = kernel_of(module)
        return {
            "op": "conv2d", "out": module.out_channels, "kernel": list(kernel.shape[2:]), "stride": pair(module.stride),
            "padding": padding, "groups": module.groups, "bias": module.bias is not None,
        }
    if kind == "Linear":
        return {"op": "linear", "out": module.out_features, "bias": module.bias is not None}
    if kind in ("BatchNorm1d", "BatchNorm2d"):
        need(module.running_mean is not None, label, "track_running_stats", False, "True")
        need(module.momentum is not None, label, "momentum", None, "a number")
        return {"op": "batch_norm", "eps": module.eps, "momentum": module.momentum}
    if kind == "MaxPool2d":
        need(ones(module.dilation), label, "dilation", module.dilation, "1")
        need(not module.return_indices, label, "return_indices", module.return_indices, "False")
    if kind == "AvgPool2d":
        need(module.divisor_override is None, label, "divisor_override", module.divisor_override, "None")
    if kind in ("MaxPool2d", "AvgPool2d"):
        node = {
            "op": "max_pool" if kind == "MaxPool2d" else "avg_pool", "window": pair(module.kernel_size),
            "stride": pair(module.stride), "padding": pair(module.padding), "ceil": bool(module.ceil_mode),
        }
        if kind == "AvgPool2d":
            node["count_include_pad"] = bool(module.count_include_pad)
        return node
    if kind == "AdaptiveAvgPool2d":
        need(ones(module.output_size) if module.output_size else False, label, "output_size", module.output_size, "1")
        return {"op": "global_avg_pool"}
    if kind == "Flatten":
        return {"op": "flatten"}
    if kind == "Dropout2d":
        warn(f"{label}: drops whole channels in training; a file's `dropout` drops single numbers")
    if kind in ("Dropout", "Dropout2d"):
        return {"op": "dropout", "rate": module.p}
    if kind == "ReLU":
        return {"op": "relu"}
    if kind == "Leaky":
        return of_snntorch(label, module)
    return of_spikingjelly(label, module, kind)


def kind_of(label, module):
    """The name of a module's class, if it is one of those that `of_module` reads and not a subclass, which may differ."""
    name, source = type(module).__name__, type(module).__module__.split(".")[0]
    layers = ("Conv2d", "Linear", "BatchNorm1d", "BatchNorm2d", "MaxPool2d", "AvgPool2d", "AdaptiveAvgPool2d", "Flatten")
    jelly = layers + NEURONS[1:]
    known = {"torch": layers + ("Dropout", "Dropout2d", "Identity", "ReLU"), "snntorch": ("Leaky",), "spikingjelly": jelly}
    if name not in known.get(source, ()):
        sys.exit(f"{label}: {type(module).__module__}.{name} has no counterpart; see the table in docs/formats.md")
    return name


def leaves(net, prefix=""):
    """The modules of an nn.Sequential and of those inside of it, with their names; one used twice comes twice."""
    label = f"{prefix or 'network'} ({type(net).__name__})"
    hooks = net._forward_hooks or net._forward_pre_hooks or "forward" in vars(net)
    if hooks:
        sys.exit(f"{label}: has forward hooks (as of pruning, or a lazy layer that has not run); remove them first")
    if not isinstance(net, nn.Sequential):
        yield prefix, label, net
        return
    if type(net).forward is not nn.Sequential.forward:
        sys.exit(f"{label}: its forward is not that of nn.Sequential")
    for name, module in net._modules.items():
        yield from leaves(module, f"{prefix}.{name}" if prefix else name)


def run(label, module, kind, x):
    """What a module makes of two images, for the shape."""
    dims = {"BatchNorm1d": 2, "Linear": 2, "Flatten": None}.get(kind, None if kind in ELEMENTWISE else 4)
    if kind == "Linear" and x[0].numel() == module.in_features:
        x = x.flatten(1)
    if dims is not None and x.dim() != dims:
        needed = "a vector (is an nn.Flatten missing?)" if dims == 2 else "channels, height and width"
        sys.exit(f"{label}: its input is {list(x.shape[1:])} here; only {needed} is possible")
    if kind in ELEMENTWISE:
        return x
    training = module.training
    try:
        with torch.no_grad():
            y = getattr(nn, kind).forward(module.eval(), x)
    except (RuntimeError, ValueError) as error:
        sys.exit(f"{label}: cannot take {list(x.shape[1:])}: {str(error).strip().splitlines()[0]}")
    finally:
        module.train(training)
    if y.shape[0] != 2:
        sys.exit(f"{label}: start_dim={module.start_dim} mixes the images of a batch")
    return y


def arrays_of(name, module, kind):
    """The arrays of a module's node, each a copy. A batch norm without weight or bias has 1 and 0 in their place."""
    found = {a: getattr(module, a, None) for a in ARRAYS}
    if kind == "Conv2d":
        found["weight"] = kernel_of(module)[0]
    if kind in ("BatchNorm1d", "BatchNorm2d"):
        found["weight"] = torch.ones_like(module.running_mean) if module.weight is None else module.weight
        found["bias"] = torch.zeros_like(module.running_mean) if module.bias is None else module.bias
    return {f"{name}.{a}": x.detach().cpu().float().contiguous().clone() for a, x in found.items() if x is not None}


def write(path, arrays, architecture, steps):
    nodes = architecture["nodes"]
    if any(node["op"] == "lif" for node in nodes):
        # A spiking network makes neurons of `relu` nodes too; these are to stay rectifiers.
        rectifier = {"op": "leaky_relu", "slope": 0.0}
        nodes = [{**node, **rectifier} if node["op"] == "relu" else node for node in nodes]
    notes = {"architecture": {**architecture, "nodes": nodes}}
    if steps is not None:
        if not (isinstance(steps, int) and 1 <= steps <= 10_000):
            sys.exit(f"steps={steps}: a whole number from 1 to 10000 is needed")
        notes["spiking"] = {"steps": steps}
    try:
        save_file(arrays, path, metadata={"deepsleep": json.dumps(notes, sort_keys=True)})
    except (OSError, SafetensorError) as error:
        sys.exit(f"{path}: {error}")


def save(net, image, path, steps=None):
    """Writes an nn.Sequential for images of these channels, height and width, which runs for `steps` time steps."""
    if not isinstance(net, nn.Sequential):
        sys.exit(f"network ({type(net).__name__}): only an nn.Sequential says in which order its modules run")
    like = next((p for p in net.parameters()), torch.zeros(()))
    if isinstance(like, nn.parameter.UninitializedParameter):
        like = torch.zeros(())
    x = torch.zeros(2, *image, device=like.device, dtype=like.dtype)
    nodes, arrays, neurons = [], {}, {}
    for name, label, module in leaves(net):
        kind = kind_of(label, module)
        if kind in NEURONS and id(module) in neurons:
            sys.exit(f"{label}: the same neurons as {neurons[id(module)]}; the file cannot share their state")
        neurons[id(module)] = name
        if kind == "Identity":
            continue
        node = of_module(label, module, kind)
        x = run(label, module, kind, x)
        # A Flatten of some of the dimensions keeps the order of the numbers; the node comes with the last one.
        if kind != "Flatten" or x.dim() == 2:
            nodes.append({"name": name, **node})
            arrays.update(arrays_of(name, module, kind) if kind not in ELEMENTWISE else {})
    if not nodes:
        sys.exit("network: it has no modules")
    if x[0].numel() != x.shape[1]:
        sys.exit(f"{label}: the network ends in {list(x.shape[1:])}, not in one number for each class")
    if kind == "Leaky" and (module.output or not module.init_hidden):
        warn(f"{label}: returns its membrane too; the outputs of the file are its spikes")
    write(path, arrays, {"input": list(image), "classes": x.shape[1], "nodes": nodes}, steps)


def of_state(state, nodes):
    """The arrays of a state dict; gives the `lif` nodes their neurons."""
    arrays, neurons = {}, {}
    for key, value in state.items():
        name, _, what = key.rpartition(".")
        if not isinstance(value, torch.Tensor):
            sys.exit(f"{key}: is no array; a state dict is needed")
        if what in ARRAYS:
            arrays[key] = value.detach().float().contiguous().clone()
        elif what in OF_NEURONS:
            neurons.setdefault(name, {})[what] = value
        elif what != "num_batches_tracked":
            sys.exit(f"{key}: is neither an array that the file can hold nor one of snnTorch's Leaky")
    lifs = {node["name"]: node for node in nodes if node["op"] == "lif"}
    if not lifs:
        sys.exit("the description has no `lif` node, so no neuron spikes")
    for name, of in neurons.items():
        if name not in lifs:
            sys.exit(f"{name}: has {', '.join(of)}, but the description has no `lif` node of that name")
        node = lifs[name]
        if "neuron" in node:
            sys.exit(f"{name}: the state dict has {', '.join(of)}, and the description a `neuron`; leave that out")
        if "w" in of:
            warn(f"{name}: a state dict has only tau of a ParametricLIFNode; its usual threshold 1 and reset 0 are written")
            node["neuron"] = neuron(of_w(name, of["w"]), 1.0, "hard", True, True)
        elif {"beta", "threshold", "reset_mechanism_val"} <= of.keys():
            factor = of.get("graded_spikes_factor", 1.0)
            node["neuron"] = leaky(name, of["beta"], of["threshold"], of["reset_mechanism_val"], factor, None)
        else:
            sys.exit(f"{name}: has only {', '.join(of)}; beta, threshold and reset_mechanism_val are needed")
    for name, node in lifs.items():
        if "neuron" not in node:
            sys.exit(f"{name}: the state dict has no numbers of its neuron; the description has to give its `neuron` (docs/formats.md)")
    return arrays


def main():
    import argparse
    import pickle
    import tomllib

    parser = argparse.ArgumentParser()
    parser.add_argument("weights", metavar="net.pt")
    parser.add_argument("description", metavar="net.toml")
    parser.add_argument("out", metavar="net.safetensors")
    parser.add_argument("--steps", type=int)
    options = parser.parse_args()
    weights, description = options.weights, options.description
    try:
        state = torch.load(weights, weights_only=True, map_location="cpu")
    except OSError as error:
        sys.exit(f"{weights}: {error.strerror or error}")
    except (RuntimeError, EOFError, pickle.UnpicklingError):
        sys.exit(f"{weights}: torch.load(..., weights_only=True) cannot read it; a state dict is needed")
    if not isinstance(state, dict):
        sys.exit(f"{weights}: has a {type(state).__name__}; a state dict is needed")
    try:
        with open(description, "rb") as file:
            architecture = tomllib.load(file)
        write(options.out, of_state(state, architecture["nodes"]), architecture, options.steps)
    except OSError as error:
        sys.exit(f"{description}: {error.strerror or error}")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        sys.exit(f"{description}: {error}")
    except (KeyError, TypeError):
        sys.exit(f"{description}: needs `nodes`, each with a `name` and an `op`")


if __name__ == "__main__":
    main()
