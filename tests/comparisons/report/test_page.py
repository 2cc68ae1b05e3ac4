"""The page in a browser, without a network. What it says: test_report.py."""

import io
import re
import shutil
from contextlib import contextmanager

import numpy as np
import pytest
from matplotlib.image import imread

from comparisons.cli.command import main
from lab.figures.style import GREY, LEARNERS, QUANTITIES
from lab.sweeps import Store, load

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
QUIET = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
QUIET += ["--disable-component-update", "--disable-sync", "--disable-quic"]
DESK, PHONE = ({"width": width, "height": 900} for width in (1280, 390))

pytestmark = pytest.mark.skipif(
    CHROMIUM is None,
    reason="no Chromium on this machine (Debian: apt-get install chromium), nothing to see the page in",
)

THREE = ("network", "linearized", "kernel")  # the learners of a width cell


@pytest.fixture(scope="module")
def browser():
    """A Chromium without a window."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright comes with the extra [test]")
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield started
        started.close()


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Four small runs: one lacks a cell, one has a single cell, one kept no loss, one kept no outputs."""
    home = tmp_path_factory.mktemp("runs")
    asked = [
        "--variants",
        "centred",
        "--readouts",
        "last",
        "--widths",
        "8",
        "16",
        "--samples",
        "8",
        "--executor",
        "serial",
    ]
    assert main(["run", "width", *asked, "--seeds", "2", "--steps", "60", "--out", str(home / "width")]) == 0
    alone = ["--seeds", "1", "--steps", "20", "--out", str(home / "alone")]
    assert main(["run", "width", *asked, *alone, "--widths", "8"]) == 0
    limit = home / "infinite_width"
    assert main(["run", "infinite_width", *asked, "--seeds", "1", "--kernel-time", "5", "--out", str(limit)]) == 0
    small = ["--samples", "8", "--widths", "16", "--readouts", "last", "--seeds", "2", "--per-octave", "1"]
    small += ["--kernel-time", "5", "--patience", "0.2", "--least-steps", "20"]
    assert main(["run", "step_size", "--executor", "serial", *small, "--out", str(home / "step_size")]) == 0
    store = Store(home / "width")
    store.path(store.manifest["cells"][-1], "json").unlink()
    return home


@pytest.fixture(scope="module")
def file(runs):
    """The page about them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(runs)
        assert main(["report", "infinite_width", "width", "alone", "step_size"]) == 0
    return runs / "page.html"


@contextmanager
def offline(browser, file, ready, own, **waiting):
    """Open a page offline in a window of some size; at the end nothing was complained of and nothing asked for.

    It is there when something is ``ready``; what begins as ``own`` says is part of the page.
    """
    opened, complaints, requests = [], [], []

    def visit(viewport=DESK, address="", **options):
        context = browser.new_context(viewport=viewport, offline=True, **options)
        opened.append(context)
        tab = context.new_page()
        tab.on("console", lambda message: complaints.append(message.text))
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.on("request", lambda request: requests.append(request.url))
        tab.goto(address if "://" in address else file.as_uri() + address)
        tab.wait_for_selector(ready, **waiting)
        return tab

    yield visit
    for context in opened:
        context.close()
    assert complaints == []
    assert {url for url in requests if not url.startswith(own)} <= {file.as_uri()}


@pytest.fixture
def visit(browser, file):
    """Open the report `offline`."""
    with offline(browser, file, "#gap-left .main-svg", ("data:", "blob:"), state="attached") as opener:
        yield opener


def curves(tab, chart="outputs-left"):
    """What plotly draws: y by learner."""
    drawn = tab.evaluate(
        "id => document.getElementById(id).data.map(trace => [trace.name, Array.from(trace.y)])", chart
    )
    return {name: np.array(values, dtype=float) for name, values in drawn}


def paths(tab):
    """Where the curves are on the screen."""
    return tab.eval_on_selector_all(
        "#outputs-left .scatterlayer path",
        "found => found.map(path => path.getAttribute('d') + path.getAttribute('transform'))",
    )


def choose(tab, name, value, side="left"):
    """Choose a run, or the value of a field of one of the two cells."""
    full = name if name == "run" else f"{side}-{name}"
    tab.locator(f"#controls select[name={full}]").select_option(label=value)


def chosen(tab, name, side="left"):
    select = tab.locator(f"#controls select[name={name if name == 'run' else f'{side}-{name}'}]")
    return select.evaluate("select => select.selectedOptions[0].text")


def slide(tab, place):
    tab.locator("#step").evaluate(
        "(slider, place) => { slider.value = place; slider.dispatchEvent(new Event('input')); }", place
    )


def test_the_slider_moves_the_curves(visit):
    tab = visit()
    choose(tab, "width", "8")
    before, drawn = curves(tab), paths(tab)
    slide(tab, 0)
    after = curves(tab)
    assert "step 0 of 60" in tab.inner_text("#step-shown")
    assert paths(tab) != drawn
    assert all(not np.array_equal(before[name], after[name]) for name in THREE)
    assert np.array_equal(before["target"], after["target"])
    assert after["network"] == pytest.approx(after["linearized"])  # all start from f₀
    mark = tab.evaluate("['error-left', 'gap-right'].map(id => document.getElementById(id).layout.shapes[0].x0)")
    assert mark == [0, 0]


RANGES = """() => Object.fromEntries([...document.querySelectorAll('.chart')].map(({ id, _fullLayout }) =>
  [id, [..._fullLayout.xaxis.range, ..._fullLayout.yaxis.range]]))"""


def test_axes_hold_still_and_are_shared(visit):
    tab = visit()
    seen = []
    for place in (0, 7, 20, 40):
        slide(tab, place)
        seen.append(tab.evaluate(RANGES))
    assert len(seen[0]) == 6
    assert seen == seen[:1] * 4
    for key in ("outputs", "error", "gap"):
        assert seen[0][f"{key}-left"] == seen[0][f"{key}-right"]
        shown = np.concatenate([curve for side in ("left", "right") for curve in curves(tab, f"{key}-{side}").values()])
        low, high = seen[0][f"{key}-left"][2:]
        values = np.log10(shown) if key == "error" else shown
        assert np.all((low <= values) & (values <= high))


def test_two_cells_stand_side_by_side(visit, runs):
    tab = visit()
    assert (chosen(tab, "width", "left"), chosen(tab, "width", "right")) == ("16", "8")
    left, right = (tab.locator(f"#outputs-{side}").bounding_box() for side in ("left", "right"))
    assert left["y"] == right["y"]
    assert left["x"] + left["width"] <= right["x"]
    assert tab.inner_text("#gap-left-title") == "Gap: network − linearized (width 16)"
    assert tab.inner_text("#gap-right-title") == "Gap: network − linearized (width 8)"
    results = load(runs / "width")
    slide(tab, 0)
    slide(tab, tab.locator("#step").evaluate("slider => slider.max"))
    for column, width in ((1, 16), (2, 8)):
        row = tab.locator("#now tr", has_text="gap, test set").locator(f"th, td >> nth={column}")
        gap = results.arrays(width=width, seed=0)["gap_test"][-1]
        assert float(row.inner_text()) == pytest.approx(gap, rel=2e-3)
    choose(tab, "seed", "1", side="right")
    assert tab.inner_text("#gap-right-title") == "Gap: network − linearized (width 8, seed 1)"


def test_the_page_shows_what_was_measured(visit, runs, file):
    tab = visit()
    choose(tab, "width", "16")
    choose(tab, "seed", "0")
    slide(tab, 20)
    step = tab.evaluate("document.getElementById('error-left').data[0].text[20]")
    arrays = load(runs / "width").arrays(width=16, seed=0)
    at = list(arrays["steps"]).index(int(re.search(r"\d+", step)[0]))
    names = tab.evaluate("document.getElementById('outputs-left').data[1].text")
    order = [int(name.removeprefix("sample ")) - 1 for name in names]
    found, loss = curves(tab), curves(tab, "error-left")
    for place, name in enumerate(arrays["learners"]):
        assert found[name] == pytest.approx(arrays["test"][place, at, order, 0], abs=1e-3)
        assert loss[name][20] == pytest.approx(arrays["loss"][place, at], rel=1e-3)
    assert curves(tab, "gap-left")["gap, test set"][20] == pytest.approx(arrays["gap_test"][at], rel=1e-3)
    assert f"{arrays['loss'][0, at]:.4g}" in tab.inner_text("#now")


def test_learners_are_told_apart_as_in_the_figures(visit):
    tab = visit()
    drawn = tab.evaluate(
        "document.getElementById('error-left').data.map(trace => [trace.name, trace.line.color, trace.line.dash])"
    )
    assert [(name, color) for name, color, _ in drawn] == [(name, LEARNERS[name].color) for name in THREE]
    assert len({dash for *_, dash in drawn}) == 3
    tab.get_by_role("checkbox", name="kernel").uncheck()
    for side in ("left", "right"):
        assert tab.evaluate(f"document.getElementById('outputs-{side}').data.map(trace => trace.visible)") == [
            True,
            True,
            True,
            False,
        ]


def test_another_run_and_what_it_did_not_keep(visit):
    tab = visit()
    tab.locator("a[data-run=run-3]").click()
    assert chosen(tab, "run").startswith("infinite")
    assert "no training loss" in tab.inner_text("#error-left-title")
    choose(tab, "run", "width (width)")
    assert tab.inner_text("#error-left-title") == "Training loss (width 16)"


def test_a_run_without_outputs_has_its_curves(visit):
    tab = visit()
    choose(tab, "run", "step_size (step_size)")
    assert tab.locator("#outputs-left").count() == 0
    assert set(curves(tab, "error-left")) == {"network", "linearized", "quadratic"}
    assert set(curves(tab, "gap-right")) == {"gap, test set"}
    assert float(chosen(tab, "fraction", "left")) > float(chosen(tab, "fraction", "right"))
    assert chosen(tab, "seed", "left") == chosen(tab, "seed", "right")
    slide(tab, 3)
    assert "Training error: linearized" in tab.inner_text("#now")


def test_a_single_cell_stands_alone(visit):
    tab = visit()
    choose(tab, "run", "width (alone)")
    assert tab.locator("#controls select").count() == 1
    assert tab.locator(".chart").count() == 3
    assert tab.inner_text("#outputs-left-title") == "Test outputs"
    slide(tab, 0)
    assert tab.locator("#now tr").first.locator("td").count() == 1


def test_a_combination_that_is_missing_is_told(visit):
    tab = visit()
    choose(tab, "width", "16")
    choose(tab, "seed", "1")
    assert "no trajectory of this combination" in tab.inner_text("#left-status")
    assert not tab.locator("#outputs-left").is_visible()
    assert tab.locator("#outputs-right").is_visible()
    choose(tab, "width", "16", side="right")
    choose(tab, "seed", "1", side="right")
    assert not tab.locator("#step").is_visible()
    choose(tab, "seed", "0")
    assert tab.locator("#outputs-left").is_visible()
    assert not tab.locator("#left-status").is_visible()


# The address ------------------------------------------------------------------------------------------------------

SHOWN = """() => ({
  chosen: [...document.querySelectorAll('#controls select')].map((each) => [each.name, each.selectedOptions[0].text]),
  time: document.getElementById('step-shown').textContent,
  curves: [...document.querySelectorAll('.chart')].map(({ data }) => data.map(({ visible, y }) => [visible, [...y]])),
})"""


def test_a_link_restores_what_is_shown(visit, file):
    tab = visit()
    assert "#" not in tab.url
    choose(tab, "run", "width (width)")
    choose(tab, "width", "8")
    choose(tab, "seed", "1", side="right")
    slide(tab, 12)
    tab.get_by_role("checkbox", name="kernel").uncheck()
    tab.wait_for_url(re.compile("hide=kernel$"))  # in globs ** means whole folders under playwright 1.45
    assert tab.locator("#link").evaluate("link => link.href") == tab.url
    there = tab.evaluate(SHOWN)
    assert there["time"] == "step 14 of 60"
    other = visit(address=tab.url)
    assert other.evaluate(SHOWN) == there
    assert abs(other.locator("#explorer").bounding_box()["y"]) < 40
    other.evaluate("location.hash = '#explorer?run=infinite_width&left.width=8&time=0'")
    other.locator("#step-shown", has_text="step 0 of").wait_for()
    assert (chosen(other, "run"), chosen(other, "width")) == ("infinite_width (infinite_width)", "8")


def test_an_address_of_something_else_does_no_harm(visit, file):
    tab = visit(address=f"{file.as_uri()}#explorer?run=gone&left.width=7&time=soon&hide=nothing")
    assert chosen(tab, "run") == "width (width)"
    assert chosen(tab, "width") == "16"
    assert tab.locator("#outputs-left").is_visible()
    tab = visit(address=f"{file.as_uri()}#run-3")
    tab.wait_for_timeout(200)
    assert abs(tab.locator("#run-3").bounding_box()["y"]) < 40


def test_every_choice_is_one_address_and_no_history(visit):
    tab = visit()
    before = tab.evaluate("history.length")
    for place in range(30):
        slide(tab, place)
    tab.wait_for_url(re.compile("time=33$"))
    assert tab.evaluate("history.length") == before


# The keyboard, the mouse ------------------------------------------------------------------------------------------


def test_everything_goes_by_keyboard(visit):
    tab = visit()
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.className") == "skip"
    assert tab.locator(".skip").bounding_box()["x"] >= 0
    tab.keyboard.press("Enter")
    reached = set()
    for _ in range(90):
        tab.keyboard.press("Tab")
        reached.add(tab.evaluate("document.activeElement.id || document.activeElement.name"))
    sides = {f"{name}-{side}" for name in ("outputs", "error", "gap") for side in ("left", "right")}
    fields = {f"{side}-{name}" for name in ("width", "seed") for side in ("left", "right")}
    assert {"run", "step", "play", "link", *sides, *fields} <= reached
    tab.focus("#step")
    tab.keyboard.press("Home")
    assert "step 0 of" in tab.inner_text("#step-shown")
    tab.keyboard.press("ArrowRight")
    assert tab.locator("#step").get_attribute("aria-valuetext").startswith("step 1 of")
    tab.focus("#controls select[name=left-width]")
    tab.keyboard.press("ArrowUp")
    assert chosen(tab, "width") == "8"
    tab.focus("details summary")
    assert not tab.locator("details .numbers").first.is_visible()
    tab.keyboard.press("Enter")
    assert tab.locator("details .numbers").first.is_visible()
    tab.focus("#theme")
    tab.keyboard.press("Enter")
    assert tab.locator("#theme").get_attribute("aria-pressed") == "true"


def test_charts_zoom_by_keyboard(visit):
    tab = visit()
    span = (
        "(() => { const [a, b] = document.getElementById('error-left')._fullLayout.xaxis.range; return [a, b - a]; })()"
    )
    tab.focus("#error-left")
    low, whole = tab.evaluate(span)
    tab.keyboard.press("+")
    inside, part = tab.evaluate(span)
    assert part == pytest.approx(0.8 * whole)
    tab.keyboard.press("ArrowRight")
    assert tab.evaluate(span)[0] > inside
    tab.keyboard.press("0")
    assert tab.evaluate(span) == pytest.approx([low, whole])


def test_hovering_tells_values(visit):
    tab = visit()
    place = tab.locator("#outputs-left .nsewdrag")
    place.hover()
    place.hover(position={"x": 200, "y": 100})
    label = tab.locator("#outputs-left .hoverlayer .legend")
    label.wait_for()
    said = label.text_content()
    assert all(name in said for name in (*THREE, "target", "sample"))


def test_no_button_sends_a_chart_elsewhere(visit):
    titles = visit().eval_on_selector_all("#error-left .modebar-btn", "found => found.map(each => each.dataset.title)")
    assert len(titles) == 6
    assert not [title for title in titles if "hare" in title or "loud" in title]


def test_playing_ends_at_the_end_and_is_not_offered_where_motion_is_unwanted(visit):
    tab = visit()
    slide(tab, 44)
    tab.get_by_role("button", name="Play").click()
    assert tab.inner_text("#play") == "Pause"
    tab.locator("#play", has_text="Play").wait_for()
    assert "step 60 of 60" in tab.inner_text("#step-shown")
    assert not visit(reduced_motion="reduce").locator("#play").is_visible()


# Pieces of text (with the box of every line) that are drawn over others; what may scroll is cut to what is seen.
OVERLAPS = """() => {
  const pieces = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; (node = walker.nextNode());) {
    const host = node.parentElement;
    if (!node.data.trim() || host.closest("script, style, option, .skip, .hoverlayer, [hidden]")) continue;
    if (!host.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const box of range.getClientRects()) {
      if (box.width > 1 && box.height > 1) pieces.push({ host, text: node.data.trim().slice(0, 40), box });
    }
  }
  const over = [];
  pieces.forEach((one, place) => pieces.slice(place + 1).forEach((other) => {
    const wide = Math.min(one.box.right, other.box.right) - Math.max(one.box.left, other.box.left);
    const high = Math.min(one.box.bottom, other.box.bottom) - Math.max(one.box.top, other.box.top);
    const line = Math.min(one.box.height, other.box.height);
    if (wide > 1.5 && high > 0.3 * line) over.push(`${one.text} | ${other.text}`);
  }));
  const sticksOut = (box) => box.left < -1 || box.right > innerWidth + 1;
  const outside = pieces.filter(({ host, box }) => !host.closest(".scroll") && sticksOut(box)).map(({ text }) => text);
  return { count: pieces.length, over, outside, wide: document.documentElement.scrollWidth - innerWidth };
}"""


UNFOLD = "document.querySelectorAll('details').forEach((each) => { each.open = true; })"


@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["1280", "390"])
def test_no_text_lies_on_another_or_outside(visit, viewport):
    tab = visit(viewport)
    folded = tab.evaluate(OVERLAPS)["count"]
    tab.evaluate(UNFOLD)
    for run in ("infinite_width (infinite_width)", "step_size (step_size)", "width (alone)", "width (width)"):
        choose(tab, "run", run)
        tab.wait_for_timeout(100)
        found = tab.evaluate(OVERLAPS)
        assert found["count"] > folded + 200
        assert found["over"] == []
        assert found["outside"] == []
        assert found["wide"] <= 0


def test_overlaps_are_found(visit):
    tab = visit()
    tab.evaluate("document.querySelector('#about p').style.marginTop = '-30px'")
    assert tab.evaluate(OVERLAPS)["over"]


# Light and dark ---------------------------------------------------------------------------------------------------

# Colours of the text of the page with the colour of the nearest background behind each.
PAIRS = """() => {
  const behind = (host) => {
    for (let each = host; each; each = each.parentElement) {
      const color = getComputedStyle(each).backgroundColor;
      if (!color.endsWith(", 0)")) return color;
    }
  };
  const found = [...document.body.querySelectorAll("*")].filter((each) => !each.closest(".chart, svg, [hidden], script")
    && [...each.childNodes].some((node) => node.nodeType === 3 && node.data.trim()));
  return [...new Set(found.map((each) => `${getComputedStyle(each).color} on ${behind(each)}`))];
}"""
BACKGROUND = "getComputedStyle(document.body).backgroundColor"
DARK = "rgb(18, 18, 18)"


@pytest.mark.parametrize(("scheme", "background"), [("light", "rgb(255, 255, 255)"), ("dark", DARK)])
def test_text_has_contrast(visit, scheme, background):
    tab = visit(color_scheme=scheme)
    assert tab.evaluate(BACKGROUND) == background
    pairs = [pair.split(" on ") for pair in tab.evaluate(PAIRS)]
    assert len(pairs) > 4
    assert [pair for pair in pairs if contrast(*map(numbers_of, pair)) < 4.5] == []


def numbers_of(color):
    """The red, green and blue of ``rgb(…)``."""
    return [int(part) for part in re.findall(r"\d+", color)[:3]]


def contrast(one, other):
    """Contrast ratio of two colours as WCAG defines it."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(rgb):
    """Relative luminance as WCAG defines it."""
    linear = [(c / 12.92 if c <= 0.04045 * 255 else ((c / 255 + 0.055) / 1.055) ** 2.4 * 255) / 255 for c in rgb]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


def pixels(locator):
    """What is seen of an element: (height, width, 3), from 0 to 255."""
    return np.round(255 * imread(io.BytesIO(locator.screenshot()))[..., :3]).astype(int)


SWATCH = """(color) => {
  const drawing = document.querySelector("#legend svg").cloneNode();
  drawing.id = "swatch";
  drawing.style.background = color;
  document.querySelector("#legend").append(drawing);
}"""


def test_lines_are_seen_in_the_dark(visit):
    tab = visit(color_scheme="dark")
    for color in (*QUANTITIES, *(line.color for line in LEARNERS.values()), GREY):
        tab.evaluate(SWATCH, color)
        seen = pixels(tab.locator("#swatch"))[6, 22]
        assert contrast(seen, numbers_of(DARK)) >= 3, color
        tab.evaluate("document.getElementById('swatch').remove()")


def test_figures_turn_dark_with_the_page(visit):
    for scheme, ground in (("light", (255, 255, 255)), ("dark", numbers_of(DARK))):
        tab = visit(color_scheme=scheme)
        for shown in (tab.locator(".drawn img").first, tab.locator("#error-left")):
            found = pixels(shown).reshape(-1, 3)
            values, counts = np.unique(found, axis=0, return_counts=True)
            assert np.abs(values[counts.argmax()] - ground).max() <= 1
            assert max(contrast(value, ground) for value in values[counts > 20]) > 12  # the text


def test_the_button_chooses_the_colours_and_keeps_them(visit):
    tab = visit(color_scheme="light")
    button = tab.get_by_role("button", name="Dark colours")
    assert button.get_attribute("aria-pressed") == "false"
    button.click()
    assert tab.evaluate(BACKGROUND) == DARK
    assert tab.locator(".drawn img").first.evaluate("each => getComputedStyle(each).filter") != "none"
    tab.reload()
    assert tab.evaluate(BACKGROUND) == DARK
    assert button.get_attribute("aria-pressed") == "true"
    tab.emulate_media(media="print", color_scheme="dark")
    assert tab.evaluate(BACKGROUND) == "rgb(255, 255, 255)"
    assert tab.locator(".drawn img").first.evaluate("each => getComputedStyle(each).filter") == "none"
    tab.emulate_media(media="screen", color_scheme="dark")
    tab.reload()
    button.click()
    assert tab.evaluate(BACKGROUND) == "rgb(255, 255, 255)"


def test_paper_has_no_controls(visit):
    tab = visit()
    tab.emulate_media(media="print")
    for hidden in ("#controls", "#step", "#outputs-left", ".skip", "#theme"):
        assert not tab.locator(hidden).first.is_visible()
    for shown in (".verdict", "details .numbers", ".command", ".run img", ".paper"):
        assert tab.locator(shown).first.is_visible()
    assert tab.pdf(format="A4").startswith(b"%PDF")


def test_without_scripts_everything_but_the_explorer_is_there(browser, file):
    context = browser.new_context(java_script_enabled=False, offline=True)
    tab = context.new_page()
    tab.goto(file.as_uri())
    assert "The explorer needs JavaScript" in tab.inner_text("#explorer")
    assert tab.locator(".verdict").count() == 4
    assert tab.locator(".drawn img").count() >= 6
    context.close()


def test_an_old_browser_is_told(browser, file):
    context = browser.new_context(offline=True)
    tab = context.new_page()
    tab.add_init_script("delete window.DecompressionStream")
    tab.goto(file.as_uri())
    tab.get_by_text("too old for the explorer").wait_for()
    assert not tab.locator("#explorer-body").is_visible()
    context.close()
