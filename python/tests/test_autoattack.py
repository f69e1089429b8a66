"""The interface of the official AutoAttack."""

import warnings

import numpy as np
import pytest
from conftest import Linear

import deepsleep

KEPT = 60


@pytest.fixture
def some(digits):
    images, labels = digits
    return images[:KEPT], labels[:KEPT]


def test_standard_is_the_engine_s(control, some, capsys, tmp_path):
    x, y = some
    log = tmp_path / "log.txt"
    adversary = deepsleep.AutoAttack(control, norm="Linf", eps=0.15, version="standard", log_path=log)
    assert adversary.attacks_to_run == ["apgd-ce", "apgd-t", "fab-t", "square"]
    x_adv, y_adv = adversary.run_standard_evaluation(x, y, bs=250, return_labels=True)
    report = deepsleep.attack(control, x, y, "autoattack", eps=0.15)
    assert np.array_equal(x_adv, report.adversarial) and np.array_equal(y_adv, report.prediction)
    assert np.array_equal(control.predict(x_adv), y_adv)
    assert adversary.report.robust_accuracy == report.robust_accuracy
    said = capsys.readouterr().out
    assert "robust accuracy after APGD-CE" in said and "robust accuracy:" in said
    assert log.read_text() == said


def test_what_is_invalid_is_not_robust(some, capsys):
    x, model = some[0], Linear()
    y = model.logits(x).argmax(1)
    broken = lambda images: np.where((np.abs(images - x[0]).max((1, 2, 3)) == 0)[:, None], np.nan, model.logits(images)).astype(np.float32)
    asked = deepsleep.Classifier(broken, model.gradient)
    for options in ({}, {"version": "custom", "attacks_to_run": ["apgd-ce"]}):
        deepsleep.AutoAttack(asked, eps=1e-6, **options).run_standard_evaluation(x, y)
        assert f"robust accuracy: {(KEPT - 1) / KEPT:.2%}" in capsys.readouterr().out


def test_a_version_is_set_with_its_attacks(control):
    adversary = deepsleep.AutoAttack(control, eps=0.1, verbose=False)
    with pytest.raises(AttributeError, match="version"):
        adversary.version = "rand"
    adversary.set_version("rand")
    assert adversary.version == "rand" and adversary.apgd.eot_iter == 20


def test_custom_runs_one_after_the_other(control, some):
    x, y = some
    adversary = deepsleep.AutoAttack(
        control, norm="Linf", eps=8 / 255, version="custom", attacks_to_run=["apgd-ce", "fab-t", "square"], verbose=False
    )
    adversary.apgd.n_restarts, adversary.apgd.n_iter, adversary.square.n_queries = 2, 20, 100
    adversary.fab.n_iter, adversary.fab.n_target_classes = 10, 12
    x_adv, y_adv = adversary.run_standard_evaluation(x, y, return_labels=True)
    assert np.array_equal(control.predict(x_adv), y_adv)
    assert np.abs(x_adv - x).max() <= 8 / 255 * (1 + 1e-5) + 1e-6
    robust = (y_adv == y).mean()
    each = adversary.run_standard_evaluation_individual(x, y)
    assert list(each) == ["apgd-ce", "fab-t", "square"]
    # What any of them fools, the chain fools: an attack's result does not depend on its batch.
    together = np.all([control.predict(found) == y for found in each.values()], axis=0)
    assert together.mean() == robust
    assert adversary.clean_accuracy(x, y) >= robust


def test_plus_and_l2_and_callbacks(some):
    x, _ = some
    model = Linear()
    y = model.logits(x).argmax(1)
    asked = deepsleep.Classifier(model.logits, model.gradient)
    for norm, eps, version in [("L2", 0.2, "standard"), ("Linf", 0.01, "rand"), ("L1", 2.0, "standard")]:
        adversary = deepsleep.AutoAttack(asked, norm=norm, eps=eps, version=version, verbose=False)
        x_adv = adversary.run_standard_evaluation(x[:20], y[:20])
        wrong = model.logits(x_adv).argmax(1) != y[:20]
        assert wrong.any() and np.array_equal(wrong, adversary.report.fooled), (norm, version)


def test_faces_of_torchattacks(control, some):
    x, y = some
    t = deepsleep.torchattacks
    for attack in [
        t.FGSM(control, 0.1), t.BIM(control, 0.1, 0.02, 5), t.PGD(control, eps=0.1, alpha=0.02, steps=5), t.MIFGSM(control, 0.1),
        t.NIFGSM(control, 0.1), t.VMIFGSM(control, 0.1, steps=3), t.DIFGSM(control, 0.1), t.APGD(control, eps=0.1),
        t.APGDT(control, eps=0.1), t.EOTPGD(control, 0.1), t.FAB(control, eps=0.1), t.Square(control, eps=0.1, n_queries=100),
    ]:
        adversarial = attack(x, y)
        assert adversarial.shape == x.shape and np.abs(adversarial - x).max() <= 0.1 * (1 + 1e-5) + 1e-6, attack
        assert (control.predict(adversarial) == y).mean() < control.accuracy(x, y), attack
    for attack in [t.CW(control, steps=30), t.DeepFool(control), t.PGDL2(control, eps=2.0)]:
        adversarial = attack(x, y)
        assert (control.predict(adversarial) == y).mean() < control.accuracy(x, y), attack
    # The last point, whether it fools or not, as torchattacks returns it.
    adversarial = t.PGD(control, eps=1e-3)(x, y)
    assert (np.abs(adversarial - x).reshape(len(x), -1).max(1) > 0).all()


def test_square_follows_the_schedule_of_torchattacks(control, some):
    x, y = some
    square = deepsleep.torchattacks.Square
    for shrinks, word in [(True, "yes"), (False, "no")]:
        # The start is one image more than the queries.
        expected = deepsleep.attack(control, x, y, f"square:queries=101,rescale={word}", eps=0.1)
        assert np.array_equal(square(control, eps=0.1, n_queries=100, resc_schedule=shrinks)(x, y), expected.adversarial)
    assert "rescale=yes" in repr(square(control))


def test_changed_attributes_count(control, some):
    x, y = some
    adversary = deepsleep.AutoAttack(control, eps=8 / 255, version="standard", verbose=False)
    assert (adversary.apgd.n_restarts, adversary.square.n_queries) == (1, 5000)
    adversary.attacks_to_run, adversary.square.n_queries = ["square"], 50
    x_adv = adversary.run_standard_evaluation(x, y)
    weak = deepsleep.attack(control, x, y, "square:queries=50", eps=8 / 255)
    assert np.array_equal(x_adv, weak.adversarial)
    # Set back, it is the version again.
    adversary.set_version("standard")
    x_adv = adversary.run_standard_evaluation(x, y)
    assert np.array_equal(x_adv, deepsleep.attack(control, x, y, "autoattack", eps=8 / 255).adversarial)
    l1 = deepsleep.AutoAttack(control, norm="L1", eps=1.0, verbose=False)
    assert (l1.apgd.n_restarts, l1.apgd_targeted.n_target_classes) == (5, 5)


def test_what_is_no_attribute_is_refused(control):
    adversary = deepsleep.AutoAttack(control, version="standard")
    for wrong in [
        lambda: setattr(adversary.apgd, "n_restart", 9), lambda: setattr(adversary.apgd, "rho", 0.1),
        lambda: setattr(adversary.square, "eps", 0.1), lambda: setattr(adversary.fab, "norm", "L2"),
        lambda: setattr(adversary.apgd_targeted, "targets", 3), lambda: setattr(adversary, "attack_to_run", ["square"]),
        lambda: setattr(deepsleep.torchattacks.PGD(control), "step", 3), lambda: setattr(deepsleep.torchattacks.APGD(control), "rhos", 0.1),
        lambda: deepsleep.torchattacks.FGSM(control).set_mode_targeted(),
    ]:
        with pytest.raises(AttributeError):
            wrong()


def test_attributes_of_torchattacks_count(control, some):
    x, y = some
    t = deepsleep.torchattacks
    for make, changes in [
        (t.PGD, {"eps": 0.05, "alpha": 0.02, "steps": 3, "random_start": True, "seed": 2}), (t.FGSM, {"eps": 0.05}),
        (t.APGD, {"norm": "L2", "eps": 0.5, "steps": 3, "n_restarts": 2, "loss": "dlr"}), (t.FAB, {"multi_targeted": True, "steps": 2}),
        (t.Square, {"n_queries": 20, "p_init": 0.3}), (t.CW, {"steps": 3, "c": 2.0}), (t.BIM, {"steps": 2, "alpha": 0.01}),
    ]:
        changed = make(control)
        for name, value in changes.items():
            setattr(changed, name, value)
        assert np.array_equal(changed(x, y), make(control, **changes)(x, y)), make
        assert changed.report.summary["attack"] != make(control)._description() or "eps" in changes
    with pytest.raises(deepsleep.Error, match="alpha: None; expected a number"):
        t.PGD(control, alpha=None)
    with pytest.raises(deepsleep.Error, match="norm: 'l2'"):
        t.APGD(control, norm="l2")
    # What is not to be had is refused; what is, is as torchattacks' own examples have it.
    for make, name, value in [
        (t.APGD, "rho", 0.5), (t.FAB, "eta", 1.0), (t.Square, "loss", "ce"), (t.DIFGSM, "random_start", True), (t.PGDL2, "eps_for_division", 0),
    ]:
        with pytest.raises(deepsleep.Error, match=f"{name}: .* here it is always"):
            make(control, **{name: value})
    by_place = t.APGD(control, "Linf", 0.05, 2, 1, 0, "ce", 1, 0.75, False)
    assert np.array_equal(by_place(x, y), t.APGD(control, eps=0.05, steps=2)(x, y))


def test_attacks_to_run(control, some):
    x, y = some
    for names, words in [(["square", "square"], "given twice"), ("square", "give a list"), (["pgd"], "'pgd'"), (None, "give a list")]:
        with pytest.raises(deepsleep.Error, match=words):
            deepsleep.AutoAttack(control, version="custom", attacks_to_run=names)
        adversary = deepsleep.AutoAttack(control, verbose=False)
        adversary.attacks_to_run = names
        with pytest.raises(deepsleep.Error, match=words):
            adversary.run_standard_evaluation(x, y)


def test_a_chain_says_what_an_ensemble_says(some, linear, capsys):
    x, _ = some
    y = linear.logits(x).argmax(1)
    masked = deepsleep.Classifier(linear.logits, lambda images, weights: 0 * images)
    adversary = deepsleep.AutoAttack(masked, eps=0.01, version="custom", attacks_to_run=["apgd-ce", "square"])
    adversary.apgd.n_iter, adversary.square.n_queries = 3, 20
    adversary.run_standard_evaluation(x, y)
    said = capsys.readouterr().out
    for words in ["initial accuracy: 100.00%", "after APGD-CE", "after SQUARE", "max Linf perturbation", "Warning: apgd-ce: 100.00 %"]:
        assert words in said, said
    assert adversary.report is None and list(adversary.reports) == ["apgd-ce", "square"]


def test_a_log_is_appended_to_text_alone(control, some, tmp_path):
    x, y = some
    network, log = tmp_path / "net.safetensors", tmp_path / "log.txt"
    control.save(network)
    before = network.read_bytes()
    with pytest.raises(deepsleep.Error, match="not a text file"):
        deepsleep.AutoAttack(control, log_path=network)
    log.write_text("é\n" * 2000)
    deepsleep.AutoAttack(control, log_path=log).clean_accuracy(x, y)
    assert network.read_bytes() == before and "clean accuracy" in log.read_text()


@pytest.mark.parametrize("device", ["cpu", "cuda", "nowhere", 0])
def test_a_device_is_for_torch_modules(device, linear, some, control, tmp_path):
    x, y = some
    control.save(tmp_path / "net.onnx")
    models = [control, "control", tmp_path / "net.onnx", linear.logits, deepsleep.Classifier(linear.logits, linear.gradient)]
    for model in models:
        with pytest.raises(deepsleep.Error, match="device: .* is for torch modules, .* leave device out") as problem:
            deepsleep.AutoAttack(model, device=device)
        assert "\n" not in str(problem.value)
        adversary = deepsleep.AutoAttack(model, eps=0.1, verbose=False)
        adversary.device = device
        for run in (adversary.run_standard_evaluation, adversary.run_standard_evaluation_individual, adversary.clean_accuracy):
            with pytest.raises(deepsleep.Error, match="is for torch modules"):
                run(x, y)


def test_clean_accuracy_says_what_an_attack_says(some, capsys):
    """Of a model that changes, and of logits that are no numbers: the same number, and the same words."""
    x, plain = some[0], Linear()
    y = plain.logits(x).argmax(1)

    def tired():
        calls = []

        def logits(images):
            calls.append(len(images))
            # Tried, tried again, and one image alone; then each image once.
            return plain.logits(images) if sum(calls) <= 32 + 32 + 1 + KEPT else -plain.logits(images)

        return logits

    broken = lambda images: np.where((np.abs(images - x[0]).max((1, 2, 3)) == 0)[:, None], np.nan, plain.logits(images)).astype(np.float32)
    for make, expected, words in [(tired, 0, ["the model changed in the course", "the model changed since"]), (lambda: broken, KEPT - 1, ["not finite"])]:
        report = deepsleep.attack(deepsleep.Classifier(make()), x, y, "square:queries=2", eps=1e-6)
        adversary = deepsleep.AutoAttack(deepsleep.Classifier(make()), eps=1e-6)
        with pytest.warns(UserWarning) as said:
            assert adversary.clean_accuracy(x, y) == expected / KEPT == report.clean_accuracy
        said, printed = [str(warning.message) for warning in said], capsys.readouterr().out
        for word in words:
            (warning,) = (warning for warning in said if word in warning)
            assert f"Warning: {warning}" in printed and warning in report.warnings


def test_clean_accuracy_of_what_can_be_trusted_is_silent(control, linear, some):
    x, y = some
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert deepsleep.AutoAttack(control, verbose=False).clean_accuracy(x, y) == control.accuracy(x, y)
        asked = deepsleep.AutoAttack(linear.logits, verbose=False)
        assert asked.clean_accuracy(x, y) == (linear.logits(x).argmax(1) == y).mean()
    random = deepsleep.Classifier(lambda images: linear.logits(images) + 0.01 * np.random.rand(len(images), 10), random=True)
    assert abs(deepsleep.AutoAttack(random, version="rand", verbose=False).clean_accuracy(x, y) - asked.clean_accuracy(x, y)) < 0.2
