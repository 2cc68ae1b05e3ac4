"use strict";
// Words that are explained where they stand. A button names its entry (data-word); the entries are the list of the page,
// and the box that opens is the browser's own popover: it closes by Esc, by a click outside and by its button.
const Words = (() => {
  const box = document.getElementById("word");
  let opener = null;

  // Text with [[term]] or [[term|other words for it]] as html with buttons. A number stays with its %.
  function marked(text) {
    return text.replaceAll(" %", "\u00a0%").replace(/\[\[([^\]|]+)(?:\|([^\]]+))?\]\]/g, (_, term, shown) =>
      `<button type="button" class="term" data-word="${term}" popovertarget="word" popovertargetaction="show">${shown ?? term}</button>`);
  }

  const entry = (term) => [...document.querySelectorAll(".glossary dt")].find((each) => each.dataset.term === term);

  // Before the browser opens the box: what it says, and where there is room for it.
  function fill(event) {
    const button = event.target.closest("[data-word]");
    if (!button) return;
    const found = entry(button.dataset.word);
    if (!box.showPopover) {  // a browser without popovers: the list itself
      found.closest("details").open = true;
      found.scrollIntoView({ block: "center" });
      return;
    }
    if (box.matches(":popover-open") && opener === button) {
      event.preventDefault();
      box.hidePopover();
      return;
    }
    opener = button;
    document.getElementById("word-term").textContent = found.textContent;
    document.getElementById("word-meaning").textContent = found.nextElementSibling.textContent;
    box.scrollTop = 0;
    place(button);
  }

  const GAP = 6;
  const shared = (one, two) =>
    Math.max(0, Math.min(one.right, two.right) - Math.max(one.left, two.left)) * Math.max(0, Math.min(one.bottom, two.bottom) - Math.max(one.top, two.top));

  // Of some places, the one that covers least of what the reader looks at: the word, the texts of the story, its views.
  function place(button) {
    box.style.display = "block";  // it has no size before it is shown
    const [width, height] = [box.offsetWidth, box.offsetHeight];
    box.style.display = "";
    const [wide, high] = [document.documentElement.clientWidth, innerHeight];
    const { left, right, top, bottom } = button.getBoundingClientRect();
    const into = (value, room) => Math.max(8, Math.min(value, room - 8));
    const found = [bottom + GAP, top - GAP - height, 8, (high - height) / 2, high - height].flatMap((y) =>
      [left, right + GAP, left - GAP - width, (wide - width) / 2, wide - width].map((x) => [into(x, wide - width), into(y, high - height)]));
    const seen = [...document.querySelectorAll("#story p, #story table, .lit")].map((each) => each.getBoundingClientRect());
    const covered = ([x, y]) => {
      const own = { left: x, right: x + width, top: y, bottom: y + height };
      return 1e6 * shared(own, { left, right, top, bottom }) + seen.reduce((sum, each) => sum + shared(own, each), 0);
    };
    const cost = (at) => covered(at) + Math.hypot(at[0] - left, at[1] - bottom);  // near the word if nothing else differs
    const costs = found.map(cost);
    const [x, y] = found[costs.indexOf(Math.min(...costs))];
    box.style.setProperty("--left", `${x}px`);
    box.style.setProperty("--top", `${y}px`);
  }

  document.addEventListener("click", fill);
  return { marked };
})();
