"""The browser's Back and Forward in the playground: what is a place, and what only changes it."""

import pytest

from tests.comparisons.play.conftest import at

ADDRESS = "http://course.example/play.html"


@pytest.fixture(params=["file", "web"])
def tab(request, visit, browser, file):
    """The page at its start, from a file or from a web server (answered here, so that nothing is sent)."""
    if request.param == "file":
        yield visit(reduced_motion="reduce")
        return
    context = browser.new_context(reduced_motion="reduce")
    context.route(ADDRESS, lambda route: route.fulfill(body=file.read_text(), content_type="text/html; charset=utf-8"))
    tab = context.new_page()
    tab.goto(ADDRESS)
    tab.wait_for_selector("body[data-frames]")
    yield tab
    context.close()


def place(tab):
    """Story and part, task, and width."""
    return [
        tab.inner_text("#chapters [aria-pressed=true]"),
        tab.inner_text("#story-step"),
        tab.locator("#dial-task").input_value(),
        tab.locator("#dial-width").get_attribute("aria-valuetext"),
    ]


def go(tab, by):
    """The browser's Back (−1) or Forward (1), within the page."""
    tab.evaluate("by => new Promise((done) => { addEventListener('hashchange', done); history.go(by); })", by)


def test_back_returns_to_where_the_reader_was(tab):
    entries = tab.evaluate("history.length")
    first = ["1. Make it lazy", "Part 1 of 3", "curve", "8"]
    assert place(tab) == first
    for number in (1, 2):
        tab.get_by_role("button", name="One step").click()
        at(tab, number)
    tab.locator("#story-next").click()  # within the moment in which an address is not yet written
    at(tab, 0)
    assert tab.title() == "Make it lazy, part 2 – lazylab playground: is this network lazy?"
    tab.locator("#dial-width").press("ArrowLeft")
    second = ["1. Make it lazy", "Part 2 of 3", "curve", "362"]
    assert place(tab) == second
    tab.locator("#chapters button").nth(1).click()
    third = ["2. Make it learn features", "Part 1 of 2", "xor", "128"]
    assert place(tab) == third
    tab.locator("#dial-task").select_option("ring")
    fourth = [*third[:2], "ring", "128"]
    assert tab.evaluate("history.length") == entries + 3
    for expected in (third, second, first):
        go(tab, -1)
        assert place(tab) == expected
    at(tab, 2)  # trained anew, up to the step where it was left
    assert tab.title().startswith("Make it lazy, part 1")
    for expected in (second, third, fourth):
        go(tab, 1)
        assert place(tab) == expected
    assert tab.evaluate("history.length") == entries + 3


DRAWN = """async () => {
  const dial = document.getElementById("dial-alpha");
  for (let k = 0; k < 50; k += 1) {
    dial.value = k % 16;
    dial.dispatchEvent(new Event("input", { bubbles: true }));
    await new Promise((done) => setTimeout(done, 4));
  }
  await new Promise((done) => setTimeout(done, 300));
}"""


def test_small_changes_are_no_places(visit):
    tab = visit(reduced_motion="reduce")  # scrolling takes no time
    entries = tab.evaluate("history.length")
    tab.evaluate(DRAWN)
    assert "alpha=0.1&" in tab.evaluate("location.hash")  # the last of the values
    tab.locator("#dial-activation").select_option("tanh")
    tab.locator("#dial-seed").fill("12")
    tab.get_by_role("button", name="Reset").click()
    tab.locator("#story-run").click()
    tab.locator("#chapters button").first.click()  # the part that is open already
    tab.focus(".skip")
    tab.keyboard.press("Enter")
    assert tab.evaluate("document.activeElement.id") == "content"
    tab.wait_for_timeout(300)
    assert tab.evaluate("history.length") == entries


def test_back_returns_to_a_link_that_was_followed(visit):
    tab = visit(address="#play?task=ring&width=16&activation=tanh&step=3&story=2.1")
    at(tab, 3)
    link = ["2. Make it learn features", "Part 1 of 2", "ring", "16"]
    assert place(tab) == link
    tab.locator("#story-run").click()  # back to the settings of the part: another task
    assert place(tab)[2:] == ["xor", "128"]
    go(tab, -1)
    assert place(tab) == link
    at(tab, 3)
    assert tab.locator("#dial-activation").input_value() == "tanh"
