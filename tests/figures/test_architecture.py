import subprocess
import sys

import matplotlib
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch

from lab.errors import LabError
from lab.figures import style
from lab.figures.architecture import FROZEN, TRAINED, architecture, architecture_figure

matplotlib.use("Agg")


def texts(ax):
    return [text.get_text() for text in ax.texts]


def colors(ax, weight):
    return {text.get_color() for text in ax.texts if text.get_text() == weight}


def arrows(ax, color):
    found = [patch for patch in ax.patches if isinstance(patch, FancyArrowPatch)]
    return [patch for patch in found if to_hex(patch.get_edgecolor()) == to_hex(color)]


def draw(*arguments, **options):
    ax = Figure(figsize=(10, 5)).subplots()
    assert architecture(ax, *arguments, **options) is ax
    return ax


@pytest.mark.parametrize("trained", [("W",), ("A", "B"), ("W", "A", "B"), ()])
def test_what_is_trained_is_in_colour_and_the_rest_is_grey(trained):
    ax = draw(3, trained)
    for weight in "WAB":
        assert colors(ax, weight) == {TRAINED if weight in trained else FROZEN}
    counts = {"W": 3, "A": 3, "B": 1}  # arrows of each: W acts on h_0 too
    assert len(arrows(ax, TRAINED)) == sum(counts[weight] for weight in trained)
    assert len(arrows(ax, FROZEN)) == sum(counts.values()) - len(arrows(ax, TRAINED))
    assert (f"trained: {', '.join(trained)}" in texts(ax)) == bool(trained)


@pytest.mark.parametrize(
    ("length", "steps", "dots"),
    [(1, ["1"], 0), (2, ["1", "2"], 0), (3, ["1", "2", "3"], 0), (8, ["1", "2", "8"], 2), (None, ["1", "2", "L"], 2)],
)
def test_the_first_steps_and_the_last_are_drawn(length, steps, dots):
    shown = texts(draw(length))
    for name in "xgh":
        assert [f"${name}_{{{step}}}$" for step in steps] == [text for text in shown if text.startswith(f"${name}_{{")]
    assert shown.count("· · ·") == dots
    assert "$h_0$" in shown


@pytest.mark.parametrize(
    ("readout", "outputs", "B"),
    [("last", ["$f$"], 1), ("mean", ["$f$"], 1), ("all", ["$f_{2}$", "$f_{8}$"], 2)],
)
def test_the_loss_reads_what_the_readout_says(readout, outputs, B):
    shown = texts(draw(8, readout=readout))
    assert [text for text in shown if text.startswith("$f")] == outputs
    assert shown.count("B") == B
    assert len([text for text in shown if text.startswith("loss")]) == 1
    assert ("mean over steps" in shown) == (readout == "mean")


def test_shapes_are_symbols_numbers_or_absent():
    assert {"m×m", "m×p", "q×m", "p features", "m units", "q outputs"} <= set(texts(draw(4)))
    numbers = set(texts(draw(4, sizes=(9, 256, 1))))
    assert {"256×256", "256×9", "1×256", "9 features", "256 units", "1 output"} <= numbers
    assert not {text for text in texts(draw(4, shapes=False)) if "×" in text or "units" in text}


@pytest.mark.parametrize("name", ["default", "lecture"])
@pytest.mark.parametrize("readout", ["last", "all", "mean"])
@pytest.mark.parametrize("length", [2, 3, 12])
def test_no_two_texts_overlap_and_none_leaves_the_picture(name, readout, length):
    with style.use(name):
        figure = architecture_figure(9, 1024, 2, length, readout=readout)
        figure.canvas.draw()
        ax = figure.axes[0]
        boxes = {text: text.get_window_extent() for text in ax.texts if text.get_text()}
        whole = figure.bbox
        for text, box in boxes.items():
            assert whole.x0 <= box.x0 <= box.x1 <= whole.x1, text
            assert whole.y0 <= box.y0 <= box.y1 <= whole.y1, text
            others = [other for other, place in boxes.items() if other is not text and place.overlaps(box)]
            assert not others, (text, others)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"length": 0}, "length"),
        ({"length": 1, "readout": "all"}, "length"),
        ({"readout": "first"}, "readout"),
        ({"trained": ("C",)}, "trained"),
        ({"trained": "W"}, "trained"),
        ({"trained": ("W", "W")}, "trained"),
        ({"sizes": (9, 0, 1)}, "width"),
    ],
)
def test_bad_arguments_name_themselves(options, name):
    with pytest.raises(LabError) as caught:
        draw(**options)
    assert caught.value.argument == name


def test_sizes_come_together():
    with pytest.raises(LabError, match="three numbers or none"):
        architecture_figure(inputs=9, width=64)


def test_nothing_of_torch_is_needed():
    code = "import lab.figures.architecture, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
