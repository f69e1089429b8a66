"""PyTorch's speed at single layers: forward and both gradients, the counterpart of `examples/layer_speed.rs`.

    python layers.py --threads 2 64,64,32,3,1 linear,3136,1024

A layer is `in,out,side,kernel,padding[,stride[,groups]]` or `linear,in,out`. The fastest of some calls counts.
Run it and ours in turn, on the same otherwise idle cores: PyTorch's threads wait for one another after every operation,
so one busy neighbor slows it many times over.
"""

import argparse
import json
import time

import torch
from torch.nn.functional import conv2d, linear


def main():
    parser = argparse.ArgumentParser(description="PyTorch's speed at single layers.")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--calls", type=int, default=5)
    parser.add_argument("layers", nargs="+")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for name in options.layers:
        run, leaves, fan_in = layer(name, options.samples)
        forward, backward, flops = measure(run, leaves, fan_in, options.calls)
        print(json.dumps({
            "layer": name,
            "forward_gflops": round(flops / forward / 1e9, 1),
            "backward_gflops": round(2 * flops / backward / 1e9, 1),
            "forward_seconds": forward,
            "backward_seconds": backward,
        }), flush=True)


def layer(name, samples):
    """What runs the layer, its leaves, and the weights of one output."""
    if name.startswith("linear,"):
        features, outputs = map(int, name.split(",")[1:])
        x, w = torch.randn(samples, features), torch.randn(outputs, features)
        leaves = (x.requires_grad_(), w.requires_grad_())
        return lambda: linear(x, w), leaves, features
    inputs, outputs, side, kernel, padding, *rest = map(int, name.split(","))
    stride, groups = (rest + [1, 1][len(rest):])[:2]
    x = torch.randn(samples, inputs, side, side)
    w = torch.randn(outputs, inputs // groups, kernel, kernel)
    leaves = (x.requires_grad_(), w.requires_grad_())
    run = lambda: conv2d(x, w, stride=stride, padding=padding, groups=groups)
    return run, leaves, inputs // groups * kernel * kernel


def measure(run, leaves, fan_in, calls):
    """Least seconds forward and backward, and floating-point operations of the forward pass."""
    forward = backward = float("inf")
    grad = None
    for call in range(calls + 2):
        for leaf in leaves:
            leaf.grad = None
        start = time.perf_counter()
        y = run()
        middle = time.perf_counter()
        if grad is None:
            grad = torch.randn_like(y)
        again = time.perf_counter()
        y.backward(grad)
        end = time.perf_counter()
        if call >= 2:
            forward, backward = min(forward, middle - start), min(backward, end - again)
    return forward, backward, 2 * y.numel() * fan_in


if __name__ == "__main__":
    main()
