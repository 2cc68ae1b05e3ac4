"""Animations: as many frames as there are steps, each showing the arrays it was given."""

import numpy as np
import pytest
from PIL import Image

import lab
from lab.figures import animation
from lab.figures.style import LEARNERS
from lab.measures.principal import principal_plane

STEPS = np.array([0, 1, 3, 10])
NAMES = ("network", "linearized")
GENERATOR = np.random.default_rng(0)
OUTPUTS = {name: GENERATOR.normal(size=(4, 7)) for name in NAMES}
LOSSES = {name: np.exp(-STEPS / (5.0 + place)) for place, name in enumerate(NAMES)}
X = GENERATOR.permutation(np.linspace(-1, 1, 7))


def line(ax, name):
    """The curve of a learner: the one with its name in the legend, or its colour and dash."""
    found = [line for line in ax.lines if line.get_color() == LEARNERS[name].color and len(line.get_xdata()) > 1]
    assert len(found) == 1
    return found[0]


def drawn(found):
    return np.array(found.get_data())


def test_a_gif_has_a_frame_for_each_recorded_step(tmp_path):
    movie = animation.learners(STEPS, OUTPUTS, LOSSES, x=X)
    path = movie.save(tmp_path / "learners.gif")
    with Image.open(path) as picture:
        assert picture.n_frames == movie.frames == len(STEPS)


@pytest.mark.parametrize("frame", [1, 3])
def test_curves_are_the_arrays_of_their_frame(frame):
    movie = animation.learners(STEPS, OUTPUTS, LOSSES, x=X, targets=np.sin(X))
    movie.draw(frame)
    left, right = movie.figure.axes
    order = np.argsort(X)
    for name in NAMES:
        assert np.array_equal(drawn(line(left, name)), [X[order], OUTPUTS[name][frame][order]])
        assert np.array_equal(drawn(line(right, name)), [STEPS[: frame + 1], LOSSES[name][: frame + 1]])
        assert line(left, name).is_dashed() == (name == "linearized")
    assert left.get_title() == f"step {STEPS[frame]}"
    low, high = left.get_ylim()
    assert all(low < value < high for values in OUTPUTS.values() for value in values.ravel())


def test_samples_without_an_order_stand_in_that_of_their_targets():
    targets = GENERATOR.permutation(7) / 7
    movie = animation.learners(STEPS, OUTPUTS, LOSSES, targets=targets)
    values = drawn(line(movie.figure.axes[0], "linearized"))
    assert np.array_equal(values, [np.arange(1, 8), OUTPUTS["linearized"][-1][np.argsort(targets)]])


def test_the_kernel_is_the_recorded_one():
    kernels = GENERATOR.normal(size=(4, 5, 5))
    movie = animation.kernel(STEPS, kernels, [0.0, 0.1, 0.2, 0.3])
    first, now, course = movie.figure.axes[:3]
    movie.draw(2)
    assert np.array_equal(first.images[0].get_array(), kernels[0])
    assert np.array_equal(now.images[0].get_array(), kernels[2])
    assert np.array_equal(drawn(line(course, "network")), [STEPS[:3], [0.0, 0.1, 0.2]])


def test_widths_are_frames():
    outputs = [{name: OUTPUTS[name][row] for name in NAMES} for row in range(3)]
    movie = animation.widths([8, 16, 64], outputs, [0.3, 0.2, 0.1], x=X)
    assert movie.frames == 3
    movie.draw(1)
    assert np.array_equal(drawn(line(movie.figure.axes[0], "network"))[1], OUTPUTS["network"][1][np.argsort(X)])
    assert movie.figure.axes[0].get_title() == "width 16"


def test_the_plane_keeps_distances_of_paths_that_lie_in_one():
    basis = np.linalg.qr(GENERATOR.normal(size=(6, 2)))[0].T
    ways = {name: (GENERATOR.normal(size=(4, 2)) @ basis).reshape(4, 3, 2) for name in NAMES}
    found = principal_plane(ways, targets=ways["network"][1])
    assert found.shares.sum() == pytest.approx(1)
    for name in NAMES:
        for point, image in zip(ways[name], found.paths[name], strict=True):
            apart = np.linalg.norm(point - ways["network"][1])
            assert np.linalg.norm(image - found.target) == pytest.approx(apart, abs=1e-12)
    movie = animation.paths(STEPS, found.paths, found.shares, target=found.target)
    assert np.array_equal(drawn(line(movie.figure.axes[0], "linearized")).T, found.paths["linearized"])


@pytest.fixture(scope="module")
def results():
    task = lab.tasks.curve(test=9)
    networks = [lab.ElmanRNN.like(task, width, activation="erf", parametrization="ntk") for width in (4, 8)]
    return [lab.side_by_side(network, task, lab.Descent(2), progress=False) for network in networks]


def test_results_animate_what_they_hold(results):
    movie = results[0].animate()
    left = movie.figure.axes[0]
    assert movie.frames == len(results[0].network.steps)
    assert np.array_equal(drawn(line(left, "kernel"))[1], results[0].kernel.test[-1, :, 0])
    assert np.allclose(drawn(line(left, "network"))[0], np.linspace(-2, 2, 9))
    assert results[0].animate("path", style="lecture").frames == 3
    assert lab.animate_widths(results).frames == 2


def test_jupyter_plays_it(results):
    page = lab.animate_widths(results)._repr_html_()
    assert page.count("data:image/png;base64") == 2
    assert "<script" in page


def test_the_kernel_of_a_descent_begins_without_distance():
    task = lab.tasks.digits(train=6, test=2)
    movie = lab.animate_kernel(lab.ElmanRNN.like(task, 8), task, lab.Descent(2))
    course = drawn(line(movie.figure.axes[2], "network"))
    assert (movie.frames, course[1, 0]) == (3, 0)
    assert course[1, -1] > 0


@pytest.mark.parametrize(
    ("call", "argument"),
    [
        (lambda movie, found: movie.save("x.avi"), "path"),
        (lambda movie, found: movie.save("x.gif", speed=0), "speed"),
        (lambda movie, found: animation.learners([0], OUTPUTS, LOSSES), "steps"),
        (lambda movie, found: animation.learners(STEPS, {"teacher": OUTPUTS["network"]}, LOSSES), "outputs"),
        (lambda movie, found: animation.learners(STEPS, OUTPUTS, {"network": [1.0]}), "losses['network']"),
        (lambda movie, found: animation.learners(STEPS, OUTPUTS, LOSSES, x=X[1:]), "x"),
        (lambda movie, found: animation.widths([16, 8], [{}, {}], [1, 1]), "sizes"),
        (lambda movie, found: animation.kernel(STEPS, np.ones((3, 2, 2)), np.ones(4)), "kernels"),
        (lambda movie, found: found.animate("film"), "view"),
        (lambda movie, found: found.animate(style="poster"), "style"),
        (lambda movie, found: found.animate(output=1), "output"),
        (lambda movie, found: lab.animate_widths([found]), "results"),
    ],
)
def test_bad_input_is_named(call, argument, results):
    movie = animation.Movie(lab.figures.style.Picture(), lambda frame: None, 2)
    with pytest.raises(lab.LabError) as caught:
        call(movie, results[0])
    assert caught.value.argument == argument


def test_an_mp4_needs_ffmpeg(monkeypatch):
    monkeypatch.setattr(animation.FFMpegWriter, "isAvailable", classmethod(lambda cls: False))
    movie = animation.Movie(lab.figures.style.Picture(), lambda frame: None, 2)
    with pytest.raises(lab.LabError, match="ffmpeg"):
        movie.save("x.mp4")
