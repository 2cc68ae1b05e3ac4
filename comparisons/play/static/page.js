"use strict";
(() => {
  const element = (id) => document.getElementById(id);
  const PREFIX = "#play?";
  const TITLE = document.title;
  const LAST = 20000;  // steps after which the playground pauses by itself
  const LAZY = 0.05;  // a network is called lazy if its largest gap is below it
  const KEPT = 2000;  // points of a curve; beyond, every second one is dropped
  const SLIDERS = {
    width: [4, 6, 8, 11, 16, 23, 32, 45, 64, 91, 128, 181, 256, 362, 512],
    alpha: [0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 7, 10, 15, 20, 30],
    fraction: [0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1, 1.1, 1.2, 1.4, 1.6, 1.8, 2, 2.5, 3, 4, 5, 6, 8],
    noise: [0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5],
    variance: [0.25, 0.5, 0.75, 1, 1.5, 2, 2.5, 3, 4],
  };
  const CHOICES = ["task", "network", "activation", "style", "loss", "seed"];
  const dials = element("dials").elements;
  const state = { id: 0, playing: false, waiting: false, goal: LAST, step: 0, story: null, session: null, frames: 0, writing: null, busy: false, next: null, results: {} };

  // Worker ---------------------------------------------------------------------------------------------------------

  function startWorker() {
    const source = ["engine", "tasks", "worker"].map((name) => element(`source-${name}`).textContent);
    const worker = new Worker(URL.createObjectURL(new Blob(source, { type: "text/javascript" })));
    worker.addEventListener("message", ({ data }) => receive(data));
    worker.addEventListener("error", (event) => say(`Training has failed: ${event.message}`));
    return worker;
  }

  // The worker has one request at a time. Of those that come meanwhile only the last counts: where a slider is drawn over
  // many values, only the value at its end is computed.
  function send(request) {
    state.waiting = true;
    if (state.busy) {
      state.next = request;
      return;
    }
    state.busy = true;
    worker.postMessage({ ...request, id: state.id });
  }

  function receive(answer) {
    state.busy = false;
    if (state.next) {
      const next = state.next;
      state.next = null;
      send(next);
      return;
    }
    if (answer.id !== state.id) return;  // of settings that were left
    state.waiting = false;
    if (answer.kind === "failed") {
      pause();
      say(`Training has failed: ${answer.message}`);
      return;
    }
    if (answer.kind === "begin") {
      document.querySelector(".stage").dataset.kind = answer.picture.kind;
      element("reading").textContent = KINDS[answer.picture.kind].reading;
      Object.assign(state, { picture: answer.picture, start: answer.start, history: [], told: "", begun: state.id });
      if (element("status").textContent.startsWith("Computing")) say("");
    }
    remember(answer);
    requestAnimationFrame(() => {
      draw();
      goOn();
    });
  }

  function remember(answer) {
    state.now = answer;
    state.history.push(...answer.looks);
    state.step = answer.facts.step;
    if (part() && !strayed() && (state.step === part().run || exploded())) state.results[state.story] ??= answer.facts;
    if (state.history.length > KEPT) state.history = state.history.filter((_, k) => k % 2 === 0 || k === state.history.length - 1);
  }

  // Settings -------------------------------------------------------------------------------------------------------

  function settings() {
    const found = {};
    for (const name of CHOICES) found[name] = name === "seed" ? seed() : dials[name].value;
    for (const [name, values] of Object.entries(SLIDERS)) found[name] = values[Number(dials[name].value)];
    return found;
  }

  function seed() {
    const value = Math.round(Number(dials.seed.value));
    return Number.isFinite(value) ? Math.min(Math.max(value, 1), 9999) : 1;
  }

  function set(asked) {
    for (const name of CHOICES) {
      const allowed = name === "seed" ? Number(asked.seed) >= 1 : [...dials[name].options].some(({ value }) => value === asked[name]);
      if (allowed) dials[name].value = asked[name];
    }
    dials.seed.value = seed();
    for (const [name, values] of Object.entries(SLIDERS)) {
      const value = Number(asked[name]);
      if (asked[name] === undefined || !Number.isFinite(value)) continue;
      const off = values.map((each) => Math.abs(each - value));
      dials[name].value = off.indexOf(Math.min(...off));
    }
    showDials();
  }

  function showDials() {
    for (const [name, values] of Object.entries(SLIDERS)) {
      const value = String(values[Number(dials[name].value)]);
      element(`${name}-shown`).textContent = value;
      dials[name].setAttribute("aria-valuetext", value);
    }
    const classes = dials.task.value !== "curve";
    dials.loss.querySelector("[value=logistic]").disabled = !classes;
    if (!classes) dials.loss.value = "squared";
    dials.variance.closest(".dial").hidden = dials.network.value !== "elman";
  }

  // The part of a story that is shown.
  const part = () => (state.story ? Stories[state.story[0]].parts[state.story[1]] : null);
  const strayed = () => Object.entries(part().settings).some(([name, asked]) => asked !== state.session.settings[name]);
  const beyond = () => state.step > part()?.run && !strayed();  // what a part says is true of its own steps only

  function begin(goal = part()?.run ?? LAST, restored = false) {
    showDials();
    const session = { story: state.story, settings: settings() };
    const moved = !restored && state.session !== null && placeOf(session) !== placeOf(state.session);
    if (moved) write("replaceState");  // the entry that is left keeps where it was
    state.id += 1;
    Object.assign(state, { goal, session, step: 0, hurry: undefined, done: undefined });
    say("");
    setTimeout((id) => {
      if (state.id === id && state.waiting && state.step === 0 && state.begun !== id) say("Computing the start …");
    }, 500, state.id);
    send({ kind: "begin", settings: session.settings });
    if (moved) write("pushState");
    else writeAddress();
    document.title = title();
  }

  // Training -------------------------------------------------------------------------------------------------------

  const exploded = () => Boolean(state.now) && ["network", "linearized", "kernel"].every((name) => state.now.diverged[name]);
  const finished = () => state.step >= state.goal || exploded();

  function goOn() {
    if (state.waiting) return;
    if (!state.playing) {
      if (state.now?.stale) advance(0, true);
      return;
    }
    if (finished()) {
      pause();
      state.done = state.step;
      say(`Done: ${state.step} steps${beyond() ? `, beyond the ${part().run} of this part` : ""}. ${told()}`.trim());
      element("to-results").hidden = !state.concluded;
      return;
    }
    const stop = Math.min(...[part()?.run, state.goal].filter((step) => step > state.step));  // the end of a part is its result
    const count = Math.min(state.hurry ?? Number(element("speed").value), stop - state.step);
    advance(count, state.step + count === stop);
  }

  const advance = (count, fresh = false) => send({ kind: "advance", count, fresh });

  function play(goal, hurry) {
    Object.assign(state, { playing: true, goal, hurry });
    element("go").textContent = "Pause";
    element("to-results").hidden = true;
    if (!state.waiting) goOn();
  }

  function pause() {
    Object.assign(state, { playing: false, hurry: undefined });
    element("go").textContent = "Play";
    describe();
    writeAddress();
    goOn();
  }

  function say(words) {
    if (element("status").textContent !== words) element("status").textContent = words;
  }

  // Which learners have diverged, in words.
  function told({ networkDiverged: network, linearDiverged: linear } = state.now.facts) {
    const lost = [linear && `linear model and kernel regressor (step ${linear})`, network && `network (step ${network})`].filter(Boolean);
    return lost.length ? `Exploded: ${lost.join(", ")}.` : "";
  }

  // Pictures -------------------------------------------------------------------------------------------------------

  const KINDS = {
    curve: { view: Views.curve, reading: "The models learn from the points. Thick grey: the function that the points come from. All models start at 0." },
    plane: { view: Views.maps, reading: "Purple: output above 0. Green: below. Circles should lie in purple, triangles in green." },
    sequences: { view: Views.sequences, reading: "Grey bars: targets. An output on the right side of 0 counts as right. Signs below: strong is +, faint is −." },
  };

  function draw() {
    if (!state.now || !element("functions").clientWidth) return;  // nothing to draw on, as in a frame that is hidden
    const { picture, start, now, history } = state;
    KINDS[picture.kind].view(element("functions"), picture, now.predicted, now.outputs, now.diverged);
    const times = history.map((look) => look.step);
    const along = (pick) => history.map(pick);
    const gone = (name, step) => now.diverged[name] <= step;  // a curve ends where its model has exploded
    const losses = Object.fromEntries(["network", "linearized", "kernel"].map((name) =>
      [name, along(({ loss, step }) => (gone(name, step) ? NaN : loss[name]))]));
    Views.chart(element("loss"), { times, curves: losses, log: true, most: 1e3 * losses.network[0] });
    Views.chart(element("gap"), { times, curves: { gap: along((look) => look.gap) }, least: 0.5, most: 3, percent: true, level: { value: LAZY, name: "lazy below" } });
    Views.chart(element("motion"), { times, curves: { motion: along((look) => look.motion) }, least: 0.5, percent: true });
    const [n, { facts }] = [picture.y.length, now];
    const squares = [["kernel-start", start.matrix, facts.withinStart, facts.acrossStart], ["kernel-now", now.matrix, facts.withinNow, facts.acrossNow]];
    for (const [id, matrix, within, across] of squares) {
      const classes = picture.classes ? { border: picture.y.findIndex((label) => label < 0), means: { within, across } } : {};
      Views.matrix(element(id), Engine.relative(matrix, n), { n, ...classes });
    }
    Views.spectrum(element("eigenvalues"), start.values, now.values, start.edge);
    const gated = now.facts.flips !== null;
    [element("flips").hidden, element("no-gates").hidden] = [!gated, gated];
    if (gated) Views.chart(element("flips"), { times, curves: { flips: along((look) => look.flips) }, least: 0.2, percent: true });
    showNumbers();
    state.frames += 1;
    document.body.dataset.frames = state.frames;
  }

  const short = (value) => {
    if (value === null || value === undefined || Number.isNaN(value)) return "none";
    if (!Number.isFinite(value)) return "too large";
    return value !== 0 && (Math.abs(value) < 1e-3 || Math.abs(value) >= 1e5) ? value.toExponential(1) : String(Number(value.toPrecision(3)));
  };

  const percent = (share) => (Number.isFinite(share) ? `${short(100 * share)}\u00a0%` : short(share));

  const lazy = ({ largestGap }) => (largestGap < LAZY ? "lazy" : "not lazy");

  const right = ({ networkRight, linearRight, kernelRight, unseen }) =>
    (networkRight === null ? "no classes" : `network ${networkRight}, linear model ${linearRight}, kernel regressor ${kernelRight}, of ${unseen}`);

  function showNumbers() {
    const { facts, diverged } = state.now;
    const loss = (name) => (diverged[name] ? `exploded at step ${diverged[name]}` : short(facts.loss[name]));
    const shown = {
      "loss-network": loss("network"), "loss-linearized": loss("linearized"), "loss-kernel": loss("kernel"),
      "gap-now": percent(facts.gap), "largest-gap": state.step ? `${percent(facts.largestGap)}: ${lazy(facts)}` : "", "right-now": right(facts), "motion-now": percent(facts.motion),
      "drift-now": percent(facts.drift), "flips-now": facts.flips === null ? "no gates" : percent(facts.flips),
      "eigenvalue-now": `${short(state.now.values[0])} (at start: ${short(state.start.values[0])}, limit: ${short(state.start.edge)})`,
    };
    for (const [id, words] of Object.entries(shown)) element(id).textContent = words;
    element("step").textContent = `step ${state.step}`;
    const found = told();
    const passed = state.step > state.done;  // what was said when it was done is no longer true
    if (passed || (found && found !== state.told)) say(`${passed && beyond() ? `Now beyond the ${part().run} steps of this part. ` : ""}${found}`.trim());
    state.told = found;
    showFact();
  }

  // What a screen reader says of the pictures; not on every frame.
  function describe() {
    if (!state.now) return;
    const { facts } = state.now;
    element("functions").setAttribute("aria-label", `Outputs of the three models at step ${state.step}. Gap between network and linear model: ${percent(facts.gap)}.`);
    element("loss").setAttribute("aria-label", `Loss at step ${state.step}: network ${short(facts.loss.network)}, linear model ${short(facts.loss.linearized)}, kernel regressor ${short(facts.loss.kernel)}.`);
    for (const [id, value] of [["gap", facts.gap], ["motion", facts.motion], ["flips", facts.flips]]) {
      element(id).setAttribute("aria-label", `${element(id).dataset.name} at step ${state.step}: ${percent(value)}`);
    }
  }

  // Stories --------------------------------------------------------------------------------------------------------

  const FACTS = {
    largestGap: ({ largestGap, motion }) => `Largest gap so far: ${percent(largestGap)} of what there is to learn. The weights have moved by ${percent(motion)} of their size`,
    across: ({ acrossStart, acrossNow }) => `Kernel between the classes, as a share of the diagonal: ${acrossStart.toFixed(2)} at the start, ${acrossNow.toFixed(2)} now`,
    losses: (facts) => told(facts) || `Loss: network ${short(facts.loss.network)}, linear model ${short(facts.loss.linearized)}`,
    right: ({ networkRight, kernelRight, unseen }) => `Unseen sequences with the right sign: network ${networkRight} of ${unseen}, kernel regressor ${kernelRight} of ${unseen}`,
  };

  // Columns of the table of a story's results: a head, and a cell from the facts at the end of a part.
  const survived = (cell) => (facts) => (facts.networkDiverged ? "exploded" : cell(facts));
  const COLUMNS = {
    largestGap: ["largest gap", ({ largestGap }) => percent(largestGap)],
    lazy: ["lazy?", (facts) => (lazy(facts) === "lazy" ? "yes" : "no")],
    motion: ["weight motion", ({ motion }) => percent(motion)],
    drift: ["kernel change", ({ drift }) => percent(drift)],
    withinStart: ["kernel, same class", ({ withinStart }) => withinStart.toFixed(2)],
    acrossStart: ["kernel, other class", ({ acrossStart }) => acrossStart.toFixed(2)],
    acrossNow: ["kernel, other class", ({ acrossNow }) => acrossNow.toFixed(2)],
    peak: ["largest loss ÷ start", survived(({ peak }) => short(peak))],
    lossNow: ["last loss ÷ start", survived(({ networkLoss }) => short(networkLoss))],
    edge: ["largest eigenvalue ÷ limit", survived(({ sharpness }) => short(sharpness))],
    networkRight: ["network right", ({ networkRight, unseen }) => `${networkRight} of ${unseen}`],
    kernelRight: ["kernel regressor", ({ kernelRight, unseen }) => `${kernelRight} of ${unseen}`],
  };

  // What the finished parts of this story gave; the question about them comes after the last part.
  function showResults() {
    const [story, at] = state.story;
    const { parts, columns } = Stories[story];
    const found = parts.map((each, k) => [each, state.results[[story, k]]]).filter(([, facts]) => facts);
    const row = (tag, cells, first = tag) => `<tr>${cells.map((cell, k) => `<${k ? tag : first}>${cell}</${k ? tag : first}>`).join("")}</tr>`;
    element("results").hidden = found.length === 0;
    element("results").innerHTML = `<thead>${row("th", ["Part", ...columns.map((name) => COLUMNS[name][0])])}</thead><tbody>${
      found.map(([{ label }, facts]) => row("td", [label, ...columns.map((name) => COLUMNS[name][1](facts))], "th")).join("")}</tbody>`;
    element("riddle").hidden = at + 1 < parts.length || !state.results[[story, at]];
    element("story-end").hidden = element("riddle").hidden || story + 1 < Stories.length;
  }

  function listStories() {
    Stories.forEach(({ name }, k) => {
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: `${k + 1}. ${name}` });
      button.addEventListener("click", () => tell(k, 0));
      element("chapters").append(button);
    });
  }

  // Show one part of a story, with its settings: before its first gradient step, or its run if it has been run before.
  function tell(story, step) {
    state.story = [story, step];
    showStory();
    state.playing = false;
    element("go").textContent = "Play";
    set(part().settings);
    begin();
    if (state.results[[story, step]]) play(part().run, 50);
  }

  function showStory() {
    element("story").hidden = state.story === null;
    [...element("chapters").children].forEach((button, k) => button.setAttribute("aria-pressed", String(k === state.story?.[0])));
    if (!state.story) return;
    const [story, at] = state.story;
    const { name, parts, question, answer } = Stories[story];
    element("story-title").textContent = name;
    element("story-step").textContent = `Part ${at + 1} of ${parts.length}`;
    element("story-text").innerHTML = Words.marked(parts[at].text);
    for (const each of document.querySelectorAll(".lit")) each.classList.remove("lit");
    for (const id of parts[at].see) (element(id).closest(".view") ?? element(id)).classList.add("lit");
    suggest("story-run");
    element("story-back").disabled = at === 0;
    element("story-next").textContent = at + 1 < parts.length ? "Next part" : "Next story";
    element("story-next").disabled = at + 1 === parts.length && story + 1 === Stories.length;
    element("riddle").open = false;
    showResults();
    element("question").innerHTML = Words.marked(question);
    element("answer").innerHTML = Words.marked(answer);
  }

  // The button of a story that is to be pressed next; none after the last part.
  function suggest(id) {
    for (const each of ["story-run", "story-next"]) element(each).classList.toggle("primary", each === id);
  }

  // What has been found so far, and after the run what it means, also when training goes on; of other settings than
  // those of the part, neither.
  function showFact() {
    if (!state.story) return;
    const [{ look, then, run }, left, result] = [part(), strayed(), state.results[state.story]];
    const words = left ? "You have left the settings of this part. “Run this part” goes back to them." : FACTS[look](beyond() ? result : state.now.facts);
    const when = beyond() ? `The result at step ${run}, where this part ends. ` : "";
    element("story-fact").textContent = left || state.step > 0 ? `${when}${words.replace(/\.$/, "")}.` : "";
    conclude(!left && (state.step >= run || exploded()) ? then : "");
  }

  function conclude(words) {
    if (state.concluded === words) return;  // a screen reader says it once
    const before = element("functions").getBoundingClientRect().top;
    state.concluded = words;
    element("story-then").innerHTML = Words.marked(words);
    if (words) {
      showResults();
      suggest(element("story-next").disabled ? null : "story-next");
    }
    const moved = element("functions").getBoundingClientRect().top - before;
    if (moved && before < innerHeight) scrollBy({ top: moved, behavior: "instant" });  // where the text stands above the picture
  }

  function turn(by) {
    const [story, at] = state.story;
    if (at + by < Stories[story].parts.length) tell(story, at + by);
    else tell(story + 1, 0);
    element("story-run").focus({ preventScroll: true });
  }

  function runStory() {
    const { settings: asked, run } = part();
    set(asked);
    begin(run);
    play(run);
    showViews();
  }

  // Scroll so that the views of this part are seen, with the picture above them if both fit.
  function showViews() {
    const last = [...document.querySelectorAll(".lit")].pop();
    const { top } = element("functions").getBoundingClientRect();
    const { bottom } = last.getBoundingClientRect();
    const room = innerHeight - (getComputedStyle(document.querySelector(".transport")).position === "sticky" ? 90 : 10);
    if (top >= 0 && bottom <= room) return;
    if (bottom - top <= room) scrollBy({ top: bottom > room ? bottom - room : top - 10, behavior: "instant" });
    else document.querySelector(".lit").scrollIntoView({ block: "start", behavior: "instant" });
  }

  // Address: what is set, and how far training is --------------------------------------------------------------------

  // of the session that is shown; while a link is followed, the step that it leads to.
  function address() {
    const { story, settings: set } = state.session;
    const asked = new URLSearchParams({ ...set, step: state.hurry ? state.goal : state.step });
    if (story) asked.set("story", story.map((each) => each + 1).join("."));
    return PREFIX + asked;
  }

  // A moment later: browsers refuse to change the address many times a second.
  function writeAddress() {
    clearTimeout(state.writing);
    state.writing = setTimeout(() => write("replaceState"), 250);
  }

  // What the browser lists as a page that was visited.
  function title() {
    if (!state.story) return TITLE;
    const [story, part] = state.story;
    return `${Stories[story].name}, part ${part + 1} – ${TITLE}`;
  }

  function write(way) {
    clearTimeout(state.writing);
    element("link").href = address();
    history[way](null, "", address());
  }

  // Another part of a story or another task is another place: the browser's Back returns from there. All other settings
  // change the address of the place where they are made.
  const placeOf = ({ story, settings: { task } }) => [...(story ?? []), task].join();

  function restore() {
    if (!location.hash.startsWith(PREFIX)) return false;
    const asked = Object.fromEntries(new URLSearchParams(location.hash.slice(PREFIX.length)));
    const [story, at] = (asked.story ?? "").split(".").map((each) => Number(each) - 1);
    state.story = Stories[story]?.parts[at] ? [story, at] : null;
    showStory();
    set(asked);
    const step = Math.min(Math.max(Math.round(Number(asked.step)) || 0, 0), LAST);
    begin(step || LAST, true);  // the browser has an entry for it
    if (step) play(step, 50);
    else pause();
    return true;
  }

  // Buttons --------------------------------------------------------------------------------------------------------

  function listen() {
    element("go").addEventListener("click", () => (state.playing ? pause() : play([state.goal, part()?.run].find((goal) => goal > state.step && !exploded()) ?? LAST)));
    element("one").addEventListener("click", () => {
      if (state.playing) pause();
      if (!state.waiting) advance(1, true);
      writeAddress();
    });
    element("reset").addEventListener("click", () => begin());
    element("dials").addEventListener("input", (event) => {
      if (event.target.name in SLIDERS || CHOICES.includes(event.target.name)) begin();
    });
    dials.seed.addEventListener("change", () => { dials.seed.value = seed(); });
    element("dials").addEventListener("submit", (event) => event.preventDefault());
    element("story-run").addEventListener("click", runStory);
    element("story-next").addEventListener("click", () => turn(1));
    element("story-back").addEventListener("click", () => turn(-1));
    element("to-results").addEventListener("click", () => element("story-fact").scrollIntoView({ block: "start" }));
    addEventListener("resize", () => requestAnimationFrame(draw));
    addEventListener("hashchange", () => restore() || writeAddress());
    document.querySelector(".skip").addEventListener("click", (event) => {  // to the stories, but to no other address
      event.preventDefault();
      element("content").focus();
    });
  }

  for (const [name, values] of Object.entries(SLIDERS)) Object.assign(dials[name], { min: 0, max: values.length - 1, step: 1 });
  Views.use(JSON.parse(element("learners").textContent));
  const worker = startWorker();
  listStories();
  listen();
  set(Stories[0].parts[0].settings);  // for what an address does not name
  if (!restore()) tell(0, 0);
})();
