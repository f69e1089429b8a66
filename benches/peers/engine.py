"""PyTorch's side of the engine benchmark: the same network and the same three jobs on the same cores.

    python engine.py                      # eager, every core
    python engine.py --compile --json     # and torch.compile; one JSON object on stdout

The README beside this file says what each number counts.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import time

import torch
from torch import nn

from lenet import BATCH, CLASSES, LEARNING_RATE, SPLITS, available_cores, batches, read_mnist, train_step
from networks import NETWORKS

GRADIENT_BATCHES = (128, 1000, 2000)
EVALUATION_BATCHES = (128, 500, 1000, 2000)
WARM_UP = 10  # training steps
# Of the networks that are not LeNet: each step is a hundred times as long, and larger batches are no faster.
WIDE_BATCHES = (128,)
WIDE_WARM_UP = 2
MIN_CALLS = 5  # timed calls of each batch size, however slow


def main():
    options = parse_options()
    report = sys.stderr if options.json else sys.stdout

    def say(line):
        print(line, file=report, flush=True)

    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    images, labels = load(options)
    say(f"PyTorch {torch.__version__}, {options.threads} threads, "
        f"{options.architecture} on {'MNIST' if options.mnist else 'random images'}, load average {load_average()}")

    result = {"torch": torch.__version__, "threads": options.threads, "architecture": options.architecture}
    result |= measure(lambda model: model, images, labels, options, lambda line: say(f"eager     {line}"))
    if options.compile:
        result["compile"] = measure_compiled(images, labels, options, lambda line: say(f"compiled  {line}"))
    say(f"load average at the end {load_average()}")
    if options.json:
        print(json.dumps(result))


def parse_options():
    parser = argparse.ArgumentParser(description="PyTorch's speed at training, attacking and evaluating a network.")
    parser.add_argument("--architecture", choices=NETWORKS, default="lenet", help="default: lenet")
    parser.add_argument("--threads", type=positive, default=available_cores(), help="default: every core")
    parser.add_argument("--steps", type=at_least_two, default=60, help="training steps timed (default 60)")
    parser.add_argument("--seconds", type=float, default=1.5,
                        help="time spent on each batch size of the other two jobs (default 1.5)")
    parser.add_argument("--rounds", type=positive, default=1,
                        help="repeat every measurement, keep the fastest median: for a machine shared with others")
    parser.add_argument("--compile", action="store_true", help="measure torch.compile too (needs a C++ compiler)")
    parser.add_argument("--mnist", metavar="DIR", help="real images; without it, random ones of the same shape")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true",
                        help="one JSON object on stdout; the readable lines go to stderr")
    return parser.parse_args()


def positive(text, least=1):
    value = int(text)
    if value < least:
        raise argparse.ArgumentTypeError(f"must be at least {least}")
    return value


def at_least_two(text):
    return positive(text, least=2)  # quartiles need two values


def load(options):
    if options.mnist:
        return read_mnist(options.mnist, "train")
    # As many as there are in the files; of the larger networks as many as the steps need.
    lenet = options.architecture == "lenet"
    count = SPLITS["train"][1] if lenet else BATCH * (WIDE_WARM_UP + options.steps)
    return torch.rand(count, *NETWORKS[options.architecture][1]), torch.randint(CLASSES, (count,))


def batch_sizes(architecture):
    """Batches of input gradients and of evaluations, and training steps of warm-up."""
    if architecture == "lenet":
        return GRADIENT_BATCHES, EVALUATION_BATCHES, WARM_UP
    return WIDE_BATCHES, WIDE_BATCHES, WIDE_WARM_UP


def load_average():
    return " ".join(f"{value:.2f}" for value in os.getloadavg()) if hasattr(os, "getloadavg") else "unknown"


def measure(prepare, images, labels, options, say):
    """The three jobs with the model as `prepare` returns it: itself (eager) or its compiled form."""
    network = NETWORKS[options.architecture][0]
    gradient_batches, evaluation_batches, warm_up = batch_sizes(options.architecture)
    training = []
    gradients = {size: [] for size in gradient_batches}
    evaluations = {size: [] for size in evaluation_batches}
    for _ in range(options.rounds):  # the outer loop: repeats lie far apart, so one busy spell does not hit them all
        training.append(time_training(network, prepare, images, labels, options.steps, warm_up))
        for job, times in ((time_input_gradients, gradients), (time_evaluations, evaluations)):
            for size in times:
                times[size].append(job(network, prepare, images[:size].clone(), labels[:size], options.seconds))

    low, step, high = min(training, key=lambda quartiles: quartiles[1])
    steps_per_epoch = SPLITS["train"][1] // BATCH
    epoch = step * steps_per_epoch
    say(f"training      {1e3 * step:8.2f} ms a step, {epoch:.2f} s an epoch "
        f"(median of {options.steps} steps of {BATCH}, times {steps_per_epoch}; "
        f"half the steps took {1e3 * low:.2f} to {1e3 * high:.2f} ms)")

    def best(name, times):
        rates = {size: size / min(medians) for size, medians in times.items()}
        top = max(rates, key=rates.get)
        listing = ", ".join(f"{size}: {rate:,.0f}" for size, rate in rates.items())
        say(f"{name:<13} {rates[top]:8,.0f} images/s at batch {top} ({listing})")
        return rates[top]

    return {
        "epoch_seconds": round(epoch, 3),
        "step_ms_median": round(1e3 * step, 3),
        "input_gradients_per_second": round(best("input grads", gradients)),
        "evaluations_per_second": round(best("evaluations", evaluations)),
    }


def measure_compiled(images, labels, options, say):
    """`measure` under torch.compile, or None with the reason printed where it cannot run."""
    if not any(shutil.which(name) for name in (os.environ.get("CXX", "c++"), "g++", "clang++")):
        say("skipped: no C++ compiler on this machine")
        return None

    def prepare(model):
        torch.compiler.reset()  # each shape gets its own specialized graph, none the fallback for too many of them
        return torch.compile(model, dynamic=False)

    try:
        return measure(prepare, images, labels, options, say)
    except Exception as error:  # whatever the compiler stack raises, the eager numbers stand
        say(f"skipped: {type(error).__name__}: {(str(error).strip() or 'no message').splitlines()[0]}")
        return None


def time_training(network, prepare, images, labels, steps, warm_up):
    """Quartiles of the seconds of a training step: gathering the batch, forward, backward and update."""
    model = network().train()
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)
    model = prepare(model)
    times = []
    while len(times) < warm_up + steps:
        for batch in batches(len(images))[: warm_up + steps - len(times)]:
            start = time.perf_counter()
            train_step(model, optimizer, images[batch], labels[batch])
            times.append(time.perf_counter() - start)
    return statistics.quantiles(times[warm_up:], n=4)


def time_input_gradients(network, prepare, images, labels, seconds):
    """Median seconds of one forward pass and the loss's gradient with respect to the images, nothing else."""
    model = prepare(network().eval().requires_grad_(False))

    def call():
        leaf = images.detach().requires_grad_(True)
        loss = nn.functional.cross_entropy(model(leaf), labels, reduction="sum")
        return torch.autograd.grad(loss, leaf)

    return median_time(call, seconds)


def time_evaluations(network, prepare, images, _labels, seconds):
    """Median seconds of one forward pass to the logits, with autograd off altogether."""
    model = prepare(network().eval().requires_grad_(False))
    with torch.inference_mode():
        return median_time(lambda: model(images), seconds)


def median_time(call, seconds):
    for _ in range(3):  # warm-up; the first call also compiles where that applies
        call()
    times, end = [], time.perf_counter() + seconds
    while len(times) < MIN_CALLS or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


if __name__ == "__main__":
    main()
