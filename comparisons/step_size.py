"""How large may a step be before tracking breaks, the linear model diverges, and the network gives up?

One network for each width and seed is trained at a grid of steps η = 2c/λ_max(K₀), from far below the critical step
(c = 1, where the linear model's fastest direction stops contracting) to far above it. All arms run to one kernel time
τ = c·t = 40 at least, and from there until the mean squared error is a tenth of its first value or the budget is
spent: ten times the steps of the linear learner, in closed form, at c = ½ (at an equal kernel time for smaller steps).
At large c, τ = 40 is a handful of steps in which an unstable direction has no time to show: no run ends before step 60.

Numbers
-------
tracking_limit, tracking_limit.<width>
    Largest c up to which the largest test gap |network − linearized| of τ ≤ 40 stays within 1.25 times that of the
    smallest c, at the largest width and at each. All limits are places on the grid, one per seed, averaged in logs.
gap_smallest_step, gap_smallest_step.<width>
    That gap at the smallest c, in units of RMS(y − f₀) on the training set.
linear_limit, linear_limit.<width>
    Smallest c at which the linear model's mean squared error exceeds ten times its first value within 10,000 steps. A
    self-check: it is the first c above 1, since the error along the top eigenvector grows as (2c − 1)^(2t).
network_limit, network_limit.<width>
    Largest c such that it and all smaller ones get the network to a tenth of its first error without diverging.
    Between linear_limit and here the network catapults (Lewkowycz et al. 2020): its error rises, its kernel shrinks,
    and then it trains.
nonmonotone_seeds, nonmonotone_seeds.<width>
    How many seeds train again at some c beyond their network_limit.
sharpness_after_catapult, sharpness_after_catapult.<width>
    ηλ_max(K_T)/2 at network_limit, where that is above 1. It is the kernel's sharpness, not the Hessian's; 1 is the
    edge.
catapult_peak, catapult_peak.<width>
    Largest mean squared error on the way there over the first one (geometric mean).
live_gates, live_gates_start, live_gates.<width>, live_gates_start.<width>
    Share of open ReLU gates on the training set at network_limit after training, and before.
weight_motion_ratio, weight_motion_ratio.<width>
    ‖W_t − W₀‖_F at 0.8·network_limit over that at c = ¼, both where the error passes a tenth of its first value
    (interpolated in logs, between steps and between values of c).
critical_step_times_width.<width>, exponent.critical_step_times_width
    η_crit·m = 2m/λ_max(K₀), and its exponent in m. The step of Allen-Zhu, Li, Song 2019 (Theorem 1) is a 1/m times a
    polynomial in n and L: exponent 0 here is their 1/m.
critical_step_times_width.infinite
    The same of the closed-form kernel K∞ of infinite width, which the values at finite width approach.
f0_share, noise_floor
    ‖f₀‖²/‖y − f₀‖²; largest disagreement of two computations of the linear model, in units of the gap.
<number>.<readout>
    The same for a further readout.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from comparisons import _exponents
from comparisons._settings import CentredSettings, build, training_cost
from comparisons._shape import Conclusion, Number
from comparisons._words import plain, power, side, told
from lab.costs import Cost
from lab.errors import check_integer, check_number

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

question = "How large may a step be before tracking breaks, the linear model diverges, and the network gives up?"
asked_by = "R1"
version = 1
GRID = (*CentredSettings.GRID, "smallest_fraction", "largest_fraction", "per_octave")

REACHED = 0.1  # of the first mean squared error
TRACKS = 1.25  # times the gap at the smallest step
EXPLODES = 10.0  # times the linear model's first mean squared error
LINEAR_STEPS = 10_000  # in which it may
EDGE = 0.6  # share of linear_limit from which tracking ends where the linear model does: one or two places of the grid
VAGUE = 1.0  # length of an interval of an exponent beyond which it says nothing
REFERENCE, NEAR_LIMIT = 0.25, 0.8  # c, and share of network_limit, between which weight motion is compared


@dataclass(frozen=True)
class Settings(CentredSettings):
    """Settings of the step-size comparison: those of `CentredSettings`, the grid of steps, and how long to train.

    Parameters
    ----------
    critical_fraction
        c (below 1) at which the linear learner's own time sets the budget; the steps of the runs are the grid's.
    smallest_fraction, largest_fraction
        Ends of the grid of c.
    per_octave
        Values of c in each factor of 2.
    kernel_time
        τ = c·t up to which gaps are compared.
    patience
        Budget, in steps of the linear learner at ``critical_fraction`` until a tenth of its first error.
    least_steps
        No run ends before this step.
    """

    widths: tuple[int, ...] = (64, 128, 256)
    smallest_fraction: float = 0.05
    largest_fraction: float = 64.0
    per_octave: int = 2
    kernel_time: float = 40.0
    patience: float = 10.0
    least_steps: int = 60

    GRID: ClassVar[tuple[str, ...]] = GRID

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("critical_fraction", self.critical_fraction, above=0, below=1)
        check_number("smallest_fraction", self.smallest_fraction, above=0, below=1)
        check_number("largest_fraction", self.largest_fraction, above=1)
        check_number("kernel_time", self.kernel_time, above=0)
        check_number("patience", self.patience, above=0)
        check_integer("per_octave", self.per_octave, 1)
        check_integer("least_steps", self.least_steps, 1)

    def fractions(self) -> list[float]:
        """The grid of c: ``smallest_fraction`` times powers of 2^(1/per_octave)."""
        octaves = math.log2(self.largest_fraction / self.smallest_fraction)
        count = math.floor(octaves * self.per_octave * (1 + 1e-12)) + 1
        return [float(f"{self.smallest_fraction * 2 ** (k / self.per_octave):.4g}") for k in range(count)]


PRESETS = {
    "fast": Settings(widths=(32, 64), seeds=3, samples=24, smallest_fraction=0.1, largest_fraction=16, patience=5.0),
    "default": Settings(),
    "full": Settings(widths=(64, 128, 256, 512, 1024), seeds=10, per_octave=4),
}


def cells(settings: Settings) -> list[dict[str, Any]]:
    """One cell for every readout, width, seed and c."""
    return [{**cell, "fraction": fraction} for cell in settings.cells() for fraction in settings.fractions()]


def cost(cell: dict[str, Any]) -> Cost:
    """Flops of the steps to τ, about what most runs take, and of three kernels; bytes of weights and states."""
    return training_cost(cell, max(_window(cell), 2 * cell["least_steps"]), kernels=3)


def _window(cell: dict[str, Any]) -> int:
    """Steps to the kernel time at which gaps are compared; lab.measures.hitting.steps_for would load torch."""
    return max(math.ceil(cell["kernel_time"] / cell["fraction"] * (1 - 1e-12)), 1)


def measure(cell: dict[str, Any]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Train one network at one step, beside its linear model in closed form."""
    import lab
    from lab.measures.hitting import linear_mse

    task, network = build(cell)
    regressor = lab.KernelRegressor.at(network, task)
    rate = 2 * cell["fraction"] / regressor.spectrum.lambda_max
    residual = (regressor.outputs - regressor.targets).numpy()
    run = _Run(network, task, float((residual**2).mean()))
    run.train(rate, _window(cell), cell["least_steps"], _budget(cell, regressor, residual))
    linear = regressor.trajectory(lab.Descent(_window(cell), learning_rate=rate), rate)
    gap = _gap(run, linear, math.sqrt(run.start_mse))
    far = linear_mse(regressor.spectrum, residual, rate, np.array([LINEAR_STEPS]))[0] / run.start_mse
    path = linear_mse(regressor.spectrum, residual, rate, np.arange(len(run.mse))) / run.start_mse
    row = {
        **{name: cell[name] for name in ("readout", "width", "seed", "fraction")},
        **_row(cell, run, regressor, rate),
        "gap_test": _exponents.finite(float(gap.max())),
        "linear_diverges": bool(not far <= EXPLODES),
        "linear_noise": _noise(network, task, linear, rate) if 0.5 <= cell["fraction"] < 1 else None,
    }
    return row, {"mse": np.array(run.mse), "mse_linearized": path, "steps": linear.steps, "gap_test": gap}


def _budget(cell: dict[str, Any], regressor: Any, residual: np.ndarray) -> int:
    """Steps after which a run is undecided; the patience in kernel time where the linear learner never arrives."""
    from lab.measures.hitting import hitting_step

    reference, spectrum = cell["critical_fraction"], regressor.spectrum
    rate, goal = 2 * reference / spectrum.lambda_max, REACHED * float((residual**2).mean())
    steps = hitting_step(spectrum, residual, rate, goal) or cell["kernel_time"] / reference
    slower = max(reference / cell["fraction"], 1.0)
    return max(math.ceil(cell["patience"] * steps * slower), _window(cell), cell["least_steps"])


@dataclass
class _Run:
    """A network on its way: errors in units of the first one at every step, test outputs in the window of the gap."""

    network: Any
    task: Any
    start_mse: float
    mse: list[float] = field(default_factory=list)
    test: list[np.ndarray] = field(default_factory=list)
    motion: float | None = None  # where the error last passed the goal
    diverged_at: int | None = None
    trained: Any = None

    def train(self, rate: float, window: int, least: int, budget: int) -> None:
        """Descend until the goal is reached after both ``window`` and ``least`` steps, or the budget is spent."""
        import torch

        import lab

        recorded = set(lab.Descent(window, learning_rate=rate).recorded().tolist())
        self.trained = self.network.copy()
        descent = lab.Descent(budget, learning_rate=rate, record="all")
        path = lab.descend(self.trained, self.task, descent, in_place=True)
        last = 0.0
        for snapshot in path:
            if snapshot.step in recorded:
                with torch.no_grad():
                    self.test.append(self.trained(self.task.test_inputs).flatten(1).double().numpy())
            last = self._look(snapshot.loss, last)
            if self.mse[-1] < REACHED and snapshot.step >= max(window, least):
                return
        self.diverged_at = path.diverged_at

    def _look(self, loss: float, last: float) -> float:
        """Note the error, and the motion where it passes the goal; returns the motion."""
        self.mse.append(2 * loss / self.task.train_targets.numel() / self.start_mse)
        before, now = self.network.trained, self.trained.trained
        moved = math.sqrt(sum(float((now[name] - before[name]).detach().square().sum()) for name in now))
        if len(self.mse) > 1 and self.mse[-1] < REACHED <= self.mse[-2]:
            share = math.log(self.mse[-2] / REACHED) / math.log(self.mse[-2] / max(self.mse[-1], 1e-300))
            self.motion = last + share * (moved - last)
        return moved

    @property
    def outcome(self) -> str:
        """One of the three exits: reached, diverged, undecided."""
        if self.diverged_at is not None:
            return "diverged"
        return "reached" if self.mse[-1] < REACHED else "undecided"


def _gap(run: _Run, linear: Any, scale: float) -> np.ndarray:
    """Test gap at the recorded steps of the window; inf from a divergence of either on."""
    from lab.measures.gap import tracking_gap

    network = np.full_like(linear.test, np.nan)
    network[: len(run.test)] = run.test
    gap = tracking_gap(network, linear.test, scale)
    ends = [end for end in (run.diverged_at, linear.diverged_at) if end is not None]
    return np.where(linear.steps >= min(ends), np.inf, gap) if ends else gap


def _row(cell: dict[str, Any], run: _Run, regressor: Any, rate: float) -> dict[str, Any]:
    start = float(regressor.outputs.square().sum()) / (run.start_mse * regressor.targets.numel())
    diverged = run.diverged_at is not None
    return {
        "outcome": run.outcome,
        "steps": len(run.mse) - 1,
        "final_mse": None if diverged else run.mse[-1],
        "peak_mse": None if diverged else max(run.mse),
        "motion": run.motion if run.outcome == "reached" else None,
        "sharpness": None if diverged else rate * _lambda_max(run.trained, run.task) / 2,
        "live_gates": None if diverged else _live(run.trained, run.task),
        "live_gates_start": _live(run.network, run.task),
        "critical_step_times_width": 2 * cell["width"] / regressor.spectrum.lambda_max,
        "critical_step_infinite": _infinite_step(run.network, run.task),
        "learning_rate": rate,
        "lambda_max": regressor.spectrum.lambda_max,
        "lambda_min": regressor.spectrum.lambda_min,
        "f0_share": start,
        "diverged": run.diverged_at or False,
        "reasons": f"network diverged at step {run.diverged_at}" if diverged else "",
    }


def _infinite_step(network: Any, task: Any) -> float | None:
    """2m/λ_max of the infinitely wide network, where its kernel has a closed form."""
    import lab
    from lab.kernels.spectrum import Spectrum

    inner = getattr(network, "network", network)
    try:
        limit = lab.infinite_ntk(inner, task.train_inputs)
    except lab.LabError:
        return None
    return 2 * inner.width / Spectrum(limit).lambda_max


def _lambda_max(network: Any, task: Any) -> float:
    """λ_max of the kernel, which is 0 where every gate has closed."""
    import torch

    kernel = network.jacobian(task.train_inputs).gram().double()
    rows = task.train_targets.numel()
    return float(torch.linalg.eigvalsh(kernel.reshape(rows, rows))[-1])


def _live(network: Any, task: Any) -> float | None:
    gates = network.gates(task.train_inputs)
    return None if gates is None else float(gates.double().mean())


def _noise(network: Any, task: Any, linear: Any, rate: float) -> float:
    """Largest disagreement between the closed form and the Taylor model iterated in weight space."""
    import lab
    from lab.learners.linearized import taylor_trajectory
    from lab.measures.gap import disagreement, rms

    steps = linear.steps
    again = taylor_trajectory(network, task, lab.Descent(int(steps[-1]), learning_rate=rate), rate)
    return disagreement(again.test, linear.test, float(rms(task.train_targets.flatten(1).numpy() - linear.train[0])))


def conclude(table: pd.DataFrame) -> Conclusion:
    """The three limits at each width and what goes with them, and a verdict on the largest width."""
    numbers: dict[str, Number] = {}
    for place, readout in enumerate(_exponents.readouts(table)):
        arm, suffix = table[table["readout"] == readout], f".{readout}" if place else ""
        for width in sorted(arm["width"].unique()):
            found = _at_width(arm[arm["width"] == width])
            numbers |= {f"{name}.{width}{suffix}": number for name, number in found.items()}
        numbers |= {f"{name}{suffix}": number for name, number in found.items() if name != "critical_step_times_width"}
        once = arm.sort_values("fraction").groupby(["width", "seed"], as_index=False).first()
        step = _exponents.fit(once, "critical_step_times_width")
        numbers[f"exponent.critical_step_times_width{suffix}"] = _exponents.number(step)
        numbers[f"critical_step_times_width.infinite{suffix}"] = _infinite(arm)
    floor = table["linear_noise"].max()
    numbers["noise_floor"] = Number(_exponents.finite(float(floor)), None, int(table["seed"].nunique()))
    numbers["f0_share"] = Number.mean(table.groupby("seed")["f0_share"].mean())
    return Conclusion(numbers, verdict(numbers, int(table["width"].max())))


def _infinite(arm: pd.DataFrame) -> Number:
    """The closed form, which no seed changes."""
    known = arm["critical_step_infinite"].dropna()
    if known.empty:
        return Number.none("K∞ has no closed form for this activation and parametrization")
    return Number(float(known.iloc[0]), None, 0)


def _at_width(arm: pd.DataFrame) -> dict[str, Number]:
    """Numbers of one width and readout, from the limits of each seed."""
    seeds = [_Limits.of(rows.sort_values("fraction")) for _, rows in arm.groupby("seed")]
    firsts = arm.sort_values("fraction").groupby("seed").first()
    limits = {
        f"{name}_limit": _exponents.threshold([t.value for t in places], [t.censored for t in places])
        for name, places in (
            ("tracking", [each.tracking for each in seeds]),
            ("linear", [each.linear for each in seeds]),
            ("network", [each.network for each in seeds]),
        )
    }
    flown = [each for each in seeds if each.network.censored is None and each.network.value > 1]
    missing = Number.none("no catapult: network_limit is not above 1, or outside the grid, in some seed", len(seeds))
    catapults = {
        "sharpness_after_catapult": [each.at_limit["sharpness"] for each in flown],
        "live_gates": [each.at_limit["live_gates"] for each in flown],
    }
    complete = bool(seeds) and len(flown) == len(seeds)
    return {
        **limits,
        **{name: Number.mean(values) if complete else missing for name, values in catapults.items()},
        "gap_smallest_step": Number.mean(firsts["gap_test"]),
        "live_gates_start": Number.mean(firsts["live_gates_start"]),
        "catapult_peak": Number.geometric([each.at_limit["peak_mse"] for each in flown]) if complete else missing,
        "weight_motion_ratio": Number.geometric([each.motion_ratio for each in seeds]),
        "nonmonotone_seeds": Number(float(sum(each.returns for each in seeds)), None, len(seeds)),
        "critical_step_times_width": Number.geometric(firsts["critical_step_times_width"]),
    }


@dataclass(frozen=True)
class _Limits:
    """The three limits of one seed, whether it trains again beyond the last, its row there, its motion."""

    tracking: Any
    linear: Any
    network: Any
    returns: bool
    at_limit: Any
    motion_ratio: float | None

    @classmethod
    def of(cls, rows: pd.DataFrame) -> _Limits:
        """From the rows of one seed, by ascending c."""
        from lab.measures.thresholds import first_hit, holds_up_to

        c, reached = rows["fraction"].to_numpy(float), (rows["outcome"] == "reached").to_numpy()
        gaps = rows["gap_test"].to_numpy(float)
        network = holds_up_to(c, reached)
        good = int(np.argmin(reached)) if not reached.all() else len(reached)
        at_limit = rows.iloc[max(good - 1, 0)]
        inside = network.censored is None
        return cls(
            tracking=holds_up_to(c, gaps <= TRACKS * gaps[0]),
            linear=first_hit(c, rows["linear_diverges"].to_numpy(bool)),
            network=network,
            returns=bool(reached[good:].any()),
            at_limit=at_limit,
            motion_ratio=_motion_ratio(c[:good], rows["motion"].to_numpy(float)[:good]) if inside else None,
        )


def _motion_ratio(c: np.ndarray, motion: np.ndarray) -> float | None:
    """Motion at 0.8 of the last c over that at ¼, both interpolated in logs; None where the grid does not hold them."""
    wanted = np.log([NEAR_LIMIT * c[-1], REFERENCE])
    if not (np.log(c[0]) <= wanted).all() or not (wanted <= np.log(c[-1])).all() or not np.isfinite(motion).all():
        return None
    near, reference = np.interp(wanted, np.log(c), np.log(motion))
    return float(np.exp(near - reference))


def verdict(numbers: dict[str, Number], width: int) -> str:
    """The largest step of the network, those of tracking and of the linear model, and the theorem's 1/width."""
    network = numbers["network_limit"]
    if network.value is None:
        first = f"At width {width} the network's largest step is not inside this grid ({network.reason})."
    else:
        rises = numbers["catapult_peak"]
        peak = "" if rises.value is None else f", where its error first rises {told(rises)} times"
        first = f"At width {width} the network trains at up to {told(network)} times the critical step 2/λ_max{peak}."
    return " ".join(filter(None, (first, _linear(numbers, network), _law(numbers))))


def _linear(numbers: dict[str, Number], network: Number) -> str:
    """Where tracking breaks and where the linear model diverges."""
    tracking, linear = numbers["tracking_limit"], numbers["linear_limit"]
    edge = "never diverges here" if linear.value is None else f"diverges from {plain(linear.value)} on"
    if linear.value is not None and network.value is not None and network.value <= linear.value:
        edge += ", so the network gets no further than that"
    if tracking.value is None:
        return f"Tracking does not break inside this grid, and the linear model {edge}."
    latest = tracking.value if tracking.interval is None else tracking.interval[1]
    if linear.value is not None and latest >= EDGE * linear.value:
        return f"It tracks the linear model up to {told(tracking)}, and the linear model {edge}."
    return f"Tracking breaks at {told(tracking)}, well before the linear model, which {edge}."


def _law(numbers: dict[str, Number]) -> str:
    """Whether the critical step falls as the theorem's 1/width; nothing without an interval."""
    step = numbers["exponent.critical_step_times_width"]
    if step.value is None or step.interval is None:
        return ""
    if step.interval[1] - step.interval[0] > VAGUE:
        return "Seeds differ too much here to see the theorem's 1/width."
    judged = "compatible with" if side(step, 0.0) == "open" else "at odds with"
    return f"The critical step times the width goes as {power(step)}: {judged} the theorem's 1/width."


def draw(results: Any, conclusion: Conclusion) -> dict[str, Figure]:
    """The three limits along c, and errors over kernel time at a few c."""
    return {"limits": _draw_limits(results.table, conclusion), "losses": _draw_losses(results)}


def _draw_limits(table: pd.DataFrame, conclusion: Conclusion) -> Figure:
    from lab.figures import style

    main = table[table["readout"] == _exponents.readouts(table)[0]]
    figure, axes = style.panels(1, 2, size=(7.4, 3.4), sharex=True)
    gap, trained = axes[:, 0]
    colors = [color for color in style.QUANTITIES if color != style.LINEARIZED.color]
    for width, color in zip(sorted(main["width"].unique()), colors, strict=False):
        arm = main[main["width"] == width]
        _gap_curve(gap, arm, color, f"width {width}")
        share = (arm["outcome"] == "reached").groupby(arm["fraction"]).mean()
        trained.plot(share.index, share, "o-", color=color, markersize=4, label=f"network, width {width}")
    linear = 1.0 - main.groupby("fraction")["linear_diverges"].mean()
    line = style.LINEARIZED
    trained.plot(
        linear.index, linear, color=line.color, linestyle=line.linestyle, label="linear model does not diverge"
    )
    gap.set_ylabel("largest gap |network − linearized|\n(test, in units of RMS(y − f₀))")
    trained.set_ylabel(f"share of seeds that come to\n{REACHED:g} of their first error")
    trained.set_xlabel("step in units of the critical step, c = ηλ_max(K₀)/2")
    _mark_limits((gap, trained), conclusion)
    trained.legend(loc="upper center", bbox_to_anchor=(0.5, -0.24), ncols=2)
    style.headline(figure, question)
    return figure


def _gap_curve(ax: Any, arm: pd.DataFrame, color: str, label: str) -> None:
    """Gaps of the seeds as points, and their geometric mean, up to the first c at which a model diverged in time."""
    from lab.figures import curves

    grid = arm.pivot(index="seed", columns="fraction", values="gap_test").astype(float)
    whole = grid.notna().all().to_numpy()
    good = grid.loc[:, np.logical_and.accumulate(whole)]
    for row in good.to_numpy():
        ax.plot(good.columns, row, "o", color=color, alpha=0.25, markersize=3)
    curves.log_band(ax, good.columns.to_numpy(float), np.log(good.to_numpy()), color=color, label=label)


def _mark_limits(axes: Any, conclusion: Conclusion) -> None:
    """The three limits of the largest width through both panels, with their intervals; the catapult window shaded."""
    from lab.figures.style import GREY

    limits = {name: conclusion.numbers[f"{name}_limit"] for name in ("tracking", "linear", "network")}
    found = {name: limit.value for name, limit in limits.items()}
    words = {"tracking": "tracking\nends", "linear": "linear model\ndiverges", "network": "network\ngives up"}
    for ax in axes:
        ax.set_xscale("log")
        for value in found.values():
            if value is not None:
                ax.axvline(value, color=GREY, linestyle="--", linewidth=1.1, zorder=1)
        if found["linear"] and found["network"] and found["network"] > found["linear"]:
            ax.axvspan(found["linear"], found["network"], color="#E69F00", alpha=0.13, linewidth=0)
    for name, value in found.items():
        if value is not None:
            side = "right" if name == "tracking" else "left"
            shift = (-5 if side == "right" else 5, 0)
            place = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points", "ha": side, "va": "center"}
            axes[0].annotate(words[name], (value, 0.5), shift, color=GREY, **place)
            across = axes[0].get_xaxis_transform()
            axes[0].plot(limits[name].interval or [value] * 2, [0.39] * 2, color=GREY, linewidth=2.5, transform=across)
    if found["linear"] and found["network"] and found["network"] > found["linear"]:
        middle = math.sqrt(found["linear"] * found["network"])
        axes[1].annotate("catapult", (middle, 0.5), xycoords=("data", "axes fraction"), ha="center", color=GREY)


def _draw_losses(results: Any) -> Figure:
    from lab.figures import style

    table, fractions = results.table, _few(results.table)
    main = table[table["readout"] == _exponents.readouts(table)[0]]
    width, seed = int(main["width"].max()), int(main["seed"].min())
    figure, axes = style.panels(1, size=(7.4, 4.8))
    ax = axes[0, 0]
    ax.set(xscale="log", yscale="log", ylim=(1e-2, 1e3))  # first: limits to fit what diverges would be no numbers
    for fraction, color in zip(fractions, style.QUANTITIES, strict=False):
        arrays = results.arrays(width=width, seed=seed, readout=main["readout"].iloc[0], fraction=fraction)
        tau = fraction * np.arange(1, len(arrays["mse"]))
        ax.plot(tau, arrays["mse"][1:], color=color, label=f"c = {fraction:.3g}", linewidth=2.0)
        ax.plot(tau, arrays["mse_linearized"][1:], color=color, linestyle=(0, (4, 2)), linewidth=1.0)
    ax.axhline(1, color=style.GREY, linewidth=0.8)
    ax.axhline(REACHED, color=style.GREY, linewidth=0.8, linestyle="--")
    ax.set_xlabel("kernel time τ = c · (gradient steps)")
    ax.set_ylabel("mean squared error over its first value\n(solid: network, dashed: linear model)")
    style.legend_below(ax, columns=len(fractions))
    style.headline(figure, f"Error at steps below and above the critical one (width {width})")
    return figure


def _few(table: pd.DataFrame) -> list[float]:
    """A small step, one below the edge, one above it, the last that works for the first seed, and the next."""
    main = table[(table["readout"] == _exponents.readouts(table)[0]) & (table["width"] == table["width"].max())]
    rows = main[main["seed"] == main["seed"].min()].sort_values("fraction")
    c, limit = rows["fraction"].to_numpy(float), _Limits.of(rows).network.value
    wanted = [c[0], c[c < 1].max(), c[c > 1].min() * 1.4, limit, limit * 1.4]
    return sorted({float(c[np.abs(np.log(c / value)).argmin()]) for value in wanted})
