"""What is said of outputs that are no logits, and models whose layers the engine does not have. Skipped where torch is not installed."""

import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: tests of torch models are run by hand")

import deepsleep  # noqa: E402
from torch_models import network  # noqa: E402

nn = torch.nn


def said_of(answer, x, steps=2):
    """What an attack by gradients says of a model of this answer."""
    model = network()

    def logits(images):
        return answer(60 * model(images))

    labels = logits(x).argmax(1)
    return "\n".join(deepsleep.attack(deepsleep.Classifier(logits), x, labels, f"pgd:steps={steps}", eps=0.05).warnings)


class Rates(torch.autograd.Function):
    """Shares of so many time steps, passed straight through."""

    @staticmethod
    def forward(ctx, x, steps):
        return (x * steps).round() / steps

    @staticmethod
    def backward(ctx, g):
        return g, None


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_sigmoid_is_one_and_a_rate_is_none(tensors, dtype):
    x = tensors[0]
    assert "as those of a sigmoid do" in said_of(lambda z: z.to(dtype).sigmoid(), x)
    for steps in (4, 100, 128, 200, 256, 1000):
        assert "sigmoid" not in said_of(lambda z: Rates.apply(z.to(dtype).sigmoid(), steps), x), steps
    assert said_of(lambda z: z.to(dtype), x) == ""


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_probabilities_are_so_in_every_precision(tensors, dtype):
    said = said_of(lambda z: z.to(dtype).softmax(1), tensors[0])
    assert "sum to 1: they look like probabilities" in said and "sigmoid" not in said
    assert "probabilities" not in said_of(lambda z: (z.to(dtype).softmax(1) / 2), tensors[0])


class Attention(nn.Module):
    """An image as 28 words of 28 numbers."""

    def __init__(self):
        super().__init__()
        self.attention, self.head = nn.MultiheadAttention(28, 4, batch_first=True), nn.Linear(784, 10)

    def forward(self, x):
        rows = x.flatten(1, 2)
        return self.head(self.attention(rows, rows, rows)[0].flatten(1))


class Recurrent(nn.Module):
    """The same, one word after the other."""

    def __init__(self):
        super().__init__()
        self.lstm, self.head = nn.LSTM(28, 16, batch_first=True), nn.Linear(16, 10)

    def forward(self, x):
        return self.head(self.lstm(x.flatten(1, 2))[0][:, -1])


def between(layer):
    return nn.Sequential(nn.Conv2d(1, 6, 5, stride=2), layer, nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(216, 10))


LAYERS = {
    "GroupNorm": lambda: between(nn.GroupNorm(2, 6)),
    "LayerNorm": lambda: between(nn.LayerNorm([6, 12, 12])),
    "InstanceNorm": lambda: between(nn.InstanceNorm2d(6, affine=True)),
    "LocalResponseNorm": lambda: between(nn.LocalResponseNorm(3)),
    "attention": Attention,
    "LSTM": Recurrent,
}


@pytest.mark.parametrize("name", LAYERS)
def test_what_the_engine_does_not_have_is_asked_by_callbacks(name, tensors):
    torch.manual_seed(0)
    model, x = LAYERS[name]().eval(), tensors[0]
    labels = model(x).argmax(1)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        report = deepsleep.attack(model, x, labels, "pgd:steps=10", eps=0.2)
    by_callbacks = [str(one.message) for one in said if "is asked by callbacks, which is slower: " in str(one.message)]
    assert len(by_callbacks) == 1 and "\n" not in by_callbacks[0]
    assert report.clean_accuracy == 1 and report.robust_accuracy < 1
    assert np.array_equal((model(report.adversarial).argmax(1) != labels).numpy(), report.fooled)


def test_functions_are_told_what_they_are_given(tensors):
    x, y = tensors
    model = network()
    arrays, right = x.numpy(), y.numpy()
    weight = np.random.default_rng(0).normal(size=(784, 10)).astype(np.float32)
    for function in (lambda t: model(t), lambda t: torch.relu(t).flatten(1)[:, :10], lambda t: t.view(len(t), -1)[:, :10]):
        with pytest.raises(deepsleep.Error, match=r"^logits: it takes tensors, and was given numpy arrays.*framework='torch'\)$") as problem:
            deepsleep.attack(function, arrays, right, "square:queries=2", eps=0.05)
        assert "\n" not in str(problem.value) and problem.value.__cause__ is not None
    with pytest.raises(deepsleep.Error, match=r"^logits: it takes arrays, and was given tensors.*framework='numpy'\)$"):
        deepsleep.attack(lambda a: a.reshape(len(a), -1).astype(np.float32) @ weight, x, y, "square:queries=2", eps=0.05)
    deepsleep.attack(deepsleep.Classifier(model.forward, framework="torch"), arrays, right, "pgd:steps=2", eps=0.05)
