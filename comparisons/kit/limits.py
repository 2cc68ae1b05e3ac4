"""The limits of large width that networks of a table are in, and what theory says of their gap there.

In the lazy limit Lee et al. 2019 (Theorem 2.1) bound the gap |network − linearized| by m^(−1/2); for smooth networks
perturbation theory in 1/m (Dyer, Gur-Ari 2020; Huang, Yau 2020) has a change of the kernel, and with it a gap, of order
1/m. In the mean-field limit, with an output scale α₀·m^(−1/2), the gap tends to a constant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from comparisons.kit.arms import Arm
from comparisons.kit.keys import Key, Quantity
from comparisons.kit.numbers import Number, Numbers
from comparisons.kit.powers import exponent, ratio_exponent
from comparisons.kit.settings import OneOf, doc
from comparisons.kit.wording import (
    FEW_SEEDS,
    compare,
    compare_with_theory,
    format_number,
    format_value,
    joined,
    position,
    power,
)

if TYPE_CHECKING:
    import pandas as pd

    from lab.networks.network import Network

WIDEST = Quantity(
    "exponent",
    "gap_test_widest",
    meaning="Slope of the largest test gap over the widest two octaves, in the mean-field limit; theory: 0.",
)
SLOWER = Quantity(
    "exponent",
    "gap_over_leading",
    meaning="Slope on log(width) of the log of the largest test gap over that of the variant leading, whose targets "
    "have no components along small eigenvalues; paired by width and seed.",
)
HELP = (
    "paper (Allen-Zhu, Li, Song 2019), ntk, or mean_field: ntk with the output scale 2·m^(−½), in which features move "
    "at every width. The variants centred and erf are in that limit then; paper is ntk with its random f₀, a control."
)
Parametrization = Annotated[str, OneOf("paper", "ntk", "mean_field"), doc(HELP)]
SMOOTH = ("erf", "tanh", "softplus")
BOUND, PERTURBATION = -0.5, -1.0  # exponents of the gap
STRAIGHT = 0.01  # a change of the slope per octave that is not worth a word
OCTAVES = 2.0  # the widest ones, in which a limit that is not 0 would show

# no-break spaces: verdicts are split into sentences at a dot and a space
_BOUND = "the bound m^−0.5 (Lee et al.\N{NO-BREAK SPACE}2019)"
_LIMIT = "the mean-field limit (α₀ = {})"
_PERTURBATION = "1/m, the order in perturbation theory of smooth networks (Dyer, Gur-Ari 2020; Huang, Yau 2020)"


_NOWHERE: dict[str, Any] = {"value": None, "interval": None, "seeds": 0}


def mean_field_scale(rows: pd.DataFrame) -> float | None:
    """α₀ of the networks of these rows in their mean-field limit; None where they are in another one."""
    if "alpha" not in rows:
        return None
    known = rows["alpha"].dropna()
    return float(known.iloc[0]) if len(known) else None


def scale_of(network: Network) -> float | None:
    """α₀ of a network in its mean-field limit, for a table; None for any other."""
    from lab.networks.elman import ElmanRNN

    return network.parametrization.alpha if isinstance(network, ElmanRNN) else None


def is_smooth(rows: pd.DataFrame) -> bool:
    """Whether the networks of these rows are known to have a smooth activation."""
    known = set(rows["activation"].dropna()) if "activation" in rows else set()
    return bool(known) and known <= set(SMOOTH)


def widest_octaves(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of the widest two octaves."""
    found: pd.DataFrame = rows[rows["width"] >= rows["width"].max() / 2**OCTAVES]
    return found


def widest_exponent(rows: pd.DataFrame) -> Numbers:
    """The exponent of the test gap over the widest two octaves; nothing but in the mean-field limit."""
    return {} if mean_field_scale(rows) is None else {WIDEST(): exponent(widest_octaves(rows), "gap_test")}


def ends(slope: Number, rows: pd.DataFrame) -> tuple[int, int]:
    """The smallest and the largest width that entered a fit to these rows; of all rows where there is none."""
    entered = slope.details.get("widths") or rows["width"]
    return int(min(entered)), int(max(entered))


def left_out(slope: Number, rows: pd.DataFrame) -> str:
    """The widths of these rows that did not enter a fit, in brackets; empty if all did."""
    gone = sorted(set(rows["width"]) - set(slope.details.get("widths", rows["width"])))
    return f" (at {joined([f'{width:g}' for width in gone])} some seed has no finite gap)" if gone else ""


def describe(gap: Number, rows: pd.DataFrame) -> str:
    """The power law of the test gap of these rows, compared with the theories that apply to them.

    In the mean-field limit whether the gap decays is judged by its exponent over the widest two octaves.
    """
    alpha = mean_field_scale(rows)
    if alpha is not None:
        return _in_mean_field(gap, rows, alpha)
    bound = compare_with_theory(gap, BOUND, _BOUND)
    if is_smooth(rows) and _BOUND in bound:
        bound = f"{bound} and {compare_with_theory(gap, PERTURBATION, _PERTURBATION)}"
    return f"{power(gap)}; {bound}{bent(gap)}"


def bent(slope: Number) -> str:
    """How a curve that is no power law goes over the widest two octaves; empty where its curvature may be 0."""
    widest, curvature = (Number(**{**_NOWHERE, **slope.details.get(name, {})}) for name in ("widest", "curvature"))
    if position(curvature, 0.0) not in ("below", "above") or abs(curvature.value or 0.0) < STRAIGHT:
        return ""
    return f"; it is no power law, and over the widest two octaves goes as {power(widest)}"


def _in_mean_field(gap: Number, rows: pd.DataFrame, alpha: float) -> str:
    """The power law of the gap over all widths and over the widest octaves, and whether it decays there."""
    widest, limit = widest_octaves(rows), _LIMIT.format(format_value(alpha))
    slope, start = exponent(widest, "gap_test"), int(widest["width"].min())
    found = compare(
        slope,
        0.0,
        below=f"it falls there, although theory has no decay in {limit}",
        around=f"no decay is visible there, and theory has none in {limit}",
        above=f"it grows there, and theory has no decay in {limit}",
        unknown=f"{FEW_SEEDS}; theory has no decay in {limit}",
    )
    beside = "" if ends(gap, rows)[0] >= start else f", and from width {start} on as {power(slope)}"
    return f"{power(gap)}{beside}: {found}"


def over_leading(arms: Sequence[Arm]) -> Numbers:
    """By how much more slowly the gap of the main arm falls than that of the variant leading, where there is one."""
    found = [arm for arm in arms[1:] if arm.name == "leading"]
    return {SLOWER(): ratio_exponent(arms[0].rows, arm.rows, "gap_test") for arm in found}


def slowed(numbers: Mapping[Key, Number]) -> str:
    """What that says; empty where no difference is visible."""
    number = numbers.get(SLOWER())
    if number is None or position(number, 0.0) != "above":
        return ""
    return f"So small eigenvalues, which are fitted late, slow its fall, by an exponent of {format_number(number)}."


def note(rows: pd.DataFrame) -> str:
    """A sentence that names the mean-field limit with its α₀; empty for rows in another one."""
    alpha = mean_field_scale(rows)
    return "" if alpha is None else f"This is {_LIMIT.format(format_value(alpha))}."


def label(arm: Arm, table: pd.DataFrame) -> str:
    """The name of an arm in figures; with its limit where some arm of the table is in the mean-field one."""
    if mean_field_scale(table) is None:
        return arm.label
    return f"{arm.label}, {'ntk' if mean_field_scale(arm.rows) is None else 'mean field'}"
