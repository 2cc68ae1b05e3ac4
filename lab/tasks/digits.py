"""Handwritten digits read row by row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from lab.errors import check_integer, check_seed, refuse
from lab.tasks.classes import class_targets
from lab.tasks.task import SequenceTask, split


def digits(classes: Sequence[int] = (3, 8), train: int = 48, test: int = 48, seed: int = 0) -> SequenceTask:
    """scikit-learn's 8×8 digits as sequences of 8 rows.

    Each time step is a row of 8 pixels in 0…1 with a constant 1 appended (the paper's bias coordinate), scaled to unit
    norm; inputs have shape (samples, 8, 9). Classes are equally frequent in both splits, as far as counts allow.

    Parameters
    ----------
    classes
        Two or more different digits. Two give targets −1 (the first) and +1, shape (samples, 1); more give one column
        per class, +1 for the sample's own and −1 elsewhere.
    train, test
        Numbers of samples; test may be 0.
    seed
        Of the choice of samples.

    Raises
    ------
    LabError
        Fewer than two classes, a class that is no digit, or more samples than there are.
    """
    chosen = [digit for digit in range(10) if isinstance(classes, (list, tuple)) and _is_among(digit, classes)]
    if len(chosen) < 2 or len(chosen) < len(classes):
        fix = "name two, as in classes=(3, 8); one class alone cannot be classified"
        refuse("classes", repr(classes), "two or more different digits 0…9", fix)
    check_integer("train", train, len(chosen))
    check_integer("test", test, 0)
    check_seed("seed", seed)
    chosen = list(classes)
    images, labels = load_digits(return_X_y=True)
    rows = _balanced_rows(labels, chosen, train, test, seed)
    inputs, targets = _sequences(images[rows]), class_targets(labels[rows], chosen)
    names = tuple(map(str, chosen))
    return split(inputs, targets, train, f"digits {'/'.join(names)}", names)


def _is_among(digit: int, classes: Sequence[int]) -> bool:
    return any(type(entry) is not bool and isinstance(entry, (int, np.integer)) and entry == digit for entry in classes)


def _balanced_rows(labels: np.ndarray, chosen: list[int], train: int, test: int, seed: int) -> np.ndarray:
    """Indices of ``train`` and then ``test`` samples, each stratified by class."""
    candidates = np.flatnonzero(np.isin(labels, chosen))
    if train + test > len(candidates):
        fix = "ask for fewer, or for more classes"
        refuse("train + test", train + test, f"at most {len(candidates)} samples of these classes", fix)
    if 0 < test < len(chosen):
        refuse("test", test, f"0 or at least one sample for each of {len(chosen)} classes", "raise test")
    order = np.random.default_rng(seed).permutation(candidates)
    if train + test < len(order) - len(chosen):
        order, _ = train_test_split(order, train_size=train + test, stratify=labels[order], random_state=seed)
    if not test:
        return order[:train]
    split = train_test_split(order, train_size=train, test_size=test, stratify=labels[order], random_state=seed)
    return np.concatenate(split)


def _sequences(images: np.ndarray) -> np.ndarray:
    rows = images.reshape(-1, 8, 8) / 16.0
    steps = np.concatenate([rows, np.ones((*rows.shape[:2], 1))], axis=2)
    unit: np.ndarray = steps / np.linalg.norm(steps, axis=2, keepdims=True)
    return unit
