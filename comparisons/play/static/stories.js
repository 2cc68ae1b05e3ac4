"use strict";
// Five guided stories. A part sets everything, runs so many gradient steps, and names the views and the fact to look
// at. `text` stands there before the run and asks for a guess, `then` appears after it. `holds` are facts about the end
// (see `Engine.facts`): a test runs every part and checks them, so that the texts stay true.
// The parts of a story light the same views where they can: a view that changes its place is taken for another one.
const Stories = (() => {
  const plain = {
    task: "curve", network: "two-layer", width: 128, activation: "erf", style: "ntk", alpha: 1, fraction: 0.5,
    loss: "squared", seed: 1, noise: 0,
  };

  return [
    {
      name: "Make it lazy",
      parts: [
        {
          settings: { ...plain, width: 8, fraction: 0.3 }, see: ["functions", "gap", "motion"], run: 200, look: "largestGap", holds: { largestGap: ["above", 0.21], motion: ["above", 0.64] },
          text: "A small network of 8 units (blue) learns to pass through ten points. Its <em>linear model</em> (orange, dashed) learns beside it. This is the tangent of the network at the start: straight as a function of the weights, though not of the input. Do the two stay together? Guess, then run it.",
          then: "They part. After a few steps its tangent no longer describes this network.",
        },
        {
          settings: { ...plain, width: 512, fraction: 0.3 }, see: ["functions", "gap", "motion"], run: 200, look: "largestGap", holds: { largestGap: ["below", 0.05], motion: ["below", 0.08] },
          text: "The same with 512 units. With 8 units the largest gap was 0.22. Will it be larger now, or smaller?",
          then: "Much smaller: blue and orange nearly coincide. A wide network follows its linear model. This is called <em>lazy training</em>.",
        },
        {
          settings: { ...plain, width: 8, alpha: 20, fraction: 0.3 }, see: ["functions", "gap", "motion"], run: 200, look: "largestGap", holds: { largestGap: ["below", 0.05], motion: ["below", 0.08] },
          text: "Back to 8 units, but the output is multiplied by α = 20, and the learning rate is reduced to suit. Will the two part, as they did in part 1?",
          then: "They stay together, with only 8 units. A narrow network can be lazy, too.",
        },
      ],
      question: "Why does the network follow its tangent in parts 2 and 3, but not in part 1? Compare their <em>Weight motion</em>.",
      answer: "In parts 2 and 3 the weights hardly move: by 0.07 and 0.03 of their size, against 0.65 in part 1. Hence the name <em>lazy</em>. With many units each has to change only a little, and with a large α a small change of the weights is a large change of the output. Near the point where it touches, a tangent lies close to its curve.",
    },
    {
      name: "Make it learn features",
      parts: [
        {
          settings: { ...plain, task: "xor", activation: "relu", alpha: 5, fraction: 0.2 }, see: ["kernel-start", "kernel-now", "flips"], run: 400, look: "drift",
          holds: { drift: ["below", 0.05], flips: ["below", 0.02] },
          text: "Twelve points in the plane, six of each class. The squares below show the <em>kernel</em>. Each row and each column is one point, and a thin line divides the classes. The stronger the colour of a cell, the more a training step on one point moves the output at the other. Here α = 5. Will this change while the network learns?",
          then: "Hardly: the two squares look the same. With α = 5 the network is lazy.",
        },
        {
          settings: { ...plain, task: "xor", activation: "relu", alpha: 0.05, fraction: 0.2 }, see: ["kernel-start", "kernel-now", "flips"], run: 400, look: "drift",
          holds: { drift: ["above", 3], flips: ["above", 0.12], acrossStart: ["above", 0.37], acrossNow: ["below", 0.2] },
          text: "Now α = 0.05. To reach the same targets, the weights have to move far. Watch <em>Kernel now</em>, and <em>Flipped gates</em>: for each point a ReLU unit is on or off, and this is its gate.",
          then: "One gate in seven has flipped.",
        },
      ],
      question: "The two quarters off the diagonal of <em>Kernel now</em> are paler than at the start. Which pairs of points are these, and what does it mean?",
      answer: "They are pairs of points from different classes. Their kernel values were 0.38 of those on the diagonal at the start, and are 0.19 now. A step on a point of one class disturbs the other class less than before. A kernel that changes to suit its task is what people mean by <em>learning features</em>. A lazy network keeps its first kernel.",
    },
    {
      name: "Break the linear model",
      parts: [
        {
          settings: { ...plain, fraction: 0.9 }, see: ["loss", "eigenvalues"], run: 200, look: "losses",
          holds: { networkLoss: ["below", 0.01], linearLoss: ["below", 0.01] },
          text: "With too large a learning rate the loss grows. Here the rate is c times the <em>critical</em> one, from which on the linear model diverges. Begin below it, with c = 0.9.",
          then: "The losses of all three models fall.",
        },
        {
          settings: { ...plain, fraction: 1.6 }, see: ["loss", "eigenvalues"], run: 200, look: "losses",
          holds: { linearDiverged: ["above", 0], peak: ["above", 10], networkLoss: ["below", 0.05], sharpness: ["below", 1.05] },
          text: "Now c = 1.6, too much for the linear model. Is it too much for the network, too? Watch <em>Loss</em>.",
          then: "The loss of the network also rises, to more than ten times its start. Then it comes back, and the network learns the curve. This is called a <em>catapult</em>.",
        },
        {
          settings: { ...plain, fraction: 4 }, see: ["loss", "eigenvalues"], run: 40, look: "losses", holds: { networkDiverged: ["above", 0] },
          text: "And with c = 4?",
          then: "This is too much for the network, too.",
        },
      ],
      question: "Why did the network survive at c = 1.6?",
      answer: "Whether a step is too long depends on the largest eigenvalue of the kernel (<em>Eigenvalues</em>): the limit for this learning rate is the dashed line. The linear model's kernel cannot change, so it stays above the line and explodes. The network's kernel changes while the loss is large. Its largest eigenvalue falls to the line, and from there on the step is short enough.",
    },
    {
      name: "Wide is not always lazy",
      parts: [
        {
          settings: { ...plain, width: 32, fraction: 0.3 }, see: ["gap", "motion"], run: 300, look: "largestGap", holds: { largestGap: ["above", 0.17] },
          text: "In story 1 the wide network was lazy. Is every wide network lazy? For comparison, begin with 32 units.",
          then: "The gap is clearly visible.",
        },
        {
          settings: { ...plain, width: 512, fraction: 0.3 }, see: ["gap", "motion"], run: 300, look: "largestGap", holds: { largestGap: ["below", 0.04], motion: ["below", 0.1] },
          text: "Now 512 units. With 32 units the largest gap was 0.18.",
          then: "The gap is small: wide seems to mean lazy.",
        },
        {
          settings: { ...plain, width: 512, fraction: 0.3, style: "mean_field" }, see: ["gap", "motion"], run: 300, look: "largestGap",
          holds: { largestGap: ["above", 0.1], motion: ["above", 0.5], drift: ["above", 1] },
          text: "Still 512 units. Only the <em>style</em> has changed: the output, a sum over m units, is divided by m/2 and not by √m. This style is called <em>mean field</em>. Will the network be lazy?",
          then: "It is not lazy. The gap is back, the weights move far, and the kernel changes.",
        },
      ],
      question: "Would 5,000 units make the mean-field network lazy?",
      answer: "No. In this style outputs shrink as the width grows, so the weights have to move by about as much as they are large, at every width. Not the width by itself makes a network lazy, but the scale α of its output. Dividing by √m is the same as dividing by m/2 with α = √m/2: in the usual style a wider network has a larger α. You can check with 128 and 256 units: in mean field the weights move about as far as with 512.",
    },
    {
      name: "What the kernel cannot learn",
      parts: [
        {
          settings: { ...plain, task: "sequences", activation: "relu", alpha: 20, fraction: 0.3 }, see: ["functions", "kernel-start", "kernel-now"], run: 400, look: "right",
          holds: { networkRight: ["below", 30], kernelRight: ["below", 30], drift: ["below", 0.05] },
          text: "Every column at the bottom is a sequence of six signs, + or −. The target is +1 if the first and the last sign agree, otherwise −1. The models train on the 24 sequences on the left, and the 40 on the right are unseen. Here α = 20, so the network is lazy. How many unseen ones will it get right?",
          then: "Little more than by guessing. The same holds for all three models.",
        },
        {
          settings: { ...plain, task: "sequences", activation: "relu", style: "mean_field", alpha: 0.3, fraction: 0.3 }, see: ["functions", "kernel-start", "kernel-now"], run: 400, look: "right",
          holds: { networkRight: ["above", 38], kernelRight: ["below", 30] },
          text: "The same sequences, with a network that learns features (mean field, α = 0.3). Watch the blue dots of the unseen sequences.",
          then: "They go to the grey bars, the targets. <em>Kernel now</em> shows why: sequences with the same target have become alike.",
        },
      ],
      question: "Why does the kernel fail, although it fits all training sequences?",
      answer: "The kernel was fixed before the first step, when the weights were random: it treats all six places alike. Of all the rules that fit 24 sequences, it picks one that mixes everything. The network finds out that only two places matter and turns its weights towards them. Adding units does not help the kernel: it stays the kernel of random weights. This was the last story: now set everything yourself, below.",
    },
  ];
})();
