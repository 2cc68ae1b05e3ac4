"""How large may a step be before tracking breaks, the linear model diverges, and the network fails to train?

One network for each width and seed is trained at a grid of steps η = 2c/λ_max(K₀); at c = 1 the fastest direction of
the linear model stops contracting. All runs go to one kernel time τ = c·t = 40 at least, and to step 60, so that an
unstable direction shows; then until the error is a tenth of its first value, or until the budget is spent: ten times
the steps of the linear learner at c = ½ (at an equal kernel time for smaller steps). The error is the mean squared one;
with another ``loss`` it is that per sample, and λ_max that of H₀^½K₀H₀^½, H₀ being its curvature at f₀.
Beyond the linear limit the network catapults (Lewkowycz et al. 2020): its error rises, its kernel shrinks, and then it
trains. So may its second-order Taylor model, tried from c = ½ on. The critical step is compared with that of
Allen-Zhu, Li, Song 2019 (Theorem 1): 1/m times a polynomial in n and L. Limits are averaged in logs over seeds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Annotated

from annotated_types import Gt

import lab
from comparisons import kit

question = "How large may a step be before tracking breaks, the linear model diverges, and the network fails to train?"
asked_by = "R1"
version = 4

F0_SHARE = kit.records.F0_SHARE
_MEANINGS = {
    "tracking_limit": "Largest c up to which the test gap of τ ≤ 40 is within 1.25 times that at the smallest c.",
    "linear_limit": "Smallest c at which the linear model's error grows tenfold in 10,000 steps (other losses: 1,000).",
    "network_limit": "Largest c such that there and at all smaller c the network reaches 0.1 of its initial error.",
    "sharpness_after_catapult": "ηλ_max/2 of K_T (other losses: H_T^½K_TH_T^½), no Hessian, at network_limit > 1.",
    "live_gates": "Share of open ReLU gates on the training set at network_limit after training.",
    "gap_smallest_step": "Largest test gap of τ ≤ 40 at the smallest c, in the unit of the gap.",
    "live_gates_start": "Share of open ReLU gates on the training set before training.",
    "catapult_peak": "Largest training error at network_limit, over the initial one (geometric mean).",
    "weight_motion_ratio": "‖W_t − W₀‖_F at 0.8·network_limit over that at ¼, both at 0.1 of the initial error.",
    "nonmonotone_seeds": "Number of seeds that train again at some c beyond their network_limit.",
}
AT_WIDTH = kit.family(meanings=_MEANINGS)
LIMITS, NEVER = ("tracking_limit", "linear_limit", "network_limit"), "does not diverge at any step of this grid"
CRITICAL = "critical_step_times_width"
CRITICAL_STEP = kit.Quantity(CRITICAL, meaning="η_crit·m = 2m/λ_max at each width; infinite: of its limit K∞.")
EXPONENT = kit.Quantity("exponent", CRITICAL, meaning="Slope of its log on log(width); 0 is the step of Theorem 1.")
NOISE_FLOOR = kit.Quantity("noise_floor", meaning="Largest disagreement of two linear models, in units of the gap.")

HEADLINES = ("tracking_limit", "linear_limit", "network_limit", "sharpness_after_catapult")
CAPTIONS = {
    "limits": "Largest gap (points: seeds; bands: 95 % intervals), and share of seeds that train. Dashed lines are the "
    "three limits; where it is shaded, the linear model diverges, and near its left end the second-order one trains.",
    "losses": "Error over kernel time: solid the network, dashed its linear model, dotted its second-order model.",
}
REACHED, EXPLODES = 0.1, 10.0  # of the initial error: trained; and for the linear model, diverged
LINEAR_STEPS = {True: 10_000, False: 1_000}  # after which that is looked at: of the squared loss, of others
TRACKS, EDGE = 1.25, 0.6  # times the gap at the smallest step; of linear_limit, about which tracking ends there
NO_LIMIT = kit.Number.none("K∞ has no closed form for this activation and parametrization")
MODELS = {"linearized": ("stays", "linear model does not diverge"), "quadratic": ("second", "second-order model")}
SECOND_FROM, VAGUE = 0.5, 1.0  # c from which that trains; length from which an interval is not interpreted


@dataclass(frozen=True)
class Settings(kit.networks.CentredSettings):
    """Settings of the step-size comparison: those of `CentredSettings`, the grid of steps, and how long to train."""

    widths: kit.networks.Widths = (64, 128, 256)
    critical_fraction: Annotated[kit.Share, kit.doc("c at which the linear learner's time defines the budget.")] = 0.5
    smallest_fraction: Annotated[kit.Share, kit.CHOOSES, kit.doc("Smallest c of the grid.")] = 0.05
    largest_fraction: Annotated[float, Gt(1), kit.CHOOSES, kit.doc("Largest c of the grid.")] = 64.0
    per_octave: Annotated[kit.Count, kit.CHOOSES, kit.doc("Values of c in each factor of 2.")] = 2
    kernel_time: Annotated[kit.Positive, kit.doc("τ = c·t up to which gaps are compared.")] = 40.0
    patience: Annotated[kit.Positive, kit.doc("Budget, in steps of the linear learner to a tenth of its error.")] = 10.0
    least_steps: Annotated[kit.Count, kit.doc("No run ends before this step.")] = 60
    loss: kit.losses.Loss = "squared"


PRESETS = {
    "fast": Settings(widths=(32, 64), seeds=4, samples=24, smallest_fraction=0.1, largest_fraction=16, patience=5.0),
    "default": Settings(seeds=8),
    "full": Settings(widths=(64, 128, 256, 512, 1024), seeds=10, per_octave=4),
}


@dataclass(frozen=True, kw_only=True)
class Cell(kit.networks.CentredCell):
    """One network of one width and seed at one step."""

    kernel_time: float
    patience: float
    least_steps: int
    fraction: float
    loss: str = kit.optional("squared")


def cells(settings: Settings) -> list[Cell]:
    """One cell for every readout, width, seed and c."""
    ends = settings.smallest_fraction, settings.largest_fraction
    return settings.grid(Cell, fraction=lab.measures.interpolation.octaves(*ends, settings.per_octave))


def cost(cell: Cell) -> kit.Cost:
    """Flops of the steps to τ, about what most runs take, of three kernels and of recursions; bytes of the network."""
    steps = max(math.ceil(cell.kernel_time / cell.fraction * (1 - 1e-12)), 2 * cell.least_steps)
    return kit.costs.training_cost(cell, steps, kernels=3) + kit.costs.recursion(cell, 3 * LINEAR_STEPS[False])


def measure(cell: Cell) -> kit.Measured:
    """Train one network at one step, beside its linear model in closed form."""
    task, network = kit.networks.build(cell)
    words, duration = kit.losses.words(cell.loss), kit.pick(cell, "kernel_time", "least_steps", "patience", "loss")
    reach = {"goal": REACHED, "reference": cell.critical_fraction, **duration}
    run = lab.measures.catapult.train_at(cell.fraction, network, task, **reach)
    model = lab.QuadraticNetwork(network) if cell.fraction >= SECOND_FROM else None
    second = lab.measures.catapult.train_at(cell.fraction, model, task, **reach) if model else None
    *linear, late = run.linear_errors([*range(len(run.errors)), LINEAR_STEPS[words.is_squared]])
    row: kit.Row = {
        **kit.pick(cell, "readout", "width", "seed", "fraction"),
        **kit.losses.column(cell.loss),
        "outcome": run.arrival.exit,
        "outcome_second_order": second.arrival.exit if second else None,
        **run.summary(words.short),
        CRITICAL: 2 * cell.width / run.model.lambda_max,
        "critical_step_infinite": kit.ratio(2 * cell.width, run.model.limit_lambda_max(network, task.train_inputs)),
        **run.context(),
        "linear_diverges": bool(not late <= EXPLODES),
        "linear_noise": run.linear_noise() if 0.5 <= cell.fraction < 1 else None,
    }
    arrays = {**kit.losses.paired(words, run.errors, linear), "steps": run.linear.steps, "gap_test": run.gap}
    return row, arrays | ({"quadratic": second.errors} if second else {})


def conclude(table: kit.Table) -> kit.Conclusion:
    """The three limits at each width and what goes with them, and a verdict on the largest width."""
    numbers: kit.Numbers = {}
    for arm in kit.by_readout(table):
        once = arm.rows.sort_values("fraction").groupby(["width", "seed"], as_index=False).first()
        for width in sorted(arm.rows["width"].unique()):
            found = _at_width(*(rows[rows["width"] == width] for rows in (arm.rows, once)))
            for name, key in AT_WIDTH.items():  # without a width, the last one remains
                numbers |= dict.fromkeys((key(width, arm=arm.name), key(arm=arm.name)), found[name])
            numbers[CRITICAL_STEP(width, arm=arm.name)] = found[CRITICAL]
        numbers[EXPONENT(arm=arm.name)] = kit.exponent(once, CRITICAL)
        known = once["critical_step_infinite"].dropna()
        numbers[CRITICAL_STEP("infinite", arm=arm.name)] = kit.Number.geometric(known) if len(known) else NO_LIMIT
    numbers[NOISE_FLOOR()] = kit.Number.exact(kit.finite(float(table["linear_noise"].max())), table["seed"].nunique())
    numbers[F0_SHARE()] = kit.records.of_values(table, "f0_share", by=("width", "seed"))
    return kit.Conclusion(numbers, verdict(numbers, table))


def _at_width(rows: kit.Table, firsts: kit.Table) -> dict[str, kit.Number]:
    """Numbers of one width and readout, from the limits of each seed and the rows at its smallest c."""
    marked = rows.assign(trains=rows["outcome"] == "reached", peak=rows[f"peak_{kit.losses.words_of(rows).short}"])
    seeds = [part for _, part in marked.sort_values("fraction").groupby("seed")]
    columns = ("fraction", "gap_test", "linear_diverges", "trains", "motion")
    limits = [lab.measures.catapult.RateLimits.of(*(part[name] for name in columns), factor=TRACKS) for part in seeds]
    ends = [limit.network for limit in limits]
    there = [part[part["fraction"] == end.value].iloc[0] for part, end in zip(seeds, ends, strict=True)]
    complete = all(end.censored is None and end.value > 1 for end in ends)
    missing = kit.Number.none("no catapult: network_limit is not above 1, or outside the grid, in some seed", len(ends))
    rate, geometric = kit.Number.rate, kit.Number.geometric
    return {
        "tracking_limit": kit.threshold([limit.tracking for limit in limits]),
        "linear_limit": kit.threshold([limit.linear for limit in limits]),
        "network_limit": kit.threshold(ends),
        "sharpness_after_catapult": geometric(row["sharpness"] for row in there) if complete else missing,
        "live_gates": rate(row["live_gates"] for row in there) if complete else missing,
        "gap_smallest_step": geometric(firsts["gap_test"]),
        "live_gates_start": rate(firsts["live_gates_start"]),
        "catapult_peak": geometric(row["peak"] for row in there) if complete else missing,
        "weight_motion_ratio": geometric(limit.motion_ratio for limit in limits),
        "nonmonotone_seeds": kit.Number.exact(float(sum(limit.trains_again for limit in limits)), len(limits)),
        CRITICAL: geometric(firsts[CRITICAL]),
    }


def verdict(numbers: kit.Numbers, table: kit.Table) -> str:
    """The largest step of the network, those of tracking and of the linear model, and the theorem's 1/width."""
    tracking, linear, network = (numbers[AT_WIDTH[name]()] for name in LIMITS)
    main, words = kit.widest(kit.main_readout(table)), kit.losses.words_of(table)
    rises = numbers[AT_WIDTH["catapult_peak"]()]
    peak = f", where its error first rises by a factor of {kit.format_number(rises)}" if (rises.value or 0) > 1 else ""
    lost = f"the network's largest step is not inside this grid ({network.reason})"
    first = f"the network trains at up to {kit.format_number(network)} times the critical step {words.critical}{peak}"
    outside = f"has no limit inside this grid ({linear.reason})" if main["linear_diverges"].any() else NEVER
    edge = outside if linear.value is None else f"{words.diverges} from {kit.format_value(linear.value)} on"
    edge += "; the network's limit is not above it" if (network.value or math.inf) <= (linear.value or 0) else ""
    return kit.sentences(
        f"At width {int(main['width'].max())} {lost if network.value is None else first}.",
        _tracking(tracking, linear, edge),
        _law(numbers[EXPONENT()]),
    )


def _tracking(tracking: kit.Number, linear: kit.Number, edge: str) -> str:
    """Where tracking breaks: at about the step at which the linear model diverges, or well before."""
    if tracking.value is None:
        return f"The limit of tracking is not inside this grid ({tracking.reason}), and the linear model {edge}."
    if linear.value is None or (tracking.interval or (0.0, tracking.value))[1] >= EDGE * linear.value:
        return f"It tracks the linear model up to {kit.format_number(tracking)}, and the linear model {edge}."
    return f"Tracking breaks at {kit.format_number(tracking)}, well before the linear model, which {edge}."


def _law(step: kit.Number) -> str:
    if step.interval is None:
        return ""
    if step.interval[1] - step.interval[0] > VAGUE:
        return "The exponent's interval is too wide to test the theorem's 1/width."
    judged = kit.compare(step, 0.0, below="faster than", above="slower than", around="compatible with")
    return f"The critical step times the width scales as {kit.power(step)}: {judged} the theorem's 1/width."


def draw(results: kit.Results, conclusion: kit.Conclusion) -> kit.Figures:
    """The three limits along c, and errors over kernel time at a few c."""
    main = kit.main_readout(results.table)
    limits = [conclusion.numbers[AT_WIDTH[name]()] for name in LIMITS]
    title = kit.finding(conclusion.verdict, "the network trains", "the network's largest", otherwise=question)
    return {"limits": _draw_limits(main, limits, title), "losses": _draw_losses(results, kit.widest(main))}


def _draw_limits(main: kit.Table, limits: list[kit.Number], title: str) -> kit.Figure:
    style = lab.figures.style
    figure, axes = style.panels(1, 2, size=(7.4, 3.4), sharex=True)
    words, (gap, trained) = kit.losses.words_of(main), axes[:, 0]
    second = main["outcome_second_order"].map({"reached": 1, "diverged": 0, "undecided": 0})
    shown = main.assign(trains=main["outcome"] == "reached", stays=main["linear_diverges"] != True, second=second)  # noqa: E712
    for (width, rows), color in zip(shown.groupby("width"), style.shades(main["width"].nunique()), strict=True):
        compared = rows[rows["fraction"] <= 1.01 * (limits[1].value or math.inf)]  # beyond, few steps are compared
        kit.figures.cloud(gap, kit.along(compared, "gap_test", "fraction", log=True), color)
        share = kit.along(rows, "trains", "fraction")
        trained.plot(share.x, share.middle, "o-", color=color, markersize=4, label=f"network, width {width}")
    for learner, (column, label) in MODELS.items():
        share = kit.along(kit.widest(shown), column, "fraction")
        trained.plot(share.x, share.middle, label=label, **style.LEARNERS[learner].curve())
    kit.figures.through(axes[:, 0], limits[0], "tracking\nends", 0.5, beside="left")
    kit.figures.through(axes[:, 0], limits[1], "linear model\ndiverges", 0.7)
    kit.figures.through(axes[:, 0], limits[2], "network\nfails", 0.9)
    linear, last = (limit.value or math.nan for limit in limits[1:])
    if last > linear:
        lab.figures.curves.span(axes[:, 0], linear, last, "catapult")
    lab.figures.curves.log_axes(gap).set_ylabel(f"largest gap |network − linearized|\n(test, {words.axis})")
    trained.set_ylabel(f"share of seeds that reach\n{REACHED:g} of the initial error")
    trained.set_xlabel(rf"step in units of the critical step, $c=\eta\lambda_{{\max}}({words.kernel})/2$")
    style.legends_below(figure, 2)
    style.headline(figure, title)
    return figure


def _draw_losses(results: kit.Results, widest: kit.Table) -> kit.Figure:
    """A small step, one below the edge, one above it, the last that works for the first seed, and the next."""
    rows = widest[widest["seed"] == widest["seed"].min()].sort_values("fraction")
    c = rows["fraction"].to_numpy(float)
    last = lab.measures.thresholds.holds_up_to(c, rows["outcome"] == "reached").value
    few = lab.measures.interpolation.nearest_in_logs(c, [c[0], c[c < 1].max(), c[c > 1].min() * 1.4, last, last * 1.4])
    found = kit.records.arrays_of(results, rows[rows["fraction"].isin(few)], "readout", "width", "seed", "fraction")
    words, linear = kit.losses.words_of(widest), max(c[rows["linear_diverges"] != True], default=0.0)  # noqa: E712
    title = f"One network: it trains at up to c = {last:.3g}, its linear model does not diverge up to c = {linear:.3g}"
    draw = partial(lab.figures.curves.falling_errors, fractions=few, goal=REACHED, error=words.error)
    runs, size = [[kit.losses.courses(run) for run in found]], (7.4, 4.8)
    return kit.figures.panels(runs, lambda ax, run: draw(ax, courses=run), title=title, size=size)
