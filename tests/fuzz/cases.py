"""What every case of this suite is: something handed to a public function, and what must come of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from lab.errors import LabError
from tests.tolerances import EXACT

COUNTS: Counter[str] = Counter()  # of what was tried, by what became of it
LONGEST = 1200  # characters of a refusal: some list all columns of a file or all comparisons


@dataclass(frozen=True)
class Refused:
    """``call()`` must raise one `LabError` that names the argument and says this of what came."""

    call: Callable[[], Any]
    argument: str
    says: str = ""

    def check(self):
        with pytest.raises(LabError) as caught:
            self.call()
        check_refusal(caught.value, self.argument)
        assert self.says in str(caught.value)
        COUNTS["refused"] += 1


@dataclass(frozen=True)
class Handled:
    """``call()`` must give what ``clean()`` gives: the same shapes, finite numbers, equal up to rounding."""

    call: Callable[[], Any]
    clean: Callable[[], Any]
    tolerance: float = EXACT

    def check(self):
        came, wanted = numbers(self.call()), numbers(self.clean())
        assert came.keys() == wanted.keys()
        for name, value in came.items():
            assert value.shape == wanted[name].shape, name
            assert np.isfinite(value).all(), name
            np.testing.assert_allclose(value, wanted[name], rtol=self.tolerance, atol=self.tolerance, err_msg=name)
        COUNTS["handled"] += 1


def check_refusal(error, argument):
    """Four short texts in one line: which argument, what came, what is allowed, what to do."""
    assert isinstance(error, LabError)
    assert isinstance(error, ValueError)
    assert argument in error.argument
    for text in (error.argument, error.came, error.allowed, error.fix):
        assert isinstance(text, str)
        assert text.strip()
    assert "\n" not in str(error)
    assert len(str(error)) <= LONGEST
    assert " at 0x" not in str(error)


def numbers(value):
    """All numbers in a result, by name."""
    if isinstance(value, dict):
        return {f"{key}.{name}": part for key, inner in value.items() for name, part in numbers(inner).items()}
    if isinstance(value, (tuple, list)):
        return numbers(dict(enumerate(value)))
    tensor = value.detach().double().numpy() if isinstance(value, torch.Tensor) else value
    return {"": np.asarray(tensor, dtype=np.float64)}


def table(cases):
    """A table of named cases as pytest wants it."""
    return pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in cases.items()])
