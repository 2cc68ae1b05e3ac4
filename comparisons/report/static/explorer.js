"use strict";
(() => {
  const element = (id) => document.getElementById(id);
  const gone = (value) => value === null || value === undefined;
  const make = (tag, properties, ...children) => {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  };
  // These buttons and no others: plotly's own choice has one that sends the chart elsewhere.
  const buttons = [["toImage", "zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]];
  const config = { displaylogo: false, responsive: true, showTips: false, modeBarButtons: buttons };
  const touch = matchMedia("(pointer: coarse)").matches;
  const FONT = { family: "system-ui, 'DejaVu Sans', sans-serif", size: 13, color: "#1a1a1a" };
  const SIDES = ["left", "right"];
  const OUTPUTS = "outputs";
  const PREFIX = "#explorer?";
  const state = { run: null, cells: {}, times: [0], at: 0, hidden: new Set(), timer: null, writing: null };
  let data;

  // Plotly and the data travel packed, in base64 of gzip.
  async function unpack(id) {
    const bytes = Uint8Array.from(atob(element(id).textContent), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  }

  async function start() {
    if (!("DecompressionStream" in window)) {
      say("This browser is too old for the explorer; everything else on this page works.");
      return;
    }
    const [library, text] = await Promise.all([unpack("packed-plotly"), unpack("packed-data")]);
    const script = document.createElement("script");
    script.textContent = library;
    document.head.append(script);
    data = JSON.parse(text);
    element("explorer-body").hidden = false;
    listen();
    if (!restore()) {
      chooseRun(data.runs[0]);
      const aim = location.hash && element(location.hash.slice(1));
      if (aim) aim.scrollIntoView({ behavior: "instant" });  // the explorer has unfolded above it
    }
    say("");
  }

  function say(text) {
    element("explorer-status").textContent = text;
    element("explorer-status").hidden = !text;
  }

  function listen() {
    element("step").addEventListener("input", (event) => {
      showTime(Number(event.target.value));
      remember();
    });
    element("play").addEventListener("click", () => (state.timer ? pause() : play()));
    for (const link of document.querySelectorAll("a[data-run]")) {
      link.addEventListener("click", () => chooseRun(data.runs.find((run) => run.id === link.dataset.run)));
    }
    addEventListener("hashchange", restore);
  }

  // What is shown, in the address of the page ---------------------------------------------------------------------

  function address() {
    const asked = new URLSearchParams({ run: state.run.directory });
    for (const side of sides()) {
      state.run.fields.forEach((field, place) => asked.set(`${side}.${field.name}`, field.values[chosen(side)[place]]));
    }
    asked.set("time", state.times[state.at]);
    for (const name of state.hidden) asked.append("hide", name);
    return PREFIX + asked;
  }

  // The address follows a moment later: browsers refuse to change it many times a second.
  function remember() {
    element("link").href = address();
    clearTimeout(state.writing);
    state.writing = setTimeout(() => history.replaceState(null, "", address()), 250);
  }

  function restore() {
    if (!location.hash.startsWith(PREFIX)) return false;
    const asked = new URLSearchParams(location.hash.slice(PREFIX.length));
    const run = data.runs.find((each) => each.directory === asked.get("run")) ?? data.runs[0];
    state.hidden = new Set(asked.getAll("hide"));
    chooseRun(run, asked);
    element("explorer").scrollIntoView({ behavior: "instant" });
    return true;
  }

  // Controls -----------------------------------------------------------------------------------------------------

  const sides = () => (state.run.cells.length > 1 ? SIDES : SIDES.slice(0, 1));
  const control = (side, name) => element("controls").elements[`${side}-${name}`];
  const chosen = (side) => state.run.fields.map((field) => Number(control(side, field.name).value));

  function chooseRun(run, asked) {
    state.run = run;
    const controls = element("controls");
    controls.replaceChildren();
    if (data.runs.length > 1) {
      const titles = data.runs.map((each) => each.title);
      const changed = (place) => { chooseRun(data.runs[place]); remember(); };
      controls.append(choice("run", "run", titles, data.runs.indexOf(run), changed));
    }
    const first = favourites(run);
    for (const side of sides()) {
      const cell = make("fieldset", { className: "cell" }, make("legend", { textContent: `${side} cell` }));
      run.fields.forEach((field, place) => {
        const wanted = asked ? field.values.indexOf(asked.get(`${side}.${field.name}`)) : -1;
        const changed = () => { chooseCells(); remember(); };
        cell.append(choice(`${side}-${field.name}`, field.name, field.values, wanted < 0 ? first[side][place] : wanted, changed));
      });
      cell.append(make("p", { id: `${side}-status`, className: "none", hidden: true }));
      cell.lastChild.setAttribute("role", "status");
      controls.append(cell);
    }
    element("thinned").textContent = run.note;
    build(run);
    const time = asked ? Number(asked.get("time")) : NaN;
    chooseCells(Number.isFinite(time) && asked.has("time") ? time : null);
  }

  // The widest network, which should follow its linearization, beside the narrowest. Without widths, another field: the
  // cell with its last value, beside that with its first and everything else alike.
  function favourites(run) {
    const names = run.fields.map((field) => field.name);
    if (!names.length) return { left: run.cells[0].at };
    const ranked = ["width", ...names.filter((name) => name !== "seed"), "seed"].filter((name) => names.includes(name));
    const field = names.indexOf(ranked[0]);
    const places = run.cells.map((cell) => cell.at[field]);
    const end = (place) => run.cells.filter((cell) => cell.at[field] === place);
    const [left] = end(Math.max(...places));
    const others = end(Math.min(...places));
    const alike = (cell) => cell.at.every((place, other) => other === field || place === left.at[other]);
    return { left: left.at, right: (others.find(alike) ?? others[0]).at };
  }

  function choice(name, text, values, shown, changed) {
    const select = make("select", { name });
    values.forEach((value, place) => select.append(new Option(value, place, place === shown, place === shown)));
    select.addEventListener("change", () => changed(Number(select.value)));
    return make("label", {}, text.replaceAll("_", " "), select);
  }

  function chooseCells(time = state.times[state.at]) {
    pause();
    state.cells = {};
    for (const side of sides()) {
      const places = chosen(side);
      const cell = state.run.cells.find((each) => each.at.every((place, field) => place === places[field]));
      state.cells[side] = cell && { ...cell, curves: cell.outputs?.curves.map((curves) => curves.map((curve) => sums(curve, cell.outputs.unit))) };
      const status = element(`${side}-status`);
      status.hidden = Boolean(cell);
      status.textContent = cell ? "" : "This page has no trajectory of this combination. Choose another one.";
    }
    const there = shownCells();
    element("explorer-body").classList.toggle("absent", !there.length);
    if (!there.length) return;
    const all = there.flatMap((cell) => [...(cell.outputs?.times ?? []), ...cell.charts.flatMap((chart) => chart.times)]);
    state.times = [...new Set(all)].sort((a, b) => a - b);
    const last = state.times.length - 1;
    element("step").max = last;
    state.at = time === null ? last : nearest(state.times, time);
    element("step").value = state.at;
    drawLegend();
    draw();
    showTime(state.at);
    element("link").href = address();
  }

  const shownCells = () => sides().map((side) => state.cells[side]).filter(Boolean);

  // Curves are packed as differences of whole units.
  function sums(differences, unit) {
    let sum = 0;
    return differences.map((difference) => (difference === null ? null : (sum += difference) * unit));
  }

  function nearest(times, wanted) {
    const far = times.map((time) => Math.abs(time - wanted));
    return far.indexOf(Math.min(...far));
  }

  // The last of some times that is not later than the time shown.
  function before(times) {
    const later = times.findIndex((time) => time > state.times[state.at]);
    return later < 0 ? times.length - 1 : Math.max(later - 1, 0);
  }

  function drawLegend() {
    const legend = element("legend");
    legend.querySelectorAll("label").forEach((label) => label.remove());
    const names = shownCells().flatMap((cell) => [...(cell.outputs?.learners ?? []), ...cell.charts.flatMap((chart) => Object.keys(chart.curves))]);
    if (shownCells().some((cell) => cell.outputs)) names.push("target");
    for (const name of new Set(names)) {
      const box = make("input", { type: "checkbox", checked: shown(name) });
      box.addEventListener("change", () => {
        state.hidden[box.checked ? "delete" : "add"](name);
        draw();
        showTime(state.at);
        remember();
      });
      legend.append(make("label", {}, box, sample(name), name));
    }
  }

  function sample(name) {
    const drawing = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const part = (tag, look) => {
      const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
      Object.entries(look).forEach(([key, value]) => made.setAttribute(key, value));
      return made;
    };
    Object.entries({ width: 44, height: 12, "aria-hidden": "true" }).forEach(([key, value]) => drawing.setAttribute(key, value));
    const style = name === "target" ? { color: "#6b6b6b", dash: "solid", width: 2 } : data.styles[name];
    const dash = style.dash === "solid" ? "" : style.dash.replaceAll("px", "");
    const span = name === "target" ? { x1: 15, x2: 29 } : { x1: 1, x2: 43 };
    drawing.append(part("line", { ...span, y1: 6, y2: 6, stroke: style.color, "stroke-width": style.width, "stroke-dasharray": dash }));
    if (name === "network") drawing.append(part("circle", { cx: 22, cy: 6, r: 4, fill: style.color }));
    return drawing;
  }

  // Charts -------------------------------------------------------------------------------------------------------

  const idOf = (key, side) => `${key.replace(/\W+/g, "-")}-${side}`;
  const chartOf = (side, key) => state.cells[side]?.charts.find((chart) => chart.key === key);
  const has = (side, key) => Boolean(key === OUTPUTS ? state.cells[side]?.outputs : chartOf(side, key));
  const shown = (name) => !state.hidden.has(name);

  // Places for the outputs and for every chart of the run, a row for each and a column for each side.
  function build(run) {
    const charts = element("charts");
    charts.querySelectorAll(".chart").forEach((chart) => Plotly.purge(chart));
    const keys = run.cells.some((cell) => cell.outputs) ? [OUTPUTS] : [];
    state.keys = [...new Set([...keys, ...run.cells.flatMap((cell) => cell.charts.map((chart) => chart.key))])];
    charts.classList.toggle("single", sides().length < 2);
    charts.replaceChildren(...state.keys.flatMap((key) => sides().map((side) => {
      const id = idOf(key, side);
      const chart = make("div", { id, className: "chart", tabIndex: 0 });
      chart.setAttribute("role", "group");
      chart.setAttribute("aria-labelledby", `${id}-title`);
      chart.addEventListener("keydown", (event) => zoomByKey(event, id));
      return make("figure", { className: key === OUTPUTS ? "tall" : "" }, make("figcaption", { id: `${id}-title` }), chart);
    })));
  }

  // What tells the two cells apart, such as "width 64".
  function label(side) {
    if (sides().length < 2) return "";
    const [own, other] = [side, SIDES.find((each) => each !== side)].map(chosen);
    const parts = state.run.fields.map((field, place) => own[place] !== other[place] && `${field.name.replaceAll("_", " ")} ${field.values[own[place]]}`);
    return parts.filter(Boolean).join(", ") || `${side} cell`;
  }

  function layout(x, y) {
    return {
      font: FONT, margin: { l: 62, r: 12, t: 30, b: 46 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      showlegend: false, hovermode: "x unified", hoverdistance: -1, dragmode: touch ? false : "zoom", hoverlabel: { font: FONT, bgcolor: "#fff" },
      xaxis: { gridcolor: "#e0e0e0", zeroline: false, linecolor: "#6b6b6b", ...x, title: { text: x.title, standoff: 8 } },
      yaxis: { gridcolor: "#e0e0e0", zeroline: false, linecolor: "#6b6b6b", exponentformat: "power", automargin: true, ...y, title: { text: y.title, standoff: 6 } },
    };
  }

  const place = (time) => Math.log10(1 + time);  // logarithmic, and time 0 is there

  // One axis for both cells, so that they can be compared.
  function timeAxis(key) {
    const charts = sides().map((side) => chartOf(side, key)).filter(Boolean);
    const last = Math.max(...charts.map((chart) => chart.times[chart.times.length - 1]));
    const ticks = [0];
    for (let power = 1; power <= last; power *= 10) ticks.push(power);
    const hover = { unifiedhovertitle: { text: "value (time)" } };  // x itself is a logarithm
    return { ...hover, title: shownCells()[0].time, tickvals: ticks.map(place), ticktext: ticks.map((tick) => tick.toLocaleString("en")), range: [0, place(last) * 1.02 || 1] };
  }

  function draw() {
    for (const key of state.keys) {
      for (const side of sides()) {
        const figure = element(idOf(key, side)).closest("figure");
        figure.hidden = !sides().some((each) => has(each, key));
        figure.classList.toggle("empty", !has(side, key));
        if (has(side, key)) (key === OUTPUTS ? drawOutputs : drawChart)(side, key);
      }
    }
  }

  function drawOutputs(side, key) {
    const { outputs } = state.cells[side];
    const x = outputs.targets.map((_, rank) => rank + 1);
    const hover = { text: outputs.names, hovertemplate: "%{y:.4~g}" };
    const target = {
      x, y: outputs.targets, name: "target", mode: "markers", ...hover, visible: shown("target"),
      hovertemplate: "%{y:.4~g} (%{text})", marker: { symbol: "line-ew-open", size: 9, color: "#6b6b6b", line: { width: 2 } },
    };
    const curves = outputs.learners.map((name, place) => ({
      x, y: outputsAt(side, place), name, ...hover, visible: shown(name), line: data.styles[name],
      mode: name === "network" ? "markers" : "lines", marker: { color: data.styles[name].color, size: 7 },
    }));
    const y = { title: "output f", range: span(), zeroline: true, zerolinecolor: "#b5b5b5" };
    const hoverTitle = { unifiedhovertitle: { text: "test output %{x}" } };
    const ordered = `test output, sorted${outputs.learners.includes("linearized") ? " by the linearized" : ""}`;
    titled(side, key, "Test outputs");
    Plotly.react(idOf(key, side), [target, ...curves], layout({ ...hoverTitle, title: ordered, range: [0, x.length + 1] }, y), config);
  }

  function titled(side, key, title) {
    const which = label(side);
    element(`${idOf(key, side)}-title`).textContent = which ? `${title} (${which})` : title;
  }

  const outputsAt = (side, learner) => state.cells[side].curves[learner].map((curve) => curve[before(state.cells[side].outputs.times)]);

  // The axis holds still while time passes, and is the same for both cells, unless outputs explode.
  function span() {
    const cells = shownCells().filter((cell) => cell.outputs);
    const targets = cells.flatMap((cell) => cell.outputs.targets);
    const all = cells.flatMap((cell) => cell.curves.flat(2)).concat(targets).filter((value) => !gone(value));
    const size = Math.max(...targets.map(Math.abs), 1e-12);
    return [...widened(all.filter((value) => Math.abs(value) <= 20 * size), 0.05)];
  }

  function widened(values, share) {
    const [low, high] = [values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b))];
    const edge = share * (high - low || 1);
    return [low - edge, high + edge];
  }

  function drawChart(side, key) {
    const chart = chartOf(side, key);
    const positive = (values) => values.map((value) => (value > 0 || !chart.log ? value : null));
    const curves = Object.entries(chart.curves).map(([name, values]) => ({
      x: chart.times.map(place), y: positive(values), name, line: data.styles[name], visible: shown(name), mode: "lines",
      text: chart.times.map((time) => told(time)), hovertemplate: "%{y:.4~g} (%{text})",
    }));
    titled(side, key, chart.title);
    Plotly.react(idOf(key, side), curves, layout(timeAxis(key), { title: chart.axis, ...valueAxis(key) }), config);
    listenToClicks(side, key);
  }

  // The range of the values of both cells; a logarithmic axis only where both are.
  function valueAxis(key) {
    const charts = sides().map((side) => chartOf(side, key)).filter(Boolean);
    const values = charts.flatMap((chart) => Object.values(chart.curves).flat()).filter((value) => !gone(value));
    if (charts.some((chart) => chart.log)) return decades(values.filter((value) => value > 0));
    if (!values.length) return {};
    const [low, high] = widened(values, 0.05);
    return { range: [values.every((value) => value >= 0) ? 0 : low, high] };
  }

  // Decades where there are several; 1, 2, 5 where there are few.
  function decades(values) {
    if (!values.length) return { type: "log" };
    const axis = { type: "log", range: widened(values.map(Math.log10), 0.06) };
    const [low, high] = axis.range;
    if (high - low > 2.5) return { ...axis, dtick: Math.ceil((high - low) / 8) };
    const ticks = [];
    for (let power = Math.floor(low) - 1; power <= high + 1; power += 1) {
      for (const digit of [1, 2, 5]) ticks.push(Number((digit * 10 ** power).toPrecision(1)));
    }
    return { ...axis, tickvals: ticks, ticktext: ticks.map((tick) => (tick < 1e-3 || tick >= 1e4 ? tick.toExponential(0) : String(tick))) };
  }

  function listenToClicks(side, key) {
    const chart = element(idOf(key, side));
    if (chart.dataset.listens) return;
    chart.dataset.listens = "yes";
    chart.on("plotly_click", (event) => {
      const at = nearest(state.times, chartOf(side, key).times[event.points[0].pointIndex]);
      element("step").value = at;
      showTime(at);
      remember();
    });
  }

  // Time ---------------------------------------------------------------------------------------------------------

  const kind = () => (shownCells()[0].time === "gradient step" ? "step" : "kernel time");
  const digits = (time) => (Number.isInteger(time) ? time.toLocaleString("en") : String(Number(time.toPrecision(3))));
  const told = (time) => `${kind()} ${digits(time)}`;

  function showTime(at) {
    state.at = at;
    const time = state.times[at];
    const text = `${told(time)} of ${digits(state.times[state.times.length - 1])}`;
    element("step-shown").textContent = text;
    element("step").setAttribute("aria-valuetext", text);
    const line = { color: "#1a1a1a", width: 1.5 };
    const mark = { type: "line", x0: place(time), x1: place(time), yref: "paper", y0: 0, y1: 1, line };
    for (const side of sides()) {
      const learners = state.cells[side]?.outputs?.learners.map((_, learner) => learner);
      if (learners) Plotly.restyle(idOf(OUTPUTS, side), { y: learners.map((learner) => outputsAt(side, learner)) }, learners.map((learner) => learner + 1));
      for (const chart of state.cells[side]?.charts ?? []) Plotly.relayout(idOf(chart.key, side), { shapes: [mark] });
    }
    showValues(text);
  }

  // Every curve at this time, the two cells beside each other.
  function showValues(text) {
    element("now-title").textContent = `Values at ${text}`;
    for (const side of SIDES) element(`now-${side}`).textContent = sides().includes(side) ? label(side) || "value" : "";
    const found = Object.fromEntries(SIDES.map((side) => [side, sides().includes(side) ? values(side) : new Map()]));
    const names = new Set(SIDES.flatMap((side) => [...found[side].keys()]));
    element("now").replaceChildren(...[...names].map((name) => {
      const cells = sides().map((side) => make("td", { textContent: found[side].has(name) ? number(found[side].get(name)) : "–" }));
      return make("tr", {}, make("th", { scope: "row", textContent: name }), ...cells);
    }));
  }

  const number = (value) => (gone(value) ? "none (diverged)" : String(Number(value.toPrecision(4))));

  function values(side) {
    const found = new Map();
    const cell = state.cells[side];
    for (const chart of cell?.charts ?? []) {
      for (const [name, curve] of Object.entries(chart.curves)) {
        found.set(name.startsWith(chart.title) || name.startsWith("gap") ? name : `${chart.title}: ${name}`, curve[before(chart.times)]);
      }
    }
    cell?.outputs?.learners.forEach((name, learner) => found.set(`RMS distance of the outputs shown from their targets: ${name}`, distance(side, learner)));
    return found;
  }

  function distance(side, learner) {
    const { targets } = state.cells[side].outputs;
    const squares = outputsAt(side, learner).map((value, place) => (gone(value) ? NaN : (value - targets[place]) ** 2));
    const mean = squares.reduce((sum, value) => sum + value, 0) / squares.length;
    return Number.isFinite(mean) ? Math.sqrt(mean) : null;
  }

  function play() {
    const slider = element("step");
    const last = Number(slider.max);
    if (state.at === last) slider.value = 0;
    element("play").textContent = "Pause";
    element("play").setAttribute("aria-pressed", "true");
    state.timer = setInterval(() => {
      showTime(Number(slider.value));
      if (Number(slider.value) === last) pause();
      else slider.value = Number(slider.value) + 1;
    }, 150);
  }

  function pause() {
    if (state.timer) {
      clearInterval(state.timer);
      remember();
    }
    state.timer = null;
    element("play").textContent = "Play";
    element("play").setAttribute("aria-pressed", "false");
  }

  // Zoom with the keyboard: + − around the middle, arrows to move, 0 for everything.
  function zoomByKey(event, id) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const factor = { "+": 0.8, "=": 0.8, "-": 1.25 }[event.key];
    const move = { ArrowLeft: ["xaxis", -0.15], ArrowRight: ["xaxis", 0.15], ArrowDown: ["yaxis", -0.15], ArrowUp: ["yaxis", 0.15] }[event.key];
    if (event.key === "0") draw();
    if (factor) Plotly.relayout(id, Object.assign(...["xaxis", "yaxis"].map((axis) => ranged(id, axis, factor, 0))));
    if (move) Plotly.relayout(id, ranged(id, move[0], 1, move[1]));
    if (event.key === "0") showTime(state.at);
    if (factor || move || event.key === "0") event.preventDefault();
  }

  function ranged(id, axis, factor, shift) {
    const [low, high] = element(id)._fullLayout[axis].range;
    const middle = (low + high) / 2 + shift * (high - low);
    const half = (factor * (high - low)) / 2;
    return { [`${axis}.range`]: [middle - half, middle + half] };
  }

  start().catch((error) => {
    say("The explorer could not start in this browser; everything else on this page works.");
    console.error(error);
  });
})();
