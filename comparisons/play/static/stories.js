"use strict";
// Six guided stories. A part sets everything, runs so many gradient steps, and names the views and the fact to look
// at. `text` stands there before the run and asks for a guess, `then` appears after it; [[term]] is an entry of words.py.
// `holds` are facts about the end (see `Engine.facts`): a test runs every part and checks them, so that the texts stay
// true. The parts of a story light the same views where they can: a view that changes its place is taken for another one.
const Stories = (() => {
  const plain = {
    task: "curve", network: "two-layer", width: 128, activation: "erf", style: "ntk", alpha: 1, fraction: 0.5,
    loss: "squared", seed: 1, noise: 0, variance: 2,
  };
  const recurrent = { ...plain, network: "elman", activation: "relu", width: 64 };

  return [
    {
      name: "Make it lazy",
      parts: [
        {
          settings: { ...plain, width: 8, fraction: 0.3 }, see: ["functions", "gap", "motion"], run: 200, look: "largestGap", holds: { largestGap: ["above", 0.21], motion: ["above", 0.64] },
          text: "The blue curve is a small [[network]] of 8 units. It learns to pass through the ten points. The orange, dashed curve is its [[linear model]]: a simpler copy with the same start, which learns from the same points. Will the two curves stay together? Guess, then run it.",
          then: "They part. The distance between them is called the [[gap]].",
        },
        {
          settings: { ...plain, width: 512, fraction: 0.3 }, see: ["functions", "gap", "motion"], run: 200, look: "largestGap", holds: { largestGap: ["below", 0.05], motion: ["below", 0.08] },
          text: "The same with 512 units. With 8 units the largest [[gap]] was 22 % of what there is to learn. Will it be larger now, or smaller?",
          then: "Much smaller: blue and orange nearly coincide. A wide network follows its linear model. This is called [[lazy|lazy training]].",
        },
        {
          settings: { ...plain, width: 8, alpha: 20, fraction: 0.3 }, see: ["functions", "gap", "motion"], run: 200, look: "largestGap", holds: { largestGap: ["below", 0.05], motion: ["below", 0.08], networkLoss: ["above", 0.05], linearLoss: ["above", 0.05] },
          text: "Back to 8 units, but now the output is multiplied by a factor, the [[output scale α]] = 20. The [[learning rate]] is reduced to suit. Will the two curves part, as they did in part 1?",
          then: "They stay together, with only 8 units. A narrow network can be lazy, too. Lazy does not mean good: both miss some of the points.",
        },
      ],
      question: "Why does the network follow its linear model in parts 2 and 3, but not in part 1? Compare their <em>Weight motion</em>.",
      answer: "In parts 2 and 3 the weights hardly move: by 7 % and 3 % of their size, against 65 % in part 1. Hence the name <em>lazy</em>. With many units, each one has to change only a little. With a large α, a small change of the weights is a large change of the output. The linear model is the tangent of the network at its initial weights, and a tangent lies close to its curve only near the point where it touches.",
    },
    {
      name: "Make it learn features",
      parts: [
        {
          settings: { ...plain, task: "xor", activation: "relu", alpha: 5, fraction: 0.2 }, see: ["kernel-start", "kernel-now", "flips"], run: 400, look: "drift",
          holds: { drift: ["below", 0.05], flips: ["below", 0.02] },
          text: "Twelve points in the plane, six of each class. The squares <em>Kernel at start</em> and <em>Kernel now</em> show the [[kernel]] as colours. Each row and each column is one of the points, and thin lines divide the classes. The stronger the colour of a cell, the more a [[gradient step|training step]] on one point moves the output at the other. Here the [[output scale α]] is 5. Will the pattern change while the network learns?",
          then: "Hardly: the two squares look the same. With α = 5 the network is [[lazy]].",
        },
        {
          settings: { ...plain, task: "xor", activation: "relu", alpha: 0.05, fraction: 0.2 }, see: ["kernel-start", "kernel-now", "flips"], run: 400, look: "drift",
          holds: { drift: ["above", 3], flips: ["above", 0.12], acrossStart: ["above", 0.37], acrossNow: ["below", 0.2] },
          text: "Now α = 0.05. To reach the same targets, the weights have to move far. Will the pattern change now? Watch <em>Kernel now</em>, and <em>Flipped gates</em>: for each point a relu unit is on or off, and this is its [[gate]].",
          then: "The pattern is another one, and one gate in seven has flipped.",
        },
      ],
      question: "The two quarters off the diagonal of <em>Kernel now</em> (above right and below left) are paler than at the start. Which pairs of points are these, and what does it mean?",
      answer: "They are pairs of points from different classes. At the start their kernel values were 38 % of those on the diagonal, and now they are 19 %. A step on a point of one class disturbs the other class less than before. A kernel that changes to suit its task is what people mean by [[features|learning features]]. A lazy network keeps its first kernel.",
    },
    {
      name: "Break the linear model",
      parts: [
        {
          settings: { ...plain, fraction: 0.9 }, see: ["loss", "eigenvalues"], run: 200, look: "losses",
          holds: { networkLoss: ["below", 0.01], linearLoss: ["below", 0.01] },
          text: "How long may the steps of the training be? Their length is the [[learning rate]]. Here it is c times the critical one, from which on the [[linear model]] no longer learns. Begin below it, with c = 0.9. Will the [[loss]] of each model fall?",
          then: "Yes, the losses of all three models fall.",
        },
        {
          settings: { ...plain, fraction: 1.6 }, see: ["loss", "eigenvalues"], run: 200, look: "losses",
          holds: { linearDiverged: ["above", 0], peak: ["above", 10], networkLoss: ["below", 0.05], sharpness: ["below", 1.05] },
          text: "Now c = 1.6. The steps are too long for the linear model. Are they too long for the network, too? Watch <em>Loss</em>.",
          then: "The loss of the network also rises, to more than ten times its start. But it comes back, and the network learns the curve. This is called a [[catapult]].",
        },
        {
          settings: { ...plain, fraction: 4 }, see: ["loss", "eigenvalues"], run: 40, look: "losses", holds: { networkDiverged: ["above", 0] },
          text: "And with c = 4? Will the network come back once more?",
          then: "No. This is too much for the network, too.",
        },
      ],
      question: "Why did the network survive at c = 1.6?",
      answer: "Whether a step is too long depends on the largest [[eigenvalue]] of the kernel (the first point of <em>Eigenvalues</em>). The limit for this learning rate is the dashed line. The linear model’s kernel cannot change, so it stays above the line, and the model explodes. The network’s kernel changes while the loss is large. Its largest eigenvalue falls to the line, and from there on the steps are short enough.",
    },
    {
      name: "Wide is not always lazy",
      parts: [
        {
          settings: { ...plain, width: 32, fraction: 0.3 }, see: ["gap", "motion"], run: 300, look: "largestGap", holds: { largestGap: ["above", 0.17] },
          text: "In story 1 the wide network was [[lazy]]. Is every wide network lazy? For comparison, begin with 32 units. Will you see a [[gap]]?",
          then: "Yes, the gap is clearly visible.",
        },
        {
          settings: { ...plain, width: 512, fraction: 0.3 }, see: ["gap", "motion"], run: 300, look: "largestGap", holds: { largestGap: ["below", 0.04], motion: ["below", 0.1] },
          text: "Now 512 units. With 32 units the largest gap was 18 %. How large will it be now?",
          then: "The gap is small: wide seems to mean lazy.",
        },
        {
          settings: { ...plain, width: 512, fraction: 0.3, style: "mean_field" }, see: ["gap", "motion"], run: 300, look: "largestGap",
          holds: { largestGap: ["above", 0.1], motion: ["above", 0.5], drift: ["above", 1] },
          text: "Still 512 units. Only the style has changed: the output is a sum over the m units, and this sum is now divided by m/2 and not by √m. This style is called [[NTK and mean field|mean field]]. Will the network be lazy?",
          then: "It is not lazy. The gap is back, the weights move far, and the kernel changes.",
        },
      ],
      question: "Would 5,000 units make the mean-field network lazy?",
      answer: "No. In this style outputs shrink as the width grows, so the weights have to move by about as much as they are large, at every width. Width alone does not make a network lazy; the scale α of its output does. Dividing by √m is the same as dividing by m/2 with α = √m/2: in the NTK style of parts 1 and 2 a wider network has a larger α. You can check with 128 and 256 units: in mean field the weights move about as far as with 512.",
    },
    {
      name: "What the kernel cannot learn",
      parts: [
        {
          settings: { ...plain, task: "sequences", activation: "relu", alpha: 20, fraction: 0.3 }, see: ["functions", "kernel-start", "kernel-now"], run: 400, look: "right",
          holds: { networkRight: ["below", 30], kernelRight: ["below", 30], drift: ["below", 0.05] },
          text: "Every column at the bottom of the picture is a sequence of six signs: dark is +, light is −. The target is +1 if the first and the last sign agree, otherwise −1. The models train on the 24 sequences on the left. The 40 on the right are unseen. Here α = 20, so the network is [[lazy]]. How many of the 40 will it get right? A coin would get 20.",
          then: "Little more than by guessing. The same holds for all three models.",
        },
        {
          settings: { ...plain, task: "sequences", activation: "relu", style: "mean_field", alpha: 0.3, fraction: 0.3 }, see: ["functions", "kernel-start", "kernel-now"], run: 400, look: "right",
          holds: { networkRight: ["above", 38], kernelRight: ["below", 30] },
          text: "The same sequences, with a network that learns [[features]] ([[NTK and mean field|mean field]], α = 0.3). How many now? Watch the blue dots of the unseen sequences.",
          then: "They go to the grey bars, the targets. <em>Kernel now</em> shows why: sequences with the same target have become alike.",
        },
      ],
      question: "Why does the kernel regressor fail on the unseen sequences, although it fits those of the training?",
      answer: "Its [[kernel]] was fixed before the first step, when the weights were random: it treats all six places alike. Of all the rules that fit 24 sequences, it picks one that mixes everything. The network finds out that only two places matter and turns its weights towards them. Adding units does not help the kernel: it stays the kernel of random weights.",
    },
    {
      name: "Remember the first sign",
      parts: [
        {
          settings: { ...recurrent, task: "last", variance: 0.25 }, see: ["functions", "kernel-start", "loss"], run: 60, look: "right",
          holds: { networkRight: ["above", 39], kernelRight: ["above", 39] },
          text: "A [[recurrent network]] reads six signs, one after the other. In between it keeps 64 numbers, its state. At each sign the same matrix W turns the old state into a part of the new one. At the start W is random. Here its numbers are small, with a [[variance of W|variance]] of 0.25. An easy task first: the target is the last sign, the lowest cell of each column. How many of the 40 unseen sequences will it get right?",
          then: "All of them. <em>Kernel at start</em> shows why: its two dark quarters say that sequences with the same last sign are alike.",
        },
        {
          settings: { ...recurrent, task: "first", variance: 0.25 }, see: ["functions", "kernel-start", "loss"], run: 60, look: "right",
          holds: { networkRight: ["below", 21], kernelRight: ["below", 21], networkLoss: ["above", 0.6], linearLoss: ["above", 0.6] },
          text: "Now the target is the first sign, the top cell of each column. Since it was read, the state has passed through W five times. How many of the 40 will be right now?",
          then: "No more than by guessing. Even on the training sequences about two thirds of the loss remain, for all three models. The dark quarters are gone: this network has almost forgotten the first sign.",
        },
        {
          settings: { ...recurrent, task: "first", variance: 2 }, see: ["functions", "kernel-start", "loss"], run: 60, look: "right",
          holds: { networkRight: ["above", 39], kernelRight: ["above", 39], networkLoss: ["below", 0.03] },
          text: "The same task. Only the random numbers in W are larger: their variance is 2. Does this help?",
          then: "Yes, and for all three models. With this W the last state still contains the first sign, before any training.",
        },
        {
          settings: { ...recurrent, task: "last", variance: 4 }, see: ["functions", "kernel-start", "loss"], run: 60, look: "right",
          holds: { networkRight: ["below", 25], kernelRight: ["below", 25], networkLoss: ["above", 0.2] },
          text: "Then make them larger still, variance 4, and go back to the easy task of part 1, the last sign. Will it still be easy?",
          then: "No. With this W even the last sign is hard to learn.",
        },
      ],
      question: "Why is a variance of 2 good for both tasks, while 0.25 loses the first sign and 4 the last one?",
      answer: "A relu unit is on for about half of its inputs. So in a wide network one pass through W multiplies what is left of an earlier sign (its square) by half the variance. With 0.25 this is one eighth: after five passes, one part in 30,000 is left. With 4 it is a factor of 2: after five passes the first sign is 32 times as strong as the last one, and drowns it. With 2 the factor is 1, and all six signs count about equally. The [[kernel]] at the start sees only what the random network remembers, and a [[lazy]] network has to learn with this kernel. This was the last story: now set everything yourself, below.",
    },
  ];
})();
