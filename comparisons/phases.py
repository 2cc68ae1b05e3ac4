"""After a first phase of large steps the weights are no longer random: does a linearization taken there still hold?

Phase one trains a network at η = 2c₁/λ_max(K₀) until its residual ‖f − y‖ is a share of the first, after its peak if
the error rises above its first value (a catapult). Phase two goes on from those weights W_k by a step that is small for
both kernels, 2c/max(λ_max(K₀), λ_max(K_k)). Two linear models in closed form run beside it. They start where the
network does, at f(W_k), and differ in their kernel alone: K₀ = K(W₀), as the theory has it, or K_k = K(W_k). It ends
when the second one's error is a hundredth of what phase one left. The control, the smallest c₁, has no large steps.
Gaps are in units of RMS(y − f(W_k)) on the training set. Allen-Zhu, Li, Song 2019 (Theorem 3) show for the loss f that
‖∇f‖² ≥ const·m·f near W₀; for all targets at once, the best constant is 2λ_min(K)/m and that of their upper bound
2λ_max(K)/m, averaged in logs. Numbers are at the largest width, and at the middle share if no other is named.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import median_high
from typing import Annotated

import lab
from comparisons import kit
from lab.errors import check_number

question = "After a first phase of large steps, does a new linearization describe the training that follows?"
asked_by = "R1, R3"
version = 2

F0_SHARE, BOTH = kit.records.F0_SHARE, "its gap to the first linear model and to a new one"
_AFTER = {
    "gap_from_init": "Largest test gap of phase two, RMS(network − linear model with K₀).",
    "gap_from_phase_one": "Largest test gap of phase two, RMS(network − linear model with K_k).",
    "kernel_distance": "1 − ⟨K₀, K_k⟩/(‖K₀‖‖K_k‖) (Fort et al. 2020): blind to rescaling.",
    "spectrum_kept": "Share of the singular values of W_k below 1.1 times the edge of a random matrix; 1 for W₀.",
    "spectrum_top": "Largest singular value of W_k over the edge of a random matrix, 2√2 in the paper's setting.",
    "capped": "Share of seeds in which phase two used up its budget.",
    "lambda_min_phase_one": "λ_min(K_k)/m.",
    "lambda_max_phase_one": "λ_max(K_k)/m.",
    "gradient_ratio_phase_one": "‖∇f‖²/(m·f) at W_k, for the residual at W_k.",
    "gap_ratio": "gap_from_phase_one over gap_from_init, paired by seed: below 1, relinearizing helps.",
    "lambda_min_kept": "λ_min(K_k)/λ_min(K₀), paired by seed: the relative constant of Theorem 3's bound at W_k.",
    "phase_one_length": "Steps of phase one (geometric mean).",
    "gap_over_control": "gap_from_phase_one over that of the control, paired by seed.",
}
AFTER = kit.family(meanings=_AFTER)
_INIT = {"lambda_min_init": "λ_min(K)/m", "lambda_max_init": "λ_max(K)/m", "gradient_ratio_init": "‖∇f‖²/(m·f)"}
AT_INIT = kit.family(template="{} at W₀.", meanings=_INIT)
CONTROL = kit.Quantity("gap_small_step_control", meaning="gap_from_init or gap_from_phase_one after the control.")
EXPONENT = kit.Quantity("exponent", "gap_from_phase_one", meaning="Slope on log(width) of the log of the gap.")
NOISE_FLOOR = kit.Quantity("noise_floor", meaning="Largest disagreement of two linear models at W_k after the control.")
MEASURED, SCALES, SHARES = tuple(AFTER)[:9], tuple(AFTER)[6:9], ("spectrum_kept", "capped")
AT_OTHERS = ("gap_from_init", "gap_from_phase_one", "gap_ratio", "kernel_distance", "gap_over_control")  # at others
WHICH = ("readout", "width", "seed", "first", "residual")
ENDS = ("phase_two_length", "small_step", "final_mse", "noise", "phase_one_length", "peak")
COLUMNS = (*WHICH, *MEASURED, *ENDS, *AT_INIT, "f0_share", "outcome", "diverged", "reasons")
DONE = 1e-2  # of the mean squared error that phase one left
WATCHED = 200  # steps for which a phase one beyond the edge is watched for its peak
STEP = r"step of phase one, $c_1=\eta\lambda_{\max}(K_0)/2$"
NAMED, GAP = "phase one to {} of the first residual", "largest test gap of phase two,\nin units of RMS($y-f(W_k)$)"
MISSING = 0.2  # share of seeds that may be without phase two
MODELS = {"init": ("kernel of $W_0$", "#D55E00", "--")}
MODELS |= {"phase_one": ("kernel of $W_k$, after phase one", "#0072B2", "-")}
CONSTANTS = (  # how `SCALES` are drawn
    (r"constant of the lower bound, $2\lambda_{\min}(K)/m$", "#0072B2", "^"),
    (r"constant of the upper bound, $2\lambda_{\max}(K)/m$", "#D55E00", "v"),
    (r"for this residual, $\|\nabla f\|^2/(m f)$", "#000000", "o"),
)
HEADLINES = ("gap_from_phase_one.#", "gap_from_init.#", "gap_small_step_control.phase_one", "gap_over_control.#")
CAPTIONS = {
    "gaps": f"Gap to both linear models against the step of phase one: lower describes better. {kit.marks.POINTS}",
    "phases": "Left, the residual in phase one: large steps rise first. Right, the gap to both models in phase two.",
    "theorem": f"What phase one leaves of the constants of Theorem 3; dashed, no change. {kit.marks.POINTS}",
}
FRACTIONS = (0.1, 0.5, 1.5, 3.0)


@dataclass(frozen=True)
class Settings(kit.networks.CentredSettings):
    """Settings of the comparison of phases: those of `CentredSettings`, and the two phases."""

    widths: kit.networks.Widths = (256,)
    critical_fraction: Annotated[kit.Share, kit.doc("c of phase two, in units of the smaller critical step.")] = 0.25
    phase_one: Annotated[kit.Choices[kit.Positive], kit.doc("Step sizes c₁; the smallest is the control.")] = FRACTIONS
    residuals: Annotated[kit.Choices[kit.Share], kit.doc("Relative residuals that end phase one.")] = (0.8, 0.5, 0.2)
    phase_one_time: Annotated[kit.Positive, kit.doc("Budget of phase one in kernel time τ = c₁·steps.")] = 100.0
    phase_two_steps: Annotated[kit.Count, kit.doc("Budget of phase two in steps.")] = 3000

    def check(self) -> None:
        """Refuse a control with c₁ ≥ 1."""
        super().check()
        check_number("phase_one", min(self.phase_one), above=0, below=1)


PRESETS = {
    "fast": Settings(widths=(64,), seeds=4, samples=24, phase_one=(0.1, 1.5, 3.0), residuals=(0.5,)),
    "default": Settings(),
    "full": Settings(widths=(128, 256, 512, 1024), seeds=10, critical_fraction=0.1, phase_two_steps=20_000),
}


@dataclass(frozen=True, kw_only=True)
class Cell(kit.networks.CentredCell):
    """Both phases of one network; ``noise`` says that it measures the noise floor."""

    phase_one_time: float
    phase_two_steps: int
    first: float
    residual: float
    noise: bool = False

    @property
    def horizon(self) -> int:
        """Most steps of phase one."""
        return max(math.ceil(self.phase_one_time / self.first), WATCHED)


def cells(settings: Settings) -> list[Cell]:
    """One cell for every readout, width, seed, c₁ and share of the residual."""
    found = settings.grid(Cell, first=settings.phase_one, residual=settings.residuals)
    control = (min(settings.phase_one), median_high(settings.residuals))
    return [replace(cell, noise=(cell.first, cell.residual) == control) for cell in found]


def cost(cell: Cell) -> kit.Cost:
    """Flops of phase one and of a quarter of phase two's budget, and of five kernels; bytes of weights and deltas."""
    return kit.costs.training_cost(cell, cell.horizon + cell.phase_two_steps // 4, kernels=5)


def measure(cell: Cell) -> kit.Measured:
    """Both phases of one network, and the two linear models beside the second."""
    phases, (task, network) = lab.measures.relinearization, kit.networks.build(cell)
    before, scales = lab.KernelRegressor.at(network, task), lab.measures.kernels.gradient_scales
    one = phases.first_phase(network, task, before, cell.first, share=cell.residual, steps=cell.horizon)
    row: kit.Row = {**dict.fromkeys(COLUMNS), **kit.pick(cell, *WHICH), **one.summary()}
    row |= dict(zip(AT_INIT, scales(before, cell.width), strict=True))
    row["f0_share"] = float(before.outputs.square().sum() / (before.targets - before.outputs).square().sum())
    if one.network is None:
        return row, {"path": one.path}
    two = phases.second_phase(one.network, task, before, cell.critical_fraction, done=DONE, budget=cell.phase_two_steps)
    row |= two.summary(noise=cell.noise) | dict(zip(SCALES, scales(two.after, cell.width), strict=True))
    gaps = {f"gap_{where}": gap for where, gap in zip(MODELS, two.gaps(), strict=True)}
    return row, {"path": one.path, "times": two.times, "losses": two.losses(), **gaps}


def conclude(table: kit.Table) -> kit.Conclusion:
    """Numbers of every c₁ at the largest width, gaps at every share, and a verdict on the largest c₁."""
    main = median_high(table["residual"].unique().tolist())
    numbers = kit.each_readout(table, lambda rows: _of_readout(rows, main))
    floor = kit.finite(float(table["noise"].astype(float).max()))
    numbers[NOISE_FLOOR()] = kit.Number.exact(floor, table["seed"].nunique())
    numbers[F0_SHARE()] = kit.Number.median(table.groupby(["width", "seed"])["f0_share"].mean())
    return kit.Conclusion(numbers, verdict(numbers, table))


def _of_readout(rows: kit.Table, main: float) -> kit.Numbers:
    """Numbers at the largest width, the middle share first, and exponents where there are several widths."""
    widest, numbers = kit.widest(rows), dict[kit.Key, kit.Number]()
    for residual in sorted(widest["residual"].unique(), key=lambda each: (each != main, each)):
        at = () if residual == main else ("at", residual)
        same = widest[widest["residual"] == residual]
        control = min(same["first"])
        for first in sorted(same["first"].unique()):
            found = _after(same[same["first"] == first], same[same["first"] == control])
            numbers |= {AFTER[name](first, *at): found[name] for name in AFTER if not at or name in AT_OTHERS}
        numbers |= {CONTROL(where, *at): numbers[AFTER[f"gap_from_{where}"](control, *at)] for where in MODELS}
    once, same = widest[widest["residual"] == main].groupby("seed").first(), rows[rows["residual"] == main]
    numbers |= {key(): kit.Number.geometric(once[name]) for name, key in AT_INIT.items()}
    for first in sorted(same["first"].unique()) if same["width"].nunique() > 1 else ():
        numbers[EXPONENT(first)] = kit.exponent(same[same["first"] == first], "gap_from_phase_one")
    return numbers


def _after(rows: kit.Table, control: kit.Table) -> dict[str, kit.Number]:
    """Numbers of one c₁ from the seeds that went through both phases; none if more than a fifth of them did not."""
    here = rows[rows["outcome"] == "reached"].set_index("seed")
    here = here.astype(dict.fromkeys((*MEASURED, *AT_INIT, "phase_one_length"), float))
    gone, none = len(rows) - len(here), kit.Number.none
    if gone > MISSING * len(rows):
        ends = ", ".join(sorted(set(rows.loc[rows["outcome"] != "reached", "outcome"])))
        reason = f"{gone} of {len(rows)} seeds did not get through both phases ({ends})"
        return dict.fromkeys(AFTER, none(reason, len(here)))
    paired = (here["gap_from_phase_one"] / control.set_index("seed")["gap_from_phase_one"]).dropna()
    enough, geometric = len(paired) >= (1 - MISSING) * len(rows), kit.Number.geometric
    return {
        **{name: geometric(here[name]) for name in MEASURED if name not in SHARES},
        "spectrum_kept": kit.Number.rate(here["spectrum_kept"]),
        "capped": kit.Number.share(here["capped"]),
        "gap_ratio": geometric(here["gap_from_phase_one"] / here["gap_from_init"]),
        "lambda_min_kept": geometric(here["lambda_min_phase_one"] / here["lambda_min_init"]),
        "phase_one_length": geometric(here["phase_one_length"].clip(lower=1)),
        "gap_over_control": geometric(paired) if enough else none("too few seeds have both", len(paired)),
    }


def verdict(numbers: kit.Numbers, table: kit.Table) -> str:
    """Both linear models, and Theorem 3, at the largest c₁ that has numbers."""
    firsts, gap = sorted(table["first"].unique()), AFTER["gap_from_init"]
    large = [first for first in firsts if first > 1 and numbers[gap(first)].value is not None]
    if not large:
        return f"There is no phase two after large steps: {numbers[gap(firsts[-1])].reason or 'none was tried'}."
    found = {name: numbers[key(large[-1])] for name, key in AFTER.items()}
    renewed, frozen = kit.percent(found["gap_from_phase_one"]), kit.percent(found["gap_from_init"])
    control, kept = numbers[CONTROL("phase_one")], found["lambda_min_kept"]
    helps = kit.compare(found["gap_ratio"], 1.0, below="relinearizing helps", above="relinearizing makes it worse")
    places = {"below": "it deviates less after large steps", "above": "it deviates more after large steps"}
    more = kit.compare(found["gap_over_control"], 1.0, **places)
    constant = kit.compare(kept, 1.0, below="", above="", around=": no difference is visible", unknown="")
    bound = f"{kit.percent(kept)}{'' if kept.value is None else ' of that at initialization'}{constant}"
    return kit.sentences(
        f"At width {table['width'].max()}, after phase one at {large[-1]:g} times the critical step, the linearization "
        f"there deviates by {renewed} of the remaining residual, that at initialization by {frozen}; {helps}.",
        "" if control.value is None else f"After small steps the former deviates by {kit.percent(control)}; {more}.",
        f"After large steps the constant of Theorem 3's lower bound is {bound}.",
    )


def draw(results: kit.Results, conclusion: kit.Conclusion) -> kit.Figures:
    """Both gaps against c₁, both phases over time, and what phase one leaves of Theorem 3's constants."""
    rows, figures = kit.widest(kit.main_readout(results.table)), kit.figures
    arms = kit.split(rows.sort_values("residual", ascending=False, kind="stable"), "residual")
    main = rows[rows["residual"] == median_high(rows["residual"].unique().tolist())]
    gap, theorem = (kit.finding(conclusion.verdict, at, otherwise=question) for at in ("of the remaining", "Theorem 3"))
    return {
        "gaps": figures.panel_per_arm(arms, _draw_gaps, title=gap, ylabel=GAP, size=(4.1, 4.2), named=NAMED),
        "phases": _draw_phases(results, main[main["seed"] == main["seed"].min()]),
        "theorem": figures.panels([main], _draw_theorem, title=theorem, size=(6.6, 4.6)),
    }


def _draw_gaps(ax: kit.Axes, arm: kit.Arm) -> None:
    for shift, marker, (where, (label, color, _)) in zip((-0.1, 0.1), "so", MODELS.items(), strict=True):
        groups = kit.groups(arm.rows, f"gap_from_{where}", "first", log=True)
        kit.figures.grouped(ax, groups, color, label=label, marker=marker, offset=shift)
    ax.axhline(0, color=lab.figures.style.GREY, linewidth=0.8)
    ax.set_xlabel(STEP)


def _draw_phases(results: kit.Results, rows: kit.Table) -> kit.Figure:
    curves, style = lab.figures.curves, lab.figures.style
    (figure, ((one, two),)), reached = style.panels(2, size=(5.2, 4.2)), []
    found, firsts = kit.records.arrays_of(results, rows, *WHICH), [f"c₁ = {first:g}" for first in rows["first"]]
    ends = [None if math.isnan(length) else int(length) + 1 for length in rows["phase_one_length"].astype(float)]
    paths = [arrays["path"][:end] for arrays, end in zip(found, ends, strict=True)]
    curves.residuals(one, paths, firsts, float(rows["residual"].iloc[0])).set_title("phase one: large steps")
    for where, (label, _, dash) in MODELS.items():
        gaps = [(each["times"], each[f"gap_{where}"]) if "times" in each else None for each in found]
        curves.dashed(two, gaps, label, dash)
        reached += [f"{lab.measures.gap.largest(gaps[-1][1]):.2f}"] if gaps[-1] else []
    two.set(title="phase two: small steps", xlabel=r"kernel time $\tau=\eta t\lambda_{\max}(K_k)/2$")
    two.set(ylabel="test gap, in units of RMS($y-f(W_k)$)", ylim=(0, None))
    style.headline(figure, kit.fill(f"One network after {firsts[-1]}: {BOTH} is {{}}", reached) or question)
    return figure


def _draw_theorem(ax: kit.Axes, rows: kit.Table) -> None:
    for place, (after, before, (label, color, marker)) in enumerate(zip(SCALES, AT_INIT, CONSTANTS, strict=True)):
        groups = kit.groups(rows.assign(kept=rows[after] / rows[before]), "kept", "first", log=True)
        kit.figures.grouped(ax, groups, color, label=label, marker=marker, offset=0.2 * (place - 1))
    lab.figures.curves.reference(ax, 1, "as at $W_0$ ", horizontal=True)
    lab.figures.curves.log_axis(ax.yaxis)
    ax.set(xlabel=STEP, ylabel="after phase one, over the value at $W_0$")
