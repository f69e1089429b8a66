"""Our engine and PyTorch in turn, on the same cores in the same run; prints the ratios of the medians.

    python compare.py --python .venv/bin/python        # or PYTHON=.venv/bin/python python compare.py

Needs nothing but Python's standard library itself; `--python` names the Python that has PyTorch. Both sides inherit
this process's cores: `taskset -c 0,1 python compare.py` keeps both to two. The README beside this file says what the
keys count.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
# Key, whether less is better.
KEYS = (
    ("epoch_seconds", True),
    ("step_ms_median", True),
    ("input_gradients_per_second", False),
    ("evaluations_per_second", False),
)
# The ratios aimed at (against eager), in the keys' order.
AIMS = {"lenet": (5, 5, 8, 7), "madry": (1.5, 1.5, 2, 1), "vgg9": (1.2, 1.2, 1.2, 1), "resnet20": (1.5, 1.5, 2, 1)}
# Training steps timed a round.
STEPS = {"lenet": 60, "lenet-bias": 60}
WIDE_STEPS = 6


def main():
    options = parse_options()
    report = sys.stderr if options.json else sys.stdout

    def say(line):
        print(line, file=report, flush=True)

    steps = options.steps or STEPS.get(options.architecture, WIDE_STEPS)
    common = ["--architecture", options.architecture, "--threads", str(options.threads), "--steps", str(steps),
              "--seconds", str(options.seconds)]
    ours = [*build(), *common]
    theirs = [options.python, str(HERE / "engine.py"), *common, "--json"]
    if options.architecture == "lenet":
        mnist = str(Path(options.mnist).resolve())
        ours += ["--data-dir", mnist]
        theirs += ["--mnist", mnist]
    if options.compile:
        theirs.append("--compile")

    say(f"{options.architecture}, {options.threads} thread(s), {options.rounds} round(s) of ours, then PyTorch's")
    measured = {"deepsleep": [], "pytorch": []}
    for number in range(1, options.rounds + 1):
        for name, command in (("deepsleep", ours), ("pytorch", theirs)):
            load = os.getloadavg()[0]
            result = run(command)
            result["load_before"] = round(load, 2)
            measured[name].append(result)
            say(f"round {number}  {name:<9}  load {load:.2f}  " + listing(result))
    sides = {"eager": measured["pytorch"]}
    if options.compile and all(result.get("compile") for result in measured["pytorch"]):
        sides["compiled"] = [result["compile"] for result in measured["pytorch"]]

    first = measured["deepsleep"][0]
    peaks = [result["fma_peak_gflops"] for result in measured["deepsleep"]]
    say(f"\ndeepsleep {first['deepsleep']}, {first['isa']}, multiply-add peak {spread(peaks)} GFLOP/s; "
        f"PyTorch {measured['pytorch'][0]['torch']}; medians (least to most) of {options.rounds} rounds")
    ratios = {side: {} for side in sides}
    aims = AIMS.get(options.architecture, (1,) * len(KEYS))
    for (key, less_is_better), aim in zip(KEYS, aims):
        own = [result[key] for result in measured["deepsleep"]]
        line = f"{key:<27} {spread(own)}"
        for side, results in sides.items():
            other = [result[key] for result in results]
            ratio = statistics.median(other) / statistics.median(own)
            best = min if less_is_better else max
            of_best = best(other) / best(own)
            if not less_is_better:
                ratio, of_best = 1 / ratio, 1 / of_best
            ratios[side][key] = {"medians": round(ratio, 2), "best_rounds": round(of_best, 2)}
            line += f" | {side} {spread(other)}: {ratio:.2f}x, best rounds {of_best:.2f}x"
        say(f"{line} (aim: {aim}x eager)")
    say(f"load average at the end {os.getloadavg()[0]:.2f}")
    alone = max(result["fma_peak_gflops_one_thread"] for result in measured["deepsleep"])
    if min(peaks) < 0.8 * first["threads"] * alone:
        say(f"Do not quote these ratios: {first['threads']} threads together fell to {min(peaks):.1f} GFLOP/s where one "
            f"alone reached {alone:.1f}. Either others used these cores, and PyTorch, which waits for all its threads "
            "after every operation, suffers most from that; or two threads share a core, and --threads should be halved.")
    if options.json:
        print(json.dumps({"measured": measured, "ratios": ratios}))


def parse_options():
    parser = argparse.ArgumentParser(description="Our engine's speed and PyTorch's, in turn.")
    parser.add_argument("--python", default=os.environ.get("PYTHON", sys.executable),
                        help="the Python that has PyTorch (default $PYTHON, else this one)")
    parser.add_argument("--architecture", default="lenet", metavar="NAME",
                        help="a network of networks.py: lenet (default), lenet-bias, madry, vgg9, resnet20")
    parser.add_argument("--rounds", type=positive, default=3)
    parser.add_argument("--threads", type=positive, default=cores(), help="of both (default: every core)")
    parser.add_argument("--steps", type=positive, help="training steps timed a round (default 60, of large networks 6)")
    parser.add_argument("--seconds", type=float, default=1.5,
                        help="time spent on each batch size of the other two jobs (default 1.5)")
    parser.add_argument("--compile", action="store_true", help="torch.compile too")
    parser.add_argument("--mnist", metavar="DIR", default=ROOT / "data" / "mnist", help="default: the bundled files")
    parser.add_argument("--json", action="store_true", help="all numbers as one object; readable lines to stderr")
    return parser.parse_args()


def positive(text):
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def cores():
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def build():
    """The command that runs our side, built beforehand."""
    command = ["cargo", "build", "--release", "--example", "engine_speed", "--message-format=json-render-diagnostics"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit("our side does not build")
    messages = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return [next(m["executable"] for m in reversed(messages) if m.get("executable"))]


def run(command):
    """What the command prints as JSON; its readable lines are of no interest unless it fails."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
    return json.loads(done.stdout)


def listing(result):
    return ", ".join(f"{key} {result[key]:,}" for key, _ in KEYS)


def spread(values):
    return f"{statistics.median(values):,.6g} ({min(values):,.6g} to {max(values):,.6g})"


if __name__ == "__main__":
    main()
