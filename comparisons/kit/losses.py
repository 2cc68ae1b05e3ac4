"""The losses that settings can name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from comparisons.kit.settings import OneOf, doc

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lab.losses import Objective

NAMES = ("squared", "huber", "logistic", "cross_entropy")
_HELP = (
    "squared: ½Σ(f − y)². huber. logistic: targets ±1. cross_entropy: two outputs or more, one for each class. The gap "
    "of all but squared is in units of the change of the linear learner's outputs on the training set."
)
Loss = Annotated[str, OneOf(*NAMES), doc(_HELP)]


def outputs(loss: str, columns: int) -> int:
    """Outputs of a network (at each observed step) that learns targets with so many columns under this loss."""
    return max(columns, 2) if loss == "cross_entropy" else columns


def mean(total: NDArray[np.float64], objective: Objective) -> NDArray[np.float64]:
    """Summed losses as means: mean (f − y)² over samples and outputs for "squared", else the loss for each sample."""
    if objective.loss.name == "squared":
        return 2 * total / objective.targets.numel()
    return total / len(objective)
