"""The plane of function space in which paths of training move most."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lab.errors import refuse

Array = NDArray[np.float64]


@dataclass(frozen=True)
class PrincipalPlane:
    """Paths in the plane of the first two principal components of all their points together.

    Attributes
    ----------
    paths
        Coordinates (T, 2) by name, in units of the outputs; NaN where an output is not finite.
    shares
        The share of the variance on each axis, (2,).
    target
        Where the targets lie when projected onto the plane, (2,); None without targets.
    """

    paths: Mapping[str, Array]
    shares: Array
    target: Array | None


def principal_plane(outputs: Mapping[str, ArrayLike], targets: ArrayLike | None = None) -> PrincipalPlane:
    """The paths of some learners in function space, in the plane of their first two principal components.

    Parameters
    ----------
    outputs
        Outputs (T, n, o) or (T, N) by name, of the same samples; rows that are not finite are left out.
    targets
        Targets (n, o) or (N,).

    Raises
    ------
    LabError
        Different shapes, or fewer than three finite points in all.

    Examples
    --------
    >>> import numpy as np
    >>> way = np.linspace(0, 1, 5)[:, None] * np.array([3.0, 4.0, 0.0])
    >>> found = principal_plane({"network": way})
    >>> np.linalg.norm(found.paths["network"][-1] - found.paths["network"][0]).round(6), found.shares.round(6).tolist()
    (np.float64(5.0), [1.0, 0.0])
    """
    rows = {name: np.asarray(each, dtype=np.float64) for name, each in outputs.items()}
    if len({each.shape for each in rows.values()}) != 1 or any(each.ndim < 2 for each in rows.values()):
        came = str({name: each.shape for name, each in rows.items()})
        refuse("outputs", came, "one shape (T, n, o) for all", "record the same steps and samples for every learner")
    flat = {name: each.reshape(len(each), -1) for name, each in rows.items()}
    every = np.concatenate(list(flat.values()))
    every = every[np.isfinite(every).all(1)]
    if len(every) < 3 or every.shape[1] < 2:
        refuse("outputs", f"{len(every)} finite points in {every.shape[1]} dimensions", "3 in 2", "record more steps")
    middle = every.mean(0)
    _, sizes, axes = np.linalg.svd(every - middle, full_matrices=False)
    plane = axes[:2] * np.sign(axes[:2] @ (every[-1] - every[0]) + 1e-300)[:, None]  # the last path goes to the right
    shares = sizes[:2] ** 2 / max(float((sizes**2).sum()), 1e-300)
    paths = {name: (each - middle) @ plane.T for name, each in flat.items()}
    end = None if targets is None else plane @ (np.asarray(targets, dtype=np.float64).ravel() - middle)
    return PrincipalPlane(paths, shares, end)
