"""Wrong uses: each is one line that says what to do; none is a crash or a wrong number."""

import pickle
from pathlib import Path

import numpy as np
import pytest

import deepsleep

X = np.linspace(0, 1, 4 * 784, dtype=np.float32).reshape(4, 1, 28, 28)
Y = np.array([0, 1, 2, 3])


def dense(images):
    return images.reshape(len(images), -1)[:, :10]


def fewer(images):
    return dense(images)[:, :5]


def call(images=X, labels=Y, attack="fgsm", model="control", **options):
    return lambda: deepsleep.attack(model, images, labels, attack, **{"eps": 0.1, **options})


def classifier(logits, **options):
    return call(model=deepsleep.Classifier(logits, **options), attack="square:queries=5")


TORCHATTACKS = deepsleep.torchattacks


def change(settings, **values):
    for name, value in values.items():
        setattr(settings, name, value)
    adversary = deepsleep.AutoAttack("control", eps=0.1, verbose=False)
    adversary.apgd = settings
    adversary.run_standard_evaluation(X, Y)


def logged(path):
    adversary = deepsleep.AutoAttack("control", eps=0.1)
    adversary.log_path = path
    adversary.clean_accuracy(X, Y)


def version_of(norm):
    adversary = deepsleep.AutoAttack("control", eps=0.1, verbose=False)
    adversary.norm = norm
    adversary.set_version("plus")


NAN = X.copy()
NAN[2, 0, 3, 3] = np.nan

WRONG = {
    "one image": (call(images=X[0], labels=Y[:1]), "images[None]"),
    "no channels": (call(images=X[:, 0]), "images[:, None]"),
    "rows of pixels": (call(images=X.reshape(4, -1)), "n x channels x height x width"),
    "channels last": (call(images=X.transpose(0, 2, 3, 1)), "transpose(0, 3, 1, 2)"),
    "another size": (call(images=X[..., :20]), "the model takes 1 x 28 x 28"),
    "three channels": (call(images=np.repeat(X, 3, axis=1)), "3 x 28 x 28; the model takes 1 x 28 x 28"),
    "no images": (call(images=X[:0], labels=Y[:0]), "there are none"),
    "bytes": (call(images=(X * 255).astype(np.uint8)), "/ 255"),
    "pixels up to 255": (call(images=X * 255), "outside of 0..=1"),
    "normalized": (call(images=(X - 0.5) / 0.5), "let the model normalize"),
    "half precision": (call(images=X.astype(np.float16)), "give float32"),
    "integers": (call(images=X.astype(np.int64)), "int64"),
    "objects": (call(images=X.astype(object)), "object"),
    "complex": (call(images=X.astype(complex)), "complex128"),
    "not a number": (call(images=NAN), "not finite"),
    "a list": (call(images=X.tolist()), "of type list"),
    "nothing": (call(images=None), "images: None"),
    "a masked array": (call(images=np.ma.masked_array(X)), "filled"),
    "one-hot": (call(labels=np.eye(10)[Y]), "labels.argmax(1)"),
    "a column of labels": (call(labels=Y[:, None]), "labels[:, 0]"),
    "floats as labels": (call(labels=Y.astype(float)), "give integers"),
    "booleans as labels": (call(labels=Y > 1), "give integers"),
    "labels beyond all": (call(labels=np.array([0, 1, 2, 10**25], object)), "label 10000000000000000000000000 does not belong to any class"),
    "labels far below all": (call(labels=np.array([0, 1, 2, -(10**25)], object)), "does not belong to any class"),
    "objects as labels": (call(labels=Y.astype(object)), "give integers: labels.astype('int64')"),
    "too few labels": (call(labels=Y[:3]), "3 of them for 4 images"),
    "a single label": (call(labels=np.int64(3)), "labels: of type"),
    "a class too many": (call(labels=Y + 7), "label 10 is not below the model's 10 classes"),
    "a negative class": (call(labels=Y - 1), "below 0"),
    "eps in bytes": (call(eps=8), "did you mean 8/255?"),
    "eps of one byte": (call(eps=1), "did you mean 1/255? (all of the range is 1.0)"),
    "eps in bytes, as a float": (call(eps=8.0), "did you mean 8/255?"),
    "eps of 0": (call(eps=0.0), "is not a radius"),
    "negative eps": (call(eps=-0.1), "is not a radius"),
    "eps not a number": (call(eps=float("nan")), "is not a radius"),
    "eps as a list": (call(eps=[0.1]), "expected a number"),
    "several eps": (call(eps=np.array([0.1, 0.2])), "expected one number"),
    "eps as a boolean": (call(eps=True), "expected a number"),
    "unknown norm": (call(norm="Linfinity"), "expected one of linf, l2, l1, l0"),
    "norm as a number": (call(norm=2), "norm: 2"),
    "unknown attack": (call(attack="pdg"), "did you mean"),
    "unknown option": (call(attack="pgd:step_size=1"), "no option `step_size`"),
    "an attack that is none": (call(attack=("pgd", 40)), "of type tuple"),
    "an attack without that norm": (call(attack="rays", norm="l2"), "l2"),
    "too many targets": (call(attack="apgd-t:targets=12"), "targets=12"),
    "negative seed": (call(seed=-1), "seed: -1"),
    "seed as a float": (call(seed=0.5), "expected a whole number"),
    "threads": (call(threads=-2), "threads: -2"),
    "no model": (call(model=None), "model: None"),
    "a number as model": (call(model=7), "of type int"),
    "no such file": (call(model="nowhere.safetensors"), "nowhere.safetensors"),
    "ids of others": (call(ids=[1, 2]), "ids: expected 4 integers"),
    "logits that are none": (lambda: deepsleep.Classifier(logits=np.eye(3)), "logits: of type ndarray"),
    "a gradient that is none": (lambda: deepsleep.Classifier(dense, gradient=3), "gradient: of type int"),
    "labels instead of logits": (classifier(lambda x: np.zeros(len(x))), "expected (4, classes)"),
    "one class": (classifier(lambda x: np.zeros((len(x), 1))), "at least 2"),
    "answers that vary": (classifier(lambda x: np.random.rand(len(x), 10)), "get different answers"),
    "no gradient": (call(labels=dense(X).argmax(1), model=deepsleep.Classifier(dense), attack="pgd"), "gradient="),
    "a gradient of another shape": (
        call(labels=dense(X).argmax(1), model=deepsleep.Classifier(dense, gradient=lambda x, w: w), attack="pgd"),
        "expected that of the images",
    ),
    "draws of what is not random": (lambda: deepsleep.Classifier(dense, draws=5), "random=True"),
    "batches of none": (lambda: deepsleep.Classifier(dense, batch_size=0), "batch_size: 0; expected 16"),
    "official AutoAttack, eps in bytes": (lambda: deepsleep.AutoAttack("control", eps=8), "8/255"),
    "official AutoAttack, version": (lambda: deepsleep.AutoAttack("control", version="full"), "expected standard"),
    "official AutoAttack, a norm without it": (lambda: version_of("L0"), "norm: AutoAttack exists in Linf, L2 and L1"),
    "torchattacks, no normalization": (lambda: TORCHATTACKS.PGD("control").normalize(X), "call set_normalization_used(mean, std) first"),
    "torchattacks, no normalization to undo": (
        lambda: TORCHATTACKS.PGD("control").inverse_normalize(X), "call set_normalization_used(mean, std) first",
    ),
    "torchattacks, a type that is none": (lambda: TORCHATTACKS.PGD.to_type(X, "half"), "type: 'half'; expected float or int"),
    "torchattacks, a type of a list": (lambda: TORCHATTACKS.PGD.to_type([0.5], "int"), "inputs: of type list"),
    "official AutoAttack, both": (
        lambda: deepsleep.AutoAttack("control", attacks_to_run=["square"]),
        "version='custom'",
    ),
    "official AutoAttack, attack": (
        lambda: deepsleep.AutoAttack(
            "control", attacks_to_run=["pgd"], version="custom", verbose=False
        ).run_standard_evaluation(X, Y),
        "attacks_to_run: 'pgd'",
    ),
    "official AutoAttack, two options as one": (
        lambda: change(deepsleep.AutoAttack("control", eps=0.1, verbose=False).apgd, n_iter="3,loss=dlr"), "n_iter: '3,loss=dlr'"
    ),
    "torchattacks, two options as one": (lambda: TORCHATTACKS.PGD("control", steps="3,loss=dlr"), "steps: '3,loss=dlr'"),
    "torchattacks, a word for a truth": (lambda: TORCHATTACKS.PGD("control", random_start="no"), "expected True or False"),
    "torchattacks, multi_targeted as a word": (lambda: TORCHATTACKS.FAB("control", multi_targeted="false"), "multi_targeted=False"),
    "torchattacks, steps of a text": (lambda: TORCHATTACKS.BIM("control", eps="8/255", steps=0), "eps: '8/255'"),
    "ids of several lengths": (call(ids=[[1], [2, 3], [4], [5]]), "ids: of type list"),
    "ids beyond all": (call(ids=np.full(4, 2**64 - 1, "u8")), "ids: 18446744073709551615; at most 9223372036854775807"),
    "a network and an architecture": (
        lambda: deepsleep.train((X, Y), (X, Y), start="control", architecture="resnet20"), "architecture: 'resnet20', and start",
    ),
    "a folder of a folder": (lambda: deepsleep.dataset(Path(__file__).parent, folder="nowhere"), "leave folder out"),
    "white-box images without": (lambda: deepsleep.reproduce("nowhere", threat_models="transfer", white_box_images=5), "leave white_box_images out"),
    "transfer images without": (lambda: deepsleep.reproduce("nowhere", threat_models="white-box", images=5), "leave images out"),
    "a batch below all": (
        lambda: deepsleep.AutoAttack(dense, verbose=False).run_standard_evaluation(X, Y, bs=4), "(of a model that is asked by callbacks): 4; at least 16",
    ),
    "an architecture with a set": (lambda: deepsleep.architecture({"input": {1, 28}}), "architecture: {1, 28}, of type set; expected numbers"),
    "an architecture with a tuple as key": (lambda: deepsleep.architecture({(1, 2): 3}), "give words as keys"),
    "a setting with a set": (lambda: deepsleep.train((X, Y), (X, Y), settings={"control.epochs": [{1}]}), "settings: {1}, of type set"),
    "durations as labels": (call(labels=Y.astype("m8[s]")), "give integers"),
    "an attack with a zero byte": (call(attack="pgd\0"), r"'pgd\x00'"),
    "a seed beyond all": (call(seed=2**63), "at most"),
    "a loss that is none": (call(attack="pgd:loss=xe"), "one of ce, ce-scaled"),
    "draws of a network without": (lambda: deepsleep.load("control", draws=3), "draws: 3 of a network that draws no random"),
    "draws of spikes without": (lambda: deepsleep.load("control").spiking(3), "draws: 3 of a network that draws no random"),
    "another architecture": (lambda: deepsleep.load("control", architecture="madry"), "holds another network than is asked for"),
    "complex logits": (classifier(lambda x: dense(x) + 0j), "masked or complex"),
    "masked logits": (classifier(lambda x: np.ma.masked_array(dense(x))), "masked or complex"),
    "logits as texts": (classifier(lambda x: dense(x).astype(str)), "expected an array of numbers"),
    "logits of several lengths": (classifier(lambda x: [[1, 2], [3]]), "expected an array of numbers"),
    "framework of several": (lambda: deepsleep.Classifier(dense, framework=np.array([1, 2])), "framework: array([1, 2]); expected numpy or torch"),
    "split as an array": (lambda: deepsleep.dataset(split=np.ones((2, 2))), "expected train or test"),
    "a profile as an array": (lambda: deepsleep.defend("control", "lucid", (X, Y), (X, Y), profile=np.array([1, 2])), "expected published"),
    "a profile of two lines": (lambda: deepsleep.settings("a\nb"), r"profile: 'a\nb'"),
    "a setting of two lines": (lambda: deepsleep.train((X, Y), (X, Y), epochs="1\n2"), r"'1\n2'"),
    "a path of two lines": (call(model="a\nb"), r"model: 'a\nb'; expected a path without control characters"),
    "a path with a zero byte": (lambda: deepsleep.load("control").save("a\0b"), "without control characters"),
    "half of a surrogate pair as a network": (call(model="\ud800"), r"model: '\ud800'; expected a path"),
    "half of a surrogate pair as a network's path": (lambda: deepsleep.load(Path("\ud800")), "expected a path"),
    "half of a surrogate pair to save to": (lambda: deepsleep.load("control").save("\ud800"), "expected a path"),
    "half of a surrogate pair as a checkpoint": (
        lambda: deepsleep.audit("control", X, Y, eps=0.1, checkpoint="\ud800"), "checkpoint: '\\ud800'; expected a path",
    ),
    "half of a surrogate pair as data": (lambda: deepsleep.dataset("\ud800"), "data set: '\\ud800'; expected a path"),
    "a byte that is no text as data": (lambda: deepsleep.dataset("\udcff"), "data set: '\\udcff'; expected a text"),
    "half of a surrogate pair as a folder": (lambda: deepsleep.dataset("mnist", folder="\ud800"), "folder: '\\ud800'; expected a path"),
    "half of a surrogate pair as an architecture": (lambda: deepsleep.architecture("\udcff"), "architecture: '\\udcff'; expected a text"),
    "half of a surrogate pair as an attack": (call(attack="\ud800"), "attack: '\\ud800'"),
    "half of a surrogate pair as a radius": (call(eps="\ud800"), "eps: '\\ud800'"),
    "half of a surrogate pair as a setting": (lambda: deepsleep.train((X, Y), (X, Y), settings={"\ud800": 1}), "expected the name of a setting"),
    "half of a surrogate pair as results": (lambda: deepsleep.reproduce("\ud800"), "out: '\\ud800'; expected a path"),
    "half of a surrogate pair as a log": (lambda: logged("\ud800"), "log_path: '\\ud800'; expected a path"),
    "an image beyond all": (lambda: deepsleep.architecture("lenet", input_shape=(3, 10**6, 10**6)), "input_shape: (3, 1000000, 1000000); an image has"),
    "sides beyond all": (lambda: deepsleep.architecture("lenet", input_shape=(2**62, 2**62, 2**62)), "numbers at most"),
    "classes beyond all": (lambda: deepsleep.architecture("lenet", classes=2**62), "at most"),
    "a path that is too long": (call(model="e" * 3000), "is neither a file nor a network"),
    "eps of two lines": (call(eps="0.1\n"), "expected a number"),
    "a norm of several lines": (call(norm=np.ones((2, 2))), "norm: array([[1., 1.], [1., 1.]])"),
    "a claim above all": (lambda: deepsleep.audit("control", X, Y, eps=0.1, claim=np.float32(2)), "a share from 0 to 1"),
    "official AutoAttack, a class": (lambda: deepsleep.AutoAttack(int, eps=0.1).clean_accuracy(X, Y), "model: the class int"),
    "official AutoAttack, no settings": (lambda: change(None), "apgd: None; leave it as it is and set its attributes"),
    "official AutoAttack, a list of several": (lambda: deepsleep.AutoAttack("control", attacks_to_run=np.array([1, 2])), "give a list of"),
    "official AutoAttack, a log of a number": (lambda: logged(3), "log_path: 3; expected a path"),
    "official AutoAttack, a long log": (lambda: logged("e" * 3000), "log_path: cannot write"),
    "torchattacks, norm as an array": (lambda: TORCHATTACKS.APGD("control", norm=np.array([1, 2])), "expected Linf, L2 or L1"),
    "torchattacks, classes that nobody asks for": (lambda: TORCHATTACKS.FAB("control", n_classes="no"), "n_classes: 'no'"),
    "a source of other classes": (call(source=deepsleep.Classifier(fewer)), "source: it tells 5 classes, the model 10"),
    "evaluate, a source of other classes": (
        lambda: deepsleep.evaluate("control", X, Y, "fgsm", eps=0.1, source=deepsleep.Classifier(fewer)), "source: it tells 5 classes",
    ),
    "a twin of other classes": (
        lambda: deepsleep.audit("control", X, Y, eps=0.1, twins=["control", deepsleep.Classifier(fewer)]), "twin 2: it tells 5 classes",
    ),
    "architecture": (lambda: deepsleep.architecture("resnet21"), "resnet20"),
    "layers that do not fit": (
        lambda: deepsleep.architecture({"input": [1, 8, 8], "classes": 3, "nodes": [{"name": "fc", "op": "linear", "out": 4}]}),
        "fc",
    ),
}


def test_numbers_and_numpy_s_truths_are_switches(linear):
    assert deepsleep.Classifier(linear.logits, random=np.True_).random is True
    assert deepsleep.Classifier(linear.logits, random=0).random is False


@pytest.mark.parametrize("name", WRONG)
def test_wrong_use_is_one_line(name):
    wrong, words = WRONG[name]
    with pytest.raises(deepsleep.Error) as problem:
        wrong()
    text = str(problem.value)
    assert words in text and "\n" not in text and len(text) < 500, text
    assert isinstance(problem.value, ValueError)


def test_there_are_enough_of_them():
    assert len(WRONG) >= 30


def test_what_only_lies_otherwise_in_memory_gives_the_same_numbers():
    expected = deepsleep.attack("control", X, Y, "pgd:steps=3", eps=0.1)
    strided = np.repeat(X, 2, axis=3)[..., ::2]
    fortran, swapped = np.asfortranarray(X), X.astype(">f4")
    for images in (strided, fortran, swapped, X.astype(np.float64), X[::-1][::-1]):
        report = deepsleep.attack("control", images, Y.astype(np.int32), "pgd:steps=3", eps=0.1)
        assert np.array_equal(report.arrays["adversarial"], expected.adversarial)
        assert np.array_equal(report.status, expected.status)


def test_exceptions_of_a_callback_arrive_as_they_are(linear):
    calls = []

    def logits(images):
        calls.append(len(images))
        if len(calls) > 3:
            raise KeyError("on purpose")
        return linear.logits(images)

    right = linear.logits(X).argmax(1)
    with pytest.raises(KeyError, match="on purpose"):
        deepsleep.attack(deepsleep.Classifier(logits, linear.gradient), X, right, "pgd:steps=20,restarts=3", eps=0.01)


def test_exceptions_of_a_gradient_that_is_tried_say_what_they_are(linear):
    def gradient(images, weights):
        raise KeyError("on purpose")

    right = linear.logits(X).argmax(1)
    with pytest.raises(deepsleep.Error, match="gradient: KeyError when it was tried on .* images with noise: 'on purpose'; ") as problem:
        deepsleep.attack(deepsleep.Classifier(linear.logits, gradient), X, right, "pgd:steps=2", eps=0.01)
    assert isinstance(problem.value.__cause__, KeyError)
    # Where none is asked for, none is tried.
    deepsleep.attack(deepsleep.Classifier(linear.logits, gradient), X, right, "square:queries=2", eps=0.01)


def test_what_is_set_on_a_model_counts_or_cannot_be_set(linear):
    model = deepsleep.load("control")
    for name in ("eps", "batch_size", "classes", "draws"):
        with pytest.raises(AttributeError, match=name) as problem:
            setattr(model, name, 3)
        assert "\n" not in str(problem.value)
    model.history = [{"loss": 1.0}]
    assert pickle.loads(pickle.dumps(model)).history == [{"loss": 1.0}]


class Named(deepsleep.Classifier):
    """A model with attributes of its own."""

    def __init__(self, model, name):
        self.name = name
        super().__init__(model.logits, model.gradient)
        self.model = model


class Mine(deepsleep.Model):
    """A network with attributes of its own."""


def test_subclasses_have_attributes_of_their_own(linear):
    model = pickle.loads(pickle.dumps(Named(linear, "mine")))
    model.note = "any"
    assert model.name == "mine" and model.note == "any"
    with pytest.raises(AttributeError):
        model.batch_size = 64
    right = linear.logits(X).argmax(1)
    expected = deepsleep.attack(deepsleep.Classifier(linear.logits, linear.gradient), X, right, "fgsm", eps=0.01)
    assert np.array_equal(deepsleep.attack(model, X, right, "fgsm", eps=0.01).adversarial, expected.adversarial)
    network = Mine(deepsleep.load("control")._network)
    network.name = "mine"
    again = pickle.loads(pickle.dumps(network))
    assert type(again) is Mine and again.name == "mine" and np.array_equal(again.logits(X), network.logits(X))


def test_a_classifier_is_made_anew_rather_than_changed(linear):
    model = deepsleep.Classifier(linear.logits, linear.gradient)
    for name, value in [("logits", linear.logits), ("gradient", None), ("draws", -3), ("batch_size", 4), ("random", True), ("batchsize", 8)]:
        with pytest.raises(AttributeError):
            setattr(model, name, value)


def test_a_model_may_answer_from_one_place(linear, digits):
    """It writes every answer over the last one: that is no change."""
    place = np.zeros((64, 10), np.float32)

    def logits(x):
        place[: len(x)] = linear.logits(x)
        return place[: len(x)]

    images = digits[0][:32]
    labels = linear.logits(images).argmax(1)
    reports = [
        deepsleep.attack(deepsleep.Classifier(f, linear.gradient), images, labels, "pgd:steps=3", eps=0.05)
        for f in (logits, linear.logits)
    ]
    assert not any("changed" in warning for warning in reports[0].warnings)
    assert (reports[0].adversarial == reports[1].adversarial).all()


def test_logits_that_are_no_numbers_are_right_of_nothing(linear, digits):
    attacks = deepsleep.AutoAttack(lambda x: np.nan * linear.logits(x), eps=0.05, verbose=False)
    with pytest.warns(UserWarning, match="8 samples are invalid"):
        assert attacks.clean_accuracy(digits[0][:8], digits[1][:8]) == 0


def test_numbers_of_numpy_describe_a_network():
    layers = deepsleep.architecture("lenet")
    assert deepsleep.architecture({**layers, "input": np.array(layers["input"]), "classes": np.int64(10)}) == layers


def test_saving_a_spiking_network_says_that_spikes_are_not_in_a_file(tmp_path):
    model = deepsleep.load("control").spiking()
    for name in ("net.safetensors", "net.onnx"):
        with pytest.warns(UserWarning, match="holds the weights, not that the neurons spike") as said:
            model.save(tmp_path / name)
        assert said[0].filename == __file__
        assert not deepsleep.load(tmp_path / name).is_spiking
        again = deepsleep.load(tmp_path / name, spiking=True)
        assert again.is_spiking and np.array_equal(again.logits(X), model.logits(X))


def test_numbers_that_float32_cannot_hold_keep_their_differences(linear, digits):
    images = digits[0][:32]
    labels = linear.logits(images).argmax(1)
    reports = [
        deepsleep.attack(deepsleep.Classifier(f, linear.gradient), images, labels, "pgd:steps=3", eps=0.01)
        for f in (linear.logits, lambda x: linear.logits(x).astype(float) + 2**30)
    ]
    for report in reports[1:]:
        assert (report.status == reports[0].status).all() and np.allclose(report.margin, reports[0].margin, atol=1e-4)
    # Whole numbers too, and differences beyond float32.
    whole = lambda x: np.rint(1e3 * linear.logits(x)).astype(np.int64) + 2**50
    huge = lambda x: linear.logits(x).astype(float) * 1e300
    for f in (whole, huge):
        report = deepsleep.attack(deepsleep.Classifier(f), images, f(images).argmax(1), "square:queries=2", eps=0.001)
        assert report.clean_accuracy == 1


def test_a_report_counts_its_warnings():
    report = deepsleep.attack("control", X, Y, "fgsm", eps=0.1)
    more = len(report.warnings)
    assert (f"; {more} warning" in repr(report)) == (more > 0)
    report._summary["warnings"] = []
    assert "warning" not in repr(report)
    report._summary["warnings"] = ["a"]
    assert repr(report).endswith("%; 1 warning, see .warnings")
    report._summary["warnings"] = ["a", "b"]
    assert repr(report).endswith("%; 2 warnings, see .warnings")
