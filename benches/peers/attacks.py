"""Our attacks, torchattacks' and the official AutoAttack, in turn, on the same cores, network and images.

    python attacks.py                     # with the Python of requirements-attacks.txt

The network is tests/golden/lenet_robust.safetensors, the images are the first of MNIST's test set, the budget is Linf 0.1
but for CW, which has none. Robust accuracies are printed beside the times: a fast attack that finds less is no better.
"""

import argparse
import json
import os
import statistics
import subprocess
import time
from pathlib import Path

import torch
import torchattacks
from autoattack import AutoAttack
from safetensors.torch import load_file

from compare import ROOT, cores, positive
from lenet import LeNet, read_mnist

EPS = 0.1
# Name, our attack, images, the ratio aimed at.
JOBS = (
    ("PGD-10", "pgd:steps=10,step=0.025,return=last", 1024, 7),
    ("CW-100", "cw:form=published", 1024, 10),
    ("APGD-CE", "apgd-ce", 256, None),
    ("Square", "square", 64, None),
    ("AutoAttack", "autoattack", 64, 8),
)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=positive, default=3)
    parser.add_argument("--threads", type=positive, default=cores(), help="of both (default: every core)")
    parser.add_argument("--json", action="store_true", help="all numbers as one object at the end")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    command = build()
    jobs = [{"name": name, "attack": attack, "eps": EPS, "images": images} for name, attack, images, _ in JOBS]
    measured = {"deepsleep": [], "peers": []}
    for number in range(1, options.rounds + 1):
        load = os.getloadavg()[0]
        done = subprocess.run([*command, str(options.threads), json.dumps(jobs)], cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(done.stderr)
        measured["deepsleep"].append(json.loads(done.stdout))
        measured["peers"].append(peers())
        print(f"round {number} of {options.rounds}, load before {load:.2f}", flush=True)

    first = measured["deepsleep"][0]
    peaks = [side["fma_peak_gflops"] for side in measured["deepsleep"]]
    print(f"{first['threads']} threads, {first['isa']}, multiply-add peak {statistics.median(peaks):.0f} GFLOP/s; "
          f"PyTorch {torch.__version__}, torchattacks {torchattacks.__version__}; medians")
    ratios = {}
    for name, _, images, aim in JOBS:
        own = [side["jobs"][name] for side in measured["deepsleep"]]
        other = [side[name] for side in measured["peers"]]
        seconds = [statistics.median(result["seconds"] for result in side) for side in (own, other)]
        ratios[name] = seconds[1] / seconds[0]
        wanted = f" (aim {aim}x)" if aim else ""
        print(f"{name:<11} {images:>5} images  ours {seconds[0]:8.3f} s, robust {own[0]['robust_accuracy']:.4f}  "
              f"peer {seconds[1]:8.3f} s, robust {other[0]['robust_accuracy']:.4f}  {ratios[name]:.1f}x{wanted}")
    if options.json:
        print(json.dumps({"measured": measured, "ratios": ratios}))


def peers():
    """Seconds and robust accuracy of every job, by the others' code."""
    model = LeNet()
    model.load_state_dict(load_file(ROOT / "tests/golden/lenet_robust.safetensors"), strict=False)
    model.eval()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    images, labels = read_mnist(ROOT / "data/mnist", "test")

    def official(attacks):
        adversary = AutoAttack(model, norm="Linf", eps=EPS, version="standard", device="cpu", seed=0, verbose=False)
        if attacks:
            adversary.attacks_to_run = attacks
        return lambda x, y: adversary.run_standard_evaluation(x, y, bs=256)

    attacks = {
        "PGD-10": torchattacks.PGD(model, eps=EPS, alpha=0.025, steps=10, random_start=True),
        "CW-100": torchattacks.CW(model, c=1, kappa=0, steps=100, lr=0.01),
        "APGD-CE": official(["apgd-ce"]),
        "Square": official(["square"]),
        "AutoAttack": official(None),
    }
    results = {}
    for name, _, count, _ in JOBS:
        x, y = images[:count], labels[:count]
        start = time.perf_counter()
        adversarial = attacks[name](x, y)
        seconds = time.perf_counter() - start
        with torch.no_grad():
            right = model(adversarial).argmax(1) == y
        results[name] = {"seconds": seconds, "robust_accuracy": right.float().mean().item()}
    return results


def build():
    """The command that runs our side, built beforehand."""
    command = ["cargo", "build", "--release", "--example", "attack_speed", "--message-format=json-render-diagnostics"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit("our side does not build")
    messages = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return [next(m["executable"] for m in reversed(messages) if m.get("executable"))]


if __name__ == "__main__":
    main()
