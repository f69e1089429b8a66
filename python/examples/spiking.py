"""A spiking network of SpikingJelly or snnTorch, attacked by callbacks; every verdict is checked again in torch.

    python python/examples/spiking.py [--library spikingjelly] [--images 200] [--eps 0.1]
"""

import argparse
import time

import torch
from torch import nn

import deepsleep

STEPS = 8


def of_spikingjelly():
    from spikingjelly.activation_based import functional, neuron, surrogate

    layers = nn.Sequential(
        nn.Flatten(), nn.Linear(784, 256), neuron.IFNode(surrogate_function=surrogate.ATan()),
        nn.Linear(256, 10), neuron.IFNode(surrogate_function=surrogate.ATan()),
    )

    def rates(images):
        # A network with a state: it begins anew with every batch.
        functional.reset_net(layers)
        return sum(layers(images) for _ in range(STEPS)) / STEPS

    return layers, rates


def of_snntorch():
    import snntorch

    class Spiking(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(784, 256), nn.Linear(256, 10)
            self.one, self.two = snntorch.Leaky(beta=0.9), snntorch.Leaky(beta=0.9)

        def forward(self, images):
            one, two, potential = self.one.init_leaky(), self.two.init_leaky(), 0
            for _ in range(STEPS):
                spikes, one = self.one(self.first(images.flatten(1)), one)
                _, two = self.two(self.last(spikes), two)
                potential = potential + two
            return potential / STEPS

    network = Spiking()
    return network, network


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--library", choices=["spikingjelly", "snntorch"], default="spikingjelly")
    options.add_argument("--images", type=int, default=200)
    options.add_argument("--eps", type=float, default=0.1)
    options = options.parse_args()
    torch.manual_seed(0)
    network, rates = of_spikingjelly() if options.library == "spikingjelly" else of_snntorch()
    train, test = deepsleep.dataset("mnist", "train"), deepsleep.dataset("mnist")[: options.images]
    images, labels = torch.from_numpy(train.images), torch.from_numpy(train.labels)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    for batch in torch.randperm(len(images))[:20_000].split(128):
        optimizer.zero_grad()
        nn.functional.cross_entropy(5 * rates(images[batch]), labels[batch]).backward()
        optimizer.step()
    network.eval()

    x, y = torch.from_numpy(test.images), torch.from_numpy(test.labels)
    with torch.no_grad():
        print(f"clean {(rates(x).argmax(1) == y).float().mean():.4f}")
    for attack in ("fgsm", "pgd:steps=40", "apgd-ce:steps=50", "square:queries=500"):
        start = time.perf_counter()
        report = deepsleep.attack(rates, x, y, attack, eps=options.eps)
        seconds = time.perf_counter() - start
        with torch.no_grad():
            wrong = rates(report.adversarial).argmax(1) != y
        right = report.status != "clean-wrong"
        alike = (wrong.numpy() == report.fooled)[right].mean()
        print(f"{attack:20} robust {report.robust_accuracy:.4f}, {seconds:.1f} s, {alike:.4f} of the verdicts alike in torch")


if __name__ == "__main__":
    main()
