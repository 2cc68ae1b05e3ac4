"use strict";
// Five guided stories. A part sets everything, runs so many gradient steps, and says which views
// and which fact to look at. `holds` are
// facts about its end (see `Engine.facts`): a test runs every part and checks them, so that the texts stay true.
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
          settings: { ...plain, width: 8, fraction: 0.3 }, see: ["functions", "gap"], run: 200, look: "largestGap", holds: { largestGap: ["above", 0.2], motion: ["above", 0.5] },
          text: "Ten black points lie on a curve. A small network of 8 units (blue) learns to pass through them. Every weight moves its output by some amount. In the <em>linear model</em> (orange, dashed) these amounts stay as they were at the start. In the network they change as it learns. Run it: the two soon part.",
        },
        {
          settings: { ...plain, width: 512, fraction: 0.3 }, see: ["functions", "gap"], run: 200, look: "largestGap", holds: { largestGap: ["below", 0.05], motion: ["below", 0.08] },
          text: "Now the same with 512 units instead of 8. Run it. Blue and orange lie on each other all the way: a wide network follows its linear model. This is called <em>lazy training</em>.",
        },
        {
          settings: { ...plain, width: 8, alpha: 20, fraction: 0.3 }, see: ["functions", "motion"], run: 200, look: "largestGap", holds: { largestGap: ["below", 0.05], motion: ["below", 0.08] },
          text: "Back to 8 units, but every output is multiplied by α = 20. Run it. Blue and orange stay together again, at a width where they parted before.",
        },
      ],
      question: "What do the last two parts have in common?",
      answer: "The weights hardly move: look at <em>Weight motion</em>, which is 0.07 and 0.03, against 0.65 in the first part. With many units each has to change only a little, and with a large α a small change of the weights is a large change of the output. Over a short way a curve looks like its tangent, and the linear model is the tangent.",
    },
    {
      name: "Make it learn features",
      parts: [
        {
          settings: { ...plain, task: "xor", activation: "relu", alpha: 5, fraction: 0.2 }, see: ["kernel-start", "kernel-now"], run: 400, look: "drift",
          holds: { drift: ["below", 0.05], flips: ["below", 0.02] },
          text: "Twelve points in the plane, six of each class. Look at the two squares <em>Kernel at start</em> and <em>Kernel now</em>. Each row and each column is one point. The stronger the colour of a cell, the more a training step on one point moves the output at the other. Run it. With α = 5 the network is lazy: both squares stay the same.",
        },
        {
          settings: { ...plain, task: "xor", activation: "relu", alpha: 0.05, fraction: 0.2 }, see: ["kernel-start", "kernel-now", "flips"], run: 400, look: "drift",
          holds: { drift: ["above", 3], flips: ["above", 0.12], acrossStart: ["above", 0.37], acrossNow: ["below", 0.2] },
          text: "Now α = 0.05. To reach the same targets, the weights have to move far. Run it, and watch <em>Kernel now</em> and <em>Flipped gates</em>: one gate in seven switches between on and off.",
        },
      ],
      question: "Which part of the kernel has lost its colour?",
      answer: "The two quarters off the diagonal. They are pairs of points from different classes: their kernel values were 0.38 of those on the diagonal at the start, and are 0.19 now. A step on a point of one class disturbs the other class less than before. A kernel that changes to suit its task is what people mean by <em>learning features</em>. A lazy network keeps its first kernel.",
    },
    {
      name: "Break the linear model",
      parts: [
        {
          settings: { ...plain, fraction: 0.9 }, see: ["loss"], run: 200, look: "losses",
          holds: { networkLoss: ["below", 0.01], linearLoss: ["below", 0.01] },
          text: "The learning rate is c times the <em>critical</em> one, at which a step of the linear model becomes too long. Here c = 0.9. Run it. All three losses fall.",
        },
        {
          settings: { ...plain, fraction: 1.6 }, see: ["loss", "eigenvalues"], run: 200, look: "losses",
          holds: { linearDiverged: ["above", 0], peak: ["above", 10], networkLoss: ["below", 0.05], sharpness: ["below", 1.05] },
          text: "Now c = 1.6. Run it and look at <em>Loss</em>. The linear model and the kernel explode. The network's loss also rises at first, to more than ten times its start. Then it comes back and learns the curve. This is called a <em>catapult</em>.",
        },
        {
          settings: { ...plain, fraction: 4 }, see: ["loss"], run: 40, look: "losses", holds: { networkDiverged: ["above", 0] },
          text: "And c = 4. Run it. This is too much for the network, too.",
        },
      ],
      question: "Why did the network survive at c = 1.6?",
      answer: "Whether a step is too long depends on the largest eigenvalue of the kernel (<em>Eigenvalues</em>): the limit for this learning rate is the dashed line. The linear model's kernel cannot change, so it stays above the line and explodes. The network's kernel changes while the loss is large. Its largest eigenvalue falls to the line, and from there on the step is short enough.",
    },
    {
      name: "Wide is not always lazy",
      parts: [
        {
          settings: { ...plain, width: 32, fraction: 0.3 }, see: ["gap"], run: 300, look: "largestGap", holds: { largestGap: ["above", 0.1] },
          text: "A network of 32 units. Run it, and note the largest gap between the network and its linear model.",
        },
        {
          settings: { ...plain, width: 512, fraction: 0.3 }, see: ["gap"], run: 300, look: "largestGap", holds: { largestGap: ["below", 0.04], motion: ["below", 0.1] },
          text: "512 units. As in the first story, the gap is small now: wide seems to mean lazy.",
        },
        {
          settings: { ...plain, width: 512, fraction: 0.3, style: "mean_field" }, see: ["gap", "motion"], run: 300, look: "largestGap",
          holds: { largestGap: ["above", 0.1], motion: ["above", 0.5], drift: ["above", 1] },
          text: "Still 512 units. Only the <em>style</em> has changed: outputs are divided by m/2, half the width, and not by √m (<em>mean field</em>). Run it. The gap is back, the weights move far, and the kernel changes.",
        },
      ],
      question: "Would 5,000 units make the mean-field network lazy?",
      answer: "No. In this style outputs shrink as the width grows, so the weights have to move by about as much as they are large, at every width. What makes a network lazy is not width by itself but the scale of its output: the usual style hides a factor √m, and so a wide network has a large scale. You can check with 64 and 256 units: the gap does not fall.",
    },
    {
      name: "What the kernel cannot learn",
      parts: [
        {
          settings: { ...plain, task: "sequences", activation: "relu", alpha: 20, fraction: 0.3 }, see: ["functions"], run: 400, look: "right",
          holds: { networkRight: ["below", 30], kernelRight: ["below", 30], drift: ["below", 0.05] },
          text: "Every column is a sequence of six signs. The target is +1 if the first and the last sign agree, otherwise −1. The models train on the 24 sequences on the left; 40 on the right are unseen. Run it. The network is lazy, and all three models do little better than guessing on the unseen ones.",
        },
        {
          settings: { ...plain, task: "sequences", activation: "relu", style: "mean_field", alpha: 0.3, fraction: 0.3 }, see: ["functions", "kernel-now"], run: 400, look: "right",
          holds: { networkRight: ["above", 38], kernelRight: ["below", 30] },
          text: "The same sequences, with a network that learns features (mean field, α = 0.3). Run it, and look at the unseen sequences: the blue dots go to the grey bars. <em>Kernel now</em> shows why: sequences with the same target have become alike.",
        },
      ],
      question: "Why does the kernel fail, although it fits all training sequences?",
      answer: "The kernel was fixed before the first step, when the weights were random: it treats all six places alike. Of all the rules that fit 24 sequences, it picks one that mixes everything. The network finds out that only two places matter and turns its weights towards them. Adding units does not help the kernel: it stays the kernel of random weights.",
    },
  ];
})();
