"""Scaled networks α(f(θ) − f(θ₀)) that are trained to one training error, whatever α.

Settings, data, networks and costs; and what is read from a table of them over width and α.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated

import numpy as np
from annotated_types import Ge, Le

import lab
from comparisons.kit.arms import Arm
from comparisons.kit.cells import pick
from comparisons.kit.comparison import Arrays
from comparisons.kit.figures import points
from comparisons.kit.keys import Quantity
from comparisons.kit.numbers import Number, Numbers
from comparisons.kit.seeds import DataSeeds, Drawn
from comparisons.kit.settings import OneOf, Positive, Seed, Share, doc
from lab.costs import Cost, network_bytes, tangent_kernel, training_step

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from lab.equal_error import EqualError
    from lab.measures.plane import TwoTermGap
    from lab.networks.elman import ElmanRNN
    from lab.tasks.task import SequenceTask

LINES = 2  #: scales at which every width is measured
SIZES = {"digits": (48, 8), "teacher": (64, 3)}  #: training samples and time steps of the data
Data = Annotated[str, OneOf(*SIZES)]


@dataclass(frozen=True)
class Training(Drawn):
    """Settings of the data and of training to one error, shared by all cells of a run."""

    data_seed: Annotated[Seed, doc("Where the draws of the data start; all α share the draw of a seed.")] = 0
    data_seeds: DataSeeds = "own"
    test: Annotated[int, Ge(2), Le(309), doc("Test samples; of 357 digits 48 are for training.")] = 300
    target: Annotated[Share, doc("Training error to reach, relative to its initial value.")] = 0.03
    critical_fraction: Annotated[Share, doc("c in η = 2c/λ_max at the first try.")] = 0.5
    fallbacks: Annotated[int, Ge(0), doc("How many times c may be divided by 4.")] = 3
    patience: Annotated[Positive, doc("Steps per try, relative to the linear learner's at the first c.")] = 3.0


def data(name: str, cell: Training) -> SequenceTask:
    """Digits 3 and 8, or the teacher: one ReLU neuron of the first time step (`lab.tasks.single_index`)."""
    samples, length = SIZES[name]
    if name == "digits":
        return lab.tasks.digits(train=samples, test=cell.test, seed=cell.draw)
    return lab.tasks.single_index(samples, cell.test, length, seed=cell.draw)


def elman(task: SequenceTask, width: int, activation: str, trained: Iterable[str], seed: int) -> ElmanRNN:
    """An Elman network in "ntk" parametrization, in float64 on torch's default device."""
    import torch

    choices = {"activation": activation, "trained": tuple(trained), "seed": seed, "parametrization": "ntk"}
    return lab.ElmanRNN.like(task, width, device=torch.get_default_device(), **choices)


def train(network: lab.Scaled, task: SequenceTask, training: Training) -> EqualError:
    """Train a copy of the network to the error that the settings ask for."""
    how = pick(training, "critical_fraction", "fallbacks", "patience")
    return lab.at_equal_error(network, task, training.target, **how)


def path(found: EqualError) -> Arrays:
    """Training error and test gap along the way, for the explorer; nothing without an arrival."""
    return {**pick(found, "kernel_time", "mse"), "gap_test": found.gap()} if found.reached else {}


def changes(found: EqualError) -> dict[str, float]:
    """`lab.measures.coordinates.coordinate_changes` of training, on the training inputs; empty without an arrival."""
    if isinstance(found.start, lab.Scaled) and isinstance(found.trained_network, lab.Scaled):
        inputs = found.task.train_inputs
        return lab.measures.coordinates.coordinate_changes(found.start, found.trained_network, inputs)
    return {}


def learnt(found: EqualError) -> Arrays:
    """What an Elman network has learnt of the teacher's direction u; nothing without an arrival.

    ``samples`` (n', 4): for each test sample its place √p⟨u, x₁⟩ along u, the target, the outputs of the network and of
    its linearization. ``alignment`` (m, 2): cosine of each unit's input weights and u, before and after training.
    """
    ends = [net.network for net in (found.start, found.trained_network) if isinstance(net, lab.Scaled)]
    (inputs, targets), u = found.task.test_split, lab.tasks.sequences.index_direction()
    if len(ends) < 2:
        return {}
    along = math.sqrt(2 * len(u)) * (inputs[:, 0, : len(u)] @ u)  # steps have a constant beside them and norm 1
    outputs = [each.test_outputs[-1, :, 0] for each in (found.network, found.linearized)]
    units = [lab.measures.plane.unit_alignment(net.A, u) for net in ends if isinstance(net, lab.ElmanRNN)]
    samples = np.stack([along.numpy(), targets[:, 0].numpy(), *outputs], 1)
    return {"samples": samples.astype(np.float32), "alignment": np.stack(units, 1).astype(np.float32)}


def cost(name: str, training: Training, width: int, steps: float) -> Cost:
    """Flops of so many steps of an Elman network on the data, and of three kernels."""
    samples, length = SIZES[name]
    kernel = tangent_kernel(samples, training.test, 1, length, width)
    held = network_bytes(samples + training.test, 1, length, width, item=8)
    return (steps * 4 / 3 * training_step(samples, length, width) + 3 * kernel).holding(held)


def boundaries(rows: pd.DataFrame, column: str, level: float) -> pd.DataFrame:
    """Columns width, seed and ``boundary``: the α at which a column falls through a level, NaN if that is off the grid.

    Only widths at which more scales are measured than the `LINES` count. A run without a value is left out.
    """
    import pandas as pd

    from lab.measures.thresholds import falls_through

    kept = rows[rows.groupby("width")["alpha"].transform("nunique") > LINES].dropna(subset=[column])
    found = []
    for (width, seed), part in kept.groupby(["width", "seed"]):
        place = falls_through(part["alpha"], part[column].to_numpy(float), level)
        found.append((width, seed, math.nan if place.censored else place.value))
    return pd.DataFrame(found, columns=["width", "seed", "boundary"])


def two_terms(rows: pd.DataFrame, column: str, most: float) -> list[TwoTermGap]:
    """(a/α + b/α²)/m, fitted to the values up to ``most`` of each seed of the plane that has two or more."""
    from lab.measures.plane import TwoTermGap

    plane = _of_plane(rows)
    seeds = plane[plane[column] <= most].groupby("seed")
    return [TwoTermGap.fit(part["width"], part["alpha"], part[column]) for _, part in seeds if len(part) > 1]


def lazy_slopes(rows: pd.DataFrame, column: str, most: float) -> pd.DataFrame:
    """Slopes ``width`` and ``alpha`` of the log of a gap on both logs, by seed, where the gap is ``most`` or less.

    Least squares over at least four places of a seed with two widths and two scales; other seeds have no row.
    """
    import pandas as pd

    found, rows = {}, _of_plane(rows)
    for seed, part in rows[rows[column] <= most].groupby("seed"):
        if len(part) > 3 and part["width"].nunique() > 1 and part["alpha"].nunique() > 1:
            terms = np.log(part[["width", "alpha"]].assign(one=np.e).to_numpy(float))
            found[seed] = np.linalg.lstsq(terms, np.log(part[column].to_numpy(float)), rcond=None)[0][:2]
    return pd.DataFrame.from_dict(found, orient="index", columns=["width", "alpha"])


def _of_plane(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of the widths with more scales than the `LINES`, if there are some, of the seeds at all of them."""
    many = rows[rows.groupby("width")["alpha"].transform("nunique") > LINES]
    plane = many if len(many) else rows
    found: pd.DataFrame = plane[plane.groupby("seed")["width"].transform("nunique") == plane["width"].nunique()]
    return found


def report_lost(rows: pd.DataFrame) -> str:
    """How many runs did not arrive, how many of them diverged, and up to which α; empty if all arrived."""
    lost = rows[rows["exit"] != "reached"]
    counted = f"{len(lost)} of {len(rows)} runs did not reach the training error, all of them at α ≤ "
    diverged = f"; {(lost['exit'] == 'diverged').sum() or 'none'} of them diverged."
    return f"{counted}{lost['alpha'].max():.3g}{diverged}" if len(lost) else ""


def draw_plane(
    ax: Axes,
    arm: Arm,
    *,
    column: str,
    level: float,
    numbers: Numbers,
    keys: tuple[Quantity, ...],
    lines: Mapping[str, str],
) -> None:
    """Geometric means of a gap at every place of an arm, its boundary by width with intervals, and laws of it.

    Parameters
    ----------
    numbers, keys
        Numbers, and the quantities of the boundary at each width and of a and b (`TwoTermGap`), where there are any.
    lines
        Names of lines of the plane, by the column that says whether a row is on it.
    """
    boundary, *terms = keys
    logs = arm.rows.assign(log=np.log(arm.rows[column].astype(float))).groupby(["width", "alpha"])["log"]
    seen, plane = logs.agg(["mean", "count", "size"]).reset_index(), lab.figures.regimes
    widths, alphas, means = (seen[name].to_numpy(float) for name in ("width", "alpha", "mean"))
    complete, label = (seen["count"] == seen["size"]).to_numpy(), "largest test gap (units of the targets)"
    plane.plane(ax, (widths, alphas), np.exp(means), complete, limits=(0.001, 3.0), label=label)
    for name, text in lines.items():
        on = arm.rows[arm.rows[name]].drop_duplicates("width").sort_values("width")
        plane.limit(ax, on["width"].to_numpy(float), on["alpha"].to_numpy(float), text)
    at = {int(m): numbers.get(boundary(int(m), arm=arm.name), Number.none("")) for m in np.unique(widths)}
    known = {m: number for m, number in at.items() if number.value is not None}
    points(ax, list(known), list(known.values()), "#000000", f"gap {level:g}", markerfacecolor="white", zorder=5)
    plane.slope_line(ax, {m: number.value for m, number in known.items()}, -0.5, widths, "slope −½")
    fitted = [numbers[key].value for each in terms if (key := each(arm=arm.name)) in numbers]
    if fitted and None not in fitted:
        law = lab.measures.plane.TwoTermGap(*(value or 0.0 for value in fitted))
        plane.curve(ax, widths, partial(law.boundary, level=level), f"(a/α + b/α²)/m = {level:g}")
    ax.set(title=arm.label, ylabel="output scale α   (rich ← → lazy)")


def draw_learnt(ax: Axes, item: tuple[str, str, Arrays]) -> None:
    """One array of `learnt` by its name: title, name and arrays."""
    title, name, arrays = item
    draw = lab.figures.regimes.samples if name == "samples" else lab.figures.regimes.alignment
    draw(ax, *arrays[name].T).set_title(title)
