"""Every learner on one device in one precision, against the processor in float64.

A case returns its results by name: arrays, or numbers. Weights are drawn on the processor, so that both sides start
from one network. A difference is the largest one over the largest entry of the reference.
"""

from __future__ import annotations

import warnings

import numpy as np
import torch
from torch import nn

import lab

#: Largest differences that are rounding. float32 is compared with float64, so that it has its own rounding as well.
TOLERANCES = {torch.float64: 1e-10, torch.float32: 2e-4}
SAMPLES, LENGTH, WIDTH, STEPS = 12, 6, 48, 60


def learners(network, task, descent, **options):
    """Outputs, losses, ends and motion of all learners."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", lab.LabWarning)  # the derivative check of float32
        result = lab.side_by_side(network, task, descent, progress=False, **options)
    found = {"lambda_max": result.lambda_max, **{f"motion: {name}": value for name, value in result.motion.items()}}
    for name, path in result.learners.items():
        every = {"train": path.train, "test": path.test, "loss": path.loss, "diverged_at": path.diverged_at}
        found |= {f"{name}: {quantity}": value for quantity, value in every.items()}
    return found


def elman(device, dtype, **settings):
    settings = {"activation": "erf", "parametrization": "ntk", **settings}
    return lab.ElmanRNN.like(sequences(), WIDTH, seed=1, device=device, dtype=dtype, **settings)


def sequences():
    return lab.tasks.separable(samples=SAMPLES, test=SAMPLES, length=LENGTH)


class Reader(nn.Module):
    """A GRU that is read at the last step."""

    def __init__(self, features, width):
        super().__init__()
        self.core, self.head = nn.GRU(features, width, batch_first=True), nn.Linear(width, 1)

    def forward(self, inputs):
        return self.head(self.core(inputs)[0][:, -1])


def gru(device, dtype):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        module = Reader(sequences().train_inputs.shape[2], 16).double()
    return module.to(device, dtype)


def every_step(device, dtype):
    task = sequences().at_every_step()
    settings = {"activation": "tanh", "parametrization": "ntk", "trained": ("W", "A", "B")}
    network = lab.ElmanRNN.like(task, WIDTH, seed=1, device=device, dtype=dtype, **settings)
    return learners(network, task, lab.Descent(STEPS, momentum=0.5))


def loss(name, outputs=1, batch_size=None):
    def case(device, dtype):
        task = sequences()
        descent = lab.Descent(STEPS, loss=name, batch_size=batch_size)
        return learners(elman(device, dtype, outputs=outputs), task, descent)

    return case


def adam(device, dtype):
    descent = lab.Descent(STEPS, optimizer=lambda parameters: torch.optim.Adam(parameters, 1e-3))
    return learners(elman(device, dtype), sequences(), descent)


def arrival(device, dtype):
    found = lab.arrive(elman(device, dtype), sequences(), lab.Descent(300, record="all"), 0.05, progress=False)
    return {"step": found.step, "mse": found.mse}


def watch(device, dtype):
    task, module = sequences(), gru(device, dtype)
    inputs, targets = (values.to(device, dtype) for values in (task.train_inputs, task.train_targets))
    looker, optimizer = lab.Watch(module, inputs, targets), torch.optim.SGD(module.parameters(), 0.05)
    for step in range(1, 41):
        optimizer.zero_grad()
        (0.5 * (module(inputs) - targets).square().sum(1)).mean().backward()
        optimizer.step()
        if step % 20 == 0:
            looker.look(step, 0.05)
    table = looker.table.drop(columns="seconds").dropna(axis=1)
    return {name: table[name].to_numpy(float) for name in table}


def infinite(device, dtype):
    return {"kernel": lab.infinite_ntk(elman(device, dtype), sequences().train_inputs).cpu().numpy()}


CASES = {
    "erf": lambda *place: learners(elman(*place), sequences(), lab.Descent(STEPS), order=2),
    "relu": lambda *place: learners(
        elman(*place, activation="relu", parametrization="paper"), sequences(), lab.Descent(STEPS), order=2
    ),
    "every step, W, A, B, momentum": every_step,
    "scaled": lambda *place: learners(lab.Scaled(elman(*place), 2.0), sequences(), lab.Descent(STEPS)),
    "squared, batches": loss("squared", batch_size=5),
    "logistic": loss("logistic"),
    "cross-entropy": loss("cross_entropy", 2),
    "cross-entropy, batches": loss("cross_entropy", 2, batch_size=5),
    "huber": loss("huber"),
    "beyond the edge": lambda *place: learners(elman(*place), sequences(), lab.Descent(STEPS, 1.2, record=(0, STEPS))),
    "far beyond it": lambda *place: learners(
        elman(*place, activation="relu"), sequences(), lab.Descent(STEPS, 6.0, record=(0, STEPS))
    ),
    "Adam": adam,
    "in place": lambda *place: learners(elman(*place), sequences(), lab.Descent(STEPS), in_place=True),
    "without a kernel": lambda *place: learners(elman(*place), sequences(), lab.Descent(STEPS), kernel=False),
    "GRU": lambda *place: learners(gru(*place), sequences(), lab.Descent(STEPS, 0.1), order=2),
    "arrive": arrival,
    "watch": watch,
    "infinite width": infinite,
}


def difference(found, reference):
    """The largest difference over the largest entry of the reference; inf where one has a value and the other none."""
    if found is None or reference is None:
        return 0.0 if found is reference else np.inf
    found, reference = np.asarray(found, float), np.asarray(reference, float)
    if found.shape != reference.shape or (np.isfinite(found) != np.isfinite(reference)).any():
        return np.inf
    there = np.isfinite(reference)
    size = np.abs(reference[there]).max(initial=0.0)
    error = np.abs(found[there] - reference[there]).max(initial=0.0)
    return float(error / size) if size else float(error)


def differences(case, device, dtype, reference):
    """The differences of a case by quantity."""
    found = CASES[case](device, dtype)
    assert found.keys() == reference.keys()
    return {name: difference(found[name], reference[name]) for name in reference}
