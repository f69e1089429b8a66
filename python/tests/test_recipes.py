"""The scripts of docs/recipes, which turn networks of other libraries into files."""

import subprocess
import sys

import numpy as np
import pytest

import deepsleep
from conftest import ROOT

torch = pytest.importorskip("torch")
RECIPES = ROOT / "docs" / "recipes"


def networks():
    nn, leaky = torch.nn, pytest.importorskip("snntorch").Leaky
    neurons = lambda: leaky(beta=0.8, threshold=0.3, init_hidden=True, reset_mechanism="zero")
    return {
        "dilated": nn.Sequential(
            nn.Conv2d(1, 4, (3, 2), stride=2, padding=(1, 0), dilation=(2, 3)), neurons(), nn.Flatten(), nn.Linear(4 * 13 * 13, 10)
        ),
        "same": nn.Sequential(
            nn.Identity(), nn.Conv2d(1, 4, (4, 3), padding="same", dilation=(3, 2)), neurons(),
            nn.Conv2d(4, 4, (1, 2), padding="same", groups=2), neurons(), nn.Flatten(), nn.Linear(4 * 784, 10), nn.Identity(),
        ),
        # A rectifier is no neuron, though a spiking network has neurons in place of `relu`.
        "rectified": nn.Sequential(nn.Conv2d(1, 4, 5), nn.ReLU(), nn.Dropout2d(), neurons(), nn.Flatten(), nn.Linear(4 * 576, 10)),
    }


@pytest.mark.parametrize("name", ["dilated", "same", "rectified"])
def test_spiking_networks_keep_their_logits(name, digits, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(RECIPES))
    from spiking import save

    torch.manual_seed(3)
    net, path = networks()[name].eval(), tmp_path / "net.safetensors"
    save(net, (1, 28, 28), path, steps=5)
    x = torch.tensor(digits[0][:16])
    for module in net:
        if hasattr(module, "reset_mem"):
            module.reset_mem()
    with torch.no_grad():
        expected = torch.stack([net(x) for _ in range(5)]).mean(0).numpy()
    found = np.asarray(deepsleep.load(str(path), spiking=True).logits(x))
    assert np.abs(found - expected).max() < 1e-5
    assert np.abs(expected).max() > 0.01


def convert(*arguments):
    script = [sys.executable, str(RECIPES / "nir_to_safetensors.py"), *map(str, arguments)]
    return subprocess.run(script, capture_output=True, text=True)


def test_nir_files_that_cannot_be_read_are_refused_in_a_line(tmp_path):
    nir = pytest.importorskip("nir")
    out = tmp_path / "net.safetensors"
    (tmp_path / "text.nir").write_text("no HDF5")
    chain = {
        "input": nir.Input(np.array([1, 2, 2])), "flat": nir.Flatten(np.array([1, 2, 2]), 0),
        "linear": nir.Linear(np.eye(4, dtype=np.float32)),
        "lif": nir.LIF(*(np.full(4, value) for value in (0.02, 1.0, 0.0, 0.3))), "output": nir.Output(np.array([4])),
    }
    names = list(chain)
    nir.write(str(tmp_path / "net.nir"), nir.NIRGraph(nodes=chain, edges=list(zip(names, names[1:]))))
    for name, options, words in [
        ("missing.nir", [], "missing.nir: No such file or directory"),
        ("text.nir", [], "text.nir: no NIR file, which is HDF5"),
        ("net.nir", ["--dt", "0.021"], "node `lif`: its tau is 0.02, less than --dt 0.021; give a smaller --dt"),
    ]:
        run = convert(tmp_path / name, out, *options)
        assert run.returncode == 1 and len(run.stderr.splitlines()) == 1, run.stderr
        assert words in run.stderr
        assert not out.exists()
    run = convert(tmp_path / "net.nir", out, "--dt", "0.02")
    assert run.returncode == 0 and out.exists(), run.stderr
    image = np.full((1, 1, 2, 2), 0.5, np.float32)
    # A membrane of half the drive reaches 0.3 in the second step, which the file says, and in no shorter run.
    for steps in (None, 1, 2):
        run = convert(tmp_path / "net.nir", out, "--dt", "0.01", *([] if steps is None else ["--steps", steps]))
        assert run.returncode == 0, run.stderr
        network = deepsleep.load(str(out), spiking=True)
        assert any("for how many time steps" in note for note in network.notes) == (steps is None)
        if steps is not None:
            assert network.logits(image).tolist() == [[(steps - 1) / steps] * 4]
