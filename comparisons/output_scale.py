"""Does a network become lazy by the scale of its outputs alone, and what does laziness cost in test error?

A centred network α(f(θ) − f(θ₀)) (`lab.Scaled`) descends at η = 2c/λ_max(α²K₀) until its training error is a given
share of the first, the same for every α. The linear learner beside it does not depend on α at all: only the network
changes. c is lowered by factors of 4 while descent diverges or does not arrive; each try has ``patience`` times the
steps that the linear learner takes (closed form), so a run is reached, diverged or undecided.

Networks: Elman networks with ReLU and with erf, both in "ntk" parametrization, and a small ReLU CNN ("cnn", stride 2,
all weights trained). erf is smooth, as the theorems ask; ReLU is not. With B frozen an erf network is bounded,
|f| ≤ σ_v‖B‖₁/√m, so that below some α it cannot reach the targets at all: such cells say so instead of training.

Data: "digits", and "teacher": ReLU of one direction of the first of three time steps (p = 32, n = 64), standardised, so
that a learner which finds the direction should generalize. Keys of further data have their name at the end.

Numbers
-------
slope.gap_test.<net>, slope.weight_motion.<net>, slope.kernel_drift.<net>
    Slope of log(quantity) on log(α) over α ≥ 3, with local slopes: the largest test gap |network − linearized| on the
    way, in units of RMS(y); ‖θ_T − θ₀‖_F; ‖K_T − K₀‖_F/‖K₀‖_F. For a smooth network first-order perturbation in 1/α
    gives −1 for all three as α → ∞ (the setting of Chizat, Oyallon, Bach 2019). With ReLU every flipped gate is a jump
    of J: their share falls as 1/α, but the sum of that many jumps only as about its root, until none flips. Gaps below
    ten times the rounding noise do not enter.
slope.kappa.<net>, slope.gate_flips.<net>
    The same for their criterion κ (`lab.measures.curvature`; κ ∝ 1/α, section 1, over the distance that the linear
    model moves) and for the share of ReLU gates that changed.
kappa.<net>
    κ at α = 1 or the α nearest to it.
alpha_lazy.<net>
    The α at which the test gap falls through 0.1.
test_error.rich|standard|lazy.<net>
    Mean (f − y)² over the test set in units of mean y² there, at equal training error: at the smallest α that all seeds
    reached, at the one nearest to 1, and at the largest.
test_error.lazy_minus_rich.<net>, test_error.lazy_minus_standard.<net>
    Differences, paired by seed. All intervals are over initializations, on one draw of the data.
reached.<net>
    Share of all runs that reached the training error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from comparisons import _exponents
from comparisons._settings import check_distinct
from comparisons._shape import Conclusion, Number
from comparisons._words import listed, power, side, told
from lab.costs import Cost, tangent_kernel, training_step
from lab.errors import check_choice, check_integer, check_number, check_seed, refuse

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

question = "Does scaling the outputs alone make a network lazy, and what does laziness cost in test error?"
asked_by = "R3 [Chizat, Oyallon, Bach]"
version = 1
GRID = ("networks", "data", "alphas", "seeds")

NETWORKS = {"relu": "ReLU RNN", "erf": "erf RNN", "cnn": "ReLU CNN"}
SIZES = {"digits": (48, 8), "teacher": (64, 3)}  # training samples, time steps
FEATURES, DIRECTION = 32, 2024  # of the teacher's inputs; seed of its direction
QUANTITIES = {
    "gap_test": "test gap |network − linearized|\nin units of RMS(y)",
    "weight_motion": r"weight motion $\|\theta_T-\theta_0\|_F$",
    "kernel_drift": r"kernel drift $\|K_T-K_0\|_F/\|K_0\|_F$",
    "kappa": r"criterion $\kappa$",
    "gate_flips": "share of flipped gates",
}
THEORY = -1.0
LAZY_FROM = 3.0  # smallest α of the fits
NOISE = 10  # times the rounding noise: a gap below that is none


@dataclass(frozen=True)
class Settings:
    """Settings of the output-scale comparison.

    Parameters
    ----------
    networks
        Any of "relu", "erf", "cnn".
    data
        "digits", "teacher" (recurrent networks alone) or both; the first one is the main one.
    alphas
        Output scales α.
    seeds
        How many initializations at each α.
    data_seed
        Of the data, which are the same for all α and seeds.
    width
        Hidden units of the recurrent networks.
    channels
        Channels of both convolutions; at most 22, so that there are at most 5,000 parameters.
    trained
        Which of W, A, B the recurrent networks train.
    test
        Test samples.
    target
        Mean squared training error to reach, in units of the first.
    critical_fraction
        c in η = 2c/λ_max at the first try.
    fallbacks
        How often c is divided by 4.
    patience
        Steps of each try, in units of what the linear learner needs at the first c.

    Raises
    ------
    LabError
        For each field that is out of range, by its name.
    """

    networks: tuple[str, ...] = ("relu", "erf", "cnn")
    data: tuple[str, ...] = ("digits", "teacher")
    alphas: tuple[float, ...] = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 1000.0)
    seeds: int = 5
    data_seed: int = 0
    width: int = 64
    channels: int = 16
    trained: tuple[str, ...] = ("W",)
    test: int = 300
    target: float = 0.03
    critical_fraction: float = 0.5
    fallbacks: int = 3
    patience: float = 3.0

    def __post_init__(self) -> None:
        for name, options in (("networks", NETWORKS), ("data", SIZES), ("trained", ("W", "A", "B"))):
            for value in getattr(self, name):
                check_choice(name, value, options)
            check_distinct(name, getattr(self, name))
        if self.networks == ("cnn",) and "digits" not in self.data:
            refuse(
                "data", repr(self.data), "data with digits for networks=('cnn',)", "add digits or a recurrent network"
            )
        for alpha in self.alphas:
            check_number("alphas", alpha, above=0)
        check_distinct("alphas", self.alphas)
        for name, least in (("seeds", 1), ("width", 1), ("channels", 1), ("test", 2), ("fallbacks", 0)):
            check_integer(name, getattr(self, name), least)
        if self.channels > 22:
            refuse("channels", self.channels, "at most 22 (5,000 parameters)", "lower it")
        if self.test > 357 - SIZES["digits"][0]:
            refuse("test", self.test, f"at most {357 - SIZES['digits'][0]}: there are 357 digits", "lower it")
        check_seed("data_seed", self.data_seed)
        check_number("target", self.target, above=0, below=1)
        check_number("critical_fraction", self.critical_fraction, above=0, below=1)
        check_number("patience", self.patience, above=0)


PRESETS = {
    "fast": Settings(
        alphas=(0.3, 1.0, 3.0, 10.0, 100.0), seeds=3, width=32, channels=6, test=100, target=0.2, patience=2.0
    ),
    "default": Settings(),
    "full": Settings(
        alphas=(0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1e3, 3e3, 1e4),
        seeds=10, width=256, channels=22, target=0.01, patience=10.0,
    ),
}  # fmt: skip


def cells(settings: Settings) -> list[dict[str, Any]]:
    """One cell for every network on every data set it can read, every α and seed."""
    fixed = {name: value for name, value in asdict(settings).items() if name not in GRID}
    fixed["trained"] = list(settings.trained)
    arms = [(data, net) for data in settings.data for net in settings.networks if (data, net) != ("teacher", "cnn")]
    return [
        {"network": net, "data": data, "alpha": alpha, "seed": seed, **fixed}
        for data, net in arms
        for alpha in settings.alphas
        for seed in range(settings.seeds)
    ]


def cost(cell: dict[str, Any]) -> Cost:
    """Flops of some 300 steps for each patience at α ≥ 1, of more tries below, and of the kernels."""
    samples, length = SIZES[cell["data"]]
    tries = 1 if cell["alpha"] >= 1 else 1 + cell["fallbacks"]
    steps = 300 * tries * (cell["patience"] if tries > 1 else 1)
    if cell["network"] == "cnn":
        places, channels = 20, cell["channels"]
        products = 6.0 * samples * places * 9 * channels * (1 + channels / 3)
        step = Cost(8 * products, operations=300)  # convolutions of few channels are far from the speed of products
        return (steps * step).holding(8.0 * cell["test"] * 12 * channels**2)
    sizes = (length, cell["width"])
    kernel = tangent_kernel(samples, cell["test"], 1, *sizes)
    deltas = (samples + cell["test"]) * length * cell["width"]
    work = steps * 4 / 3 * training_step(samples, *sizes) + 3 * kernel
    return work.holding(8.0 * (4 * cell["width"] ** 2 + 2 * deltas))


def measure(cell: dict[str, Any]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Train one scaled network until it has learnt enough, and compare it with its linearization on the way."""
    task, network = _build(cell)
    start = _Start.of(network, task, cell)
    least = _least_mse(cell, network, start)
    if least > start.level:
        tries = [_Try(cell["critical_fraction"], "undecided", np.zeros(1, int))]
        reason = f"out of reach: bounded outputs leave a mean squared error of {least:.3g} at least"
        return _row(cell, start, tries, reason), {}
    tries = list(_tries(cell, network, task, start))
    row = _row(cell, start, tries, "" if tries[-1].exit == "reached" else f"not in {start.budget(cell)} steps at any c")
    if tries[-1].exit != "reached":
        return row, {}
    measured, arrays = _measured(network, task, start, tries[-1])
    return row | measured, arrays


def _build(cell: dict[str, Any]) -> tuple[Any, Any]:
    """The data, and the centred network that is scaled by α, in float64."""
    import torch

    import lab
    from comparisons import _modules

    samples, length = SIZES[cell["data"]]
    if cell["data"] == "digits":
        task = lab.tasks.digits(train=samples, test=cell["test"], seed=cell["data_seed"])
    else:
        task = _teacher(samples, cell["test"], length, cell["data_seed"])
    if cell["network"] == "cnn":
        choices = {"readout": "last", "activation": "relu", "seed": cell["seed"]}
        module = _modules.like(task, "strided", cell["channels"], **choices)
        return task, lab.Scaled(lab.as_network(module.to(torch.get_default_device())), cell["alpha"])
    choices = {
        "activation": cell["network"],
        "parametrization": "ntk",
        "trained": cell["trained"],
        "seed": cell["seed"],
    }
    network = lab.ElmanRNN.like(task, cell["width"], **choices, device=torch.get_default_device())
    return task, lab.Scaled(network, cell["alpha"])


def _teacher(samples: int, test: int, length: int, seed: int) -> Any:
    """ReLU(√p⟨u, x₁⟩) of a fixed direction u, standardised as for normal x₁; steps have a constant appended."""
    import torch

    import lab

    direction = torch.from_numpy(np.random.default_rng(DIRECTION).standard_normal(FEATURES))
    mean, variance = 1 / np.sqrt(2 * np.pi), 0.5 - 1 / (2 * np.pi)

    def target(inputs: Any) -> Any:
        along = np.sqrt(FEATURES) * (inputs[:, 0] @ direction) / direction.norm()
        return (torch.relu(along) - mean) / np.sqrt(variance)

    def biased(inputs: Any) -> Any:
        return torch.cat([inputs, torch.ones_like(inputs[:, :, :1])], 2) / np.sqrt(2)

    task = lab.tasks.teacher(target, samples, test, length, FEATURES, seed, name="one ReLU neuron of the first step")
    return replace(task, train_inputs=biased(task.train_inputs), test_inputs=biased(task.test_inputs))


@dataclass(frozen=True)
class _Start:
    """f₀ before centring, the scaled network at initialization, the linear learner from there and its steps."""

    initial: Any
    outputs: Any
    targets: Any
    spectrum: Any
    regressor: Any
    kernel: Any
    scale: float
    level: float
    steps: int
    noise: float

    @classmethod
    def of(cls, network: Any, task: Any, cell: dict[str, Any]) -> _Start:
        """Differentiate once; refuses a target that the linear learner never reaches."""
        import lab
        from lab.kernels.spectrum import Spectrum
        from lab.measures.hitting import hitting_step

        train, test = network.jacobian(task.train_inputs), network.jacobian(task.test_inputs)
        targets, kernel = task.train_targets.flatten(1).to(train.outputs), train.gram()
        spectrum, residual = Spectrum(kernel), (train.outputs - targets).cpu().numpy()
        level = cell["target"] * float((residual**2).mean())
        steps = hitting_step(spectrum, residual, 2 * cell["critical_fraction"] / spectrum.lambda_max, level)
        if steps is None:
            came = f"{cell['target']:g}, which the linear learner never reaches"
            refuse("target", came, "an error outside the kernel's null space", "raise it, or widen the network")
        regressor = lab.KernelRegressor(
            kernel, train.outputs, targets, test.gram(train), test.outputs, spectrum=spectrum
        )
        scale = float((residual**2).mean() ** 0.5)
        initial = network.network(task.train_inputs).detach().flatten(1)
        noise = cell["alpha"] * float(initial.square().mean().sqrt()) * float(np.finfo(float).eps) / scale
        return cls(initial, train.outputs, targets, spectrum, regressor, kernel, scale, level, steps, noise)

    def rate(self, critical_fraction: float) -> float:
        """η at a critical fraction."""
        return float(2 * critical_fraction / self.spectrum.lambda_max)

    def budget(self, cell: dict[str, Any]) -> int:
        """Steps of each try."""
        return int(np.ceil(cell["patience"] * self.steps))

    def distance(self, critical_fraction: float) -> float:
        """‖J₀ᵀc‖ of the linear model when it arrives: √(r₀ᵀK⁻¹(I − (I − ηK)^t)²r₀)."""
        filters = self.spectrum.descent(self.rate(critical_fraction), np.array([self.steps]))[0]
        residual = self.spectrum.vectors.T @ (self.outputs - self.targets).cpu().numpy().ravel()
        return float(np.sqrt((self.spectrum.values * (filters * residual) ** 2).sum()))


@dataclass(frozen=True)
class _Try:
    """One descent: its c, how it ended, and at the steps looked at the mean squared error and both outputs."""

    critical_fraction: float
    exit: str
    steps: np.ndarray
    mse: np.ndarray | None = None
    train: np.ndarray | None = None
    test: np.ndarray | None = None
    network: Any = None


def _tries(cell: dict[str, Any], network: Any, task: Any, start: _Start) -> Iterator[_Try]:
    """Descents with ever smaller c, until one arrives."""
    for place in range(cell["fallbacks"] + 1):
        found = _descend(cell["critical_fraction"] / 4**place, network, task, start, start.budget(cell))
        yield found
        if found.exit == "reached":
            return


def _descend(critical_fraction: float, network: Any, task: Any, start: _Start, budget: int) -> _Try:
    """One descent, looked at on a logarithmic grid of steps and where it arrives."""
    import torch

    import lab
    from lab.learners.descent import plain

    looks, seen, arrived = set(lab.Descent(budget).recorded().tolist()), [], False
    descent = lab.Descent(budget, learning_rate=start.rate(critical_fraction), record="all")
    path, now = lab.descend(network, task, descent), network
    for snapshot in path:
        mse, now = 2 * snapshot.loss / start.targets.numel(), snapshot.network
        arrived = mse <= start.level
        if arrived or snapshot.step in looks:
            with torch.no_grad():
                test = plain(now(task.test_inputs).flatten(1))
            seen.append((snapshot.step, mse, plain(snapshot.jacobian.outputs), test))
        if arrived:
            break
    ended = "reached" if arrived else "undecided" if path.diverged_at is None else "diverged"
    steps, *values = (np.array(column) for column in zip(*seen, strict=True))
    return _Try(critical_fraction, ended, steps, *values, now)


def _least_mse(cell: dict[str, Any], network: Any, start: _Start) -> float:
    """The least training error that a bounded recurrent network with frozen B can have; 0 for any other."""
    if cell["network"] != "erf" or "B" in cell["trained"]:
        return 0.0
    inner, sign = network.network, start.targets.sign()
    bound = inner.multipliers["B"] * inner.B.detach().abs().sum(1)
    reach = network.alpha * (bound - sign * start.initial)
    return float((start.targets.abs() - reach).clamp(min=0).square().mean())


def _row(cell: dict[str, Any], start: _Start, tries: list[_Try], reason: str) -> dict[str, Any]:
    """What every cell has, with the numbers of an arrival still empty."""
    last = tries[-1]
    reached = last.exit == "reached"
    names = (*QUANTITIES, "gap_train", "relative_weight_motion", "test_error", "error_rate", "test_error_linear", "mse")
    return {
        **{name: cell[name] for name in ("network", "data", "alpha", "seed")},
        **dict.fromkeys(names),
        "exit": last.exit,
        "tries": "; ".join(f"{one.critical_fraction:g} {one.exit}" for one in tries),
        "critical_fraction": last.critical_fraction if reached else None,
        "steps": int(last.steps[-1]) if reached else None,
        "kernel_time": last.critical_fraction * int(last.steps[-1]) if reached else None,
        "kernel_time_linear": cell["critical_fraction"] * start.steps,
        "noise": start.noise,
        "lambda_max": start.spectrum.lambda_max,
        "lambda_min": start.spectrum.lambda_min,
        "diverged": all(one.exit == "diverged" for one in tries),
        "reasons": reason,
    }


def _measured(network: Any, task: Any, start: _Start, run: _Try) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Gap on the way; motion, criterion and test error at the arrival."""
    from lab.measures.curvature import relative_curvature
    from lab.measures.gap import tracking_gap
    from lab.measures.motion import Origin, measure_motion

    assert run.mse is not None
    assert run.test is not None
    linear = _linear(start, run)
    pairs = {"gap_train": (run.train, linear.train), "gap_test": (run.test, linear.test)}
    gaps = {name: tracking_gap(*pair, start.scale) for name, pair in pairs.items()}
    motion = dict(measure_motion(Origin.of(network, task.train_inputs, start.kernel), run.network, task.train_inputs))
    motion.pop("spectral_motion")
    targets, distance = task.test_targets.flatten(1).numpy(), start.distance(run.critical_fraction)
    errors = {"test_error": run.test[-1], "test_error_linear": linear.test[-1]}
    row = {
        **{name: float(gap.max()) for name, gap in gaps.items()},
        **motion,
        "kappa": relative_curvature(network, task.train_inputs, start.outputs - start.targets, distance),
        **{name: float(((f - targets) ** 2).mean() / (targets**2).mean()) for name, f in errors.items()},
        "error_rate": float((run.test[-1] * targets <= 0).mean()),
        "mse": float(run.mse[-1]),
    }
    return row, {"kernel_time": run.critical_fraction * run.steps, "mse": run.mse, "gap_test": gaps["gap_test"]}


def _linear(start: _Start, run: _Try) -> Any:
    """The linear learner's trajectory at the steps that the network was looked at."""
    import lab

    rate, steps = start.rate(run.critical_fraction), run.steps
    descent = lab.Descent(int(steps[-1]), learning_rate=rate, record=tuple(steps.tolist()))
    return start.regressor.trajectory(descent, rate)


def conclude(table: pd.DataFrame) -> Conclusion:
    """Slopes in α, levels and test errors of every network on every data set, and a verdict."""
    numbers: dict[str, Number] = {}
    for suffix, arm in _arms(table):
        numbers |= {f"slope.{name}.{suffix}": _slope(arm, name) for name in QUANTITIES}
        numbers |= {f"{name}.{suffix}": number for name, number in _levels(arm).items()}
        numbers |= {f"test_error.{name}.{suffix}": number for name, number in _errors(arm).items()}
    return Conclusion(numbers, verdict(numbers, table))


def _arms(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Each network on each data set, by the end of its keys: the network, and further data behind it."""
    for place, data in enumerate(dict.fromkeys(table["data"])):
        rows = table[table["data"] == data]
        for net in dict.fromkeys(rows["network"]):
            yield net + (f".{data}" if place else ""), rows[rows["network"] == net]


def _lazy(arm: pd.DataFrame, name: str) -> pd.DataFrame:
    """The rows with α ≥ 3 in which this quantity is no rounding noise."""
    rows = arm[arm["alpha"] >= LAZY_FROM].copy()
    if name == "gap_test":
        rows.loc[rows[name] < NOISE * rows["noise"], name] = np.nan
    return rows


def _slope(arm: pd.DataFrame, name: str) -> Number:
    rows = _lazy(arm, name)
    if not rows[name].notna().any():
        return Number.none("this network has no on/off gates" if name == "gate_flips" else "no run with α ≥ 3 arrived")
    found = _exponents.number(_exponents.fit(rows, name, "alpha"))
    details = dict(found.details)
    return replace(found, details={"alphas": details.pop("widths"), **details})


def _levels(arm: pd.DataFrame) -> dict[str, Number]:
    """κ beside α = 1, the α at which the gap falls through 0.1, and how many runs arrived."""
    reached = arm[arm["exit"] == "reached"]
    share = Number(float((arm["exit"] == "reached").mean()), None, int(arm["seed"].nunique()))
    if reached.empty:
        return {name: Number.none("no run arrived") for name in ("kappa", "alpha_lazy")} | {"reached": share}
    kappa = Number.geometric(reached.loc[reached["alpha"] == _nearest_to_one(reached), "kappa"])
    return {"kappa": kappa, "alpha_lazy": _exponents.crossing(reached, "gap_test", 0.1, "alpha"), "reached": share}


def _nearest_to_one(arm: pd.DataFrame) -> float:
    return min(sorted(set(arm["alpha"])), key=lambda alpha: abs(np.log(alpha)))


def _errors(arm: pd.DataFrame) -> dict[str, Number]:
    """Test errors at the smallest α that all seeds reached, beside α = 1 and at the largest, and paired differences."""
    errors = arm.pivot(index="seed", columns="alpha", values="test_error").dropna(axis=1)
    names = ("rich", "standard", "lazy", "lazy_minus_rich", "lazy_minus_standard")
    if errors.shape[1] < 2:
        return dict.fromkeys(names, Number.none("fewer than two α were reached by all seeds"))
    alphas = {"rich": min(errors), "standard": _nearest_to_one(arm), "lazy": max(errors)}
    found: dict[str, Number] = {}
    for name, alpha in alphas.items():
        gone = Number.none(f"not all seeds reached the training error at α = {alpha:g}")
        found[name] = replace(Number.mean(errors[alpha]), details={"alpha": alpha}) if alpha in errors else gone
    for name in ("rich", "standard"):
        pair = alphas["lazy"] != alphas[name] and alphas[name] in errors
        none = Number.none("there is one α for both, or none")
        found[f"lazy_minus_{name}"] = Number.mean(errors[alphas["lazy"]] - errors[alphas[name]]) if pair else none
    return found


def verdict(numbers: dict[str, Number], table: pd.DataFrame) -> str:
    """What the slopes say of laziness, the differences of its price, and which runs never arrived."""
    main = [suffix for suffix, arm in _arms(table) if arm["data"].iloc[0] == table["data"].iloc[0]]
    sentences = [_say_slopes(numbers, main), _say_price(numbers, [suffix for suffix, _ in _arms(table)])]
    return " ".join(sentence for sentence in (*sentences, _say_missing(table)) if sentence)


def _say_slopes(numbers: dict[str, Number], arms: list[str]) -> str:
    slopes = {net: numbers[f"slope.gap_test.{net}"] for net in arms}
    said = [f"{power(slope, 'α')} for the {NETWORKS[net]}" for net, slope in slopes.items() if slope.value is not None]
    if not said:
        return "The test gap has no slope in α here."
    judged = {_judge(slope) for slope in slopes.values() if slope.value is not None}
    against = f", {judged.pop()}" if len(judged) == 1 else " (theory, for smooth networks: 1/α)"
    return f"On the lazy side the test gap goes as {listed(said)}{against}{_say_gates(slopes)}."


def _judge(slope: Number) -> str:
    """What the interval says about the theory's 1/α."""
    where, growing = side(slope, THEORY), side(slope, 0.0)
    if where is None:
        return "one interval needs three seeds or more"
    if growing != "below":
        return "which grows" if growing == "above" else "no trend visible"
    words = {"open": "compatible with", "above": "slower than", "below": "faster than"}
    return f"{words[where]} the theory's 1/α"


def _say_gates(slopes: Mapping[str, Number]) -> str:
    """Where the gap of a network with gates falls slower than the theory says: what is missing."""
    slow = [net for net, slope in slopes.items() if "ReLU" in NETWORKS[net] and _judge(slope).startswith("slower")]
    return ": ReLU gates flip" if slow else ""


def _say_price(numbers: dict[str, Number], arms: list[str]) -> str:
    """How many prices of laziness are above 0, below 0 or neither, and the largest; in test error at equal training."""
    prices = [(difference, suffix, alpha) for suffix in arms for _, difference, alpha in _prices(numbers, suffix)]
    if not prices:
        return ""
    parts = []
    for verb, where in (("raises", "above"), ("lowers", "below")):
        found = [each for each in prices if side(each[0], 0.0) == where]
        if found:
            most, suffix, alpha = max(found, key=lambda each: abs(each[0].value or 0.0))
            size = told(most if where == "above" else _negative(most))
            here = f"{verb} the test error of the {_called(suffix)} by {size} (against α = {alpha:g})"
            parts.append(here + (f", the largest of {len(found)} such differences" if len(found) > 1 else ""))
    unseen = sum(side(difference, 0.0) == "open" for difference, _, _ in prices)
    parts += [f"makes no visible difference in {unseen} of {len(prices)} cases"] if unseen else []
    return f"At equal training error the largest α {listed(parts)}."


def _negative(number: Number) -> Number:
    low, high = number.interval or (0.0, 0.0)
    return replace(number, value=-(number.value or 0.0), interval=(-high, -low))


def _prices(numbers: dict[str, Number], suffix: str) -> Iterator[tuple[str, Number, float]]:
    """The paired differences that have an interval, with the α they are taken from, each α once."""
    seen: list[float] = []
    for name in ("rich", "standard"):
        difference = numbers[f"test_error.lazy_minus_{name}.{suffix}"]
        alpha = numbers[f"test_error.{name}.{suffix}"].details.get("alpha")
        if difference.interval is not None and alpha is not None and alpha not in seen:
            seen.append(alpha)
            yield name, difference, alpha


def _called(suffix: str) -> str:
    net, _, data = suffix.partition(".")
    return NETWORKS[net] + (f" on the {data}" if data else "")


def _say_missing(table: pd.DataFrame) -> str:
    """Which networks never arrive at which α."""
    parts = []
    for suffix, arm in _arms(table):
        never = [alpha for alpha, rows in arm.groupby("alpha") if not (rows["exit"] == "reached").any()]
        if never:
            rows = arm[arm["alpha"].isin(never)]
            why = (
                " (its outputs are bounded)" if rows["reasons"].astype(str).str.startswith("out of reach").all() else ""
            )
            parts.append(f"{_called(suffix)} at α = {', '.join(f'{alpha:g}' for alpha in never)}{why}")
    return f"Never trained that far: {'; '.join(parts)}." if parts else ""


def draw(results: Any, conclusion: Conclusion) -> dict[str, Figure]:
    """Gap, motion, drift and criterion against α; and the test error against α."""
    return {"laziness": _draw_laziness(results.table), "test_error": _draw_errors(results.table, conclusion)}


def _draw_laziness(table: pd.DataFrame) -> Figure:
    from lab.figures import style

    figure, axes = style.panels(2, 2, size=(5.0, 3.9))
    main = table[table["data"] == table["data"].iloc[0]]
    for ax, name in zip(axes.flat, QUANTITIES, strict=False):
        for net, color in zip(dict.fromkeys(main["network"]), style.QUANTITIES, strict=False):
            arm = main[main["network"] == net]
            _band(ax, arm, name, color, NETWORKS[net])
        _theory(ax, main, name)
        ax.set_xscale("log")
        ax.set_ylabel(QUANTITIES[name])
    for ax in axes[1]:
        ax.set_xlabel("output scale α")
    for ax in axes[1]:
        style.legend_below(ax, columns=2)
    style.headline(
        figure, f"Lazy by scale alone: what is left of nonlinearity at output scale α ({main['data'].iloc[0]})"
    )
    return figure


def _band(ax: Any, arm: pd.DataFrame, name: str, color: str, label: str) -> None:
    """Geometric mean over seeds with its interval; an α that some seed did not reach is left out."""
    from lab.figures import curves

    grid = arm.pivot(index="seed", columns="alpha", values=name).astype(float).dropna(axis=1)
    if grid.shape[1]:
        with np.errstate(divide="ignore"):
            logs = np.log(grid.to_numpy())
        curves.log_band(ax, grid.columns.to_numpy(), logs, color=color, label=label, marker="o", markersize=4)


def _theory(ax: Any, table: pd.DataFrame, name: str) -> None:
    """A dashed line 1/α, below the curves, from α = 3 on."""
    from lab.figures import style

    rows = table[(table["alpha"] >= LAZY_FROM) & table[name].notna() & (table[name] > 0)]
    if rows["alpha"].nunique() < 2:
        return
    alphas = np.array([rows["alpha"].min(), rows["alpha"].max()])
    level = 0.5 * rows.loc[rows["alpha"] == alphas[0], name].min()
    ax.plot(alphas, level * alphas[0] / alphas, color=style.GREY, linestyle="--", label="theory: 1/α")


def _draw_errors(table: pd.DataFrame, conclusion: Conclusion) -> Figure:
    from lab.figures import style

    arms = list(dict.fromkeys(table["data"]))
    figure, axes = style.panels(len(arms), size=(5.0, 4.2))
    nets = dict(zip(NETWORKS, style.QUANTITIES, strict=False))
    for ax, data in zip(axes[0], arms, strict=True):
        rows = table[table["data"] == data]
        for net in dict.fromkeys(rows["network"]):
            _band(ax, rows[rows["network"] == net], "test_error", nets[net], NETWORKS[net])
        ax.set_xscale("log")
        ax.set_yscale("linear")
        ax.set_ylim(bottom=0)
        ax.set_xlabel("output scale α   (rich ← → lazy)")
        ax.set_title({"digits": "digits 3 and 8", "teacher": "one ReLU neuron of the first step"}[data])
        style.legend_below(ax, columns=3)
    axes[0, 0].set_ylabel("test error, mean (f − y)² / mean y²")
    style.headline(figure, "What laziness costs: test error at equal training error")
    return figure
