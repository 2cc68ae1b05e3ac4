"""Figures fit their pages: sizes in inches, type in points, text that can be selected, nothing over anything else."""

import base64
import contextvars
import io
import re
import zlib

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.text import Text
from PIL import Image

import lab
from lab.figures import labels, notebook, page, style, texts
from tests.figures import layout

STEPS = np.arange(50)
LONG = "a rather long name of what is drawn here with its interval (0.12 to 0.34)"


def figure_of(columns, rows=1):
    """Panels with everything that takes room: long names, long titles, legends, crowded ticks, names of curves."""
    figure, axes = style.panels(columns, rows, size=(4.8, 4.5))
    for ax in axes.flat:
        for place, name in enumerate(("network", "linearized")):
            ax.plot(STEPS, np.exp(-STEPS / (10 + place)), label=f"{name}: {LONG}", **style.LEARNERS[name].curve())
        labels.label_ends(ax, [labels.End(49, y, f"name {y}", "#000000") for y in (0.01, 0.02, 0.03)])
        ax.set(title=LONG, xlabel=LONG, ylabel=LONG, xticks=np.arange(0, 50, 2))
        style.legend_below(ax)
    style.headline(figure, f"{LONG}; {LONG}")
    return figure


@pytest.mark.parametrize(
    ("look", "columns", "rows", "width"),
    [("paper", 1, 1, 3.25), ("lecture", 2, 1, 40 / 3)],
)
def test_a_figure_fits_its_page(look, columns, rows, width):
    with style.use(look):
        figure = figure_of(columns, rows)
        figure.fit()
        assert figure.get_figwidth() == pytest.approx(width)
        assert layout.flaws(figure) == []
    smallest = {"lecture": 16}.get(look, 8)
    sizes = [text.get_fontsize() for text in figure.findobj(lambda part: hasattr(part, "get_fontsize"))]
    assert min(sizes) == smallest
    if look == "lecture":
        assert figure.get_figwidth() / figure.get_figheight() == pytest.approx(16 / 9)
    else:
        assert max(sizes) == 8
        assert figure.get_figheight() <= 9
    lines = figure.axes[0].lines
    wanted = [page.PAGES[look].stroke * line.linewidth for line in (style.NETWORK, style.LINEARIZED)]
    assert [line.get_linewidth() for line in lines] == pytest.approx(wanted)
    heights = sorted(text.xyann[1] for text in figure.axes[0].texts)
    tallest = max(Text.get_window_extent(text).height for text in figure.axes[0].texts)
    assert min(np.diff(heights)) * figure.axes[0].bbox.height >= 0.99 * tallest


def test_a_figure_is_fitted_once_and_the_screen_has_no_page():
    with style.use("paper"):
        figure, axes = style.panels(2)
        (line,) = axes[0, 0].plot([1, 2], linewidth=2)
    assert figure.get_figwidth() == 6.75  # the text of ICML's template
    assert page.PAGES["neurips"].size(9.6)[0] == 5.5
    figure.savefig(io.BytesIO())
    figure.savefig(io.BytesIO())
    assert line.get_linewidth() == 2 * page.PAGES["paper"].stroke
    plain, _ = style.panels(2, size=(4.0, 3.0))
    plain.fit()
    assert tuple(plain.get_size_inches()) == (8.0, 3.0)


def test_jupyter_gets_twice_the_pixels_and_slides_as_vectors():
    figure, axes = style.panels(1, size=(4.0, 3.0))
    axes[0, 0].set_xlabel("gradient step")
    data, metadata = figure._repr_mimebundle_()
    picture = Image.open(io.BytesIO(base64.b64decode(data["image/png"])))
    shown = metadata["image/png"]
    assert [picture.width // 2, picture.height // 2] == [shown["width"], shown["height"]]
    assert shown["width"] <= 4.2 * mpl.rcParams["figure.dpi"]
    with style.use("lecture"):
        slide, _ = style.panels(1)
    (kind, text), *none = slide._repr_mimebundle_()[0].items()
    assert (kind, none) == ("image/svg+xml", [])
    assert text == slide._repr_mimebundle_()[0][kind], "the same each time"
    assert "<svg" in text
    assert "<text" not in text


def test_the_style_in_use_is_that_of_the_block_or_of_the_beginning():
    assert style.chosen(None) == "default"
    with style.use("lecture"), style.use():
        assert style.panels(1)[0].is_slide
        with style.use("paper"):
            assert style.chosen(None) == "paper"
        assert style.chosen(None) == "lecture"

    def begun():
        with mpl.rc_context():
            notebook.begin("lecture")
            with style.use():
                assert style.panels(1)[0].is_slide

    contextvars.copy_context().run(begun)
    assert not style.panels(1)[0].is_slide
    with pytest.raises(lab.LabError, match="style"):
        style.chosen("no")


def test_text_can_be_selected():
    with style.use("paper"):
        figure, axes = style.panels(1)
        axes[0, 0].set_xlabel("gradient step")
        files = {suffix: io.BytesIO() for suffix in ("svg", "pdf")}
        for suffix, file in files.items():
            figure.savefig(file, format=suffix)
    assert ">gradient step</text>" in files["svg"].getvalue().decode()
    found = files["pdf"].getvalue()
    streams = re.findall(rb"stream\r?\n(.*?)endstream", found, re.DOTALL)
    texts = b"".join(zlib.decompressobj().decompress(each) for each in streams if each[:1] == b"x")
    assert b"TJ" in texts or b"Tj" in texts
    assert b"/Type3" not in found  # fonts as outlines
    assert b"/CIDFontType2" in found


def test_lines_break_between_words_and_formulas_stay_whole():
    text = r"the motion $\| W - W_0 \|$ of the weights over their size $\lambda_{\mathrm{min}} \geq 0$ here"
    lines = texts.break_lines(text, 24).splitlines()
    assert " ".join(lines) == text
    assert all(line.count("$") % 2 == 0 for line in lines)
    lengths = [
        len(line) for line in texts.break_lines("one two three four five six seven eight nine ten", 30).splitlines()
    ]
    assert max(lengths) - min(lengths) <= 6  # not one long line and an orphan


def test_crowded_ticks_keep_round_numbers():
    with style.use("paper"):
        figure, axes = style.panels(1)
        axes[0, 0].plot([1, 100], [1, 2])
        axes[0, 0].set_xscale("log")
        every = [*range(1, 10), *range(10, 101, 10)]
        axes[0, 0].set_xticks(every, labels=[f"{value:g}" for value in every], minor=False)
        figure.fit()
    shown = [label.get_text() for label in axes[0, 0].get_xticklabels()]
    assert {"1", "10", "100"} <= set(shown)
    assert len(shown) < len(every)
    assert layout.flaws(figure) == []
