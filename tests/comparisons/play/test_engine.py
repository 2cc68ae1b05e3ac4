"""The playground's engine in JavaScript against the library, given the same weights."""

import math

import numpy as np
import pytest
import torch
from scipy.special import erf

import lab

CLOSE = 1e-9  # relative to the largest value that is compared, in float64
LEARNERS = ("network", "linearized", "kernel")


TRAIN = """({ settings, steps }) => {
  const task = Tasks.make(settings.task, settings.noise);
  const session = new Engine.Session(settings, task);
  const list = (values) => Array.from(values);
  const outputs = () => Object.fromEntries(Object.entries(session.outputs).map(([name, row]) => [name, list(row)]));
  const looks = [session.look()], rows = [outputs()];
  for (let step = 0; step < steps; step += 1) {
    session.advance();
    looks.push(session.look());
    rows.push(outputs());
  }
  const { found, predicted, matrix, values } = Engine.facts(session);
  return {
    train: task.train.map(list), test: task.test.map(list), y: list(task.y), truth: list(task.truth),
    length: task.length, shapes: session.network.shapes, weights: list(session.start), alpha: session.alpha,
    kernel: list(session.kernel), testKernel: list(session.testKernel), start: list(session.eigenvalues),
    rate: session.rate, looks, rows, facts: found, matrix: list(matrix), values: list(values),
    predicted: Object.fromEntries(Object.entries(predicted).map(([name, row]) => [name, list(row)])),
    alone: task.test.map((x) => session.network.output(session.start, x)), diverged: session.diverged,
  };
}"""


def train(engine, steps=0, **settings):
    """What the engine computes under these settings."""
    usual = {"width": 16, "activation": "relu", "style": "ntk", "alpha": 1, "fraction": 0.5, "loss": "squared"}
    return engine.evaluate(TRAIN, {"settings": {"noise": 0.1, "seed": 3} | usual | settings, "steps": steps})


class TwoLayer(torch.nn.Module):
    """f = v·φ(√2 U x/√p)/√m."""

    def __init__(self, shapes, activation):
        super().__init__()
        self.U, self.v = (torch.nn.Parameter(torch.empty(shapes[name], dtype=torch.float64)) for name in "Uv")
        self.activation = getattr(torch, activation)

    def forward(self, inputs):
        width, size = self.U.shape
        return self.activation(math.sqrt(2 / size) * inputs @ self.U.T) @ self.v.T / math.sqrt(width)


def rebuild(found, network, activation, style, variance=2):
    """The library's network with the weights of the engine (in the style of their output scale), and its inputs."""
    if network == "elman":
        p = len(found["train"][0]) // found["length"]
        scales = lab.Parametrization(style=style, sigma_w=math.sqrt(variance))
        options = {"activation": activation, "parametrization": scales, "trained": ("W", "A", "B"), "centred": False}
        module = lab.ElmanRNN(found["shapes"]["W"][0], p, **options)
        shape = (-1, found["length"], p)
    else:
        module, shape = TwoLayer(found["shapes"], activation), (-1, len(found["train"][0]))
    weights, at = torch.tensor(found["weights"], dtype=torch.float64), 0
    with torch.no_grad():
        for name, (rows, columns) in found["shapes"].items():
            getattr(module, name).copy_(weights[at : at + rows * columns].reshape(rows, columns))
            at += rows * columns
    inputs = (torch.tensor(found[split], dtype=torch.float64).reshape(shape) for split in ("train", "test"))
    return module, *inputs


def assert_close(found, expected):
    """Equal up to `CLOSE` of the largest value."""
    expected = np.asarray(expected, dtype=float)
    np.testing.assert_allclose(np.asarray(found, dtype=float), expected, rtol=0, atol=CLOSE * np.abs(expected).max())


def test_erf_is_exact_to_rounding(engine):
    x = np.concatenate([np.linspace(-7, 7, 701), np.geomspace(1e-300, 1e-3, 40), [6 - 1e-12, 6 + 1e-12]])
    found = np.array(engine.evaluate("(x) => x.map(Engine.erf)", x.tolist()))
    assert np.abs(found - erf(x)).max() <= 1e-14
    np.testing.assert_allclose(found, erf(x), rtol=1e-14, atol=0)


def mulberry32(state):
    """The published generator: 32 random bits a call."""
    while True:
        state = (state + 0x6D2B79F5) % 2**32
        mixed = (state ^ state >> 15) * (state | 1) % 2**32
        mixed ^= (mixed + (mixed ^ mixed >> 7) * (mixed | 61)) % 2**32
        yield mixed ^ mixed >> 14


DRAWN = "(kind) => Array.from({ length: 40 }, Engine.generator(3)[kind])"


def test_the_generator_is_the_one_that_is_named(engine):
    bits = mulberry32(4 * 0x9E3779B1 % 2**32)
    uniform = [((next(bits) >> 5) * 2**26 + (next(bits) >> 6)) / 2**53 for _ in range(40)]
    assert engine.evaluate(DRAWN, "uniform") == uniform
    normal = np.sqrt(-2 * np.log1p(-np.array(uniform[::2]))) * np.cos(2 * np.pi * np.array(uniform[1::2]))
    np.testing.assert_allclose(engine.evaluate(DRAWN, "normal")[:20], normal, rtol=1e-12)


@pytest.mark.parametrize(
    ("network", "activation", "task", "variance"),
    [
        ("two-layer", "relu", "xor", 2),
        ("two-layer", "tanh", "sequences", 2),
        ("elman", "erf", "first", 0.25),
        ("elman", "relu", "ring", 4),
    ],
)
def test_outputs_kernels_and_rates(engine, network, activation, task, variance):
    found = train(engine, network=network, activation=activation, task=task, alpha=3, variance=variance)
    module, inputs, test = rebuild(found, network, activation, "ntk", variance)
    assert_close(found["alone"], module(test).detach().flatten())
    scaled = lab.Scaled(lab.as_network(module), 3)
    kernel = lab.empirical_ntk(scaled, inputs).reshape(len(inputs), len(inputs)).numpy()
    assert_close(np.reshape(found["kernel"], kernel.shape), kernel)
    assert_close(np.reshape(found["matrix"], kernel.shape), kernel)
    assert_close(np.reshape(found["testKernel"], (len(test), -1)), lab.empirical_ntk(scaled, test, inputs)[:, 0, :, 0])
    assert_close(found["start"], np.linalg.eigvalsh(kernel)[::-1])
    assert found["rate"] == pytest.approx(0.5 * 2 / np.linalg.eigvalsh(kernel)[-1], rel=CLOSE)


TRAJECTORIES = {
    "two-layer": {"network": "two-layer", "task": "curve"},
    "edge": {"network": "two-layer", "task": "ring", "activation": "tanh", "fraction": 1, "loss": "logistic"},
    "elman": {"network": "elman", "task": "sequences", "activation": "relu", "alpha": 2, "loss": "logistic"},
    "mean field": {"network": "elman", "task": "xor", "activation": "erf", "style": "mean_field", "width": 32},
    "beyond the edge": {"network": "two-layer", "task": "curve", "activation": "erf", "width": 64, "fraction": 1.6},
    "catapult": {"network": "elman", "task": "curve", "width": 32, "fraction": 1.3},
}


@pytest.mark.parametrize("name", TRAJECTORIES)
def test_trajectories_of_the_three_learners(engine, name):
    """Over 200 steps up to c = 1; beyond, until the network's loss peaks, and divergences at the same steps."""
    settings = TRAJECTORIES[name]
    beyond = settings.get("fraction", 0.5) > 1
    steps = 40 if beyond else 200
    found = train(engine, steps, **settings)
    style = settings.get("style", "ntk")
    module, inputs, test = rebuild(found, settings["network"], settings.get("activation", "relu"), style)
    y, truth = (torch.tensor(found[split], dtype=torch.float64)[:, None] for split in ("y", "truth"))
    alpha = found["alpha"] if style == "ntk" else settings.get("alpha", 1)  # the library's style has the factor 2/√m
    descent = lab.Descent(steps, settings.get("fraction"), record="all", loss=settings.get("loss", "squared"))
    result = lab.side_by_side(lab.Scaled(lab.as_network(module), alpha), lab.Task(inputs, y, test, truth), descent)
    assert found["rate"] == pytest.approx(result.learning_rate, rel=CLOSE)
    until = int(np.nanargmax(result.network.loss)) + 1 if beyond else steps + 1
    assert until > 2
    for learner in LEARNERS:
        path = getattr(result, learner)
        assert found["diverged"].get(learner) == path.diverged_at
        last = min(until, path.diverged_at or until)
        assert_close([row[learner] for row in found["rows"][:last]], path.train[:last, :, 0])
        assert_close([look["loss"][learner] for look in found["looks"][:last]], path.loss[:last])
        if not beyond:
            assert_close(found["predicted"][learner], path.test[-1, :, 0])
    gap = result.gap("train")[1:until]  # under logistic loss there is no unit at step 0
    assert_close([look["gap"] for look in found["looks"][1:until]], gap)
    if not beyond:
        for js, python in (("motion", "relative_weight_motion"), ("drift", "kernel_drift"), ("flips", "gate_flips")):
            expected = result.motion[python] if settings["network"] == "elman" or js != "flips" else None
            if expected is not None:
                assert found["facts"][js] == pytest.approx(expected, rel=1e-8), js
    assert result.disagreement() is None or beyond or result.disagreement() < 1e-9


def test_gates_of_the_two_layer_network(engine):
    """The library does not look for gates in a foreign module: they are counted here from the weights."""
    found = train(engine, 60, network="two-layer", task="xor", alpha=0.1)
    module, inputs, _ = rebuild(found, "two-layer", "relu", "ntk")
    before = inputs @ module.U.detach().T > 0
    task = lab.Task(inputs, torch.tensor(found["y"], dtype=torch.float64)[:, None])
    network = lab.Scaled(lab.as_network(module), 0.1)
    after = lab.side_by_side(network, task, lab.Descent(60, 0.5)).trained_network
    now = inputs @ after.trained["U"].detach().T > 0
    assert found["facts"]["flips"] == float((before != now).double().mean()) > 0.02


def test_two_layer_seeds_and_noise(engine):
    one, same, other = (train(engine, network="two-layer", task="xor", seed=seed) for seed in (1, 1, 2))
    assert one == same
    assert one["weights"] != other["weights"]
    assert one["train"] == other["train"]  # the data stay
    quiet = train(engine, network="two-layer", task="curve", noise=0)
    noisy = train(engine, network="two-layer", task="curve", noise=0.3)
    assert quiet["train"] == noisy["train"]
    assert 0.05 < np.std(np.subtract(noisy["y"], quiet["y"])) < 0.6
