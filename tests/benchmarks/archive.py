"""The three learners on two series sets of the UCR archive, by a grid search over ridge and steps.

Run as ``python -m tests.benchmarks.archive``; needs the extra [data]. Validation is inside the training split; what is
printed is the test accuracy of the refitted winner.
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lab.estimators import LinearizedRNNClassifier, RNNClassifier, TangentKernelClassifier

SETS = ["ItalyPowerDemand", "GunPoint"]
STEPS = [30, 100, 300, 1000]
PENALTIES = [1e-3, 1e-1, 1e1, 1e3]


def searches(width):
    """A grid search for each learner: steps for those that descend, steps and ridge for the kernel."""
    kernel = "tangentkernelclassifier"
    grids = {
        "network": (RNNClassifier(width, momentum=0.9), {"rnnclassifier__steps": STEPS}),
        "linearized": (LinearizedRNNClassifier(width, momentum=0.9), {"linearizedrnnclassifier__steps": STEPS}),
        "kernel": (
            TangentKernelClassifier(),
            [{f"{kernel}__steps": STEPS}, {f"{kernel}__penalty": PENALTIES}],
        ),
    }
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    for name, (learner, grid) in grids.items():
        yield name, GridSearchCV(make_pipeline(StandardScaler(), learner), grid, cv=folds)


def load(name, split):
    """Univariate series (n, L) and labels of one split, as the archive has them."""
    from aeon.datasets import load_gunpoint, load_italy_power_demand

    series, labels = {"ItalyPowerDemand": load_italy_power_demand, "GunPoint": load_gunpoint}[name](split=split)
    return series[:, 0], labels


def main():
    """Print a line for each set and learner."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--sets", nargs="+", default=SETS, choices=SETS)
    options = parser.parse_args()
    for name in options.sets:
        (X, y), (X_test, y_test) = (load(name, split) for split in ("train", "test"))
        for learner, search in searches(options.width):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # settings that diverge are reported as NaN, and lose
                search.fit(X, y)
            lost = int(np.isnan(search.cv_results_["mean_test_score"]).sum())
            best = {key.split("__")[1]: value for key, value in search.best_params_.items()}
            score = search.score(X_test, y_test)
            print(f"{name:18} {learner:11} test accuracy {score:.3f}  {best}  {lost} settings diverged", flush=True)


if __name__ == "__main__":
    main()
