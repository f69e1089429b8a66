"""Attacks on networks of the engine and on models of Python's."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from conftest import GOLDEN, ROOT, Linear

import deepsleep


def check(report, images, labels, predict, eps):
    """What a report says, against the model itself."""
    adversarial = report.adversarial
    assert adversarial.dtype == images.dtype and adversarial.shape == images.shape
    assert adversarial.min() >= 0 and adversarial.max() <= 1
    distance = np.abs(adversarial - images).reshape(len(images), -1).max(1)
    assert distance.max() <= eps * (1 + 1e-5) + 1e-6
    assert np.allclose(distance, report.linf, atol=1e-7)
    fooled = report.status == "fooled"
    assert (predict(adversarial)[fooled] != labels[fooled]).all()
    assert np.array_equal(adversarial[~fooled], images[~fooled])
    clean_right = predict(images) == labels
    assert np.array_equal(report.status == "clean-wrong", ~clean_right)
    assert report.robust_accuracy == pytest.approx((report.status == "survived").mean())
    assert report.clean_accuracy == pytest.approx(clean_right.mean())
    assert np.array_equal(np.sign(report.margin[fooled]), -np.ones(fooled.sum())) or (report.margin[fooled] <= 0).all()


def test_a_network_of_a_file(control, digits):
    images, labels = digits
    assert control.accuracy(images, labels) > 0.97
    report = deepsleep.attack(control, images, labels, "apgd-ce:steps=20", norm="Linf", eps=0.1, seed=0)
    check(report, images, labels, control.predict, 0.1)
    assert report.robust_accuracy < 0.5 and "apgd-ce" in set(report.winner)
    assert report.forward_passes > report.backward_passes > 0
    assert "robust accuracy" in repr(report)


def test_a_network_in_onnx_answers_as_onnxruntime(digits):
    # The logits that onnxruntime gave are beside the files.
    import struct

    content = (GOLDEN / "onnx" / "served.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])

    def array(name):
        first, end = header[name]["data_offsets"]
        return np.frombuffer(content[8 + length + first : 8 + length + end], np.float32).reshape(header[name]["shape"])

    checked = []
    for name in sorted(name.removesuffix(".input") for name in header if name.endswith(".input")):
        images = array(f"{name}.input")
        if images.min() >= 0 and images.max() <= 1:
            ours = deepsleep.load(GOLDEN / "onnx" / f"{name}.onnx").logits(images)
            # A soft-max at the end is left out of a network.
            theirs = array(f"{name}.logits")
            if "softmax" not in name:
                assert np.allclose(ours, theirs, rtol=1e-4, atol=1e-5), name
            checked.append(name)
    assert len(checked) > 10


def test_a_model_of_python(digits, linear):
    images, _ = digits
    labels = linear.logits(images).argmax(1)
    model = deepsleep.Classifier(linear.logits, linear.gradient)
    for attack in ("fgsm", "pgd:steps=10,restarts=2", "apgd-t:steps=10", "fab:steps=5", "square:queries=50", "deepfool"):
        bounded = attack + ":bounded=yes" if attack == "deepfool" else attack
        report = deepsleep.attack(model, images, labels, bounded, eps=0.02)
        check(report, images, labels, lambda x: linear.logits(x).argmax(1), 0.02)
        assert report.robust_accuracy < 1, attack


def test_a_model_may_change_its_images(digits, linear):
    images, labels = (part[:40] for part in digits)

    def logits(x):
        x -= 0.5
        return linear.logits(x + 0.5)

    tidy, untidy = (
        deepsleep.attack(deepsleep.Classifier(f, linear.gradient), images, labels, "pgd:steps=5", eps=0.05)
        for f in (lambda x: linear.logits((x - np.float32(0.5)) + np.float32(0.5)), logits)
    )
    assert np.array_equal(tidy.adversarial, untidy.adversarial)


def test_a_gradient_that_is_not_finite_is_said(digits, linear):
    images, labels = (part[:8] for part in digits)
    model = deepsleep.Classifier(linear.logits, lambda x, weights: np.nan * linear.gradient(x, weights))
    with pytest.warns(UserWarning, match="not finite"):
        deepsleep.attack(model, images, linear.logits(images).argmax(1), "pgd:steps=2", eps=0.05)


def test_callbacks_give_what_the_engine_gives(control, digits):
    """The same network, asked by callbacks: the same verdicts, and the same images but for rounding."""
    images, labels = digits
    ours = deepsleep.attack(control, images, labels, "pgd:steps=5", eps=0.05)

    def gradient(x, weights, step=1e-2):
        raise AssertionError("not asked for")

    asked = deepsleep.Classifier(control.logits, gradient)
    square = "square:queries=100"
    report = deepsleep.attack(asked, images, labels, square, eps=0.1)
    expected = deepsleep.attack(control, images, labels, square, eps=0.1)
    assert np.array_equal(report.adversarial, expected.adversarial)
    assert np.array_equal(report.status, expected.status)
    assert ours.robust_accuracy <= ours.clean_accuracy


def test_batches_are_full_while_lanes_are_busy(digits):
    images, _ = digits
    model = Linear()
    labels = model.logits(images).argmax(1)
    model.batches.clear()
    # Nothing is found at so small a radius, so that all 200 lanes stay busy to the end.
    report = deepsleep.attack(
        deepsleep.Classifier(model.logits, model.gradient, batch_size=256), images, labels, "pgd:steps=30", eps=1e-7
    )
    assert (report.status == "survived").all()
    # But for the tries of 1 and of 32 images that come before.
    sizes = [size for size in model.batches if size not in (1, 32)]
    assert min(sizes) >= 64 and sum(sizes) / len(sizes) >= 190, sizes
    assert max(model.batches) <= 256


def test_batches_are_full_from_the_first(digits):
    images = np.concatenate([digits[0], digits[0][:100]])
    model = Linear()
    labels = model.logits(images).argmax(1)
    model.batches.clear()
    asked = deepsleep.Classifier(model.logits, model.gradient, batch_size=256)
    deepsleep.evaluate(asked, images, labels, attacks=["fgsm"], eps=1e-7)
    sizes = [size for size in model.batches if size not in (1, 32)]
    assert len(images) == 300 and set(sizes) == {256, 44} and sizes.count(256) >= 3, sizes


def test_a_sigmoid_in_float64_is_warned_of_and_decides_in_it(linear):
    images = np.random.default_rng(0).random((40, 1, 28, 28), np.float32)
    z = linear.logits(images).astype(np.float64)
    # Of 1 - 1e-12 and 1 - 1e-10, which float32 takes for 1, float64 knows which is more.
    for offset in (6, 30):

        def answer(x, offset=offset):
            exponent = linear.logits(x).astype(np.float64) - z.max(1).mean() + offset
            return 1 / (1 + np.exp(-exponent))

        def gradient(x, weights, answer=answer):
            return linear.gradient(x, (weights * answer(x) * (1 - answer(x))).astype(np.float32))

        report = deepsleep.attack(deepsleep.Classifier(answer, gradient), images, z.argmax(1), "fgsm", eps=1e-6)
        assert report.clean_accuracy == 1
        assert any("as those of a sigmoid do" in warning for warning in report.warnings), report.warnings


def test_the_first_of_equals_is_the_answer_in_float64_too():
    images = np.random.default_rng(0).random((8, 1, 4, 4), np.float32)
    answer = lambda x: np.tile(np.array([1 - 1e-12, 1.0, 1.0]), (len(x), 1))
    for label, right in [(0, 0), (1, 1), (2, 0)]:
        report = deepsleep.attack(answer, images, np.full(8, label), "square:queries=1", eps=1e-6)
        assert report.clean_accuracy == right, label


def test_rows_that_sum_to_one_are_rows_like_others():
    answers = np.array([[0.5, 0.5, 0.5], [1.0, 0.0, 0.0]])
    images = np.zeros((32, 1, 1, 1), np.float32)
    images[-1] = 1
    model = deepsleep.Classifier(lambda x: answers[(x[:, 0, 0, 0] > 0.5).astype(int)])
    assert deepsleep.attack(model, images, np.zeros(32, int), "square:queries=2", eps=0.01).clean_accuracy == 1
    # Differences that float32 has no digits for beside 1 / 10.
    z = np.random.default_rng(0).normal(size=(32, 10))
    close = np.exp(1e-9 * z) / np.exp(1e-9 * z).sum(1, keepdims=True)
    images = np.arange(32, dtype=np.float32).reshape(32, 1, 1, 1) / 32
    model = deepsleep.Classifier(lambda x: close[np.rint(x[:, 0, 0, 0] * 32).astype(int) % 32], lambda x, weights: np.zeros_like(x))
    report = deepsleep.attack(model, images, z.argmax(1), "fgsm", eps=1e-6)
    assert report.clean_accuracy == 1
    assert any("they look like probabilities" in warning for warning in report.warnings), report.warnings


def test_no_batch_is_larger_than_asked_for(digits):
    images, _ = digits
    model = Linear()
    labels = model.logits(images).argmax(1)
    model.batches.clear()
    asked = deepsleep.Classifier(model.logits, model.gradient, batch_size=40)
    deepsleep.attack(asked, images, labels, "pgd:steps=3", eps=0.001)
    assert max(model.batches) == 32  # whole groups of sixteen


def test_idle_lanes_are_not_evaluated(digits):
    images, _ = digits
    images = images[:5]
    model = Linear()
    labels = model.logits(images).argmax(1)
    deepsleep.attack(deepsleep.Classifier(model.logits, model.gradient), images, labels, "pgd:steps=3", eps=1e-6)
    # But for the images that its gradient is tried on.
    assert max(size for size in model.batches if size != 32) == 5 and model.batches.count(32) <= 8


def test_black_images_are_images(linear):
    images = np.zeros((3, 1, 28, 28), np.float32)
    shifted = lambda x: linear.logits(x) + np.eye(10, dtype=np.float32)[4] * 0.01
    report = deepsleep.attack(deepsleep.Classifier(shifted, linear.gradient), images, np.full(3, 4), "pgd:steps=5", eps=0.05)
    assert (report.status == "fooled").all()


@pytest.mark.parametrize("attack", ["pgd:steps=10", "square:queries=100", "fab:steps=5", "autoattack", "pgd:steps=5,return=last"])
@pytest.mark.parametrize("later", [lambda z: np.roll(z, 1, 1), lambda z: np.eye(10, dtype=np.float32)[:1] + 0 * z])
def test_a_model_that_changes_is_never_robust(attack, later, digits, linear):
    images = digits[0][:40]
    labels, calls = linear.logits(images).argmax(1), []

    def logits(x):
        calls.append(len(x))
        return linear.logits(x) if len(calls) < 8 else later(linear.logits(x))

    report = deepsleep.attack(deepsleep.Classifier(logits, linear.gradient), images, labels, attack, eps=0.01)
    assert "the model changed in the course of the attack" in " ".join(report.warnings)
    # Nobody knows what holds of these: an answer that stayed what it was by chance may.
    changed = linear.logits(images).argmax(1) != later(linear.logits(images)).argmax(1)
    assert changed.sum() > 20 and set(report.status[changed]) == {"invalid"}
    assert report.robust_accuracy <= 1 - changed.mean()
    calls.clear()
    adversary = deepsleep.AutoAttack(
        deepsleep.Classifier(logits, linear.gradient), eps=0.01, verbose=False, version="custom", attacks_to_run=["apgd-ce"]
    )
    adversary.run_standard_evaluation(images, labels)
    assert adversary.reports["apgd-ce"].robust_accuracy <= 1 - changed.mean()


def test_a_model_that_changed_before_the_attack_is_doubted(digits, linear):
    images = digits[0][:40]
    labels = linear.logits(images).argmax(1)

    def model(last):
        """Other answers after so many calls; it is tried three times before."""
        calls = []
        return deepsleep.Classifier(lambda x: (calls.append(1), np.roll(linear.logits(x), len(calls) > last, 1))[1], linear.gradient)

    report = deepsleep.attack(model(3), images, labels, "pgd:steps=5", eps=0.01)
    assert any("changed since it was tried" in warning for warning in report.warnings) and not report.robust_accuracy
    assert not deepsleep.attack(model(10**9), images, labels, "pgd:steps=5", eps=0.01).warnings
    crafted = deepsleep.attack(model(3), images, labels, "pgd:steps=5", eps=0.01, source=model(10**9))
    assert any("changed since it was tried" in warning for warning in crafted.warnings)
    evaluation = deepsleep.evaluate(model(20), images, labels, ["pgd:steps=5", "fgsm"], eps=0.005, portion=10)
    assert all(any("changed since" in warning for warning in result["warnings"]) for result in evaluation.results)
    with pytest.warns(UserWarning, match="changed since it was tried"):
        deepsleep.audit(model(30), images, labels, eps=0.005, count=16, search=1, fast=True)


def test_a_model_that_only_rounds_otherwise_has_not_changed(digits, linear):
    images, noise = digits[0][:40], np.random.default_rng(0)
    labels = linear.logits(images).argmax(1)
    rounded = lambda x: linear.logits(x) * (1 + 1e-6 * noise.normal(size=(len(x), 10))).astype(np.float32)
    report = deepsleep.attack(deepsleep.Classifier(rounded, linear.gradient), images, labels, "pgd:steps=10", eps=0.01)
    assert not report.warnings and set(report.status) == {"fooled", "survived"}


def test_a_random_model_is_judged_by_draws(digits):
    images, _ = digits
    images, model, generator = images[:20], Linear(), np.random.default_rng(0)
    labels = model.logits(images).argmax(1)

    def noisy(x):
        return model.logits(x) + generator.normal(scale=0.01, size=(len(x), 10)).astype(np.float32)

    asked = deepsleep.Classifier(noisy, model.gradient, random=True, draws=5)
    report = deepsleep.attack(asked, images, labels, "eot-pgd:steps=5", eps=0.02)
    assert 0 <= report.robust_accuracy <= 1 and report.summary["expected_accuracy"] is not None


def test_transfer_from_one_model_to_another(control, digits, linear):
    images, labels = digits
    report = deepsleep.attack("plain", images, labels, "pgd:steps=10", eps=0.2, source=control)
    white = deepsleep.attack("plain", images, labels, "pgd:steps=10", eps=0.2)
    assert report.summary["threat_model"] == "transfer"
    assert white.robust_accuracy <= report.robust_accuracy


def test_identities_decide_about_random_numbers(control, digits):
    images, labels = digits
    whole = deepsleep.attack(control, images, labels, "pgd:steps=3", eps=0.05)
    part = deepsleep.attack(control, images[50:70], labels[50:70], "pgd:steps=3", eps=0.05, ids=np.arange(50, 70))
    assert np.array_equal(part.adversarial, whole.adversarial[50:70])


def test_the_same_bits_as_the_program(program, digits, tmp_path):
    images, labels = digits
    saved = tmp_path / "cli.npz"
    for attack, norm, eps in [("apgd-ce:steps=20", "linf", "8/255"), ("autoattack", "linf", "64/255"), ("pgd", "l2", "1.5")]:
        command = [program, "attack", "--model", "control", "--attack", attack, "--norm", norm, "--eps", eps]
        command += ["--images", "100", "--save", str(saved), "--quiet"]
        subprocess.run(command, check=True, cwd=ROOT, capture_output=True)
        theirs = dict(np.load(saved))
        numerator, _, denominator = eps.partition("/")
        report = deepsleep.attack(
            "control", images[:100], labels[:100], attack, norm=norm, eps=float(numerator) / float(denominator or 1)
        )
        ours = report.arrays
        assert set(ours) == set(theirs) - {"notes"}
        for name, array in ours.items():
            assert array.dtype.kind == theirs[name].dtype.kind and np.array_equal(array, theirs[name]), (attack, name)
        report.save(tmp_path / "python.npz")
        for name, array in np.load(tmp_path / "python.npz").items():
            assert name == "notes" or np.array_equal(array, theirs[name]), (attack, name)
        subprocess.run(
            [program, "evaluate", "--model", "control", "--crafted", str(tmp_path / "python.npz"), "--quiet"],
            check=True, cwd=ROOT, capture_output=True,
        )


def test_nobody_wins_who_fools_nobody(control, digits, tmp_path):
    """Also where an attack returns what survived."""
    images, labels = digits
    for attack in ("pgd:steps=2,return=last", "pgd:steps=2", "apgd-ce:steps=5"):
        report = deepsleep.attack(control, images, labels, attack, eps=0.02)
        assert set(report.status) >= {"survived", "fooled"}
        assert np.array_equal(report.winner != "", report.fooled), attack
        report.save(tmp_path / "set.npz")
        assert np.array_equal(np.load(tmp_path / "set.npz")["winner"], report.winner)


def test_pictures(control, digits):
    images, labels = digits
    report = deepsleep.attack(control, images[:30], labels[:30], "fgsm", eps=0.2)
    assert report.grid().startswith(b"\x89PNG")
    page = report._repr_html_()
    assert "robust accuracy" in page and "data:image/png;base64," in page


@pytest.mark.skipif(os.name == "nt", reason="signals of Unix")
@pytest.mark.parametrize("what", ["network", "callbacks"])
def test_ctrl_c_stops_within_a_second(what, digits, control):
    images, labels = digits
    model = control
    if what == "callbacks":
        linear = Linear()
        model, labels = deepsleep.Classifier(linear.logits, linear.gradient), linear.logits(images).argmax(1)
    pressed = []

    def press():
        time.sleep(0.7)
        pressed.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        deepsleep.attack(model, images, labels, "square:queries=10000000", eps=1e-6)
    stopped = time.monotonic()
    thread.join()
    assert stopped - pressed[0] < 1.0
    # Nothing is left behind: the next attack works.
    assert deepsleep.attack(model, images[:16], labels[:16], "fgsm", eps=0.01).summary["images"] == 16


def test_other_threads_run_meanwhile(control, digits):
    images, labels = digits
    ticks, over = [], threading.Event()

    def tick():
        while not over.is_set():
            ticks.append(time.monotonic())
            time.sleep(0.01)

    thread = threading.Thread(target=tick)
    thread.start()
    start = time.monotonic()
    deepsleep.attack(control, images, labels, "square:queries=400", eps=0.03)
    seconds = time.monotonic() - start
    over.set()
    thread.join()
    gaps = np.diff([t for t in ticks if t >= start])
    assert seconds < 0.2 or gaps.max() < 0.5 * seconds + 0.2


def test_progress_is_told_through_tqdm_if_it_is_there(control, digits, monkeypatch):
    images, labels = digits
    told = []

    class Bar:
        def __init__(self, **options):
            self.total = None

        def close(self):
            told.append(("closed", self.n, self.total))

        def set_description_str(self, what, refresh):
            told.append(what)

        def refresh(self):
            pass

    monkeypatch.setattr("deepsleep._progress._bar", lambda: Bar)
    deepsleep.attack(control, images, labels, "pgd:steps=3", eps=0.1, progress=True)
    # From the start on, and all of it at the end.
    assert len(told) >= 3 and set(told[:-1]) == {"pgd"} and told[-1] == ("closed", 200, 200)
    told.clear()
    model = Linear()
    deepsleep.attack(deepsleep.Classifier(model.logits, model.gradient), images, labels, "pgd:steps=3", eps=0.1, progress=True)
    assert "batches" in told[-2]
    told.clear()
    deepsleep.attack(control, images, labels, "pgd:steps=3", eps=0.1, progress=False)
    assert not told

    def lost(*_, **__):
        raise BrokenPipeError

    # Nobody reads it any more, from the first word, a later one or the last one on.
    for name in ("__init__", "refresh", "close"):
        monkeypatch.setattr(Bar, name, lost)
        report = deepsleep.attack(control, images, labels, "pgd:steps=3", eps=0.1, progress=True)
        assert len(report.status) == 200
        monkeypatch.undo()
        monkeypatch.setattr("deepsleep._progress._bar", lambda: Bar)


def test_torch_is_not_imported():
    code = "import sys, deepsleep; assert not {'torch', 'tqdm', 'onnx'} & set(sys.modules), sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True)
