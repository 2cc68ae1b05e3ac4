"""The loss surface around an initialization: how far its tangent kernel stays good, and what lies beyond.

All of it is about the recurrent weight W of an Elman network with ReLU gates. A *motion* is W′ = W − W₀, shape (m, m).
"""

from lab.measures.landscape.points import (
    barrier,
    constant_loss,
    loss_and_gradient,
    losses_along,
    moved,
    planted_motion,
    shortest_fit,
)
from lab.measures.landscape.remainders import Remainder, gate_frozen, remainder, remainders_along
from lab.measures.landscape.spheres import (
    ADVERSARIAL,
    QUARTER,
    eigenvalue_gradient,
    extremes,
    gaussian_direction,
    lowest_along,
    lowest_by_direction,
    lowest_in_balls,
    worst_motion,
)

__all__ = [
    "ADVERSARIAL",
    "QUARTER",
    "Remainder",
    "barrier",
    "constant_loss",
    "eigenvalue_gradient",
    "extremes",
    "gate_frozen",
    "gaussian_direction",
    "loss_and_gradient",
    "losses_along",
    "lowest_along",
    "lowest_by_direction",
    "lowest_in_balls",
    "moved",
    "planted_motion",
    "remainder",
    "remainders_along",
    "shortest_fit",
    "worst_motion",
]
