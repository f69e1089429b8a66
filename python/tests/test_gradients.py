"""Gradients of modules with a backward of their own, logits of float64, and exports within answers. Skipped where torch is not installed."""

import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: tests of torch models are run by hand")

import deepsleep  # noqa: E402
from deepsleep import _exports  # noqa: E402
from deepsleep._models import Classifier, Model  # noqa: E402
from torch_models import Of, network  # noqa: E402

nn = torch.nn


class Straight(torch.autograd.Function):
    """Cut off, with the gradient of what is not."""

    @staticmethod
    def forward(ctx, z):
        return z.clamp(-0.1, 0.1)

    @staticmethod
    def backward(ctx, gradient):
        return gradient


class Guided(torch.autograd.Function):
    @staticmethod
    def forward(ctx, z):
        return z.relu()

    @staticmethod
    def backward(ctx, gradient):
        return gradient.relu()


def hooked(hook):
    module = network()
    module[2].register_full_backward_hook(hook)
    return module


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: Of(lambda net, x: Straight.apply(net(x))), "own backward"),
        (lambda: Of(lambda net, x: (z := net(x)) + (z.clamp(-0.1, 0.1) - z).detach()), "own backward"),
        (lambda: Of(lambda net, x: net[3:](Guided.apply(net[:2](x)))), "own backward"),
        (lambda: Of(lambda net, x: net(x) + net(x).detach()), "own backward"),
        (lambda: hooked(lambda part, inward, outward: (-inward[0],)), "own backward"),
        (lambda: hooked(lambda part, inward, outward: (inward[0] * torch.randn_like(inward[0]).sign(),)), "gradients of the module vary"),
    ],
)
def test_a_backward_of_its_own_is_kept(make, words, tensors):
    x, y = tensors
    module = make().eval()
    with pytest.warns(UserWarning, match=f"asked by callbacks, which is slower: .*{words}"):
        model = deepsleep.load(module, input_shape=(1, 28, 28))
    assert isinstance(model, Classifier)


def test_a_straight_through_gradient_is_followed(tensors):
    x, _ = tensors
    module = Of(lambda net, x: Straight.apply(net(x))).eval()
    with torch.no_grad():
        y = module(x).argmax(1)
    asked = deepsleep.attack(lambda images: module(images), x, y, "pgd:steps=10", eps=0.05)
    with pytest.warns(UserWarning, match="own backward"):
        report = deepsleep.attack(module, x, y, "pgd:steps=10", eps=0.05)
    assert torch.equal(report.adversarial, asked.adversarial) and report.robust_accuracy == asked.robust_accuracy


@pytest.mark.parametrize(
    "make",
    [
        network,
        lambda: Of(lambda net, x: torch.sigmoid(10 * net(x))),
        lambda: Of(lambda net, x: nn.functional.hardtanh(net(x) * 0.5)),
        # One of the largest values of a window, which the background has everywhere.
        lambda: Of(lambda net, x: net(nn.functional.max_pool2d(x, 3, 1, 1))),
        lambda: Of(lambda net, x: net((x - 0.5).abs())),
        # What is left out has no part in it.
        lambda: Of(lambda net, x: net(x) + 0 * net(x).detach()),
    ],
)
def test_kinks_are_no_backward_of_their_own(make, tensors):
    x, y = tensors
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert isinstance(deepsleep.load(make().eval(), input_shape=(1, 28, 28)), Model)
        deepsleep.attack(make().eval(), x, y, "fgsm", eps=0.1)


def test_an_attack_within_an_answer_ends(tensors, monkeypatch):
    """A function that waits for a thread of its own, which exports a module: the export waits for the function, and is given up."""
    x, y = tensors
    module, worker = network(), ThreadPoolExecutor(1)
    monkeypatch.setattr(_exports.TURNS, "_patience", 0.2)

    def nested(attacked):
        purify = lambda images: deepsleep.torchattacks.FGSM(attacked, eps=0.01)(images.detach(), module(images).argmax(1))
        return lambda images: module(images) + 0 * module(worker.submit(purify, images).result())

    with pytest.warns(UserWarning, match="asked by callbacks, which is slower: its export waited 0.2 seconds"):
        assert deepsleep.attack(nested(module), x[:8], y[:8], "fgsm", eps=0.05).clean_accuracy == 1
    # What cannot be asked by callbacks is refused.
    with _exports.TURNS.asking(), pytest.raises(deepsleep.Error, match="its export waited 0.2 seconds"):
        worker.submit(deepsleep.load, module, input_shape=(1, 28, 28), spiking=True).result()
    # The advice helps.
    for attacked in (deepsleep.Classifier(module), deepsleep.load(module, input_shape=(1, 28, 28))):
        assert deepsleep.attack(nested(attacked), x[:8], y[:8], "fgsm", eps=0.05).clean_accuracy == 1
    assert not _exports.TURNS._asking and not _exports.TURNS._waiting


def test_an_export_that_waits_for_an_answer_ends():
    turns, worker = _exports._Turns(0.1, 0.1), ThreadPoolExecutor(1)

    def ask():
        with turns.asking():
            return "an answer"

    with turns.exporting():
        assert worker.submit(ask).result() == "an answer"
    assert ask() == "an answer" and not turns._asking and turns._exporting is None


def test_a_slow_answer_of_another_thread_is_no_error(tensors, monkeypatch):
    """Whom it keeps from an export asks its own model meanwhile, with the same verdicts."""
    x, y = tensors
    expected = deepsleep.attack(deepsleep.Classifier(network()), x, y, "pgd:steps=3", eps=0.02)
    monkeypatch.setattr(_exports.TURNS, "_patience", 0.1)
    with ThreadPoolExecutor(1) as worker, _exports.TURNS.asking():
        with pytest.warns(UserWarning, match="which is slow or waits for this one; deepsleep.load"):
            report = worker.submit(deepsleep.attack, network(), x, y, "pgd:steps=3", eps=0.02).result()
    assert torch.equal(report.adversarial, expected.adversarial) and report.warnings == expected.warnings


@pytest.mark.parametrize("offset", [1e3, 1e7, 1e12])
def test_logits_of_float64_are_compared_in_it(offset, tensors):
    x, y = tensors
    module = network()
    plain = deepsleep.attack(lambda images: module(images), x, y, "pgd:steps=5", eps=0.02)

    class Offset(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = network().double()

        def forward(self, images):
            return self.inner(images) + offset

    for model in (lambda images: module(images).double() + offset, Offset().eval()):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            report = deepsleep.attack(model, x, y, "pgd:steps=5", eps=0.02)
        assert report.clean_accuracy == 1 and 0 < report.robust_accuracy < 1
        assert abs(report.robust_accuracy - plain.robust_accuracy) < 0.05
        with torch.no_grad():
            z = module(report.adversarial)
        others = z.scatter(1, y[:, None], -torch.inf).max(1)[0]
        assert torch.allclose(report.margin, z.gather(1, y[:, None])[:, 0] - others, atol=2e-3)


def test_dropout_may_draw_if_it_is_to(tensors):
    x, y = tensors
    module = nn.Sequential(network(), nn.Dropout(0.1)).eval()
    module[1].train()
    with pytest.raises(deepsleep.Error, match=r"is in training mode; call model.eval\(\) first, or say .*random=True"):
        deepsleep.attack(module, x, y, "fgsm", eps=0.1)
    for model in (module, torch.jit.script(module)):
        report = deepsleep.attack(deepsleep.Classifier(model, random=True), x[:16], y[:16], "fgsm", eps=0.02)
        assert report.clean_accuracy > 0.8 and module[1].training
    # What normalizes by the batch stays refused.
    module[0][1].train()
    with pytest.raises(deepsleep.Error, match=r"0.1 \(BatchNorm2d\) is in training mode; call model.eval\(\) first$"):
        deepsleep.attack(deepsleep.Classifier(module, random=True), x, y, "fgsm", eps=0.1)


def test_logits_without_a_row_are_met_with_their_shape(tensors):
    x, y = tensors
    module = network()
    with pytest.raises(deepsleep.Error, match=r"1 image gives shape \(10,\); expected \(1, classes\) \(is there a .squeeze\(\)\?\)"):
        deepsleep.attack(lambda images: module(images).squeeze(), x, y, "fgsm", eps=0.1)


def test_wrong_uses_of_tensors(tensors):
    x, y = tensors
    ids = torch.arange(64.0).requires_grad_()
    with pytest.raises(deepsleep.Error, match="ids: expected 64 integers"):
        deepsleep.attack(network(), x, y, "fgsm", eps=0.1, ids=ids)
    by_place = deepsleep.attack(network(), x, y, "pgd:steps=2", eps=0.1)
    assert torch.equal(deepsleep.attack(network(), x, y, "pgd:steps=2", eps=0.1, ids=torch.arange(64)).adversarial, by_place.adversarial)
    with pytest.raises(deepsleep.Error, match="framework: 'numpy' of a torch module"):
        deepsleep.Classifier(network(), framework="numpy")
    with pytest.raises(deepsleep.Error, match="bs .*: 4; at least 16"):
        deepsleep.AutoAttack(lambda images: network()(images), verbose=False).run_standard_evaluation(x, y, bs=4)


def test_defaults_are_those_of_torchattacks():
    """And so are the places of arguments that are given by place."""
    official = pytest.importorskip("torchattacks", reason="torchattacks is not installed")
    import inspect

    for name in deepsleep.torchattacks.__all__:
        theirs = inspect.signature(getattr(official, name)).parameters
        ours = inspect.signature(getattr(deepsleep.torchattacks, name)).parameters
        by_place = {key: parameter.default for key, parameter in ours.items() if parameter.kind is not parameter.KEYWORD_ONLY}
        assert list(by_place.items()) == [(key, parameter.default) for key, parameter in theirs.items()], name
