"""Labelled series, checked once: equal features, no missing values, distinct labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lab.data.numerals import appearance, count_up, is_infinite, is_no_label, order, plain
from lab.data.signs import sign_columns
from lab.errors import check_integer, check_seed, refuse

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Part:
    """Series of one split as a reader finds them.

    Attributes
    ----------
    series
        One array (L_i, p) for each sample; lengths may differ.
    labels
        Class of each sample as text, in any spelling (`lab.data.numerals.plain`); or None, and ``targets`` has numbers.
    targets
        Numbers (n, q) to regress on; or None.
    """

    series: Sequence[Array]
    labels: Sequence[str] | None
    targets: Array | None = None


@dataclass(frozen=True, eq=False)
class Labelled:
    """Series with a label or target each.

    Attributes
    ----------
    series
        Shape (n, L, p). A series shorter than L ends at L and has NaN in front, where there is nothing.
    targets
        Shape (n, q). Two classes: −1 for the first and +1. More classes: one column each, +1 for the sample's own and
        −1 elsewhere. Numbers of a regression as they came.
    classes
        Names in the order of the targets, numbers by value and before text; None for a regression. Equal numbers are
        one class, named by the plain spelling: ``1`` for ``1.0000000e+00``. Other text is kept as it is.
    train
        The first ``train`` samples are the training split that the source has; n where it has no test split.
    name
        How figures and tables call the data.
    """

    series: Array
    targets: Array
    classes: tuple[str, ...] | None
    train: int
    name: str

    @property
    def has_split(self) -> bool:
        """Whether the source says itself which samples are for testing."""
        return self.train < len(self.series)

    @property
    def most(self) -> int:
        """Twice the largest number n of samples for which there are n for training and n others for testing."""
        n = len(self.series)
        return 2 * min(self.train, n - self.train) if self.has_split else n - n % 2

    def choose(self, train: int, test: int, seed: int, *, pool: bool = False) -> NDArray[np.int64]:
        """Indices of ``train`` and then ``test`` samples, each with all classes at about their own share.

        Training samples come from the source's training split and test samples from its test split, unless there is no
        split or ``pool`` resamples from both together.

        Raises
        ------
        LabError
            More samples than there are, or fewer training samples than classes.
        """
        check_integer("train", train, 1 if self.classes is None else len(self.classes))
        check_integer("test", test, 0)
        check_seed("seed", seed)
        generator = np.random.default_rng(seed)
        if pool or not self.has_split:
            self._refuse_excess("train + test", train + test, len(self.series))
            return self._balanced(np.arange(len(self.series)), generator)[: train + test]
        self._refuse_excess("train", train, self.train)
        self._refuse_excess("test", test, len(self.series) - self.train)
        splits = np.split(np.arange(len(self.series)), [self.train])
        chosen = [self._balanced(rows, generator)[:n] for rows, n in zip(splits, (train, test), strict=True)]
        return np.concatenate(chosen)

    def _balanced(self, rows: NDArray[np.int64], generator: np.random.Generator) -> NDArray[np.int64]:
        """The rows in a random order of which every stretch has the classes at about their share of the whole."""
        rows = generator.permutation(rows)
        if self.classes is None:
            return rows
        label = self.labels()[rows]
        place = np.empty(len(rows))
        for each in np.unique(label):
            mine = np.flatnonzero(label == each)
            place[mine] = (np.arange(len(mine)) + 0.5) / len(mine)
        ordered: NDArray[np.int64] = rows[np.lexsort((label, place))]
        return ordered

    def labels(self) -> NDArray[np.int64]:
        """Index (n,) of each sample's class."""
        signs = self.targets[:, 0] > 0 if self.targets.shape[1] == 1 else self.targets.argmax(1)
        return np.asarray(signs, dtype=np.int64)

    def _refuse_excess(self, argument: str, asked: int, there: int) -> None:
        if asked > there:
            refuse(argument, asked, f"at most {there} samples of {self.name}", "ask for fewer")


def join(parts: Sequence[Part], name: str) -> Labelled:
    """One or two splits (training, then test) as one set.

    Raises
    ------
    LabError
        No samples, series without steps, missing or infinite values, different numbers of features, a single class, a
        test label that no training sample has, or almost as many labels as samples.
    """
    series = [np.asarray(each, dtype=np.float64) for part in parts for each in part.series]
    _check_series(series, name)
    length = max(len(each) for each in series)
    for part in parts:
        _check_counts(part, name)
    stacked = np.full((len(series), length, series[0].shape[1]), np.nan)
    for place, each in zip(stacked, series, strict=True):
        place[length - len(each) :] = each
    train = len(parts[0].series)
    targets, classes = _targets(parts, name)
    return Labelled(stacked, targets, classes, train, name)


def _check_counts(part: Part, name: str) -> None:
    found = len(part.labels if part.labels is not None else part.targets if part.targets is not None else ())
    if found != len(part.series):
        fix = "give every sample one label, in the same order"
        refuse(name, f"{found} labels for {len(part.series)} series", "one label for each series", fix)


def _check_series(series: Sequence[Array], name: str) -> None:
    if len(series) < 2:
        refuse(name, f"{len(series)} samples", "two samples or more", "check how the file was written")
    for index, each in enumerate(series):
        if each.ndim != 2 or 0 in each.shape or each.shape[1] != series[0].shape[1]:
            came = f"shape {each.shape} for sample {index + 1}, {series[0].shape} for the first"
            refuse(name, came, "(length, features) with equal features", "write all samples in the same way")
        holes = int((~np.isfinite(each)).sum())
        if holes:
            fix = "impute them or drop the sample; no value is guessed here"
            refuse(name, f"{holes} missing or infinite values in sample {index + 1}", "a number at every step", fix)


def _targets(parts: Sequence[Part], name: str) -> tuple[Array, tuple[str, ...] | None]:
    if all(part.targets is not None for part in parts):
        targets = np.concatenate(
            [np.asarray(part.targets, dtype=np.float64).reshape(len(part.series), -1) for part in parts]
        )
        if not np.isfinite(targets).all():
            refuse(name, "missing or infinite targets", "finite targets", "drop samples without a target")
        return targets, None
    labels = [[plain(label) for label in part.labels or ()] for part in parts]
    _check_labels(parts, name)
    classes = _classes(labels[0], name)
    unknown = sorted({label for part in labels for label in part} - set(classes))
    if unknown:
        came = f"test labels {_listed(unknown, 3)} that no training sample has"
        refuse(name, came, "the classes of the training split: " + _listed(classes, 9), "check both files")
    columns = {label: column for column, label in enumerate(classes)}
    index = np.array([columns[label] for part in labels for label in part])
    return sign_columns(index, len(classes)), classes


def _check_labels(parts: Sequence[Part], name: str) -> None:
    """Refuse splits of which one has labels and the other targets, missing labels and infinite ones."""
    if any(part.labels is None for part in parts):
        refuse(name, "labels for one split and targets for the other", "the same for both", "give both labels")
    labels = [label for part in parts for label in part.labels or ()]
    if missing := [label for label in labels if is_no_label(label)]:
        came = f"{len(missing)} samples without a label ({_listed(missing, 1)})"
        refuse(name, came, "a label for every sample", "drop the samples, or give their class a name")
    if infinite := [label for label in labels if is_infinite(label)]:
        refuse(name, f"the infinite label {_listed(infinite, 1)}", "finite numbers or text", "give the class a name")


def _classes(labels: Sequence[str], name: str) -> tuple[str, ...]:
    classes = tuple(sorted(set(labels), key=order))
    _check_distinct(classes, name)
    if not 2 <= len(classes) <= max(len(labels) / 2, 2):
        fix = "put the label first in each row; numbers to regress on go into train_targets of an .npz file"
        came = f"{len(classes)} different labels on {len(labels)} training samples"
        if count_up(labels):
            came, fix = f"{came}, which number the rows", f"write no row numbers; {fix}"
        refuse(name, came, "two classes or more, of two samples or more on average", fix)
    return classes


def _check_distinct(classes: Sequence[str], name: str) -> None:
    """Refuse two classes whose names differ in blanks, invisible characters or the encoding of accents alone."""
    seen: dict[str, str] = {}
    for label in classes:
        if (other := seen.setdefault(appearance(label), label)) != label:
            fix = "write both in the same way if they are one class, and rename one if they are two"
            refuse(name, f"the labels {other!a} and {label!a}, which look the same", "distinct labels", fix)


def _listed(labels: Sequence[str], most: int) -> str:
    """The first labels in one line."""
    return ", ".join(repr(label[:40]) for label in labels[:most])


def shorten(series: Array, longest: int) -> Array:
    """Series (n, L, p) averaged over neighbouring steps, so that there are at most ``longest`` of them.

    NaN, where a series has not begun, is left out of the averages.
    """
    check_integer("longest", longest, 1)
    if series.shape[1] <= longest:
        return series
    there = np.isfinite(series)
    stretches = np.linspace(0, series.shape[1], longest + 1).astype(int)[:-1]
    totals = np.add.reduceat(np.where(there, series, 0.0), stretches, axis=1)
    counts = np.add.reduceat(there, stretches, axis=1, dtype=np.int64)
    return np.where(counts > 0, totals / np.maximum(counts, 1), np.nan)
