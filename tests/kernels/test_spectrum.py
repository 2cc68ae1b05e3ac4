import tracemalloc

import numpy as np
import pytest
import scipy.linalg
import torch

import lab
from lab.kernels import spectrum as module
from lab.kernels.spectrum import Spectrum, add_transpose, largest_eigenvalue, solve, solve_definite
from tests.references import draw
from tests.tolerances import EXACT, relative


def kernel(n=7, rank=7, seed=0):
    factor = draw(n, rank, seed=seed)
    return factor @ factor.T


def regressor(K=None):
    K = kernel() if K is None else K
    n = len(K)
    outputs, targets = draw(n, 1, seed=1), draw(n, 1, seed=2)
    cross, test = draw(3, n, seed=3), draw(3, 1, seed=4)
    return lab.KernelRegressor(K.view(n, 1, n, 1), outputs, targets, cross.view(3, 1, n, 1), test), K, cross


@pytest.mark.parametrize("penalty", [1e-3, 1.0])
def test_ridge_is_a_solve(penalty):
    model, K, cross = regressor()
    alpha = np.linalg.solve(K.numpy() + penalty * np.eye(len(K)), (model.targets - model.outputs).numpy())
    train, test = model.ridge(penalty)
    assert relative(train, model.outputs.numpy() + K.numpy() @ alpha) < EXACT
    assert relative(test, model.test_outputs.numpy() + cross.numpy() @ alpha) < EXACT


def test_the_limit_interpolates():
    model, K, cross = regressor()
    train, test = model.limit()
    assert relative(train, model.targets) < EXACT
    alpha = np.linalg.solve(K.numpy(), (model.targets - model.outputs).numpy())
    assert relative(test, model.test_outputs.numpy() + cross.numpy() @ alpha) < 1e-8


def test_the_limit_of_a_singular_kernel_is_the_pseudo_inverse():
    model, K, cross = regressor(kernel(rank=4))
    alpha = np.linalg.pinv(K.numpy(), rcond=1e-10, hermitian=True) @ (model.targets - model.outputs).numpy()
    assert relative(model.limit()[1], model.test_outputs.numpy() + cross.numpy() @ alpha) < 1e-8


def test_flow_is_a_matrix_exponential():
    model, K, _ = regressor()
    start, y = model.outputs.numpy(), model.targets.numpy()
    times = np.array([0.0, 0.1, 2.0])
    train, test = model.flow(times)
    for row, time in enumerate(times):
        assert relative(train[row], y + scipy.linalg.expm(-time * K.numpy()) @ (start - y)) < EXACT
    assert test.shape == (3, 3, 1)


def test_many_small_steps_are_flow():
    model, _, _ = regressor()
    rate = 1e-6 / model.spectrum.lambda_max
    flow, descent = model.flow(np.array([rate * 500_000]))[1], model.trajectory(lab.Descent(500_000), rate)
    assert relative(descent.test[-1], flow[0]) < 1e-5


@pytest.mark.parametrize("steps", [0, 1, 5, 300])
@pytest.mark.parametrize("rate", [1e-12, 0.3, 1.0, 1.7])
def test_the_descent_filter_is_a_geometric_sum(steps, rate):
    spectrum = Spectrum(kernel(rank=4) / float(torch.linalg.eigvalsh(kernel(rank=4))[-1]))
    expected = [rate * sum((1 - rate * value) ** s for s in range(steps)) for value in spectrum.values]
    assert relative(spectrum.descent(rate, np.array([steps]))[0], np.array(expected)) < EXACT


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        (torch.diag(torch.tensor([1.0, -0.1], dtype=torch.float64)), "λ_min = -0.1"),
        (torch.zeros(3, 3, dtype=torch.float64), "λ_max = 0"),
        (torch.full((2, 2), float("nan"), dtype=torch.float64), "finite"),
        (torch.ones(2, 3, dtype=torch.float64), "shape"),
    ],
)
def test_kernels_that_are_none_are_refused(bad, text):
    with pytest.raises(lab.LabError, match=text):
        Spectrum(bad)


def test_rounding_below_zero_is_forgiven():
    K = kernel(40, 3).float()
    spectrum = Spectrum(K @ K.T)
    assert (spectrum.values >= 0).all()


def test_half_a_test_split_is_refused():
    with pytest.raises(lab.LabError, match="test_kernel"):
        lab.KernelRegressor(kernel().view(7, 1, 7, 1), draw(7, 1), draw(7, 1), draw(3, 1, 7, 1))


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.95])
def test_the_heavy_ball_filter_is_torchs_momentum(momentum):
    K, d = kernel(5), draw(5, seed=1)
    values, vectors = torch.linalg.eigh(K)
    rate = 0.3 * 2 * (1 + momentum) / float(values[-1])
    coefficients = torch.zeros(5, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([coefficients], lr=rate, momentum=momentum)
    filters = Spectrum(K).heavy_ball(rate, momentum)
    for weights, _ in zip(filters, range(60), strict=False):
        expected = vectors @ (torch.from_numpy(weights) * (vectors.T @ d))
        assert torch.allclose(coefficients.detach(), expected, rtol=1e-9, atol=1e-12)
        coefficients.grad = K @ coefficients.detach() - d  # the gradient of θ in dual coordinates
        optimizer.step()


def test_momentum_diverges_beyond_its_edge():
    model, _, _ = regressor()
    edge = 2 * 1.9 / model.spectrum.lambda_max
    steady = model.trajectory(lab.Descent(500, momentum=0.9), 0.95 * edge)
    wild = model.trajectory(lab.Descent(500, momentum=0.9), 1.05 * edge)
    assert steady.diverged_at is None
    assert steady.final_loss < steady.loss[0]
    assert wild.diverged_at is not None
    assert np.isnan(wild.loss[wild.steps > wild.diverged_at]).all()


@pytest.mark.parametrize("penalty", [0.0, 0.3])
def test_cholesky_solves(penalty):
    K, values = kernel(), draw(7, 2, seed=5).numpy()
    expected = np.linalg.solve(K.numpy() + penalty * np.eye(7), values)
    assert relative(solve(K, values, penalty), expected) < 1e-9


def test_cholesky_names_a_singular_kernel():
    K = torch.diag(torch.tensor([1.0, 0.0], dtype=torch.float64))
    with pytest.raises(lab.LabError, match="raise the penalty"):
        solve(K, np.ones(2))
    assert solve(K, np.ones(2), 1.0) == pytest.approx([0.5, 1.0])


def test_the_largest_eigenvalue_is_the_spectrums_and_that_of_a_zero_kernel_is_zero():
    root = draw(6, 4)
    kernel = (root @ root.T).reshape(3, 2, 3, 2)
    assert largest_eigenvalue(kernel) == pytest.approx(Spectrum(kernel).lambda_max, rel=EXACT)
    assert largest_eigenvalue(torch.zeros(3, 2, 3, 2)) == 0


@pytest.mark.parametrize("size", [1, 3, 4, 9])
def test_a_matrix_is_added_to_its_transpose_in_place(size, monkeypatch):
    monkeypatch.setattr(module, "_TILE", 3)
    matrix = draw(size, size)
    expected = matrix + matrix.T
    add_transpose(matrix)
    assert torch.equal(matrix, expected)


@pytest.mark.parametrize(
    "form", [lambda K: K, lambda K: K.numpy(), lambda K: K.float(), lambda K: K.T, lambda K: K.T.numpy()]
)
def test_a_decomposition_in_place_gives_the_same_bits(form):
    given, kept = form(kernel() + 1e-15 * draw(7, 7)), form(kernel() + 1e-15 * draw(7, 7))
    expected, found = Spectrum(given), Spectrum(kept, overwrite=True)
    assert np.array_equal(np.asarray(given), np.asarray(form(kernel() + 1e-15 * draw(7, 7))))
    assert np.array_equal(found.values, expected.values)
    assert np.array_equal(found.vectors, expected.vectors)


def traced(work):
    """The most memory that NumPy held during a call, in bytes."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_copies_of_a_kernel_are_few(monkeypatch):
    monkeypatch.setattr(module, "_TILE", 64)
    K, n = kernel(400, 400).numpy(), 400
    assert traced(lambda: Spectrum(K)) < 2.2 * K.nbytes  # what is decomposed, the eigenvectors, and a mask of bytes
    assert traced(lambda: Spectrum(K.copy(), overwrite=True)) < 2.2 * K.nbytes  # of which one is the copy here
    taken = K.copy()
    assert traced(lambda: solve_definite(taken, np.ones((n, 10)), 1.0)) < 0.5 * K.nbytes


@pytest.mark.parametrize("penalty", [0.0, 0.3])
@pytest.mark.parametrize("tile", [2, 512])
def test_cholesky_in_place_solves(penalty, tile, monkeypatch):
    monkeypatch.setattr(module, "_TILE", tile)
    K, values = kernel() + torch.eye(7), draw(7, 2, seed=5).numpy()
    expected = np.linalg.solve(K.numpy() + penalty * np.eye(7), values)
    assert relative(solve_definite(K.view(7, 1, 7, 1).clone(), values, penalty), expected) < EXACT
    filters = Spectrum(K).ridge(penalty) if penalty else Spectrum(K).limit()
    vectors = Spectrum(K).vectors
    assert relative(vectors @ (filters[:, None] * (vectors.T @ values)), expected) < EXACT


@pytest.mark.parametrize("tile", [2, 512])
@pytest.mark.parametrize("rank", [0, 3, 6])
def test_cholesky_in_place_leaves_a_singular_kernel_as_it_was(rank, tile, monkeypatch):
    monkeypatch.setattr(module, "_TILE", tile)
    K = kernel(rank=rank) if rank else torch.zeros(7, 7, dtype=torch.float64)
    given = K.clone()
    assert solve_definite(given, np.ones((7, 1)), 1e-15) is None
    assert torch.equal(given, (K + K.T) / 2)


def test_cholesky_in_place_answers_only_where_no_eigenvalue_counts_as_zero():
    """Condition numbers from 1 to 10¹⁸: wherever it answers, the spectrum's limit is the same."""
    vectors = np.linalg.qr(draw(30, 30).numpy())[0]
    answered = []
    for exponent in np.linspace(0, 18, 37):
        K = vectors @ np.diag(np.logspace(0, -exponent, 30)) @ vectors.T
        spectrum = Spectrum(K)
        found = solve_definite(K.copy(), vectors[:, :1].copy())
        answered.append(found is not None)
        if found is not None:
            assert spectrum.lambda_min > spectrum.tolerance
            assert relative(found, vectors[:, :1]) < 1e-4
    assert answered == sorted(answered, reverse=True)
    assert 0.4 < np.mean(answered) < 0.75


def test_cholesky_in_place_refuses_what_the_spectrum_refuses():
    for bad, words in ((torch.ones(2, 3).double(), "shape"), (torch.full((2, 2), float("inf")), "finite")):
        with pytest.raises(lab.LabError, match=words):
            solve_definite(bad, np.ones((2, 1)))
    indefinite = torch.diag(torch.tensor([1.0, -0.1], dtype=torch.float64))
    assert solve_definite(indefinite, np.ones((2, 1))) is None
    with pytest.raises(lab.LabError, match="positive semi-definite"):
        Spectrum(indefinite)
