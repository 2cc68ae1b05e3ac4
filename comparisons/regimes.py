"""Where does lazy end and feature learning begin?

Networks α(f(θ) − f(θ₀)) (`lab.Scaled`; Elman, "ntk" style) of width m descend at η = 2c/λ_max(α²K₀) to one share of
their first training error (`lab.at_equal_error`); c is divided by 4 while descent diverges or does not arrive. Along
the line α = 1 ("ntk") of the plane of m and α wide networks are lazy; along α = α₀·m^(−1/2) ("mean_field") features
move by O(1) at every width. Between them the gap |network − linearized| passes 0.1, at α*(m). For smooth
networks perturbation theory has the gap (a/α + b/α²)/m, so that α* falls as m^(−1/2) where it is far below b/a, and as
1/m far above. For ReLU m^(−1/2) is a bound on the gap, and no prediction.
Data: "teacher", one ReLU neuron of the first time step (`lab.tasks.single_index`), whose direction a network can find
through A, over the plane; "digits" at the largest width. Intervals are over networks and draws of the data.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any

import lab
from comparisons import kit

question = "Where does lazy end and feature learning begin?"
asked_by = "R3"
version = 2

LINES = {"ntk": "α = 1", "mean_field": "α ∝ 1/√m"}
_FIRST = {
    "gap": "the largest test gap on the way, in units of the targets",
    "kernel_drift": "‖K_T − K₀‖_F/‖K₀‖_F",
    "feature_change": "the RMS over training samples and units of h_L(θ_T) − h_L(θ₀)",
}
_MOVED = {"change_W": "c_W ΔW h_{L−1}", "change_A": "c_A ΔA x_L", "change_B": "α c_B ΔB h_L"}
_ALL = _FIRST | {name: f"the RMS of {text}" for name, text in _MOVED.items()}
_ERRORS = {"test_error": "Mean (f − y)²/mean y² on the test set", "error_rate": "Share of wrong signs there"}
_PLACE = "at the largest width and equal training error"
EXPONENTS = kit.family("exponent", template="Slope on log(width), along this line, of the log of {}.", meanings=_ALL)
SLOPES = kit.family("slope", template="Exponent over the two largest octaves of width alone, of {}.", meanings=_FIRST)
LIMITS = {n: kit.Quantity(f"{n}_limit", meaning=f"v∞ of v∞ + k·m^(−½), by seed: {v}.") for n, v in _FIRST.items()}
LEVELS = kit.family(template="At the largest width of this line: {}.", meanings=_FIRST)
BOUNDARY = kit.Quantity("boundary", meaning="α* at this width: the scale at which the test gap falls below 0.1.")
FALL = kit.Quantity("exponent", "boundary", meaning="Slope of log α* on log(width), for this activation.")
TERMS = kit.family("two_term", meanings=dict.fromkeys("ab", "Of (a/α + b/α²)/m, fitted to gaps up to 0.3, by seed."))
TWO_TERM = kit.Quantity("exponent", "two_term", meaning="exponent.boundary as (a/α + b/α²)/m has it at these widths.")
_LAZY = "Slope of the log of the gap on log({}), fitted on both logs where the gap is at most 0.1."
LAZY = kit.family("lazy_exponent", template=_LAZY, meanings={"width": "width", "alpha": "α"})
SLOWER = kit.Quantity("lazy_exponent", "difference", meaning="In the width: minus the first activation's, by seed.")
ERRORS = kit.family(template=f"{{}}, {_PLACE}, by line and data.", meanings=_ERRORS)
PRICES = {n: kit.Quantity(n, "mean_field_minus_ntk", meaning=f"{e}, {_PLACE}, by seed.") for n, e in _ERRORS.items()}
REACHED = kit.Quantity("reached", meaning="Share of all runs that reached the training error.")
HEADLINES = ("exponent.boundary.*", "lazy_exponent.width*", "gap_limit.mean_field", "test_error.mean_field*[rs]")
CAPTIONS = {
    "plane": "Largest gap between network and linearization: dark is rich, light is lazy. Circles are where it passes "
    f"0.1. Crosses are places at which some run did not arrive. {kit.marks.BARS}",
    "coordinates": "What training changes per coordinate of the features h at the last time step, and what the motion "
    f"of each matrix contributes (B: to the outputs). Flat is a limit that learns features. {kit.marks.LAWS}",
    "learnt": "Above: outputs on the test set along the direction to find. Below: alignment of each unit's input "
    "weights with it after training, against before. Each is the seed of median test error.",
}

NAMES = {"erf": "erf network", "tanh": "tanh network", "relu": "ReLU network"}
ALPHAS = (0.25, 0.5, 2.0, 4.0, 8.0, 32.0, 128.0, 512.0)
PASSES, FITTED = 0.1, 0.3  # gaps: at the boundary, and up to which two terms are fitted
DRAWN = {"feature_change": ("h", "o"), "change_W": ("W", "s"), "change_A": ("A", "^"), "change_B": ("B", "D")}
CLAIMS = {("test_error", "teacher"): "test error on the neuron", ("test_error", "digits"): "test error on digits"}
CLAIMS[("error_rate", "digits")] = "share of wrong signs on digits"
PLACE = ("activation", "data", "width", "alpha", "seed")
CORNERS = {"narrow": ("ntk", 0), "lazy": ("ntk", -1), "rich": ("mean_field", -1)}
LAWS = {"m^−0.5": kit.limits.BOUND, "the 1/m of smooth networks": kit.limits.PERTURBATION, "1/α": -1.0}


@dataclass(frozen=True)
class Settings(kit.scaled.Training, kit.seeds.SeedSettings):
    """Settings of the plane of width and output scale."""

    activations: Annotated[kit.Choices[Annotated[str, kit.OneOf(*NAMES)]], kit.doc("Activations.")] = ("erf", "relu")
    data: Annotated[kit.Choices[kit.scaled.Data], kit.doc("Data; the first over the plane.")] = ("teacher", "digits")
    widths: Annotated[kit.Choices[kit.Count], kit.doc("Widths m.")] = (16, 32, 64, 128, 256, 512, 1024)
    plane_up_to: Annotated[kit.Count, kit.CHOOSES, kit.doc("Widest networks off the two lines.")] = 256
    alphas: Annotated[kit.Choices[kit.Positive], kit.doc("Output scales α off the two lines.")] = ALPHAS
    trained: Annotated[tuple[kit.networks.Block, ...], kit.Distinct(), kit.doc("Trained matrices.")] = ("W", "A", "B")
    mean_field_scale: Annotated[kit.Positive, kit.doc("α₀ in the mean-field line α = α₀·m^(−1/2).")] = 2.0


PRESETS = {
    "fast": Settings(widths=(16, 64, 256), plane_up_to=64, alphas=(0.5, 4, 32), seeds=(8, 6, 4), test=100, target=0.1),
    "default": Settings(seeds=(12, 10, 10, 8, 8, 5, 5)),
    "full": Settings(widths=(16, 32, 64, 128, 256, 512, 1024, 2048, 4096), plane_up_to=1024, seeds=10, target=0.01),
}


@dataclass(frozen=True, kw_only=True)
class Cell(kit.scaled.Training, kit.Cell):
    """One network at one place of the plane."""

    activation: str
    data: str
    width: int
    alpha: float
    seed: int
    trained: tuple[str, ...]
    mean_field_scale: float


def cells(settings: Settings) -> list[Cell]:
    """The two lines at every width, and the plane at small ones; further data at the largest width alone."""
    found: list[Cell] = []
    counts = kit.seeds.at(settings.widths, settings.seeds)
    for place, data in enumerate(settings.data):
        for width in settings.widths if place == 0 else (max(settings.widths),):
            plane = settings.alphas if place == 0 and width <= settings.plane_up_to else ()
            alphas = sorted({1.0, settings.mean_field_scale * width**-0.5, *plane})
            axes = {"activation": settings.activations, "alpha": alphas}
            found += kit.grid(Cell, settings, counts[width], data=[data], width=[width], **axes)
    return found


def cost(cell: Cell) -> kit.Cost:
    """Flops of some 120 steps, and of more tries below the mean-field line."""
    return kit.scaled.cost(cell.data, cell, cell.width, 120 if cell.alpha**2 * cell.width > 1 else 400)


def measure(cell: Cell) -> kit.Measured:
    """Train one scaled network until it has learnt enough; compare it with its linearization and with its start."""
    task = kit.scaled.data(cell.data, cell)
    start = kit.scaled.elman(task, cell.width, cell.activation, cell.trained, cell.network_seed)
    found = kit.scaled.train(lab.Scaled(start, cell.alpha), task, cell)
    changes = kit.scaled.changes(found)
    row = kit.pick(cell, *PLACE) | found.summary(curvature=False)
    row |= {"ntk": cell.alpha == 1, "mean_field": cell.alpha == cell.mean_field_scale * cell.width**-0.5}
    row |= {name: changes.get(each) for name, (each, _) in DRAWN.items()}
    return row, kit.scaled.path(found) | (kit.scaled.learnt(found) if cell.data == "teacher" else {})


def conclude(table: kit.Table) -> kit.Conclusion:
    """Numbers of every activation, and a verdict."""
    numbers, arms = kit.Numbers(), _arms(table)
    for arm in arms:
        numbers |= arm.keyed(_along_lines(arm) | _errors(arm)) | _boundary(arm)
        slopes, first = (kit.scaled.lazy_slopes(_on(each), "gap", PASSES) for each in (arm, arms[0]))
        numbers |= {key(arm=arm.name): kit.Number.mean(slopes[name]) for name, key in LAZY.items()}
        numbers |= {SLOWER(arm=arm.name): kit.Number.mean((slopes - first)["width"])} if arm.name else {}
    numbers[REACHED()] = kit.Number.exact(float((table["exit"] == "reached").mean()), table["seed"].nunique())
    return kit.Conclusion(numbers, kit.sentences(verdict(numbers, arms), kit.scaled.report_lost(table)))


def _arms(table: kit.Table) -> list[kit.Arm]:
    return kit.split(table.rename(columns={"gap_test": "gap"}), "activation", NAMES)


def _on(arm: kit.Arm, line: str = "") -> kit.Table:
    """Rows of the first data, on one line if it is named."""
    rows: kit.Table = arm.rows[arm.rows["data"] == arm.rows["data"].iloc[0]]
    return rows[rows[line]] if line else rows


def _along_lines(arm: kit.Arm) -> kit.Numbers:
    """Exponents along both lines, levels and slopes at their ends, and limits along the mean-field line."""
    found = kit.Numbers()
    for line in LINES:
        along = _on(arm, line)
        names = [name for name in EXPONENTS if (name, line) != ("gap", "mean_field")]  # which is no power law
        found |= {EXPONENTS[name](line): kit.exponent(along, name) for name in names}
        found |= {key(line): kit.Number.geometric(kit.widest(along)[name]) for name, key in LEVELS.items()}
        found |= {key(line): kit.exponent(kit.limits.widest_octaves(along), name) for name, key in SLOPES.items()}
    return found | {key(line): kit.limit(along, name) for name, key in LIMITS.items()}


def _errors(arm: kit.Arm) -> kit.Numbers:
    """Test errors on both lines at the largest width, and their difference by seed, on each data set."""
    found = kit.Numbers()
    for data, name in itertools.product(kit.split(arm.rows, "data"), ERRORS):
        ends = {line: kit.widest(data.rows[data.rows[line]]).set_index("seed")[name] for line in LINES}
        average = kit.Number.rate if name == "error_rate" else kit.Number.geometric
        found |= {ERRORS[name](line, data.value): average(errors) for line, errors in ends.items()}
        found[PRICES[name](data.value)] = kit.Number.mean(ends["mean_field"] - ends["ntk"])
    return found


def _boundary(arm: kit.Arm) -> kit.Numbers:
    """α* at each width and its slope; of smooth networks the two terms, and the slope of their α* at these widths."""
    places = kit.scaled.boundaries(_on(arm), "gap", PASSES)
    found = kit.at_each(places, "width", {"boundary": BOUNDARY}, arm.name, kit.Number.geometric)
    found[FALL(arm=arm.value)] = kit.exponent(places, "boundary")
    if kit.limits.is_smooth(arm.rows):
        fits = kit.scaled.two_terms(_on(arm), "gap", FITTED)
        curves = [fit.boundary(places["width"].unique(), PASSES) for fit in fits]
        found |= {key(arm=arm.name): kit.Number.mean([getattr(fit, n) for fit in fits]) for n, key in TERMS.items()}
        found[TWO_TERM(arm=arm.name)] = kit.fit_seeds(places["width"].unique() if fits else (), curves).exponent
    return found


def verdict(numbers: kit.Numbers, arms: list[kit.Arm]) -> str:
    """Where the boundary goes, what the two limits of width do, and which has the lower test error."""
    half, smooth, scale = (partial(kit.compare_with_theory, theory=law, name=name) for name, law in LAWS.items())
    judge = partial(kit.compare, level=0.0)
    stays = partial(judge, above="it does not vanish", below="it is below 0", around="0 is not excluded")
    trend = partial(judge, above="it grows", below="it falls", around="no trend is visible")
    slower = partial(judge, above="it falls more slowly", below="it falls faster")
    worth = partial(judge, above="higher", below="lower")
    rows = _on(arms[0], "mean_field")
    line = f"α = {(rows['alpha'] * rows['width'] ** 0.5).mean():g}/√m"

    def told(start: str, judge: Any, key: kit.Quantity, *which: str, write: Any = kit.power) -> str:
        keys = {arm.label: key(*which, arm=arm.value if key is FALL else arm.name) for arm in arms}
        found = {label: numbers[each] for label, each in keys.items() if each in numbers}
        return kit.fill(start, kit.for_each(found, write, judge))

    plain, rich = partial(told, write=kit.format_number), "mean_field"
    it, its = ("it", "the test gap"), ("Its slope", f"Along {line} the slope of the gap")  # the second if not named yet
    start = f"At the largest width and equal training error, {line} in place of α = 1 changes the "
    worths = (plain(f"{start}{text} by {{}}.", worth, PRICES[name], data) for (name, data), text in CLAIMS.items())
    return kit.sentences(
        (falls := told("The test gap passes 0.1 at a scale α* that goes as {}.", half, FALL))
        or "No exponent of the boundary α* could be fitted.",
        told("Two orders of perturbation theory, (a/α + b/α²)/m, have α* go as {} there.", half, TWO_TERM),
        lazy := told("Where the gap is at most 0.1 it goes as {}.", smooth, LAZY["width"]),
        plain(f"This exponent minus that of the {arms[0].label} is {{}}.", slower, SLOWER),
        told("In the scale it goes as {}.", scale, LAZY["alpha"], write=partial(kit.power, of="α")),
        told(f"Along α = 1, over all widths, {it[not falls + lazy]} goes as {{}}.", smooth, EXPONENTS["gap"], "ntk"),
        told("Over the two largest octaves of width it goes as {} there.", smooth, SLOPES["gap"], "ntk"),
        told("Along α = 1 features change as {}.", half, EXPONENTS["feature_change"], "ntk"),
        tends := plain(f"Along {line} the gap tends to {{}}.", stays, LIMITS["gap"], rich),
        plain(f"{its[not tends]} over the two largest octaves of width is {{}}.", trend, SLOPES["gap"], rich),
        plain(f"Along {line} the change of features tends to {{}}.", stays, LIMITS["feature_change"], rich),
        *worths,
    )


def draw(results: kit.Results, conclusion: kit.Conclusion) -> kit.Figures:
    """The plane with its boundary; changes per coordinate along both lines; outputs and features in three corners."""
    arms, panels = [replace(arm, rows=_on(arm)) for arm in _arms(results.table)], kit.figures.panels
    along = [
        replace(arm, rows=_on(arm, line), label=f"{arm.label}, {name}") for arm in arms for line, name in LINES.items()
    ]
    numbers, keys = dict(conclusion.numbers), (BOUNDARY, *TERMS.values())
    plane = partial(kit.scaled.draw_plane, column="gap", level=PASSES, numbers=numbers, keys=keys, lines=LINES)
    finding, ylabel = partial(kit.finding, conclusion.verdict, otherwise=question), "RMS change per coordinate"
    found = {"plane": panels(arms, plane, title=finding("passes 0.1"), size=(6.6, 5.0))}
    title = finding("features change as", "the change of features")
    found["coordinates"] = kit.figures.panel_per_arm(along, _draw_changes, title=title, ylabel=ylabel, named="{}")
    if arms[0].rows["data"].iloc[0] == "teacher":
        runs, errors = {}, []
        for name, (line, end) in CORNERS.items():
            width, rows = list(_on(arms[0], line).groupby("width"))[end]
            run = kit.records.median_run(results, rows, "test_error", *PLACE)
            runs[f"{name}: width {width}, {LINES[line]}"] = run
            errors.append(f"{rows['test_error'].median():.2g} {name}")
        shown = [(label, name, run) for name in ("samples", "alignment") for label, run in runs.items() if run]
        if shown:
            found["learnt"] = panels(shown, kit.scaled.draw_learnt, title=kit.fill("Test error {}", errors), rows=2)
    return found


def _draw_changes(ax: kit.Axes, arm: kit.Arm) -> None:
    for place, (name, (label, marker)) in enumerate(DRAWN.items()):
        color, shift = lab.figures.style.QUANTITIES[place], 1.05 ** (place - 1.5)
        if place and not arm.rows[name].notna().any():
            continue  # this matrix is not trained
        kit.figures.power_law(ax, kit.power_law(arm.rows, name), color, label, shift, marker)
