"""What the explorer shows of one cell: outputs of learners at a time, and curves over time, thinned to a small page.

The explorer shows every cell that has a time and something along it, by the names of its arrays:

==================================  ===================================================================================
``steps``, ``kernel_time``,         the time (T,), the first of these that is there; the last two are kernel time, too
``time``, ``times``
``learners`` (k,)                   names of rows; network, linearized and kernel get their colour and dash
``test`` (k, T, n', o)              outputs of each learner on the test samples, which the slider moves through
``test_targets`` (n', o)            their targets
``loss`` (k, T)                     training loss of each learner
``mse``, ``losses``, ``network``,   other errors on the training set, (T,) or (k, T): ``mse`` of one row is the
``linearized``, ``kernel``          network's, two rows without ``learners`` are network and linearized, more are
                                    network and the model of each gap; ``mse_…`` (T,) is that of the learner it names
``gap_test``, ``gap_train`` (T,)    gaps of network and linearized on a set
``gap_…`` (T,)                      gap of network and another model
``loss_name``                       text, for another loss than the squared one: gaps are in units of the linear
                                    learner's change of outputs then
any other name (T,)                 a chart of its own
==================================  ===================================================================================

Beside ``steps``, an array that is longer than the last step has its value at every step. Where a cell has outputs but
no errors or gap, the page shows the mean squared error on the test samples, and RMS(network − linearized) in units of
the deviation of the targets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from comparisons.report.packing import Array, differences, evenly, moments, places, rounded, unit_of

Arrays = Mapping[str, NDArray[Any]]
Chart = dict[str, Any]

#: At most so many times, outputs and charts of a cell are shown.
STEPS, OUTPUTS, CHARTS = 48, 48, 6
TIMES = {"steps": "gradient step", **dict.fromkeys(("kernel_time", "time", "times"), "kernel time τ")}
PAIR = ("network", "linearized")  # names of two rows that have none
MODELS = (*PAIR, "kernel", "quadratic")  # arrays of errors that have the name of their learner
ERRORS = ("loss", "losses", "mse", *MODELS)  # arrays on the first chart
SETS = {"test": "test set", "train": "training set"}
ERROR, GAP = "error", "gap"  # keys of charts
TITLES = {ERROR: "Training error", GAP: "Gap: network − linearized"}
AXES = {ERROR: "error on the training set", GAP: "gap, RMS"}
UNITS = {True: "gap / RMS of the targets", False: "gap / change of the linear learner"}  # of the gaps on a set


@dataclass(frozen=True)
class Thinned:
    """The part of one cell that the page shows, and how much there was.

    Attributes
    ----------
    data
        JSON values. ``time``: what the times are. ``outputs``: None, or {times, learners, unit, curves, targets,
        names}, with curves as differences of whole units. ``charts``: [{key, title, axis, log, times, curves}], with
        values by the names of curves.
    curves
        Names of all curves.
    steps, outputs
        How many times and outputs the cell has.
    numbers
        How many numbers ``data`` has.
    """

    data: dict[str, Any]
    curves: tuple[str, ...]
    steps: int
    outputs: int
    numbers: int


def follows(arrays: Arrays) -> bool:
    """Whether the arrays of a cell have a time and something that the explorer shows along it."""
    name, times = time_of(arrays)
    return bool(name) and (_has_outputs(arrays, times) or bool(_curves(arrays, name, times)))


def time_of(arrays: Arrays) -> tuple[str, Array]:
    """Name and values (T,) of the time of a cell; an empty name without one."""
    names = (name for name in TIMES if name in arrays and arrays[name].ndim == 1 and arrays[name].size)
    return next(((name, arrays[name]) for name in names), ("", np.zeros(0)))


def thin(arrays: Arrays) -> Thinned:
    """The part of a cell's arrays that is shown; they must follow the convention."""
    name, times = time_of(arrays)
    curves = _curves(arrays, name, times)
    outputs = _outputs(arrays, times) if _has_outputs(arrays, times) else None
    charts = _charts(curves, times, "loss" in arrays, str(arrays.get("loss_name", "squared")))
    if outputs is not None:
        charts += _derived(arrays, times, {chart["key"] for chart in charts})
    charts = sorted(charts, key=lambda chart: [ERROR, GAP, chart["key"]].index(chart["key"]))[:CHARTS]
    names = dict.fromkeys([*(outputs or {"learners": ()})["learners"], *(each for c in charts for each in c["curves"])])
    return Thinned(
        {"time": TIMES[name], "outputs": outputs, "charts": charts},
        tuple(names),
        max(len(times), *(len(values) for _, _, values in curves), 0),
        arrays["test_targets"].size if outputs else 0,
        sum(len(chart["times"]) * len(chart["curves"]) for chart in charts)
        + (sum(map(len, outputs["curves"])) * len(outputs["times"]) if outputs else 0),
    )


def _has_outputs(arrays: Arrays, times: Array) -> bool:
    if not {"learners", "test", "test_targets"} <= set(arrays):
        return False
    test, targets = arrays["test"], arrays["test_targets"]
    head = (*arrays["learners"].shape, *times.shape)
    return test.ndim == 4 and head == test.shape[:2] and targets.shape == test.shape[2:] and 0 not in test.shape


def _learners(arrays: Arrays) -> list[str]:
    return [str(name) for name in arrays["learners"]] if "learners" in arrays else []


def _flat(test: NDArray[Any]) -> Array:
    """Outputs (k, T, n'·o)."""
    return np.asarray(test, dtype=float).reshape(*test.shape[:2], -1)


def _outputs(arrays: Arrays, times: Array) -> dict[str, Any]:
    """Test outputs, sorted by those of the linearized learner at the end."""
    learners, test, targets = _learners(arrays), _flat(arrays["test"]), arrays["test_targets"].reshape(-1)
    at, kept = places(times, STEPS), evenly(len(targets), OUTPUTS)
    lead = learners.index("linearized") if "linearized" in learners else 0
    last = np.nan_to_num(test[lead][:, kept], posinf=0.0, neginf=0.0)[-1]
    kept = kept[np.argsort(last, kind="stable")]
    shown = test[:, at][:, :, kept]
    unit = unit_of(shown, targets)
    return {
        "times": moments(times[at]),
        "learners": learners,
        "unit": unit,
        "curves": [[differences(row, unit) for row in learner.T] for learner in shown],
        "targets": rounded(targets[kept]),
        "names": [_name(int(place), arrays["test"].shape[3]) for place in kept],
    }


def _name(place: int, outputs: int) -> str:
    sample, output = divmod(place, outputs)
    return f"sample {sample + 1}" + (f", output {output + 1} of {outputs}" if outputs > 1 else "")


def _curves(arrays: Arrays, name: str, times: Array) -> list[tuple[str, str, Array]]:
    """Everything along the time: the key of its chart, its own name, and values (T,) or at every step."""
    models = [_words(key.removeprefix(GAP)) for key in arrays if _chart_of(key) == GAP]
    others = ["network", *(f"model, {each}" for each in models if each not in SETS)]
    learners, found = _learners(arrays) or (others if others[1:] else list(PAIR)), []
    for key, array in arrays.items():
        if key in (*TIMES, "learners", "test", "test_targets") or array.dtype.kind not in "fiu" or not array.ndim:
            continue
        length = array.shape[-1]
        if length == len(times) or (name == "steps" and length > max(times[-1], len(times))):
            rows = _rows(key, array, learners)
            found += [(_chart_of(key), curve, np.asarray(values, dtype=float)) for curve, values in rows]
    return found


def _rows(name: str, array: NDArray[Any], learners: Sequence[str]) -> list[tuple[str, Array]]:
    """The curves of an array (T,) or (k, T) with their names; none where rows have no names."""
    if array.ndim == 1:
        return [(_name_of_curve(name), array)]
    known = array.ndim == 2 and len(learners) == len(array)
    return list(zip(learners, array, strict=True)) if known else []


def _chart_of(name: str) -> str:
    """The key of the chart of an array."""
    if name in ERRORS or name.startswith("mse_"):
        return ERROR
    return GAP if name.startswith("gap") else name


def _name_of_curve(name: str) -> str:
    """The name of a curve from that of its array: ``mse_linearized`` is the linearized learner."""
    match _chart_of(name):
        case "gap":
            part = _words(name.removeprefix(GAP))
            return f"gap, {SETS.get(part, part)}" if part else "gap"
        case "error":
            return name if name in MODELS else name.removeprefix("mse_").replace("mse", PAIR[0])
    return _words(name)


def _words(name: str) -> str:
    return name.replace("_", " ").strip()


def _charts(curves: Sequence[tuple[str, str, Array]], times: Array, summed: bool, loss: str) -> list[Chart]:
    """Charts of these curves; those at every step have one of their own. Errors may be ``summed`` losses."""
    drawn: dict[tuple[str, int], dict[str, Array]] = {}
    for key, curve, values in curves:
        drawn.setdefault((key, len(values)), {})[curve] = values
    charts: dict[str, Chart] = {}
    for (key, length), shown in drawn.items():
        title, axis = TITLES.get(key, _words(key)), AXES.get(key, _words(key))
        if key == ERROR and summed:
            title, axis = "Training loss", "½ Σ (f − y)²" if loss == "squared" else "sum over samples"
        if key == GAP and set(shown) <= {f"gap, {each}" for each in SETS.values()}:
            axis = UNITS[loss == "squared"]
        own = key if key not in charts else f"{key}, every step"
        charts[own] = _chart(own, title, axis, times if length == len(times) else np.arange(length), shown)
    return list(charts.values())


def _derived(arrays: Arrays, times: Array, there: set[str]) -> list[Chart]:
    """Errors and gap on the test samples, where a cell has outputs and nothing of these itself."""
    learners, test, targets = _learners(arrays), _flat(arrays["test"]), arrays["test_targets"].reshape(-1)
    charts, scale = [], float(np.std(targets))
    with np.errstate(over="ignore", invalid="ignore"):  # of learners that diverged
        if ERROR not in there:
            errors = dict(zip(learners, np.mean((test - targets) ** 2, axis=2), strict=True))
            charts.append(_chart(ERROR, "Test error (no training loss was kept)", "mean (f − y)²", times, errors))
        if GAP not in there and set(PAIR) <= set(learners) and scale > 0:
            network, linearized = (test[learners.index(name)] for name in PAIR)
            gap = {f"gap, {SETS['test']}": np.sqrt(np.mean((network - linearized) ** 2, axis=1)) / scale}
            charts.append(_chart(GAP, TITLES[GAP], "gap / RMS of the test targets", times, gap))
    return charts


def _chart(key: str, title: str, axis: str, times: NDArray[Any], curves: Mapping[str, Array]) -> Chart:
    """Some curves (T,) at a few of their times, on a logarithmic axis if they are errors, or positive and no gaps."""
    at = places(times, STEPS)
    shown = {name: rounded(values[at]) for name, values in curves.items()}
    positive = all(value is None or value > 0 for values in shown.values() for value in values)
    log = key == ERROR or (key != GAP and positive)
    return {"key": key, "title": title, "axis": axis, "log": log, "times": moments(times[at]), "curves": shown}
