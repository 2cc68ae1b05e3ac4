"use strict";
// Trains aside, so that the page stays responsive. Requests are {kind, id, …}; every one gets one answer {kind, id, …}.
let session;
const last = { predicted: null, step: -1, time: 0, cost: 0 };  // the last outputs on the test inputs

// Outputs on the test inputs. They may be stale where they cost much, so that training takes most of the time.
function predictions(fresh) {
  const begun = performance.now();
  if (fresh || begun - last.time > 4 * last.cost) {
    const predicted = session.predict();
    Object.assign(last, { predicted, step: session.step, time: performance.now(), cost: performance.now() - begun });
  }
  return last.predicted;
}

// What the page draws of this moment.
function frame(looks, fresh) {
  const { found, predicted, matrix, values } = Engine.facts(session, predictions(fresh));
  const stale = last.step !== session.step;
  return { looks, predicted, stale, outputs: session.outputs, matrix, values, facts: found, diverged: session.diverged };
}

const ANSWERS = {
  begin({ settings }) {
    const task = Tasks.make(settings.task, settings.noise);
    session = new Engine.Session(settings, task);
    const { train, test, ...picture } = task;
    const edge = 2 / (session.rate * session.loss.curvature);  // eigenvalues above it are too large for this rate
    const start = { matrix: session.kernel, values: session.eigenvalues, edge, rate: session.rate };
    return { picture, start, weights: session.network.size, ...frame([session.look()], true) };
  },

  // At most so many steps, not much longer than 50 milliseconds, and none when everything has diverged.
  advance({ count, fresh }) {
    const [looks, begun] = [[], performance.now()];
    while (looks.length < count && performance.now() - begun < 50 && Object.keys(session.diverged).length < 3) {
      session.advance();
      looks.push(session.look());
    }
    return frame(looks, fresh);
  },
};

addEventListener("message", ({ data }) => {
  try {
    postMessage({ kind: data.kind, id: data.id, ...ANSWERS[data.kind](data) });
  } catch (error) {
    postMessage({ kind: "failed", id: data.id, message: String(error) });
  }
});
