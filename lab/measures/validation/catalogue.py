"""The learners by name, and what they cost. Pure arithmetic: no torch here.

"features" is a network whose output layer alone is trained, by ridge regression; "features_infinite" is the same at
infinite width, and "kernel" ridge regression on the tangent kernel of W, A and B there. Networks are centred at
initialization and stopped early. Those with a small scale α are in the "ntk" parametrization; the smaller α, the
further features move. "network_wb" sees each input only through fixed random features A x_t and cannot turn them.
"network_w" has α = 1 and the paper's parametrization.
"""

from __future__ import annotations

from dataclasses import dataclass

from lab.costs import Cost, training_step
from lab.errors import refuse

#: What each learner is, in a few words.
LABELS = {
    "features": "random features, width of the network",
    "features_infinite": "random features, infinitely many",
    "kernel": "tangent kernel, infinite width",
    "network_w": "network, W alone, α = 1 (the paper's)",
    "network_wb": "network, W and B, small α",
    "network": "network, W, A and B, small α",
}
NETWORKS = ("network", "network_wb", "network_w")  #: those that descend

_ITEM = 8  # bytes of a float64


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One draw of samples of a neuron that reads a whole sequence (`lab.tasks.neuron_of_sequence`), and its learners.

    Attributes
    ----------
    dimension, length, bias
        Inputs d in all, the time steps L into which they are cut, and the neuron's bias.
    samples, test, seed
        Training samples n, as many for validation, test samples, and the seed of them and of the networks.
    width, alpha
        Of the networks: m, and the scale of those in the "ntk" parametrization.
    critical_fraction, steps
        Of their descents.
    """

    dimension: int
    length: int
    bias: float
    samples: int
    test: int
    seed: int
    width: int
    alpha: float
    critical_fraction: float
    steps: int


def check_sizes(dimension: int, length: int, samples: int) -> None:
    """Refuse a length that does not divide the dimension, and too few samples for an affine fit.

    Raises
    ------
    LabError
        For the length, or for the samples.
    """
    if dimension % length:
        refuse("length", length, f"a divisor of the dimension, {dimension}", "x is cut into equal pieces")
    if samples <= dimension:
        refuse("samples", samples, f"more than the dimension, {dimension}", "the affine fit needs that many")


def learning_cost(setting: Setting) -> Cost:
    """Cost of all learners: flops of the descents; bytes of states, weights and kernels."""
    n, length, width = setting.samples, setting.length, setting.width
    held = 3 * n + setting.test
    work = len(NETWORKS) * setting.steps * training_step(n, length, width)
    return work.holding(float(_ITEM) * (held * length * width + 4 * width**2 + held * n))
