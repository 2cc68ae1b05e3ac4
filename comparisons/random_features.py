"""What can random features not do, and what does a network that moves its features do instead?

Part one, without samples: random ReLU features relu(⟨v, x⟩ + b) of x ~ N(0, I_d), v uniform on the sphere, b normal,
are fitted to a target in the population (`lab.measures.population`, closed form). r* is the smallest number of features
whose error is low enough, u their coefficients. Yehudai and Shamir 2019 prove that there are single neurons with
weights polynomial in d for which r* or max|u| is exponential in d; their bound is on the product r·max|u|. The cases:

    neuron_20, neuron_10   a single neuron relu(x_1 + bias), to 20 % or 10 % of the best affine predictor's error: the
                           same relative accuracy at every d (``tolerances``)
    theorem                the same neuron with weights of norm d², to an absolute mean square error of 1/50: the
                           theorem's setting, a relative accuracy of order d⁻⁴
    wave                   a triangle wave in x_1 whose kinks are ``wave_spacing``/√d apart, a sum of shifted ReLUs as
                           in the proof with fewer kinks than there (so that some d are in reach), to the first accuracy

Part two, from n samples: a recurrent network reads x in L pieces and has to say relu(⟨w, [x_1…x_L]⟩) at step L. Every
learner chooses one thing on one validation set of n more samples: a penalty, or when to stop.

Errors are mean squares in units of the best affine predictor's (in part two, of the one fitted to the same n samples),
so that 1 is no better than a plane. A seed draws features, network and, unlike elsewhere, the samples too: how well a
learner generalises should not hang on one set of n points.

Numbers
-------
features.<d>, features.<d>.<case>
    r*, geometric mean over seeds; without a name for the first case. Where some seed does not get there: none, and how
    many features were not enough.
log_coefficient_slope.d, log_coefficient_slope.log_d (and with .<case>)
    Slopes of log(r*·max|u|) on d and on log d, u by least squares with r* features. Dimensions at which a seed is
    censored are left out (its u is unknown, so no censored regression can use it); fewer than three left: none.
wide_coefficient_slope.d, wide_coefficient_slope.log_d (and with .<case>)
    The same for all R features with coefficients as small as ridge regression makes them at that accuracy. The bound
    is on every combination, not only on the one with fewest features, and this product is the smaller of the two and
    by far the less noisy (max|u| at r* hangs on a few almost parallel features): the verdict judges by it.
aic_difference, wide_aic_difference (and with .<case>)
    AIC of the power law in d minus AIC of the exponential, for either product, per seed (`lab.measures.growth`): above
    0 the exponential fits better, and an interval around 0 decides nothing.
error.features, error.features_infinite
    Test error of part two at the largest d, geometric mean: the output layer alone is trained, at the network's own
    width (`lab.learners.features`), and at infinite width (`lab.infinite_ntk` for B).
error.kernel
    The tangent kernel of W, A and B at infinite width.
error.network, error.network_wb, error.network_w
    Networks under gradient descent: W, A and B at a small scale α (`lab.Scaled`), where features move far; W and B
    alike, which sees each input only through fixed random features A x_t and cannot turn them; and W alone at α = 1 in
    the paper's parametrization.
error_ratio.<learner>
    error.network over that learner's, paired by seed, geometric mean.
motion.network, motion.network_wb, motion.network_w
    ‖θ − θ₀‖/‖θ₀‖ over the trained weights when training stops.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from comparisons import _one_neuron
from comparisons._settings import check_distinct
from comparisons._shape import Conclusion, Number
from comparisons._words import power, side, told
from lab.costs import Cost, eigenvectors, training_step
from lab.errors import check_integer, check_number, refuse

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

question = "What can random features not do, and what does a network that moves its features do instead?"
asked_by = "R3 [Yehudai, Shamir]"
version = 1
GRID = ("dimensions", "seeds")

THEOREM_ERROR = 1 / 50
CURVE = 40  # numbers of features, log-spaced, at which a cell keeps its error
LEARNERS = {
    "features": "random features, width of the network",
    "features_infinite": "random features, infinitely many",
    "kernel": "tangent kernel, infinite width",
    "network_w": "network, W alone, α = 1 (the paper's)",
    "network_wb": "network, W and B, small α",
    "network": "network, W, A and B, small α",
}
COLORS = {"features": "#E69F00", "features_infinite": "#E69F00", "kernel": "#000000"}  # the rest are networks
FEWEST = 3  # dimensions for a slope


def _fixed(tolerance: float) -> str:
    """Name of the case of a single neuron at this relative tolerance."""
    return f"neuron_{100 * tolerance:g}".replace(".", "p")


@dataclass(frozen=True)
class Settings:
    """Settings of the random-features comparison.

    Parameters
    ----------
    dimensions
        Input dimensions d; the largest, which ``length`` must divide, is that of part two.
    seeds
        How many draws of features, networks and samples.
    features
        R, the largest number of random features tried.
    tolerances
        Relative errors below 1, in units of the best affine predictor's; the first is the main one.
    bias
        Of the target neuron, in units of the norm of its weights.
    bias_spread
        Standard deviation of the features' biases; 0 for none (their Gram matrix is the arc-cosine kernel then).
    wave_spacing
        Kinks of the wave are this over √d apart.
    length
        Time steps L into which x is cut.
    samples
        Training samples n of part two, and as many for validation.
    test
        Test samples.
    width
        Hidden units m of its networks.
    alpha
        Their scale α; the smaller, the further features move.
    critical_fraction
        c in η = 2c/λ_max(K₀). Small, since at small α the kernel grows manifold and the largest stable rate falls.
    steps
        Gradient steps.
    """

    dimensions: tuple[int, ...] = (2, 3, 4, 5, 6, 8, 12, 16)
    seeds: int = 5
    features: int = 1024
    tolerances: tuple[float, ...] = (0.2, 0.1)
    bias: float = 0.0
    bias_spread: float = 1.0
    wave_spacing: float = 4.0
    length: int = 4
    samples: int = 256
    test: int = 2000
    width: int = 128
    alpha: float = 0.03
    critical_fraction: float = 0.1
    steps: int = 2000

    def __post_init__(self) -> None:
        for name in ("seeds", "features", "length", "width", "steps"):
            check_integer(name, getattr(self, name), 1)
        for name in ("samples", "test"):
            check_integer(name, getattr(self, name), 2)
        for name in ("wave_spacing", "alpha", "critical_fraction"):
            check_number(name, getattr(self, name), above=0)
        check_number("bias", self.bias)
        check_number("bias_spread", self.bias_spread, above=0, closed=True)
        for dimension in self.dimensions:
            check_integer("dimensions", dimension, 2)
        for tolerance in self.tolerances:
            check_number("tolerances", tolerance, above=0, below=1)
        check_distinct("dimensions", self.dimensions)
        check_distinct("tolerances", [_fixed(tolerance) for tolerance in self.tolerances])
        if max(self.dimensions) % self.length:
            came = f"{self.length} with a largest dimension of {max(self.dimensions)}"
            refuse("length", came, "a divisor of the largest dimension", "x is cut into pieces of equal size")
        if self.samples <= max(self.dimensions):
            allowed = f"more than the largest dimension, {max(self.dimensions)}"
            refuse("samples", self.samples, allowed, "the affine predictor needs that many")


_QUICK = {"features": 384, "samples": 128, "test": 500, "width": 64, "steps": 600}
PRESETS = {
    "fast": Settings(dimensions=(2, 3, 4, 6, 8), seeds=3, **_QUICK),
    "default": Settings(),
    "full": Settings(seeds=10, features=4096, samples=512, width=512, steps=4000),
}

_POPULATION = ("features", "tolerances", "bias", "bias_spread", "wave_spacing")
_SAMPLED = ("length", "samples", "test", "width", "alpha", "critical_fraction", "steps", "bias")


def cells(settings: Settings) -> list[dict[str, Any]]:
    """For each seed, one cell for every target and dimension, and one for the learners at the largest dimension."""
    every = asdict(settings)
    population = {name: every[name] for name in _POPULATION} | {"tolerances": list(settings.tolerances)}
    sampled = {name: every[name] for name in _SAMPLED} | {"dimension": max(settings.dimensions)}
    fits = [
        {"part": "population", "target": target, "dimension": dimension, "seed": seed, **population}
        for target in ("neuron", "wave")
        for dimension in settings.dimensions
        for seed in range(settings.seeds)
    ]
    return fits + [{"part": "samples", "target": "neuron", "seed": seed, **sampled} for seed in range(settings.seeds)]


def cost(cell: dict[str, Any]) -> Cost:
    """Gram matrix (200 flops an entry), its factors and eigenvectors; or three networks under descent."""
    if cell["part"] == "population":
        entries = cell["features"] ** 2
        return Cost(200.0 * entries, 8.0 * 6 * entries) + eigenvectors(cell["features"])
    sizes = (cell["samples"], cell["length"], cell["width"])
    held = 3 * cell["samples"] + cell["test"]
    work = len(_one_neuron.NETWORKS) * cell["steps"] * training_step(*sizes)
    return work.holding(8.0 * (held * cell["length"] * cell["width"] + 4 * cell["width"] ** 2 + held * cell["samples"]))


def measure(cell: dict[str, Any]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """One least-squares fit in the population, for every number of features; or all learners on one draw of samples."""
    return _measure_population(cell) if cell["part"] == "population" else _measure_samples(cell)


def _cases(cell: dict[str, Any], affine_error: float) -> dict[str, tuple[float, float]]:
    """Of each case, the error asked for and the norm of the target's weights, for a target of unit weights."""
    d, tolerances = cell["dimension"], cell["tolerances"]
    if cell["target"] == "wave":
        return {"wave": (tolerances[0] * affine_error, 1.0)}
    fixed = {_fixed(tolerance): (tolerance * affine_error, 1.0) for tolerance in tolerances}
    return {**fixed, "theorem": (THEOREM_ERROR / d**4, float(d**2))}


def _measure_population(cell: dict[str, Any]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    from lab.measures import population

    d, limit = cell["dimension"], cell["features"]
    if cell["target"] == "wave":
        target = population.triangle_wave(d, cell["wave_spacing"] / math.sqrt(d))
    else:
        target = population.single_neuron(d, cell["bias"])
    neurons = population.random_neurons(limit, d, bias_spread=cell["bias_spread"], seed=cell["seed"])
    fit, affine = population.PopulationFit(neurons, target), target.affine_error
    row = {"part": "population", "target": cell["target"], "dimension": d, "seed": cell["seed"], "limit": limit}
    row |= {"affine_error": affine, "error_at_limit": float(fit.errors[-1] / affine), "diverged": False}
    reasons = []
    for case, (error, norm) in _cases(cell, affine).items():
        count = fit.features_for(error)
        row |= dict.fromkeys((f"features_{case}", f"product_{case}", f"wide_product_{case}"))
        if count is None:
            reasons.append(f"features_{case}: right censored at {limit}")
            continue
        row[f"features_{case}"] = count
        row[f"product_{case}"] = count * norm * float(np.abs(fit.coefficients(count)).max())
        small = fit.small_coefficients(error)
        row[f"wide_product_{case}"] = None if small is None else limit * norm * float(np.abs(small).max())
    counts = np.unique(np.geomspace(1, limit, CURVE).round().astype(int))
    return {**row, "reasons": "; ".join(reasons)}, {"counts": counts, "errors": fit.errors[counts - 1] / affine}


def _measure_samples(cell: dict[str, Any]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    task, affine = _one_neuron.build(cell)
    errors: dict[str, float | None] = {**_one_neuron.learn_linearly(cell, task)}
    row, curves = {}, {}
    for name in _one_neuron.NETWORKS:
        found, curves[name] = _one_neuron.train(cell, task, name)
        errors[name] = found.pop("error")
        row |= {f"{what}_{name}": value for what, value in found.items()}
    reasons = [f"error_{name}: diverged" for name, error in errors.items() if error is None]
    scaled = {f"error_{name}": None if error is None else error / affine for name, error in errors.items()}
    start = {"part": "samples", "target": "neuron", "dimension": cell["dimension"], "seed": cell["seed"]}
    end = {"affine_error": affine, "diverged": bool(reasons), "reasons": "; ".join(reasons)}
    return start | scaled | row | end, curves


def conclude(table: pd.DataFrame) -> Conclusion:
    """Features and slopes of every case, errors of every learner, and a verdict on all three parts of the question."""
    fits, samples = (table[table["part"] == part] for part in ("population", "samples"))
    numbers: dict[str, Number] = {}
    for place, case in enumerate(_cases_of(table)):
        end, arm = f".{case}" if place else "", _arm(fits, case)
        for dimension in sorted(arm["dimension"].unique()):
            numbers[f"features.{dimension}{end}"] = _count(arm[arm["dimension"] == dimension], case)
        numbers |= {f"{name}{end}": number for name, number in _laws(arm, case).items()}
    numbers |= _errors(samples)
    return Conclusion(numbers, verdict(numbers, table))


def _cases_of(table: pd.DataFrame) -> list[str]:
    """The cases of a table, the main one first."""
    cases = [name.removeprefix("features_") for name in table if name.startswith("features_")]
    return sorted(cases, key=lambda case: (case == "wave", case == "theorem"))


def _arm(fits: pd.DataFrame, case: str) -> pd.DataFrame:
    """The rows that a case is about."""
    return fits[fits["target"] == ("wave" if case == "wave" else "neuron")]


def _count(rows: pd.DataFrame, case: str) -> Number:
    """r* at one dimension, over seeds."""
    found = rows[f"features_{case}"].astype(float)
    missing = int(found.isna().sum())
    if missing:
        return Number.none(f"right censored at {rows['limit'].max():g} for {missing} of {len(rows)} seeds", len(rows))
    return Number.geometric(found)


def _grid(arm: pd.DataFrame, column: str) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Dimensions (k,) at which every seed has a value, the values (seeds, k), and the dimensions left out."""
    grid = arm.pivot(index="seed", columns="dimension", values=column).astype(float)
    whole = grid.notna().all()
    return grid.columns[whole].to_numpy(float), grid.loc[:, whole].to_numpy(), [int(d) for d in grid.columns[~whole]]


def _laws(arm: pd.DataFrame, case: str) -> dict[str, Number]:
    """Slopes of the two products on d and on log d, and which law fits the first one better."""
    from lab.measures.growth import fit_growth

    numbers = {}
    for what, column in (("log", f"product_{case}"), ("wide", f"wide_product_{case}")):
        d, values, left_out = _grid(arm, column)
        aic = "aic_difference" if what == "log" else "wide_aic_difference"
        names = [f"{what}_coefficient_slope.d", f"{what}_coefficient_slope.log_d", aic]
        if len(d) < FEWEST:
            kept = ", ".join(f"{each:g}" for each in d) or "none"
            numbers |= dict.fromkeys(
                names, Number.none(f"fewer than {FEWEST} dimensions in reach of every seed: {kept}")
            )
            continue
        found, reason = fit_growth(d, values), "left out: " + ", ".join(map(str, left_out)) if left_out else None
        details = {"dimensions": d.astype(int).tolist()}
        for name, sample in zip(names, (found.rate, found.power, found.aic_difference), strict=True):
            numbers[name] = replace(Number.mean(sample), reason=reason, details=details)
    return numbers


def _errors(samples: pd.DataFrame) -> dict[str, Number]:
    """Errors and motions of the runs that did not diverge, and the network's error over each other learner's."""
    numbers = {f"error.{name}": _surviving(samples, f"error_{name}") for name in LEARNERS}
    numbers |= {f"motion.{name}": _surviving(samples, f"motion_{name}") for name in _one_neuron.NETWORKS}
    for name in LEARNERS:
        if name != "network":
            both = {"error_network", f"error_{name}"} <= set(samples)
            pair = (
                samples.assign(ratio=samples["error_network"].astype(float) / samples[f"error_{name}"].astype(float))
                if both
                else samples
            )
            numbers[f"error_ratio.{name}"] = _surviving(pair, "ratio")
    return numbers


def _surviving(samples: pd.DataFrame, column: str) -> Number:
    """Geometric mean over the runs that did not diverge, and how many did."""
    values = samples[column].astype(float).dropna() if column in samples else ()
    if not len(values):
        return Number.none("no run, or none that did not diverge", len(samples))
    lost = len(samples) - len(values)
    return replace(Number.geometric(values), reason=f"without {lost} diverged runs" if lost else None)


def verdict(numbers: dict[str, Number], table: pd.DataFrame) -> str:
    """What one neuron costs random features, then the hard cases, then the learners."""
    cases = _cases_of(table)
    if not cases:
        return f"Nothing was fitted in the population. {_learners(numbers)}"
    cost = "the cost of random features (count times largest coefficient) grows"
    sentences = [f"For one neuron of d inputs {cost} {_law(numbers, '')}."]
    sentences += [_out_of_reach(numbers, table)] if "theorem" in cases else []
    sentences += [f"For a wave of shifted ReLUs it grows {_law(numbers, '.wave')}."] if "wave" in cases else []
    return " ".join(filter(None, [*sentences, _learners(numbers)]))


def _law(numbers: dict[str, Number], end: str) -> str:
    """Which of two laws an AIC difference decides for."""
    names = ("wide_aic_difference", "wide_coefficient_slope.log_d", "wide_coefficient_slope.d")
    aic, slope, rate = (numbers[f"{name}{end}"] for name in names)
    if aic.value is None:
        return "by no law that can be told"
    power_law, exponential = power(slope, "d"), f"with rate {told(rate)} per input"
    return {
        "below": f"as {power_law}, not exponentially",
        "above": f"exponentially, {exponential}",
        "open": f"as {power_law} or exponentially, undecided at this size",
        None: f"as {power_law} or exponentially, which needs three seeds",
    }[side(aic, 0.0)]


def _out_of_reach(numbers: dict[str, Number], table: pd.DataFrame) -> str:
    """From which dimension on the theorem's own accuracy takes more features than there were."""
    dimensions = sorted(table.loc[table["part"] == "population", "dimension"].unique())
    beyond = [d for d in dimensions if numbers[f"features.{d}.theorem"].value is None]
    return f"The theorem's accuracy is out of reach from d = {beyond[0]} on." if beyond else ""


def _learners(numbers: dict[str, Number]) -> str:
    network = numbers["error.network"]
    if network.value is None:
        return f"The network that moves its features has no test error: {network.reason}."
    kernel, features = (numbers[f"error_ratio.{name}"] for name in ("kernel", "features_infinite"))
    return (
        f"A network that moves its features makes {told(kernel)} times the error of the tangent kernel, "
        f"{_JUDGED[side(kernel, 1.0)]}, and {told(features)} times that of infinitely many features, "
        f"{_JUDGED[side(features, 1.0)]}."
    )


_JUDGED = {"below": "better", "above": "worse", "open": "not told apart", None: "three seeds are needed"}


def draw(results: Any, conclusion: Conclusion) -> dict[str, Figure]:
    """Growth of r*·max|u| in d on both scales, the error against the number of features, the learners' test errors."""
    table = results.table
    fits, samples = (table[table["part"] == part] for part in ("population", "samples"))
    figures = {} if fits.empty else {"growth": _draw_growth(fits), "errors": _draw_errors(results, fits)}
    return figures if samples.empty else {**figures, "learners": _draw_learners(samples, conclusion)}


def _label(case: str) -> str:
    told = {"theorem": "one neuron to 1/50 at weights of norm d²", "wave": "the wave of shifted ReLUs"}
    accuracy = case.removeprefix("neuron_").replace("p", ".")
    return told.get(case, f"one neuron to {accuracy} % of the best affine predictor's error")


def _draw_growth(fits: pd.DataFrame) -> Figure:
    from lab.figures import style

    figure, axes = style.panels(2, 2, size=(4.9, 3.7), sharex="col", sharey="row")
    for row, column in zip(axes, ("features", "wide_product"), strict=True):
        for ax, log in zip(row, (False, True), strict=True):
            _draw_panel(ax, fits, column, log)
    for ax, what in zip(axes[0], ("an exponential is a line here", "a power law is a line here"), strict=True):
        ax.set_title(what)
    for ax, scale in zip(axes[1], ("linear", "logarithmic"), strict=True):
        ax.set_xlabel(f"input dimension d ({scale})")
    axes[0, 0].set_ylabel("features needed,  r*")
    axes[1, 0].set_ylabel("features × largest coefficient\n(smallest found)")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center")
    style.headline(figure, "What random features pay for one neuron, as the dimension grows")
    return figure


def _draw_panel(ax: Any, fits: pd.DataFrame, column: str, log: bool) -> None:
    """All cases on one scale; the legend says where a case ended because its next dimension was out of reach."""
    from lab.figures import levels, style

    for place, (case, color) in enumerate(zip(_cases_of(fits), style.QUANTITIES, strict=False)):
        d, values, beyond = _grid(_arm(fits, case), f"{column}_{case}")
        if not len(d):
            continue
        options = {"log": log, "line": len(d) >= FEWEST, "shift": (0.03 if log else 0.15) * (place - 1)}
        label = _label(case) + (f" (out of reach at d = {beyond[0]})" if beyond else "")
        levels.growth(ax, d, values, color=color, label=label, **options)
    dimensions = sorted(fits["dimension"].unique())
    ax.set_xticks(dimensions, labels=[str(d) for d in dimensions])
    ax.minorticks_off()


def _draw_errors(results: Any, fits: pd.DataFrame) -> Figure:
    from lab.figures import style

    figure, axes = style.panels(2, size=(4.9, 4.2), sharey=True)
    for ax, target in zip(axes[0], ("neuron", "wave"), strict=True):
        rows = fits[fits["target"] == target]
        for place, (dimension, arm) in enumerate(rows.groupby("dimension")):
            shade = place / max(rows["dimension"].nunique() - 1, 1)
            _draw_curve(ax, [_arrays(results, target, dimension, seed) for seed in arm["seed"]], dimension, shade)
        ax.axhline(1, color=style.GREY, linestyle="--", linewidth=1)
        ax.set(xscale="log", yscale="log", ylim=(1e-4, 12), xlabel="number of random features r")
        ax.set_title("one neuron" if target == "neuron" else "wave of shifted ReLUs, its kinks ∝ 1/√d apart")
        ax.text(1, 1.1, "best affine predictor ", color=style.GREY, fontsize="small", ha="right",
                transform=ax.get_yaxis_transform())  # fmt: skip
    axes[0, 0].set_ylabel("error of the best fit, over all Gaussian inputs\n(in units of the best affine predictor's)")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside right center")
    style.headline(figure, "How well the best combination of r random features fits")
    return figure


def _arrays(results: Any, target: str, dimension: int, seed: int) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = results.arrays(
        part="population", target=target, dimension=int(dimension), seed=int(seed)
    )
    return found


def _draw_curve(ax: Any, found: list[dict[str, np.ndarray]], dimension: int, shade: float) -> None:
    """Geometric mean over seeds of the error curves at one dimension."""
    import matplotlib as mpl

    curve = np.exp(np.mean([np.log(np.maximum(arrays["errors"], 1e-12)) for arrays in found], axis=0))
    color = mpl.colormaps["viridis"](0.92 * shade)
    ax.plot(found[0]["counts"], curve, color=color, linewidth=1.8, label=f"d = {dimension}")


def _draw_learners(samples: pd.DataFrame, conclusion: Conclusion) -> Figure:
    from lab.figures import levels, style

    numbers = {name: conclusion.numbers[f"error.{name}"] for name in LEARNERS}
    there = [name for name in LEARNERS if numbers[name].value is not None]
    figure, axes = style.panels(1, size=(7.4, 4.4))
    ax = axes[0, 0]
    values = {LEARNERS[name]: samples[f"error_{name}"].astype(float).dropna().to_numpy() for name in there}
    middles = [(numbers[name].value or 0.0, numbers[name].interval) for name in there]
    levels.levels(ax, values, middles, [COLORS.get(name, style.NETWORK.color) for name in there])
    ax.axvline(1, color=style.GREY, linestyle="--", linewidth=1)
    ax.text(1, 0, " best affine\n predictor", color=style.GREY, fontsize="small", va="bottom",
            transform=ax.get_xaxis_transform())  # fmt: skip
    ax.set_xlabel("test error (in units of the best affine predictor's)")
    dimension = int(samples["dimension"].max())
    style.headline(figure, f"One neuron of a whole sequence (d = {dimension}), learnt from samples")
    return figure
