"""Memory and time of the classifiers on ten classes, beside an older version.

    git worktree add ../before a7979d4
    python -m tests.benchmarks.estimators --before ../before
    python -m tests.benchmarks.estimators --learner network --samples 400 1797 --before ../before --most 2

Digits in 8 time steps of 8 pixels; from 1,797 samples on they are copies with noise of half a grey level of sixteen.
Each fit runs in a process of its own on one core, the two versions in turn. Memory is the peak beyond what the process
held after a small fit. The older version holds the whole kernel of (10 n)² numbers twice; it is left out where that
takes more than ``--most`` GB.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

CLASSES, ASKED, NOISE = 10, 500, 0.5
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Options:
    """Which learner, numbers of training samples, a checkout of an older version, and its most memory in GB."""

    learner: Literal["kernel", "network", "linearized"] = "kernel"
    samples: tuple[int, ...] = (1000, 1797, 5000)
    before: Path | None = None
    most: float = 8.0


def main() -> None:
    """Print one row per size and version."""
    import tyro

    options = tyro.cli(Options)
    print("samples  version   fit (s)  fit (MB)  predict 500 (s)  predict (MB)  accuracy")
    for samples in options.samples:
        needed = 2 * 8 * (CLASSES * samples) ** 2 / 1e9
        for name, tree in {"before": options.before, "now": ROOT}.items():
            if tree is not None and (name == "now" or needed <= options.most):
                print(f"{samples:7d}  {name:8s} {_row(**_measured(tree, options.learner, samples))}", flush=True)
            elif tree is not None:
                print(f"{samples:7d}  {name:8s} not run: it needs {needed:.0f} GB", flush=True)


def _row(fit: float, fit_peak: int, predict: float, predict_peak: int, accuracy: float) -> str:
    return f"{fit:8.1f} {fit_peak / 1e6:9.0f} {predict:16.1f} {predict_peak / 1e6:13.0f} {accuracy:9.3f}"


def _measured(tree: Path, learner: str, samples: int) -> dict[str, Any]:
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    command = [sys.executable, __file__, "worker", learner, str(samples)]
    done = subprocess.run(
        command, env=os.environ | one | {"PYTHONPATH": str(tree)}, stdout=subprocess.PIPE, check=True, text=True
    )
    return dict(json.loads(done.stdout))


def _worker(learner: str, samples: int) -> None:
    """One fit and one prediction with whichever version Python imports."""
    from _worker import forget_peak, peak, status

    X, y = _digits(samples)
    model = _model(learner).fit(X[:30], y[:30])
    found: dict[str, Any] = {}
    for name, work in {"fit": lambda: model.fit(X, y), "predict": lambda: model.score(X[:ASKED], y[:ASKED])}.items():
        forget_peak()
        held, start = status("VmRSS"), time.perf_counter()
        result = work()
        found |= {name: time.perf_counter() - start, f"{name}_peak": peak() - held}
    print(json.dumps(found | {"accuracy": result}))


def _model(learner: str) -> Any:
    """The same network in both versions; 100 steps where there are steps."""
    import torch

    import lab
    from lab.estimators import LinearizedRNNClassifier, RNNClassifier, TangentKernelClassifier

    torch.set_num_threads(1)
    scales = lab.Parametrization(style="ntk", sigma_b=0.3)
    same = {"length": 8, "parametrization": scales, "trained": ("W", "A", "B", "b")}
    if learner == "kernel":
        return TangentKernelClassifier(**same)
    return {"network": RNNClassifier, "linearized": LinearizedRNNClassifier}[learner](64, 100, **same)


def _digits(samples: int) -> tuple[Any, Any]:
    """Digits (n, 64) and labels; copies are noisy."""
    import numpy as np
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    copies, generator = -(-samples // len(X)), np.random.default_rng(0)
    noisy = [X + (NOISE * generator.standard_normal(X.shape) if copy else 0.0) for copy in range(copies)]
    return np.concatenate(noisy)[:samples], np.tile(y, copies)[:samples]


if __name__ == "__main__":
    _worker(sys.argv[2], int(sys.argv[3])) if sys.argv[1:2] == ["worker"] else main()
