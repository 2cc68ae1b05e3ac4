"""The largest eigenvalue of the loss's curvature in the weights: by the Hessian, by the kernel, by Lanczos."""

import pytest
import torch

import lab
from lab.errors import LabError
from lab.jacobians.factored import FactoredJacobian
from lab.kernels import sharpness as module
from lab.kernels.sharpness import jacobian_sharpness, sharpness
from lab.losses import LOSSES
from tests.tolerances import EXACT

N, Q = 9, 4


@pytest.fixture
def jacobian():
    inputs = torch.randn(N, 3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return lab.ElmanRNN(7, 2, Q, parametrization="ntk").jacobian(inputs).keep()


def equal_logits(samples=N, outputs=Q):
    zeros = torch.zeros(samples, outputs, dtype=torch.float64)
    return LOSSES["cross_entropy"].curvature(zeros, zeros)


def hessian(jacobian, curvature):
    """Jᵀ H J of the linear model, from rows of J."""
    rows = []
    for row in torch.eye(N * Q, dtype=torch.float64):
        tangent = jacobian.pull(row.reshape(N, Q))
        rows.append(torch.cat([tangent[name].flatten() for name in sorted(tangent)]))
    J = torch.stack(rows)
    return J.T @ torch.block_diag(*curvature) @ J


@pytest.mark.parametrize("rows", [0, 512])
@pytest.mark.parametrize("curved", ["none", "equal logits", "any"])
def test_it_is_that_of_the_hessian_in_the_weights(rows, curved, jacobian, monkeypatch):
    monkeypatch.setattr(module, "_DENSE", rows)
    if rows == 0:
        monkeypatch.setattr(FactoredJacobian, "gram", lambda *_: pytest.fail("the kernel was formed"))
    identity = torch.eye(Q, dtype=torch.float64).expand(N, Q, Q)
    outputs = 2 * torch.randn(N, Q, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    H = {"none": identity, "equal logits": equal_logits(), "any": LOSSES["cross_entropy"].curvature(outputs, outputs)}
    expected = float(torch.linalg.eigvalsh(hessian(jacobian, H[curved]))[-1])
    found = jacobian_sharpness(jacobian, None if curved == "none" else H[curved])
    assert found == pytest.approx(expected, rel=EXACT)


def test_equal_logits_and_a_shared_kernel_leave_its_own_eigenvalue_over_the_classes():
    """λ_max of H^½ (K ⊗ I) H^½ with H = I ⊗ (1/q)(I − 11ᵀ/q) is λ_max(K)/q."""
    factor = torch.randn(N, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    shared = factor @ factor.T
    whole = torch.einsum("ab,ij->aibj", shared, torch.eye(Q, dtype=torch.float64))
    expected = float(torch.linalg.eigvalsh(shared)[-1]) / Q
    assert sharpness(whole, equal_logits()) == pytest.approx(expected, rel=EXACT)


@pytest.mark.parametrize("rows", [0, 512])
def test_a_curvature_without_an_edge_is_refused(rows, jacobian, monkeypatch):
    monkeypatch.setattr(module, "_DENSE", rows)
    for curvature in (torch.zeros(N, Q, Q), -torch.eye(Q).expand(N, Q, Q)):
        with pytest.raises(LabError, match="convex"):
            jacobian_sharpness(jacobian, curvature)
