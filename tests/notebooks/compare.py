"""Comparison of two texts: words must be equal, numbers nearly so."""

from __future__ import annotations

import re
from itertools import zip_longest

#: Relative difference that two printed numbers may have: another processor sums in another order, and gates flip.
NEAR = 0.1
#: Numbers below are rounding errors, which no two processors share.
ROUNDING = 1e-9

_NUMBER = re.compile(r"(?<![\w.])[-−+]?\d[\d,]*(?:\.\d+)?(?:e[-−+]?\d+)?")


def differences(kept, found):
    """The places where two texts differ, as pairs of the words there; blanks do not count."""
    pairs = zip_longest(kept.split(), found.split(), fillvalue="")
    return [(old, new) for old, new in pairs if not _alike(old, new)]


def _alike(old, new):
    old_words, new_words = (_NUMBER.sub("#", word) for word in (old, new))
    if old_words != new_words:
        return False
    return all(_near(*pair) for pair in zip(_NUMBER.findall(old), _NUMBER.findall(new), strict=True))


def _near(old, new):
    """Within `NEAR` or one and a half units of the last digit printed."""
    values = [float(text.replace("−", "-").replace(",", "")) for text in (old, new)]
    allowed = max(NEAR * max(map(abs, values)), 1.5 * max(_unit(old), _unit(new)), ROUNDING)
    return abs(values[0] - values[1]) <= allowed


def _unit(text):
    """The unit of the last digit: 0.01 for 3.14."""
    digits, _, power = text.lower().replace("−", "-").partition("e")
    return 10.0 ** (int(power or 0) - len(digits.partition(".")[2]))
