"""Images of float64, which the engine attacks in float32: what comes back lies in the ball around the user's own."""

import numpy as np
import pytest

import deepsleep


@pytest.fixture
def images(digits):
    """Some that float32 cannot hold."""
    noise = np.random.default_rng(0).uniform(-0.2, 0.2, (40, 1, 28, 28))
    return np.clip(digits[0][:40] + noise, 0, 1)


def length(change, norm):
    rows = np.abs(change).reshape(len(change), -1)
    return {"linf": rows.max(1), "l2": np.sqrt(np.square(rows).sum(1)), "l1": rows.sum(1)}[norm]


CASES = [("linf", 8 / 255), ("linf", "16/255"), ("linf", 0.1), ("l2", 1.0), ("l2", "1/3"), ("l1", 5.0)]


@pytest.mark.parametrize("norm, eps", CASES)
@pytest.mark.parametrize("attack", ["pgd:steps=10,return=last", "apgd-ce:steps=10"])
def test_what_comes_back_lies_in_the_ball(attack, norm, eps, images, digits, control):
    before, radius = images.copy(), eval(str(eps))
    report = deepsleep.attack(control, images, digits[1][:40], attack, norm=norm, eps=eps)
    assert report.fooled.any()
    found, engine = report.adversarial, report.arrays["adversarial"]
    assert found.dtype == np.float64 and found.min() >= 0 and found.max() <= 1
    assert (length(found - images, norm) <= radius).all()
    # They are the engine's, by no more than a unit in the last place of float32, and classified as it says.
    assert np.abs(found - engine).max() <= 2.0**-24 and np.array_equal(control.predict(found), report.prediction)
    # What did not change is the user's own, to the last digit.
    same = engine == images.astype(np.float32)
    assert np.array_equal(found[same], images[same]) and same.any()
    # A report keeps its own images.
    images += 1
    assert np.array_equal(report.adversarial, found)
    # Of float32 nothing is changed.
    plain = deepsleep.attack(control, before.astype(np.float32), digits[1][:40], attack, norm=norm, eps=eps)
    assert np.array_equal(plain.adversarial, engine) and np.array_equal(plain.status, report.status)


def test_an_attack_that_no_radius_bounds_is_not_shortened(images, digits, control):
    report = deepsleep.attack(control, images, digits[1][:40], "deepfool", norm="l2", eps=0.05)
    assert (length(report.adversarial - images, "l2") > 0.05).any()
    attack = deepsleep.torchattacks.DeepFool(control)
    found = attack(images, digits[1][:40])
    assert np.abs(found - attack.report.arrays["adversarial"]).max() <= 2.0**-24


def test_other_interfaces_too(images, digits, control):
    labels = digits[1][:40]
    adversary = deepsleep.AutoAttack(control, norm="Linf", eps=0.1, verbose=False)
    adversary.apgd.n_iter = adversary.apgd_targeted.n_iter = adversary.fab.n_iter = adversary.square.n_queries = 5
    everywhere = adversary.run_standard_evaluation(images, labels)
    chain = deepsleep.AutoAttack(control, norm="Linf", eps=0.1, verbose=False, version="custom", attacks_to_run=["apgd-ce", "square"])
    chain.square.n_queries = 5
    attack = deepsleep.torchattacks.PGD(control, eps=0.1, steps=5)
    plain = attack(images, labels)
    attack.set_mode_targeted_by_function(lambda x, y: (y + 1) % 10, quiet=True)
    for found in (everywhere, chain.run_standard_evaluation(images, labels), plain, attack(images, labels)):
        assert found.dtype == np.float64 and (np.abs(found - images) <= 0.1).all() and not np.array_equal(found, images)


def test_tensors_of_float64(images, digits, control):
    torch = pytest.importorskip("torch")
    given = torch.from_numpy(images)
    report = deepsleep.attack(control, given, torch.from_numpy(digits[1][:40]), "pgd:steps=5", eps=8 / 255)
    assert report.adversarial.dtype == torch.float64 and float((report.adversarial - given).abs().max()) <= 8 / 255
