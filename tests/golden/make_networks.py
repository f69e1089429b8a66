"""Golden vectors for networks of all kinds, computed with PyTorch in float64.

    python3 -m venv .venv && .venv/bin/pip install torch safetensors numpy
    .venv/bin/python make_networks.py networks.safetensors

Weights and images are not stored: `numbers` makes them here as tests/common/mod.rs does there. Of a network the file has
logits, gradients (of the input and of every parameter) and every array after one step of gradient descent, each by
up to `SAMPLES` of its numbers, evenly spread. Names of arrays are in alphabetical order.
"""

import functools
import json
import math
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benches" / "peers"))
from networks import LeNetBias, Madry, ResNet20, Vgg9

SAMPLES = 12
RATE = 0.1


# ---------------------------------------------------------------- numbers, weights, images

def numbers(seed, count):
    """Numbers in -1..1: the same as `numbers` of tests/common/mod.rs."""
    mask = (1 << 64) - 1
    state = ((seed * 0x9E3779B97F4A7C15) & mask) ^ 0x123456789ABCDEF1
    out = np.empty(count, dtype=np.float32)
    for i in range(count):
        state = (state * 6364136223846793005 + 1442695040888963407) & mask
        out[i] = np.float32(state >> 40) / np.float32(1 << 23) - np.float32(1)
    return out


def array(name, shape, seed):
    """A parameter or a running statistic of this name, in float32."""
    x = numbers(seed, math.prod(shape)).reshape(shape)
    if name.endswith("running_mean"):
        return x * np.float32(0.1)
    if name.endswith("running_var"):
        return np.float32(1) + x * np.float32(0.25)
    if len(shape) == 1 and name.endswith("weight"):
        return np.float32(1) + x * np.float32(0.25)
    if len(shape) == 1:
        return x * np.float32(0.125)
    return x * np.float32(math.sqrt(6 / math.prod(shape[1:])))


def some(x):
    """Up to SAMPLES numbers of a tensor, evenly spread."""
    x = x.detach().reshape(-1)
    count = min(SAMPLES, len(x))
    return [float(x[i * len(x) // count]) for i in range(count)]


# ---------------------------------------------------------------- networks

class Nodes(nn.Module):
    """A network as our files describe one."""

    def __init__(self, architecture):
        super().__init__()
        self.nodes = architecture["nodes"]
        shape = torch.zeros(2, *architecture["input"])
        values = {"input": shape}
        before = "input"
        for node in self.nodes:
            inputs = [values[name] for name in node.get("inputs", [before])]
            layer = self.layer(node, inputs[0])
            if layer is not None:
                self.add_module(node["name"], layer)
            before = node["name"]
            values[before] = self.apply_node(node, inputs)

    def layer(self, node, x):
        op = node["op"]
        if op == "conv2d":
            return nn.Conv2d(x.shape[1], node["out"], node["kernel"], node.get("stride", 1),
                             node.get("padding", 0), groups=node.get("groups", 1), bias=node.get("bias", True))
        if op == "linear":
            return nn.Linear(x[0].numel(), node["out"], bias=node.get("bias", True))
        if op == "batch_norm":
            kind = nn.BatchNorm2d if x.dim() == 4 else nn.BatchNorm1d
            return kind(x.shape[1], eps=node.get("eps", 1e-5), momentum=node.get("momentum", 0.1))
        return None

    def apply_node(self, node, inputs):
        x, op = inputs[0], node["op"]
        if op == "linear":
            return getattr(self, node["name"])(x.flatten(1))
        if op in ("conv2d", "batch_norm"):
            return getattr(self, node["name"])(x)
        if op == "normalize":
            mean, std = (torch.tensor(np.array(node[key], dtype=np.float32)).to(x.dtype).reshape(1, -1, 1, 1)
                         for key in ("mean", "std"))
            return (x - mean) / std
        window = node.get("window")
        pool = dict(stride=node.get("stride"), padding=node.get("padding", 0), ceil_mode=node.get("ceil", False))
        return {
            "relu": lambda: F.relu(x),
            "leaky_relu": lambda: F.leaky_relu(x, node["slope"]),
            "elu": lambda: F.elu(x, node["alpha"]),
            "silu": lambda: F.silu(x),
            "gelu": lambda: F.gelu(x, approximate="tanh" if node.get("tanh") else "none"),
            "mish": lambda: F.mish(x),
            "softplus": lambda: F.softplus(x),
            "tanh": lambda: torch.tanh(x),
            "sigmoid": lambda: torch.sigmoid(x),
            "hard_sigmoid": lambda: F.hardsigmoid(x),
            "hard_swish": lambda: F.hardswish(x),
            "clamp": lambda: x.clamp(node["low"], node["high"]),
            "scale": lambda: x * node["factor"],
            "max_pool": lambda: F.max_pool2d(x, window, **pool),
            "avg_pool": lambda: F.avg_pool2d(x, window, **pool,
                                             count_include_pad=node.get("count_include_pad", True)),
            "global_avg_pool": lambda: x.mean((2, 3), keepdim=True),
            "flatten": lambda: x.flatten(1),
            "add": lambda: inputs[0] + inputs[1],
            "concat": lambda: torch.cat(inputs, 1),
        }[op]()

    def forward(self, x):
        values, before = {"input": x}, "input"
        for node in self.nodes:
            values[node["name"]] = self.apply_node(node, [values[i] for i in node.get("inputs", [before])])
            before = node["name"]
        return values[before].flatten(1)


# ---------------------------------------------------------------- cases

def around(*ops, shape=(2, 7, 6)):
    """A network of these ops with a linear layer at its end."""
    nodes = [{"name": f"op{i}", **op} for i, op in enumerate(ops)]
    return {"input": list(shape), "classes": 3, "nodes": nodes + [{"name": "fc", "op": "linear", "out": 3}]}


def conv(**more):
    return {"op": "conv2d", "out": 4, "kernel": 3, **more}


OPS = {
    "conv": around(conv()),
    "conv_padded": around(conv(padding=[1, 2], kernel=[3, 5], bias=False)),
    "conv_strided": around(conv(stride=[2, 1], padding=1)),
    "conv_groups": around(conv(groups=2, out=6, padding=1)),
    "conv_depthwise": around({"op": "conv2d", "out": 4, "kernel": 1}, conv(groups=4, padding=1)),
    "conv_wide": around({"op": "conv2d", "out": 16, "kernel": 1}, conv(out=16, padding=1)),
    "linear": around({"op": "linear", "out": 5, "bias": False}, {"op": "tanh"}),
    "batch_norm": around(conv(padding=1), {"op": "batch_norm", "eps": 1e-3, "momentum": 0.3}, {"op": "tanh"}),
    "batch_norm_flat": around({"op": "linear", "out": 6}, {"op": "batch_norm"}, {"op": "tanh"}),
    "batch_norm_relu_pool": around(conv(padding=1), {"op": "batch_norm"}, {"op": "relu"},
                                   {"op": "max_pool", "window": 2}, shape=(2, 8, 6)),
    "relu_pool": around(conv(padding=1), {"op": "relu"}, {"op": "max_pool", "window": 2}, shape=(2, 8, 6)),
    "normalize": around({"op": "normalize", "mean": [0.4, 0.3], "std": [0.2, 0.3]}, conv(padding=1)),
    "leaky_relu": around(conv(), {"op": "leaky_relu", "slope": 0.2}),
    "elu": around(conv(), {"op": "elu", "alpha": 1.5}),
    "silu": around(conv(), {"op": "silu"}),
    "gelu": around(conv(), {"op": "gelu"}),
    "gelu_tanh": around(conv(), {"op": "gelu", "tanh": True}),
    "mish": around(conv(), {"op": "mish"}),
    "softplus": around(conv(), {"op": "softplus"}),
    "tanh": around(conv(), {"op": "tanh"}),
    "sigmoid": around(conv(), {"op": "sigmoid"}),
    "hard_sigmoid": around(conv(), {"op": "hard_sigmoid"}),
    "hard_swish": around(conv(), {"op": "hard_swish"}),
    "clamp": around(conv(), {"op": "clamp", "low": -0.5, "high": 0.75}),
    "scale": around(conv(), {"op": "scale", "factor": -1.5}),
    "max_pool": around(conv(padding=1), {"op": "max_pool", "window": [3, 2], "stride": [2, 1], "padding": [1, 0]}),
    "max_pool_ceil": around(conv(padding=1), {"op": "max_pool", "window": 2, "stride": 2, "ceil": True}),
    "avg_pool": around(conv(padding=1), {"op": "avg_pool", "window": 3, "stride": 2, "padding": 1}),
    "avg_pool_inside": around(conv(padding=1), {"op": "avg_pool", "window": [2, 3], "stride": [2, 2], "padding": 1,
                                                "ceil": True, "count_include_pad": False}),
    "global_avg_pool": around(conv(padding=1), {"op": "relu"}, {"op": "global_avg_pool"}),
    "flatten": around(conv(), {"op": "flatten"}),
    "add": around(conv(), {"op": "silu"}, conv(padding=1), {"op": "add", "inputs": ["op2", "op1"]}),
    "concat": around(conv(), conv(padding=1), {"op": "concat", "inputs": ["op0", "op1", "op0"]}),
}

NETWORKS = {
    "lenet-bias": (LeNetBias, (1, 28, 28)),
    "madry": (Madry, (1, 28, 28)),
    "vgg9": (functools.partial(Vgg9, side=16), (3, 16, 16)),
    "resnet20": (ResNet20, (3, 16, 16)),
}


def run(model, shape, classes, count):
    """What PyTorch makes of it."""
    state = model.state_dict()
    names = sorted(name for name in state if not name.endswith("num_batches_tracked"))
    for i, name in enumerate(names):
        state[name] = torch.from_numpy(array(name, tuple(state[name].shape), 100 + i))
    model.load_state_dict(state)
    model = model.double()
    images = (numbers(7, count * math.prod(shape)) + np.float32(1)) / np.float32(2)
    images = torch.from_numpy(images).reshape(count, *shape).double()
    labels = torch.arange(count) % classes
    x = images.clone().requires_grad_()
    model.eval()
    logits = model(x)
    F.cross_entropy(logits, labels, reduction="sum").backward()
    out = {"logits": logits.detach().reshape(-1).tolist(), "input_gradient": some(x.grad)}
    model.train()
    model.zero_grad()
    loss = F.cross_entropy(model(images), labels)
    loss.backward()
    out["loss"] = [float(loss.detach())]
    parameters = dict(model.named_parameters())
    gradients = [some(parameters[name].grad) for name in names if name in parameters]
    out["gradients"] = sum(gradients, [])
    with torch.no_grad():
        for parameter in parameters.values():
            parameter -= RATE * parameter.grad
    after = model.state_dict()
    out["after"] = sum((some(after[name]) for name in names), [])
    return {key: np.array(values, dtype=np.float32) for key, values in out.items()}


def main():
    arrays = {}
    for name, architecture in OPS.items():
        results = run(Nodes(architecture), architecture["input"], 3, 5)
        arrays.update({f"{name}.{key}": values for key, values in results.items()})
    for name, (network, shape) in NETWORKS.items():
        results = run(network(), shape, 10, 4)
        arrays.update({f"{name}.{key}": values for key, values in results.items()})
    notes = {"ops": OPS, "networks": {name: list(shape) for name, (_, shape) in NETWORKS.items()}}
    save_file(arrays, sys.argv[1], metadata={"deepsleep": json.dumps(notes, sort_keys=True)})


main()
