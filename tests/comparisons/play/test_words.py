"""The playground's plain entries: every word that can be asked for has one, and it opens where the word stands."""

import re

import pytest

from comparisons.play.page import HOME
from comparisons.play.words import WORDS
from comparisons.report.writing import static
from tests.comparisons.report.test_page import DESK, PAIRS, PHONE, contrast, numbers_of


def test_every_word_has_an_entry_and_every_entry_is_asked_for(visit):
    tab = visit()
    asked = set(tab.eval_on_selector_all("[data-word]", "found => found.map((each) => each.dataset.word)"))
    asked |= set(re.findall(r"\[\[([^\]|]+)", static(HOME, "stories.js").split("const Stories")[1]))
    assert asked == set(WORDS)
    assert tab.eval_on_selector_all(".glossary dt", "found => found.map((each) => each.textContent)") == list(WORDS)


@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["1280", "390"])
def test_an_entry_opens_by_keyboard_where_its_word_stands(visit, viewport):
    tab = visit(viewport, reduced_motion="reduce")  # a button that gets the focus is in sight at once
    box = tab.locator("#word")
    for place, word in (("#story-text .term", "linear model"), (".view .ask", "eigenvalue"), ("#dials .ask", "width")):
        button = tab.locator(f"{place}[data-word='{word}']").first
        button.focus()
        tab.keyboard.press("Enter")
        box.wait_for()
        assert tab.inner_text("#word-meaning") == WORDS[word]
        edges = box.bounding_box()
        assert 0 <= edges["x"] <= edges["x"] + edges["width"] <= viewport["width"]
        assert 0 <= edges["y"] <= edges["y"] + edges["height"] <= viewport["height"]
        stands = button.bounding_box()
        beside = any(
            one[axis] + one[size] <= other[axis]
            for one, other in ((edges, stands), (stands, edges))
            for axis, size in (("x", "width"), ("y", "height"))
        )
        assert beside or viewport == PHONE  # there it is a sheet at the lower edge
        tab.keyboard.press("Escape")
        box.wait_for(state="hidden")
        assert button.evaluate("button => button === document.activeElement")


def test_an_entry_opens_and_closes_by_a_click(visit):
    tab = visit(reduced_motion="reduce")
    box = tab.locator("#word")
    gap, loss = (tab.locator(f".view .ask[data-word={word}]") for word in ("gap", "loss"))
    gap.click()
    assert tab.inner_text("#word-term").lower() == "gap"
    loss.click()  # another one in its place
    assert tab.inner_text("#word-term").lower() == "loss"
    loss.click()
    box.wait_for(state="hidden")
    loss.click()
    tab.get_by_role("button", name="Close").click()
    box.wait_for(state="hidden")


COVERED = """() => {
  const box = document.querySelector("#word").getBoundingClientRect();
  return [...document.querySelectorAll("#story-then, #results, .lit")].filter((each) => {
    const { left, right, top, bottom } = each.getBoundingClientRect();
    return left < box.right && box.left < right && top < box.bottom && box.top < bottom;
  }).length;
}"""


def test_an_entry_begins_at_its_top_and_covers_nothing_that_it_explains(visit):
    tab = visit({"width": 1280, "height": 800}, "#play?width=128&activation=erf&fraction=1.6&story=3.2&step=150")
    tab.locator("#story-then .term").click()
    assert tab.evaluate(COVERED) == 0
    tab.keyboard.press("Escape")
    tab.evaluate("scrollTo({ top: 0, behavior: 'instant' })")
    tab.locator("header .term").click()
    box, title = tab.locator("#word"), tab.locator("#word-term").bounding_box()
    assert box.evaluate("box => box.scrollTop") == 0
    assert title["y"] > box.bounding_box()["y"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_an_entry_has_contrast(visit, scheme):
    tab = visit(color_scheme=scheme)
    tab.locator(".view .ask").first.click()
    pairs = [
        pair.split(" on ") for pair in tab.evaluate(PAIRS.replace("document.body", "document.querySelector('#word')"))
    ]
    assert pairs
    assert [pair for pair in pairs if contrast(*map(numbers_of, pair)) < 4.5] == []


def test_without_popovers_the_list_opens(browser, file):
    context = browser.new_context(offline=True)
    tab = context.new_page()
    tab.add_init_script("delete HTMLElement.prototype.showPopover")
    tab.goto(file.as_uri())
    tab.wait_for_selector("body[data-frames]")
    tab.locator(".view .ask[data-word=gap]").click()
    assert tab.locator(".glossary dt[data-term=gap]").is_visible()
    context.close()
