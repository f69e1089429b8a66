"""What is left out of exports, and what is said of what cannot be exported. Skipped where torch is not installed."""

import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: tests of torch models are run by hand")

import deepsleep  # noqa: E402
from deepsleep import _gradients  # noqa: E402
from deepsleep._endings import ENDINGS  # noqa: E402
from deepsleep._models import Classifier, Model  # noqa: E402
from torch_models import Of, network  # noqa: E402

nn = torch.nn
F = nn.functional


@pytest.mark.parametrize("scale", [1, 30])
@pytest.mark.parametrize(
    "end", [lambda z: F.softmax(z, 1), lambda z: F.softmax(z, -1), lambda z: nn.Softmax(1)(z), lambda z: z.exp() / z.exp().sum(1, True)]
)
def test_a_softmax_at_the_end_is_left_out_and_said(end, scale, tensors):
    x, y = tensors
    plain = Of(lambda net, x: scale * net(x)).eval()
    module = Of(lambda net, x: end(scale * net(x))).eval()
    expected = deepsleep.attack(plain, x, y, "pgd:steps=10", eps=0.02)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        report = deepsleep.attack(module, x, y, "pgd:steps=10", eps=0.02)
    (said,) = [str(warning.message) for warning in said]
    if "asked by callbacks" in said:  # a quotient is no layer
        assert any("look like probabilities" in warning for warning in report.warnings)
        return
    assert said.startswith("Of ends in a softmax, which is left out: its logits are attacked") and "\n" not in said
    assert torch.equal(report.adversarial, expected.adversarial) and report.warnings == expected.warnings
    assert 0 < report.robust_accuracy < 1
    with torch.no_grad():
        assert np.array_equal((module(report.adversarial).argmax(1) != y).numpy(), report.fooled)


@pytest.mark.parametrize("end", [nn.LogSoftmax(1), lambda z: F.log_softmax(z, 1), lambda z: F.softmax(z, 1).log()])
def test_a_log_softmax_at_the_end_decides_nothing(end, tensors):
    x, y = tensors
    expected = deepsleep.attack(network(), x, y, "apgd-t:steps=10", eps=0.02)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = deepsleep.load(Of(lambda net, x: end(net(x))).eval(), input_shape=(1, 28, 28))
        report = deepsleep.attack(model, x, y, "apgd-t:steps=10", eps=0.02)
    assert isinstance(model, Model) and "left out" in model.notes[0]
    assert torch.equal(report.adversarial, expected.adversarial)


def test_probabilities_that_are_asked_for_are_said_for_every_attack_with_gradients(tensors):
    x, y = tensors
    module = nn.Sequential(network(), nn.Softmax(1)).eval()
    for attack in ("fgsm", "fab:steps=2", "apgd-ce:steps=2"):
        report = deepsleep.attack(deepsleep.Classifier(module), x[:4], y[:4], attack, eps=0.01)
        assert sum("look like probabilities" in warning for warning in report.warnings) == 1, attack
    for model, attack in [(module, "square:queries=5"), (network(), "fgsm")]:
        report = deepsleep.attack(deepsleep.Classifier(model), x[:4], y[:4], attack, eps=0.01)
        assert not any("look like probabilities" in warning for warning in report.warnings), attack


def test_a_backward_of_its_own_before_a_softmax_is_kept():
    around = lambda net, x: F.softmax((z := net(x)) + (z.clamp(-0.1, 0.1) - z).detach(), 1)
    with pytest.warns(UserWarning, match="own backward"):
        assert isinstance(deepsleep.load(Of(around).eval(), input_shape=(1, 28, 28)), Classifier)


def test_weights_of_answers_have_the_gradient_of_those_of_logits():
    z = torch.tensor(8 * np.random.default_rng(0).standard_normal((5, 10)), requires_grad=True)
    for ending, end in zip(ENDINGS, (lambda z: z, lambda z: z.log_softmax(1), lambda z: z.softmax(1))):
        answers = end(z)
        assert np.allclose(ending.of(z.detach().numpy()), answers.detach().numpy(), atol=1e-5), ending
        of_logits, of_answers = ending.weights(np.random.default_rng(1), answers.detach().numpy())
        (gradient,) = torch.autograd.grad(answers, z, torch.from_numpy(of_answers).double())
        assert np.allclose(gradient.numpy(), of_logits, atol=1e-5) and np.allclose(of_logits.sum(1), 0, atol=1e-5), ending
        assert (np.abs(of_logits).sum(1) > 1).all()


@pytest.mark.parametrize(
    "layer, words",
    [
        (nn.GroupNorm(2, 6), "InstanceNormalization) is not supported"),
        (nn.InstanceNorm2d(6), "InstanceNormalization) is not supported"),
        (nn.LocalResponseNorm(3), "is not supported"),
        (nn.LayerNorm([6, 12, 12]), "LayerNormalization) is not supported"),
    ],
)
def test_one_short_line_says_which_layer_is_not_read(layer, words, tensors):
    x, y = tensors
    module = network()
    module[1] = layer.eval()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert isinstance(deepsleep.load(module, input_shape=(1, 28, 28)), Classifier)
    (line,) = [str(warning.message) for warning in said]
    assert line.startswith("Sequential is asked by callbacks, which is slower: ") and words in line
    assert len(line) < 250 and not {"\n", "TracerWarning", "supported are", "onnxscript"} & {line, *line.split()}


def test_a_branch_of_the_modules_own_is_said_in_few_words():
    module = Of(lambda net, x: net(x) if float(x.sum()) > 0 else -net(x)).eval()
    with pytest.warns(UserWarning) as said:
        deepsleep.load(module, input_shape=(1, 28, 28))
    (line,) = [str(warning.message) for warning in said]
    assert "torch cannot export it: Converting a tensor to a Python" in line and "trace to be incorrect" in line
    assert len(line) < 300 and "onnxscript" not in line


def test_gradients_that_agree_are_compared_on_few_images(monkeypatch):
    asked = []
    forward = _gradients._forward
    monkeypatch.setattr(_gradients, "_forward", lambda module, images: (asked.append(len(images)), forward(module, images))[1])
    deepsleep.load(network(), input_shape=(1, 28, 28))
    assert asked == [8]
    # Weights that are changed in place, or gradients that are, are noticed: nothing is remembered from call to call.
    module = network()
    attack = deepsleep.torchattacks.FGSM(module, eps=0.05)
    x, y = torch.rand(4, 1, 28, 28), torch.arange(4)
    before = attack(x, y)
    module[0].weight.data.neg_()
    assert not torch.equal(attack(x, y), before)
    module[2].register_full_backward_hook(lambda part, inward, outward: (-inward[0],))
    with pytest.warns(UserWarning, match="own backward"):
        attack(x, y)
    assert asked == [8, 8, 8, 8, 32, 32]
