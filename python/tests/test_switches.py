"""Keywords that take True or False: a word is neither."""

import inspect

import numpy as np
import pytest
from test_wrong_use import TORCHATTACKS, X, Y, call, dense

import deepsleep

# Every keyword that takes True or False, given a word.
SWITCHES = {
    "random": lambda word: deepsleep.Classifier(dense, random=word),
    "surrogate": lambda word: deepsleep.Classifier(dense, surrogate=word),
    "spiking": lambda word: deepsleep.load("control", spiking=word),
    "progress": lambda word: call(progress=word)(),
    "progress ": lambda word: deepsleep.evaluate("control", X, Y, "fgsm", eps=0.1, progress=word),
    "progress  ": lambda word: deepsleep.audit("control", X, Y, eps=0.1, progress=word),
    "fast": lambda word: deepsleep.audit("control", X, Y, eps=0.1, fast=word),
    "quick": lambda word: deepsleep.reproduce("nowhere", quick=word),
    "progress   ": lambda word: deepsleep.reproduce("nowhere", progress=word),
    "resume": lambda word: deepsleep.train((X, Y), (X, Y), resume=word),
    "resume ": lambda word: deepsleep.defend("control", "deepsleep", (X, Y), (X, Y), resume=word),
    "progress    ": lambda word: deepsleep.train((X, Y), (X, Y), progress=word),
    "is_tf_model": lambda word: deepsleep.AutoAttack("control", is_tf_model=word),
    "verbose": lambda word: deepsleep.AutoAttack("control", verbose=word),
    "return_labels": lambda word: deepsleep.AutoAttack("control").run_standard_evaluation(X, Y, return_labels=word),
    "return_labels ": lambda word: deepsleep.AutoAttack("control").run_standard_evaluation_individual(X, Y, return_labels=word),
    "resc_schedule": lambda word: TORCHATTACKS.Square("control", resc_schedule=word),
    "random_start": lambda word: TORCHATTACKS.PGD("control", random_start=word),
    "quiet": lambda word: TORCHATTACKS.PGD("control").set_mode_targeted_by_label(quiet=word),
    "quiet ": lambda word: TORCHATTACKS.PGD("control").set_mode_targeted_by_function(max, quiet=word),
    "quiet  ": lambda word: TORCHATTACKS.PGD("control").set_mode_targeted_random(quiet=word),
    "quiet   ": lambda word: TORCHATTACKS.PGD("control").set_mode_targeted_least_likely(quiet=word),
    "model_training": lambda word: TORCHATTACKS.PGD("control").set_model_training_mode(model_training=word),
    "batchnorm_training": lambda word: TORCHATTACKS.PGD("control").set_model_training_mode(batchnorm_training=word),
    "dropout_training": lambda word: TORCHATTACKS.PGD("control").set_model_training_mode(dropout_training=word),
    "verbose ": lambda word: TORCHATTACKS.PGD("control").save([], verbose=word),
    "return_verbose": lambda word: TORCHATTACKS.PGD("control").save([], return_verbose=word),
    "save_predictions": lambda word: TORCHATTACKS.PGD("control").save([], save_predictions=word),
    "save_clean_inputs": lambda word: TORCHATTACKS.PGD("control").save([], save_clean_inputs=word),
    "shuffle": lambda word: TORCHATTACKS.PGD.load("nowhere", shuffle=word),
    "load_predictions": lambda word: TORCHATTACKS.PGD.load("nowhere", load_predictions=word),
    "load_clean_inputs": lambda word: TORCHATTACKS.PGD.load("nowhere", load_clean_inputs=word),
    "multi_targeted": lambda word: TORCHATTACKS.FAB("control", multi_targeted=word),
}


@pytest.mark.parametrize("name", SWITCHES)
def test_a_word_is_no_switch(name):
    call = SWITCHES[name]
    for value, meant in [("no", ": {}=False"), ("False", ": {}=False"), ("On", ": {}=True"), ("maybe", ""), (2, ""), (np.ones(2), ""), (0.0, "")]:
        with pytest.raises(deepsleep.Error) as problem:
            call(value)
        key = name.strip()
        assert str(problem.value) == f"{key}: {value!r}; expected True or False{meant.format(key)}"


def test_every_switch_is_among_them():
    """What has a default of True or False in the public interface."""
    callables = [getattr(deepsleep, name) for name in deepsleep.__all__ if callable(getattr(deepsleep, name))]
    callables += [getattr(TORCHATTACKS, name) for name in TORCHATTACKS.__all__]
    classes = [deepsleep.AutoAttack, deepsleep.Model, TORCHATTACKS.PGD]
    callables += [method for of in classes for _, method in inspect.getmembers(of, inspect.isfunction) if not method.__name__.startswith("_")]
    found = set()
    for each in callables:
        try:
            found |= {p.name for p in inspect.signature(each).parameters.values() if isinstance(p.default, bool) or p.name == "progress"}
        except ValueError:  # the exception
            continue
    assert found == {name.strip() for name in SWITCHES}
