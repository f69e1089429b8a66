"""snnTorch's and SpikingJelly's networks as files of deepsleep: safetensors with the architecture in its metadata.

    pip install torch safetensors

From Python, for an nn.Sequential, neurons included:

    from spiking import save
    save(net, (1, 28, 28), "net.safetensors")

Of a state dict, which does not say how its layers are connected, with a description of them (docs/formats.md):

    python spiking.py net.pt net.toml net.safetensors

Names are kept; what belongs to neurons and is no weight (beta, threshold, ...) is left out of the arrays and, for snnTorch,
taken as the parameters of the `lif` node of that name.
"""

import json
import math
import sys

import torch
from safetensors.torch import save_file
from torch import nn

ARRAYS = ("weight", "bias", "running_mean", "running_var")


def neuron(tau, threshold, reset, decay_input, inclusive=False, rest=0.0):
    """A neuron with time steps of 1; `tau` None does not leak."""
    return {
        "tau": tau, "time_step": 1.0, "resistance": 1.0, "rest": rest, "threshold": threshold,
        "inclusive": inclusive, "reset": reset, "reset_grad": False, "decay_input": decay_input, "synapse_tau": None,
    }


def leaky(beta, threshold, mechanism):
    """snnTorch's Leaky: u <- beta u + I. Its resets come a step late unless it has reset_delay=False; ours do not."""
    tau = None if beta == 1 else 1 / (1 - beta)
    return neuron(tau, threshold, ["soft", "hard", "none"][mechanism], decay_input=False)


def of_module(module):
    """The node of a module, without its name."""
    pair = lambda x: x if isinstance(x, int) else list(x)
    kind = type(module).__name__
    if isinstance(module, nn.Conv2d):
        if module.dilation != (1, 1) or module.padding_mode != "zeros" or isinstance(module.padding, str):
            sys.exit(f"{module}: padding by numbers and dilation 1 are possible")
        return {
            "op": "conv2d", "out": module.out_channels, "kernel": pair(module.kernel_size), "stride": pair(module.stride),
            "padding": pair(module.padding), "groups": module.groups, "bias": module.bias is not None,
        }
    if isinstance(module, nn.Linear):
        return {"op": "linear", "out": module.out_features, "bias": module.bias is not None}
    if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
        return {"op": "batch_norm", "eps": module.eps, "momentum": module.momentum}
    if isinstance(module, (nn.MaxPool2d, nn.AvgPool2d)):
        node = {
            "op": "max_pool" if isinstance(module, nn.MaxPool2d) else "avg_pool", "window": pair(module.kernel_size),
            "stride": pair(module.stride), "padding": pair(module.padding), "ceil": module.ceil_mode,
        }
        if isinstance(module, nn.AvgPool2d):
            node["count_include_pad"] = module.count_include_pad
        return node
    if isinstance(module, nn.Flatten):
        return {"op": "flatten"}
    if isinstance(module, nn.Dropout):
        return {"op": "dropout", "rate": module.p}
    if isinstance(module, nn.ReLU):
        return {"op": "relu"}
    if kind == "Leaky":
        mechanism = int(module.reset_mechanism_val)
        return {"op": "lif", "neuron": leaky(float(module.beta.detach()), float(module.threshold.detach()), mechanism)}
    if kind in ("IFNode", "LIFNode", "ParametricLIFNode"):
        hard = module.v_reset is not None
        rest = module.v_reset if hard else 0.0
        if kind == "IFNode":
            return {"op": "lif", "neuron": neuron(None, module.v_threshold, "hard" if hard else "soft", False, True, rest)}
        tau = 1 / float(module.w.detach().sigmoid()) if kind == "ParametricLIFNode" else module.tau
        reset = "hard" if hard else "soft"
        return {"op": "lif", "neuron": neuron(tau, module.v_threshold, reset, module.decay_input, True, rest)}
    sys.exit(f"{module}: there is no such node; see the table in docs/formats.md")


def arrays(state):
    """The arrays of a state dict that a network has."""
    return {name: array.float().contiguous() for name, array in state.items() if name.rsplit(".", 1)[-1] in ARRAYS}


def write(path, state, architecture):
    notes = json.dumps({"architecture": architecture}, sort_keys=True)
    save_file(arrays(state), path, metadata={"deepsleep": notes})


def save(net, image, path):
    """Writes an nn.Sequential for images of these channels, height and width."""
    nodes = [{"name": name, **of_module(module)} for name, module in net.named_children()]
    last = [node["out"] for node in nodes if "out" in node][-1]
    write(path, net.state_dict(), {"input": list(image), "classes": last, "nodes": nodes})


def main():
    import tomllib

    weights, description, path = sys.argv[1:]
    state = torch.load(weights, weights_only=True)
    with open(description, "rb") as file:
        architecture = tomllib.load(file)
    for node in architecture["nodes"]:
        get = lambda what: state.get(f"{node['name']}.{what}")
        if node["op"] == "lif" and "neuron" not in node and get("beta") is not None:
            threshold, mechanism = float(get("threshold")), int(get("reset_mechanism_val"))
            node["neuron"] = leaky(float(get("beta")), threshold, mechanism)
        if node["op"] == "lif" and "neuron" not in node and get("w") is not None:
            # SpikingJelly's ParametricLIFNode, with its usual threshold and reset.
            node["neuron"] = neuron(1 + math.exp(-float(get("w"))), 1.0, "hard", True, True)
    write(path, state, architecture)


if __name__ == "__main__":
    main()
