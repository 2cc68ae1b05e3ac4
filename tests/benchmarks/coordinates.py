"""How features and weights move in the two limits of width, and whether the best learning rate transfers over widths.

Run as ``python -m tests.benchmarks.coordinates [--activations erf relu] [--parts check transfer]``; one thread, all
weights trained on digits, centred outputs, float32. First `lab.coordinate_check` in the parametrizations "ntk" and
"mean_field": exponents in the width with 95 % intervals over seeds, of every change per coordinate and of the critical
learning rate; for "ntk" also what ΔB h tends to, from the kernels of infinite width. Then training for a fixed number
of steps over a grid of critical fractions c: the c with the smallest training error and with the smallest test error
at each width (geometric means over seeds; errors are mean (f − y)², averaged over seeds in logs), and the exponents of
these two c in the width.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch

import lab

STYLES = ("ntk", "mean_field")
WIDTHS, SEEDS, STEPS = (64, 128, 256, 512, 1024), 5, 100
TRIED_WIDTHS, TRIED_STEPS = (64, 128, 256, 512), 30
FRACTIONS = tuple(2.0 ** (place / 2) for place in range(-6, 8))  # 1/8 to 8 √2
COMMON = {"trained": ("W", "A", "B"), "centred": True, "dtype": torch.float32}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--activations", nargs="+", default=["erf", "relu"])
    parser.add_argument("--parts", nargs="+", default=["check", "transfer"])
    options = parser.parse_args()
    torch.set_num_threads(1)
    task = lab.tasks.digits()
    for activation in options.activations:
        for style in STYLES:
            settings = {"parametrization": style, "activation": activation, **COMMON}
            if "check" in options.parts:
                check(task, settings)
            if "transfer" in options.parts:
                transfer(task, settings)


def check(task: lab.Task, settings: dict) -> None:
    """Print the exponents of a coordinate check."""
    found = lab.coordinate_check(task, WIDTHS, lab.Descent(STEPS), seeds=SEEDS, progress=False, **settings)
    print(f"\n{found.title}, {SEEDS} seeds")
    ends = found.table.groupby("width")[[*found.quantities, "learning_rate", "loss"]].median()
    for name, slope in found.slopes().items():
        local = ", ".join(f"{each:.2f}" for each in slope.local_slopes)
        low, high = ends[name].iloc[0], ends[name].iloc[-1]
        print(f"  {name:13s} width^{interval(slope)}   {low:.3g} to {high:.3g}   between widths: {local}")
    print(f"  last over first training loss, median at each width: {', '.join(f'{v:.2g}' for v in ends['loss'])}")
    if settings["parametrization"] == "ntk":
        print(f"  limit of B at infinite width: {_limit_of_readout(task, settings):.2g}")


def _limit_of_readout(task: lab.Task, settings: dict) -> float:
    """RMS of c_B ΔB h_L on the training set in the lazy limit: K_B a, with the coefficients a of the kernel learner."""
    networks = [lab.ElmanRNN.like(task, 64, **settings | {"trained": trained}) for trained in (("W", "A", "B"), ("B",))]
    whole, readout = (lab.infinite_ntk(each, task.train_inputs, shared=True).double().numpy() for each in networks)
    targets, coefficients = task.train_targets[:, 0].double().numpy(), np.zeros(len(whole))
    for _ in range(STEPS):
        coefficients += (targets - whole @ coefficients) / np.linalg.eigvalsh(whole)[-1]  # c = ½
    return float(np.sqrt(np.mean((readout @ coefficients) ** 2)))


def transfer(task: lab.Task, settings: dict) -> None:
    """Print the critical fractions with the smallest errors after a fixed number of steps."""
    errors = np.array([[_errors(task, width, seed, settings) for width in TRIED_WIDTHS] for seed in range(SEEDS)])
    best = np.array(FRACTIONS)[errors.argmin(2)]  # (seeds, widths, splits)
    print(f"\n{settings['activation']}, {settings['parametrization']}, {TRIED_STEPS} steps: errors by c, {SEEDS} seeds")
    print("  width  " + " ".join(f"{c:8.3g}" for c in FRACTIONS))
    for split, name in enumerate(("training", "test")):
        middle = np.exp(np.log(errors[..., split]).mean(0))
        for width, row in zip(TRIED_WIDTHS, middle, strict=True):
            print(f"  {width:5d}  " + " ".join(f"{value:8.2g}" for value in row) + f"   {name}")
        slope = lab.fit_exponent(TRIED_WIDTHS, best[..., split])
        chosen = ", ".join(f"{value:.2g}" for value in np.exp(np.log(best[..., split]).mean(0)))
        print(f"  best c by {name} error at each width: {chosen}; as width^{interval(slope)}")


def _errors(task: lab.Task, width: int, seed: int, settings: dict) -> np.ndarray:
    """Mean (f − y)² on both splits after the steps, (fractions, 2); inf after a divergence."""
    network = lab.ElmanRNN.like(task, width, seed=seed, **settings)
    rows = []
    for fraction in FRACTIONS:
        descent = lab.Descent(TRIED_STEPS, fraction, record=(TRIED_STEPS,))
        path = lab.descend(network, task, descent, progress=False)
        ends = [each.network for each in path]
        pairs = ((task.train_inputs, task.train_targets), task.test_split)
        missed = [float((path.network(x) - y.to(torch.float32)).detach().square().mean()) for x, y in pairs]
        rows.append(missed if ends else [np.inf, np.inf])
    return np.array(rows)


def interval(slope: lab.Exponent) -> str:
    """An exponent with its interval."""
    if slope.value is None or slope.interval is None:
        return f"unknown ({slope.reason})"
    return f"{slope.value:.2f} ({slope.interval[0]:.2f} to {slope.interval[1]:.2f})"


if __name__ == "__main__":
    main()
