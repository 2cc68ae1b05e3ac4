"""What the marks in figures are: sentences that captions share, as `comparisons.kit.figures` draws them."""

from __future__ import annotations

LAWS = (
    "Small points are seeds, large ones geometric means with 95 % intervals; lines are fitted power laws, bands the "
    "intervals of their slopes."
)
POINTS = "Small points are seeds, large ones averages with 95 % intervals."
BARS = "Bars are 95 % intervals over seeds."
BANDS = "Lines are averages over seeds, bands 95 % intervals."
SEEDS = "Thin lines are seeds, thick ones averages."
