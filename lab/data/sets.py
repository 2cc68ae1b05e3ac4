"""Sizes of sets of labelled series, by name."""

from __future__ import annotations

from lab.data import archive, files
from lab.data.archive import Shape
from lab.errors import refuse

DIGITS = Shape(
    train=1797, test=0, length=8, features=8, classes=10
)  #: all ten classes, as `lab.data.digits` loads them


def shape(name: str) -> Shape:
    """Sizes of a set with classes: samples of its own two splits, longest series, features, classes.

    Parameters
    ----------
    name
        "digits", one of `lab.data.archive.BUNDLED`, or the path of a file. A file alone is read for its sizes.

    Raises
    ------
    LabError
        A file that cannot be read, or one whose targets are numbers.
    """
    if name == "digits":
        return DIGITS
    if name in archive.BUNDLED:
        return archive.BUNDLED[name]
    data = files.read(name)
    if data.classes is None:
        refuse("sets", f"{data.name}, whose targets are numbers", "sets with classes", "give labels instead of targets")
    n, length, features = data.series.shape
    return Shape(data.train, n - data.train, length, features, len(data.classes))
