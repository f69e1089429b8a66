"""Gradients that are surely wrong, and those that may be right."""

import numpy as np
import pytest

import deepsleep
from conftest import Linear

WRONG, LENGTH, UNKNOWN = "it points the wrong way", "times that of the logits", "its length could not be checked"


def attacked(logits, gradient, images, attack="fgsm", **options):
    labels = logits(images).argmax(1)
    return deepsleep.attack(deepsleep.Classifier(logits, gradient, **options), images, labels, attack, eps=0.01)


def about_gradients(report):
    return [warning for warning in report.warnings if warning.startswith("gradient:")]


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda g: -g, WRONG),
        (lambda g: -0.01 * g, WRONG),
        (lambda g: g * np.where(np.arange(len(g)) % 10 < 8, -1, 1)[:, None, None, None].astype(np.float32), WRONG),
        (lambda g: 255 * g, "it is 255 " + LENGTH),
        (lambda g: g / 255, "it is 0.00392 " + LENGTH),
        (lambda g: g, None),
        (lambda g: 2 * g, "it is 2 " + LENGTH),
        (lambda g: g / 2, "it is 0.5 " + LENGTH),
        (lambda g: 1.3 * g, None),
        (np.sign, None),
        (lambda g: np.maximum(g, 0), None),
        (lambda g: np.roll(g, 3, 2), None),
    ],
)
@pytest.mark.parametrize("count", [1, 40])
def test_a_gradient_that_is_surely_wrong_is_said(change, words, count, digits, linear):
    images = digits[0][:count]
    report = attacked(linear.logits, lambda x, weights: change(linear.gradient(x, weights)), images)
    said = about_gradients(report)
    assert len(said) == (words is not None) and all(words in line and "\n" not in line for line in said)
    # An attack that asks for no gradient says nothing of it.
    assert not about_gradients(attacked(linear.logits, lambda x, weights: 1 / 0, images, "square:queries=5"))


@pytest.mark.parametrize("classes", [2, 10])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_wrong_gradient_is_said_whatever_type_the_logits_have(dtype, classes, digits):
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((classes, 784)).astype(np.float32) / 28
    images = digits[0][:40]

    def logits(x):
        return (x.reshape(len(x), -1) @ matrix.T).astype(dtype)

    for factor, words in [(1, None), (-1, WRONG), (0.1, LENGTH), (1000, LENGTH), (2, LENGTH), (0.5, LENGTH)]:
        said = about_gradients(attacked(logits, lambda x, weights: factor * (weights @ matrix).reshape(x.shape), images))
        assert len(said) == (words is not None) and all(words in line for line in said), (factor, said)


def bfloat16(z):
    """float32 with eight digits of two."""
    mantissa, exponent = np.frexp(z)
    return np.ldexp(np.rint(mantissa * 2**8) / 2**8, exponent).astype(np.float32)


# Logits that are coarse, the factor that they are multiplied with, and whether differences can show how long a gradient is.
COARSE = {
    "whole numbers": (lambda z: np.rint(z).astype(np.int64), 1, False),
    "tens of whole numbers": (lambda z: np.rint(10 * z).astype(np.int64), 10, True),
    "bfloat16": (bfloat16, 1, True),
    "a million more": (lambda z: z + np.float32(1e6), 1, True),
    "a million more, in float64": (lambda z: (z + np.float32(1e6)).astype(np.float64), 1, True),
    "ten million more": (lambda z: z + np.float32(1e7), 1, False),
    "decimals": (lambda z: np.round(z, 1), 1, True),
}


@pytest.mark.parametrize("name", COARSE)
@pytest.mark.parametrize("smooth", [False, True])
def test_a_wrong_gradient_is_said_of_coarse_logits_or_that_it_cannot_be(name, smooth, digits):
    matrix = np.random.default_rng(0).standard_normal((10, 784)).astype(np.float32) / 28
    rounded, scale, is_known = COARSE[name]

    def exact(x):
        z = x.reshape(len(x), -1) @ matrix.T
        return np.tanh(z) if smooth else z

    def gradient(x, weights):
        slopes = 1 - exact(x) ** 2 if smooth else 1
        return ((weights * slopes) @ matrix).reshape(x.shape) * np.float32(scale)

    images = digits[0][:40]
    for factor, words in [(1, None), (1.3, None), (2, LENGTH), (0.5, LENGTH), (10, LENGTH), (0.1, LENGTH), (1000, LENGTH), (-1, WRONG)]:
        said = about_gradients(attacked(lambda x: rounded(exact(x)), lambda x, weights: factor * gradient(x, weights), images))
        words = UNKNOWN if not is_known and factor > 0 else words
        assert len(said) == (words is not None) and all(words in line for line in said), (factor, said)
        # One that is an estimate on purpose need not be checked, where that cannot be.
        if words == UNKNOWN:
            right = lambda x, weights: factor * gradient(x, weights)
            assert not about_gradients(attacked(lambda x: rounded(exact(x)), right, images, surrogate=True))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_probabilities_are_said_in_every_type(dtype, digits, linear):
    def probabilities(x):
        powers = np.exp(linear.logits(x).astype(np.float64))
        return (powers / powers.sum(1, keepdims=True)).astype(dtype)

    report = attacked(probabilities, lambda x, weights: linear.gradient(x, weights), digits[0][:20])
    assert any("look like probabilities" in warning for warning in report.warnings)


def test_gradients_that_are_zero_or_of_another_shape_are_said(digits, linear):
    images = digits[0][:20]
    zeros = attacked(linear.logits, lambda x, weights: 0 * x, images)
    assert any("100.00 % of the gradients were exactly zero" in warning for warning in zeros.warnings)
    with pytest.raises(deepsleep.Error, match=r"gradient: its answer has shape \(32, 784\), expected that of the images"):
        attacked(linear.logits, lambda x, weights: linear.gradient(x, weights).reshape(len(x), -1), images)


@pytest.mark.filterwarnings("ignore:gradient. it is not finite")
def test_a_gradient_that_is_not_finite_is_in_the_report(digits, linear):
    report = attacked(linear.logits, lambda x, weights: np.nan * linear.gradient(x, weights), digits[0][:20])
    assert about_gradients(report) == ["gradient: it is not finite (NaN or infinite) at some pixels, which count as zero"]


def test_a_gradient_that_does_not_depend_on_the_weights_is_said(digits, linear):
    images = digits[0][:20]

    def of_cross_entropy(x, weights):
        logits = linear.logits(x).astype(np.float64)
        powers = np.exp(logits - logits.max(1, keepdims=True))
        probabilities = powers / powers.sum(1, keepdims=True)
        return linear.gradient(x, (probabilities - np.eye(10)[logits.argmax(1)]).astype(np.float32))

    others = [
        of_cross_entropy,
        lambda x, weights: -of_cross_entropy(x, weights),
        lambda x, weights: linear.gradient(x, np.abs(weights)),
        lambda x, weights: np.ones_like(x),
    ]
    for gradient in others:
        (said,) = about_gradients(attacked(linear.logits, gradient, images))
        assert "the same for weights and for -weights" in said


def test_a_random_model_is_not_accused(digits, linear):
    noise = np.random.default_rng(0)
    noisy = lambda x: linear.logits(x) + noise.normal(scale=0.1, size=(len(x), 10)).astype(np.float32)
    assert not about_gradients(attacked(noisy, linear.gradient, digits[0][:20], random=True, draws=3))


@pytest.mark.parametrize("name", ["control", "lucid", "plain"])
@pytest.mark.parametrize("spiking", [False, True])
def test_networks_and_spikes_with_surrogate_gradients_are_not_accused(name, spiking, digits):
    from deepsleep import _native

    model = deepsleep.load(name)
    model, images = model.spiking() if spiking else model, digits[0][:40]

    def gradient(x, weights):
        samples = _native.Samples(x, np.zeros(len(x), np.int64), np.arange(len(x)))
        return _native.gradients(model._network, samples, weights)

    # Few neurons of `lucid` spike: its logits move in few steps, which show a gradient's direction, but not its length.
    found = about_gradients(attacked(model.logits, gradient, images))
    assert len(found) == ((name, spiking) == ("lucid", True)) and all(UNKNOWN in line for line in found)
    (said,) = about_gradients(attacked(model.logits, lambda x, weights: -gradient(x, weights), images))
    assert WRONG in said


def test_what_is_wrong_with_a_gradient_is_said_everywhere_and_no_result_is_set_aside(digits, tmp_path):
    images, linear = digits[0][:20], Linear()
    labels = linear.logits(images).argmax(1)
    model = deepsleep.Classifier(linear.logits, lambda x, weights: -linear.gradient(x, weights))
    evaluation = deepsleep.evaluate(model, images, labels, "fgsm", eps=0.01, checkpoint=tmp_path / "kept")
    assert WRONG in evaluation.warnings[0] and (tmp_path / "kept").is_file()
    # What asks for no gradient is not doubted for it.
    several = deepsleep.evaluate(model, images, labels, ["square:queries=5", "fgsm"], eps=[0.01, 0.02])
    for result in several.results:
        assert any(WRONG in warning for warning in result["warnings"]) == result["attack"].startswith("fgsm"), result["attack"]
    with pytest.warns(UserWarning, match=WRONG):
        deepsleep.audit(model, images, labels, eps=0.01, count=16, search=1, fast=True)
    adversary = deepsleep.AutoAttack(model, eps=0.01, verbose=False, version="custom", attacks_to_run=["apgd-ce"])
    adversary.run_standard_evaluation(images, labels)
    assert WRONG in adversary.reports["apgd-ce"].warnings[0]
