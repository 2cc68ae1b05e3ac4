"use strict";
// Trains aside, so that the page stays responsive. Requests are {kind, id, …}; every one gets one answer {kind, id, …}.
let session;

// What the page draws of this moment.
function frame(looks) {
  const { found, predicted, matrix, values } = Engine.facts(session);
  return { looks, predicted, outputs: session.outputs, matrix, values, facts: found, diverged: session.diverged };
}

const ANSWERS = {
  begin({ settings }) {
    const task = Tasks.make(settings.task, settings.noise);
    session = new Engine.Session(settings, task);
    const { train, test, ...picture } = task;
    const edge = 2 / (session.rate * session.loss.curvature);  // eigenvalues above it are too large for this rate
    const start = { matrix: session.kernel, values: session.eigenvalues, edge, rate: session.rate };
    return { picture, start, weights: session.network.size, ...frame([session.look()]) };
  },

  // At most so many steps, not much longer than 50 milliseconds, and none when everything has diverged.
  advance({ count }) {
    const [looks, begun] = [[], performance.now()];
    while (looks.length < count && performance.now() - begun < 50 && Object.keys(session.diverged).length < 3) {
      session.advance();
      looks.push(session.look());
    }
    return frame(looks);
  },
};

addEventListener("message", ({ data }) => {
  try {
    postMessage({ kind: data.kind, id: data.id, ...ANSWERS[data.kind](data) });
  } catch (error) {
    postMessage({ kind: "failed", id: data.id, message: String(error) });
  }
});
