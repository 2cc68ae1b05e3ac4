"""One kernel for all outputs: the same numbers as from the whole kernel, in 1/q² of the memory."""

import tracemalloc

import numpy as np
import pytest
import torch

import lab
from lab.kernels import infinite, spectrum
from lab.kernels.infinite import infinite_nngp, infinite_ntk, repeat
from lab.kernels.spectrum import Spectrum, largest_eigenvalue
from lab.learners.kernel import dual
from lab.measures import hitting, kernels
from lab.progress import bar
from tests.references import Allocations, draw
from tests.tolerances import EXACT, OUTPUTS, relative

Q = 3
READOUTS = ("last", "all", "mean")
each_readout = pytest.mark.parametrize("readout", READOUTS)


def network(readout="last", outputs=Q, **settings):
    settings = {"trained": ("W", "A", "B"), "parametrization": "ntk", "device": "meta"} | settings
    return lab.ElmanRNN(20, 2, outputs, readout=readout, **settings)


def problem(readout, n=6, held_out=4, length=4):
    """Whole kernels, shared kernels, outputs and targets of both splits."""
    wide, X, X2 = network(readout), draw(n, length, 2), draw(held_out, length, 2, seed=1)
    whole = infinite_ntk(wide, X), infinite_ntk(wide, X2, X)
    shared = infinite_ntk(wide, X, shared=True), infinite_ntk(wide, X2, X, shared=True)
    o = whole[0].shape[1]
    return whole, shared, (draw(n, o, seed=2), draw(n, o, seed=3), draw(held_out, o, seed=4))


def regressors(readout):
    """The same regressor from the whole kernel and from the shared one."""
    whole, shared, (start, targets, test) = problem(readout)
    return [lab.KernelRegressor(kernel, start, targets, cross, test) for kernel, cross in (whole, shared)]


@pytest.mark.parametrize("function", [infinite_ntk, infinite_nngp])
@each_readout
def test_the_whole_kernel_is_the_shared_one_for_each_output(readout, function):
    X, X2 = draw(4, 5, 2), draw(3, 5, 2, seed=1)
    for inputs in ((X,), (X, X2)):
        whole = function(network(readout), *inputs)
        shared = function(network(readout), *inputs, shared=True)
        columns = len(inputs[-1])
        assert shared.shape == ((4, 4, columns, 4) if readout == "all" else (4, columns))
        table = shared if readout == "all" else shared[:, None, :, None]
        s = table.shape[1]
        expected = torch.einsum("isjt,kl->iskjtl", table, torch.eye(Q)).reshape(4, s * Q, columns, s * Q)
        assert torch.equal(whole, expected)
        assert torch.equal(repeat(table, Q), expected)
        assert torch.equal(function(network(readout, outputs=1), *inputs).reshape(shared.shape), shared)


def test_the_scale_of_outputs_and_the_dtype_of_the_network_hold_for_the_shared_kernel_too():
    X, scaled = draw(4, 5, 2), lab.Scaled(network(), 3.0)
    assert torch.equal(infinite_ntk(scaled, X, shared=True), 9 * infinite_ntk(network(), X, shared=True))
    assert infinite_ntk(network(dtype=torch.float32), X, shared=True).dtype == torch.float32


def test_its_bytes_do_not_grow_with_the_number_of_outputs(monkeypatch):
    monkeypatch.setattr(infinite, "BLOCK", 2**8)
    monkeypatch.setattr(spectrum, "_TILE", 16)
    X, n, (single, wide) = draw(60, 3, 2), 60, (network(outputs=q) for q in (1, 10))
    with Allocations(X) as one:
        infinite_ntk(single, X, shared=True)
    with Allocations(X) as many:
        infinite_ntk(wide, X, shared=True)
    assert many.bytes == one.bytes
    assert many.largest == 8 * n * n
    assert sum(size == many.largest for size in many.bytes) == 1
    with Allocations(X) as whole:
        infinite_ntk(wide, X)
    assert whole.largest == 8 * (10 * n) ** 2
    assert sum(size == whole.largest for size in whole.bytes) == 1


@each_readout
def test_each_eigenvalue_is_one_of_the_whole_kernel_q_times(readout):
    (whole, _), (shared, _), _ = problem(readout)
    assert relative(np.repeat(Spectrum(shared).values, Q), Spectrum(whole).values) < OUTPUTS
    assert largest_eigenvalue(shared) == pytest.approx(largest_eigenvalue(whole), rel=OUTPUTS)


@pytest.mark.parametrize("momentum", [0.0, 0.5])
@pytest.mark.parametrize("batch_size", [None, 2])
@each_readout
def test_descent_is_that_on_the_whole_kernel(readout, batch_size, momentum):
    whole, shared = regressors(readout)
    descent = lab.Descent(40, 0.5, momentum=momentum, batch_size=batch_size, seed=1)
    expected, found = (each.trajectory(descent, descent.rate(whole.spectrum.lambda_max)) for each in (whole, shared))
    for name in ("train", "test", "loss"):
        assert relative(getattr(found, name), getattr(expected, name)) < EXACT


@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_a_divergence_is_at_the_same_step(momentum):
    whole, shared = regressors("last")
    descent = lab.Descent(200, 1.4, momentum=momentum)
    ends = [each.trajectory(descent, descent.rate(each.spectrum.lambda_max)).diverged_at for each in (whole, shared)]
    assert ends[0] is not None
    assert ends[0] == ends[1]


@each_readout
def test_flow_ridge_and_the_limit_are_those_of_the_whole_kernel(readout):
    whole, shared = regressors(readout)
    times = np.array([0.0, 0.1, 3.0])
    pairs = [(each.flow(times), each.ridge(0.1), each.limit()) for each in (whole, shared)]
    for expected, found in zip(*pairs, strict=True):
        for one, other in zip(expected, found, strict=True):
            assert relative(other, one) < EXACT


def test_it_starts_from_another_regressor_as_well():
    (whole, shared), other = regressors("last"), regressors("last")[0]
    other.outputs, other.test_outputs = 2 * other.outputs, 3 * other.test_outputs
    expected, found = (each.starting_from(other).ridge(0.1) for each in (whole, shared))
    assert relative(found[1], expected[1]) < EXACT


def test_the_whole_kernel_of_dual_coordinates_can_be_had():
    (whole, cross), (shared, shared_cross), (start, targets, test) = problem("last")
    pairs = (shared, start), (shared_cross, test)
    train, held_out = (dual(*each, len(start), len(shared) // len(start)) for each in pairs)
    assert torch.equal(train.gram(), whole)
    assert torch.equal(held_out.gram(train), cross)
    chosen = torch.tensor([4, 0])
    assert torch.equal(train.select(chosen).gram(), whole[chosen][:, :, chosen])
    pulled = train.select(chosen).pull(targets[chosen])
    assert torch.equal(pulled["a"][chosen], targets[chosen])
    assert pulled["a"].shape == targets.shape


@pytest.mark.parametrize(
    ("change", "argument", "words"),
    [
        ({"kernel": draw(5, 5)}, "kernel", "(6, 6) where outputs share it"),
        ({"kernel": draw(6, 2, 6, 2)}, "kernel", "(6, 3, 6, 3)"),
        ({"kernel": draw(6, 3, 6)}, "kernel", "(6, 3, 6, 3)"),
        ({"outputs": draw(6)}, "outputs", "(n, o)"),
        ({"outputs": draw(6, 0)}, "outputs", "not empty"),
        ({"targets": draw(6, 2)}, "targets", "(6, 3)"),
        ({"test_kernel": draw(4, 1, 6, 1)}, "test_kernel", "(4, 6)"),
        ({"test_outputs": draw(4, 2)}, "test_outputs", "(n', 3)"),
        ({"test_outputs": draw(4)}, "test_outputs", "(n', 3)"),
        ({"spectrum": Spectrum(torch.eye(5))}, "spectrum", "6, one for each row"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(change, argument, words):
    _, (kernel, cross), (start, targets, test) = problem("last")
    given = {"kernel": kernel, "outputs": start, "targets": targets, "test_kernel": cross, "test_outputs": test}
    with pytest.raises(lab.LabError) as caught:
        lab.KernelRegressor(**given | change)
    assert caught.value.argument == argument
    assert words in str(caught.value)


def test_a_regressor_needs_the_memory_of_one_kernel():
    n, q = 200, 10
    root = draw(n, n)
    kernel, targets = root @ root.T, draw(n, q)
    with Allocations(kernel, targets), bar(1, "what is imported on first use is not counted"):
        lab.KernelRegressor(kernel, 0 * targets, targets)
    tracemalloc.start()
    try:
        with Allocations(kernel, targets) as seen:
            regressor = lab.KernelRegressor(kernel, 0 * targets, targets)
            descent = lab.Descent(2, 0.5)
            regressor.trajectory(descent, descent.rate(regressor.spectrum.lambda_max))
            regressor.limit()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert seen.largest <= 8 * n * n
    assert peak < 6 * 8 * n * n  # the whole kernel has 100 n² numbers


def test_measures_of_a_shared_kernel_are_those_of_the_whole_one():
    for readout in READOUTS:
        (whole, _), (shared, _), (start, targets, _) = problem(readout)
        residual = start - targets
        assert kernels.gradient_ratio(shared, residual, 20) == pytest.approx(
            kernels.gradient_ratio(whole, residual, 20), rel=OUTPUTS
        )
        other = whole + draw(*whole.shape, seed=5)
        for distance in (kernels.relative_error, kernels.spectral_distance):
            assert distance(other, shared) == pytest.approx(distance(other, whole), rel=OUTPUTS)
        spectra, steps = (Spectrum(whole), Spectrum(shared)), np.array([0, 1, 5, 50])
        rate = 1 / spectra[0].lambda_max
        for follow in (hitting.linear_mse, hitting.linear_motion):
            expected, found = (follow(each, residual.numpy(), rate, steps) for each in spectra)
            assert relative(found, expected) < EXACT
        first = float(residual.square().mean())
        hits = [hitting.hitting_step(each, residual.numpy(), rate, 0.3 * first) for each in spectra]
        assert hits[0] == hits[1]
        assert kernels.limit_lambda_max(network(readout), draw(6, 4, 2)) == pytest.approx(spectra[0].lambda_max)


@pytest.mark.parametrize("all_steps", [False, True])
def test_the_infinitely_wide_learner_of_a_task_with_several_outputs(all_steps):
    targets = draw(6, 3, 2, seed=2) if all_steps else draw(6, 2, seed=2)
    task = lab.SequenceTask(draw(6, 4, 2), targets, draw(2, 4, 2, seed=1), targets[:2])
    limit, residual = hitting.limit_spectrum(task)
    wide = lab.ElmanRNN.like(task, 1, device="meta")
    whole = Spectrum(infinite_ntk(wide, task.train_inputs))
    assert len(limit.values) * 2 == len(whole.values)
    steps, rate = np.arange(20), 1 / whole.lambda_max
    expected = hitting.linear_mse(whole, residual, rate, steps)
    assert relative(hitting.linear_mse(limit, residual, rate, steps), expected) < EXACT
