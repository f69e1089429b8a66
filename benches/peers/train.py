"""Trains the benchmark's LeNet in PyTorch and saves it under the names the engine loads.

    python train.py --epochs 10 --seed 0 --out lenet.safetensors
    python train.py --evaluate lenet.safetensors
"""

import argparse
import time

import torch
from safetensors.torch import load_file, save_file

from lenet import LEARNING_RATE, LeNet, available_cores, batches, read_mnist, train_step

COUNTER = "num_batches_tracked"  # PyTorch's own step counter in BatchNorm; no part of the function computed


def main():
    parser = argparse.ArgumentParser(description="Train LeNet on MNIST with PyTorch, or score a saved one.")
    parser.add_argument("--mnist", metavar="DIR", default="data/mnist", help="IDX files, plain or .gz")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=available_cores(), help="default: every core")
    parser.add_argument("--out", metavar="FILE", default="lenet.safetensors")
    parser.add_argument("--evaluate", metavar="FILE", help="score this file on the test set and train nothing")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    test = read_mnist(options.mnist, "test")
    if options.evaluate:
        print(score(load(options.evaluate), *test))
        return

    torch.manual_seed(options.seed)
    images, labels = read_mnist(options.mnist, "train")
    model = LeNet()
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)
    for epoch in range(1, options.epochs + 1):
        model.train()
        start, total, order = time.perf_counter(), 0.0, batches(len(images))
        for batch in order:
            total += train_step(model, optimizer, images[batch], labels[batch])
        seconds = time.perf_counter() - start
        print(f"epoch {epoch}: {seconds:.2f} s, mean loss {total / len(order):.4f}, {score(model, *test)}", flush=True)
    save_file({name: value.contiguous() for name, value in state(model).items()}, options.out)
    print(f"saved {options.out}")


def state(model):
    return {name: value for name, value in model.state_dict().items() if not name.endswith(COUNTER)}


def load(path):
    model = LeNet()
    tensors = load_file(path)
    if set(tensors) != set(state(model)):
        raise SystemExit(f"{path} does not hold this LeNet: {sorted(set(tensors) ^ set(state(model)))} differ")
    model.load_state_dict(tensors, strict=False)
    return model


def score(model, images, labels):
    model.eval()
    with torch.inference_mode():
        right = sum((model(x).argmax(1) == y).sum().item() for x, y in zip(images.split(1000), labels.split(1000)))
    return f"{right:,} of {len(labels):,} test images right ({100 * right / len(labels):.2f} %)"


if __name__ == "__main__":
    main()
