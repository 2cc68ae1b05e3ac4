"""Do data from a simple model need less width than random labels?

For each seed, random labels, parity, a sum over time steps, one ReLU neuron (`lab.tasks.models`) and a wide Elman
network label the same sequences, and the same networks learn them; targets have variance 1. The widths are those of
`comparisons.kit.ladders`: that at which gradient descent *trains* in nine of ten seeds, and that at which it stays
*lazy*. The time for both is ten times what the infinitely wide linear learner takes on the same labels. The
sequences are many for their dimension (48 of 4 steps with 4 features): 32 of 4 steps with 8 features are so nearly
orthogonal that the kernel hardly separates any labels from random ones (``--features 8 --samples 32``).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated

import numpy as np
from annotated_types import Ge, Le

import lab
from comparisons import kit
from lab.errors import refuse

question = "Do data from a simple model need less width than random labels?"
asked_by = "R1"
version = 2

RANDOM, LABELS = "random", "labels"  # LABELS: the task's own, where it has meaningful ones
NAMES = {
    RANDOM: "random labels",
    "parity": "parity of signs",
    "additive": "additive over time steps",
    "neuron": "one ReLU neuron",
    "teacher": "teacher: a wide Elman network",
    LABELS: "the task's own labels",
}
MODELS = tuple(name for name in NAMES if name != LABELS)
Model = Annotated[str, kit.OneOf(*MODELS)]
TEACHER_WIDTH, TEACHER_SEED = 512, 2**31  # the latter is added to seeds, so that no network is its own teacher
WIDEST = 2**16  # of a ladder: W alone takes 16 GiB there

LADDERS = {
    "train": "m₉₀, at which training reaches mse < ε in 9 of 10 seeds within 10 linear hitting times on these labels",
    "equal_time": "m₉₀ within the time that random labels of the same seed get, for which the runs are those of train",
    "lazy": "the width at which the largest test gap falls through the level, geometric mean over seeds",
}
WIDTHS = {notion: kit.Quantity(notion, "width", meaning=f"For each model: {what}.") for notion, what in LADDERS.items()}
RATIOS = kit.family("width_ratio", meanings=LADDERS, template="Over that of random labels, paired by seed: {}.")
_ENDS = {"eigenvalue_floor": "below it eigenvalues count as 0", "lambda_min": "the smallest eigenvalue"}
SPECTRUM = kit.family(template="Of K∞/m, the same for all models of a seed: {}.", meanings=_ENDS)
_LEARNT = {
    "complexity": "n⁻¹ (y − f₀)ᵀ (K∞/m)⁻¹ (y − f₀) with f₀ = 0: m/n times the square of the least motion that fits "
    "in the linear model. Directions with eigenvalues below the floor are never learnt, and are left out.",
    "test_error": "Test mse of the network at a fixed width, in units of the variance of the test targets.",
    "test_error_linearized": "The same of the linearized network.",
}
LEARNT = kit.family(meanings=_LEARNT)
COMPLEXITY = LEARNT["complexity"]
PANELS = {  # quantities with their labels and colours
    "width needed, over that of random labels": [
        (RATIOS["train"], "trains", "#0072B2"),
        (RATIOS["equal_time"], "trains in equal time", "#3A96C9"),
        (RATIOS["lazy"], "stays lazy", "#D55E00"),
    ],
    r"complexity  $n^{-1}y^T(K_\infty/m)^{-1}y$": [(COMPLEXITY, "complexity", "#009E73")],
    "test mse (1: a constant)": [
        (LEARNT["test_error"], "network", "#0072B2"),
        (LEARNT["test_error_linearized"], "linearized", "#D55E00"),
    ],
}
HEADLINES = ("width_ratio.lazy.*", "width_ratio.train.*")
CAPTIONS = {
    "widths": "A row for each model of the labels. Left of the dashed 1 less width is needed than for random labels; "
    f"a small complexity goes with early learning, a small test error with generalization. {kit.marks.BARS}",
    "spectrum": "Share of the targets' variance in the leading eigenvectors of the limit kernel: the sooner a curve "
    f"rises, the faster its labels are learnt. {kit.marks.BANDS}",
}
SENSES = {
    "train": "To train within the budget of each model's own labels",
    "lazy": "To stay lazy",
    "equal_time": "To train within the budget of random labels",
}
PHRASES = {
    "below": "less width is needed than for random labels: {}",
    "above": "more width is needed than for random labels: {}",
    "around": "no difference is visible: {}",
    "unknown": "not judged (fewer than three seeds): {}",
    "missing": "no ratio is known {}",
}


@dataclass(frozen=True)
class Settings(kit.ladders.LadderSettings):
    """Settings of the data-model comparison; digits have their own labels as one more model."""

    models: Annotated[kit.Choices[Model], kit.doc("Models of the labels; random is required.")] = MODELS
    samples: Annotated[int, Ge(2), kit.doc("Number of training samples n.")] = 48
    test: Annotated[kit.Count, kit.doc("Number of test samples.")] = 64
    length: Annotated[int, Ge(2), kit.doc("Time steps L of random sequences.")] = 4
    features: Annotated[int, Ge(2), kit.doc("Features p of random sequences.")] = 4
    accuracy: Annotated[kit.Share, kit.doc("Mean square error ε to reach; targets have variance 1.")] = 0.1
    widest: Annotated[kit.Count, Le(WIDEST), kit.doc("Largest width tried.")] = 1024
    width: Annotated[kit.Count, kit.doc("Width of the networks whose test errors are measured.")] = 256

    def check(self) -> None:
        """Refuse models without random labels, and more digits than there are."""
        super().check()
        if RANDOM not in self.models:
            refuse("models", str(self.models), "different models, random among them", "add random: ratios are to it")
        kit.tasks.check_task(self.task, self.samples, test=self.test)


PRESETS = {
    "fast": Settings(samples=24, seeds=4, widest=256, width=128),
    "default": Settings(),
    "full": Settings(samples=128, test=256, seeds=30, widest=4096, width=1024),
}


@dataclass(frozen=True, kw_only=True)
class Cell(kit.ladders.LadderCell):
    """One ladder, or, with the notion "model", complexity and test errors."""

    model: str
    test: int
    width: int


def cells(settings: Settings) -> list[Cell]:
    """One cell for every seed, model and measurement: the linear model and test errors, and the ladders."""
    models = (*settings.models, *([LABELS] if settings.task == "digits" else []))
    found = kit.grid(Cell, settings, notion=("model", *LADDERS), model=models, seed=range(settings.seeds))
    return [cell for cell in found if (cell.notion, cell.model) != ("equal_time", RANDOM)]


def cost(cell: Cell) -> kit.Cost:
    """Flops of both trainings, with a rough hitting time of ½n·log₁₀(1/ε) steps, and bytes of the widest network."""
    alone, steps = cell.notion == "model", cell.budget * cell.samples
    step = kit.ladders.step_cost(cell, cell.width if alone else cell.widest, linearized=True)
    return steps * step if alone else kit.ladders.cost(cell, steps, step)


def measure(cell: Cell) -> kit.Measured:
    """One ladder, or the complexity of the data and the test errors of one network."""
    task = build_task(cell, cell.model)
    clock = build_task(cell, RANDOM) if cell.notion == "equal_time" else task
    row, arrays = _learn(cell, task) if cell.notion == "model" else kit.ladders.climb(cell, task, clock)
    return {**kit.pick(cell, "notion", "model", "seed"), **row}, arrays


def build_task(cell: Cell, model: str) -> lab.SequenceTask:
    """Sequences that depend on the seeds alone, so that the models of one seed share them, with a model's targets."""
    task, seed = cell.sequences(cell.test, separation=0.0), cell.data_seed + cell.seed
    return lab.tasks.models.relabelled(task, lambda inputs: _values(model, task, inputs, seed), model)


def _values(model: str, task: lab.SequenceTask, inputs: lab.tasks.models.Array, seed: int) -> lab.tasks.models.Array:
    """Values (N,) of a model on sequences (N, L, p)."""
    import torch

    if model == LABELS:
        return np.asarray(torch.cat([task.train_targets, task.test_split[1]])[:, 0])
    if model == "teacher":
        wide = lab.ElmanRNN(TEACHER_WIDTH, inputs.shape[2], seed=(seed + TEACHER_SEED) % 2**32, device="cpu")
        return np.asarray(wide(torch.from_numpy(inputs))[:, 0].detach())
    return lab.tasks.models.MODELS[model](inputs, np.random.default_rng([seed, 1]))


def _learn(cell: Cell, task: lab.SequenceTask) -> kit.Measured:
    """Complexity, and the test errors of a network and its linearization."""
    alignment, hitting = lab.measures.alignment, lab.measures.hitting
    spectrum, residual = hitting.limit_spectrum(task)
    steps = hitting.limit_hitting_steps(task, cell.accuracy, cell.critical_fraction)
    network = cell.network(task, cell.width)
    result = lab.side_by_side(network, task, lab.Descent(round(cell.budget * steps), cell.critical_fraction))
    goal, unit = task.test_split[1].numpy(), float(task.test_split[1].numpy().var()) or 1.0
    last = {"test_error": result.network.test_outputs[-1], "test_error_linearized": result.linearized.test_outputs[-1]}
    errors = {name: kit.ratio(float(((outputs - goal) ** 2).mean()), unit) for name, outputs in last.items()}
    row: kit.Row = {"complexity": alignment.complexity(spectrum, residual), "linear_steps": steps, **errors}
    row |= {"eigenvalue_floor": spectrum.tolerance, "lambda_min": spectrum.lambda_min}
    row |= {"diverged": result.network.diverged_at is not None, "reason": None}
    return row, {"eigenvalues": spectrum.values, "energy": alignment.energy(spectrum, residual)}


def conclude(table: kit.Table) -> kit.Conclusion:
    """Complexities, test errors, widths and their ratios of all models, and a verdict."""
    numbers: kit.Numbers = {}
    ladders = {notion: _ladders(table, notion) for notion in LADDERS}
    learnt = table[table["notion"] == "model"]
    for model in dict.fromkeys(table["model"]):
        rows = learnt[learnt["model"] == model]
        known = {"complexity": COMPLEXITY} if model == RANDOM else LEARNT  # of random labels nothing can be learnt
        numbers |= {key(model): kit.Number.geometric(rows[name]) for name, key in known.items() if len(rows)}
        for notion, found in ladders.items():
            own = found.where((found.rows["model"] == model) & (found.rows["notion"] == notion))
            if len(own.rows):
                ratio = {} if model == RANDOM else {RATIOS[notion](model): found.ratio("model", model, RANDOM)}
                numbers |= {WIDTHS[notion](model): own.width()} | ratio
    linear = learnt[learnt["model"] == RANDOM]
    numbers |= {key(): kit.Number.geometric(linear[name]) for name, key in SPECTRUM.items() if len(linear)}
    return kit.Conclusion(numbers, verdict(numbers))


def _ladders(table: kit.Table, notion: str) -> kit.widths.Ladders:
    """All ladders of one notion; in equal time, those of random labels are the ones of training."""
    own = table["notion"] == notion
    if notion == "equal_time":
        own |= (table["notion"] == "train") & (table["model"] == RANDOM)
    return kit.ladders.read(table[own], notion, WIDEST)


def verdict(numbers: kit.Numbers) -> str:
    """Which models need less width than random labels, in each sense."""
    times, found = lambda ratio: f"{kit.format_number(ratio)} times", []
    for notion, start in SENSES.items():
        ratios = {model: numbers[key] for model in NAMES if (key := RATIOS[notion](model)) in numbers}
        found.append(kit.clauses(start, kit.by_phrase(ratios, 1.0, PHRASES, times)))
    return kit.sentences(*found) or "No width was compared with that of random labels."


def draw(results: kit.Results, conclusion: kit.Conclusion) -> kit.Figures:
    """Ratios of widths and complexities of all models; and where in the spectrum their targets lie."""
    title = kit.finding(conclusion.verdict, "To stay lazy", otherwise=question)
    widths = kit.figures.panels(PANELS, partial(_draw, conclusion), title=title, sharey=True, columns=3)
    return {"widths": widths, "spectrum": _draw_spectrum(results)}


def _draw(conclusion: kit.Conclusion, ax: kit.Axes, title: str) -> None:
    """The quantities of one panel for every model; ratios and complexities on a log axis."""
    numbers = conclusion.numbers
    models, none = [model for model in NAMES if COMPLEXITY(model) in numbers], kit.Number.none("")
    found = [([numbers.get(key(each), none) for each in models], label, color) for key, label, color in PANELS[title]]
    kit.figures.named_groups(ax, [NAMES[model] for model in models], found)
    if len(found) > 1:
        ax.axvline(1, color=lab.figures.style.GREY, linestyle="--", linewidth=1)
    if PANELS[title][0][0] != LEARNT["test_error"]:
        lab.figures.curves.log_axis(ax.xaxis)
    ax.set_title(title)


def _draw_spectrum(results: kit.Results) -> kit.Figure:
    """Share of the targets' variance in the largest eigenvectors of the limit kernel: the fast part of learning."""
    curves, most = [], []
    for arm in kit.split(results.table[results.table["notion"] == "model"], "model", NAMES):
        found = kit.records.arrays_of(results, arm.rows, "notion", "model", "seed")
        shares = np.cumsum(np.stack([each["energy"][::-1] for each in found]), axis=1).clip(0, 1)
        curves.append((arm.label, kit.curve(np.arange(1, shares.shape[1] + 1), shares, share=True)))
        most.append(f"{1 + np.argmax(curves[-1][1].middle >= 0.9)} for {arm.label}")
    title = kit.fill("Eigenvectors that hold 90 % of the targets' variance: {}", most)
    figure = kit.figures.panels([curves], kit.figures.bands, title=title, size=(6.4, 5.0), columns=3)
    xlabel = r"number of eigenvectors, by falling eigenvalue of $K_\infty$"
    figure.axes[0].set(xlim=0, ylim=(0, 1.02), xlabel=xlabel, ylabel="share of the targets' variance in them")
    return figure
