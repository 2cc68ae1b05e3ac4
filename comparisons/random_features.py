"""What can random features not learn, and does a network that learns its features do better?

Part one, without samples (`lab.measures.hardness`): random ReLU features of Gaussian inputs x are fitted in the
population to one neuron or to a wave. r* is the smallest number of features that reach an error, u their coefficients;
the theorem of Yehudai and Shamir 2019 bounds r·max|u| from below, at a relative accuracy of order d⁻⁴. The other cases
use the same relative accuracy at every d (``tolerances``); the first of them is the main case.
Part two, from n samples (`lab.measures.validation`): a recurrent network reads x in L pieces and has to output
relu(⟨w, [x_1…x_L]⟩) at step L. Every learner chooses a penalty, or when to stop, on n validation samples. A seed draws
features, network and, unlike elsewhere, the samples: how well a learner generalises should not depend on one set.
Errors of both parts are in units of the best affine predictor's mean square (here of the one fitted to the n samples).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge

import lab
from comparisons import kit

question = "What can random features not learn, and does a network that learns its features do better?"
asked_by = "R3 [Yehudai, Shamir]"
version = 1

LEARNERS, NETWORKS = lab.measures.validation.catalogue.LABELS, lab.measures.validation.catalogue.NETWORKS
COLORS = dict.fromkeys(LEARNERS, "#C08400") | dict.fromkeys(NETWORKS, "#0072B2") | {"kernel": "#000000"}
TARGETS = lab.measures.hardness.catalogue.TARGETS
HEADLINES: tuple[str, ...] = ("error.features_infinite", "error.kernel", "error.network")
HEADLINES += ("wide_coefficient_slope.log_d", "wide_coefficient_slope.d.wave", "wide_aic_difference*")
CAPTIONS = {
    "growth": "Random features needed, and that number times the largest coefficient, against the input dimension: "
    f"left an exponential is a line, right a power law. {kit.marks.POINTS}",
    "errors": f"Error of the best fit against the number of features, for each dimension. {kit.marks.BANDS}",
    "learners": f"Test error of each learner; left of the dashed line it beats an affine one. {kit.marks.POINTS}",
}
SLOPE = "Slope on {} of the log of {}. Dimensions that some seed does not reach are left out; none for fewer than 3."
AIC = "AIC of the power law in d minus AIC of the exponential, per seed, for {}: above 0 the exponential fits better."
BETTER = partial(kit.compare, level=1.0, below="better", above="worse")
FEATURES = kit.Quantity("features", meaning="r* at dimension d, geometric mean; none where a seed needs more features.")
PARTS = {"product": ("log_coefficient", "aic"), "wide_product": ("wide_coefficient", "wide_aic")}  # of keys
LAWS = {  # by what `lab.measures.growth` fits; verdicts judge by the second product
    product: {
        "rate": kit.Quantity(f"{PARTS[product][0]}_slope", "d", meaning=SLOPE.format("d", what)),
        "power": kit.Quantity(f"{PARTS[product][0]}_slope", "log_d", meaning=SLOPE.format("log d", what)),
        "aic_difference": kit.Quantity(f"{PARTS[product][1]}_difference", meaning=AIC.format(what)),
    }
    for product, what in lab.measures.hardness.catalogue.PRODUCTS.items()
}
ERRORS = kit.family("error", template="Test error, geometric mean: {}.", meanings=LEARNERS)
RATIO = "error.network over the test error of another learner, paired by seed, geometric mean: {}."
RATIOS = kit.family("error_ratio", template=RATIO, meanings={n: LEARNERS[n] for n in LEARNERS if n != "network"})
MOTION = "‖θ − θ₀‖/‖θ₀‖ over the trained weights when training stops: {}."
MOTIONS = kit.family("motion", template=MOTION, meanings={name: LEARNERS[name] for name in NETWORKS})
Tolerances = Annotated[tuple[kit.Share, ...], kit.Distinct(), kit.doc("Relative errors to reach, the main one first.")]


@dataclass(frozen=True)
class Settings(kit.Settings):
    """Settings of the random-features comparison."""

    dimensions: Annotated[kit.Choices[Annotated[int, Ge(2)]], kit.doc("Dimensions d.")] = (2, 3, 4, 5, 6, 8, 12, 16)
    seeds: Annotated[kit.SeedCount, kit.doc("Number of draws of features, networks and samples.")] = 5
    features: Annotated[kit.Count, kit.doc("Largest number R of random features tried.")] = 1024
    tolerances: Tolerances = (0.2, 0.1)
    bias: Annotated[float, kit.doc("Bias of the target neuron, in units of the norm of its weights.")] = 0.0
    bias_spread: Annotated[float, Ge(0), kit.doc("Standard deviation of the features' biases; 0 for none.")] = 1.0
    wave_spacing: Annotated[kit.Positive, kit.doc("Distance of the kinks of the wave, times √d.")] = 4.0
    length: Annotated[kit.Count, kit.doc("Time steps L into which x is cut; divides the largest dimension.")] = 4
    samples: Annotated[int, Ge(2), kit.doc("Training samples n of part two, and as many for validation.")] = 256
    test: Annotated[int, Ge(2), kit.doc("Number of test samples.")] = 2000
    width: Annotated[kit.Count, kit.doc("Hidden units m of the networks.")] = 128
    alpha: Annotated[kit.Positive, kit.doc("Output scale α of the networks; features move at small α.")] = 0.03
    critical_fraction: Annotated[kit.Positive, kit.doc("c in η = 2c/λ_max(K₀); at small α the kernel grows.")] = 0.1
    steps: Annotated[kit.Count, kit.doc("Number of gradient steps.")] = 2000

    def check(self) -> None:
        """Refuse tolerances that round to one name, a length that does not divide, and too few samples for a plane."""
        lab.measures.hardness.catalogue.cases("neuron", self.tolerances)
        lab.measures.validation.catalogue.check_sizes(max(self.dimensions), self.length, self.samples)


PRESETS = {
    "fast": Settings(dimensions=(2, 3, 4, 6, 8), seeds=3, features=384, samples=128, test=500, width=64, steps=600),
    "default": Settings(),
    "full": Settings(seeds=10, features=4096, samples=512, width=512, steps=4000),
}


@dataclass(frozen=True, kw_only=True)
class Population(lab.measures.hardness.catalogue.Setting, kit.Cell):
    """Fits to one target at one dimension, with every number of features."""

    part: Literal["population"] = "population"


@dataclass(frozen=True, kw_only=True)
class Sampled(lab.measures.validation.catalogue.Setting, kit.Cell):
    """All learners on one draw of samples."""

    part: Literal["samples"] = "samples"
    target: Literal["neuron"] = "neuron"


Cell = Population | Sampled


def cells(settings: Settings) -> list[Cell]:
    """For each seed, one cell for every target and dimension, and one for the learners at the largest dimension."""
    seeds, top = range(settings.seeds), [max(settings.dimensions)]
    fits = kit.grid(Population, settings, target=TARGETS, dimension=settings.dimensions, seed=seeds)
    return [*fits, *kit.grid(Sampled, settings, dimension=top, seed=seeds)]


def cost(cell: Cell) -> kit.Cost:
    """That of one fit, or of training three networks."""
    hardness, validation = lab.measures.hardness.catalogue, lab.measures.validation.catalogue
    return hardness.fitting_cost(cell) if isinstance(cell, Population) else validation.learning_cost(cell)


def measure(cell: Cell) -> kit.Measured:
    """One least-squares fit in the population, for every number of features; or all learners on one draw of samples."""
    prices, learners = lab.measures.hardness.prices, lab.measures.validation.learners
    found = prices.study(cell) if isinstance(cell, Population) else learners.study(cell)
    return {**kit.pick(cell, "part", "target", "dimension", "seed"), **found.summary()}, {**found.arrays()}


def conclude(table: kit.Table) -> kit.Conclusion:
    """Features and slopes of every case, errors of every learner, and a verdict on all three parts of the question."""
    cases, numbers = _cases(table), _errors(table[table["part"] == "samples"])
    for case in cases:
        numbers |= case.keyed(_prices(case))
    return kit.Conclusion(numbers, verdict(numbers, cases))


def _cases(table: kit.Table) -> list[kit.Arm]:
    """Each case, which is the value, with the rows of its target."""
    fits = table[table["part"] == "population"]
    return [
        kit.Arm(fits[fits["target"] == case.target], case, case.name if place else "", case.label)
        for place, case in enumerate(lab.measures.hardness.catalogue.read_cases(table, "features"))
    ]


def _prices(case: kit.Arm) -> kit.Numbers:
    """Features needed at each dimension, and both laws of both products."""
    rows, column, up_to = case.rows, case.value.column("features"), lab.measures.thresholds.up_to
    limit = float(rows["limit"].max())
    numbers = kit.at_each(rows, "dimension", {column: FEATURES}, average=lambda each: kit.threshold(up_to(each, limit)))
    for product, keys in LAWS.items():
        grown = _grow(case, product)
        details = {"dimensions": grown.places.astype(int).tolist()} if grown.fit else {}
        for law, key in keys.items():
            number = kit.Number.mean(getattr(grown.fit, law, ()))  # none without a fit
            numbers[key()] = replace(number, reason=grown.reason, details=details)
    return numbers


def _grow(case: kit.Arm, quantity: str) -> lab.measures.growth.Grown:
    grid = kit.by_seed(case.rows, case.value.column(quantity), "dimension")
    return lab.measures.growth.fit_where_known(grid.columns, grid)


def _errors(rows: kit.Table) -> kit.Numbers:
    """Errors, motions and ratios of errors, geometric means over the runs that did not diverge."""
    kinds = {"error": ERRORS, "motion": MOTIONS}
    rows = rows.reindex(columns=[f"{kind}_{name}" for kind, keys in kinds.items() for name in keys]).astype(float)
    values = {key: rows[f"{kind}_{name}"] for kind, keys in kinds.items() for name, key in keys.items()}
    values |= {key: rows["error_network"] / rows[f"error_{name}"] for name, key in RATIOS.items()}
    return {key(): kit.over_finite(sample) for key, sample in values.items()}


def verdict(numbers: kit.Numbers, cases: Sequence[kit.Arm]) -> str:
    """Growth of the cost of random features for one neuron and the hard cases, then the learners."""
    start = "For one neuron of d inputs the cost of random features (count times largest coefficient) grows"
    shares: list[str] = []
    sentences = [f"{start} {_law(numbers, '')}." if cases else "Nothing was fitted in the population."]
    for case in cases[1:]:
        beyond = case.rows.loc[case.rows[case.value.column("features")].isna(), "dimension"]
        if case.value.tolerance is None and len(beyond):
            sentences.append(f"The theorem's accuracy is out of reach from d = {beyond.min():g} on.")
        if case.value.target == "wave":
            sentences.append(f"For a wave of shifted ReLUs it grows {_law(numbers, case.name)}.")
    if (network := numbers[ERRORS["network"]()]).value is None:
        return kit.sentences(*sentences, f"The network that learns its features has no test error: {network.reason}.")
    for name, what in {"kernel": "the tangent kernel", "features_infinite": "infinitely many features"}.items():
        n = numbers[RATIOS[name]()]
        shares.append(f"{kit.format_number(n)} times ({BETTER(n)}) that of {what}")
    return kit.sentences(*sentences, kit.fill("The test error of a network that learns its features is {}.", shares))


def _law(numbers: kit.Numbers, arm: str) -> str:
    """The law that the AIC difference of the smaller product supports."""
    rate, slope, aic = (numbers[key(arm=arm)] for key in LAWS["wide_product"].values())
    if aic.value is None:
        return f"by an unknown law ({aic.reason})"
    power, exponential = f"as {kit.power(slope, 'd')}", f"exponentially, with rate {kit.format_number(rate)} per input"
    either = f"{power} or {exponential}"
    around, unknown = f"{either}; the fits do not tell which", f"{either}; not judged: fewer than three seeds"
    return kit.compare(aic, 0.0, below=f"{power}, not exponentially", above=exponential, around=around, unknown=unknown)


def draw(results: kit.Results, conclusion: kit.Conclusion) -> kit.Figures:
    """Growth of r* and of the product in d on both scales, errors against numbers of features, the learners' errors."""
    fits, samples = (results.table[results.table["part"] == part] for part in ("population", "samples"))
    figures: kit.Figures = {}
    if len(fits):
        figures |= {"growth": _draw_growth(fits, conclusion), "errors": _draw_fits(results, fits, conclusion)}
    if len(samples):
        title = kit.finding(conclusion.verdict, "test error of a network", otherwise="One neuron, learnt from samples")
        drawn = partial(_draw_learners, conclusion.numbers)
        figures["learners"] = kit.figures.panels([samples], drawn, title=title, size=(7.4, 4.4))
    return figures


def _draw_growth(fits: kit.Table, conclusion: kit.Conclusion) -> kit.Figure:
    rows = {"features": "features needed,  r*", "wide_product": "features × largest coefficient\n(smallest found)"}
    shown = {label: [_series(case, name) for case in _cases(fits)] for name, label in rows.items()}
    title, ticks = kit.finding(conclusion.verdict, "grows", otherwise=question), np.unique(fits["dimension"])
    return lab.figures.growth.on_both_scales(shown, ticks, xlabel="input dimension d", title=title)


def _series(case: kit.Arm, quantity: str) -> lab.figures.growth.Series:
    """A quantity of a case as it is drawn; the legend names the first dimension out of reach."""
    grown = _grow(case, quantity)
    curve = kit.curve(grown.places, grown.values, log=True)
    label = case.label + "".join(f" (out of reach at d = {d:g})" for d in grown.left_out[:1])
    return lab.figures.growth.Series(label, curve.x, curve.values, curve.middle, curve.ends, *grown.lines)


def _draw_fits(results: kit.Results, fits: kit.Table, conclusion: kit.Conclusion) -> kit.Figure:
    targets = kit.split(fits.sort_values("dimension", kind="stable"), "target", TARGETS)
    ends, drawn = np.unique(fits["dimension"])[[0, -1]].tolist(), partial(_draw_errors, results)
    needed = [f"{kit.format_number(conclusion.numbers[FEATURES(d)])} at d = {d}" for d in ends]
    title = kit.fill(f"Random features needed for {_cases(fits)[0].label}: {{}}", needed)
    ylabel = "error of the best fit, over all Gaussian inputs\n(in units of the best affine predictor's)"
    return kit.figures.panel_per_arm(targets, drawn, title=title, ylabel=ylabel, size=(4.9, 4.6), columns=4, named="{}")


def _draw_errors(results: kit.Results, ax: kit.Axes, target: kit.Arm) -> None:
    dimensions = kit.split(target.rows, "dimension")
    for d, color in zip(dimensions, lab.figures.style.shades(len(dimensions)), strict=True):
        found = kit.records.arrays_of(results, d.rows, "part", "target", "dimension", "seed")
        curve = kit.curve(found[0]["counts"], [np.maximum(each["errors"], 1e-12) for each in found], log=True)
        kit.figures.band(ax, curve, color, f"d = {d.label}", linewidth=1.8)
    lab.figures.curves.log_axes(ax).set(ylim=(1e-4, 12), xlabel="number of random features r")
    lab.figures.curves.reference(ax, 1, "best affine predictor ", horizontal=True)


def _draw_learners(numbers: Mapping[kit.Key, kit.Number], ax: kit.Axes, samples: kit.Table) -> None:
    found = {name: numbers[key()] for name, key in ERRORS.items() if numbers[key()].value is not None}
    seeds = {name: samples[f"error_{name}"].astype(float).dropna() for name in found}
    kit.figures.named_with_seeds(ax, found, seeds, LEARNERS, COLORS, show_values=True)
    lab.figures.curves.log_axis(ax.xaxis)
    lab.figures.curves.reference(ax, 1, " best affine\n predictor", beside="right")
    ax.set_xlabel("test error (in units of the best affine predictor's)")
