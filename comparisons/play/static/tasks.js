"use strict";
// What is learnt. A task has inputs of the training and of the test set (lists of Float64Array), targets of both (`y`,
// with the noise that was asked for, and `truth`), `length` of the sequence that the recurrent network reads, and the
// coordinates that its picture needs. Points in the line and in the plane get a last feature 1, in place of a bias.
const Tasks = (() => {
  const READ = 2;  // times that a recurrent network reads a point, so that its recurrent weights matter
  const point = (...features) =>
    Float64Array.from({ length: READ * features.length }, (_, k) => features[k % features.length]);
  const range = (count, from, to) =>
    Float64Array.from({ length: count }, (_, k) => from + ((to - from) * k) / (count - 1));

  // Ten values of a sine; the test set is the curve between and a little beyond them.
  function curve(noise, { normal }) {
    const [x, grid] = [range(10, -1, 1), range(81, -1.25, 1.25)];
    const [truth, at] = [(each) => Math.sin(4 * each), (each) => point(2 * each, 1)];
    return {
      kind: "curve", x, grid, length: READ, classes: false, train: Array.from(x, at), test: Array.from(grid, at),
      y: x.map((each) => truth(each) + noise * normal()), truth: grid.map(truth),
    };
  }

  // Points in the plane with classes ±1; the test set is a square lattice, row by row from below.
  const SIDE = 21;
  function plane(places, label, noise, { normal }) {
    const moved = places.map(([a, b]) => [a + noise * normal(), b + noise * normal()]);
    const axis = Array.from(range(SIDE, -2, 2));
    const lattice = axis.flatMap((b) => axis.map((a) => [a, b]));
    const at = ([a, b]) => point(a, b, 1);
    return {
      kind: "plane", places: moved, side: SIDE, axis, length: READ, classes: true,
      train: moved.map(at), test: lattice.map(at),
      y: Float64Array.from(places, label), truth: Float64Array.from(lattice, label),
    };
  }

  // Four clouds in the corners of a square; clouds at opposite corners are of one class.
  const CORNERS = [1, 5, 3, 7].map((odd) => (odd * Math.PI) / 4);
  const xor = (noise, random) => plane(
    CORNERS.flatMap((angle) => Array.from({ length: 3 }, () => [Math.cos(angle), Math.sin(angle)]
      .map((each) => 1.5 * each + 0.2 * random.normal()))),
    ([a, b]) => (a * b > 0 ? 1 : -1), noise, random,
  );

  // One class inside, the other around it.
  const ring = (noise, random) => plane(
    Array.from({ length: 14 }, (_, k) => (k < 5 ? [0.5, (2 * Math.PI * k) / 5] : [1.6, (2 * Math.PI * k) / 9]))
      .map(([radius, angle]) => [radius * Math.cos(angle), radius * Math.sin(angle)]),
    ([a, b]) => (Math.hypot(a, b) < 1.05 ? 1 : -1), noise, random,
  );

  // All sequences of six signs, labelled ±1. The same 24 are for training whatever the label. Each
  // part is sorted by it, then by the first and the last sign, so that groups are blocks of the kernel.
  function sequences(label, noise, random) {
    const all = Array.from({ length: 64 }, (_, k) => Array.from({ length: 6 }, (_, t) => ((k >> t) & 1 ? 1 : -1)));
    for (let k = 63; k > 0; k -= 1) {  // shuffled
      const other = Math.floor(random.uniform() * (k + 1));
      [all[k], all[other]] = [all[other], all[k]];
    }
    const sorted = (part) => part.sort((one, other) => label(other) - label(one) || other[0] - one[0] || other[5] - one[5]);
    const [seen, unseen] = [sorted(all.slice(0, 24)), sorted(all.slice(24))];
    const inputs = (signs, size) => Float64Array.from(signs.flatMap((sign) => [sign + size * random.normal(), 1]));
    return {
      kind: "sequences", seen, unseen, length: 6, classes: true,
      train: seen.map((signs) => inputs(signs, noise)), test: unseen.map((signs) => inputs(signs, 0)),
      y: Float64Array.from(seen, label), truth: Float64Array.from(unseen, label),
    };
  }

  const MAKERS = {
    curve, xor, ring,
    sequences: (noise, random) => sequences((signs) => signs[0] * signs[5], noise, random),  // do first and last agree?
    first: (noise, random) => sequences((signs) => signs[0], noise, random),
    last: (noise, random) => sequences((signs) => signs[5], noise, random),
  };
  const DATA_SEED = 1001;  // the data stay when the seed of the network changes
  const make = (name, noise) => MAKERS[name](noise, Engine.generator(DATA_SEED));

  return { make, names: Object.keys(MAKERS) };
})();
