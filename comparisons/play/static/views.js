"use strict";
// Drawings on canvases, from numbers alone. They are drawn for a white page; page.css turns them over in the dark.
const Views = (() => {
  const [INK, GREY, HAIR] = ["#1a1a1a", "#6b6b6b", "#e4e4e4"];
  const FONT = "13px system-ui, 'DejaVu Sans', sans-serif";
  let LEARNERS = {};  // {name: {color, dash, width}}, as the figures of the lab have them

  function use(learners) {
    LEARNERS = learners;
  }

  // A cleared canvas in the pixels of the screen, measured in those of the page.
  function begin(canvas) {
    const [width, height, ratio] = [canvas.clientWidth, canvas.clientHeight, devicePixelRatio];
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      [canvas.width, canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)];
    }
    const c = canvas.getContext("2d");
    c.setTransform(ratio, 0, 0, ratio, 0, 0);
    c.fillStyle = "#fff";
    c.fillRect(0, 0, width, height);
    c.font = FONT;
    return { c, width, height };
  }

  // Axes -----------------------------------------------------------------------------------------------------------

  const tidy = (value) => (value !== 0 && (Math.abs(value) < 1e-3 || Math.abs(value) >= 1e5) ? value.toExponential(0).replace("+", "") : String(Number(value.toPrecision(4))));

  function ticks([low, high], count) {
    const rough = (high - low) / count;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((digit) => digit * power).find((each) => each >= rough);
    const first = Math.ceil(low / step - 1e-9);
    return Array.from({ length: Math.max(0, Math.floor(high / step + 1e-9) - first + 1) }, (_, k) => (first + k) * step);
  }

  function decades([low, high], count) {  // of logarithms
    const step = Math.max(1, Math.ceil((high - low) / count));
    return ticks([low, high], (high - low) / step).filter((power) => Number.isInteger(power));
  }

  // Ticks, grid and names; returns functions from values to pixels, and clips what follows to the field.
  function axes({ c, width, height }, { x, y, log = false, percent = false, least = -Infinity, rows = height / 45, xName, yName }) {
    const field = { left: 50, right: width - 14, top: yName ? 22 : 8, bottom: height - 34 };
    const [fx, fy] = [(field.right - field.left) / (x[1] - x[0]), (field.bottom - field.top) / (y[1] - y[0])];
    const px = (value) => field.left + fx * (value - x[0]);
    const py = (value) => {  // not far outside, where dashes of what has exploded would take long to draw
      const at = field.bottom - fy * ((log ? Math.log10(value) : value) - y[0]);
      return Math.min(Math.max(at, field.top - 50), field.bottom + 50);
    };
    c.lineWidth = 1;
    c.textBaseline = "middle";
    for (const tick of log ? decades(y, height / 40) : ticks(y, rows)) {
      const at = field.bottom - fy * (tick - y[0]);
      if (tick < least) continue;
      line(c, [[field.left, at], [field.right, at]], HAIR);
      text(c, percent ? `${tidy(100 * tick)} %` : tidy(log ? 10 ** tick : tick), field.left - 6, at, "right");
    }
    c.textBaseline = "alphabetic";
    for (const tick of ticks(x, Math.max(2, width / 90))) text(c, tidy(tick), px(tick), field.bottom + 15, "center");
    text(c, xName, (field.left + field.right) / 2, height - 4, "center");
    if (yName) text(c, yName, 2, 12, "left");
    line(c, [[field.left, field.top], [field.left, field.bottom], [field.right, field.bottom]], GREY);
    c.save();
    c.beginPath();
    c.rect(field.left, field.top, field.right - field.left, field.bottom - field.top);
    c.clip();
    return { px, py, field, end: () => c.restore() };
  }

  function text(c, words, x, y, align, color = INK) {
    c.fillStyle = color;
    c.textAlign = align;
    c.fillText(words, x, y);
  }

  function line(c, points, color, dash = [], width = 1) {
    c.strokeStyle = color;
    c.lineWidth = width;
    c.setLineDash(dash);
    c.beginPath();
    let drawing = false;
    for (const [x, y] of points) {
      if (!Number.isFinite(x) || !Number.isFinite(y)) drawing = false;
      else if (drawing) c.lineTo(x, y);
      else {
        c.moveTo(x, y);
        drawing = true;
      }
    }
    c.stroke();
    c.setLineDash([]);
  }

  function mark(c, kind, x, y, size, color, fill) {
    c.strokeStyle = color;
    c.fillStyle = fill ?? color;
    c.lineWidth = 1.6;
    c.beginPath();
    if (kind === "cross") {
      c.moveTo(x - size, y - size);
      c.lineTo(x + size, y + size);
      c.moveTo(x - size, y + size);
      c.lineTo(x + size, y - size);
    } else if (kind === "triangle") {
      c.moveTo(x, y - 1.2 * size);
      c.lineTo(x + 1.1 * size, y + 0.8 * size);
      c.lineTo(x - 1.1 * size, y + 0.8 * size);
      c.closePath();
    } else if (kind === "square") c.rect(x - size, y - size, 2 * size, 2 * size);
    else c.arc(x, y, size, 0, 2 * Math.PI);
    if (kind !== "cross" && fill !== null) c.fill();
    c.stroke();
  }

  // Curves along the steps -----------------------------------------------------------------------------------------

  // curves: {name: values}, drawn as the learner of this name, or as the network. `least` is the least upper end of a
  // linear axis, so that small values look small; `most` is the largest one. `level` is a {value, name} to be marked.
  function chart(canvas, { times, curves, log = false, percent = false, least = 0, most = Infinity, level = null }) {
    const place = begin(canvas);
    const all = Object.values(curves).flat().filter((value) => Number.isFinite(value) && (!log || value > 0));
    const top = Math.min(all.reduce((a, b) => Math.max(a, b), log ? 1e-300 : least), most);
    const bottom = log ? all.reduce((a, b) => Math.min(a, b), top) : 0;
    const y = log ? [Math.min(Math.floor(Math.log10(Math.max(bottom, top * 1e-14)) * 2 - 0.1) / 2, Math.log10(top) - 1.4), Math.log10(top) + 0.2] : [0, top * 1.05];
    const x = [0, Math.max(10, times[times.length - 1])];
    const { px, py, end } = axes(place, { x, y, log, percent, xName: "gradient step" });
    for (const [name, values] of Object.entries(curves)) {
      const style = LEARNERS[name] ?? LEARNERS.network;
      line(place.c, values.map((value, k) => [px(times[k]), log && value <= 0 ? NaN : py(value)]), style.color, style.dash, style.width);
    }
    if (level) {
      line(place.c, [[px(x[0]), py(level.value)], [px(x[1]), py(level.value)]], INK, [6, 4], 1.2);
      label(place, level.name, px(x[1]) - 4, beside(place, level, times, Object.values(curves).flat(), { px, py, right: px(x[1]) }), "right");
    }
    end();
    if (times.length < 2) label(place, "not yet run", (px(0) + px(x[1])) / 2, place.height / 2 - 10, "center", GREY);
  }

  // Where the name of a level stands at the right end: on its line, or on the curve if this goes through the name.
  function beside({ c }, { value, name }, times, values, { px, py, right }) {
    const [left, on] = [right - c.measureText(name).width - 8, py(value) - 6];
    const near = values.map(py).filter((y, k) => px(times[k % times.length]) >= left && Number.isFinite(y));
    return near.some((y) => y > on - 15 && y < on + 3) ? Math.max(22, Math.min(...near) - 6) : on;
  }

  function label({ c }, words, x, y, align, color = INK) {  // with a white edge, so that no line goes through it
    c.textAlign = align;
    [c.strokeStyle, c.lineWidth, c.lineJoin] = ["#fff", 5, "round"];
    c.strokeText(words, x, y);
    text(c, words, x, y, align, color);
  }

  // What the learners say ------------------------------------------------------------------------------------------

  function curve(canvas, { x, grid, y, truth }, predicted, outputs, diverged) {
    const place = begin(canvas);
    const size = 1.7 * y.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
    const found = axes(place, { x: [grid[0], grid[grid.length - 1]], y: [-size, size], xName: "input", yName: "output" });
    const { px, py } = found;
    const through = (values) => Array.from(values, (value, k) => [px(grid[k]), py(value)]);
    line(place.c, through(truth), "#cfcfcf", [], 6);
    for (const [name, { color, dash, width }] of Object.entries(LEARNERS)) {
      if (!diverged[name]) line(place.c, through(predicted[name]), color, dash, 1.15 * width);
    }
    x.forEach((each, k) => mark(place.c, "circle", px(each), py(y[k]), 4.5, "#fff", INK));
    found.end();
    const lost = Object.keys(diverged).map((name) => LEARNERS[name].label);
    const names = place.width > 500 ? `: ${lost.join(", ")}` : "";
    if (lost.length) text(place.c, `exploded, not drawn${names}`, place.width - 14, 12, "right");
  }

  // Outputs as colours, purple above 0 and green below, one map for each learner. Rounding errors around 0 are grey.
  const TINTS = [[[231, 212, 232], [118, 42, 131]], [[217, 240, 211], [27, 120, 55]]];
  function tint(value) {
    if (Math.abs(value) < 1e-9) return [240, 240, 240];
    const [pale, full] = TINTS[value > 0 ? 0 : 1];
    const share = Math.min(Math.abs(value), 1.5) / 1.5;
    return pale.map((each, k) => each + (full[k] - each) * share);
  }

  function maps(canvas, { places, side, axis, y }, predicted) {
    const { c, width, height } = begin(canvas);
    const room = Math.min((width - 20) / 3, height - 26);
    const left = (width - 3 * room - 20) / 2;
    const small = document.createElement("canvas");
    [small.width, small.height] = [side, side];
    const pixels = small.getContext("2d");
    const reach = axis[axis.length - 1];
    Object.entries(LEARNERS).forEach(([name, { label }], k) => {
      const image = pixels.createImageData(side, side);
      predicted[name].forEach((value, cell) => {
        const row = side - 1 - Math.floor(cell / side);
        image.data.set([...tint(value), 255], 4 * (row * side + (cell % side)));
      });
      pixels.putImageData(image, 0, 0);
      const at = left + k * (room + 10);
      c.drawImage(small, at, 22, room, room);
      text(c, label, at + room / 2, 14, "center");
      const scale = (value) => (room / 2) * (1 + (value / reach) * ((side - 1) / side));
      places.forEach(([a, b], i) => {
        const kind = y[i] > 0 ? "circle" : "triangle";
        mark(c, kind, at + scale(a), 22 + room - scale(b), room > 150 ? 5 : 3.5, "#000", y[i] > 0 ? "#e7d4e8" : "#d9f0d3");
      });
    });
  }

  // One column for each sequence: its target as a grey bar, the learners' outputs as marks, and its signs below. On a
  // narrow screen the unseen sequences have a row of their own.
  const MARKS = { network: "circle", linearized: "square", kernel: "cross" };
  function sequences(canvas, { seen, unseen, y, truth }, predicted, outputs) {
    const place = begin(canvas);
    const columns = (name, all, targets, of) => all.map((signs, k) =>
      ({ name, signs, target: targets[k], outputs: Object.fromEntries(Object.keys(MARKS).map((each) => [each, of[each][k]])) }));
    const parts = [columns("training", seen, y, outputs), columns("unseen", unseen, truth, predicted)];
    const bands = place.width < 500 ? parts : [parts.flat()];
    const height = (place.height - 18) / bands.length;
    bands.forEach((all, k) => {
      place.c.save();
      place.c.translate(0, k * height);
      band({ ...place, height: height + 26 }, all);
      place.c.restore();
    });
    place.c.clearRect(0, place.height - 18, place.width, 18);
    text(place.c, "each column: one sequence, its first sign on top", place.width / 2, place.height - 5, "center");
  }

  function band(place, all) {
    const { c } = place;
    const { px, py, field, end } = axes(place, { x: [-1, all.length], y: [-3.4, 1.9], least: -1.6, rows: 6, xName: "", yName: "output" });
    const step = px(1) - px(0);
    c.fillStyle = "#fff";
    c.fillRect(field.left + 1, py(-1.75), field.right - field.left, field.bottom - py(-1.75));
    all.forEach(({ signs, target }, k) => {
      line(c, [[px(k) - 0.45 * step, py(target)], [px(k) + 0.45 * step, py(target)]], "#b5b5b5", [], 6);
      const high = (field.bottom - py(-1.8)) / signs.length;
      signs.forEach((sign, t) => {
        c.fillStyle = sign > 0 ? INK : "#d0d0d0";
        c.fillRect(px(k) - 0.35 * step, py(-1.8) + t * high, 0.7 * step, high - 1);
      });
    });
    for (const name of ["linearized", "kernel", "network"]) {
      const [size, { color }] = [Math.min(3.5, 0.3 * step), LEARNERS[name]];
      all.forEach(({ outputs }, k) => mark(c, MARKS[name], px(k), py(outputs[name]), size, color, name === "network" ? color : null));
    }
    const borders = all.map((_, k) => k).filter((k) => k === 0 || all[k].name !== all[k - 1].name);
    for (const k of borders.slice(1)) line(c, [[px(k - 0.5), field.top], [px(k - 0.5), field.bottom]], INK, [4, 3]);
    end();
    borders.forEach((k, i) => text(c, all[k].name, (px(k) + px((borders[i + 1] ?? all.length) - 1)) / 2, 14, "center"));
    c.clearRect(0, field.bottom + 2, place.width, 40);  // the numbers of the columns mean nothing
  }

  // Kernels --------------------------------------------------------------------------------------------------------

  // Values from −1 to 1: blue above 0, brown below, always on the same scale. Lines at the `border` between two classes.
  const shade = (value) => {
    const full = value >= 0 ? [8, 48, 107] : [127, 39, 4];
    return `rgb(${full.map((each) => Math.round(255 + (each - 255) * Math.min(Math.abs(value), 1))).join(" ")})`;
  };

  function matrix(canvas, values, { n, border = 0, means = null }) {
    const { c, width, height } = begin(canvas);
    const side = Math.min(width - 34, height - 20);
    const left = Math.max(0, (width - side - 34) / 2);
    const cell = side / n;
    values.forEach((value, k) => {
      c.fillStyle = shade(value);
      c.fillRect(left + (k % n) * cell, Math.floor(k / n) * cell, cell + 0.5, cell + 0.5);
    });
    c.strokeStyle = GREY;
    c.strokeRect(left + 0.5, 0.5, side - 1, side - 1);
    if (border > 0) {
      line(c, [[left + border * cell, 0], [left + border * cell, side]], INK);
      line(c, [[left, border * cell], [left + side, border * cell]], INK);
    }
    scale(c, left + side + 8, side);
    if (!means) return;
    const [same, other] = [means.within, means.across].map((value) => value.toFixed(2));
    text(c, width > 200 ? `same class ${same}, other ${other}` : `same ${same}, other ${other}`, width / 2, side + 15, "center");
  }

  function scale(c, left, side) {  // what the colours mean
    const key = c.createLinearGradient(0, 0, 0, side);
    for (const value of [1, 0, -1]) key.addColorStop((1 - value) / 2, shade(value));
    c.fillStyle = key;
    c.fillRect(left, 0, 9, side);
    c.strokeStyle = GREY;
    c.strokeRect(left + 0.5, 0.5, 8, side - 1);
    for (const [name, y] of [["1", 10], ["0", side / 2 + 4], ["−1", side - 1]]) text(c, name, left + 13, y, "left");
  }

  function spectrum(canvas, start, now, edge) {
    const place = begin(canvas);
    const { c } = place;
    const largest = Math.max(start[0], edge, Number.isFinite(now[0]) ? Math.min(now[0], 1e3 * edge) : 0);
    const least = Math.max(1e-6 * largest, Math.min(...[...start, ...now].filter((value) => value > 0)));
    const y = [Math.log10(least) - 0.3, Math.log10(largest) + 1];
    const found = axes(place, { x: [0, start.length + 1], y, log: true, xName: "rank (1: the largest)", yName: "" });
    const { px, py } = found;
    line(c, [[px(0), py(edge)], [px(start.length + 1), py(edge)]], INK, [6, 4], 1.2);
    start.forEach((value, k) => value > 0 && mark(c, "circle", px(k + 1), py(value), 5, GREY, null));
    now.forEach((value, k) => value > 0 && mark(c, "circle", px(k + 1), py(value), 2.5, LEARNERS.network.color));
    text(c, "limit", px(start.length + 1) - 4, py(edge) - 5, "right");
    found.end();
  }

  return { use, chart, curve, maps, sequences, matrix, spectrum };
})();
