"""Animations of results: width as a slider, and the kernel along training. `lab.SideBySide.animate` has the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from lab.errors import refuse
from lab.figures import style as styles
from lab.learners.descent import Descent
from lab.learners.network import descend
from lab.measures.evolution import cosine_distance, traced
from lab.networks.network import Network
from lab.tasks.task import Task, as_task
from lab.together import SideBySide

if TYPE_CHECKING:
    from lab.figures.animation import Movie


def animate_widths(results: Sequence[SideBySide], *, output: int = 0, style: str | None = None) -> Movie:
    """Width as a slider: one frame for each result, with the outputs of its learners after training, and its gap.

    Parameters
    ----------
    results
        Of one task, by increasing width, as from ``[lab.side_by_side(lab.ElmanRNN.like(task, m), task) for m in …]``.
    output
        Which of the outputs of a sample.
    style
        Of `lab.figures.style`; None for the one in use.

    Raises
    ------
    LabError
        Fewer than two results, different tasks, networks without a width or with widths that do not increase, an
        unknown style.

    Examples
    --------
    >>> import lab
    >>> task, few = lab.tasks.curve(test=21), lab.Descent(20)
    >>> movie = animate_widths([lab.side_by_side(lab.ElmanRNN.like(task, m), task, few) for m in (16, 64)])
    >>> movie.frames
    2
    """
    from lab.figures import animation

    styles.chosen(style)
    if len(results) < 2:
        refuse("results", f"{len(results)} results", "two or more", "train networks of several widths")
    sizes = [getattr(each.trained_network, "width", None) for each in results]
    if None in sizes:
        refuse("results", "a network without a width", "networks of the lab", "use ElmanRNN")
    if len({each.task.name for each in results}) > 1 or len({each.network.train.shape[1:] for each in results}) > 1:
        refuse("results", "results of different tasks", "one task", "train all widths on the same task")
    frames = [each.frames(output=output) for each in results]
    with styles.use(style):
        return animation.widths(
            sizes,  # type: ignore[arg-type]  # none is None
            [{name: values[-1] for name, values in each.outputs.items()} for each in frames],
            [each.gap("test" if each.task.has_test else "train")[-1] for each in results],
            targets=frames[0].targets,
            x=frames[0].x,
            points=frames[0].points,
            title=results[0].task.name,
        )


def animate_kernel(
    network: torch.nn.Module | Network, task: Task, descent: Descent, *, style: str | None = None
) -> Movie:
    """Train a copy of the network, and show its kernel K_t on the training set moving away from K₀, or not.

    Kernels of several outputs are shown as their sum over outputs, samples in the order of their targets. One frame for
    each recorded step.

    Parameters
    ----------
    network, task, descent
        As for `lab.descend`.
    style
        Of `lab.figures.style`; None for the one in use.

    Raises
    ------
    LabError
        As `lab.descend` does, and for an unknown style.
    """
    from lab.figures import animation

    styles.chosen(style)
    task = as_task(task)
    targets = task.train_targets.double().flatten(1)[:, 0]
    order = torch.argsort(targets, stable=True)
    steps, shown, distances = [], [], []
    first = None
    for snapshot in descend(network, task, descent):
        kernel = snapshot.jacobian.gram().double()
        first = kernel if first is None else first
        steps.append(snapshot.step)
        distances.append(max(cosine_distance(kernel, first), 0.0))
        shown.append(traced(kernel)[order][:, order].numpy(force=True))
    with styles.use(style):
        return animation.kernel(steps, np.array(shown), distances, title=f"tangent kernel, {task.name}")
