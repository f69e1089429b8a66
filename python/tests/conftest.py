"""What the tests share: images, models of both sides, and the program to compare with."""

import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

import deepsleep

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden"


def idx(name, offset):
    import gzip

    return np.frombuffer(gzip.open(ROOT / "data" / "mnist" / name).read(), np.uint8)[offset:]


@pytest.fixture(scope="session")
def digits():
    """The first 200 test images of MNIST, and their classes."""
    images = idx("t10k-images-idx3-ubyte.gz", 16).reshape(-1, 1, 28, 28)[:200]
    labels = idx("t10k-labels-idx1-ubyte.gz", 8)[:200]
    return images.astype(np.float32) / np.float32(255), labels.astype(np.int64)


@pytest.fixture(scope="session")
def control():
    return deepsleep.load(ROOT / "data" / "models" / "control.safetensors")


@pytest.fixture
def tensors(digits):
    """Some of them as tensors, and the classes that a network gives them."""
    torch = pytest.importorskip("torch")
    from torch_models import network

    x = torch.from_numpy(digits[0][:64])
    with torch.no_grad():
        return x, network()(x).argmax(1)


class Linear:
    """A model of numpy: logits and gradient, and the sizes of the batches that it was asked for."""

    def __init__(self, classes=10, features=784, seed=3):
        self.weight = 0.03 * np.random.default_rng(seed).normal(size=(features, classes)).astype(np.float32)
        self.batches = []

    def logits(self, images):
        self.batches.append(len(images))
        return np.tanh(images.reshape(len(images), -1) @ self.weight)

    def gradient(self, images, weights):
        z = self.logits(images)
        return ((weights * (1 - z * z)) @ self.weight.T).reshape(images.shape)


@pytest.fixture
def linear():
    return Linear()


@pytest.fixture(autouse=True)
def ctrl_c():
    """Ctrl-C as Python answers it, also where a shell started the tests in the background and had it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def program():
    """The command-line program of the same sources; tests that compare with it are skipped where it was not built."""
    places = [os.environ.get("DEEPSLEEP_CLI"), ROOT / "target/debug/deepsleep-cli", ROOT / "target/release/deepsleep-cli"]
    found = next((place for place in places if place and shutil.which(place)), None)
    if found is None:
        pytest.skip("deepsleep-cli was not built: cargo build")
    return str(found)
