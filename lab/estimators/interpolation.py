"""Does a kernel reproduce the targets that it was fitted to without a penalty, and if not, why and what helps?"""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lab.errors import LabWarning
from lab.kernels.spectrum import Spectrum
from lab.networks.elman import ElmanRNN

Array = NDArray[np.float64]

BIAS = 0.3  #: σ_b of the estimators' own parametrization, and of the one that the warning proposes
REPRODUCED = 1e-4  # RMS residual over RMS targets up to which targets count as reproduced

_ODD = "without a bias this network is an odd function, f(−x) = −f(x)"
_SYMMETRIES = {
    "relu": "without a bias a ReLU network is homogeneous, f(c·x) = c·f(x) for c > 0",
    "erf": _ODD,
    "tanh": _ODD,
}


def warn_unless_reproduced(
    name: str, spectrum: Spectrum, series: Tensor, targets: Array, network: ElmanRNN, stacklevel: int = 1
) -> None:
    """Warn if interpolation leaves a part of the targets: how large it is, the rank of the kernel, and what helps.

    Parameters
    ----------
    name
        Of the estimator.
    spectrum
        Of the kernel: n rows if all outputs share it, else n·q.
    series, targets
        Training series (n, L, p), and centred targets (n, q).
    network
        The network whose kernel it is.
    stacklevel
        As for `warnings.warn`, seen from the caller.
    """
    share = missing_share(spectrum, targets)
    if share <= REPRODUCED:
        return
    found = [*_contradictions(series, targets), *_deficit(spectrum, series, network)]
    reasons = found or [("the kernel is singular up to rounding", "standardize X")]
    causes, fixes = zip(*reasons, strict=True)
    worst = " for the worst output" if targets.shape[1] > 1 else ""
    warnings.warn(
        f"{name}: steps=None with penalty=0 does not reproduce the training targets: R² = {1 - share**2:.4f}{worst}, "
        f"the RMS residual is {share:.2g} of their deviation. Cause: {'; '.join(causes)}. "
        f"Fix: {'; '.join(fixes)}; or set a penalty above 0.",
        LabWarning,
        stacklevel=stacklevel + 1,
    )


def missing_share(spectrum: Spectrum, targets: Array) -> float:
    """RMS of the part of targets (n, q) outside the range of the kernel, over their own RMS; of the worst output."""
    dropped = int((spectrum.limit() == 0).sum())  # eigenvalues ascend
    vectors = spectrum.vectors[:, :dropped]
    missing = (vectors @ (vectors.T @ targets.reshape(len(vectors), -1))).reshape(targets.shape)
    sizes = np.linalg.norm(targets, axis=0)
    return float((np.linalg.norm(missing, axis=0) / np.where(sizes > 0, sizes, 1.0)).max())


def _contradictions(series: Tensor, targets: Array) -> list[tuple[str, str]]:
    """Cause and fix where equal samples come with different targets."""
    first, group = _distinct(series)
    differs = (targets != targets[first[group]]).any(1)
    if not differs.any():
        return []
    number = len(np.unique(group[differs]))
    cause = f"{number} of {len(first)} distinct samples occur more than once with different targets"
    return [(cause, "average their targets, or drop them")]


def _deficit(spectrum: Spectrum, series: Tensor, network: ElmanRNN) -> list[tuple[str, str]]:
    """Cause and fix where the kernel has a smaller rank than there are distinct samples."""
    each = len(spectrum.values) // len(series)  # rows of the kernel for each sample
    rank, full = int((spectrum.limit() > 0).sum()), each * len(_distinct(series)[0])
    if rank >= full:
        return []
    weights = sum(value.numel() for value in network.trained.values())
    cause = f"the kernel has rank {rank} for {full} distinct {'samples' if each == 1 else 'pairs of sample and output'}"
    if not network.W.is_meta and weights < full:
        return [(f"{cause}, since the network has {weights} trained weights", "raise the width")]
    if "b" not in network.scales and network.activation.name in _SYMMETRIES:
        fix = f"pass parametrization=lab.Parametrization(style='ntk', sigma_b={BIAS})"
        return [(f"{cause}; {_SYMMETRIES[network.activation.name]}", fix)]
    small = f"eigenvalues below {spectrum.tolerance:.1e} count as 0 (λ_max = {spectrum.lambda_max:.2g})"
    return [(f"{cause}; {small}", "standardize X, or drop samples that nearly repeat others")]


def _distinct(series: Tensor) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Of series (n, L, p), the first place of each distinct one, and for each series its number among these."""
    flat = series.reshape(len(series), -1).numpy()
    _, first, group = np.unique(flat, axis=0, return_index=True, return_inverse=True)
    return first, group.ravel()
