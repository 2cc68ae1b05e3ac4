"""The figure of a watch on somebody's training. Takes a table of numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from lab.figures import style
from lab.figures.curves import reference

if TYPE_CHECKING:
    import pandas as pd

_PANELS: tuple[tuple[str, dict[str, str]], ...] = (
    (
        "nonlinearity of the path\n(1: nothing is explained)",
        {"nonlinearity": "from the start", "nonlinearity_since_last": "since the last look"},
    ),
    ("kernel", {"kernel_distance": "distance from the start (1 − cos)", "alignment": "alignment with the targets"}),
    (
        "motion",
        {
            "relative_weight_motion": "weights (relative)",
            "feature_change": "hidden features (relative)",
            "gate_flips": "flipped ReLU gates (share)",
            "buffer_effect": "buffers (share of the change)",
        },
    ),
    ("loss per sample on the probes", {"probe_loss": "probe loss"}),
)


def watch(table: pd.DataFrame, lazy: Mapping[str, float], rich: Mapping[str, float]) -> Figure:
    """Four panels over the steps of a `lab.Watch`: nonlinearity, kernel, motion, loss.

    Parameters
    ----------
    table
        As `lab.Watch.table`.
    lazy, rich
        Thresholds by column, drawn where a column has one.
    """
    with style.use():
        figure, axes = style.panels(2, 2, size=(5.2, 3.6))
        for ax, (label, columns) in zip(axes.flat, _PANELS, strict=True):
            shown = {name: text for name, text in columns.items() if table[name].notna().any()}
            for (name, text), color, dash in zip(shown.items(), style.QUANTITIES, style.DASHES, strict=False):
                marker = "o" if len(table) < 30 else ""
                ax.plot(
                    table["step"], table[name], color=color, linestyle=dash, marker=marker, markersize=4, label=text
                )
            for name in set(shown) & set(lazy):
                of = name.replace("_", " ")  # other columns of the panel have no thresholds
                reference(ax, lazy[name], f"lazy: {of} below", horizontal=True)
                reference(ax, rich[name], f"rich: {of} above", horizontal=True)
            ax.set_ylim(bottom=0)
            ax.set(xlabel="step", ylabel=label)
            if shown:
                style.legend_below(ax)
        style.headline(figure, "How training moved the network, on the probes")
    return figure
