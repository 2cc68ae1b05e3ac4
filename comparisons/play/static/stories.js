"use strict";
// Six guided stories. A part sets everything, runs so many gradient steps, and names the views and the fact to look
// at. `text` stands there before the run and asks for a guess, `then` appears after it; [[term]] is an entry of words.py.
// `label` names the part in the table of a story's results, whose `columns` are named here, too. The question of a story
// appears after its last part. `holds` are facts about the end (see `Engine.facts`): a test runs every part and checks
// them, so that the texts stay true. What is called lazy has a largest gap below 0.05, as the page says.
// The parts of a story light the same views where they can: a view that changes its place is taken for another one.
const Stories = (() => {
  const plain = {
    task: "curve", network: "two-layer", width: 128, activation: "erf", style: "ntk", alpha: 1, fraction: 0.5,
    loss: "squared", seed: 1, noise: 0, variance: 2,
  };
  const recurrent = { ...plain, network: "elman", activation: "relu", width: 64, alpha: 20 };
  const lazy = { largestGap: ["below", 0.05] };

  return [
    {
      name: "Make it lazy",
      columns: ["largestGap", "lazy", "motion"],
      parts: [
        {
          label: "8 units", settings: { ...plain, width: 8, fraction: 0.3 }, see: ["functions", "gap", "motion"], run: 200, look: "largestGap", holds: { largestGap: ["above", 0.21], motion: ["above", 0.64] },
          text: "The blue curve is a small [[network]] of 8 units. It learns to pass through the ten points. The orange, dashed curve is its [[linear model]]: a simpler copy with the same start, which learns from the same points. Will the two curves stay together? Guess, then run it.",
          then: "They part. Their distance at the ten points is called the [[gap]]. It is given as a share of what there is to learn: of how much the heights of the points vary.",
        },
        {
          label: "512 units", settings: { ...plain, width: 512, fraction: 0.3 }, see: ["functions", "gap", "motion"], run: 200, look: "largestGap", holds: { ...lazy, motion: ["below", 0.08] },
          text: "The same with 512 units. With 8 units the largest [[gap]] was 22 % of what there is to learn. Will it be larger now, or smaller?",
          then: "Much smaller: blue and orange nearly coincide. A network that stays so close to its linear model is called [[lazy]]. On this page this means: the largest gap of the whole training is below 5 %.",
        },
        {
          label: "8 units, α = 20", settings: { ...plain, width: 8, alpha: 20, fraction: 0.3 }, see: ["functions", "gap", "motion"], run: 200, look: "largestGap", holds: { ...lazy, motion: ["below", 0.04], networkLoss: ["above", 0.05], linearLoss: ["above", 0.05] },
          text: "Back to 8 units, but now the output is multiplied by a factor, the [[output scale α]] = 20. The slider of the [[learning rate]] stays at 0.3: it is relative to the largest one that the linear model can bear. In part 1 the weights moved by 65 % of their size, in part 2 by 7 %. By how much will they move now?",
          then: "By 3 %, and the curves stay together: a narrow network can be lazy, too. Lazy does not mean good: both models miss some of the points.",
        },
      ],
      question: "Why does the network follow its linear model in parts 2 and 3, but not in part 1? Compare the weight motion.",
      answer: "In parts 2 and 3 the weights hardly move: by 7 % and 3 % of their size, against 65 % in part 1. Hence the name <em>lazy</em>. With many units, each one has to change only a little. With a large α, a small change of the weights is a large change of the output. The linear model is the tangent of the network at its initial weights, and a tangent lies close to its curve only near the point where it touches.",
    },
    {
      name: "Make it learn features",
      columns: ["acrossNow", "drift", "largestGap", "lazy"],
      parts: [
        {
          label: "α = 5", settings: { ...plain, task: "xor", activation: "relu", alpha: 5, fraction: 0.2 }, see: ["kernel-start", "kernel-now", "flips"], run: 400, look: "across",
          holds: { ...lazy, drift: ["below", 0.05], flips: ["below", 0.02] },
          text: "Four clouds of three points, two clouds of each class. The squares <em>Kernel at start</em> and <em>Kernel now</em> show the [[kernel]] as colours. Each row and each column is one of the twelve points. The thin lines divide the classes. The stronger the blue of a cell, the more a [[gradient step|training step]] on one point moves the output at the other, compared with what it does at the point itself. Here the [[output scale α]] is 5. Will the pattern change while the network learns?",
          then: "Hardly: the two squares look the same. The network is [[lazy]].",
        },
        {
          label: "α = 0.05", settings: { ...plain, task: "xor", activation: "relu", alpha: 0.05, fraction: 0.2 }, see: ["kernel-start", "kernel-now", "flips"], run: 400, look: "across",
          holds: { largestGap: ["above", 0.42], gap: ["below", 0.03], drift: ["above", 4], flips: ["above", 0.14], acrossStart: ["above", 0.37], acrossNow: ["below", 0.195], withinNow: ["above", 0.33], withinStart: ["below", 0.41] },
          text: "Now α = 0.05. Which cells will fade: those of two points of one class (in the quarters above left and below right), or those of two points of different classes (in the other quarters)? Watch <em>Kernel now</em>, and <em>Flipped gates</em>: for each point a relu unit is on or off, and this is its [[gate]].",
          then: "Those of different classes: from 0.38 to 0.19 on average. (Those of one class change less, from 0.40 to 0.34.) One gate in seven has flipped. The network is not lazy: its largest gap was 43 %. At the end the gap is small again, because both models have reached the targets. The largest gap counts.",
        },
      ],
      question: "At the end of part 2, what does a training step on a point of one class do at the points of the other class, compared with what it does at the point itself?",
      answer: "It moves their outputs by less than at the start: the [[kernel]] values between the classes were 38 % of those on the diagonal, and now they are 19 %. The network now treats the two classes more separately than before. (The colours compare with the diagonal. The values themselves have grown, those on the diagonal to more than five times their start, because the weights have grown.) A kernel that changes to suit its task is what people mean by [[features|learning features]]. A lazy network keeps its first kernel. This task is so easy that the linear model learns it, too. In story 5 it does not.",
    },
    {
      name: "Break the linear model",
      columns: ["peak", "lossNow", "edge"],
      parts: [
        {
          label: "c = 0.9", settings: { ...plain, fraction: 0.9 }, see: ["loss", "eigenvalues"], run: 150, look: "losses",
          holds: { networkLoss: ["below", 0.01], linearLoss: ["below", 0.01], sharpness: ["below", 0.95] },
          text: "How long may the steps of the training be? Their length is the [[learning rate]]. Here it is c times the critical one, from which on the [[linear model]] no longer learns. Begin below it, with c = 0.9. Will the [[loss]] of each model fall?",
          then: "Yes, the losses of all three models fall.",
        },
        {
          label: "c = 1.6", settings: { ...plain, fraction: 1.6 }, see: ["loss", "eigenvalues"], run: 150, look: "losses",
          holds: { linearDiverged: ["above", 0], peak: ["above", 11], networkLoss: ["below", 0.01], sharpness: ["below", 1.03] },
          text: "Now c = 1.6. The steps are too long for the linear model. Are they too long for the network, too? Watch <em>Loss</em>.",
          then: "The loss of the network also rises, to eleven times its start. But it falls again, after a second, smaller rise, and the network learns the curve. This is called a [[catapult]].",
        },
        {
          label: "c = 4", settings: { ...plain, fraction: 4 }, see: ["loss", "eigenvalues"], run: 40, look: "losses", holds: { networkDiverged: ["above", 0] },
          text: "And with c = 4? Will the loss of the network fall again?",
          then: "No. This is too much for the network, too.",
        },
      ],
      question: "Why did the network survive in part 2, with c = 1.6, and its linear model not? In the table, compare the largest eigenvalue at the end with its start, which was c times the limit.",
      answer: "Whether a step is too long depends on the largest [[eigenvalue]] of the kernel. The limit for a learning rate is the dashed line in <em>Eigenvalues</em>. With c = 1.6 the two largest ones start above it, the first at 1.6 times the limit. The linear model’s kernel cannot change, so they stay there, and the model explodes. The network’s kernel changes while the loss is large. Its largest eigenvalue falls below the limit, and then stays close to it: whenever it is a little above, the loss rises for some steps, as you saw around step 40. To look again at part 2, press <em>Previous</em>.",
    },
    {
      name: "Wide is not always lazy",
      columns: ["largestGap", "lazy", "motion", "drift"],
      parts: [
        {
          label: "32 units", settings: { ...plain, width: 32, fraction: 0.3 }, see: ["gap", "motion"], run: 300, look: "largestGap", holds: { largestGap: ["above", 0.17], motion: ["above", 0.33] },
          text: "In story 1 the network with 512 units was [[lazy]]: its largest [[gap]] was below 5 %. For comparison, begin with 32 units. How large will the gap become?",
          then: "It grows to 18 %. The network is not lazy.",
        },
        {
          label: "512 units", settings: { ...plain, width: 512, fraction: 0.3 }, see: ["gap", "motion"], run: 300, look: "largestGap", holds: { ...lazy, motion: ["below", 0.08] },
          text: "Now 512 units. With 32 units the weights moved by 34 % of their size. By how much will they move now?",
          then: "By 7 %. The largest gap is 2.7 %: this wide network is lazy.",
        },
        {
          label: "32, mean field", settings: { ...plain, width: 32, fraction: 0.3, style: "mean_field" }, see: ["gap", "motion"], run: 300, look: "largestGap", holds: { largestGap: ["above", 0.14], motion: ["above", 0.87] },
          text: "Back to 32 units. Only the style has changed. The output is a sum over the m units. In parts 1 and 2 this sum was divided by √m, and now it is divided by m/2. This style is called [[NTK and mean field|mean field]]. In part 1 the weights moved by 34 %. Will they move by more now, or by less?",
          then: "By more, 89 %. The largest gap is 15 %, so the network is not lazy. (A larger motion does not always mean a larger gap: that of part 1 was larger.)",
        },
        {
          label: "512, mean field", settings: { ...plain, width: 512, fraction: 0.3, style: "mean_field" }, see: ["gap", "motion"], run: 300, look: "largestGap",
          holds: { largestGap: ["above", 0.14], gap: ["below", 0.041], motion: ["above", 0.84], drift: ["above", 1] },
          text: "Again 512 units, in the mean-field style. From part 1 to part 2 the motion fell from 34 % to 7 %. Will it also fall now?",
          then: "Hardly: it is 85 %. The largest gap is 15 %, so this wide network is not lazy. (The gap is smaller again at the end, when both models have nearly reached the targets. The largest gap counts.)",
        },
      ],
      question: "Would 5,000 units make the mean-field network lazy?",
      answer: "No. In this style outputs shrink as the width grows, so the weights have to move by about as much as they are large, at every width. Width alone does not make a network lazy; the scale α of its output does. Dividing by √m is the same as dividing by m/2 with α = √m/2: in the NTK style of parts 1 and 2 a wider network has a larger α. You can check: set the width to 128 or 256 below, and press <em>Play</em>. It pauses after 300 steps, and the weights have moved about as far as with 512 units.",
    },
    {
      name: "What the kernel cannot learn",
      columns: ["networkRight", "kernelRight", "largestGap", "lazy"],
      parts: [
        {
          label: "α = 20", settings: { ...plain, task: "sequences", activation: "relu", alpha: 20, fraction: 0.3 }, see: ["functions", "kernel-start", "kernel-now"], run: 400, look: "right",
          holds: { ...lazy, networkRight: ["below", 27], linearRight: ["below", 27], kernelRight: ["below", 27], networkLoss: ["below", 0.01], linearLoss: ["below", 0.01], drift: ["below", 0.05], withinStart: ["below", 0.46], acrossStart: ["above", 0.44] },
          text: "Every column at the bottom of the picture is a sequence of six plus or minus signs: strong is +, faint is −. The target is +1 if the first and the last sign agree, otherwise −1: these are the two classes. The models train on the 24 sequences on the left. The other 40 are unseen. Here α = 20, and the network is [[lazy]]. Will the models reach the targets of the 24? And how many of the 40 will they get right? A coin would get 20.",
          then: "They nearly reach the targets of the 24: less than 1 % of the loss is left. But of the 40 they get only 26 right, little more than a coin. For this [[kernel]], sequences of the same class are no more alike (0.45 on average) than others (0.46).",
        },
        {
          label: "mean field, α = 0.3", settings: { ...plain, task: "sequences", activation: "relu", style: "mean_field", alpha: 0.3, fraction: 0.3 }, see: ["functions", "kernel-start", "kernel-now"], run: 400, look: "right",
          holds: { largestGap: ["above", 0.6], networkRight: ["above", 39], kernelRight: ["below", 27], linearRight: ["below", 27] },
          text: "The same sequences, with a network that is not lazy ([[NTK and mean field|mean field]], α = 0.3). How many of the 40 will it get right? Watch the blue dots of the unseen sequences. And which cells of <em>Kernel now</em> will stay blue? The sequences are sorted by their target, and then by their first sign.",
          then: "All 40: every blue dot is on the right side of 0, though many do not reach their grey bar. In <em>Kernel now</em> four blue blocks remain on the diagonal. Each holds the sequences that have the same first sign and the same last sign. All other cells have faded.",
        },
      ],
      question: "Why does the kernel regressor fail on the unseen sequences, although it fits those of the training?",
      answer: "Its [[kernel]] was fixed before the first step, when the weights were random: it treats all six places alike. Many rules fit 24 sequences, and it picks one in which all six signs play a part. The network finds out that only two places matter: this is [[features|learning features]]. For its last kernel two sequences are alike if they agree at these two places, whatever the other four signs are, and this also holds for sequences that it has not seen.",
    },
    {
      name: "Remember the first sign",
      columns: ["networkRight", "kernelRight", "withinStart", "acrossStart"],
      parts: [
        {
          label: "last, 0.25", settings: { ...recurrent, task: "last", variance: 0.25 }, see: ["functions", "kernel-start", "loss"], run: 60, look: "right",
          holds: { ...lazy, networkRight: ["above", 39], kernelRight: ["above", 39], withinStart: ["above", 0.87], acrossStart: ["below", 0.24] },
          text: "A [[recurrent network]] reads six plus or minus signs, one after the other. In between it keeps 64 numbers, its state. At each sign the same matrix W turns the old state into a part of the new one. At the start W is random, and its size is the setting [[variance of W]], here 0.25. Within the 60 steps of each part all networks of this story are [[lazy]] (α = 20). An easy task first: the target is the last sign, the lowest cell of each column. How many of the 40 unseen sequences will it get right?",
          then: "All of them. <em>Kernel at start</em> shows why: sequences with the same last sign are alike (0.87 on average, in the blue quarters), and others are not (0.23).",
        },
        {
          label: "first, 0.25", settings: { ...recurrent, task: "first", variance: 0.25 }, see: ["functions", "kernel-start", "loss"], run: 60, look: "right",
          holds: { ...lazy, networkRight: ["below", 21], kernelRight: ["below", 21], networkLoss: ["above", 0.6], linearLoss: ["above", 0.6], withinStart: ["below", 0.57], acrossStart: ["above", 0.51] },
          text: "Now the target is the first sign, the top cell of each column. Since it was read, the state has passed through W five times. How many of the 40 will be right now?",
          then: "Only 15. By guessing 20 would be right on average. Even on the training sequences two thirds of the loss remain. In each quarter of <em>Kernel at start</em> there are strong and faint blocks: sequences with the same last sign are still the ones that are alike. The first sign hardly counts (0.56 and 0.52).",
        },
        {
          label: "first, 2", settings: { ...recurrent, task: "first", variance: 2 }, see: ["functions", "kernel-start", "loss"], run: 60, look: "right",
          holds: { ...lazy, networkRight: ["above", 39], kernelRight: ["above", 39], networkLoss: ["below", 0.03], withinStart: ["above", 0.54], acrossStart: ["below", 0.46] },
          text: "The same task. Only the random numbers in W are larger: their variance is 2. How many now?",
          then: "All of them. The averages (0.55 and 0.45) hardly show why, but <em>Kernel at start</em> does: the blocks of part 2 are gone. There the last sign outweighed all others. Now no sign stands out, and the first one counts as much as the others.",
        },
        {
          label: "last, 2", settings: { ...recurrent, task: "last", variance: 2 }, see: ["functions", "kernel-start", "loss"], run: 60, look: "right",
          holds: { ...lazy, networkRight: ["above", 39], kernelRight: ["above", 39], withinStart: ["above", 0.54], acrossStart: ["below", 0.47] },
          text: "W now helps with the first sign. Does it harm the last one? The variance is still 2, and the task is that of part 1.",
          then: "No: all 40 are right. With this W all six signs count, the last one, too.",
        },
        {
          label: "last, 4", settings: { ...recurrent, task: "last", variance: 4 }, see: ["functions", "kernel-start", "loss"], run: 60, look: "right",
          holds: { ...lazy, networkRight: ["below", 21], kernelRight: ["below", 21], networkLoss: ["above", 0.25], withinStart: ["below", 0.53], acrossStart: ["above", 0.48] },
          text: "A variance of 2 was good for both tasks. Now 4, again for the last sign. How many of the 40 will be right?",
          then: "Only 19, about as many as by guessing. <em>Kernel at start</em> has blocks in each quarter again. Now they are those of the first sign, and the last one hardly counts (0.52 and 0.49).",
        },
      ],
      question: "Why was a variance of 2 good for both tasks, while 0.25 lost the first sign and 4 the last one?",
      answer: "Measure how strongly a sign still counts in the last state: by the square of how far the state moves when the sign is changed a little. Each pass through W multiplies this by half the variance: the variance comes from W, and the half from relu, because about half of the units are off. With 0.25 the factor is 1/8: after five passes the first sign counts 1/30,000 as much as the last. With 4 the factor is 2: after five passes the first sign counts 32 times as much as the last, which drowns. With 2 the factor is 1, and all six signs count about equally. The [[kernel]] at the start contains only what the random network remembers, and a lazy network has to learn with this kernel.",
    },
  ];
})();
