"""Made series whose classes differ in shape alone, whatever their place, size and tilt."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d

from lab.data.signs import sign_columns
from lab.errors import check_integer, check_number, check_seed
from lab.tasks.files import prepare
from lab.tasks.task import SequenceTask, split

_SHARE = 0.4  # of the series that the template fills before it is stretched
_CURVES = 7  # seed of the templates themselves: one task, whatever samples are drawn


def templates(
    classes: int = 10, train: int = 48, test: int = 48, length: int = 40, noise: float = 0.25, seed: int = 0
) -> SequenceTask:
    """One smooth curve for each class, hidden in a series: stretched, scaled, moved, tilted, under correlated noise.

    A small generated stand-in for image recognition, in which a learner must find a shape whose place it does not know.
    Series are prepared as real ones are (`lab.tasks.from_file`); inputs have shape (samples, length, 2). Classes are
    equally frequent, as far as counts allow.

    Parameters
    ----------
    classes
        Two give targets ∓1, more give a column of ±1 each. Class k is the same curve in every call.
    train, test
        Numbers of samples; test may be 0.
    length
        Time steps, 8 or more.
    noise
        Deviation of the noise in units of the curves' own; its correlation reaches over two steps or so.
    seed
        Of the samples.

    Raises
    ------
    LabError
        A size or the noise out of range.

    References
    ----------
    The idea is that of Greydanus, "Scaling down deep learning" (MNIST-1D), 2020; curves and code are our own.
    """
    check_integer("classes", classes, 2)
    check_integer("train", train, classes)
    check_integer("test", test, 0)
    check_integer("length", length, 8)
    check_number("noise", noise, above=0, closed=True)
    check_seed("seed", seed)
    generator = np.random.default_rng(seed)
    labels = np.concatenate([generator.permutation(np.arange(count) % classes) for count in (train, test)])
    curves = [curve(each) for each in range(classes)]
    series = np.stack([_hidden(curves[label], length, noise, generator) for label in labels])
    targets = sign_columns(labels, classes)
    return split(prepare(series[:, :, None], train), targets, train, f"templates, {classes} classes")


def curve(label: int, points: int = 64) -> np.ndarray:
    """The template of a class: five random harmonics that vanish at both ends, with deviation 1."""
    generator = np.random.default_rng((_CURVES, label))
    phase = np.linspace(0, np.pi, points)
    harmonics = np.sin(np.outer(np.arange(1, 6), phase))
    shape = generator.standard_normal(5) @ harmonics
    return np.asarray(shape / shape.std())


def _hidden(shape: np.ndarray, length: int, noise: float, generator: np.random.Generator) -> np.ndarray:
    """One sample (length,)."""
    size = round(length * _SHARE * generator.uniform(0.8, 1.25))
    stretched = np.interp(np.linspace(0, 1, size), np.linspace(0, 1, len(shape)), shape)
    place = generator.integers(0, length - size + 1)
    series = np.zeros(length)
    series[place : place + size] = generator.uniform(0.7, 1.3) * stretched
    series += generator.uniform(-0.75, 0.75) * np.linspace(-1, 1, length)
    rough = gaussian_filter1d(generator.standard_normal(length + 16), 1.5)[8:-8]
    return np.asarray(series + noise * rough / _SMOOTHED)


#: Deviation of unit white noise after the filter above.
_SMOOTHED = float(np.linalg.norm(gaussian_filter1d(np.eye(1, 33, 16)[0], 1.5)))
