"""What an audit asks of a model that answers by callbacks, and what it says of an honest one that draws random numbers."""

import numpy as np
import pytest

import deepsleep


class Means:
    """The nearest of the classes' mean images, with noise on its logits: as honest as a model can be."""

    def __init__(self, images, labels, noise=0.0):
        means = np.stack([images[labels == label].mean(0).ravel() for label in range(10)])
        self.weight, self.bias = means.T / 5, -np.square(means).sum(1) / 10
        self.noise, self.random, self.calls = noise, np.random.default_rng(0), []

    def logits(self, images):
        self.calls.append(len(images))
        z = images.reshape(len(images), -1) @ self.weight + self.bias
        return (z + self.noise * self.random.standard_normal(z.shape)).astype(np.float32)

    def gradient(self, images, weights):
        return (weights @ self.weight.T).reshape(images.shape)


def audited(model, digits, **options):
    model = deepsleep.Classifier(model.logits, model.gradient, **options)
    return deepsleep.audit(model, *digits, eps=0.05, count=24, search=8, fast=True)


def test_an_audit_asks_about_many_images_at_once(digits):
    model = Means(*digits)
    report = audited(model, digits)
    assert all(check["finding"] != "fail" for check in report.checks)
    calls = np.array(model.calls)
    # An image in eight is to be asked alone, to see that its answer does not depend on others; the rest are searches' last images.
    assert (calls == 1).mean() < 0.05 and calls.max() == 256


@pytest.mark.parametrize("noise", [0.3, 0.6])
def test_an_honest_model_with_noise_is_no_suspect(digits, noise):
    report = audited(Means(*digits, noise), digits, random=True)
    found = {check["name"]: check["finding"] for check in report.checks}
    assert set(found.values()) == {"pass"} and report.verdict == "undecided", found
