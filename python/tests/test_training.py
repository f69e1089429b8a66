"""Data sets, trainings, defenses, evaluations, audits, and the paper's tables."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from conftest import ROOT, Linear

import deepsleep


@pytest.fixture(scope="module")
def few():
    """A little of MNIST: 512 images to train on, 200 to measure on."""
    return deepsleep.dataset("mnist", "train", folder=ROOT / "data")[:512], deepsleep.dataset("mnist", folder=ROOT / "data")[:200]


@pytest.fixture(scope="module")
def control(few):
    return deepsleep.train(*few, epochs=2, batch_size=32, seed=1)


def test_data_sets(digits, tmp_path):
    test = deepsleep.dataset("mnist", folder=ROOT / "data")
    images, labels = test[:200]
    assert np.array_equal(images, digits[0]) and np.array_equal(labels, digits[1])
    assert len(test) == 10_000 and test.classes == 10 and "mnist" in deepsleep.datasets()
    np.savez(tmp_path / "own.npz", images=(images * 255).astype(np.uint8), labels=labels)
    own = deepsleep.dataset(tmp_path / "own.npz")
    assert np.array_equal(own.images, images)
    for wrong in [
        lambda: deepsleep.dataset("mnist", "validation"),
        lambda: deepsleep.dataset("nowhere/at/all"),
        lambda: deepsleep.dataset(7),
        lambda: test[3],
    ]:
        with pytest.raises(deepsleep.Error):
            wrong()


def test_parts_of_a_data_set(digits):
    images, labels = digits
    data = deepsleep.Dataset(images, labels, 10, "digits")
    for which in (slice(3, 9), [1, 5, 5], np.array([], int), [], labels == 3, np.array([-1, 0]), ..., slice(None, None, -2), range(4)):
        part = data[which]
        expected = images[list(which)] if isinstance(which, range) else images[which]
        assert np.array_equal(part.images, expected) and len(part.labels) == len(part.images) and part.classes == 10
    for which in (3, -1, np.int64(3), np.array(3)):
        with pytest.raises(deepsleep.Error, match="data set: index -?[13]; take a slice, such as"):
            data[which]
    for which in (True, np.True_, np.array(False), None, 1.5, "a", (0, 1), (slice(3), 0), [[0, 1]], [[0], [1, 2]], [0.5], np.ones((200, 1), bool)):
        with pytest.raises(TypeError, match="data set: index .*; take a slice, indices of images, or a mask"):
            data[which]
    for which in ([200], [-201], np.ones(3, bool)):
        with pytest.raises(IndexError):
            data[which]


def test_labels_of_a_data_set_of_one_s_own_are_looked_at(digits):
    images, labels = digits
    for wrong, words in [(labels - 1, "below 0"), (labels[:9], "9 of them for 200 images"), (labels.astype(float), "give integers")]:
        data = deepsleep.Dataset(images, wrong, 10)
        with pytest.raises(deepsleep.Error, match=words):
            deepsleep.train(data, data, epochs=1)


def test_a_data_set_that_is_not_there_is_looked_for_where_it_may_be(tmp_path):
    """Not in the folder of the build, where no user could put it."""
    code = "import deepsleep\ntry: deepsleep.dataset('kmnist')\nexcept deepsleep.Error as problem: print(problem)"
    nowhere = {**os.environ, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path), "DEEPSLEEP_DATA": str(tmp_path / "sets")}
    said = subprocess.run([sys.executable, "-c", code], env=nowhere, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert f"{tmp_path}/sets" in said and "data fetch kmnist" in said and "put its files into one of these" in said
    assert said.count("\n") == 1


def test_a_training(control, few):
    _, test = few
    assert [point["done"] for point in control.history] == [1, 2]
    assert control.history[-1]["test_accuracy"] == pytest.approx(control.accuracy(test.images, test.labels))
    assert control.architecture["classes"] == 10


def test_a_training_gives_the_bits_of_the_program(program, tmp_path):
    theirs, ours = tmp_path / "cli.safetensors", tmp_path / "python.safetensors"
    command = [program, "train", "--epochs", "1", "--seed", "5", "--limit-train", "512", "--batch-size", "32", "--quiet"]
    subprocess.run([*command, "--out", str(theirs)], check=True, cwd=ROOT, capture_output=True)
    data = deepsleep.dataset("mnist", "train", folder=ROOT / "data")[:512]
    deepsleep.train(data, "mnist", epochs=1, seed=5, batch_size=32, out=ours)

    def arrays(path):
        content = path.read_bytes()
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length])
        spans = {name: about["data_offsets"] for name, about in header.items() if name != "__metadata__"}
        return {name: content[8 + length + first : 8 + length + end] for name, (first, end) in spans.items()}

    assert arrays(theirs) == arrays(ours)
    assert not (tmp_path / "python.safetensors.checkpoint").exists()


def test_ctrl_c_loses_no_epoch(few, tmp_path):
    out = tmp_path / "network.safetensors"
    whole = deepsleep.train(*few, epochs=6, batch_size=32, seed=2)

    def press():
        while not (tmp_path / "network.safetensors.checkpoint").exists():
            time.sleep(0.002)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    try:
        deepsleep.train(*few, epochs=6, batch_size=32, seed=2, out=out)
        time.sleep(1)
    except KeyboardInterrupt:
        pass
    thread.join()
    resumed = deepsleep.train(*few, epochs=6, batch_size=32, seed=2, out=out, resume=True)
    x = few[1].images[:50]
    assert np.array_equal(resumed.logits(x), whole.logits(x))
    assert [point["done"] for point in resumed.history] == [1, 2, 3, 4, 5, 6]


def test_a_checkpoint_of_another_training_is_refused(few, tmp_path):
    train, test = few
    checkpoint = tmp_path / "network.safetensors.checkpoint"

    def press():
        while not checkpoint.exists():
            time.sleep(0.002)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        deepsleep.train(train, test, epochs=10_000, batch_size=32, out=tmp_path / "network.safetensors")
    thread.join()
    asked = dict(epochs=10_000, batch_size=32, out=tmp_path / "network.safetensors", resume=True)
    with pytest.raises(deepsleep.Error, match="checkpoint"):
        deepsleep.train(train[:100], test, **asked)
    # It began with weights of its own.
    with pytest.raises(deepsleep.Error, match="another network to start from"):
        deepsleep.train(train, test, start=deepsleep.train(train, test, epochs=1, batch_size=32), **asked)


def test_a_defense(control, few):
    settings = {"fast_wave.epochs": 1, "fast_wave.batch_size": 64}
    defended = deepsleep.defend(control, "fast-wave", *few, settings=settings)
    assert defended.history and "fast-wave" in deepsleep.defenses()
    spiking = defended.spiking()
    assert spiking.is_spiking and spiking.logits(few[1].images[:20]).shape == (20, 10)
    report = deepsleep.attack(spiking, few[1].images[:20], few[1].labels[:20], "pgd:steps=2", eps=0.05)
    assert report.summary["images"] == 20


def test_networks_of_one_s_own(few, tmp_path):
    layers = deepsleep.architecture("mlp:16", (1, 28, 28), 10)
    model = deepsleep.train(*few, architecture=layers, epochs=1, batch_size=64)
    assert model.architecture["nodes"] == layers["nodes"]
    for name in ("own.safetensors", "own.onnx"):
        model.save(tmp_path / name)
        again = deepsleep.load(tmp_path / name)
        assert np.array_equal(again.logits(few[1].images[:20]), model.logits(few[1].images[:20]))
    assert "lenet" in deepsleep.architectures()


@pytest.mark.parametrize(
    "wrong, words",
    [
        (lambda few: deepsleep.train(few[0], None), "test: give images"),
        (lambda few: deepsleep.train(few[0].images, few[1]), "data: of type ndarray"),
        (lambda few: deepsleep.train(*few, epochs=0), "control.epochs"),
        (lambda few: deepsleep.train(*few, epoch=1), "did you mean"),
        (lambda few: deepsleep.train(*few, resume=True), "without out"),
        (lambda few: deepsleep.train(*few, out="/nowhere/at/all.safetensors"), "/nowhere/at"),
        (lambda few: deepsleep.train(*few, architecture="lenet6"), "lenet"),
        (lambda few: deepsleep.train(few[0][:10], few[1], epochs=1), "smaller batch"),
        (lambda few: deepsleep.train(*few, epochs=1, settings={"cycles": 2}), "cycles=2: the control does not read this"),
        (lambda few: deepsleep.train(*few, epochs=1, settings={"control.epochs": 2}), "give one of them"),
        (lambda few: deepsleep.defend("control", "sleep", *few, settings={"control.epochs": 2}), "sleep does not read this"),
        (lambda few: deepsleep.defend("control", "deep-sleep", *few), "did you mean `deepsleep`"),
        (lambda few: deepsleep.defend("control", "none", *few), "call train"),
        (lambda few: deepsleep.defend("control", "sleep", *few, profile="best"), "unknown profile"),
        (lambda few: deepsleep.evaluate("control", *few[1], "fgsm", eps=[0.1, 0.1]), "given twice"),
        (lambda few: deepsleep.evaluate("control", *few[1], [], eps=0.1), "at least one attack"),
        (lambda few: deepsleep.audit("control", *few[1], eps=0.1, claim=62), "a share from 0 to 1"),
        (lambda few: deepsleep.audit("control", *few[1], eps=0.1, attack="pgd"), "give claim="),
        (lambda few: deepsleep.reproduce("r", tables=[9]), "9"),
        (lambda few: deepsleep.reproduce("r", tables=1), "tables: of type int; give a list"),
        (lambda few: deepsleep.train(*few, settings=[1]), "settings: of type list; give a dict"),
        (lambda few: deepsleep.audit("control", *few[1], eps=0.1, twins=deepsleep.load("plain")), "twins: of type Model; give a list"),
        (lambda few: deepsleep.audit("control", *few[1], eps=0.1, twins="plain"), "twins: of type str; give a list"),
        (lambda few: deepsleep.dataset("cifar10"), "did you mean `cifar-10`?"),
        (lambda few: deepsleep.dataset("mnist", folder="/nowhere"), "or name its folder, also by DEEPSLEEP_DATA"),
        (lambda few: deepsleep.attack("control", *few[1], "pgd:steps=many", eps=0.1), "that the list of attacks shows"),
        (lambda few: deepsleep.reproduce("r", threat_models=["black-box"]), "expected transfer or white-box"),
    ],
)
def test_wrong_use(few, wrong, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DEEPSLEEP_DATA", str(ROOT / "data"))
    with pytest.raises(deepsleep.Error) as problem:
        wrong(few)
    assert words in str(problem.value) and "\n" not in str(problem.value), problem.value


def test_an_evaluation_goes_on_where_it_was_stopped(few, tmp_path):
    _, test = few
    checkpoint = tmp_path / "robust.checkpoint"
    options = dict(attacks=["fgsm", "pgd:steps=5"], eps=[0.05, 0.1], portion=50)
    whole = deepsleep.evaluate("control", *test, **options)
    kept = deepsleep.evaluate("control", *test, **options, checkpoint=checkpoint)
    lines = checkpoint.read_bytes().splitlines(keepends=True)
    assert len(lines) == 1 + 2 * 2 * 4
    checkpoint.write_bytes(b"".join(lines[:6]) + lines[6][:40])
    again = deepsleep.evaluate("control", *test, **options, checkpoint=checkpoint)
    for evaluation in (kept, again):
        assert evaluation.worst_case == whole.worst_case
        assert [r["robust_accuracy"] for r in evaluation.results] == [r["robust_accuracy"] for r in whole.results]
    assert len(whole.results) == 4 and "worst case" in repr(whole) and "<table>" in whole._repr_html_()
    with pytest.raises(deepsleep.Error, match=r"was made with the network \w{8}, not the network \w{8}, as its model; give that one to go on"):
        deepsleep.evaluate("plain", *test, **options, checkpoint=checkpoint)
    with pytest.raises(deepsleep.Error, match=r"was made with images \w{8}, not \w{8}; give the same options"):
        deepsleep.evaluate("control", test.images, test.labels[::-1].copy(), **options, checkpoint=checkpoint)


def test_what_was_kept_of_a_model_that_changed_is_set_aside(few, linear, tmp_path):
    images, labels, asked = few[1].images[:32], linear.logits(few[1].images[:32]).argmax(1), 0

    def breaks(x):
        nonlocal asked
        asked += 1
        return linear.logits(x) if asked < 12 else -linear.logits(x)

    kept = tmp_path / "robust.checkpoint"
    options = dict(attacks=["square:queries=20", "square:queries=30"], eps=0.05, checkpoint=kept)
    changed = deepsleep.evaluate(breaks, images, labels, **options)
    assert any("the model changed" in warning and "set aside" in warning for warning in changed.warnings)
    assert "the model changed" in repr(changed) and "the model changed" in changed._repr_html_()
    assert not kept.exists() and (tmp_path / "robust.checkpoint.doubted").is_file()
    good = deepsleep.evaluate(linear.logits, images, labels, **options)
    assert not any("the model changed" in warning for warning in good.warnings)


def test_an_evaluation_of_a_random_model_goes_on_too(few, linear, tmp_path):
    _, test = few
    noise = np.random.default_rng()
    noisy = lambda x: linear.logits(x) + 0.01 * noise.normal(size=(len(x), 10)).astype(np.float32)
    model, images = deepsleep.Classifier(noisy, linear.gradient, random=True), test.images[:8]
    options = dict(attacks="pgd:steps=2", eps=0.1, checkpoint=tmp_path / "robust.checkpoint")
    labels = linear.logits(images).argmax(1)
    first, again = (deepsleep.evaluate(model, images, labels, **options) for _ in range(2))
    assert again.worst_case == first.worst_case


@pytest.mark.filterwarnings("ignore:gradient. it is not finite")
def test_a_checkpoint_of_another_model_of_python_is_refused(few, linear, tmp_path):
    _, test = few
    images, noise = test.images[:16], np.random.default_rng(0)
    labels = linear.logits(images).argmax(1)

    def model(sign=1, slope=1, scale=0.0, **options):
        logits = lambda x: sign * linear.logits(x) + (scale * noise.normal(size=(len(x), 10))).astype(np.float32)
        gradient = lambda x, weights: np.float32(sign * slope) * linear.gradient(x, weights)
        return deepsleep.Classifier(logits, gradient, **options)

    def detector():
        # Another answer to images that are noisy, and to no others.
        clean = model()
        smooth = lambda x: np.abs(np.diff(x, axis=3)).mean((1, 2, 3)) < np.abs(np.diff(images, axis=3)).mean((1, 2, 3)).max() * 1.01
        return deepsleep.Classifier(lambda x: np.where(smooth(x)[:, None], 1, -1) * clean._logits(x), clean._gradient)

    def run(name, *models):
        for asked in models:
            deepsleep.evaluate(asked, images, labels, "pgd:steps=2", eps=0.01, checkpoint=tmp_path / name)

    random = {"random": True, "scale": 0.02}
    same = [("a", model(), model(scale=1e-7)), ("b", model(**random), model(**random))]
    # Probabilities, most of them tiny; and a model without a gradient.
    def unlikely(last):
        powers = lambda x: np.exp(9 * (linear.logits(x) - linear.logits(x).max(1, keepdims=True)) + np.float32(last))
        return deepsleep.Classifier(lambda x: powers(x) / powers(x).sum(1, keepdims=True) * np.float32(1 + last))

    for _ in range(2):
        deepsleep.evaluate(unlikely(0), images, labels, "square:queries=3", eps=0.01, checkpoint=tmp_path / "c")
    deepsleep.evaluate(unlikely(1e-6), images, labels, "square:queries=3", eps=0.01, checkpoint=tmp_path / "c")
    for name, first, again in same:
        run(name, first, again)
    for name, other, words in [
        ("a", model(-1), "is of another model: its logits"), ("a", model(slope=-1), "is of another model: its gradients"),
        ("a", model(slope=0), "is of another model: its gradients"), ("a", model(slope=np.nan), "is of another model: its gradients"),
        ("a", deepsleep.load("control"), "a model of Python's, fixed, not"), ("a", model(**random), "20 random draws"), ("a", detector(), "is of another model: its logits"),
        ("b", model(-1, **random), "is of another model: its logits"), ("b", model(random=True, scale=0.3), "is of another model: its noise"), ("b", model(draws=50, **random), "20 random draws, not"),
        # As much noise in all, of two classes instead of all.
        ("b", model(random=True, scale=0.02 * 5**0.5 * np.eye(10)[:2].sum(0)), "is of another model: its noise"),
    ]:
        with pytest.raises(deepsleep.Error, match=words) as problem:
            run(name, other)
        assert len(str(problem.value)) < 500 and "--" not in str(problem.value)
    for change, words in [({"images": 1 - images}, "other images"), ({"labels": labels[::-1].copy()}, "images"), ({"seed": 1}, "do not resume it")]:
        options = {"images": images, "labels": labels, **change}
        with pytest.raises(deepsleep.Error, match=words):
            deepsleep.evaluate(model(), **options, attacks="pgd:steps=2", eps=0.01, checkpoint=tmp_path / "a")


def test_nobody_s_file_becomes_a_checkpoint(few, tmp_path):
    train, test = few
    theirs, out = tmp_path / "mine.json", tmp_path / "net.safetensors"
    beside = tmp_path / "net.safetensors.checkpoint"
    theirs.write_text('{"mine": [1, 2, 3]}')
    beside.write_text("mine")
    with pytest.raises(deepsleep.Error, match="would replace it"):
        deepsleep.evaluate("lucid", *test[:8], "fgsm", eps=0.1, checkpoint=theirs)
    with pytest.raises(deepsleep.Error, match="would replace it"):
        deepsleep.audit("lucid", *test[:8], eps=0.1, checkpoint=theirs)
    with pytest.raises(deepsleep.Error, match="would replace it"):
        deepsleep.train(train, test, epochs=1, batch_size=32, out=out)
    assert theirs.read_text() == '{"mine": [1, 2, 3]}' and beside.read_text() == "mine" and not out.exists()


def test_an_audit(few, tmp_path):
    _, test = few
    options = dict(eps=0.1, count=24, search=2, fast=True, claim=0.9)
    report = deepsleep.audit("control", *test, **options, checkpoint=tmp_path / "audit")
    assert report.verdict == "not trusted" and report.robust_accuracy < 0.9
    assert any(check["name"] == "claim" and check["finding"] == "fail" for check in report.checks)
    assert report.page("control", "mnist").startswith("<!")
    assert "verdict" in repr(report) and "<table>" in report._repr_html_()
    again = deepsleep.audit("control", *test, **options, checkpoint=tmp_path / "audit")
    assert again.summary == report.summary


def test_an_audit_of_a_random_model_goes_on_with_its_images(few, tmp_path):
    _, test = few
    model, noise = Linear(), np.random.default_rng(0)
    labels = model.logits(test.images).argmax(1)
    noisy = lambda x: model.logits(x) + 0.5 * noise.normal(size=(len(x), 10)).astype(np.float32)
    asked = deepsleep.Classifier(noisy, model.gradient, random=True, draws=2)
    options = dict(eps=0.01, count=8, search=1, fast=True, checkpoint=tmp_path / "audit")
    first = deepsleep.audit(asked, test.images[:40], labels[:40], **options)
    again = deepsleep.audit(asked, test.images[:40], labels[:40], **options)
    assert again.summary == first.summary


def test_an_audit_of_a_model_of_python(few):
    _, test = few
    model = Linear()
    labels = model.logits(test.images).argmax(1)
    report = deepsleep.audit(
        deepsleep.Classifier(model.logits, model.gradient), test.images[:32], labels[:32], eps=0.005, count=16, search=1, fast=True
    )
    assert report.verdict in ("undecided", "doubtful", "not trusted", "no reason to doubt")


def test_an_audit_does_not_accuse_a_model_of_what_it_says_of_itself(few):
    _, test = few
    model, noise = Linear(), np.random.default_rng(0)
    labels = model.logits(test.images).argmax(1)
    noisy = lambda x: model.logits(x) + 0.01 * noise.normal(size=(len(x), 10)).astype(np.float32)
    through = lambda x, weights: np.sign(model.gradient(x, weights))
    options = dict(eps=0.001, count=16, search=1, fast=True)

    def failed(asked):
        report = deepsleep.audit(asked, test.images[:32], labels[:32], **options)
        return {check["name"] for check in report.checks if check["finding"] == "fail"}

    assert not failed(deepsleep.Classifier(noisy, model.gradient, random=True)) & {"determinism", "hidden noise", "fixed draws"}
    assert "directional derivative" in failed(deepsleep.Classifier(model.logits, through))
    assert "directional derivative" not in failed(deepsleep.Classifier(model.logits, through, surrogate=True))


def test_a_reproduction_in_small(tmp_path, monkeypatch):
    monkeypatch.setenv("DEEPSLEEP_DATA", str(ROOT / "data"))
    monkeypatch.chdir(tmp_path)
    images = deepsleep.dataset("mnist", "train"), deepsleep.dataset("mnist")
    folder = tmp_path / "tiny"
    folder.mkdir()
    for half, name in zip(images, ("train", "test")):
        some = half[:256]
        np.savez(folder / f"{name}.npz", images=(some.images * 255).astype(np.uint8), labels=some.labels)
    assert deepsleep.settings()["control.epochs"]
    small = {"control.epochs": 1, "slow_wave.batches_per_pass": 1}
    small = {name: value for name, value in small.items() if name in deepsleep.settings()}
    results, page = deepsleep.reproduce(
        "results", tables=[3], threat_models=["white-box"], white_box_images=8, settings=small, data=str(folder)
    )
    assert page.exists() and results["cells"]
    again, _ = deepsleep.reproduce(
        "results", tables=[3], threat_models=["white-box"], white_box_images=8, settings=small, data=str(folder)
    )
    assert again == results
