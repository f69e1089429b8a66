"""A finished training that is asked for again: nothing is lost, and nothing is done twice."""

import numpy as np
import pytest
from conftest import ROOT

import deepsleep


@pytest.fixture(scope="module")
def few():
    """A little of MNIST: 256 images to train on, 100 to measure on."""
    return deepsleep.dataset("mnist", "train", folder=ROOT / "data")[:256], deepsleep.dataset("mnist", folder=ROOT / "data")[:100]


def test_a_finished_training_is_not_done_again(few, tmp_path):
    out = tmp_path / "network.safetensors"
    asked = dict(epochs=2, batch_size=32, seed=1, out=out, resume=True)
    first = deepsleep.train(*few, **asked)
    content, written = out.read_bytes(), out.stat().st_mtime_ns
    again = deepsleep.train(*few, **asked)
    assert out.read_bytes() == content and out.stat().st_mtime_ns == written
    assert again.history == first.history
    assert np.array_equal(again.logits(few[1].images), first.logits(few[1].images))

    train, test = few
    others = [
        (few, {"learning_rate": 0.02}, "learning_rate"),
        (few, {"seed": 5}, "seed"),
        (few, {"epochs": 1}, "epochs"),
        (few, {"architecture": "lenet-bias"}, "resume"),
        (few, {"start": first}, "another network to start from"),
        ((train[:128], test), {}, "images"),
    ]
    for data, change, words in others:
        with pytest.raises(deepsleep.Error, match=words) as error:
            deepsleep.train(*data, **asked | change)
        assert "cannot resume" in str(error.value) and "\n" not in str(error.value)
        assert out.read_bytes() == content

    # More epochs are those of a training that never ended.
    longer = deepsleep.train(*few, **asked | {"epochs": 3})
    whole = deepsleep.train(*few, epochs=3, batch_size=32, seed=1)
    assert np.array_equal(longer.logits(few[1].images), whole.logits(few[1].images))
    assert longer.history == whole.history


def test_a_training_that_began_with_a_network_goes_on_only_with_that_one(few, tmp_path):
    out = tmp_path / "tuned.safetensors"
    starts = [deepsleep.train(*few, epochs=1, batch_size=32, seed=seed) for seed in range(2)]
    asked = dict(epochs=1, batch_size=32, out=out, resume=True)
    deepsleep.train(*few, start=starts[0], **asked)
    content = out.read_bytes()
    deepsleep.train(*few, start=starts[0], **asked)
    for change in [{"start": starts[1]}, {}]:
        with pytest.raises(deepsleep.Error, match="another network to start from"):
            deepsleep.train(*few, **change, **asked)
    assert out.read_bytes() == content


def test_a_finished_defense_is_not_done_again(few, tmp_path):
    out = tmp_path / "defended.safetensors"
    controls = [deepsleep.train(*few, epochs=1, batch_size=32, seed=seed) for seed in range(2)]
    settings = {"adversarial_training.epochs": 1, "adversarial_training.eps": "8/255"}

    def defend(control=controls[0], defense="adversarial-training", change=None, **options):
        return deepsleep.defend(control, defense, *few, settings=settings | (change or {}), out=out, resume=True, **options)

    first = defend()
    content = out.read_bytes()
    assert defend().history == first.history
    for asked in [{"change": {"adversarial_training.eps": "1/255"}}, {"seed": 4}, {"control": controls[1]}]:
        with pytest.raises(deepsleep.Error, match="cannot resume"):
            defend(**asked)
    assert out.read_bytes() == content


def test_a_file_of_something_else_is_not_replaced(few, tmp_path):
    out = tmp_path / "network.safetensors"
    control = deepsleep.train(*few, epochs=1, batch_size=32, out=out)
    content = out.read_bytes()
    with pytest.raises(deepsleep.Error):
        deepsleep.defend(control, "adversarial-training", *few, out=out, resume=True)
    assert out.read_bytes() == content
    deepsleep.defend(control, "adversarial-training", *few, settings={"adversarial_training.epochs": 1}, out=out)
    content = out.read_bytes()
    with pytest.raises(deepsleep.Error):
        deepsleep.train(*few, epochs=1, batch_size=32, out=out, resume=True)
    assert out.read_bytes() == content


@pytest.mark.parametrize("name, meant", [("lr", "learning_rate"), ("momentum", "rule"), ("batch", "batch_size")])
def test_names_of_other_packages(few, name, meant):
    with pytest.raises(deepsleep.Error, match=f"^{name}: .*{meant}"):
        deepsleep.train(*few, epochs=1, **{name: 0.1})
