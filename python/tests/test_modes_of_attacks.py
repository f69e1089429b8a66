"""Modes, normalization and files of `deepsleep.torchattacks`, as those of the package torchattacks."""

import numpy as np
import pytest

import deepsleep
from deepsleep import torchattacks

TARGETABLE = [name for name in torchattacks.__all__ if name not in ("APGD", "APGDT", "DeepFool")]


def torch_network():
    from torch_models import network

    return network()


def made(name, model, **options):
    few = {"Square": {"n_queries": 20}, "FGSM": {}}.get(name, {"steps": 3})
    return getattr(torchattacks, name)(model, **few, **options)


def test_the_default_mode_and_names(control):
    attack = torchattacks.PGD(control)
    assert (attack.get_mode(), attack.targeted, attack.supported_mode) == ("default", False, ["default", "targeted"])
    assert (attack.attack, attack.model_name, attack.device, attack.normalization_used) == ("PGD", "Model", None, None)
    for value in ({}, {"model_training": False, "dropout_training": False}):
        attack.set_model_training_mode(**value)
    with pytest.raises(deepsleep.Error, match="mode: 'default' has no targets"):
        attack.get_target_label(None)


@pytest.mark.parametrize("name", TARGETABLE)
def test_every_attack_with_targets_has_them(name, control, digits):
    images = digits[0][:6]
    attack = made(name, control)
    attack.set_mode_targeted_by_label(quiet=True)
    assert attack.get_mode() == "targeted(label)" and "targeted" in repr(attack)
    found = attack(images, np.array([0, 0, 3, 3, 3, 5]))
    assert found.shape == images.shape and found.dtype == images.dtype and set(attack.reports) <= {0, 3, 5}


@pytest.mark.parametrize("name", ["APGD", "APGDT", "DeepFool"])
def test_what_has_no_targets_says_so(name, control):
    attack = getattr(torchattacks, name)(control)
    assert attack.supported_mode == ["default"]
    with pytest.raises(deepsleep.Error, match=f"mode: {name} has no targets; take one that has"):
        attack.set_mode_targeted_by_label()
    assert attack.get_mode() == "default"


def test_a_targeted_attack_is_that_of_its_class(control, digits, capsys):
    """Image by image it is what `deepsleep.attack` finds with target=."""
    images, labels = digits[0][:20], digits[1][:20]
    targets = (labels + 1) % 10
    attack = torchattacks.PGD(control, eps=0.3, alpha=0.03, steps=20)
    attack.set_mode_targeted_by_label()
    assert capsys.readouterr().out == "Attack mode is changed to 'targeted(label)'.\n"
    found = attack(images, targets)
    own = control.predict(images)
    assert (control.predict(found) == targets).mean() > 0.8
    for target in range(10):
        which = np.flatnonzero((targets == target) & (own != target))
        if not len(which):
            assert target not in attack.reports
            continue
        expected = deepsleep.attack(
            control, images[which], own[which], f"pgd:steps=20,step=0.03,return=last,target={target}", eps=0.3, ids=which
        )
        assert np.array_equal(found[which], expected.adversarial)
        assert attack.reports[target].robust_accuracy == expected.robust_accuracy
    assert attack.report is None
    attack.set_mode_targeted_by_function(lambda x, y: (y + 1) % 10, quiet=True)
    assert np.array_equal(attack(images, labels), found) and attack.get_mode() == "targeted(custom)"
    attack.set_mode_default()
    assert capsys.readouterr().out == "Attack mode is changed to 'default.'\n"
    away = attack(images, labels)
    assert not np.array_equal(away, found) and attack.report.adversarial.shape == away.shape and attack.reports == {}


def test_targets_by_logits_and_by_chance(control, digits):
    images, labels = digits[0][:50], digits[1][:50]
    attack = torchattacks.FGSM(control, eps=0.1)
    attack.set_mode_targeted_least_likely(quiet=True)
    order = np.argsort(np.where(np.eye(10, dtype=bool)[labels], np.inf, control.logits(images)), 1)
    assert np.array_equal(attack.get_target_label(images, labels), order[:, 0])
    attack.set_mode_targeted_least_likely(kth_min=9, quiet=True)
    assert np.array_equal(attack.get_target_label(images, labels), order[:, 8])
    attack.set_mode_targeted_least_likely(kth_min=10, quiet=True)
    with pytest.raises(deepsleep.Error, match=r"kth_min \(of 10 classes\): 10; expected 1 to 9"):
        attack(images, labels)
    attack = torchattacks.PGD(control, seed=3)
    attack.set_mode_targeted_random(quiet=True)
    drawn = attack.get_target_label(images, labels)
    assert (drawn != labels).all() and len(set(drawn.tolist())) == 10 and np.array_equal(drawn, attack.get_target_label(images, labels))
    attack.seed = 4
    assert not np.array_equal(drawn, attack.get_target_label(images, labels))


def test_what_is_the_target_already_stays(control, digits):
    images = digits[0][:5]
    attack = torchattacks.PGD(control, eps=0.1)
    attack.set_mode_targeted_by_label(quiet=True)
    assert np.array_equal(attack(images, control.predict(images)), images) and attack.report is None


def test_bytes_are_returned_where_they_are_asked_for(control, digits):
    images, labels = digits[0][:4], digits[1][:4]
    attack = torchattacks.PGD(control, eps=16 / 255)
    plain = attack(images, labels)
    attack.set_return_type("int")
    found = attack(images, labels)
    assert found.dtype == np.uint8 and np.array_equal(found, (plain * 255).astype(np.uint8))
    attack.set_return_type("float")
    assert np.array_equal(attack(images, labels), plain)


def test_normalized_images_of_a_function(control, digits):
    """The same images, normalized: the same attack."""
    images, labels = digits[0][:8], digits[1][:8]
    weights = np.random.default_rng(0).normal(size=(784, 10)).astype(np.float32)
    attack = torchattacks.Square(lambda x: x.reshape(len(x), -1) @ weights, n_queries=30)
    attack.set_normalization_used([0.1307], [0.3081])
    found = attack((images - np.float32(0.1307)) / np.float32(0.3081), labels)
    inside = found * 0.3081 + 0.1307
    assert np.abs(inside - images).max() <= attack.eps + 1e-5 and inside.min() > -1e-5 and inside.max() < 1 + 1e-5
    assert attack.normalization_used["std"].shape == (1, 1, 1, 1)
    attack.set_return_type("int")
    with pytest.raises(deepsleep.Error, match="type: 'int' of normalized images"):
        attack(found, labels)
    engine = torchattacks.PGD(control)
    engine.set_normalization_used([0.1], [0.3])
    with pytest.raises(deepsleep.Error, match="normalization: the model is of type Model, which takes pixels from 0 to 1"):
        engine(images, labels)
    with pytest.raises(deepsleep.Error, match="normalization is of 1 channels"):
        engine(images.reshape(8, 4, 14, 14), labels)


def test_a_seed_without_effect_is_refused(control, digits):
    images, labels = digits[0][:3], digits[1][:3]
    for attack in (
        torchattacks.PGD(control, random_start=False, seed=5), torchattacks.EOTPGD(control, random_start=False, seed=5),
        torchattacks.DIFGSM(control, diversity_prob=0, seed=5),
    ):
        with pytest.raises(deepsleep.Error, match="seed: 5 of an attack that draws no random numbers"):
            attack(images, labels)
        attack.seed = 0
        attack(images, labels)
    torchattacks.PGD(control, seed=5)(images, labels)


def test_the_official_model_and_settings_are_had(control, digits):
    images = digits[0][:4]
    adversary = deepsleep.AutoAttack(control, eps=0.1, verbose=False, version="plus")
    assert np.array_equal(adversary.get_logits(images), control.logits(images))
    assert adversary.get_seed() == 0
    adversary.seed = 7
    assert adversary.get_seed() == 7
    adversary.cheap()
    restarts = adversary.apgd.n_restarts, adversary.fab.n_restarts, adversary.apgd_targeted.n_restarts
    assert restarts == (1, 1, 1) and (adversary.square.n_queries, adversary.square.resc_schedule) == (1000, True)
    assert ("square", "square:queries=1000,restarts=1,p=0.8,rescale=yes") in adversary._specs(10)
    double = deepsleep.AutoAttack(lambda x: 2 * x, eps=0.1, verbose=False)
    assert double.get_logits(3) == 6


def test_methods_of_torch_modules(tensors):
    torch = pytest.importorskip("torch")
    (images, labels), network = tensors, torch_network()
    network.eval()
    mean, std = [0.1307], [0.3081]
    plain = torchattacks.PGD(network, eps=0.1, steps=3)
    expected = plain(images, labels)

    class Normalized(torch.nn.Module):
        """The same network of normalized images."""

        def __init__(self):
            super().__init__()
            self.inner = network

        def forward(self, x):
            return self.inner(x * 0.3081 + 0.1307)

    attack = torchattacks.PGD(Normalized().train(), eps=0.1, steps=3)
    attack.set_normalization_used(mean, std)
    found = attack((images - 0.1307) / 0.3081, labels) * 0.3081 + 0.1307
    assert attack.model.training and (found - expected).abs().mean() < 1e-4
    assert torch.equal(plain.get_logits(images), network(images)) and plain.get_logits(images).requires_grad
    assert not plain.get_output_with_eval_nograd(images).requires_grad
    assert plain.device == torch.device("cpu") and plain.set_device("cpu") is None
    with pytest.raises(deepsleep.Error, match="device: 'cuda:1', and the model is on 'cpu'; move it first"):
        plain.set_device("cuda:1")
    other = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10))
    plain.set_model(other)
    assert plain.model_name == "Sequential" and not torch.equal(plain(images, labels), expected)


def test_files_are_those_of_torchattacks(tensors, tmp_path, capsys):
    torch = pytest.importorskip("torch")
    (images, labels), network = tensors, torch_network()
    network.eval()
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(images, labels), batch_size=8)
    attack = torchattacks.FGSM(network, eps=0.2)
    place = tmp_path / "found.pt"
    accuracy, length, seconds = attack.save(loader, place, return_verbose=True, save_predictions=True, save_clean_inputs=True)
    assert "Save progress: 100.00 %" in capsys.readouterr().out
    expected = torch.cat([attack(x, y) for x, y in loader])
    predictions = network(expected).argmax(1)
    wrong = predictions != labels
    assert accuracy == pytest.approx(100 * float((~wrong).float().mean())) and seconds >= 0
    assert length == pytest.approx(float((expected - images)[wrong].flatten(1).norm(dim=1).mean()), nan_ok=True)
    found, y, seen, clean = attack.load(place, batch_size=1000, load_predictions=True, load_clean_inputs=True).dataset.tensors
    assert all(torch.equal(*pair) for pair in [(found, expected), (y, labels), (seen, predictions), (clean, images)])
    official = pytest.importorskip("torchattacks")
    batches = official.attack.Attack.load(str(place))
    assert torch.equal(batches.dataset.tensors[0], expected)
    attack.save(loader, place, verbose=False, save_type="int")
    assert torch.equal(attack.load(place).dataset.tensors[0], (expected * 255).to(torch.uint8).float() / 255)
    with pytest.raises(deepsleep.Error, match="holds no preds"):
        attack.load(place, load_predictions=True)
    with pytest.raises(deepsleep.Error, match="load_path: cannot read"):
        attack.load(tmp_path / "nowhere.pt")
    with pytest.raises(deepsleep.Error, match="save_path: cannot write"):
        attack.save(loader, tmp_path / "no" / "where.pt", verbose=False)
    with pytest.raises(deepsleep.Error, match="data_loader: of type int"):
        attack.save(3)


def test_a_function_that_gives_no_targets_is_refused(control, digits):
    attack = deepsleep.torchattacks.PGD(control, eps=0.1, steps=2)
    attack.set_mode_targeted_by_function(lambda images, labels: None, quiet=True)
    with pytest.raises(deepsleep.Error, match="target_map_function: it returned nothing"):
        attack(digits[0][:4], digits[1][:4])


def test_a_function_of_targets_cannot_change_what_is_attacked(control, digits):
    images, labels = digits[0][:8].copy(), digits[1][:8].copy()
    attack = deepsleep.torchattacks.PGD(control, eps=0.1, steps=2)

    def shifted(images, labels):
        images *= 0
        labels += 1
        labels %= 10
        return labels

    attack.set_mode_targeted_by_function(shifted, quiet=True)
    found = attack(images, labels)
    assert np.array_equal(images, digits[0][:8]) and np.array_equal(labels, digits[1][:8])
    attack.set_mode_targeted_by_function(lambda images, labels: (labels + 1) % 10, quiet=True)
    assert np.array_equal(attack(images, labels), found)


@pytest.mark.parametrize(
    "targets, words",
    [
        (lambda y: y[:3], "3 of them for 4 images"),
        (lambda y: y[:, None], "shape (4, 1); expected (4,): its result[:, 0]"),
        (lambda y: np.eye(10)[y], "give classes: its result.argmax(1)"),
        (lambda y: y + 20, "is not below the model's 10 classes"),
        (lambda y: y - 20, "is below 0"),
        (lambda y: y.astype(float), "give integers: its result.astype('int64')"),
        (lambda y: np.array([10**25] * 4, object), "does not belong to any class"),
        (lambda y: y.tolist(), "of type list"),
    ],
)
def test_wrong_targets_are_said_of_the_function_that_gave_them(targets, words, control, digits):
    attack = deepsleep.torchattacks.PGD(control, eps=0.1, steps=2)
    attack.set_mode_targeted_by_function(lambda images, labels: targets(labels), quiet=True)
    with pytest.raises(deepsleep.Error) as problem:
        attack(digits[0][:4], digits[1][:4])
    text = str(problem.value)
    assert text.startswith("target_map_function: ") and words in text and "labels" not in text and "\n" not in text, text
    # Those of the caller are labels.
    attack.set_mode_targeted_by_label(quiet=True)
    with pytest.raises(deepsleep.Error, match="^labels: 3 of them"):
        attack(digits[0][:4], digits[1][:3])


def test_targets_of_a_model_that_answers_as_none_does(digits):
    images, labels = digits[0][:4], digits[1][:4]
    for answer, words in [(lambda x: np.zeros(len(x)), r"expected \(4, classes\)"), (lambda x: "none", "expected an array of numbers")]:
        attack = deepsleep.torchattacks.PGD(answer, eps=0.1, steps=2)
        with pytest.raises(deepsleep.Error, match=words):
            attack.get_least_likely_label(images, labels)


def test_the_official_methods_of_pixels(control, digits):
    images, labels = digits[0][:6], digits[1][:6]
    attack = torchattacks.PGD(control, eps=0.1, steps=2)
    assert np.array_equal(attack.forward(images, labels), attack(images, labels))
    attack.set_normalization_used([0.5], [0.25])
    normalized = attack.normalize(images)
    assert np.allclose(normalized, (images - 0.5) / 0.25) and np.allclose(attack.inverse_normalize(normalized), images, atol=1e-6)
    pixels = attack.to_type(images, "int")
    assert pixels.dtype == np.uint8 and np.array_equal(pixels, (images * 255).astype(np.uint8)) and attack.to_type(pixels, "int") is pixels
    again = torchattacks.PGD.to_type(pixels, "float")
    assert again.dtype == np.float32 and np.array_equal(again, pixels.astype(np.float32) / np.float32(255))
    assert attack.to_type(images, "float") is images


def test_the_official_methods_of_tensors_are_the_official_ones(tensors):
    torch, official = pytest.importorskip("torch"), pytest.importorskip("torchattacks")
    (images, labels), network = tensors, torch_network()
    ours, theirs = torchattacks.PGD(network, eps=0.1, steps=2), official.PGD(network, eps=0.1, steps=2)
    for attack in (ours, theirs):
        attack.set_normalization_used([0.5], [0.25])
    assert torch.allclose(ours.normalize(images), theirs.normalize(images))
    assert torch.allclose(ours.inverse_normalize(ours.normalize(images)), images, atol=1e-6)
    for given, kind in [(images, "int"), (images, "float"), ((images * 255).to(torch.uint8), "int"), ((images * 255).to(torch.uint8), "float")]:
        assert torch.equal(ours.to_type(given, kind), theirs.to_type(given, kind))
    ours = torchattacks.PGD(network, eps=0.1, steps=2)
    assert torch.equal(ours.forward(images, labels), ours(images, labels))


def test_files_that_hold_something_else(tensors, tmp_path):
    torch = pytest.importorskip("torch")
    (images, labels), place = tensors, tmp_path / "found.pt"
    whole = {"adv_inputs": images, "labels": labels, "preds": labels, "clean_inputs": images, "save_type": "float"}
    for changes, words in [
        ({"clean_inputs": images[..., :20]}, "holds adv_inputs of 1 x 28 x 28, clean_inputs of 1 x 28 x 20; expected images of one shape"),
        ({"clean_inputs": images[:3]}, "3 clean_inputs; expected as many of each"),
        ({"labels": torch.tensor(3)}, r"holds labels of shape \(\); expected \(n,\)"),
        ({"adv_inputs": torch.tensor(0.5)}, r"holds adv_inputs of shape \(\); expected n x channels x height x width"),
        ({"preds": labels[:, None]}, r"holds preds of shape \(64, 1\); expected \(n,\)"),
        ({name: whole[name][:0] for name in ("adv_inputs", "labels", "preds", "clean_inputs")}, "holds no images"),
    ]:
        torch.save({**whole, **changes}, place)
        with pytest.raises(deepsleep.Error, match=words) as problem:
            torchattacks.PGD.load(place, load_predictions=True, load_clean_inputs=True)
        assert "\n" not in str(problem.value)


def test_a_loader_without_images_is_refused(tensors, tmp_path):
    torch = pytest.importorskip("torch")
    (images, labels), attack = tensors, torchattacks.FGSM(torch_network().eval(), eps=0.2)
    empty = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(images[:0], labels[:0]))
    for loader, words in [(empty, "data_loader: no batch"), ([], "data_loader: no batch"), ([(images[:0], labels[:0])], "images: there are none")]:
        with pytest.raises(deepsleep.Error, match=words):
            attack.save(loader, tmp_path / "none.pt", return_verbose=True)
    assert not (tmp_path / "none.pt").exists()
