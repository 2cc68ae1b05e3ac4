"""The UCR/UEA sets that aeon ships inside its own package: real series without any download."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from lab.data.files import read
from lab.data.labelled import Labelled
from lab.errors import check_choice, refuse

INSTALL = "pip install 'lazylab[data]'"


@dataclass(frozen=True)
class Shape:
    """Sizes of a set: samples of its own two splits, longest series, features, classes."""

    train: int
    test: int
    length: int
    features: int
    classes: int

    @property
    def samples(self) -> int:
        """Samples of both splits together."""
        return self.train + self.test


#: Archive of Dau et al. 2019 (one feature) and of Bagnall et al. 2018 (several).
BUNDLED = {
    "ACSF1": Shape(100, 100, 1460, 1, 10),
    "ArrowHead": Shape(36, 175, 251, 1, 3),
    "BasicMotions": Shape(40, 40, 100, 6, 4),
    "GunPoint": Shape(50, 150, 150, 1, 2),
    "ItalyPowerDemand": Shape(67, 1029, 24, 1, 2),
    "JapaneseVowels": Shape(270, 370, 29, 12, 9),
    "OSULeaf": Shape(200, 242, 427, 1, 6),
    "PickupGestureWiimoteZ": Shape(50, 50, 361, 1, 10),
}


def is_installed() -> bool:
    """Whether aeon is there; it is not imported for that."""
    return importlib.util.find_spec("aeon") is not None


def missing(name: str) -> str | None:
    """What has to be installed for a set, as a sentence without its end; None where nothing has to be."""
    return f"{name} needs {INSTALL}" if name in BUNDLED and not is_installed() else None


def path(name: str) -> Path:
    """The training file of a bundled set; its test file lies beside it.

    Raises
    ------
    LabError
        A set that aeon does not ship, or no aeon.
    """
    check_choice("name", name, BUNDLED)
    spec = importlib.util.find_spec("aeon")
    if spec is None or not spec.submodule_search_locations:
        refuse("name", repr(name), "a task that needs no extra, as aeon is not installed", INSTALL)
    found = Path(spec.submodule_search_locations[0], "datasets", "data", name, f"{name}_TRAIN.ts")
    if not found.is_file():
        refuse(
            "name", repr(name), "a set that the installed aeon ships", f"{INSTALL} in the version of constraints.txt"
        )
    return found


def load(name: str) -> Labelled:
    """Series and labels of a bundled set; refuses as `path` does."""
    return read(path(name))
