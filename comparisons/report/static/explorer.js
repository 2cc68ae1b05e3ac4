"use strict";
(() => {
  const element = (id) => document.getElementById(id);
  const gone = (value) => value === null || value === undefined;
  // These buttons and no others: plotly's own choice has one that sends the chart elsewhere.
  const buttons = [["toImage", "zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]];
  const config = { displaylogo: false, responsive: true, showTips: false, modeBarButtons: buttons };
  const touch = matchMedia("(pointer: coarse)").matches;
  const FONT = { family: "system-ui, 'DejaVu Sans', sans-serif", size: 13, color: "#1a1a1a" };
  const CHARTS = ["outputs", "loss", "gap"];
  const state = { run: null, cell: null, curves: null, at: 0, hidden: new Set(), timer: null };
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
    chooseRun(data.runs[0]);
    say("");
  }

  function say(text) {
    element("explorer-status").textContent = text;
    element("explorer-status").hidden = !text;
  }

  function listen() {
    element("step").addEventListener("input", (event) => showStep(Number(event.target.value)));
    element("play").addEventListener("click", () => (state.timer ? pause() : play()));
    for (const id of CHARTS) element(id).addEventListener("keydown", (event) => zoomByKey(event, id));
    for (const link of document.querySelectorAll("a[data-run]")) {
      link.addEventListener("click", () => chooseRun(data.runs.find((run) => run.id === link.dataset.run)));
    }
  }

  // Controls -----------------------------------------------------------------------------------------------------

  function chooseRun(run) {
    state.run = run;
    const controls = element("controls");
    controls.replaceChildren();
    if (data.runs.length > 1) {
      const titles = data.runs.map((each) => each.title);
      controls.append(choice("run", titles, data.runs.indexOf(run), (place) => chooseRun(data.runs[place])));
    }
    const first = favourite(run);
    run.fields.forEach((field, place) => controls.append(choice(field.name, field.values, first[place], chooseCell)));
    element("thinned").textContent = run.note;
    chooseCell();
  }

  // The first cell of the largest width: there the learners should agree.
  function favourite(run) {
    const width = run.fields.findIndex((field) => field.name === "width");
    const widest = Math.max(...run.cells.map((cell) => cell.at[width] ?? 0));
    return run.cells.find((cell) => (cell.at[width] ?? 0) === widest).at;
  }

  function choice(name, values, shown, changed) {
    const label = document.createElement("label");
    const select = document.createElement("select");
    select.name = name;
    values.forEach((value, place) => select.append(new Option(value, place, place === shown, place === shown)));
    select.addEventListener("change", () => changed(Number(select.value)));
    label.append(name.replaceAll("_", " "), select);
    return label;
  }

  function chooseCell() {
    const chosen = state.run.fields.map((field) => Number(element("controls").elements[field.name].value));
    const cell = state.run.cells.find((each) => each.at.every((place, field) => place === chosen[field]));
    pause();
    element("explorer-body").classList.toggle("absent", !cell);
    if (!cell) {
      say("There is no measurement of this combination on this page. Choose another one.");
      return;
    }
    say("");
    const before = state.cell && state.cell.steps[state.at];
    state.cell = cell;
    state.curves = cell.outputs.map((curves) => curves.map((curve) => sums(curve, cell.unit)));
    const last = cell.steps.length - 1;
    element("step").max = last;
    state.at = before === null ? last : nearest(cell.steps, before);
    element("step").value = state.at;
    drawLegend();
    draw();
    showStep(state.at);
  }

  // Curves are packed as differences of whole units.
  function sums(differences, unit) {
    let sum = 0;
    return differences.map((difference) => (difference === null ? null : (sum += difference) * unit));
  }

  function nearest(steps, wanted) {
    const far = steps.map((step) => Math.abs(step - wanted));
    return far.indexOf(Math.min(...far));
  }

  function drawLegend() {
    const legend = element("legend");
    legend.querySelectorAll("label").forEach((label) => label.remove());
    const names = [...state.cell.learners, "target"];
    for (const name of names) {
      const box = Object.assign(document.createElement("input"), { type: "checkbox", checked: !state.hidden.has(name) });
      box.addEventListener("change", () => {
        state.hidden[box.checked ? "delete" : "add"](name);
        draw();
        showStep(state.at);
      });
      const label = document.createElement("label");
      label.append(box, sample(name), name);
      legend.append(label);
    }
  }

  function sample(name) {
    const drawing = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
    Object.entries({ width: 44, height: 12, "aria-hidden": "true" }).forEach(([key, value]) => drawing.setAttribute(key, value));
    const style = name === "target" ? { color: "#6b6b6b", dash: "solid", width: 2 } : data.styles[name];
    const dash = style.dash === "solid" ? "" : style.dash.replaceAll("px", "");
    const span = name === "target" ? { x1: 15, x2: 29 } : { x1: 1, x2: 43 };
    const look = { ...span, y1: 6, y2: 6, stroke: style.color, "stroke-width": style.width, "stroke-dasharray": dash };
    Object.entries(look).forEach(([key, value]) => line.setAttribute(key, value));
    drawing.append(line);
    if (name === "network") {
      const dot = document.createElementNS("http://www.w3.org/2000/svg", "circle");
      Object.entries({ cx: 22, cy: 6, r: 4, fill: style.color }).forEach(([key, value]) => dot.setAttribute(key, value));
      drawing.append(dot);
    }
    return drawing;
  }

  // Charts -------------------------------------------------------------------------------------------------------

  function layout(x, y) {
    return {
      font: FONT, margin: { l: 62, r: 12, t: 30, b: 46 }, paper_bgcolor: "#fff", plot_bgcolor: "#fff",
      showlegend: false, hovermode: "x unified", hoverdistance: -1, dragmode: touch ? false : "zoom", hoverlabel: { font: FONT },
      xaxis: { gridcolor: "#e4e4e4", zeroline: false, linecolor: "#6b6b6b", ...x, title: { text: x.title, standoff: 8 } },
      yaxis: { gridcolor: "#e4e4e4", zeroline: false, linecolor: "#6b6b6b", exponentformat: "power", ...y, title: { text: y.title, standoff: 6 } },
    };
  }

  const place = (step) => Math.log10(1 + step);  // logarithmic, and step 0 is there

  function stepAxis(steps) {
    const last = steps[steps.length - 1];
    const ticks = [0];
    for (let power = 1; power <= last; power *= 10) ticks.push(power);
    const hover = { unifiedhovertitle: { text: "value (step)" } };  // x itself is a logarithm
    return { ...hover, title: "gradient step", tickvals: ticks.map(place), ticktext: ticks.map((tick) => tick.toLocaleString("en")), range: [0, place(last) * 1.02 || 1] };
  }

  function line(name) {
    const { color, dash, width } = data.styles[name];
    return { color, dash, width };
  }

  const shown = (name) => !state.hidden.has(name);

  function draw() {
    drawOutputs();
    drawLoss();
    drawGap();
  }

  function drawOutputs() {
    const { cell } = state;
    const x = cell.targets.map((_, rank) => rank + 1);
    const hover = { text: cell.names, hovertemplate: "%{y:.4~g}" };
    const target = {
      x, y: cell.targets, name: "target", mode: "markers", ...hover, visible: shown("target"),
      hovertemplate: "%{y:.4~g} (%{text})", marker: { symbol: "line-ew-open", size: 9, color: "#6b6b6b", line: { width: 2 } },
    };
    const curves = cell.learners.map((name, place) => ({
      x, y: outputsAt(place), name, ...hover, visible: shown(name), line: line(name),
      mode: name === "network" ? "markers" : "lines", marker: { color: line(name).color, size: 7 },
    }));
    const y = { title: "output f", range: span(), zeroline: true, zerolinecolor: "#b5b5b5" };
    const hoverTitle = { unifiedhovertitle: { text: "test output %{x}" } };
    const ordered = `test output, sorted${cell.learners.includes("linearized") ? " by the linearized" : ""}`;
    Plotly.react("outputs", [target, ...curves], layout({ ...hoverTitle, title: ordered, range: [0, x.length + 1] }, y), config);
  }

  const outputsAt = (learner) => state.curves[learner].map((curve) => curve[state.at]);

  // The axis holds still while time passes, unless outputs explode.
  function span() {
    const all = state.curves.flat(2).concat(state.cell.targets).filter((value) => !gone(value));
    const size = Math.max(...state.cell.targets.map(Math.abs), 1e-12);
    const inside = all.filter((value) => Math.abs(value) <= 20 * size);
    const [low, high] = [inside.reduce((a, b) => Math.min(a, b)), inside.reduce((a, b) => Math.max(a, b))];
    const edge = 0.05 * (high - low || 1);
    return [low - edge, high + edge];
  }

  function drawLoss() {
    const { cell } = state;
    const positive = (values) => values.map((value) => (value > 0 ? value : null));
    const curves = cell.learners.map((name, place) => timeCurve(name, positive(cell.loss[place]), line(name), shown(name)));
    const title = cell.trained ? "½ Σ (f − y)²" : "mean (f − y)²";
    element("loss-title").textContent = cell.trained ? "Training loss" : "Test error (no training loss was kept)";
    element("now-loss").textContent = cell.trained ? "training loss" : "test error";
    Plotly.react("loss", curves, layout(stepAxis(cell.steps), { title, ...decades(curves) }), config);
    listenToClicks("loss");
  }

  function drawGap() {
    const { cell } = state;
    element("gap").closest("figure").hidden = gone(cell.gap);
    if (gone(cell.gap)) return;
    const curve = timeCurve("gap", cell.gap, { color: "#0072B2", width: 2.2 }, true);
    const title = `gap / RMS of the ${cell.measured ? "" : "test "}targets`;
    Plotly.react("gap", [curve], layout(stepAxis(cell.steps), { title, rangemode: "tozero" }), config);
    listenToClicks("gap");
  }

  function timeCurve(name, y, line, visible) {
    const { steps } = state.cell;
    return { x: steps.map(place), y, name, line, visible, mode: "lines", text: steps.map((step) => `step ${step}`), hovertemplate: "%{y:.4~g} (%{text})" };
  }

  // Decades where there are several; 1, 2, 5 where there are few.
  function decades(curves) {
    const values = curves.flatMap((curve) => curve.y).filter((value) => value > 0);
    if (!values.length) return { type: "log" };
    const [low, high] = [Math.min(...values), Math.max(...values)].map(Math.log10);
    const axis = { type: "log", range: [low - 0.06 * (high - low || 1), high + 0.06 * (high - low || 1)] };
    if (high - low > 2.5) return { ...axis, dtick: Math.ceil((high - low) / 8) };
    const ticks = [];
    for (let power = Math.floor(low) - 1; power <= high + 1; power += 1) {
      for (const digit of [1, 2, 5]) ticks.push(Number((digit * 10 ** power).toPrecision(1)));
    }
    return { ...axis, tickvals: ticks, ticktext: ticks.map((tick) => (tick < 1e-3 || tick >= 1e4 ? tick.toExponential(0) : String(tick))) };
  }

  function listenToClicks(id) {
    const chart = element(id);
    if (chart.dataset.listens) return;
    chart.dataset.listens = "yes";
    chart.on("plotly_click", (event) => {
      element("step").value = event.points[0].pointIndex;
      showStep(event.points[0].pointIndex);
    });
  }

  // Time ---------------------------------------------------------------------------------------------------------

  function showStep(at) {
    state.at = at;
    const { cell } = state;
    const step = cell.steps[at];
    const text = `step ${step.toLocaleString("en")} of ${cell.steps[cell.steps.length - 1].toLocaleString("en")}`;
    element("step-shown").textContent = text;
    element("step").setAttribute("aria-valuetext", text);
    const learners = cell.learners.map((_, place) => place);
    Plotly.restyle("outputs", { y: learners.map(outputsAt) }, learners.map((place) => place + 1));
    const mark = { type: "line", x0: place(step), x1: place(step), yref: "paper", y0: 0, y1: 1, line: { color: "#1a1a1a", width: 1.5 } };
    Plotly.relayout("loss", { shapes: [mark] });
    if (!gone(cell.gap)) Plotly.relayout("gap", { shapes: [mark] });
    showValues(text);
  }

  function showValues(text) {
    const { cell, at } = state;
    const gap = gone(cell.gap) ? "" : `; gap ${number(cell.gap[at])}`;
    element("now-title").textContent = `Values at ${text}${gap}`;
    element("now").replaceChildren(...cell.learners.map((name, place) => {
      const row = document.createElement("tr");
      const head = Object.assign(document.createElement("th"), { scope: "row", textContent: name });
      row.append(head, ...[cell.loss[place][at], distance(place)].map((value) => cellOf(number(value))));
      return row;
    }));
  }

  const cellOf = (text) => Object.assign(document.createElement("td"), { textContent: text });
  const number = (value) => (gone(value) ? "none (diverged)" : String(Number(value.toPrecision(4))));

  function distance(learner) {
    const squares = outputsAt(learner).map((value, place) => (gone(value) ? NaN : (value - state.cell.targets[place]) ** 2));
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
      showStep(Number(slider.value));
      if (Number(slider.value) === last) pause();
      else slider.value = Number(slider.value) + 1;
    }, 150);
  }

  function pause() {
    clearInterval(state.timer);
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
    if (event.key === "0") showStep(state.at);
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
