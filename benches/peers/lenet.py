"""What the scripts here share: the LeNet both engines run, and a reader for the MNIST files."""

import gzip
import math
import os
from pathlib import Path

import numpy as np
import torch
from torch import nn

BATCH = 128
LEARNING_RATE = 0.1
CLASSES = 10
SPLITS = {"train": ("train", 60_000), "test": ("t10k", 10_000)}


class LeNet(nn.Module):
    """Two rounds of conv 5x5, BatchNorm, ReLU, max-pool 2, then one linear layer; 8,510 parameters, no biases."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 10, kernel_size=5, bias=False)
        self.bn1 = nn.BatchNorm2d(10)
        self.conv2 = nn.Conv2d(10, 20, kernel_size=5, bias=False)
        self.bn2 = nn.BatchNorm2d(20)
        self.fc = nn.Linear(20 * 4 * 4, CLASSES, bias=False)
        for layer in (self.conv1, self.conv2, self.fc):
            bound = 1 / math.sqrt(layer.weight[0].numel())
            nn.init.uniform_(layer.weight, -bound, bound)

    def forward(self, images):
        pool, relu = nn.functional.max_pool2d, nn.functional.relu
        hidden = pool(relu(self.bn1(self.conv1(images))), 2)
        hidden = pool(relu(self.bn2(self.conv2(hidden))), 2)
        return self.fc(hidden.flatten(start_dim=1))


def train_step(model, optimizer, images, labels):
    """One step of cross-entropy descent; returns the loss."""
    optimizer.zero_grad(set_to_none=True)
    loss = nn.functional.cross_entropy(model(images), labels)
    loss.backward()
    optimizer.step()
    return loss.detach()


def batches(count):
    """Indices of one epoch's batches: a fresh shuffle, the last partial batch dropped."""
    order = torch.randperm(count)
    return order[: count - count % BATCH].split(BATCH)


def available_cores():
    """Cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def read_mnist(folder, split):
    """Images as float32 (N, 1, 28, 28) in [0, 1] and labels as int64 (N), from IDX files, plain or gzipped."""
    stem, count = SPLITS[split]
    pixels = _read_idx(Path(folder), f"{stem}-images-idx3-ubyte", (count, 28, 28))
    labels = _read_idx(Path(folder), f"{stem}-labels-idx1-ubyte", (count,))
    images = torch.from_numpy(pixels.astype(np.float32) / np.float32(255)).unsqueeze(1)
    return images, torch.from_numpy(labels.astype(np.int64))


def _read_idx(folder, name, shape):
    """The bytes of one IDX file of unsigned 8-bit values, checked against the shape it should hold."""
    plain, zipped = folder / name, folder / f"{name}.gz"
    if plain.exists():
        path, data = plain, plain.read_bytes()
    elif zipped.exists():
        path, data = zipped, gzip.decompress(zipped.read_bytes())
    else:
        raise SystemExit(f"no {name} or {name}.gz in {folder}; --mnist names the folder that holds the MNIST files")
    header = bytes([0, 0, 8, len(shape)]) + np.asarray(shape, dtype=">u4").tobytes()
    if data[: len(header)] != header or len(data) != len(header) + math.prod(shape):
        raise SystemExit(f"{path} is not an IDX file of {' x '.join(map(str, shape))} bytes")
    return np.frombuffer(data, dtype=np.uint8, offset=len(header)).reshape(shape)
