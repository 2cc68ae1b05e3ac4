"""The largest eigenvalue of the loss's curvature in the weights of a linear model: what sets the critical rate."""

from __future__ import annotations

import torch
from torch import Tensor

from lab.arrays import check_data
from lab.errors import refuse
from lab.jacobians.jacobian import Jacobian
from lab.kernels.singular import largest_singular_value
from lab.kernels.spectrum import Spectrum, largest_eigenvalue

_DENSE = 512  # rows of a kernel up to which it is formed for its largest eigenvalue
_INDEFINITE = 100  # ε of the largest eigenvalue of H, by which a negative one may be rounding


def sharpness(kernel: Tensor, curvature: Tensor | None) -> float:
    """λ_max of H^½ K H^½, which is that of the Hessian Jᵀ H J of a linear model.

    Parameters
    ----------
    kernel
        K, shape (n, o, n, o).
    curvature
        H of the loss in the outputs of each sample, (n, o, o), such as `lab.losses.Objective.curvature` gives; None for
        the identity.

    Raises
    ------
    LabError
        A kernel that `Spectrum` refuses, one that is zero where H is not, or a curvature that is zero or has negative
        eigenvalues.
    """
    if curvature is None:
        return Spectrum(kernel).lambda_max
    found = largest_eigenvalue(check_data("kernel", curved(kernel, curvature)))
    if not found > 0:
        fix = "check that the outputs depend on a trained weight, and that inputs are neither zero nor tiny"
        refuse("kernel", f"λ_max = {found:.3g} of H^½ K H^½", "a positive one", fix)
    return found


def jacobian_sharpness(jacobian: Jacobian, curvature: Tensor | None = None) -> float:
    """The `sharpness` of the kernel J Jᵀ of a Jacobian of n samples and o outputs, without the kernel if it is large.

    Up to n·o = 512 the kernel is decomposed. Beyond, it is not even formed: Lanczos needs v -> H^½ J Jᵀ H^½ v alone,
    and memory for a kept Jacobian. A Jacobian that is not kept is kept on the way.

    Parameters
    ----------
    curvature
        As for `sharpness`.

    Raises
    ------
    LabError
        As for `sharpness`.
    """
    outputs = jacobian.outputs
    root = None if curvature is None else _root(curvature).to(outputs)
    start = torch.linspace(1, 2, outputs.numel(), dtype=outputs.dtype, device=outputs.device)

    def curve(values: Tensor) -> Tensor:
        return values if root is None else torch.einsum("aij,aj->ai", root, values)

    def act(vector: Tensor) -> Tensor:
        return curve(jacobian.push(jacobian.pull(curve(vector.view_as(outputs))))).flatten()

    if outputs.numel() > _DENSE and bool(torch.isfinite(act(start)).all()):
        jacobian.keep()
        top = largest_singular_value(act, lambda vector: vector, start) ** 2
        if top > 0:
            return top
    if curvature is None:  # a kernel that is 0 or NaN is refused in words
        return Spectrum(jacobian.gram(), overwrite=True).lambda_max
    return sharpness(jacobian.gram(), curvature)


def curved(kernel: Tensor, curvature: Tensor) -> Tensor:
    """H^½ K H^½ of shape (n, o, n, o), in float64 on the CPU.

    Raises
    ------
    LabError
        A curvature that is zero or has negative eigenvalues: there is no edge of stability then.
    """
    root = _root(curvature)
    return torch.einsum("aij,ajbk,bkl->aibl", root, kernel.detach().to("cpu", torch.float64), root)


def _root(curvature: Tensor) -> Tensor:
    """H^½ (n, o, o), in float64 on the CPU; refused where it is zero or not real."""
    values, vectors = torch.linalg.eigh(curvature.detach().to("cpu", torch.float64))
    low, high = float(values.min()), float(values.max())
    if not high > 0 or low < -_INDEFINITE * torch.finfo(curvature.dtype).eps * high:
        came = f"a loss with curvature from {low:.3g} to {high:.3g} at the initial outputs"
        refuse("loss", came, "one that is convex there", "pass learning_rate instead of critical_fraction")
    root: Tensor = (vectors * values.clamp(min=0).sqrt()[:, None]) @ vectors.mT
    return root
