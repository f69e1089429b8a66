"""Small ONNX files of networks that differ, as PyTorch exports them, and onnxruntime's logits for them.

    pip install torch onnx onnxruntime onnxscript numpy safetensors
    python make_onnx.py --out onnx

`served.safetensors` holds an input and the logits of every file that is read (`NAME.input`, `NAME.logits`); the files in
`refused` are not read, each for a reason of its own. Stack traces, which the newer exporter puts into its files, are taken
out, for they would be most of the bytes.
"""

import argparse
import pathlib
import warnings

import numpy as np
import onnx
import onnxruntime
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file
from torch import nn


# ---------------------------------------------------------------- networks

def sequential():
    """Convolutions, padded and not, in nn.Sequential."""
    return nn.Sequential(
        nn.Conv2d(1, 4, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(4, 6, 3), nn.ReLU(), nn.AvgPool2d(2),
        nn.Flatten(), nn.Linear(6 * 2 * 2, 8), nn.Tanh(), nn.Linear(8, 5),
    )


class Plain(nn.Module):
    """As beginners write it: view by the size of the batch."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(4)
        self.fc1 = nn.Linear(4 * 25, 6)
        self.dropout = nn.Dropout(0.25)
        self.fc2 = nn.Linear(6, 4, bias=False)

    def forward(self, x):
        x = F.max_pool2d(F.leaky_relu(self.bn1(self.conv1(x)), 0.1), 2)
        x = x.view(x.size(0), -1)
        return self.fc2(self.dropout(F.elu(self.fc1(x))))


class Block(nn.Module):
    """A residual block, with a convolution on its shortcut where sizes change."""

    def __init__(self, channels, out, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.shortcut = nn.Sequential()
        if stride != 1 or channels != out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out)
            )

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + self.shortcut(x))


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(4)
        self.layer1 = nn.Sequential(Block(4, 4, 1))
        self.layer2 = nn.Sequential(Block(4, 6, 2))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(6, 5)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.avgpool(self.layer2(self.layer1(x)))
        return self.fc(torch.flatten(x, 1))


class Normalized(nn.Module):
    """Normalizes its images itself, as attack suites want it."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.4914, 0.4822, 0.4465]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor([0.2470, 0.2435, 0.2616]).view(1, 3, 1, 1))
        self.conv = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.fc = nn.Linear(4 * 4 * 4, 5)

    def forward(self, x):
        x = (x - self.mean) / self.std
        return self.fc(F.relu(self.conv(x)).flatten(1))


class Gray(nn.Module):
    """Scales by numbers, and ends in a soft-max."""

    def __init__(self, end):
        super().__init__()
        self.fc1 = nn.Linear(64, 6)
        self.fc2 = nn.Linear(6, 4)
        self.end = end

    def forward(self, x):
        x = torch.flatten((x - 0.1307) / 0.3081, 1)
        return self.end(self.fc2(torch.sigmoid(self.fc1(x))))


class Activations(nn.Module):
    """One convolution an activation."""

    def __init__(self, *activations):
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(3, 3, 3, padding=1) for _ in activations)
        self.activations = nn.ModuleList(activations)
        self.fc = nn.Linear(3, 4)

    def forward(self, x):
        for conv, activation in zip(self.convs, self.activations):
            x = activation(conv(3 * x))
        return self.fc(x.mean((2, 3)))


class Inception(nn.Module):
    """Branches joined over channels."""

    def __init__(self):
        super().__init__()
        self.one = nn.Conv2d(3, 2, 1)
        self.three = nn.Sequential(nn.Conv2d(3, 2, 1), nn.ReLU(), nn.Conv2d(2, 3, 3, padding=1))
        self.pool = nn.Conv2d(3, 2, 1)
        self.fc = nn.Linear(7 * 16, 4)

    def forward(self, x):
        pooled = self.pool(F.avg_pool2d(x, 3, stride=1, padding=1))
        x = torch.cat([self.one(x), self.three(x), pooled], 1)
        return self.fc(F.max_pool2d(F.relu(x), 3, stride=2, padding=1).flatten(1))


def depthwise():
    """A block of MobileNet: depthwise, dilated and grouped convolutions."""
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, 2, 1, bias=False), nn.BatchNorm2d(6), nn.ReLU6(),
        nn.Conv2d(6, 6, 3, 1, 1, groups=6, bias=False), nn.BatchNorm2d(6), nn.Hardswish(),
        nn.Conv2d(6, 6, (3, 1), padding=(2, 0), dilation=(2, 1), groups=2), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4),
    )


def pools():
    """Padded pools, with and without the border, and windows that are not full."""
    return nn.Sequential(
        nn.ZeroPad2d((1, 2, 0, 1)), nn.Conv2d(2, 3, 4),
        nn.AvgPool2d(3, 2, 1, count_include_pad=False),
        nn.Conv2d(3, 3, 2, padding="same"), nn.MaxPool2d(3, 2, 1, ceil_mode=True),
        nn.AvgPool2d(2, 2, 1), nn.Flatten(), nn.Linear(12, 3),
    )


class Picked(nn.Module):
    """A function of its images in front of a small network."""

    def __init__(self, function, channels):
        super().__init__()
        self.function = function
        self.conv = nn.Conv2d(channels, 4, 3)
        self.fc = nn.Linear(4, 3)

    def forward(self, x):
        x = F.adaptive_avg_pool2d(F.relu(self.conv(self.function(x))), 1)
        return self.fc(x.flatten(1))


class ChannelsLast(nn.Module):
    """Takes N x H x W x C, as the newer exporter writes it: features are picked by their places in memory."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.4914, 0.4822, 0.4465]))
        self.conv = nn.Conv2d(3, 4, 3)
        self.fc = nn.Linear(8, 3)

    def forward(self, x):
        x = F.relu(self.conv((x - self.mean).permute(0, 3, 1, 2)))
        pooled = F.adaptive_avg_pool2d(x, 1).flatten(1)
        return self.fc(torch.cat([pooled, x.permute(0, 2, 3, 1).mean((1, 2))], 1))


class Ensemble(nn.Module):
    """The mean logits of two networks."""

    def __init__(self):
        super().__init__()
        self.one, self.two = Picked(lambda x: x.flip(1), 3), Picked(lambda x: x[:, :, ::2, 1::2], 3)

    def forward(self, x):
        return torch.stack([self.one(x), self.two(x)]).mean(0)


class Shuffled(nn.Module):
    """A block of ShuffleNet."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 3)
        self.conv2 = nn.Conv2d(3, 3, 1)
        self.fc = nn.Linear(6, 3)

    def forward(self, x):
        left, right = self.conv1(x).chunk(2, 1)
        x = torch.cat([left, F.softplus(self.conv2(right), 2.0)], 1)
        x = F.logsigmoid(nn.functional.channel_shuffle(x, 2)) ** 2
        return self.fc(x.view(x.size(0), 6, -1).mean(-1))


class Gated(nn.Module):
    """Squeeze and excitation as its authors wrote it, borders that are no zeros, a crop, weights that are computed from
    others, and a normalization that is repeated for each image."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.4, 0.3]))
        self.conv = nn.utils.parametrizations.weight_norm(nn.Conv2d(2, 4, 3))
        self.down, self.up = nn.Linear(4, 2), nn.Linear(2, 4)
        self.fc = nn.Linear(4, 3)

    def forward(self, x):
        n, c, h, w = x.shape
        x = F.pad(x - self.mean.view(1, c, 1, 1).repeat(n, 1, h, w), (1, 2, 0, 1), value=0.5)
        x = self.conv(F.pad(x, (0, -1, -1, 0)))
        x = torch.where(x > 0, x, 0.2 * x)
        gate = torch.sigmoid(self.up(F.relu(self.down(x.mean((2, 3))))))
        return self.fc((x * gate.view(n, 4, 1, 1).expand_as(x)).amax((2, 3)))


def images(channels, side):
    return torch.rand(3, channels, side, side)


def served():
    """Name: network, images, arguments of torch.onnx.export."""
    old, new = {"dynamo": False}, {"dynamo": True}
    batch = {"dynamic_axes": {"x": {0: "batch"}}, "input_names": ["x"], **old}
    dims = {"dynamic_shapes": ({0: torch.export.Dim("batch")},), **new}
    smooth = lambda: Activations(nn.GELU(), nn.SiLU(), nn.GELU("tanh"), nn.Hardsigmoid())
    rest = Activations(nn.PReLU(3), nn.SELU(), nn.CELU(0.5), nn.LeakyReLU(0.2), nn.Hardtanh())
    return {
        "sequential": (sequential(), images(1, 12), {"opset_version": 9, **old}),
        "plain": (Plain(), images(3, 12), {"opset_version": 11, **batch}),
        "plain_new": (Plain(), images(3, 12), dims),
        "residual": (Residual(), images(3, 8), {"opset_version": 13, **batch}),
        "residual_new": (Residual(), images(3, 8), new),
        "unfolded": (Residual(), images(3, 8), {"do_constant_folding": False, "training": torch.onnx.TrainingMode.PRESERVE, "opset_version": 17, **old}),
        "normalized": (Normalized(), images(3, 8), {"opset_version": 18, **batch}),
        "normalized_new": (Normalized(), images(3, 8), dims),
        "softmax": (Gray(nn.Softmax(1)), images(1, 8), {"opset_version": 12, **old}),
        "log_softmax": (Gray(nn.LogSoftmax(-1)), images(1, 8), dims),
        "smooth": (smooth(), images(3, 6), {"opset_version": 11, **batch}),
        "smooth_new": (smooth(), images(3, 6), {"opset_version": 23, **dims}),
        "activations": (rest, images(3, 6), {"opset_version": 14, **old}),
        "concat": (Inception(), images(3, 8), {"opset_version": 15, **batch}),
        "depthwise": (depthwise(), images(3, 9), {"opset_version": 16, **batch}),
        "depthwise_new": (depthwise(), images(3, 9), dims),
        "pools": (pools(), images(2, 9), {"opset_version": 11, **old}),
        "pools_new": (pools(), images(2, 9), new),
    }


class Attended(nn.Module):
    def forward(self, x):
        return (x * torch.softmax(x, 1)).flatten(1)


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(4, 3, batch_first=True)

    def forward(self, x):
        return self.lstm(x[:, 0])[0][:, -1]


def refused():
    """Name: network, images, arguments of torch.onnx.export."""
    old, new = {"dynamo": False}, {"dynamo": True}
    sized = {"dynamic_axes": {"x": {0: "batch", 2: "height", 3: "width"}}, "input_names": ["x"], **old}
    flat = lambda *layers: nn.Sequential(*layers, nn.Flatten())
    return {
        "attention": (Attended(), images(1, 4), new),
        "recurrent": (Recurrent(), images(1, 4), {"opset_version": 17, **old}),
        "transposed": (flat(nn.ConvTranspose2d(1, 1, 2)), images(1, 4), {"opset_version": 17, **old}),
        "resized": (flat(nn.Upsample(scale_factor=2)), images(1, 4), new),
        "mirrored": (flat(nn.ReflectionPad2d(1)), images(1, 4), {"opset_version": 17, **old}),
        "grouped": (flat(nn.GroupNorm(1, 2)), images(2, 4), new),
        "sized": (nn.Sequential(nn.Conv2d(1, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()), images(1, 4), sized),
        "sequence": (nn.Sequential(nn.Conv1d(2, 2, 2), nn.Flatten()), torch.rand(3, 2, 4), {"opset_version": 17, **old}),
    }


def served_later():
    """As `served`; on random numbers of their own, so that the files before them stay the same."""
    old, new = {"dynamo": False}, {"dynamo": True}
    batch = {"dynamic_axes": {"x": {0: "batch"}}, "input_names": ["x"], **old}
    dims = {"dynamic_shapes": ({0: torch.export.Dim("batch")},), **new}
    return {
        "mish": (Activations(nn.Mish(), nn.Softplus(), nn.Mish()), images(3, 6), {"opset_version": 17, **batch}),
        "mish_new": (Activations(nn.Mish(), nn.Softplus(2.0)), images(3, 6), {"opset_version": 20, **dims}),
        "turned": (Picked(lambda x: x[:, [2, 1, 0]], 3), images(3, 5), {"opset_version": 13, **batch}),
        "turned_new": (Picked(lambda x: x[:, [2, 1, 0]], 3), images(3, 5), dims),
        "gray": (Picked(lambda x: x.expand(-1, 3, -1, -1), 3), images(1, 5), {"opset_version": 11, **batch}),
        "gray_new": (Picked(lambda x: x.repeat(1, 3, 1, 1), 3), images(1, 5), dims),
        "last": (ChannelsLast(), torch.rand(3, 5, 5, 3), {"opset_version": 17, **batch}),
        "last_new": (ChannelsLast(), torch.rand(3, 5, 5, 3), dims),
        "ensemble": (Ensemble(), images(3, 8), {"opset_version": 18, **batch}),
        "ensemble_new": (Ensemble(), images(3, 8), new),
        "shuffled_new": (Shuffled(), images(3, 6), dims),
        "gated": (Gated(), images(2, 6), {"opset_version": 18, **batch}),
        "gated_new": (Gated(), images(2, 6), dims),
    }


def refused_later():
    """As `refused`."""
    old, new = {"dynamo": False}, {"dynamo": True}
    return {
        "waves": (Picked(torch.sin, 1), images(1, 4), {"opset_version": 17, **old}),
        "maps": (nn.Conv2d(1, 3, 3), images(1, 4), new),
        "tokens": (nn.Sequential(nn.Conv2d(1, 3, 3), nn.Flatten(2)), images(1, 4), {"opset_version": 17, **old}),
        "one_logit": (nn.Sequential(nn.Flatten(), nn.Linear(16, 1), nn.Sigmoid()), images(1, 4), new),
        "flipped": (Picked(lambda x: x.flip(3), 1), images(1, 4), {"opset_version": 17, **old}),
    }


def crafted():
    """Files that no exporter of PyTorch writes: name, nodes, type and shape of the input, arrays, version of operators."""
    image, value = ["n", 1, 2, 2], lambda name, shape, kind=TensorProto.FLOAT: helper.make_tensor_value_info(name, kind, shape)
    flatten = helper.make_node("Flatten", ["x"], ["y"], name="flatten")
    ones = numpy_helper.from_array(np.ones((2, 4), dtype=np.float32), "w")
    linear = helper.make_node("Gemm", ["y", "w"], ["z"], name="linear", transB=1)
    relu = helper.make_node("Relu", ["z"], ["q"])
    custom = helper.make_node("Sparkle", ["x"], ["y"], name="sparkle", domain="com.example")
    largest = helper.make_node("ArgMax", ["y"], ["z"], name="largest", axis=1)
    statistics = [numpy_helper.from_array(np.ones(4, dtype=np.float32), name) for name in "abcd"]
    trained = helper.make_node("BatchNormalization", ["y", *"abcd"], ["z", "mean", "var", "m", "v"], name="norm")
    surplus = helper.make_node("Relu", ["y", "w"], ["z"], name="two")
    graphs = {
        "bytes": ([flatten], [value("x", image, TensorProto.UINT8)], [], 17),
        "two_inputs": ([flatten], [value("x", image), value("mask", image)], [], 17),
        "version": ([flatten], [value("x", image)], [], 8),
        "custom": ([custom], [value("x", image)], [], 17),
        "argmax": ([flatten, largest], [value("x", image)], [], 17),
        "circle": ([relu, helper.make_node("Gemm", ["q", "w"], ["z"], name="linear", transB=1)], [value("x", image)], [ones], 17),
        # Statistics of the batch, which tell of training mode in old versions.
        "trained": ([flatten, trained], [value("x", image)], statistics, 11),
        "surplus": ([flatten, surplus], [value("x", image)], [ones], 17),
        "arrays_twice": ([flatten, linear], [value("x", image)], [ones, ones], 17),
        "twice": ([flatten, linear, linear], [value("x", image)], [ones], 17),
    }
    for name, (nodes, inputs, arrays, version) in graphs.items():
        last = nodes[0 if name == "circle" else -1].output[0]
        graph = helper.make_graph(nodes, name, inputs, [value(last, None)], arrays)
        opsets = [helper.make_opsetid("", version), helper.make_opsetid("com.example", 1)]
        yield name, helper.make_model(graph, opset_imports=opsets, ir_version=8)


def limits():
    """The largest and the smallest of several features and numbers, computed ones too: a file, and an input."""
    value = lambda name, shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    number = lambda name, x: numpy_helper.from_array(np.float32(x), name)
    x = images(1, 4)
    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node("Neg", ["flat"], ["less"]),
        helper.make_node("Add", ["less", "one"], ["turned"]),
        helper.make_node("Mul", ["flat", "half"], ["small"]),
        helper.make_node("Max", ["a", "b", "c"], ["abc"]),
        helper.make_node("Sum", ["a", "b", "abc"], ["sum"]),
        helper.make_node("Max", ["flat", "turned", "abc", "a"], ["high"]),
        helper.make_node("Min", ["high", "sum", "turned", "flat"], ["low"]),
        helper.make_node("Max", ["low", "small"], ["two"]),
        helper.make_node("Max", ["two"], ["one_input"]),
        # Five is true, and -7 modulo 4 is 1: 2 in all.
        helper.make_node("Cast", ["five"], ["true"], to=TensorProto.BOOL),
        helper.make_node("Mod", ["minus_seven", "four"], ["rest"]),
        helper.make_node("Cast", ["true"], ["true_float"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["rest"], ["rest_float"], to=TensorProto.FLOAT),
        helper.make_node("Sum", ["true_float", "rest_float"], ["factor"]),
        helper.make_node("Mul", ["one_input", "factor"], ["y"]),
    ]
    arrays = [number("one", 1.0), number("half", 0.5), number("a", 0.2), number("b", 0.1), number("c", 0.45)]
    arrays += [numpy_helper.from_array(np.int64(x), name) for name, x in (("five", 5), ("minus_seven", -7), ("four", 4))]
    graph = helper.make_graph(nodes, "limits", [value("x", ["n", 1, 4, 4])], [value("y", None)], arrays)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return model, x.numpy(), session.run(None, {"x": x.numpy()})[0]


def external(path):
    """A file whose weights are in another one beside it."""
    torch.manual_seed(5)
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    export(network, images(1, 4), str(path), {"opset_version": 17, "dynamo": False})
    model = onnx.load(path)
    onnx.save_model(model, path, save_as_external_data=True, location="external.bin", size_threshold=0)


# ---------------------------------------------------------------- files

def randomize(network):
    """Weights and statistics that no shortcut survives."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
        if isinstance(module, nn.PReLU):
            nn.init.uniform_(module.weight, -0.3, 0.6)
    return network.eval()


def strip(path):
    """Takes out what says where in a Python program a node came from."""
    model = onnx.load(path)
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in [*model.graph.value_info, *model.graph.input, *model.graph.output]:
        del value.metadata_props[:]
    del model.graph.metadata_props[:]
    del model.metadata_props[:]
    onnx.save(model, path)


class Cosine(nn.Module):
    """Weights that the file computes one by one from others."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=2)
        self.fc = nn.Linear(36, 5)
        self.scale = nn.Parameter(torch.tensor(0.5))

    def forward(self, x):
        weight = F.normalize(self.conv.weight, p=1, dim=0).sigmoid().log() + self.conv.weight.abs().sqrt()
        x = F.relu(F.conv2d(x, weight, F.softplus(self.conv.bias), 2)).flatten(1)
        x = F.linear(x, F.normalize(self.fc.weight), torch.where(self.fc.bias > 0, self.fc.bias, self.fc.bias.tanh() ** 2))
        return self.scale.exp().clamp(max=100) * x


def export(network, x, path, arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(network, (x,), path, external_data=False, verbose=False, **arguments)
    strip(path)


def logits(path, x, network):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    [found, *_] = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    with torch.no_grad():
        expected = network(x).numpy()
    assert np.abs(found - expected).max() < 1e-5, path
    return found


def served_last():
    """As `served_later`."""
    batch = {"dynamo": False, "dynamic_axes": {"x": {0: "batch"}}, "input_names": ["x"]}
    unfolded = {"opset_version": 17, "do_constant_folding": False, **batch}
    return {"cosine": (Cosine(), torch.rand(4, 3, 8, 8), unfolded)}


def refused_last():
    """As `served_last`."""
    centered = Picked(lambda x: x - x.mean((1, 2, 3), keepdim=True), 3)
    return {"subtracted": (centered, images(3, 5), {"dynamo": False, "opset_version": 17})}


class Narrow(nn.Module):
    """Weights that the file computes in types of 8, 16 and 32 bits, which wrap around and round."""

    def __init__(self):
        super().__init__()
        bytes_of = torch.randint(0, 256, (4, 3, 3, 3), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
        self.register_buffer("quantized", bytes_of)
        self.register_buffer("wide", bytes_of.int() * 16_909_057)
        self.fc = nn.Linear(16, 4)

    def forward(self, x):
        q = self.quantized
        signed = q.to(torch.int8).float() + (q + q).float() + (self.wide * 3).to(torch.int16).float() / 256
        rounded = (q.float() * 0.0103).half().float() + (q.float() * 0.0103).bfloat16().float()
        for weight in (signed * 0.0003, (rounded - 2.6) * 0.2):
            x = torch.tanh(F.conv2d(x, weight[:, : x.shape[1]]) if x.shape[1] == 3 else F.conv2d(x, torch.cat([weight, weight[:, :1]], 1)))
        return self.fc(x.flatten(1))


def served_narrow():
    """As `served_later`."""
    unfolded = {"dynamo": False, "opset_version": 17, "do_constant_folding": False}
    return {"narrow": (Narrow(), images(3, 6), unfolded)}


class Bordered(nn.Module):
    """A border of a number that nothing else comes near, before a maximum; and one convolution twice."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.fc = nn.Linear(3 * 20, 4)

    def forward(self, x):
        x = F.pad(torch.tanh(self.conv(torch.tanh(self.conv(x)))), (0, 1, 1, 2), value=-1e9)
        return self.fc(F.max_pool2d(x, 3, 2).flatten(1))


def served_bordered():
    """As `served_later`."""
    return {"bordered": (Bordered(), images(3, 9), {"dynamo": False, "opset_version": 17})}


def shuffled(path):
    """The same nodes, the last one first."""
    model = onnx.load(path)
    nodes = list(model.graph.node)[::-1]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, path)


def write_served(networks, out, arrays):
    """Files that are read, and their images and logits."""
    for name, (network, x, arguments) in networks.items():
        randomize(network)
        path = str(out / f"{name}.onnx")
        export(network, x, path, arguments)
        found = logits(path, x, network)
        # The soft-max is cut off: its logits are those of the network without it.
        if isinstance(network, Gray):
            network.end = nn.Identity()
            with torch.no_grad():
                found = network(x).numpy()
        # Of networks with the channels last, the images as ours take them.
        last = isinstance(network, ChannelsLast)
        arrays[f"{name}.input"] = np.ascontiguousarray(x.numpy().transpose(0, 3, 1, 2)) if last else x.numpy()
        arrays[f"{name}.logits"] = found


def write_refused(networks, out):
    """Files that are not read."""
    for name, (network, x, arguments) in networks.items():
        export(network.eval(), x, str(out / "refused" / f"{name}.onnx"), arguments)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("onnx"))
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    arrays = {}
    write_served(served(), out, arrays)
    torch.manual_seed(7)
    model, arrays["limits.input"], arrays["limits.logits"] = limits()
    onnx.save(model, out / "limits.onnx")
    (out / "refused").mkdir(exist_ok=True)
    write_refused(refused(), out)
    for name, model in crafted():
        onnx.save(model, out / "refused" / f"{name}.onnx")
    external(out / "refused" / "external.onnx")
    # Without its weights.
    (out / "refused" / "external.bin").unlink()
    torch.manual_seed(8)
    write_served(served_later(), out, arrays)
    write_refused(refused_later(), out)
    torch.manual_seed(9)
    write_served(served_last(), out, arrays)
    write_refused(refused_last(), out)
    torch.manual_seed(10)
    write_served(served_narrow(), out, arrays)
    torch.manual_seed(11)
    write_served(served_bordered(), out, arrays)
    shuffled(out / "bordered.onnx")
    save_file(arrays, out / "served.safetensors")


if __name__ == "__main__":
    main()
