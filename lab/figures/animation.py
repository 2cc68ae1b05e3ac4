"""Animations: matplotlib's, drawn from arrays alone; nothing is trained or fitted here.

Every function returns a `Movie`, which Jupyter plays and `Movie.save` writes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.animation import AbstractMovieWriter, FFMpegWriter, FuncAnimation, PillowWriter
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike, NDArray

from lab.errors import check_choice, check_number, refuse
from lab.figures import curves, style
from lab.figures.style import GREY, LEARNERS, NETWORK

Array = NDArray[np.float64]

_SECONDS = 6.0  # that an animation takes, whatever the number of its frames
_SLOWEST, _FASTEST = 2, 15  # frames per second
_DPI = 90
_PANEL = (5.0, 4.2)
_MARGIN = 0.06  # of the range of values, above and below
_SUFFIXES = (".gif", ".mp4", ".html")
_RING: dict[str, Any] = {"markerfacecolor": "white", "markeredgecolor": GREY, "markersize": 6, "zorder": 4}


@dataclass(frozen=True, eq=False)
class Movie:
    """An animation that Jupyter plays.

    Attributes
    ----------
    figure
        In which every frame is drawn.
    draw
        Draws the frame of an index.
    frames
        How many there are.
    """

    figure: Figure
    draw: Callable[[int], None]
    frames: int

    def __post_init__(self) -> None:
        self.draw(self.frames - 1)
        if isinstance(self.figure, style.Picture):
            self.figure.fit()
        self.figure.draw_without_rendering()  # all frames have the layout of the last: nothing moves but the curves
        self.figure.set_layout_engine("none")

    @property
    def speed(self) -> float:
        """Frames per second, so that the whole takes about six seconds."""
        return float(np.clip(self.frames / _SECONDS, _SLOWEST, _FASTEST))

    def save(self, path: str | Path, *, speed: float | None = None) -> Path:
        """Write a gif, an mp4 (with ffmpeg) or an html page, by the ending of the path, and return the path.

        Parameters
        ----------
        path
            Ends in .gif, .mp4 or .html.
        speed
            Frames per second; about six seconds for the whole if not given.

        Raises
        ------
        LabError
            Another ending, an mp4 where there is no ffmpeg, a speed that is not positive.
        """
        path = Path(path)
        if path.suffix.lower() not in _SUFFIXES:
            refuse("path", repr(str(path)), "one that ends in " + ", ".join(_SUFFIXES), "call it learners.gif")
        if path.suffix.lower() == ".mp4" and not FFMpegWriter.isAvailable():
            came = f"{str(path)!r} where there is no ffmpeg"
            refuse("path", came, "a path that ends in .gif or .html", "save a gif, or install ffmpeg")
        check_number("speed", self.speed if speed is None else speed, above=0)
        if path.suffix.lower() == ".html":
            path.write_text(self.to_html(speed), encoding="utf-8")
            return path
        writers: dict[str, type[AbstractMovieWriter]] = {".gif": PillowWriter, ".mp4": FFMpegWriter}
        writer = writers[path.suffix.lower()](fps=speed or self.speed)  # type: ignore[arg-type]
        self._animation(speed).save(str(path), writer=writer, dpi=_DPI)
        return path

    def to_html(self, speed: float | None = None) -> str:
        """The animation with its controls, as an element of a page that needs nothing else."""
        with mpl.rc_context({"savefig.dpi": _DPI}):
            return str(self._animation(speed).to_jshtml(fps=speed or self.speed, default_mode="loop"))  # type: ignore[arg-type]

    def _repr_html_(self) -> str:
        return self.to_html()

    def _animation(self, speed: float | None) -> FuncAnimation:
        def draw(frame: int) -> list[Any]:
            self.draw(frame)
            return []

        return FuncAnimation(self.figure, draw, frames=self.frames, interval=1000 / (speed or self.speed), repeat=True)


def learners(
    steps: ArrayLike,
    outputs: Mapping[str, ArrayLike],
    losses: Mapping[str, ArrayLike],
    *,
    targets: ArrayLike | None = None,
    x: ArrayLike | None = None,
    points: tuple[ArrayLike, ArrayLike] | None = None,
    loss: str = "squared",
    title: str = "",
) -> Movie:
    """Outputs of the learners along training, one frame for each recorded step; beside them the loss up to there.

    Parameters
    ----------
    steps
        Recorded steps (T,).
    outputs, losses
        Outputs (T, n) and losses (T,) by learner: "network", "linearized", "kernel", "quadratic". NaN after a
        divergence.
    targets
        Targets (n,) of the samples; drawn in grey.
    x
        A number for each sample, (n,), against which outputs are drawn as curves. Without it the samples stand side by
        side, in the order of their targets, or of the last outputs of the first learner.
    points
        Training points: places and targets, (k,) each; drawn as rings where there is an ``x``.
    loss
        Its name.
    title
        Above the figure.

    Raises
    ------
    LabError
        Shapes that do not fit, or a learner that has no line.
    """
    times = _steps(steps)
    values = _by_learner("outputs", outputs, (len(times), None))
    falls = _by_learner("losses", losses, (len(times),))
    figure, axes = style.panels(2, size=_PANEL)
    shown = _draw_outputs(axes[0, 0], values, targets, x, points)
    curves.losses(axes[0, 1], times, falls, loss)
    falling = dict(zip(falls, axes[0, 1].lines, strict=True))
    axes[0, 1].get_legend().remove()  # the outputs have the same
    axes[0, 1].set_ylim(axes[0, 1].get_ylim())

    def draw(frame: int) -> None:
        shown.draw(frame)
        for name, line in falling.items():
            line.set_data(times[: frame + 1], falls[name][: frame + 1])
        axes[0, 0].title.set_text(f"step {times[frame]:,}")

    style.headline(figure, title)
    return Movie(figure, draw, len(times))


def widths(
    sizes: ArrayLike,
    outputs: Sequence[Mapping[str, ArrayLike]],
    gaps: ArrayLike,
    *,
    targets: ArrayLike | None = None,
    x: ArrayLike | None = None,
    points: tuple[ArrayLike, ArrayLike] | None = None,
    title: str = "",
) -> Movie:
    """Outputs of the learners after training, one frame for each width; beside them the gap against width.

    Parameters
    ----------
    sizes
        Widths (k,), increasing.
    outputs
        For each width the outputs (n,) by learner.
    gaps
        The gap at each width, (k,), positive.
    targets, x, points, title
        As for `learners`.

    Raises
    ------
    LabError
        Shapes that do not fit, widths that do not increase, learners that differ between widths.
    """
    known = _steps(sizes, "sizes")
    if len(outputs) != len(known) or any(set(each) != set(outputs[0]) for each in outputs):
        came = f"{len(outputs)} mappings with the learners {sorted(set().union(*outputs))}"
        refuse(
            "outputs", came, f"{len(known)} with the same learners", "give the outputs of all learners for each width"
        )
    stacked = {name: [np.asarray(each[name], dtype=np.float64) for each in outputs] for name in outputs[0]}
    if len({row.shape for rows in stacked.values() for row in rows}) > 1:
        refuse("outputs", "outputs of different shapes", "(n,) each", "use one test set for all widths")
    falls = _shaped("gaps", gaps, (len(known),))
    figure, axes = style.panels(2, size=_PANEL)
    shown = _draw_outputs(axes[0, 0], _by_learner("outputs", stacked, (len(known), None)), targets, x, points)
    axes[0, 1].plot(known, falls, "o-", color=GREY, markersize=4)
    (here,) = axes[0, 1].plot(known[-1:], falls[-1:], "o", color=NETWORK.color, markersize=9)
    curves.width_axis(axes[0, 1], known.astype(np.float64)).set_ylabel("gap |network − linearized| after training")

    def draw(frame: int) -> None:
        shown.draw(frame)
        here.set_data(known[frame : frame + 1], falls[frame : frame + 1])
        axes[0, 0].title.set_text(f"width {known[frame]}")

    style.headline(figure, title)
    return Movie(figure, draw, len(known))


def kernel(steps: ArrayLike, kernels: ArrayLike, distances: ArrayLike, *, title: str = "") -> Movie:
    """The kernel K_t along training beside K₀, one frame for each recorded step; beside them how far it has moved.

    Parameters
    ----------
    steps
        Recorded steps (T,).
    kernels
        Matrices (T, n, n), K₀ first, in the order of samples in which they are to be shown.
    distances
        The distance of each from K₀, (T,), such as `lab.measures.evolution.cosine_distance`.
    title
        Above the figure.

    Raises
    ------
    LabError
        Shapes that do not fit.
    """
    times = _steps(steps)
    matrices = _shaped("kernels", kernels, (len(times), None, None))
    gone = _shaped("distances", distances, (len(times),))
    figure, axes = style.panels(3, size=(3.8, 4.0))
    finite = matrices[np.isfinite(matrices)]
    scale: dict[str, Any] = {"cmap": "viridis", "vmin": finite.min(), "vmax": finite.max()}
    pictures = [ax.imshow(matrices[0], **scale) for ax in axes[0, :2]]
    axes[0, 0].set_title("$K_0$")
    for ax in axes[0, :2]:
        ax.set(xticks=[], yticks=[], xlabel="training sample")
        ax.grid(visible=False)
    figure.colorbar(pictures[1], ax=list(axes[0, :2]), location="bottom", shrink=0.6, label="entry of the kernel")
    (line,) = axes[0, 2].plot(times, gone, **NETWORK.curve())
    axes[0, 2].set_ylim(0, max(1.05 * float(np.nanmax(gone)), 1e-3))
    curves.step_axis(axes[0, 2], times).set_ylabel("distance of $K_t$ from $K_0$ (1 − cosine)")

    def draw(frame: int) -> None:
        pictures[1].set_data(matrices[frame])
        line.set_data(times[: frame + 1], gone[: frame + 1])
        axes[0, 1].title.set_text(f"$K_t$ at step {times[frame]:,}")

    style.headline(figure, title)
    return Movie(figure, draw, len(times))


def paths(
    steps: ArrayLike,
    places: Mapping[str, ArrayLike],
    shares: ArrayLike,
    *,
    target: ArrayLike | None = None,
    title: str = "",
) -> Movie:
    """The learners' paths in a plane of function space, one frame for each recorded step.

    Parameters
    ----------
    steps
        Recorded steps (T,).
    places
        Coordinates (T, 2) in the plane by learner, such as those of `lab.measures.principal.principal_plane`.
    shares
        The share of the variance on each axis, (2,).
    target
        Where the targets lie in the plane, (2,); a cross.
    title
        Above the figure.

    Raises
    ------
    LabError
        Shapes that do not fit, or a learner that has no line.
    """
    times = _steps(steps)
    known = _by_learner("places", places, (len(times), 2))
    parts = _shaped("shares", shares, (2,))
    figure, axes = style.panels(1, size=(5.6, 4.8))
    ax = axes[0, 0]
    lines = {name: ax.plot([], [], label=name, **LEARNERS[name].curve())[0] for name in known}
    heads = {name: ax.plot([], [], LEARNERS[name].marker, color=LEARNERS[name].color)[0] for name in known}
    ends = [] if target is None else [_shaped("target", target, (2,))[None]]
    for end in ends:
        ax.plot(*end.T, "P", color=GREY, markersize=9, label="targets")
    for axis, column in zip("xy", range(2), strict=True):
        _limits(ax, axis, [each[:, column] for each in (*known.values(), *ends)])
    ax.set(xlabel=f"first principal component ({parts[0]:.0%})", ylabel=f"second principal component ({parts[1]:.0%})")
    style.legend_below(ax, 4)

    def draw(frame: int) -> None:
        for name, path in known.items():
            lines[name].set_data(*path[: frame + 1].T)
            heads[name].set_data(*path[frame : frame + 1].T)
        ax.title.set_text(f"step {times[frame]:,}")

    style.headline(figure, title)
    return Movie(figure, draw, len(times))


@dataclass(frozen=True)
class _Outputs:
    """Lines of learners, and their values (frames, n) in the order in which they are drawn."""

    lines: Mapping[str, Line2D]
    values: Mapping[str, Array]

    def draw(self, frame: int) -> None:
        for name, line in self.lines.items():
            line.set_ydata(self.values[name][frame])


def _draw_outputs(
    ax: Axes,
    values: Mapping[str, Array],
    targets: ArrayLike | None,
    x: ArrayLike | None,
    points: tuple[ArrayLike, ArrayLike] | None,
) -> _Outputs:
    """The last frame of outputs, and what draws the others; limits are those of all frames."""
    first = next(iter(values.values()))
    wanted = None if targets is None else _shaped("targets", targets, (first.shape[1],))
    order = np.argsort((first[-1] if wanted is None else wanted) if x is None else _shaped("x", x, (first.shape[1],)))
    numbers = np.arange(1, len(order) + 1) if x is None else np.asarray(x)[order]
    places = numbers.astype(np.float64)
    if wanted is not None:
        shape = {"marker": "_", "linestyle": "none"} if x is None else {"linewidth": 1.0}
        ax.plot(places, wanted[order], color=GREY, label="target", zorder=1, **shape)
    lines = {name: _line(ax, name, places, rows[-1][order], alone=x is None) for name, rows in values.items()}
    if points is not None:
        ax.plot(*points, "o", label="training points", **_RING)
    _limits(ax, "y", [*values.values(), *([] if wanted is None else [wanted])])
    ax.set(xlabel="sample, sorted" if x is None else "input", ylabel="output f")
    style.legend_below(ax, 3)
    return _Outputs(lines, {name: rows[:, order] for name, rows in values.items()})


def _line(ax: Axes, name: str, places: Array, values: Array, *, alone: bool) -> Line2D:
    """A learner's curve; a network on samples that have no order of their own is drawn as points."""
    shape = LEARNERS[name].curve()
    points = {"linestyle": "none", "marker": "o", "markersize": 4} if alone and name == "network" else {}
    return ax.plot(places, values, label=name, **{**shape, **points})[0]


def _limits(ax: Axes, axis: str, values: Sequence[Array]) -> None:
    """Limits of an axis with room for all finite values of all frames."""
    every = np.concatenate([each.ravel() for each in values])
    every = every[np.isfinite(every)]
    low, high = (float(every.min()), float(every.max())) if every.size else (0.0, 1.0)
    room = _MARGIN * (high - low) or 1.0
    ax.set(**{f"{axis}lim": (low - room, high + room)})


def _steps(values: ArrayLike, argument: str = "steps") -> NDArray[np.int64]:
    """Integers (T,), increasing, two or more."""
    found = np.asarray(values)
    if (
        found.ndim != 1
        or len(found) < 2
        or not np.issubdtype(found.dtype, np.integer)
        or not (np.diff(found) > 0).all()
    ):
        refuse(argument, repr(values), "two or more integers, increasing", "record more steps, or sort them")
    return found.astype(np.int64)


def _shaped(argument: str, values: ArrayLike, shape: tuple[int | None, ...]) -> Array:
    """Float64 of this shape; None stands for any length."""
    found = np.asarray(values, dtype=np.float64)
    fits = found.ndim == len(shape) and all(want in (None, size) for want, size in zip(shape, found.shape, strict=True))
    if not fits:
        wanted = ", ".join("n" if size is None else str(size) for size in shape)
        refuse(argument, f"an array of shape {found.shape}", f"shape ({wanted})", "give one entry for each frame")
    return found


def _by_learner(argument: str, values: Mapping[str, ArrayLike], shape: tuple[int | None, ...]) -> dict[str, Array]:
    """Arrays of one shape by learner."""
    if not values:
        refuse(argument, "no learner", "one or more", f"name one of {', '.join(LEARNERS)}")
    for name in values:
        check_choice(argument, name, LEARNERS)
    found = {name: _shaped(f"{argument}[{name!r}]", each, shape) for name, each in values.items()}
    first = next(iter(found.values())).shape
    return {name: _shaped(f"{argument}[{name!r}]", each, first) for name, each in found.items()}
