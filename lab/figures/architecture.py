"""The network unrolled in time: which matrix acts where, what is trained, and what the loss reads."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch

from lab.errors import check_choice, check_integer, refuse
from lab.figures import page, style

TRAINED, FROZEN, INK = "#D55E00", "#8a8a8a", "#222222"
READOUTS = ("last", "all", "mean")
WEIGHTS = ("W", "A", "B")

_RADIUS = 0.46  # of a node
_STRIDE, _STATE = 4.1, 1.75  # from one time step to the next, and from g_t to h_t
_INPUT, _OUTPUT, _LOSS, _MEAN = -2.1, 2.2, 4.0, 1.6  # heights; states are at 0
_LIFT = 1.9  # how much higher output and loss stand over a mean
_MARGIN = (1.1, 2.2)  # left of h_0 and right of the last state
_SHOWN = 3  # time steps that are drawn: the first two and the last

Point = tuple[float, float]


@dataclass(frozen=True)
class _Plan:
    """What is drawn where: time steps with their places, what is trained, and the shapes as text."""

    steps: tuple[tuple[str, float], ...]
    gap: bool
    trained: frozenset[str]
    shapes: dict[str, str]
    sizes: dict[str, str]

    def color(self, weight: str) -> str:
        """Of a matrix, by whether it is trained."""
        return TRAINED if weight in self.trained else FROZEN

    def states(self) -> list[tuple[str, float]]:
        """Names of the drawn time steps, and where their states h_t are."""
        return [(step, place + _STATE) for step, place in self.steps]


def architecture(
    ax: Axes,
    length: int | None = None,
    trained: Collection[str] = ("W",),
    readout: str = "last",
    shapes: bool = True,
    *,
    sizes: tuple[int, int, int] | None = None,
) -> Axes:
    """Draw g_t = W h_{t−1} + A x_t, h_t = φ(g_t), f = B h_L and the loss, unrolled in time.

    Parameters
    ----------
    ax
        Where to draw; its frame is switched off and its aspect made equal. About 2.2 times as wide as high is best.
    length
        Number L of time steps; more than three are drawn as the first two, dots, and the last. None for the symbol L.
    trained
        Which of W, A, B gradient descent moves: these are in colour, the others grey.
    readout
        "last": the loss reads f = B h_L. "all": f_t = B h_t at steps 2…L. "mean": f = B (h_1 + … + h_L)/L.
    shapes
        Whether matrices and vectors carry their shapes.
    sizes
        (p, m, q) as numbers to show instead of the symbols.

    Raises
    ------
    LabError
        A length or size below 1 (2 for the readout "all"), an unknown readout, weights other than W, A, B.

    References
    ----------
    Allen-Zhu, Li, Song, "On the Convergence Rate of Training Recurrent Neural Networks", NeurIPS 2019, section 2.
    """
    _check(length, trained, readout, sizes)
    plan = _plan(length, trained, shapes, sizes)
    _draw_recurrence(ax, plan)
    {"last": _read_last, "all": _read_all, "mean": _read_mean}[readout](ax, plan)
    _draw_key(ax, plan)
    _draw_equations(ax)
    ax.set_xlim(-_MARGIN[0], plan.steps[-1][1] + _STATE + _MARGIN[1])
    ax.set_ylim(_INPUT - 1.75, _LOSS + 0.75 + (_LIFT if readout == "mean" else 0.0))
    ax.set_aspect("equal")
    ax.set_axis_off()
    return ax


def architecture_figure(
    inputs: int | None = None,
    width: int | None = None,
    outputs: int | None = None,
    length: int | None = None,
    *,
    trained: Collection[str] = ("W",),
    readout: str = "last",
) -> Figure:
    """The same as a figure of its own, in the present style, for a network of these sizes.

    Parameters
    ----------
    inputs, width, outputs, length
        p, m, q and L; either the first three are given or none of them (then the symbols are shown).
    trained, readout
        As for `architecture`.

    Examples
    --------
    >>> figure = architecture_figure(inputs=9, width=256, outputs=1, length=8)
    >>> len(figure.axes)
    1
    """
    given = [size for size in (inputs, width, outputs) if size is not None]
    if len(given) not in (0, 3):
        fix = "give all three, as of network.A and network.B, or none"
        refuse("inputs, width, outputs", str((inputs, width, outputs)), "three numbers or none", fix)
    drawn = _SHOWN if length is None else min(length, _SHOWN)
    with page.on(None):  # texts stand between arrows: the drawing grows with its type, on every page
        figure, axes = style.panels(1, size=(2.7 + 2.75 * drawn, 5.0 if readout != "mean" else 6.1))
    sizes = (given[0], given[1], given[2]) if given else None
    architecture(axes[0, 0], length, trained, readout, sizes=sizes)
    return figure


def _check(length: int | None, trained: Collection[str], readout: str, sizes: tuple[int, int, int] | None) -> None:
    check_choice("readout", readout, READOUTS)
    if length is not None:
        check_integer("length", length, 2 if readout == "all" else 1)
    names = list(trained)
    if not set(names) <= set(WEIGHTS) or len(set(names)) < len(names) or isinstance(trained, str):
        refuse("trained", repr(trained), "a subset of W, A, B", "name each matrix once, as in trained=('W', 'B')")
    for name, size in zip(("inputs", "width", "outputs"), sizes or (), strict=False):
        check_integer(name, size, 1)


def _plan(length: int | None, trained: Collection[str], shapes: bool, sizes: tuple[int, int, int] | None) -> _Plan:
    names = [str(t) for t in range(1, min(length or _SHOWN, _SHOWN) + 1)]
    gap = length is None or length > _SHOWN
    if gap:
        names[-1] = "L" if length is None else str(length)
    places = [2.0 + _STRIDE * i + (1.8 if gap and i == len(names) - 1 else 0.0) for i in range(len(names))]
    p, m, q = (str(size) for size in sizes or ("p", "m", "q"))
    matrices = {"W": f"{m}×{m}", "A": f"{m}×{p}", "B": f"{q}×{m}"} if shapes else dict.fromkeys(WEIGHTS, "")
    vectors = {"x": p, "h": m, "f": q} if shapes else {}
    return _Plan(tuple(zip(names, places, strict=True)), gap, frozenset(trained), matrices, vectors)


def _draw_recurrence(ax: Axes, plan: _Plan) -> None:
    """Inputs, pre-activations and states from h_0 = 0 on, with W, A and φ on the arrows."""
    _node(ax, (-0.4, 0.0), "$h_0$")
    ax.text(-0.4, -_RADIUS - 0.12, "= 0", ha="center", va="top", color=INK, fontsize=_small())
    before: Point = (-0.4, 0.0)
    for i, (step, place) in enumerate(plan.steps):
        if plan.gap and i == len(plan.steps) - 1:
            before = _draw_dots(ax, plan, before, place)
        _draw_weight(ax, plan, "W", before, (place, 0.0))
        _draw_weight(ax, plan, "A", (place, _INPUT), (place, 0.0))
        _node(ax, (place, _INPUT), f"$x_{{{step}}}$", square=True)
        _node(ax, (place, 0.0), f"$g_{{{step}}}$")
        before = (place + _STATE, 0.0)
        _arrow(ax, (place, 0.0), before, INK)
        ax.text(place + _STATE / 2, 0.16, "φ", ha="center", va="bottom", color=INK)
        _node(ax, before, f"$h_{{{step}}}$", filled=True)
    if plan.sizes:
        first = plan.steps[0][1]
        _shape(ax, (first, _INPUT - _RADIUS - 0.12), f"{plan.sizes['x']} features")
        _shape(ax, (first + _STATE, -_RADIUS - 0.12), f"{plan.sizes['h']} units")


def _draw_dots(ax: Axes, plan: _Plan, before: Point, place: float) -> Point:
    """The time steps that are left out; returns where the last one of them would be."""
    middle = (before[0] + place) / 2
    _draw_weight(ax, plan, "W", before, (middle - 0.4 + _RADIUS, 0.0), shaped=False)
    for y in (0.0, _INPUT):
        _draw_ellipsis(ax, middle, y)
    return (middle + 0.4 - _RADIUS, 0.0)


def _draw_ellipsis(ax: Axes, place: float, height: float) -> None:
    ax.text(place, height, "· · ·", ha="center", va="center", color=INK, fontweight="bold")


def _read_last(ax: Axes, plan: _Plan) -> None:
    _, place = plan.states()[-1]
    _draw_output(ax, plan, "$f$", (place, 0.0), _OUTPUT)
    _draw_loss(ax, [place], _OUTPUT, r"$\|f-y\|^2$")


def _read_all(ax: Axes, plan: _Plan) -> None:
    read = [(step, place) for step, place in plan.states() if step != "1"]
    places = [place for _, place in read]
    for step, place in read:
        _draw_output(ax, plan, f"$f_{{{step}}}$", (place, 0.0), _OUTPUT, labelled=place == places[-1])
    if plan.gap:
        _draw_ellipsis(ax, (places[-2] + places[-1]) / 2, _OUTPUT)
    _draw_loss(ax, places, _OUTPUT, r"$\sum_{t\geq 2}\ \|f_t-y_t\|^2$")


def _read_mean(ax: Axes, plan: _Plan) -> None:
    places = [place for _, place in plan.states()]
    left, right = places[0] - 1.2, places[-1] + 1.2
    _box(ax, (left, _MEAN - 0.36), right - left, 0.72)
    ax.text((left + right) / 2, _MEAN, "mean over steps", ha="center", va="center", color=INK, zorder=4)
    for place in places:
        _arrow(ax, (place, 0.0), (place, _MEAN - 0.36 + _RADIUS), INK)
    _draw_output(ax, plan, "$f$", (places[-1], _MEAN + 0.36 - _RADIUS), _OUTPUT + _LIFT)
    _draw_loss(ax, places[-1:], _OUTPUT + _LIFT, r"$\|f-y\|^2$")


def _draw_output(ax: Axes, plan: _Plan, name: str, start: Point, height: float, labelled: bool = True) -> None:
    """B from a state to its output above it."""
    end = (start[0], height)
    _draw_weight(ax, plan, "B", start, end)
    _node(ax, end, name)
    if plan.sizes and labelled:
        text = f"{plan.sizes['f']} output{'' if plan.sizes['f'] == '1' else 's'}"
        place = end[0] + _RADIUS + 0.15
        ax.text(place, height, text, ha="left", va="center", color=FROZEN, fontsize=_small())


def _draw_loss(ax: Axes, places: Sequence[float], outputs: float, error: str) -> None:
    """The loss over the outputs at these places, above them."""
    middle, height = (places[0] + places[-1]) / 2, outputs + _LOSS - _OUTPUT
    half = (places[-1] - places[0]) / 2 + 2.0
    _box(ax, (middle - half, height - 0.5), 2 * half, 1.0)
    ax.text(middle, height, rf"loss  $\frac{{1}}{{2}}\,\sum$ {error}", ha="center", va="center", color=INK, zorder=4)
    for place in places:
        _arrow(ax, (place, outputs), (place, height - 0.5 + _RADIUS), INK)


def _draw_equations(ax: Axes) -> None:
    """The recursion in words of the paper, in the corner that every readout leaves free."""
    text = r"$g_t = W h_{t-1} + A x_t$" + "\n" + r"$h_t = \varphi(g_t)$"
    ax.text(-0.4 - _RADIUS, 1.95, text, color=INK, ha="left", va="center", linespacing=1.6)


def _draw_key(ax: Axes, plan: _Plan) -> None:
    """Which matrices are trained and which keep their random values, in their colours."""
    frozen = [weight for weight in WEIGHTS if weight not in plan.trained]
    moved = [weight for weight in WEIGHTS if weight in plan.trained]
    height = _INPUT - 1.35
    for place, names, text, color in ((-0.8, moved, "trained", TRAINED), (2.4, frozen, "random, frozen", FROZEN)):
        if names:
            said = f"{text}: {', '.join(names)}"
            ax.text(place, height, said, color=color, fontweight="bold", va="center", ha="left")
    right = plan.steps[-1][1] + _STATE + 1.7
    if len(plan.steps) > 2:
        same = "the same W, A and B at every step"
        ax.text(right, height, same, color=INK, va="center", ha="right", fontsize=_small(), style="italic")


def _draw_weight(ax: Axes, plan: _Plan, weight: str, start: Point, end: Point, shaped: bool = True) -> None:
    """An arrow from one node to another with the matrix's name and maybe its shape beside it."""
    color, upright = plan.color(weight), start[0] == end[0]
    _arrow(ax, start, end, color, 2.6 if weight in plan.trained else 1.6)
    x, y = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
    name: dict[str, Any] = {"ha": "right", "va": "center"} if upright else {"ha": "center", "va": "bottom"}
    shape: dict[str, Any] = {"ha": "left", "va": "center"} if upright else {"ha": "center", "va": "top"}
    dx, dy = (0.14, 0.0) if upright else (0.0, 0.14)
    ax.text(x - dx, y + dy, weight, color=color, fontweight="bold", **name)
    ax.text(x + dx, y - dy, plan.shapes[weight] if shaped else "", color=color, fontsize=_small(), **shape)


def _arrow(ax: Axes, start: Point, end: Point, color: str, width: float = 1.4) -> None:
    """From the rim of one node to the rim of another."""
    across, along = end[0] - start[0], end[1] - start[1]
    size = (across**2 + along**2) ** 0.5
    cut = (_RADIUS + 0.04) / size
    tail = (start[0] + cut * across, start[1] + cut * along)
    head = (end[0] - cut * across, end[1] - cut * along)
    shape: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 1.2 * _type(), "shrinkA": 0, "shrinkB": 0}
    ax.add_patch(FancyArrowPatch(tail, head, color=color, linewidth=width * _type() / 10, zorder=2, **shape))


def _node(ax: Axes, place: Point, text: str, *, square: bool = False, filled: bool = False) -> None:
    if square:
        _box(ax, (place[0] - _RADIUS, place[1] - _RADIUS), 2 * _RADIUS, 2 * _RADIUS)
    else:
        face = "#e8eef4" if filled else "white"
        ax.add_patch(Circle(place, _RADIUS, facecolor=face, edgecolor=INK, linewidth=0.13 * _type(), zorder=3))
    ax.text(*place, text, ha="center", va="center", color=INK, zorder=4)


def _box(ax: Axes, corner: Point, width: float, height: float) -> None:
    shape: dict[str, Any] = {"boxstyle": "round,pad=0,rounding_size=0.14", "facecolor": "#f5f5f5", "edgecolor": INK}
    ax.add_patch(FancyBboxPatch(corner, width, height, linewidth=0.13 * _type(), zorder=3, **shape))


def _shape(ax: Axes, place: Point, text: str) -> None:
    ax.text(*place, text, ha="center", va="top", color=FROZEN, fontsize=_small())


def _type() -> float:
    return float(mpl.rcParams["font.size"])


def _small() -> float:
    return 0.82 * _type()
