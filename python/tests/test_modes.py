"""Torch modules in training mode, scripted and traced ones, and what threads see of each other. Skipped where torch is not installed."""

import io
import threading

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: tests of torch models are run by hand")

import deepsleep  # noqa: E402
from deepsleep._exports import _Turns  # noqa: E402
from torch_models import network  # noqa: E402

nn = torch.nn
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning", "ignore:.*asked by callbacks")


def reloaded(scripted):
    content = io.BytesIO()
    torch.jit.save(scripted, content)
    content.seek(0)
    return torch.jit.load(content)


def traced(module):
    return torch.jit.trace(module, torch.rand(4, 1, 28, 28), check_trace=False)


def state(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def refused(module, x, y):
    """The line that refuses it, without a change of its state."""
    before = state(module)
    with pytest.raises(deepsleep.Error) as problem:
        deepsleep.attack(module, x, y, "fgsm", eps=0.1)
    after = state(module)
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    text = str(problem.value)
    assert "\n" not in text and len(text) < 500
    return text


@pytest.mark.parametrize("make", [torch.jit.script, lambda module: reloaded(torch.jit.script(module))])
def test_a_scripted_module_in_training_mode(make, tensors):
    x, y = tensors
    scripted = make(network().train())
    assert refused(scripted, x, y) == "model: 1 (BatchNorm2d) is in training mode; call model.eval() first"
    assert refused(deepsleep_wrapped := nn.Sequential(scripted), x, y).startswith("model: 0.1 (BatchNorm2d) is in training mode")
    # The advice helps.
    scripted.eval()
    report = deepsleep.attack(scripted, x, y, "fgsm", eps=0.1)
    assert report.clean_accuracy == 1 and np.array_equal(report.adversarial, deepsleep.attack(network(), x, y, "fgsm", eps=0.1).adversarial)
    assert deepsleep.attack(deepsleep_wrapped.eval(), x, y, "fgsm", eps=0.1).clean_accuracy == 1


def test_one_part_of_a_scripted_module_in_training_mode(tensors):
    x, y = tensors
    module = network(nn.Dropout(0.5))
    module[5].train()
    assert refused(torch.jit.script(module), x, y).startswith("model: 5 (Dropout) is in training mode; call model.eval() first, or say ")
    # A part that does the same in both modes may be in any.
    module[5].eval()
    module[4].train()
    assert deepsleep.attack(torch.jit.script(module), x, y, "fgsm", eps=0.1).clean_accuracy == 1

    class Functional(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = network()

        def forward(self, x):
            return self.inner(nn.functional.dropout(x, 0.5, self.training))

    assert refused(torch.jit.script(Functional()).train(), x, y).startswith("model: it (Functional) is in training mode")
    assert deepsleep.attack(torch.jit.script(Functional()).eval(), x, y, "fgsm", eps=0.1).clean_accuracy == 1


def test_a_module_that_was_traced_in_training_mode(tensors):
    x, y = tensors
    fixed = traced(network().train())
    for module in (fixed, fixed.eval(), reloaded(fixed), nn.Sequential(fixed).eval()):
        text = refused(module, x, y)
        assert "was traced or exported in training mode" in text and "export that anew" in text and "call model.eval() first" not in text
    assert "draws random numbers in every mode (dropout); eval() has no effect" in refused(traced(nn.Sequential(nn.Dropout(0.5), network()).train(True).apply(batch_eval)), x, y)
    # Evaluation mode is as fixed.
    for module in (traced(network()), traced(network()).train()):
        assert deepsleep.attack(module, x, y, "fgsm", eps=0.1).clean_accuracy == 1


def batch_eval(part):
    if isinstance(part, nn.BatchNorm2d):
        part.eval()


def test_a_scripted_module_that_draws_random_numbers(tensors):
    x, y = tensors

    class Noisy(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = network()

        def forward(self, x):
            return self.inner(nn.functional.dropout(x, 0.1))

    scripted = torch.jit.script(Noisy().eval())
    assert "random=True" in refused(scripted, x, y)
    report = deepsleep.attack(deepsleep.Classifier(scripted, random=True), x[:16], y[:16], "fgsm", eps=0.1)
    assert report.clean_accuracy > 0.8


def test_answers_that_vary_in_training_mode_are_met_with_it(tensors):
    """Also of parts that nobody knows."""
    x, y = tensors

    class Own(nn.Module):
        def forward(self, x):
            return x + torch.rand_like(x) if self.training else x

    module = nn.Sequential(Own(), network())
    assert "it is in training mode, which may be why: try model.eval()" in refused(module, x, y)
    assert "0 is in training mode" in refused(change_mode(module.eval(), 0), x, y)
    drawn = network()
    drawn[2] = nn.RReLU()
    assert "2 is in training mode" in refused(drawn, x, y)
    assert deepsleep.attack(drawn.eval(), x, y, "fgsm", eps=0.1).clean_accuracy > 0.5


def change_mode(module, part):
    module[part].train()
    return module


@pytest.mark.parametrize("make", [torch.jit.script, lambda module: nn.Sequential(torch.jit.script(module)), traced])
def test_an_attack_in_a_training_leaves_the_modes_of_scripted_parts(make, tensors):
    x, y = tensors
    module = make(network(nn.Dropout(0.5)))
    module.train()
    parts = list(module.modules())
    parts[-1].eval()
    modes, problems, before = [part.training for part in parts], [], state(module)
    assert True in modes and False in modes
    expected = deepsleep.torchattacks.FGSM(network(), eps=0.1)(x, y)

    def attack():
        try:
            for _ in range(3):
                assert (deepsleep.torchattacks.FGSM(module, eps=0.1)(x, y) - expected).abs().max() < 1e-5
        except BaseException as problem:
            problems.append(problem)

    run([attack] * 3)
    after = state(module)
    assert not problems and modes == [part.training for part in module.modules()]
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def run(functions):
    threads = [threading.Thread(target=function) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not any(thread.is_alive() for thread in threads)


def test_a_frozen_module(tensors):
    x, y = tensors
    frozen = torch.jit.freeze(torch.jit.script(network()))
    expected = deepsleep.attack(network(), x, y, "fgsm", eps=0.1)
    assert (deepsleep.attack(frozen, x, y, "fgsm", eps=0.1).status == expected.status).all()
    deepsleep.torchattacks.FGSM(frozen, eps=0.1)(x, y)
    assert not hasattr(frozen, "training")


def test_an_exported_program(tensors):
    """Its modes are fixed, and it says so where it is told to change them."""
    x, y = tensors
    batch = {"images": {0: torch.export.Dim("n", min=1, max=4096)}}

    class Whole(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = network()

        def forward(self, images):
            return self.inner(images)

    def exported(module):
        return torch.export.export(module, (x[:4],), dynamic_shapes=batch).module()

    assert "normalizes by the batch; eval() has no effect" in refused(exported(Whole().train()), x, y)
    module = exported(Whole().eval())
    expected = deepsleep.attack(network(), x, y, "fgsm", eps=0.1)
    assert (deepsleep.attack(module, x, y, "fgsm", eps=0.1).status == expected.status).all()
    deepsleep.torchattacks.FGSM(module, eps=0.1)(x, y)


class Watchful(nn.Module):
    """It answers otherwise while anybody exports but its own thread."""

    def __init__(self):
        super().__init__()
        self.inner, self.seen = network(), []

    def forward(self, x):
        if torch.onnx.is_in_onnx_export() and not torch.jit.is_tracing():
            self.seen.append(True)
            return -self.inner(x)
        return self.inner(x)


def test_an_export_is_not_seen_by_models_of_other_threads(tensors):
    x, y = tensors
    watchful, problems, over = Watchful().eval(), [], threading.Event()
    expected = deepsleep.attack(network(), x, y, "pgd:steps=3", eps=0.05)

    def guarded(work):
        def safe():
            try:
                work()
            except BaseException as problem:
                problems.append(problem)

        return safe

    def export():
        while not over.is_set():
            deepsleep.load(network(), input_shape=(1, 28, 28))

    def attack():
        try:
            for _ in range(4):
                for model in (watchful, deepsleep.Classifier(watchful), lambda images: watchful(images)):
                    report = deepsleep.attack(model, x, y, "pgd:steps=3", eps=0.05)
                    assert (report.status == expected.status).all() and not any("changed" in w for w in report.warnings)
        finally:
            over.set()

    run([guarded(export), guarded(export), guarded(attack)])
    assert not problems and not watchful.seen


def test_an_export_leaves_the_modes_of_other_threads(tensors):
    """Gradients, the parts' modes and traces of another thread are as they were, all the while."""
    x, y = tensors
    module, problems, over = nn.Sequential(nn.Identity(), network()), [], threading.Event()
    parts = list(module.modules())
    modes = [part.training for part in parts]
    assert True in modes and False in modes

    def export():
        try:
            for _ in range(8):
                deepsleep.load(module, input_shape=(1, 28, 28))
        except BaseException as problem:
            problems.append(problem)
        finally:
            over.set()

    def look():
        try:
            while not over.is_set():
                assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
                assert modes == [part.training for part in parts]
                assert all(isinstance(p, nn.Parameter) and p.requires_grad for p in module.parameters())
                assert nn.functional.cross_entropy(module(x), y).requires_grad
        except BaseException as problem:
            problems.append(problem)

    run([export, look])
    assert not problems


def test_a_trace_of_another_thread_s_is_not_refused(tensors):
    """That it may not hold for other images is a warning there, whatever it is in an export."""
    problems, over = [], threading.Event()

    def odd(images):
        return images * 2 if float(images.sum()) > 0 else images

    def export():
        for _ in range(5):
            deepsleep.load(network(), input_shape=(1, 28, 28))
        over.set()

    def trace():
        try:
            while not over.is_set():
                torch.jit.trace(odd, torch.ones(3), check_trace=False)
        except BaseException as problem:
            problems.append(problem)

    run([export, trace])
    assert not problems


def test_what_has_a_graph_is_copied_and_what_has_no_copy_is_asked(tensors):
    x, y = tensors

    class Remembering(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = network()

        def forward(self, images):
            self.last = self.inner(images)
            return self.last * 1.0

    remembering = Remembering().eval()
    last = remembering(x)
    assert not remembering.last.is_leaf
    assert isinstance(deepsleep.load(remembering, input_shape=(1, 28, 28)), deepsleep.Model)
    assert torch.equal(last, remembering(x))

    module = network()
    module.lock = threading.Lock()
    with pytest.warns(UserWarning, match="cannot be copied"):
        asked = deepsleep.load(module, input_shape=(1, 28, 28))
    assert deepsleep.attack(asked, x, y, "fgsm", eps=0.1).clean_accuracy == 1


def test_turns():
    """Answers together, exports alone; an export in an answer waits for nobody who waits for it."""
    turns, said, at_once = _Turns(), [], threading.Barrier(3)

    def both():
        with turns.asking():
            at_once.wait(60)
            with turns.asking():
                pass
            with turns.exporting(), turns.exporting():
                said.append(1)
                with turns.asking():
                    assert len(said) % 2 == 1
                said.append(0)

    run([both] * 3)
    assert said == [1, 0] * 3 and not turns._asking and turns._exporting is None and not turns._waiting


def test_an_answer_that_waits_for_an_export_does_not_hang():
    turns = _Turns(0.05)

    def export():
        with pytest.raises(deepsleep.Error, match="its export waited 0.05 seconds"), turns.exporting():
            pass
        said.append(1)

    said = []
    with turns.asking():
        run([export])
    assert said and not turns._asking and turns._exporting is None and not turns._waiting


@pytest.mark.parametrize(
    "around, words",
    [
        (lambda logits: logits + 0j, "complex"),
        (lambda logits: torch.quantize_per_tensor(logits, 0.1, 0, torch.qint8), "quantized"),
        (lambda logits: logits.to_sparse(), "sparse"),
    ],
)
def test_logits_that_are_no_plain_numbers(around, words, tensors):
    x, y = tensors
    for model in (lambda images: around(network()(images)), deepsleep.Classifier(lambda images: around(network()(images)))):
        with pytest.raises(deepsleep.Error, match=f"logits are {words}"):
            deepsleep.attack(model, x, y, "fgsm", eps=0.1)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_module_of_another_precision(dtype, tensors):
    x, y = tensors
    module = network().to(dtype)
    with torch.no_grad():
        y = module(x.to(dtype)).argmax(1)
    report = deepsleep.attack(module, x, y, "pgd:steps=3", eps=0.05)
    assert report.clean_accuracy == 1 and report.fooled.any() and report.adversarial.dtype == x.dtype


def test_a_quantized_module(tensors):
    x, _ = tensors
    module = torch.ao.quantization.quantize_dynamic(network(), {nn.Linear}, torch.qint8).eval()
    alone = lambda images: torch.cat([module(image[None]) for image in images])
    y = alone(x).argmax(1)
    # Its scale is that of the batch.
    with pytest.raises(deepsleep.Error, match="a dynamic quantization, by the batch"):
        deepsleep.attack(module, x[:16], y[:16], "square:queries=20", eps=0.1)
    assert deepsleep.attack(alone, x[:16], y[:16], "square:queries=20", eps=0.1).clean_accuracy == 1
    # Autograd knows no way through it, which is no gradient of zero.
    with pytest.raises(deepsleep.Error, match="its logits have no gradient"):
        deepsleep.attack(alone, x[:16], y[:16], "fgsm", eps=0.1)
