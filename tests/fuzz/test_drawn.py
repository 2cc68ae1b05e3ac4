"""Whatever comes is handled right or refused in words: shapes, scales, settings and files that hypothesis draws."""

import functools
import io
import math

import numpy as np
import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

import lab
from lab import estimators as E
from lab.data import files
from lab.errors import LabError
from lab.learners.kernel import KernelRegressor
from tests.fuzz.arrays import X, Y, draw
from tests.fuzz.cases import COUNTS, check_refusal, numbers
from tests.tolerances import EXACT, relative

pytestmark = pytest.mark.filterwarnings("ignore::lab.errors.ScaleWarning")  # numbers of any size come here

SIDES = st.integers(0, 4)
SHAPES = st.lists(SIDES, max_size=5).map(tuple)
EXPONENTS = st.integers(-900, 900)  # of 2: far beyond what squares of numbers survive
JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=4), st.binary(max_size=4),
    st.lists(st.integers(-2, 2), max_size=3), st.just(len), st.just({}), st.complex_numbers(), st.just(np.float32(0.5)),
    st.just(np.int64(3)), st.just(torch.tensor(2)), st.sampled_from(["relu", "last", "paper", "log", "W", "cpu"]),
)  # fmt: skip
CHEAP = {"width": 9, "inputs": 9, "outputs": 9, "steps": 99}  # above these a right value would only take long


def outcome(work):
    """What ``work`` gives, or None where it refuses in words; warnings of overflow are numbers on their way there."""
    with np.errstate(all="ignore"):
        try:
            found = work()
        except LabError as error:
            check_refusal(error, "")
            COUNTS["drawn and refused"] += 1
            return None
    COUNTS["drawn and handled"] += 1
    return found


@given(SHAPES, SHAPES)
@settings(max_examples=300)
@example((2, 2, 1), (2,))
@example((2, 2, 1), (2, 3))
@example((3, 2, 1), (2,))
@example((2, 2), (2,))
def test_sequences_and_targets_fit_or_are_refused(inputs, targets):
    fits = len(inputs) == 3 and 0 not in (*inputs, *targets) and len(targets) in (1, 2) and targets[0] == inputs[0]
    assume(len(targets) != 3)  # one target for each time step from the second on: another readout
    data = draw(*inputs, seed=1) + 5.0, draw(*targets, seed=2)
    found = outcome(lambda: lab.ElmanRNN.like(data, 3))
    assert (found is not None) == fits
    if fits:
        outputs = targets[1] if len(targets) == 2 else 1
        assert found(data[0]).shape == (inputs[0], outputs)
        result = outcome(lambda: lab.side_by_side(found, data, lab.Descent(2)))
        if result is None:  # with one time step, W has nothing to act on
            assert inputs[1] == 1
        else:
            assert all(learner.train.shape == (3, inputs[0], outputs) for learner in result.learners.values())


@given(SHAPES, st.integers(1, 4), st.integers(1, 4))
@settings(max_examples=200)
def test_kernels_are_of_sequences_alike(shape, length, features):
    network, first = lab.ElmanRNN(3, features), draw(3, length, features) + 5.0
    fits = len(shape) == 3 and 0 not in shape and shape[2] == features
    kernel = outcome(lambda: lab.empirical_ntk(network, first, draw(*shape)))
    assert (kernel is not None) == fits
    assert not fits or kernel.shape == (3, 1, shape[0], 1)


@given(EXPONENTS)
@settings(max_examples=150)
def test_kernels_grow_as_the_square_of_the_inputs_to_the_bit(exponent):
    """A ReLU network is homogeneous, and a power of two only moves the exponent of a float."""
    network, scale = lab.ElmanRNN(5, 3), 2.0 ** max(min(exponent, 1000), -1000)
    reference = network.jacobian(X).gram()
    kernel = outcome(lambda: lab.empirical_ntk(network, scale * X))
    if abs(exponent) <= 480:
        assert torch.equal(kernel, reference * scale**2)
    elif kernel is not None:  # too far for squares: zero or infinite, as arithmetic has it, but no other number
        odd = (kernel != reference * scale * scale) & kernel.isfinite() & (kernel.abs() > 2.0**-1000)
        assert not odd.any()


@given(EXPONENTS)
@settings(max_examples=150)
def test_the_linear_learner_is_linear_in_the_targets_to_the_bit(exponent):
    network, scale, descent = lab.ElmanRNN(5, 3), 2.0**exponent, lab.Descent(4)
    kernel, start = lab.empirical_ntk(network, X), np.zeros((len(Y), 1))

    def path(targets):
        learner = KernelRegressor(kernel, start, targets[:, None])
        return learner.trajectory(descent, descent.rate(learner.spectrum.lambda_max)).train

    found = outcome(lambda: path(scale * Y))
    if abs(exponent) <= 480:
        assert np.array_equal(found, scale * path(Y))
    elif found is not None:
        assert np.isfinite(found).all()


@given(EXPONENTS, EXPONENTS)
@settings(max_examples=100)
def test_three_learners_at_any_scale_end_finite_or_say_why(inputs, targets):
    network = lab.Scaled(lab.ElmanRNN(5, 3), 1.0)
    result = outcome(lambda: lab.side_by_side(network, (2.0**inputs * X, 2.0**targets * Y), lab.Descent(4)))
    if result is None:
        assert max(abs(inputs), abs(targets)) > 200  # what ordinary arithmetic can hold is not refused
        return
    for name, learner in result.learners.items():
        assert learner.diverged_at is not None or np.isfinite(learner.train).all(), name
    if max(abs(inputs), abs(targets)) <= 100:
        scaled = lab.side_by_side(lab.Scaled(lab.ElmanRNN(5, 3), 1.0), (X, Y), lab.Descent(4))
        assert relative(result.kernel.train, 2.0**targets * scaled.kernel.train) <= EXACT
        assert relative(result.linearized.train, 2.0**targets * scaled.linearized.train) <= EXACT


def junk_for(*names):
    """A call with some of these arguments replaced by junk."""
    return st.dictionaries(st.sampled_from(names), JUNK, min_size=1, max_size=3)


def affordable(arguments):
    """Whether no size is a right one that would only take long."""
    return not any(
        name in CHEAP and isinstance(value, (int, np.integer)) and not isinstance(value, bool) and value > CHEAP[name]
        for name, value in arguments.items()
    )


@given(junk_for("steps", "critical_fraction", "learning_rate", "momentum", "batch_size", "seed", "record", "optimizer"))
@settings(max_examples=250)
def test_a_descent_is_one_or_is_refused(arguments):
    descent = outcome(lambda: lab.Descent(**{"steps": 3, **arguments}))
    if descent is not None and affordable(arguments):
        recorded = descent.recorded()
        assert recorded.min() >= 0
        assert recorded.max() <= descent.steps
        found = outcome(lambda: lab.side_by_side(lab.ElmanRNN(3, 3), (X, Y), descent))
        assert found is None or all(math.isfinite(learner.loss[0]) for learner in found.learners.values())


@given(
    junk_for(
        "width", "inputs", "outputs", "readout", "activation", "trained", "parametrization", "seed", "dtype", "device"
    )
)
@settings(max_examples=250)
def test_a_network_is_one_or_is_refused(arguments):
    assume(affordable(arguments))
    network = outcome(lambda: lab.ElmanRNN(**{"width": 3, "inputs": 2, **arguments}))
    if network is not None:
        assert network.trained
        assert network.W.shape == (network.width, network.width)


KINDS = (E.RNNRegressor, E.LinearizedRNNClassifier, E.TangentKernelRegressor, E.TangentKernelClassifier)


@pytest.mark.parametrize("kind", KINDS)
@given(st.data())
@settings(max_examples=100)
def test_an_estimator_fits_or_is_refused(kind, data):
    base = {"width": 3, "steps": 2} if "steps" in kind().get_params() else {"width": 3}
    arguments = data.draw(junk_for(*kind().get_params()))
    assume(affordable(arguments))
    estimator = outcome(lambda: kind(**{**base, **arguments}).fit(X, Y))
    if estimator is not None:
        assert estimator.predict(X).shape == Y.shape


def archive_bytes():
    """An npz file of six series."""
    buffer = io.BytesIO()
    np.savez(buffer, X=X, y=Y)
    return buffer.getvalue()


def table_bytes(separator):
    """A text table of six series of four numbers, label first."""
    return "\n".join(separator.join(map(str, [int(y), *x[:, 0]])) for x, y in zip(X, Y, strict=True)).encode()


TS = b"@problemName made\n@univariate true\n@classLabel true -1 1\n@data\n" + b"\n".join(
    b",".join(b"%g" % value for value in x[:, 0]) + b":%d" % y for x, y in zip(X, Y, strict=True)
)
FILES = {"npz": archive_bytes(), "csv": table_bytes(","), "tsv": table_bytes("\t"), "txt": table_bytes("  "), "ts": TS}


@st.composite
def damaged(draw_, whole):
    """These bytes with a piece cut out, overwritten, doubled or cut off; or any others."""
    start, stop = sorted((draw_(st.integers(0, len(whole))), draw_(st.integers(0, len(whole)))))
    piece = draw_(st.one_of(st.just(b""), st.binary(max_size=12), st.just(whole[start:stop] * 2)))
    return draw_(st.sampled_from([whole[:start] + piece + whole[stop:], whole[:start], piece, piece + whole]))


@pytest.mark.parametrize("kind", FILES)
def test_the_files_are_read_as_they_are(kind, tmp_path):
    path = tmp_path / f"series.{kind}"
    path.write_bytes(FILES[kind])
    found = files.read(path)
    assert np.array_equal(found.series[..., 0] if kind != "npz" else found.series, X[..., 0] if kind != "npz" else X)
    assert np.array_equal(found.targets[:, 0], Y)


@pytest.mark.parametrize("kind", FILES)
def test_a_damaged_file_is_read_or_refused(kind, tmp_path):
    @given(damaged(FILES[kind]))
    @settings(max_examples=150)
    def check(content):
        path = tmp_path / f"series.{kind}"
        path.write_bytes(content)
        task = outcome(lambda: lab.tasks.from_file(path))
        if task is not None:
            assert task.train_inputs.isfinite().all()
            assert len(task.train_inputs) == len(task.train_targets) > 0

    check()


def with_header(content, place, value):
    """The same archive with two bytes of its first local header changed, in the directory too."""
    directory = content.rindex(b"PK\x01\x02", 0, content.index(b"PK\x01\x02") + 4)
    return b"".join(
        (content[:place], value, content[place + 2 : directory + place + 2], value, content[directory + place + 4 :])
    )


@pytest.mark.parametrize("method", [1, 8, 12, 14, 99])
@pytest.mark.parametrize("read", [lab.tasks.from_file, E.load], ids=["from_file", "load"])
def test_an_archive_that_lies_about_its_compression_is_refused(read, method, tmp_path):
    path = tmp_path / "series.npz"
    path.write_bytes(with_header(FILES["npz"], 8, method.to_bytes(2, "little")))
    assert outcome(lambda: read(path)) is None


@functools.cache
def stored(folder):
    """A fitted estimator as it is stored, and what it predicts."""
    fitted = E.TangentKernelRegressor(width=3, penalty=0.1).fit(X, Y)
    return E.save(fitted, folder / "fitted.npz").read_bytes(), fitted.predict(X)


def test_a_damaged_estimator_predicts_the_same_or_is_refused(tmp_path):
    whole, predictions = stored(tmp_path)

    @given(damaged(whole))
    @settings(max_examples=300)
    def check(content):
        path = tmp_path / "damaged.npz"
        path.write_bytes(content)
        found = outcome(lambda: E.load(path))
        if found is not None:
            assert np.array_equal(numbers(found.predict(X))[""], predictions)

    check()
