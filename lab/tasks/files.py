"""Tasks of real series: a file of one's own, or a set of the UCR/UEA archives."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lab.data import archive as bundled
from lab.data.files import read
from lab.data.labelled import Labelled
from lab.errors import refuse
from lab.tasks.task import SequenceTask, split

SAMPLES = 48  # for training, and as many for testing, unless asked otherwise: what `digits` has


def from_file(
    path: str | Path, train: int | None = None, test: int | None = None, seed: int = 0, *, pool: bool = False
) -> SequenceTask:
    """Labelled series from a file (see `lab.data.files.read` for formats and layouts).

    Series are standardised by the training samples, each feature on its own over all samples and time steps. Then a
    constant 1 is appended (the paper's bias coordinate) and each step scaled to unit norm, as `digits` does; inputs
    have shape (samples, L, p + 1). Series shorter than L get zero steps in front: they leave the state of a network
    without bias at h = 0, so that its last step sees the series alone, at its own length.

    Parameters
    ----------
    path
        A local file. Its own training and test split is kept; a file without one is split here.
    train, test
        Numbers of samples; 48 unless there are fewer. ``test`` may be 0.
    seed
        Of the choice of samples, which keeps the shares of the classes.
    pool
        Resample from both splits together instead of keeping them apart.

    Returns
    -------
    SequenceTask
        Targets −1 (the first class) and +1 for two classes, shape (n, 1); a column of ±1 for each of more classes;
        the numbers themselves for a regression.

    Raises
    ------
    LabError
        Whatever `lab.data.files.read` refuses, or more samples than there are.
    """
    return make(read(path), train, test, seed, pool=pool)


def archive(
    name: str, train: int | None = None, test: int | None = None, seed: int = 0, *, pool: bool = False
) -> SequenceTask:
    """A set of the UCR/UEA archives that aeon ships, as `from_file` makes it; needs the extra ``[data]``.

    Parameters
    ----------
    name
        "ACSF1", "ArrowHead", "BasicMotions", "GunPoint", "ItalyPowerDemand", "JapaneseVowels", "OSULeaf" or
        "PickupGestureWiimoteZ".
    train, test, seed, pool
        As for `from_file`.

    Raises
    ------
    LabError
        Another name, more samples than there are, or aeon is not installed.

    References
    ----------
    Dau et al., "The UCR Time Series Archive", 2019; Bagnall et al., "The UEA multivariate time series classification
    archive", 2018.
    """
    return make(bundled.load(name), train, test, seed, pool=pool)


def make(data: Labelled, train: int | None, test: int | None, seed: int, *, pool: bool = False) -> SequenceTask:
    """A task of some of these series; None means 48 samples, or all there are."""
    train, test = (min(SAMPLES, data.most // 2) if count is None else count for count in (train, test))
    rows = data.choose(train, test, seed, pool=pool)
    return split(prepare(data.series[rows], train), data.targets[rows], train, data.name, data.classes)


def prepare(series: np.ndarray, train: int) -> np.ndarray:
    """Series (n, L, p), NaN in front of short ones, as inputs (n, L, p + 1): standardised, 1 appended, unit norm.

    Means and deviations come from the first ``train`` samples; a feature that is constant there is only centred. Powers
    of two are taken out before anything is squared, so that numbers of any size have a deviation and a norm.

    Raises
    ------
    LabError
        A sample whose distance from the mean is beyond float64 in units of the deviation.
    """
    with np.errstate(over="ignore"):
        series = np.ldexp(series, -_exponents(series[:train], (0, 1)))
        mean, deviation = np.nanmean(series[:train], axis=(0, 1)), np.nanstd(series[:train], axis=(0, 1))
        scaled = (series - mean) / np.where(deviation > 1e-12 * np.abs(mean), deviation, 1.0)
    if np.isinf(scaled).any():
        came = "values so far from the training samples that float64 cannot hold them in units of their deviation"
        refuse("series", came, "training and test samples on one scale", "rescale the series, or check their units")
    steps = np.concatenate([scaled, np.ones((*scaled.shape[:2], 1))], axis=2)
    steps = np.ldexp(steps, -_exponents(steps, 2))
    unit: np.ndarray = steps / np.linalg.norm(steps, axis=2, keepdims=True)
    filled: np.ndarray = np.nan_to_num(unit, nan=0.0)
    return filled


def _exponents(series: np.ndarray, axis: int | tuple[int, int]) -> np.ndarray:
    """Exponents e with largest absolute values in [2^(e−1), 2^e) along these axes, which are kept."""
    largest = np.fmax.reduce(np.abs(series), axis=axis, keepdims=True, initial=0.0)
    exponents: np.ndarray = np.frexp(largest)[1]
    return exponents
