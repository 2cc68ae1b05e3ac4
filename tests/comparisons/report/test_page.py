"""The page in a browser, without a network. What it says: test_report.py."""

import re
import shutil

import numpy as np
import pytest

from comparisons.cli.command import main
from lab.figures.style import LEARNERS
from lab.sweeps import Store, load

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
QUIET = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
QUIET += ["--disable-component-update", "--disable-sync", "--disable-quic"]
DESK, TABLET, PHONE = ({"width": width, "height": 900} for width in (1280, 768, 390))

pytestmark = pytest.mark.skipif(
    CHROMIUM is None,
    reason="no Chromium on this machine (Debian: apt-get install chromium), nothing to see the page in",
)


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
    """Two small runs, of which one kept no loss and lacks a cell."""
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
    limit = home / "infinite_width"
    assert main(["run", "infinite_width", *asked, "--seeds", "1", "--kernel-time", "5", "--out", str(limit)]) == 0
    store = Store(home / "width")
    store.path(store.manifest["cells"][-1], "json").unlink()
    return home


@pytest.fixture(scope="module")
def file(runs):
    """The page about them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(runs)
        assert main(["report", "width", "infinite_width"]) == 0
    return runs / "page.html"


@pytest.fixture
def visit(browser, file):
    """Open the page offline in a window of some size; at the end nothing was complained of and nothing asked for."""
    opened, complaints, requests = [], [], []

    def visit(viewport=DESK, **options):
        context = browser.new_context(viewport=viewport, offline=True, **options)
        opened.append(context)
        tab = context.new_page()
        tab.on("console", lambda message: complaints.append(message.text))
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.on("request", lambda request: requests.append(request.url))
        tab.goto(file.as_uri())
        tab.wait_for_selector("#gap .main-svg", state="attached")
        return tab

    yield visit
    for context in opened:
        context.close()
    assert complaints == []
    assert {url for url in requests if not url.startswith(("data:", "blob:"))} <= {file.as_uri()}


def curves(tab, chart="outputs"):
    """What plotly draws: y by learner."""
    drawn = tab.evaluate(
        "id => document.getElementById(id).data.map(trace => [trace.name, Array.from(trace.y)])", chart
    )
    return {name: np.array(values, dtype=float) for name, values in drawn}


def paths(tab):
    """Where the curves are on the screen."""
    return tab.eval_on_selector_all(
        "#outputs .scatterlayer path",
        "found => found.map(path => path.getAttribute('d') + path.getAttribute('transform'))",
    )


def choose(tab, name, value):
    tab.locator(f"#controls select[name={name}]").select_option(label=value)


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
    assert all(not np.array_equal(before[name], after[name]) for name in LEARNERS)
    assert np.array_equal(before["target"], after["target"])
    assert after["network"] == pytest.approx(after["linearized"])  # all start from f₀
    mark = tab.evaluate("['loss', 'gap'].map(id => document.getElementById(id).layout.shapes[0].x0)")
    assert mark == [0, 0]


def test_the_page_shows_what_was_measured(visit, runs, file):
    tab = visit()
    choose(tab, "width", "16")
    choose(tab, "seed", "0")
    slide(tab, 20)
    step = tab.evaluate("document.getElementById('loss').data[0].text[20]")
    arrays = load(runs / "width").arrays(width=16, seed=0)
    at = list(arrays["steps"]).index(int(re.search(r"\d+", step)[0]))
    names = tab.evaluate("document.getElementById('outputs').data[1].text")
    order = [int(name.removeprefix("sample ")) - 1 for name in names]
    found, loss = curves(tab), curves(tab, "loss")
    for place, name in enumerate(arrays["learners"]):
        assert found[name] == pytest.approx(arrays["test"][place, at, order, 0], abs=1e-3)
        assert loss[name][20] == pytest.approx(arrays["loss"][place, at], rel=1e-3)
    assert curves(tab, "gap")["gap"][20] == pytest.approx(arrays["gap_test"][at], rel=1e-3)
    assert f"{arrays['loss'][0, at]:.4g}" in tab.inner_text("#now")


def test_learners_are_told_apart_as_in_the_figures(visit):
    tab = visit()
    drawn = tab.evaluate(
        "document.getElementById('loss').data.map(trace => [trace.name, trace.line.color, trace.line.dash])"
    )
    assert [(name, color) for name, color, _ in drawn] == [(name, line.color) for name, line in LEARNERS.items()]
    assert len({dash for *_, dash in drawn}) == 3
    tab.get_by_role("checkbox", name="kernel").uncheck()
    assert tab.evaluate("document.getElementById('outputs').data.map(trace => trace.visible)") == [
        True,
        True,
        True,
        False,
    ]


def test_another_run_and_what_it_did_not_keep(visit):
    tab = visit()
    tab.locator("a[data-run=run-2]").click()
    assert (
        tab.locator("#controls select[name=run]")
        .evaluate("select => select.selectedOptions[0].text")
        .startswith("infinite")
    )
    assert "no training loss" in tab.inner_text("#loss-title")
    choose(tab, "run", "width (width)")
    assert tab.inner_text("#loss-title") == "Training loss"


def test_a_combination_that_is_missing_is_told(visit):
    tab = visit()
    choose(tab, "width", "16")
    choose(tab, "seed", "1")
    assert "no measurement of this combination" in tab.inner_text("#explorer-status")
    assert not tab.locator("#outputs").is_visible()
    choose(tab, "seed", "0")
    assert tab.locator("#outputs").is_visible()
    assert not tab.locator("#explorer-status").is_visible()


def test_everything_goes_by_keyboard(visit):
    tab = visit()
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.className") == "skip"
    assert tab.locator(".skip").bounding_box()["x"] >= 0
    tab.keyboard.press("Enter")
    reached = set()
    for _ in range(60):
        tab.keyboard.press("Tab")
        reached.add(tab.evaluate("document.activeElement.id || document.activeElement.name"))
    assert {"run", "width", "seed", "step", "play", "outputs", "loss", "gap"} <= reached
    tab.focus("#step")
    tab.keyboard.press("Home")
    assert "step 0 of" in tab.inner_text("#step-shown")
    tab.keyboard.press("ArrowRight")
    assert tab.locator("#step").get_attribute("aria-valuetext").startswith("step 1 of")
    tab.focus("#controls select[name=width]")
    tab.keyboard.press("ArrowUp")
    assert tab.locator("#controls select[name=width]").evaluate("select => select.selectedOptions[0].text") == "8"


def test_charts_zoom_by_keyboard(visit):
    tab = visit()
    span = "(() => { const [a, b] = document.getElementById('loss')._fullLayout.xaxis.range; return [a, b - a]; })()"
    tab.focus("#loss")
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
    place = tab.locator("#outputs .nsewdrag")
    place.hover()
    place.hover(position={"x": 200, "y": 100})
    label = tab.locator("#outputs .hoverlayer .legend")
    label.wait_for()
    said = label.text_content()
    assert all(name in said for name in (*LEARNERS, "target", "sample"))


def test_no_button_sends_a_chart_elsewhere(visit):
    titles = visit().eval_on_selector_all("#loss .modebar-btn", "found => found.map(each => each.dataset.title)")
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


@pytest.mark.parametrize("viewport", [DESK, TABLET, PHONE], ids=["1280", "768", "390"])
def test_no_text_lies_on_another_or_outside(visit, viewport):
    tab = visit(viewport)
    for run in ("infinite_width (infinite_width)", "width (width)"):
        choose(tab, "run", run)
        tab.wait_for_timeout(100)
        found = tab.evaluate(OVERLAPS)
        assert found["count"] > 200
        assert found["over"] == []
        assert found["outside"] == []
        assert found["wide"] <= 0


def test_overlaps_are_found(visit):
    tab = visit()
    tab.evaluate("document.querySelector('#about p').style.marginTop = '-30px'")
    assert tab.evaluate(OVERLAPS)["over"]


def test_text_is_dark_on_white(visit):
    tab = visit()
    colors = tab.eval_on_selector_all(
        "p, dt, dd, th, td, figcaption, a, label, .place, .state",
        "found => [...new Set(found.map(each => getComputedStyle(each).color))]",
    )
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    wash = _luminance((0xF4, 0xF6, 0xF8))  # the darker of the two backgrounds
    assert all((wash + 0.05) / (_luminance(map(int, re.findall(r"\d+", color))) + 0.05) >= 4.5 for color in colors)


def _luminance(rgb):
    """Relative luminance as WCAG defines it."""
    linear = [(c / 12.92 if c <= 0.04045 * 255 else ((c / 255 + 0.055) / 1.055) ** 2.4 * 255) / 255 for c in rgb]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


def test_paper_has_no_controls(visit):
    tab = visit()
    tab.emulate_media(media="print")
    for hidden in ("#controls", "#step", "#outputs", ".skip"):
        assert not tab.locator(hidden).first.is_visible()
    for shown in (".verdict", ".numbers", ".command", ".run img", ".paper"):
        assert tab.locator(shown).first.is_visible()
    assert tab.pdf(format="A4").startswith(b"%PDF")


def test_without_scripts_everything_but_the_explorer_is_there(browser, file):
    context = browser.new_context(java_script_enabled=False, offline=True)
    tab = context.new_page()
    tab.goto(file.as_uri())
    assert "The explorer needs JavaScript" in tab.inner_text("#explorer")
    assert tab.locator(".verdict").count() == 2
    context.close()


def test_an_old_browser_is_told(browser, file):
    context = browser.new_context(offline=True)
    tab = context.new_page()
    tab.add_init_script("delete window.DecompressionStream")
    tab.goto(file.as_uri())
    tab.get_by_text("too old for the explorer").wait_for()
    assert not tab.locator("#explorer-body").is_visible()
    context.close()
