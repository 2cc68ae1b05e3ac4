"""Gradient flow in function space by neural-tangents, kept as numbers that the kernel learner is compared with.

    PEERS/python -m tests.benchmarks.flow [--out tests/learners/kept/flow.json]

runs in the environment of the peer (packages in `_turns.PACKAGES["neural_tangents"]`), in float64, and solves
df/dt = -K g(f) with `neural_tangents.predict.gradient_descent`. K is the empirical NTK, as neural-tangents computes it,
of a small fixed network of two layers whose weights NumPy draws. The loss is a sum over samples, so g is softmax(f)
minus the one-hot target, or -y / (1 + exp(y f)) for targets y of ±1, divided by nothing. The learning rate is 1: times
are kernel times, that is, learning rate times steps.

Everything in the file is in the lab's layout: kernels (n, o, n', o') with the training set as the second, targets (n,)
of class indices or ±1, outputs (n, o), solutions (times, n, o). `agreement` is the largest difference from SciPy's
DOP853 at its tightest tolerances, over train and test outputs and all times.
"""

import argparse
import json
from functools import partial
from importlib.metadata import version
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import scipy
from scipy.integrate import solve_ivp

from tests.benchmarks._neural_tangents import nt

TRAIN, TEST, FEATURES, WIDTH, CLASSES, SEED = 12, 6, 5, 10, 3, 0
TIMES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)  # in units of 1 / λ_max
TOLERANCES = {"rtol": 1e-12, "atol": 1e-12, "mxstep": 10_000_000}


def cross_entropy(outputs, targets):
    """Summed over samples; targets are one-hot rows."""
    return -jnp.sum(jax.nn.log_softmax(outputs) * targets)


def logistic(outputs, targets):
    """Summed over samples; targets are ±1."""
    return jnp.sum(jnp.logaddexp(0.0, -targets * outputs))


def network(weights, inputs):
    """Two layers, tanh; both are trained."""
    return jnp.tanh(inputs @ weights["A"]) @ weights["B"]


def problem(outputs):
    """Kernels (n, n', o, o') as neural-tangents lays them out, and initial outputs, of the network with so many."""
    generator = np.random.default_rng(SEED)
    weights = {
        "A": jnp.asarray(generator.standard_normal((FEATURES, WIDTH)) / np.sqrt(FEATURES)),
        "B": jnp.asarray(generator.standard_normal((WIDTH, CLASSES)) * 1.5 / np.sqrt(WIDTH))[:, :outputs],
    }
    inputs = jnp.asarray(generator.standard_normal((TRAIN + TEST, FEATURES)))
    kernel = nt.empirical_ntk_fn(network, trace_axes=())(inputs, inputs[:TRAIN], weights)
    initial = network(weights, inputs)
    return (kernel[:TRAIN], kernel[TRAIN:]), (initial[:TRAIN], initial[TRAIN:])


def neural_tangents_solution(loss, kernels, initial, targets, times):
    """Outputs on both sets (times, n, o), integrated at `TOLERANCES` instead of odeint's default of 1.4e-8."""
    solver = nt._src.predict.ode
    default = solver.odeint
    solver.odeint = partial(default, **TOLERANCES)
    try:
        predict = nt.predict.gradient_descent(loss, kernels[0], targets, learning_rate=1.0, trace_axes=())
        return predict(jnp.asarray(times), initial[0], initial[1], kernels[1])
    finally:
        solver.odeint = default


def scipy_solution(gradient, kernels, initial, targets, times):
    """The same by an integrator and a gradient that share nothing with the peer."""
    matrices = [np.asarray(kernel).transpose(0, 2, 1, 3).reshape(-1, targets.size) for kernel in kernels]
    both, size = np.concatenate(matrices), targets.size

    def velocity(_, state):
        return -both @ gradient(state[:size].reshape(targets.shape), targets).ravel()

    start = np.concatenate([np.ravel(part) for part in initial])
    found = solve_ivp(velocity, (0, times[-1]), start, "DOP853", times, rtol=1e-13, atol=1e-14).y.T
    return [part.reshape(len(times), -1, targets.shape[1]) for part in (found[:, :size], found[:, size:])]


def softmax_gradient(outputs, targets):
    """softmax(f) - onehot."""
    exponentials = np.exp(outputs - outputs.max(1, keepdims=True))
    return exponentials / exponentials.sum(1, keepdims=True) - targets


def logistic_gradient(outputs, targets):
    """-y / (1 + exp(y f))."""
    return -targets / (1 + np.exp(targets * outputs))


def distance_from_kronecker(kernel):
    """Relative distance of a kernel (n, n', o, o') from the nearest Kronecker product of samples and outputs."""
    n, other, o, _ = kernel.shape
    singular = np.linalg.svd(np.asarray(kernel).reshape(n * other, o * o), compute_uv=False)
    return float(np.sqrt((singular[1:] ** 2).sum() / (singular**2).sum()))


def solve(loss, gradient, labels, targets):
    """What the file holds of one loss."""
    kernels, initial = problem(targets.shape[1])
    square = np.asarray(kernels[0]).transpose(0, 2, 1, 3).reshape(targets.size, targets.size)
    eigenvalues = np.linalg.eigvalsh(square)
    assert eigenvalues[0] > 0, "the kernel is not positive definite"
    times = [time / float(eigenvalues[-1]) for time in TIMES]
    train, test = neural_tangents_solution(loss, kernels, initial, jnp.asarray(targets), times)
    check = scipy_solution(gradient, kernels, initial, targets, times)
    return {
        "targets": labels.tolist(),
        "times": times,
        "eigenvalues": [float(eigenvalues[0]), float(eigenvalues[-1])],
        "distance_from_kronecker": distance_from_kronecker(kernels[0]),
        "kernel": np.asarray(kernels[0]).transpose(0, 2, 1, 3).tolist(),
        "test_kernel": np.asarray(kernels[1]).transpose(0, 2, 1, 3).tolist(),
        "initial": np.asarray(initial[0]).tolist(),
        "test_initial": np.asarray(initial[1]).tolist(),
        "train": np.asarray(train).tolist(),
        "test": np.asarray(test).tolist(),
        "agreement": max(float(np.abs(a - b).max()) for a, b in zip((train, test), check, strict=True)),
    }


def main():
    """Solve for both losses and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("tests/learners/kept/flow.json"))
    out = parser.parse_args().out
    jax.config.update("jax_enable_x64", True)
    classes = np.random.default_rng(SEED + 1).permutation(np.arange(TRAIN) % CLASSES)
    signs = np.where(classes > 0, 1, -1)
    packages = {"neural-tangents": version("neural-tangents"), "jax": jax.__version__, "numpy": np.__version__}
    found = {
        "command": "python -m tests.benchmarks.flow",
        "versions": {**packages, "scipy": scipy.__version__},
        "solver": {"odeint": TOLERANCES, "learning_rate": 1.0, "time_unit": "1 / largest eigenvalue", "at": TIMES},
        "cross_entropy": solve(cross_entropy, softmax_gradient, classes, np.eye(CLASSES)[classes]),
        "logistic": solve(logistic, logistic_gradient, signs, signs[:, None].astype(float)),
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(found) + "\n")
    for name in ("cross_entropy", "logistic"):
        print(f"{name}: differs from SciPy's DOP853 by at most {found[name]['agreement']:.0e}")


if __name__ == "__main__":
    main()
