"""The losses that settings can name, and the words for each of them in verdicts, figures and tables.

Rows of another loss than the squared one have a column ``loss``. Rows of the squared loss have none, so that tables are
what they were before there were others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from comparisons.kit.keys import Quantity
from comparisons.kit.settings import ADDED, OneOf, doc
from lab.data import files
from lab.errors import refuse

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

    from lab.losses import Objective

NAMES = ("squared", "huber", "logistic", "cross_entropy")
CLASSES = ("logistic", "cross_entropy")  #: those that need classes
_HELP = (
    "squared: ½Σ(f − y)². huber. logistic: targets ±1. cross_entropy: two outputs or more, one for each class. The gap "
    "of all but squared is in units of the change of the linear learner's outputs on the training set."
)
Total = TypeVar("Total", float, "NDArray[np.float64]")
Loss = Annotated[str, OneOf(*NAMES), ADDED, doc(_HELP)]
_ERRORS = {"huber": "Huber loss", "logistic": "logistic loss", "cross_entropy": "cross-entropy"}
NO_VALUES = "targets of this loss are classes, no values of the outputs"
_AT_THE_END = " of the linear learner at the end, at the largest width."
MSE = Quantity("final_mse_linearized", meaning=f"Mean (f − y)²{_AT_THE_END}")
LOSS = Quantity("final_loss_per_sample_linearized", meaning=f"Loss per sample{_AT_THE_END}")


@dataclass(frozen=True)
class Words:
    """How texts speak of one loss.

    Attributes
    ----------
    name
        As settings name it.
    error
        The quantity that descent lowers, as a mean.
    short, array
        The same in names of columns and keys, and as the name of an array of curves.
    unit, axis
        The unit of the gap, in "units of …"; and in a few words, for an axis.
    whole
        What a gap in percent is a share of.
    kernel
        The matrix whose λ_max sets the critical learning rate, in mathematical type.
    end
        The linear learner's error at the end of training; the text of its key is the name of its column.
    output
        What the outputs are, of several the last one.
    trained
        A sentence on what the loss is of, where some learners are trained and others are not.
    diverges
        What a linear model does whose error has grown tenfold: where gradients are bounded, it need not go on to grow.
    critical
        The critical learning rate.
    """

    name: str = "squared"
    error: str = "mean squared error"
    short: str = "mse"
    array: str = "mse"
    unit: str = "the targets"
    axis: str = "in units of the targets"
    whole: str = "what there is to learn"
    kernel: str = "K_0"
    end: Quantity = MSE
    output: str = "output"
    trained: str = ""
    diverges: str = "diverges"
    critical: str = "2/λ_max"

    @property
    def is_squared(self) -> bool:
        """Whether it is the squared loss."""
        return self.name == "squared"

    @property
    def has_classes(self) -> bool:
        """Whether targets are classes, no values of the outputs."""
        return self.name in CLASSES

    def kept(self, errors: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
        """Errors (2, T) of the network and of its linear model as arrays of a cell."""
        return {self.array: errors, **named(self.name)}


def words(loss: str) -> Words:
    """The words for a loss."""
    if loss == "squared":
        return Words()
    return Words(
        name=loss,
        error=f"{_ERRORS[loss]} per sample",
        short="loss_per_sample",
        array="losses",
        unit="the linear learner's change",
        axis="unit: linear learner's change",
        whole="the linear learner's own change of outputs",
        kernel=r"H_0^{1/2}K_0H_0^{1/2}",
        end=LOSS,
        output="centred logit of the last class" if loss == "cross_entropy" else "output",
        trained=f"The loss of all descents is the {_ERRORS[loss]}; ridge regression is least squares.",
        diverges="has ten times its first error",
        critical="2/λ_max of H₀^½K₀H₀^½",
    )


def words_of(table: pd.DataFrame) -> Words:
    """The words for the loss of a table; the squared one where it has no column ``loss``."""
    named = table["loss"].dropna().tolist() if "loss" in table else []
    return words(str(named[0]) if named else "squared")


def of(source: object) -> str:
    """The loss of settings or a cell; the squared one where they have no choice."""
    return getattr(source, "loss", "squared")


def column(loss: str) -> dict[str, str]:
    """The column ``loss`` of a row; none for the squared loss."""
    return {} if loss == "squared" else {"loss": loss}


def named(loss: str) -> dict[str, NDArray[np.str_]]:
    """The array from which the page's explorer knows another loss than the squared one; none for that."""
    import numpy as np

    return {} if loss == "squared" else {"loss_name": np.array(loss)}


def check(loss: str, task: str) -> None:
    """Refuse a loss of classes on a file whose targets are numbers."""
    if loss in CLASSES and files.is_file_name(task) and (data := files.read(task)).classes is None:
        came = f"{loss!r} on {data.name}, whose targets are numbers"
        refuse("loss", came, "squared or huber there", "give labels instead of targets, or another loss")


def outputs(loss: str, columns: int) -> int:
    """Outputs of a network (at each observed step) that learns targets with so many columns under this loss."""
    return max(columns, 2) if loss == "cross_entropy" else columns


def mean(total: Total, objective: Objective) -> Total:
    """Summed losses as means: mean (f − y)² over samples and outputs for "squared", else the loss for each sample."""
    if objective.loss.name == "squared":
        return 2 * total / objective.targets.numel()
    return total / len(objective)


def paired(words: Words, network: ArrayLike, linear: ArrayLike) -> dict[str, NDArray[Any]]:
    """The same for errors (T,) of each, which have an array of their own for the squared loss."""
    import numpy as np

    errors = np.array([network, linear], dtype=np.float64)
    if words.is_squared:
        return {"mse": errors[0], "mse_linearized": errors[1]}
    return words.kept(errors)


def courses(arrays: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float64]]:
    """The two that `paired` stored, and that of the second-order model if it is there."""
    pair = arrays["losses"] if "losses" in arrays else (arrays["mse"], arrays["mse_linearized"])
    return [*pair, *([arrays["quadratic"]] if "quadratic" in arrays else [])]
