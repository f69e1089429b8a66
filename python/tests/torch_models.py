"""The torch models that several tests share. Only imported where torch is installed."""

import torch

nn = torch.nn


def network(*more, seed=0):
    """A small one for digits, in evaluation mode, with more layers before its last."""
    torch.manual_seed(seed)
    layers = [nn.Conv2d(1, 6, 5, stride=2), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), *more, nn.Linear(216, 10)]
    return nn.Sequential(*layers).eval()


class Of(nn.Module):
    """A network with something around it."""

    def __init__(self, around):
        super().__init__()
        self.inner, self.around = network(), around

    def forward(self, x):
        return self.around(self.inner, x)
