"use strict";
// Words that are explained where they stand. A button names its entry (data-word); the entries are the list of the page,
// and the box that opens is the browser's own popover: it closes by Esc, by a click outside and by its button.
const Words = (() => {
  const box = document.getElementById("word");
  let opener = null;

  // Text with [[term]] or [[term|other words for it]] as html with buttons.
  function marked(text) {
    return text.replace(/\[\[([^\]|]+)(?:\|([^\]]+))?\]\]/g, (_, term, shown) =>
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
    place(button.getBoundingClientRect());
  }

  function place({ left, top, bottom }) {
    const below = bottom < 0.55 * innerHeight;
    box.style.setProperty("--left", `${Math.max(8, Math.min(left, document.documentElement.clientWidth - box.dataset.width - 8))}px`);
    box.style.setProperty("--top", below ? `${bottom + 6}px` : "auto");
    box.style.setProperty("--bottom", below ? "auto" : `${Math.max(8, innerHeight - top + 6)}px`);  // while the page scrolls, the button may be out of sight
  }

  document.addEventListener("click", fill);
  return { marked };
})();
