"""A torch network of one's own, under AutoAttack in both packages: the same verdicts, and the time that each takes.

Needs torch, and for the comparison the official package (https://github.com/fra31/auto-attack).

    python python/examples/own_network.py [--images 200] [--eps 0.1] [--threads 2]
"""

import argparse
import time

import numpy as np
import torch
from torch import nn

import deepsleep


class Own(nn.Module):
    """Two strided convolutions with batch normalization, a residual block, and average pooling."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 16, 5, stride=2, padding=2), nn.BatchNorm2d(16), nn.ReLU())
        self.down = nn.Sequential(nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.BatchNorm2d(32), nn.ReLU())
        self.block = nn.Sequential(nn.Conv2d(32, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1))
        self.head = nn.Linear(32, 10)

    def forward(self, x):
        x = self.down(self.stem((x - 0.1307) / 0.3081))
        x = torch.relu(x + self.block(x))
        return self.head(x.mean((2, 3)))


def trained(epochs=1):
    """The network after an epoch of PGD training at 0.1, so that AutoAttack has something to do."""
    torch.manual_seed(0)
    model, data = Own(), deepsleep.dataset("mnist", "train")
    images, labels = torch.from_numpy(data.images), torch.from_numpy(data.labels)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    for _ in range(epochs):
        for batch in torch.randperm(len(images))[:30_000].split(128):
            x, y = images[batch], labels[batch]
            delta = torch.zeros_like(x).uniform_(-0.1, 0.1)
            for _ in range(3):
                delta.requires_grad_()
                (gradient,) = torch.autograd.grad(nn.functional.cross_entropy(model((x + delta).clamp(0, 1)), y), delta)
                delta = (delta.detach() + 0.05 * gradient.sign()).clamp(-0.1, 0.1)
            optimizer.zero_grad()
            nn.functional.cross_entropy(model((x + delta).clamp(0, 1)), y).backward()
            optimizer.step()
    return model.eval()


class Timed:
    """What an attack returns, and the time that it took: of the clock, and of all processors."""

    def __init__(self, attack):
        clock, processors = time.perf_counter(), time.process_time()
        self.images = attack()
        self.seconds, self.processors = time.perf_counter() - clock, time.process_time() - processors

    def __str__(self):
        return f"{self.seconds:.1f} s ({self.processors:.1f} s of processor time)"


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--images", type=int, default=200)
    options.add_argument("--eps", type=float, default=0.1)
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--callbacks", action="store_true", help="also ask the network by callbacks")
    options = options.parse_args()
    torch.set_num_threads(options.threads)
    model = trained()
    test = deepsleep.dataset("mnist")[: options.images]
    x, y = torch.from_numpy(test.images), torch.from_numpy(test.labels)

    def robust(adversarial):
        with torch.no_grad():
            return (model(adversarial).argmax(1) == y).numpy()

    adversary = deepsleep.AutoAttack(model, norm="Linf", eps=options.eps, version="standard", verbose=False)
    ours = Timed(lambda: adversary.run_standard_evaluation(x, y, bs=250))
    print(f"clean {robust(x).mean():.4f}", flush=True)
    report = adversary.report
    print(f"deepsleep        robust {robust(ours.images).mean():.4f} by torch, {report.robust_accuracy:.4f} by itself, {ours}", flush=True)
    if options.callbacks:
        adversary = deepsleep.AutoAttack(deepsleep.Classifier(model), norm="Linf", eps=options.eps, verbose=False)
        asked = Timed(lambda: adversary.run_standard_evaluation(x, y, bs=250))
        alike = (robust(asked.images) == robust(ours.images)).mean()
        print(f"by callbacks     robust {robust(asked.images).mean():.4f}, {asked}, {alike:.4f} of the verdicts alike", flush=True)
    try:
        from autoattack import AutoAttack
    except ImportError:
        print("the official package is not installed: pip install git+https://github.com/fra31/auto-attack")
        return
    official = AutoAttack(model, norm="Linf", eps=options.eps, version="standard", seed=0, device="cpu", verbose=False)
    theirs = Timed(lambda: official.run_standard_evaluation(x, y, bs=250))
    alike = np.mean(robust(theirs.images) == robust(ours.images))
    ratio = theirs.seconds / ours.seconds
    print(f"official package robust {robust(theirs.images).mean():.4f}, {theirs}: {ratio:.1f} times as long")
    print(f"verdicts alike   {alike:.4f}")


if __name__ == "__main__":
    main()
