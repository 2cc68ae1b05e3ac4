"use strict";
// The three learners in float64, without a page: the mathematics of the package `lab` in plain JavaScript.
// tests/comparisons/play/test_engine.py compares every function here with the library, given the same weights.
const Engine = (() => {
  // Numbers ---------------------------------------------------------------------------------------------------------

  // erf x = 2/√π · exp(−x²) · Σ_k 2^k x^(2k+1)/(1·3·…·(2k+1)). All terms have one sign, so nothing cancels.
  const INVERSE_ODD = Float64Array.from({ length: 200 }, (_, k) => 1 / (2 * k + 1));
  function erf(x) {
    if (Math.abs(x) > 6) return Math.sign(x);
    const twice = 2 * x * x;
    let term = x;
    let sum = x;
    for (let k = 1; Math.abs(term) > 1e-17 * Math.abs(sum); k += 1) {
      term *= twice * INVERSE_ODD[k];
      sum += term;
    }
    return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
  }

  // φ and its derivative, given g and φ(g). relu'(0) = 0, as torch has it.
  const ACTIVATIONS = {
    relu: { value: (g) => (g > 0 ? g : 0), slope: (g) => (g > 0 ? 1 : 0), gated: true },
    erf: { value: erf, slope: (g) => (2 / Math.sqrt(Math.PI)) * Math.exp(-g * g), gated: false },
    tanh: { value: Math.tanh, slope: (g, h) => 1 - h * h, gated: false },
  };

  // A seeded stream of random numbers: the generator "mulberry32" (T. Ettinger), two calls for 53 bits, and normal
  // numbers by Box and Muller. It is not torch's: the tests carry the weights from here to torch.
  function generator(seed) {
    let state = Math.imul(seed + 1, 0x9e3779b1) >>> 0;
    const bits = () => {
      state = (state + 0x6d2b79f5) >>> 0;
      let mixed = Math.imul(state ^ (state >>> 15), state | 1);
      mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
      return (mixed ^ (mixed >>> 14)) >>> 0;
    };
    const uniform = () => ((bits() >>> 5) * 67108864 + (bits() >>> 6)) / 9007199254740992;  // in [0, 1)
    const normal = () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
    return { uniform, normal };
  }

  function dot(a, b, from = 0, length = b.length) {  // of b and of a piece of a; four sums keep the processor busy
    let [s, t, u, v] = [0, 0, 0, 0];
    let k = 0;
    for (; k + 3 < length; k += 4) {
      s += a[from + k] * b[k];
      t += a[from + k + 1] * b[k + 1];
      u += a[from + k + 2] * b[k + 2];
      v += a[from + k + 3] * b[k + 3];
    }
    for (; k < length; k += 1) s += a[from + k] * b[k];
    return s + t + (u + v);
  }

  // Add a factor times some values, or a piece of them, to a target from some place on.
  function add(target, factor, values, into = 0, from = 0, length = values.length) {
    for (let k = 0; k < length; k += 1) target[into + k] += factor * values[from + k];
  }

  const norm = (values) => Math.sqrt(dot(values, values));
  const distance = (a, b) => Math.sqrt(a.reduce((sum, value, k) => sum + (value - b[k]) ** 2, 0));
  const rms = (values) => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);

  // Eigenvalues of a symmetric n × n matrix, largest first, by Jacobi's rotations.
  function eigenvalues(matrix, n) {
    const a = Float64Array.from(matrix);
    for (let sweep = 0; sweep < 60; sweep += 1) {
      let off = 0;
      for (let p = 0; p < n; p += 1) for (let q = 0; q < p; q += 1) off += a[p * n + q] ** 2;
      if (off <= 1e-32 * dot(a, a)) break;
      for (let p = 0; p < n; p += 1) for (let q = 0; q < p; q += 1) rotate(a, n, p, q);
    }
    return Float64Array.from({ length: n }, (_, k) => a[k * n + k]).sort().reverse();
  }

  function rotate(a, n, p, q) {  // so that entry (p, q) becomes 0
    if (a[p * n + q] === 0) return;
    const ratio = (a[q * n + q] - a[p * n + p]) / (2 * a[p * n + q]);
    const tangent = (ratio >= 0 ? 1 : -1) / (Math.abs(ratio) + Math.hypot(1, ratio));
    const c = 1 / Math.hypot(1, tangent);
    const s = tangent * c;
    const turn = (i, j) => {
      const [x, y] = [a[i], a[j]];
      a[i] = c * x - s * y;
      a[j] = s * x + c * y;
    };
    for (let k = 0; k < n; k += 1) turn(k * n + p, k * n + q);
    for (let k = 0; k < n; k += 1) turn(p * n + k, q * n + k);
  }

  // Losses of one output f and target y: value, derivative in f, and second derivative at f = 0. ---------------------

  const LOSSES = {
    squared: { value: (f, y) => 0.5 * (f - y) ** 2, gradient: (f, y) => f - y, curvature: 1 },
    logistic: {
      value: (f, y) => Math.max(-y * f, 0) + Math.log1p(Math.exp(-Math.abs(f))),  // log(1 + exp(−y f)), y = ±1
      gradient: (f, y) => -y / (1 + Math.exp(y * f)),
      curvature: 0.25,
    },
  };

  // Networks --------------------------------------------------------------------------------------------------------
  //
  // Both have all weights θ in one array, drawn from N(0, 1), and multipliers in front of them (the "ntk"
  // parametrization of the library). A derivative is a list of uses {at, delta, input}: each use of a weight matrix,
  // which begins at place `at` of θ, multiplies `input` and gets back `delta`, and ∂f/∂(matrix) = Σ delta inputᵀ.
  // Shared weights, such as those of the recurrent network, are used more than once.

  const SIGMA = Math.SQRT2;  // σ_u, and σ_w of the two-layer network; σ_v is 1

  // f = v·φ(σ_w/√p U x)/√m for one input x of p numbers.
  function twoLayer({ width: m, inputs: p, activation }) {
    const phi = ACTIVATIONS[activation];
    const [scaleU, scaleV] = [SIGMA / Math.sqrt(p), 1 / Math.sqrt(m)];
    const [U, v] = [0, m * p];
    function factors(theta, x) {
      const [delta, h] = [new Float64Array(m), new Float64Array(m)];
      let output = 0;
      for (let i = 0; i < m; i += 1) {
        const g = scaleU * dot(theta, x, U + i * p, p);
        h[i] = phi.value(g);
        output += scaleV * theta[v + i] * h[i];
        delta[i] = scaleV * scaleU * theta[v + i] * phi.slope(g, h[i]);
      }
      const uses = [{ at: U, delta, input: x }, { at: v, delta: [scaleV], input: h }];
      return { output, uses, gates: phi.gated ? [h.map(Math.sign)] : null };
    }
    const output = (theta, x) => {
      let sum = 0;
      for (let i = 0; i < m; i += 1) sum += theta[v + i] * phi.value(scaleU * dot(theta, x, U + i * p, p));
      return scaleV * sum;
    };
    return { size: m * p + m, shapes: { U: [m, p], v: [1, m] }, factors, output };
  }

  // g_t = σ_w/√m W h_{t−1} + σ_u/√p A x_t, h_t = φ(g_t), h_0 = 0, f = B·h_L/√m for a sequence x of L·p numbers.
  // `variance` is σ_w²: each entry of the recurrent matrix σ_w/√m W has the variance σ_w²/m.
  function elman({ width: m, inputs, length: L, activation, variance = 2 }) {
    const p = inputs / L;
    const phi = ACTIVATIONS[activation];
    const [scaleW, scaleA, scaleB] = [Math.sqrt(variance / m), SIGMA / Math.sqrt(p), 1 / Math.sqrt(m)];
    const [W, A, B] = [0, m * m, m * m + m * p];
    function states(theta, x) {
      const [g, h] = [[], []];
      for (let t = 0; t < L; t += 1) {
        g.push(new Float64Array(m));
        h.push(new Float64Array(m));
        const xt = x.subarray(t * p, (t + 1) * p);
        for (let i = 0; i < m; i += 1) {
          const recurrent = t ? scaleW * dot(theta, h[t - 1], W + i * m, m) : 0;
          g[t][i] = recurrent + scaleA * dot(theta, xt, A + i * p, p);
          h[t][i] = phi.value(g[t][i]);
        }
      }
      return { g, h };
    }
    function factors(theta, x) {
      const { g, h } = states(theta, x);
      const uses = [{ at: B, delta: [scaleB], input: h[L - 1] }];
      let arriving = theta.slice(B, B + m).map((weight) => scaleB * weight);  // ∂f/∂h_t, from the last t backwards
      for (let t = L - 1; t >= 0; t -= 1) {
        const before = new Float64Array(m);
        const [ofW, ofA] = [new Float64Array(m), new Float64Array(m)];
        for (let i = 0; i < m; i += 1) {
          const delta = arriving[i] * phi.slope(g[t][i], h[t][i]);
          [ofW[i], ofA[i]] = [scaleW * delta, scaleA * delta];
          if (t && delta !== 0) add(before, ofW[i], theta, 0, W + i * m, m);
        }
        uses.push({ at: A, delta: ofA, input: x.subarray(t * p, (t + 1) * p) });
        if (t) uses.push({ at: W, delta: ofW, input: h[t - 1] });
        arriving = before;
      }
      const output = scaleB * dot(theta, h[L - 1], B, m);
      return { output, uses, gates: phi.gated ? h.map((state) => state.map(Math.sign)) : null };
    }
    const output = (theta, x) => scaleB * dot(theta, states(theta, x).h[L - 1], B, m);
    return { size: m * m + m * p + m, shapes: { W: [m, m], A: [m, p], B: [1, m] }, factors, output };
  }

  const NETWORKS = { "two-layer": twoLayer, elman };

  // Algebra of derivatives ------------------------------------------------------------------------------------------

  // target += factor · ∂f/∂θ
  function pull(uses, factor, target) {
    for (const { at, delta, input } of uses) {
      for (let i = 0; i < delta.length; i += 1) {
        if (delta[i] !== 0) add(target, factor * delta[i], input, at + i * input.length);
      }
    }
  }

  // ∂f/∂θ · direction
  function push(uses, direction) {
    let sum = 0;
    for (const { at, delta, input } of uses) {
      for (let i = 0; i < delta.length; i += 1) {
        if (delta[i] !== 0) sum += delta[i] * dot(direction, input, at + i * input.length, input.length);
      }
    }
    return sum;
  }

  // ⟨∂f/∂θ, ∂f'/∂θ⟩ of two samples. Uses of one matrix at different times count, too.
  function gram(uses, others) {
    let sum = 0;
    for (const one of uses) {
      for (const other of others) {
        if (one.at === other.at) sum += dot(one.delta, other.delta) * dot(one.input, other.input);
      }
    }
    return sum;
  }

  // Every kernel value of two lists of samples, row by row, times α². Of one list with itself half are computed.
  function kernel(rows, columns, alpha) {
    const values = new Float64Array(rows.length * columns.length);
    rows.forEach((row, i) => columns.forEach((column, j) => {
      const known = rows === columns && j < i;
      values[i * columns.length + j] = known ? values[j * columns.length + i] : alpha * alpha * gram(row.uses, column.uses);
    }));
    return values;
  }

  // Training --------------------------------------------------------------------------------------------------------

  const DIVERGED = 1e6;  // times the larger of the first loss and, for the squared loss, ½Σy²

  // The three learners on one task, from one initialization. Outputs are α(f(θ, x) − f(θ₀, x)), so they begin at 0.
  // A task has `train` and `test` inputs (lists of Float64Array), targets `y` of the training set, and `length`.
  class Session {
    constructor(settings, task) {
      Object.assign(this, { settings, task, step: 0, n: task.train.length });
      const { width, activation, variance } = settings;
      const shape = { width, activation, variance, inputs: task.train[0].length, length: task.length };
      this.network = NETWORKS[settings.network](shape);
      this.loss = LOSSES[settings.loss];
      this.alpha = settings.alpha * (settings.style === "mean_field" ? 2 / Math.sqrt(width) : 1);
      const { normal } = generator(settings.seed);
      this.start = Float64Array.from({ length: this.network.size }, normal);
      this.begin();
    }

    begin() {
      const { n, task, network } = this;
      this.theta = this.start.slice();
      this.motion = new Float64Array(network.size);  // v of the linear model f = J₀v, in weight space
      this.weights = new Float64Array(n);  // a of the kernel regressor f = K₀a
      this.first = task.train.map((x) => network.factors(this.start, x));
      this.firstTest = task.test.map((x) => network.factors(this.start, x));
      this.kernel = kernel(this.first, this.first, this.alpha);
      this.testKernel = kernel(this.firstTest, this.first, this.alpha);
      this.eigenvalues = eigenvalues(this.kernel, n);
      this.rate = (2 * this.settings.fraction) / (this.loss.curvature * this.eigenvalues[0]);
      this.outputs = { network: new Float64Array(n), linearized: new Float64Array(n), kernel: new Float64Array(n) };
      this.now = this.first;
      this.diverged = {};  // by learner: the step at which it did
      const first = this.lossOf("network");
      this.highest = { gap: 0, loss: first };
      this.firstLoss = first;
      const floor = this.settings.loss === "squared" ? 0.5 * dot(task.y, task.y) : 0;
      this.limit = DIVERGED * Math.max(first, floor);
    }

    lossOf(name) {
      return this.outputs[name].reduce((sum, f, i) => sum + this.loss.value(f, this.task.y[i]), 0);
    }

    // One step of gradient descent of every learner that has not diverged.
    advance() {
      const { n, alpha, rate, outputs } = this;
      const slopes = (name) => outputs[name].map((f, i) => this.loss.gradient(f, this.task.y[i]));
      const goes = (name) => this.diverged[name] === undefined;
      if (goes("network")) {
        slopes("network").forEach((slope, i) => pull(this.now[i].uses, -rate * alpha * slope, this.theta));
        this.now = this.task.train.map((x) => this.network.factors(this.theta, x));
        outputs.network = Float64Array.from(this.now, ({ output }, i) => alpha * (output - this.first[i].output));
      }
      if (goes("linearized")) {
        slopes("linearized").forEach((slope, i) => pull(this.first[i].uses, -rate * alpha * slope, this.motion));
        outputs.linearized = Float64Array.from(this.first, ({ uses }) => alpha * push(uses, this.motion));
      }
      if (goes("kernel")) {
        add(this.weights, -rate, slopes("kernel"));
        outputs.kernel = Float64Array.from({ length: n }, (_, i) => dot(this.kernel, this.weights, i * n, n));
      }
      this.step += 1;
      for (const name of Object.keys(outputs).filter(goes)) {
        if (!(this.lossOf(name) <= this.limit)) this.diverged[name] = this.step;
      }
      this.highest.gap = Math.max(this.highest.gap, this.gap());
      this.highest.loss = Math.max(this.highest.loss, this.lossOf("network"));
    }

    // Outputs of the three learners on the test inputs.
    predict() {
      const { alpha, n, firstTest } = this;
      return {
        network: Float64Array.from(this.task.test, (x, i) => alpha * (this.network.output(this.theta, x) - firstTest[i].output)),
        linearized: Float64Array.from(firstTest, ({ uses }) => alpha * push(uses, this.motion)),
        kernel: Float64Array.from(firstTest, (_, i) => dot(this.testKernel, this.weights, i * n, n)),
      };
    }

    // The gap's unit: the spread of the targets, or for other losses how far the linear model has come.
    unit() {
      if (this.settings.loss !== "squared") return rms(this.outputs.linearized);
      const mean = this.task.y.reduce((sum, value) => sum + value, 0) / this.n;
      return rms(this.task.y.map((value) => value - mean));
    }

    // RMS of (network − linear model) on the training points.
    gap() {
      if (this.diverged.network || this.diverged.linearized) return Infinity;
      return distance(this.outputs.network, this.outputs.linearized) / Math.sqrt(this.n) / this.unit();
    }

    // Scalars of this step.
    look() {
      return {
        step: this.step,
        loss: { network: this.lossOf("network"), linearized: this.lossOf("linearized"), kernel: this.lossOf("kernel") },
        gap: this.gap(),
        motion: distance(this.theta, this.start) / norm(this.start),
        flips: this.flips(),
      };
    }

    // Share of gates (samples, time steps, units) that are not as they were; null without gates.
    flips() {
      if (!this.first[0].gates) return null;
      let [changed, all] = [0, 0];
      this.now.forEach(({ gates }, i) => gates.forEach((units, t) => units.forEach((gate, unit) => {
        changed += gate !== this.first[i].gates[t][unit];
        all += 1;
      })));
      return changed / all;
    }

    // The kernel now, its eigenvalues, and its drift ‖K − K₀‖/‖K₀‖.
    kernelNow() {
      const matrix = kernel(this.now, this.now, this.alpha);
      return { matrix, values: eigenvalues(matrix, this.n), drift: distance(matrix, this.kernel) / norm(this.kernel) };
    }
  }

  // K(x, x')/√(K(x, x) K(x', x')), from −1 to 1: what a step on one point does at the other, compared with what each
  // does at itself. It is 0 where a point has no derivative at all.
  function relative(matrix, n) {
    return matrix.map((value, k) => {
      const size = Math.sqrt(matrix[Math.floor(k / n) * (n + 1)] * matrix[(k % n) * (n + 1)]);
      return size > 0 ? value / size : 0;
    });
  }

  // Means of a relative kernel over the pairs of one class (`within`) and over those of different classes (`across`).
  function alike(matrix, y) {
    const n = y.length;
    const [values, sums] = [relative(matrix, n), { within: [0, 0], across: [0, 0] }];
    for (let i = 0; i < n; i += 1) {
      for (let j = 0; j < i; j += 1) {
        const sum = sums[y[i] === y[j] ? "within" : "across"];
        [sum[0], sum[1]] = [sum[0] + values[i * n + j], sum[1] + 1];
      }
    }
    return { within: sums.within[0] / sums.within[1], across: sums.across[0] / sums.across[1] };
  }

  // What came out so far, by name; the stories speak of these. `predicted` are outputs on the test inputs.
  function facts(session, predicted = session.predict()) {
    const { matrix, values, drift } = session.kernelNow();
    const { truth, classes, y } = session.task;
    const right = (name) => (classes ? predicted[name].filter((f, i) => f * truth[i] > 0).length : null);
    const share = (name) => session.lossOf(name) / session.firstLoss;
    const [then, now] = [session.kernel, matrix].map((each) => (classes ? alike(each, y) : { within: null, across: null }));
    const found = {
      ...session.look(), largestGap: session.highest.gap, drift,
      withinStart: then.within, acrossStart: then.across, withinNow: now.within, acrossNow: now.across,
      networkLoss: share("network"), linearLoss: share("linearized"), peak: session.highest.loss / session.firstLoss,
      sharpness: (values[0] * session.rate * session.loss.curvature) / 2,  // 1 at the edge
      networkDiverged: session.diverged.network ?? null, linearDiverged: session.diverged.linearized ?? null,
      networkRight: right("network"), linearRight: right("linearized"), kernelRight: right("kernel"), unseen: truth.length,
    };
    return { found, predicted, matrix, values };
  }

  return { facts, erf, generator, eigenvalues, kernel, relative, rms, distance, ACTIVATIONS, LOSSES, NETWORKS, Session };
})();
