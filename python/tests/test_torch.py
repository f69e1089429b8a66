"""Torch models: exported, by callbacks, spiking. Skipped where torch is not installed; run by hand (docs/python.md)."""

import logging
import sys
import threading
import time
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: tests of torch models are run by hand")

import deepsleep  # noqa: E402
from deepsleep._models import Classifier, Model  # noqa: E402
from torch_models import Of, network  # noqa: E402

nn = torch.nn


class Strange(nn.Module):
    """Something that no layer computes."""

    def __init__(self):
        super().__init__()
        self.inner = network()

    def forward(self, x):
        return self.inner(x) + 0.01 * torch.cumsum(torch.fft.rfft(x.flatten(1)).abs()[:, :10], 1)


def fooled(model, x):
    with torch.no_grad():
        return model(x).argmax(1)


def test_a_module_is_exported(tensors):
    x, y = tensors
    module = network()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = deepsleep.load(module, input_shape=(1, 28, 28))
    assert isinstance(model, Model)
    logits = model.logits(x)
    assert torch.is_tensor(logits) and torch.allclose(logits, module(x).detach(), atol=1e-4)
    report = deepsleep.attack(module, x, y, "pgd:steps=10", eps=0.05)
    assert torch.is_tensor(report.adversarial) and report.adversarial.dtype == x.dtype
    wrong = fooled(module, report.adversarial) != y
    assert (wrong.numpy() == report.fooled).mean() > 0.98 and wrong.any()
    assert torch.is_tensor(report.margin) and torch.is_tensor(report.linf)


def test_what_cannot_be_exported_is_asked_with_a_warning(tensors):
    x, _ = tensors
    module = Strange().eval()
    y = fooled(module, x)
    with pytest.warns(UserWarning, match="asked by callbacks"):
        model = deepsleep.load(module, input_shape=(1, 28, 28))
    assert isinstance(model, Classifier)
    report = deepsleep.attack(model, x, y, "apgd-ce:steps=10", eps=0.05)
    assert np.array_equal((fooled(module, report.adversarial) != y).numpy(), report.fooled) and report.fooled.any()


@pytest.mark.parametrize(
    "around",
    [
        lambda net, x: net(torch.fft.ifft2(torch.fft.fft2(x)).real),
        lambda net, x: net(x) + 0 * torch.special.i0(x.mean((1, 2, 3)))[:, None],
        lambda net, x: net(x) - net(x).median(1, True)[0],
        lambda net, x: net(x) + (0 if float(net(x).sum()) > 1e9 else 1),
    ],
)
def test_a_failing_export_prints_nothing_and_leaves_the_process_as_it_was(around, tensors, capfd):
    x, y = tensors
    state = lambda: (sys.stdout, sys.stderr, logging.root.manager.disable, torch._C._jit_is_onnx_log_enabled())
    before = state()
    with pytest.warns(UserWarning, match="asked by callbacks"):
        deepsleep.attack(Of(around).eval(), x[:4], y[:4], "fgsm", eps=0.1)
    assert capfd.readouterr() == ("", "") and state() == before


def test_exports_in_threads_leave_the_process_as_it_was(tensors, capfd):
    x, y = tensors
    before = sys.stdout, sys.stderr, logging.root.manager.disable
    odd = lambda: Of(lambda net, x: net(x) + (0 if float(net(x).sum()) > 1e9 else 1)).eval()

    def export():
        for _ in range(2):
            deepsleep.attack(odd(), x[:4], y[:4], "fgsm", eps=0.1)

    threads = [threading.Thread(target=export) for _ in range(3)]
    for thread in threads:
        thread.start()
    said = 0
    while any(thread.is_alive() for thread in threads):
        print("here", file=sys.stderr)
        said += 1
        time.sleep(0.02)
    assert before == (sys.stdout, sys.stderr, logging.root.manager.disable)
    # Another thread's words are kept.
    assert capfd.readouterr().err.count("here") == said


@pytest.mark.parametrize(
    "around",
    [
        lambda net, x: net(x) if len(x) <= 8 else -net(x),
        lambda net, x: net(x) if x.shape[0] == 1 else net(x) - net(x).mean(0),
        lambda net, x: torch.cat([net(x)[:6], -net(x)[6:]]),
        # A class that is masked does not make all differences small.
        lambda net, x: torch.cat([net(x) if len(x) <= 8 else -net(x), torch.full((len(x), 1), -1e9)], 1),
        lambda net, x: torch.cat([net(x) if len(x) <= 8 else -net(x), torch.full((len(x), 190), -1e9)], 1),
        # Nor does what is added to all.
        lambda net, x: (net(x) if len(x) <= 8 else -net(x)) + 1e4,
    ],
)
@pytest.mark.filterwarnings("ignore:Of is asked by callbacks")
def test_answers_that_depend_on_the_batch_are_refused(around, tensors):
    x, y = tensors
    with pytest.raises(deepsleep.Error, match="an image alone gets another answer"):
        deepsleep.attack(Of(around).eval(), x, y, "fgsm", eps=0.1)


def test_attacks_in_threads_leave_a_module_in_its_mode(tensors):
    x, y = tensors
    module, problems = network().train(), []

    def attack():
        try:
            for _ in range(3):
                deepsleep.torchattacks.PGD(module, eps=0.1, alpha=0.02, steps=2)(x[:4], y[:4])
        except Exception as problem:
            problems.append(problem)

    threads = [threading.Thread(target=attack) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems and all(part.training for part in module.modules())


def test_wrappers_in_threads_share_parts(tensors):
    """Each attack is that of evaluation mode, and every part is in its mode afterwards."""
    x, y = tensors
    shared, problems = network(), []
    wholes = [nn.Sequential(nn.Dropout(0.5), shared), nn.Sequential(shared, nn.Dropout(0.9)), nn.Sequential(nn.Identity(), shared[0:], nn.Identity())]
    shared.train()
    wholes[2].eval()
    shared[1].train()
    modes = [[part.training for part in whole.modules()] for whole in wholes]
    expected = deepsleep.torchattacks.PGD(network(), eps=0.1, alpha=0.02, steps=2)(x, y)

    def attack(whole):
        try:
            for _ in range(4):
                attack = deepsleep.torchattacks.PGD(whole, eps=0.1, alpha=0.02, steps=2)
                assert torch.equal(attack(x, y), expected)
        except BaseException as problem:
            problems.append(problem)

    threads = [threading.Thread(target=attack, args=(whole,)) for whole in wholes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems and modes == [[part.training for part in whole.modules()] for whole in wholes]


def test_a_module_in_training_mode_is_refused_whatever_another_thread_does(tensors):
    x, y = tensors
    module = network().train()
    from deepsleep._modes import evaluating

    inside, over = threading.Event(), threading.Event()

    def hold():
        with evaluating(module):
            inside.set()
            over.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    inside.wait()
    try:
        assert not module.training
        with pytest.raises(deepsleep.Error, match="is in training mode"):
            deepsleep.attack(module, x, y, "fgsm", eps=0.1)
    finally:
        over.set()
        thread.join()
    assert all(part.training for part in module.modules())


def test_a_part_undoes_what_it_did_for_evaluation(tensors):
    """As adapters do that are merged into the weights for it."""
    x, y = tensors

    class Merged(nn.Linear):
        merged = False

        def train(self, mode=True):
            super().train(mode)
            if self.merged == mode:
                with torch.no_grad():
                    self.weight.add_(-1 if mode else 1)
                self.merged = not mode
            return self

    module = nn.Sequential(nn.Flatten(), Merged(784, 10))
    before = module[1].weight.clone()
    deepsleep.torchattacks.FGSM(module, eps=0.1)(x, y)
    assert torch.allclose(module[1].weight, before, atol=1e-5) and not module[1].merged and module[1].training


def test_a_report_s_tensors_are_one_s_own(tensors):
    x, y = tensors
    report = deepsleep.attack(network(), x, y, "fgsm", eps=0.1)
    expected = report.adversarial.clone()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report.adversarial.zero_()
        report.margin.zero_()
    assert torch.equal(report.adversarial, expected) and report.margin.abs().max() > 0


def test_an_export_leaves_the_parts_of_a_module_in_their_modes(tensors):
    x, y = tensors
    whole = nn.Sequential(nn.Identity(), network())  # the network is in evaluation mode, what is around it is not
    assert whole.training and not whole[1].training
    inner = deepsleep.attack(whole[1], x, y, "fgsm", eps=0.02)
    outer = deepsleep.attack(whole, x, y, "fgsm", eps=0.02)
    assert whole.training and not any(part.training for part in whole[1].modules())
    assert outer.clean_accuracy == inner.clean_accuracy and outer.robust_accuracy == inner.robust_accuracy


def test_a_module_may_change_its_images(tensors):
    x, y = tensors
    before = x.clone()
    tidy, untidy = (
        deepsleep.attack(Of(around).eval(), x, y, "pgd:steps=3", eps=0.02)
        for around in (lambda net, x: net(x * 0.7), lambda net, x: net(x.mul_(0.7)))
    )
    assert torch.equal(x, before) and torch.equal(tidy.adversarial, untidy.adversarial)
    assert tidy.robust_accuracy == untidy.robust_accuracy


def test_a_function_may_change_its_images(tensors):
    x, y = tensors
    module = network()
    tidy, untidy = (
        deepsleep.attack(f, x, y, "fab:steps=3", eps=0.02)
        for f in (lambda images: module(images * 0.9), lambda images: module(images.mul_(0.9)))
    )
    assert torch.equal(tidy.adversarial, untidy.adversarial)


def test_a_checkpoint_goes_on_where_the_last_digit_differs(tensors, tmp_path):
    x, y = tensors
    module, other = network(), network()
    with torch.no_grad():
        other[5].weight.mul_(1.01)

    def run(model):
        return deepsleep.evaluate(deepsleep.Classifier(model), x, y, "fgsm", eps=0.05, checkpoint=tmp_path / "c")

    first = run(module)
    assert run(lambda images: module(images) * (1 + 1e-6 * torch.randn(len(images), 10))).worst_case == first.worst_case
    with torch.backends.mkldnn.flags(enabled=False):
        assert run(module).worst_case == first.worst_case
    with pytest.raises(deepsleep.Error, match="is of another model"):
        run(other)


def test_callbacks_and_export_agree(tensors):
    x, y = tensors
    module = network()
    exported = deepsleep.attack(module, x, y, "apgd-t:steps=20", eps=0.02)
    asked = deepsleep.attack(deepsleep.Classifier(module), x, y, "apgd-t:steps=20", eps=0.02)
    assert (exported.status == asked.status).mean() > 0.96


def test_a_function_of_tensors(tensors):
    x, y = tensors
    module = network()
    report = deepsleep.attack(lambda images: module(images) * 1.0, x, y, "pgd:steps=10", eps=0.05)
    assert report.fooled.any()
    # Parameters get no gradients on the way.
    assert all(parameter.grad is None for parameter in module.parameters())


@pytest.mark.parametrize("backend", ["eager", "inductor"])
def test_a_compiled_module(backend, tensors):
    x, y = tensors
    module = network()
    try:
        compiled = torch.compile(module, backend=backend)
        compiled(x).sum().backward()
    except Exception as problem:
        pytest.skip(f"torch cannot compile here: {str(problem).splitlines()[0][:80]}")
    expected = deepsleep.attack(module, x, y, "pgd:steps=5", eps=0.02)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        for wrapped in (compiled, nn.DataParallel(module)):
            report = deepsleep.attack(wrapped, x, y, "pgd:steps=5", eps=0.02)
            assert torch.equal(report.adversarial, expected.adversarial)
    asked = deepsleep.attack(deepsleep.Classifier(lambda images: compiled(images) * 1.0), x, y, "pgd:steps=5", eps=0.02)
    assert (asked.status == expected.status).mean() > 0.96


def test_official_interface(tensors):
    x, y = tensors
    module = network()
    adversary = deepsleep.AutoAttack(module, norm="Linf", eps=0.03, version="standard", verbose=False)
    x_adv, y_adv = adversary.run_standard_evaluation(x, y, bs=32, return_labels=True)
    assert torch.is_tensor(x_adv) and y_adv.dtype == y.dtype and x_adv.shape == x.shape
    assert (fooled(module, x_adv) == y_adv).float().mean() > 0.98
    with pytest.raises(deepsleep.Error, match="device: 'nowhere'") as problem:
        deepsleep.AutoAttack(module, device="nowhere", verbose=False).run_standard_evaluation(x, y)
    assert "\n" not in str(problem.value)
    images = deepsleep.torchattacks.PGD(module, eps=8 / 255, alpha=2 / 255, steps=4)(x, y)
    assert torch.is_tensor(images) and (images - x).abs().max() <= 8 / 255 + 1e-6


def test_an_attack_is_part_of_a_training(tensors):
    """It attacks the network as it is now, in evaluation mode, and leaves it in training mode."""
    x, y = tensors
    module = network().train()
    attack = deepsleep.torchattacks.PGD(module, eps=8 / 255, alpha=2 / 255, steps=4)
    first = attack(x, y)
    assert all(part.training for part in module.modules())
    optimizer = torch.optim.SGD(module.parameters(), 0.1)
    nn.functional.cross_entropy(module(first), y).backward()
    optimizer.step()
    second = attack(x, y)
    assert not torch.equal(first, second)
    assert torch.equal(second, deepsleep.torchattacks.PGD(module, eps=8 / 255, alpha=2 / 255, steps=4)(x, y))


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda x, y: (x.half(), y), "float16"),
        (lambda x, y: (x.bfloat16(), y), "bfloat16"),
        (lambda x, y: (x.to_sparse(), y), "to_dense"),
        (lambda x, y: (x.to("meta"), y), "meta"),
        (lambda x, y: ((255 * x).byte(), y), "uint8"),
        (lambda x, y: (x, y.float()), "long()"),
        (lambda x, y: (x, nn.functional.one_hot(y, 10)), "argmax"),
        (lambda x, y: (x.permute(0, 2, 3, 1), y), "permute(0, 3, 1, 2)"),
        (lambda x, y: (x[:0], y[:0]), "there are none"),
        (lambda x, y: (x - 0.5, y), "normalize"),
    ],
)
def test_wrong_tensors(tensors, change, words):
    x, y = change(*tensors)
    with pytest.raises(deepsleep.Error) as problem:
        deepsleep.attack(network(), x, y, "fgsm", eps=0.1)
    assert words in str(problem.value) and "\n" not in str(problem.value)


def test_wrong_modules(tensors):
    x, y = tensors
    good = network()
    for module, words in [
        (network().train(), "call model.eval()"),
        (nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(784, 10)), "training mode"),
        (network().to("meta"), "on the device meta"),
        (deepsleep.Classifier(network().to("meta")), "on the device meta"),
        (lambda images: network()(images).detach(), "no gradient"),
        # The parameters have one, the images none.
        (lambda images: network()(images.detach()), "no gradient"),
        (lambda images: network()(images).detach().numpy(), "expected logits as a tensor"),
        (lambda images: network()(images).argmax(1), "expected (32, classes)"),
        (lambda images: good(images) + torch.rand(len(images), 10), "get different answers"),
    ]:
        with pytest.raises(deepsleep.Error) as problem:
            deepsleep.attack(module, x, y, "pgd", eps=0.1)
        assert words in str(problem.value) and "\n" not in str(problem.value), problem.value


def test_what_needs_a_gradient_or_lies_otherwise_in_memory_is_as_good(tensors):
    x, y = tensors
    model = deepsleep.load(network(), input_shape=(1, 28, 28))
    expected = deepsleep.attack(model, x, y, "pgd:steps=5", eps=0.05)
    for images in [x.clone().requires_grad_(), x.to(memory_format=torch.channels_last), x.flip(0).flip(0), x.double()]:
        report = deepsleep.attack(model, images, y, "pgd:steps=5", eps=0.05)
        assert np.array_equal(report.arrays["adversarial"], expected.adversarial.numpy())
        assert not report.adversarial.requires_grad


def test_a_spiking_network_of_snntorch(tensors):
    snn = pytest.importorskip("snntorch", reason="snntorch is not installed")
    x, _ = tensors
    torch.manual_seed(0)

    class Spiking(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(784, 64), nn.Linear(64, 10)
            self.one, self.two = snn.Leaky(beta=0.9), snn.Leaky(beta=0.9)

        def forward(self, images):
            one, two, total = self.one.init_leaky(), self.two.init_leaky(), 0
            for _ in range(8):
                spikes, one = self.one(self.first(images.flatten(1) * 3), one)
                _, two = self.two(self.last(spikes), two)
                total = total + two
            return total

    module = Spiking().eval()
    y = fooled(module, x)
    report = deepsleep.attack(deepsleep.Classifier(module), x, y, "apgd-ce:steps=20", eps=0.1)
    assert np.array_equal((fooled(module, report.adversarial) != y).numpy(), report.fooled)
    assert report.robust_accuracy < 1


def test_a_module_that_raises_anything_is_said_to_take_no_such_images(tensors):
    class Guarded(torch.nn.Module):
        def __init__(self, problem):
            super().__init__()
            self.problem = problem

        def forward(self, x):
            raise self.problem

    for problem in (AssertionError("Guard failed: x.size()[0] == 4"), KeyError("mask"), NotImplementedError("no")):
        with pytest.raises(deepsleep.Error, match="model: it cannot take images of shape .*1 x 28 x 28: "):
            deepsleep.attack(Guarded(problem), *tensors, "fgsm", eps=0.1)
