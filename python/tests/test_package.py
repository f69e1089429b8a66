"""The package as editors, checkers and readers see it."""

import copy
import inspect
import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import GOLDEN

import deepsleep


def public():
    """Everything that users call, by name."""
    for module, prefix in (deepsleep, ""), (deepsleep.torchattacks, "torchattacks."):
        for name in module.__all__:
            value = getattr(module, name)
            if value is deepsleep.Error or not callable(value):
                continue
            yield prefix + name, value
            for method, function in inspect.getmembers(value, inspect.isfunction) if inspect.isclass(value) else ():
                if not method.startswith("_"):
                    yield f"{prefix}{name}.{method}", function


@pytest.mark.parametrize("name, value", list(public()), ids=[name for name, _ in public()])
def test_every_parameter_is_documented(name, value):
    doc = inspect.getdoc(value)
    assert doc and doc.splitlines()[0].endswith("."), f"{name} lacks a summary"
    section = re.search(r"\nParameters\n-+\n(.*?)(?=\n\n\w+\n-+\n|\Z)", doc, re.S)
    found = [] if section is None else re.findall(r"^(\S.*)$", section[1], re.M)
    documented = [part for entry in found for part in entry.partition(" : ")[0].split(", ")]
    taken = inspect.signature(value).parameters.values()
    prefix = {inspect.Parameter.VAR_KEYWORD: "**", inspect.Parameter.VAR_POSITIONAL: "*"}
    assert documented == [prefix.get(p.kind, "") + p.name for p in taken if p.name != "self"]
    if inspect.isfunction(value) and inspect.signature(value).return_annotation != "None":
        assert "\nReturns\n-------\n" in doc, f"{name} does not say what it returns"


def test_a_report_lists_what_it_has(control, digits):
    images, labels = digits
    report = deepsleep.attack(control, images[:8], labels[:8], "fgsm", eps=0.1)
    for name in "adversarial status winner margin prediction linf l2 l1 l0 warnings robust_accuracy clean_accuracy".split():
        assert name in dir(report) and getattr(deepsleep.Report, name).__doc__
    assert report.adversarial.shape == images[:8].shape and report.adversarial.dtype == images.dtype
    assert report.robust_accuracy == (report.status == "survived").mean()
    with pytest.raises(AttributeError, match="robust_acuracy"):
        report.robust_acuracy


def test_nobody_changes_a_report(control, digits):
    images, labels = digits
    report = deepsleep.attack(control, images[:8], labels[:8], "fgsm", eps=0.1)
    twin, share = pickle.loads(pickle.dumps(report)), report.robust_accuracy
    for each in (report, twin):
        for name in ("adversarial", "prediction", "margin", "linf", "l2", "l1", "l0", "status", "winner"):
            mine = getattr(each, name)
            before = mine.copy()
            mine[:] = before[::-1].copy() if name != "adversarial" else 0
            assert np.array_equal(getattr(each, name), before) and getattr(each, name) is not mine, name
        for name, array in each.arrays.items():
            with pytest.raises(ValueError, match="read-only"):
                array[:] = array
        each.arrays.clear()
        each.summary["robust_accuracy"] = 2.0
        each.summary["warnings"].append("mine")
        each.warnings.append("mine")
        assert each.robust_accuracy == share and "mine" not in each.warnings and len(each.arrays) > 8


def test_reports_and_models_are_pickled(control, digits, tmp_path):
    images, labels = digits
    report = deepsleep.attack(control, images[:8], labels[:8], "fgsm", eps=0.1)
    again = pickle.loads(pickle.dumps(report))
    assert repr(again) == repr(report) and again.grid() == report.grid() and again.warnings == report.warnings
    assert np.array_equal(again.adversarial, report.adversarial) and np.array_equal(again.status, report.status)
    for place, what in (("a.npz", report), ("b.npz", again)):
        what.save(tmp_path / place)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    trained = deepsleep.train((images, labels), (images, labels), architecture="lenet", epochs=1, batch_size=50)
    for model in (control, trained, control.spiking(), deepsleep.load(GOLDEN / "onnx" / "residual.onnx")):
        twin = pickle.loads(pickle.dumps(copy.deepcopy(model)))
        assert repr(twin) == repr(model) and twin.history == model.history and twin.notes == model.notes
        shape = (2, *model.input_shape)
        noise = np.random.default_rng(0).random(shape, dtype=np.float32)
        assert np.array_equal(twin.logits(noise), model.logits(noise))


def test_a_data_set_unpacks_and_slices():
    data = deepsleep.dataset("mnist")
    some = data[:5]
    images, labels = some
    assert images is some.images and labels is some.labels and len(some) == 5
    assert some.classes == 10 and some.name == data.name and set(data[data.labels == 7].labels) == {7}


def test_the_types_are_strict(tmp_path):
    pytest.importorskip("mypy", reason="mypy is not installed")
    use = tmp_path / "use.py"
    use.write_text(
        "import deepsleep\n"
        "deepsleep.load('lucid').save('net.onnx')\n"
        "images, labels = deepsleep.dataset()[:100]\n"
        "report = deepsleep.attack('lucid', *deepsleep.dataset()[:100], eps=0.1)\n"
        "share: float = report.robust_accuracy\n"
        "deepsleep.evaluate('lucid', images, labels, ['fgsm', 'pgd'], eps=[0.1, '8/255'])\n"
        "report.robust_acuracy\n"
    )
    options = ["--strict", "--cache-dir", str(tmp_path / "cache"), "--config-file", str(Path(__file__).parents[1] / "pyproject.toml")]


    def mypy(*arguments):
        command = [sys.executable, "-m", "mypy", *options, *arguments]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)

    package = mypy("-p", "deepsleep")
    assert package.returncode == 0, package.stdout + package.stderr
    said = mypy(str(use)).stdout
    assert re.findall(r"use\.py:(\d+)", said) == ["7"], said


@pytest.mark.parametrize("progress", [None, False, True])
def test_progress_does_without_a_terminal(monkeypatch, progress):
    """A program without a console has no stderr, or something else in its place."""
    import io

    from deepsleep._progress import shown

    closed = io.StringIO()
    closed.close()
    for stderr in (None, closed, type("Sink", (), {"write": lambda self, text: None, "flush": lambda self: None})()):
        monkeypatch.setattr("sys.stderr", stderr)
        with shown(progress) as advance:
            if advance is not None:
                advance(1, 2, "images")
