"""Do data from a simple model need less width than random labels?

For each seed, random labels, parity, a sum over time steps, one ReLU neuron and a wide Elman network label the same
sequences, and the same networks learn them; targets have variance 1. The widths are those of `required_width`
(`comparisons._ladders`): at which gradient descent *trains* in nine of ten seeds, and at which it stays *lazy*; the
time for both is ten times what the infinitely wide linear learner takes on these very labels. The sequences are many
for their dimension (48 of 4 steps with 4 features): 32 of 4 steps with 8 features are so nearly orthogonal that the
kernel tells hardly any labels from random ones, and there is nothing to compare (``--features 8 --samples 32``).

Numbers
-------
complexity.<model>
    n⁻¹ (y − f₀)ᵀ (K∞/m)⁻¹ (y − f₀), outputs centred, so f₀ = 0: m/n times the square of the least motion that fits the
    targets in the linear model. Eigenvalues below the floor count as 0, and their directions as never learnt.
eigenvalue_floor, lambda_min
    That floor and the smallest eigenvalue of K∞/m, the same for all models of a seed.
width_ratio.train.<model>
    m(model)/m(random) at equal success: a logistic fit of the outcomes of both on log m and an indicator, with a
    jackknife over seeds, which keeps the pairing (`lab.measures.thresholds.success_slope`).
width_ratio.equal_time.<model>
    As for *train*, but with the time that random labels of the same seed would get: what simple data save in width if
    they may spend what they save in time. Random labels are the same runs in both.
width_ratio.lazy.<model>
    The same for the widths of the seeds: geometric mean of their paired ratios.
train.width.<model>, lazy.width.<model>
    m₉₀, and the geometric mean over seeds.
test_error.<model>, test_error_linearized.<model>
    Test mse at one fixed width when that time is over, in units of the variance of the test targets: 1 is what a
    constant gets. Not for random labels, of which nothing can be learnt.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from comparisons import _ladders, _models, _tasks
from comparisons._shape import Conclusion, Number
from comparisons._words import listed, plain, side, told
from lab.costs import Cost, linearized_step, training_step
from lab.errors import check_choice, check_integer, check_number, check_seed, refuse

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.figure import Figure

question = "Do data from a simple model need less width than random labels?"
asked_by = "R1"
version = 1
GRID = ("models", "seeds")

NOTIONS = ("model", "train", "equal_time", "lazy")
FACTORS = {"train": 2**0.25, "equal_time": 2**0.25, "lazy": 2**0.5}
SEARCH = {"train": {"start": 16, "streak": 4}, "lazy": {"start": 64, "streak": 2}}
MOST_CENSORED = 0.2


@dataclass(frozen=True)
class Settings:
    """Settings of the data-model comparison.

    Parameters
    ----------
    task
        Whose sequences: "separable" (random unit vectors), or "digits", whose own labels are one more model then.
    models
        Which of "random" (always there), "parity", "additive", "neuron" and "teacher".
    samples, test
        n and n'.
    length, features
        L and p of random sequences.
    seeds
        How many draws of sequences, model and network.
    data_seed
        Added to the seed for sequences and model.
    accuracy
        ε: mean square residual at which training counts as done, the targets having variance 1.
    critical_fraction
        c in η = 2c/λ_max, below 1.
    budget
        Kernel time, in units of the linear learner's hitting time.
    level
        Of the test gap, for "lazy".
    narrowest, widest
        Ends of both ladders.
    width
        At which test errors are taken.
    dtype
        Precision of weights and outputs.
    """

    task: str = "separable"
    models: tuple[str, ...] = tuple(_models.MODELS)
    samples: int = 48
    test: int = 64
    length: int = 4
    features: int = 4
    seeds: int = 10
    data_seed: int = 0
    accuracy: float = 0.1
    critical_fraction: float = 0.5
    budget: float = 10.0
    level: float = 0.1
    narrowest: int = 2
    widest: int = 1024
    width: int = 256
    dtype: str = "float32"

    def __post_init__(self) -> None:
        check_choice("task", self.task, ("separable", "digits"))
        for model in self.models:
            check_choice("models", model, _models.MODELS)
        if _models.RANDOM not in self.models or len(set(self.models)) < len(self.models):
            refuse("models", str(self.models), "different models, random among them", "add random: ratios are to it")
        self._check_sizes()
        for name in ("budget", "level"):
            check_number(name, getattr(self, name), above=0)
        for name in ("accuracy", "critical_fraction"):
            check_number(name, getattr(self, name), above=0, below=1)
        check_choice("dtype", self.dtype, ("float32", "float64"))

    def _check_sizes(self) -> None:
        for name, least in (("samples", 2), ("test", 1), ("length", 2), ("features", 2), ("seeds", 1), ("width", 1)):
            check_integer(name, getattr(self, name), least)
        check_integer("narrowest", self.narrowest, 1)
        check_integer("widest", self.widest, self.narrowest)
        check_seed("data_seed", self.data_seed)
        most = _tasks.SIZES[self.task].most
        if most is not None and self.samples + self.test > most:
            refuse("samples", self.samples, f"at most {most} with the test samples", "ask for fewer samples or test")


PRESETS = {
    "fast": Settings(samples=24, seeds=4, widest=256, width=128),
    "default": Settings(),
    "full": Settings(samples=128, test=256, seeds=30, widest=4096, width=1024),
}


def cells(settings: Settings) -> list[dict[str, Any]]:
    """One cell for every seed, model and measurement: the linear model and test errors, and the two ladders."""
    fixed = {name: value for name, value in asdict(settings).items() if name not in GRID}
    models = (*settings.models, *([_models.LABELS] if settings.task == "digits" else []))
    return [
        {"notion": notion, "model": model, "seed": seed, **fixed}
        for notion in NOTIONS
        for model in models
        if (notion, model) != ("equal_time", _models.RANDOM)
        for seed in range(settings.seeds)
    ]


def cost(cell: dict[str, Any]) -> Cost:
    """Flops of both trainings, with a rough hitting time of ½n·log₁₀(1/ε) steps, and bytes of the widest network."""
    n, (length, _) = cell["samples"], _models.shape(cell)
    widest = cell["width"] if cell["notion"] == "model" else cell["widest"]
    step = training_step(n, length, widest) + linearized_step(n, length, widest)
    step, steps = step.holding(4 * (4 * widest**2 + 4 * n * length * widest)), cell["budget"] * n
    return steps * step if cell["notion"] == "model" else _ladders.cost(cell["notion"], steps, step)


def measure(cell: dict[str, Any]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """One ladder, or what the linear model and one network make of the data."""
    from lab.measures.thresholds import geometric_grid

    told = {name: cell[name] for name in ("notion", "model", "seed")}
    task = _models.build(cell)
    shared = {name: cell[name] for name in ("budget", "accuracy", "critical_fraction", "seed", "dtype")}
    if cell["notion"] == "model":
        row, arrays = _learn(task, cell)
        return told | row, arrays
    grid = geometric_grid(cell["narrowest"], cell["widest"], FACTORS[cell["notion"]])
    if cell["notion"] == "equal_time":
        shared["clock"] = _models.build({**cell, "model": _models.RANDOM})
    if cell["notion"] != "lazy":
        return told | _ladders.train_ladder(task, grid, **SEARCH["train"], **shared), {}
    row, arrays = _ladders.lazy_ladder(task, grid, level=cell["level"], **SEARCH["lazy"], **shared)
    return told | row, arrays


def _learn(task: Any, cell: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Complexity, and the test errors of a network and its linearization."""
    import lab
    from comparisons._exponents import finite

    spectrum, residual = _ladders.limit_spectrum(task)
    steps = _ladders.linear_steps(task, cell["accuracy"], cell["critical_fraction"])
    network = _ladders.network(task, cell["width"], seed=cell["seed"], dtype=cell["dtype"])
    shifted = _ladders.centred(network, task)
    descent = lab.Descent(round(cell["budget"] * steps), cell["critical_fraction"])
    result = lab.side_by_side(network, shifted, descent)
    goal = shifted.test_targets.numpy()
    unit = float(task.test_targets.numpy().var()) or 1.0
    errors = {
        name: finite(float(((learner.test[-1] - goal) ** 2).mean()) / unit)
        for name, learner in (("test_error", result.network), ("test_error_linearized", result.linearized))
    }
    row = {"complexity": complexity(spectrum, residual), "linear_steps": steps, **errors}
    row |= {"eigenvalue_floor": spectrum.tolerance, "lambda_min": spectrum.lambda_min}
    coordinates = (spectrum.vectors.T @ residual) ** 2 / len(residual)
    return row | {"diverged": result.network.diverged_at is not None, "reason": None}, {
        "eigenvalues": spectrum.values,
        "energy": coordinates,
    }


def complexity(spectrum: Any, residual: np.ndarray) -> float:
    """n⁻¹ rᵀ K⁻¹ r for residuals (n,) and the spectrum of K; eigenvalues below its floor are left out."""
    return float(spectrum.limit() @ (spectrum.vectors.T @ residual) ** 2 / len(residual))


def conclude(table: pd.DataFrame) -> Conclusion:
    """Complexities, test errors, widths and their ratios of all models, and a verdict."""
    numbers: dict[str, Number] = {}
    for model in dict.fromkeys(table["model"]):
        rows = dict(iter(table[table["model"] == model].groupby("notion", sort=False)))
        numbers |= _learnt(model, rows)
        for notion in NOTIONS[1:]:
            if notion in rows:
                numbers[f"{notion}.width.{model}"] = _ladders.width(notion, rows[notion])
                if model != _models.RANDOM:
                    numbers[f"width_ratio.{notion}.{model}"] = _ratio(notion, model, table)
    linear = table[(table["notion"] == "model") & (table["model"] == _models.RANDOM)]
    for name in ("eigenvalue_floor", "lambda_min") if len(linear) else ():
        numbers[name] = Number.mean(linear[name])
    return Conclusion(numbers, verdict(numbers))


def _learnt(model: str, rows: Mapping[Any, pd.DataFrame]) -> dict[str, Number]:
    """What the cells of one model about its data say; test errors of models only."""
    if "model" not in rows:
        return {}
    names = ["complexity"]
    names += [] if model == _models.RANDOM else ["test_error", "test_error_linearized"]
    return {f"{name}.{model}": Number.mean(rows["model"][name]) for name in names}


def _ratio(notion: str, model: str, table: pd.DataFrame) -> Number:
    """Width of a model over that of random labels, from the seeds that have both."""
    import pandas as pd

    reference = "train" if notion == "equal_time" else notion  # random labels set that time: the same runs
    asked = (notion, model), (reference, _models.RANDOM)
    pair = [table[(table["notion"] == arm) & (table["model"] == name)].set_index("seed") for arm, name in asked]
    seeds = pair[0].index.intersection(pair[1].index)
    if seeds.empty:
        return Number.none("no seed has both")
    pair = [arm.loc[seeds] for arm in pair]
    lost = [[_ladders.is_censored(notion, row) for _, row in arm.iterrows()] for arm in pair]
    either = pd.Series([any(both) for both in zip(*lost, strict=True)], index=seeds)
    if either.mean() > MOST_CENSORED:
        return Number.none(f"censored in {int(either.sum())} of {len(seeds)} seeds", len(seeds))
    if notion != "lazy":
        return _ratio_of_success(pair, len(seeds))
    kept = seeds[~either.to_numpy()]
    ratio = Number.geometric(pair[0].loc[kept, "width"] / pair[1].loc[kept, "width"])
    left_out = f"left out: seeds {', '.join(map(str, seeds[either.to_numpy()]))} (censored)" if either.any() else None
    return Number(ratio.value, ratio.interval, ratio.seeds, ratio.reason or left_out)


def _ratio_of_success(pair: list[pd.DataFrame], seeds: int) -> Number:
    import numpy as np
    import pandas as pd

    from lab.measures.thresholds import success_slope

    runs = _ladders.runs(pd.concat([pair[0].assign(z=1.0), pair[1].assign(z=0.0)]).reset_index())
    found = success_slope(runs["z"], runs["width"], runs["won"], runs["seed"])
    value = None if found.value is None else float(np.exp(found.value))
    ends = None if found.interval is None else (float(np.exp(found.interval[0])), float(np.exp(found.interval[1])))
    return Number(value, ends, seeds, found.reason)


def verdict(numbers: Mapping[str, Number]) -> str:
    """Which models need less width than random labels, in each sense."""
    senses = {"train": "To train in the time due to their own labels", "lazy": "To stay lazy"}
    senses |= {"equal_time": "In the time due to random labels"}
    sentences: list[str] = []
    for notion, what in senses.items():
        start = f"width_ratio.{notion}."
        ratios = {key.removeprefix(start): ratio for key, ratio in numbers.items() if key.startswith(start)}
        sentences += [f"{what}, {_judged(ratios, bool(sentences))}."] if ratios else []
    return " ".join(sentences) or "No width was compared with that of random labels."


def _judged(ratios: Mapping[str, Number], known: bool) -> str:
    """Models by whether their interval lies below 1, above 1 or across it; ``known`` leaves out beside what."""
    kinds: dict[str | None, list[str]] = {}
    for model, ratio in ratios.items():
        kinds.setdefault("no ratio" if ratio.value is None else side(ratio, 1.0) or "open", []).append(model)
    beside = "" if known else " than random labels"
    parts = []
    for kind, word, end, farthest in (("below", "less", "down", min), ("above", "more", "up", max)):
        if kind in kinds:
            most = told(farthest((ratios[model] for model in kinds[kind]), key=_value))
            parts.append(f"{word} width{beside} is needed by {listed(kinds[kind])}, {end} to {most} times")
    if "open" in kinds:
        lowest = min(kinds["open"], key=lambda model: _value(ratios[model]))
        size = "" if parts else f" ({lowest} is lowest, {plain(_value(ratios[lowest]))} times)"
        parts.append(f"no difference is visible for {'the others' if parts else 'any model'}{size}")
    parts += [f"there is no ratio for {listed(kinds['no ratio'])}"] if "no ratio" in kinds else []
    return ", ".join(parts)


def _value(ratio: Number) -> float:
    return ratio.value or 0.0


def draw(results: Any, conclusion: Conclusion) -> dict[str, Figure]:
    """Ratios of widths and complexities of all models; and where in the spectrum their targets lie."""
    return {"widths": _draw_widths(conclusion), "spectrum": _draw_spectrum(results)}


def _draw_widths(conclusion: Conclusion) -> Figure:
    from lab.figures import style

    models = list(dict.fromkeys(key.split(".")[-1] for key in conclusion.numbers if key.startswith("complexity.")))
    figure, axes = style.panels(3, size=(4.4, 3.9), sharey=True)
    ratios = {"width_ratio.train": ("trains", "#0072B2"), "width_ratio.equal_time": ("in equal time", "#56B4E9")}
    ratios |= {"width_ratio.lazy": ("stays lazy", "#D55E00")}
    errors = {"test_error": ("network", "#0072B2"), "test_error_linearized": ("linearized", "#D55E00")}
    panels = (ratios, {"complexity": ("", "#009E73")}, errors)
    for ax, quantities in zip(axes[0], panels, strict=True):
        for place, (what, (label, color)) in enumerate(quantities.items()):
            offset = 0.24 * (place - (len(quantities) - 1) / 2)
            _draw_named(ax, what, models, conclusion.numbers, color=color, label=label or None, offset=offset)
        if len(quantities) > 1:
            ax.axvline(1, color=style.GREY, linestyle="--", linewidth=1)
            style.legend_below(ax, columns=3)
    axes[0, 0].set_title("width needed, over that of random labels")
    axes[0, 1].set_title(r"complexity  $n^{-1}y^T(K_\infty/m)^{-1}y$")
    axes[0, 2].set_title("test mse (1: a constant)")
    for ax in axes[0, :2]:
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        ax.xaxis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "235" else "")
    style.headline(figure, question)
    return figure


def _draw_named(
    ax: Any,
    what: str,
    models: list[str],
    numbers: Mapping[str, Number],
    *,
    color: str,
    label: str | None,
    offset: float,
) -> None:
    import numpy as np

    from lab.figures import curves

    found = [numbers.get(f"{what}.{model}", Number.none("")) for model in models]
    values = np.array([np.nan if number.value is None else number.value for number in found])
    ends = np.array([number.interval or (np.nan, np.nan) for number in found])
    names = [_models.MODELS.get(model, "the task's own labels") for model in models]
    curves.named_estimates(ax, names, values, ends, color=color, label=label, offset=offset)


def _draw_spectrum(results: Any) -> Figure:
    """Share of the targets' variance in the largest eigenvectors of the limit kernel: the fast part of learning."""
    import numpy as np

    from lab.figures import style

    table = results.table[results.table["notion"] == "model"]
    figure, axes = style.panels(1, size=(6.0, 4.2))
    colors = dict(zip(dict.fromkeys(table["model"]), style.QUANTITIES, strict=False))
    for model, rows in table.groupby("model", sort=False):
        found = [results.arrays(notion="model", model=model, seed=int(seed))["energy"] for seed in rows["seed"]]
        shares = np.cumsum(np.stack(found)[:, ::-1], axis=1)
        label = _models.MODELS.get(str(model), "the task's own labels")
        axes[0, 0].plot(np.arange(1, shares.shape[1] + 1), shares.mean(0), color=colors[model], label=label)
    axes[0, 0].set_xlabel(r"number of eigenvectors, by falling eigenvalue of $K_\infty$")
    axes[0, 0].set_ylabel("share of the targets' variance in them")
    axes[0, 0].legend(loc="best")
    style.headline(figure, "How early in the kernel's spectrum do the targets lie?")
    return figure
