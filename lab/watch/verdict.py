"""From the numbers of a watch to a sentence; every threshold has a name."""

from __future__ import annotations

import math
from collections.abc import Mapping

LEARNT = 0.2  # share by which the probe loss must have fallen before a judgement
LAZY = {"nonlinearity": 0.1, "kernel_distance": 0.05}  # lazy below both
RICH = {"nonlinearity": 0.5, "kernel_distance": 0.3}  # rich above one of them

Numbers = Mapping[str, float | None]


def judge(start: Numbers, now: Numbers) -> tuple[str, str]:
    """One of "nothing yet", "too early", "lazy", "leaving", "rich", and the sentences that say why.

    Parameters
    ----------
    start, now
        Columns of `Watch.table` at the start and at the last look; ``probe_loss`` is None without targets.
    """
    nonlinearity, distance = now.get("nonlinearity"), now.get("kernel_distance")
    if nonlinearity is None or distance is None or math.isnan(nonlinearity):
        return "nothing yet", "Nothing can be said: the outputs on the probes have not changed beyond their noise."
    seen = f"nonlinearity {nonlinearity:.2g}, kernel distance {distance:.2g}"
    fallen, note = _fallen(start.get("probe_loss"), now.get("probe_loss"))
    if nonlinearity > RICH["nonlinearity"] or distance > RICH["kernel_distance"]:
        limits = f"above {RICH['nonlinearity']:g} or {RICH['kernel_distance']:g}"
        return "rich", f"The network learns features: {seen} ({limits}). {note}".rstrip()
    if fallen is not None and fallen < LEARNT:
        return "too early", f"It is too early to tell: {note[0].lower()}{note[1:]} So far: {seen}."
    if nonlinearity < LAZY["nonlinearity"] and distance < LAZY["kernel_distance"]:
        limits = f"below {LAZY['nonlinearity']:g} and {LAZY['kernel_distance']:g}"
        early = " Without targets this may also mean that training is at its beginning." if fallen is None else ""
        return "lazy", f"Training is lazy: {seen} ({limits}). {note}".rstrip() + early
    return "leaving", f"Training is leaving the lazy regime: {seen}. {note}".rstrip()


def _fallen(first: float | None, last: float | None) -> tuple[float | None, str]:
    """By which share the probe loss has fallen, and that in words."""
    if first is None or last is None or not first > 0:
        return None, ""
    share = 1 - last / first
    if share < 0:
        return share, f"The probe loss has risen from {first:.3g} to {last:.3g}."
    return share, f"The probe loss has fallen by {100 * share:.0f} %."
