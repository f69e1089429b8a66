"""Which images survive the official AutoAttack in L2, seed by seed: writes autoattack_l2_seeds.json beside this file.

    python make_autoattack_seeds.py        # with the Python of benches/peers/requirements-attacks.txt

The case is the L2 one of autoattack.json. Two to four minutes a seed on one thread.
"""

import gzip
import json
import sys
from pathlib import Path

import numpy as np
import torch
from autoattack import AutoAttack
from safetensors.torch import load_file

GOLDEN = Path(__file__).resolve().parent
ROOT = GOLDEN.parents[1]
sys.path.insert(0, str(ROOT / "benches/peers"))
from lenet import LeNet  # noqa: E402

SEEDS = range(5)


def idx(name, header):
    return np.frombuffer(gzip.open(ROOT / "data/mnist" / name).read(), np.uint8)[header:]


def main():
    torch.set_num_threads(1)
    cases = json.loads((GOLDEN / "autoattack.json").read_text())["cases"]
    case = next(case for case in cases if case["norm"] == "L2")
    first, last = case["first"], case["last"]
    network = LeNet()
    network.load_state_dict(load_file(GOLDEN / case["weights"]), strict=False)
    network.eval()
    images = idx("t10k-images-idx3-ubyte.gz", 16).reshape(-1, 1, 28, 28)[first:last].astype(np.float32) / 255
    labels = idx("t10k-labels-idx1-ubyte.gz", 8)[first:last].astype(np.int64)
    x, y = torch.tensor(images), torch.tensor(labels)
    seeds = []
    for seed in SEEDS:
        adversary = AutoAttack(network, norm="L2", eps=case["eps"], version="standard", seed=seed, device="cpu")
        adversarial = adversary.run_standard_evaluation(x, y, bs=250)
        with torch.no_grad():
            robust = network(adversarial).argmax(1) == y
        verdicts = "".join("1" if survived else "0" for survived in robust)
        seeds.append({"seed": seed, "robust": int(robust.sum()), "verdicts": verdicts})
    write({key: case[key] for key in ("weights", "norm", "eps", "first", "last")}, seeds)


def write(case, seeds):
    what = (
        "Official AutoAttack (fra31/auto-attack a392200, version 'standard', batch 250, PyTorch "
        f"{torch.__version__.split('+')[0]}, 1 thread) on the L2 case of autoattack.json, with seeds 0 to 4; verdicts: one digit "
        "an image, first to last - 1, 1 where it is still classified correctly. Made by make_autoattack_seeds.py."
    )
    text = json.dumps({"what": what, **case, "seeds": seeds}, indent=1)
    (GOLDEN / "autoattack_l2_seeds.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
