"""Plain entries for the playground's terms, for readers who have never heard of a kernel.

The definitions with formulas, for researchers, are those of `comparisons.report.glossary`.
"""

from __future__ import annotations

from types import MappingProxyType

WORDS = MappingProxyType(
    {
        "network": "A function with many numbers inside, its weights, that can be adjusted. Training adjusts them "
        "until the outputs are close to the targets. Here the network has one hidden layer of units. Each unit turns "
        "the input into one number, and the output is a weighted sum of these numbers.",
        "width": "The number of units in the hidden layer, written m. A wider network has more weights.",
        "activation": "The function that each unit applies to its weighted sum of inputs. relu replaces negative "
        "numbers by 0. erf and tanh are smooth and level off at −1 and 1.",
        "loss": "How wrong the outputs are, in one number: half the squared distances between outputs and targets, "
        "added up over the training points. It is 0 if the model hits every target. (The logistic loss counts how "
        "clearly an output is on the wrong side of 0.)",
        "gradient step": "One round of training. It finds out, for every weight, in which direction the loss falls, "
        "and moves all weights a little in this direction.",
        "learning rate": "How long a gradient step is. With a small one training is slow. With a large one a step "
        "goes too far, and the loss can grow. On this page it is set as c times the largest one that the linear "
        "model can bear, so the same c can mean different lengths.",
        "critical fraction c": "The learning rate, divided by the largest one that the linear model can bear. At "
        "c = 0.5 steps are half as long as that. Beyond c = 1 each step of the linear model goes further beyond its "
        "goal than the last one, so its loss grows without end. The network may survive this.",
        "linear model": "The tangent of the network at the start. Regard the output as a function of the weights: "
        "close to the initial weights it is nearly straight, as a smooth curve is close to one of its points. The "
        "linear model (also: tangent model) is the straight function that touches it there. It starts from "
        "the same weights and has the same learning rate. It is straight in the weights, but not in the input: its "
        "curve can bend.",
        "kernel": "A table with one number for each pair of inputs. It says how much a gradient step on one of them "
        "moves the output at the other: a large number means that the model treats the two as similar. The colours "
        "compare each number with those of its two points on the diagonal, where a step moves the output at its own "
        "point: 1 (strong blue) means as much as there, 0 (no colour) not at all, below 0 (brown) the other way. The "
        "kernel of the linear model stays the same for ever. That of the network can change while it learns. Its full "
        "name is neural tangent kernel, NTK.",
        "kernel regressor": "A model that does not see the weights at all. It computes its outputs from the targets "
        "and the kernel at the start. In theory this gives the outputs of the linear model. It is shown as a check of "
        "this: the two curves always lie on each other.",
        "eigenvalue": "A speed of learning. With n training points, a kernel has n patterns of outputs that a linear "
        "model learns independently, each at its own speed: its eigenvalue. A pattern with a large eigenvalue is "
        "learnt within a few steps, one with a small eigenvalue takes long. While an eigenvalue is above the dashed "
        "limit, steps are too long for its pattern, and the error in this pattern grows with every step. In the linear "
        "model this never ends. In the network it can change the kernel, until the eigenvalue is below the limit.",
        "gap": "How far the outputs of the network and of the linear model are apart on the training points, as a "
        "share of how much the targets vary. At 0 % the two agree. At 100 % they differ by as much as there is to "
        "learn. Late in the training the gap can be small again, because both models reach the same targets. What "
        "counts for lazy or not is the largest gap so far. (Under logistic loss the unit is what the linear model has "
        "learnt so far.)",
        "lazy": "A network is lazy if it does what its linear model does during the whole training. On this page: if "
        "the largest gap is below 5 %. Its weights then hardly move, and its kernel hardly changes.",
        "weight motion": "How far the weights have moved since the start, all taken together, as a share of their "
        "size at the start.",
        "features": "What the hidden units respond to. A network learns features if its units come to respond to what "
        "matters for the task. You see it in the pattern of the kernel, which changes. A lazy network keeps the "
        "features of its random initial weights.",
        "output scale α": "A factor that multiplies the output. With a large α a tiny change of the weights is enough "
        "to reach the targets, so the network is lazy. With a small α the weights have to move far.",
        "NTK and mean field": "Two ways to make one output of m units. In the NTK style their sum is divided by √m. "
        "This keeps the outputs of random weights at the same size, however many units there are. In the mean-field "
        "style the sum is divided by m/2, so the output is twice the average over the units.",
        "gate": "Whether a relu unit is on or off for one input: it is on if its weighted sum is above 0. A gate has "
        "flipped if it is not as it was at the start. As long as no gate flips, units respond to the same inputs as "
        "before.",
        "recurrent network": "A network that reads a sequence sign by sign and keeps m numbers in between, its state. "
        "At each sign the same matrix W turns the old state into a part of the new one. The output is a weighted sum "
        "of the last state. This simplest kind is named after J. Elman.",
        "variance of W": "How large the random numbers in the recurrent matrix W are at the start. Each is drawn with "
        "mean 0 and with this variance, divided by the width m (divided, because m of them are added up). The setting "
        "decides how much of the old state reaches the new one.",
        "catapult": "What happens if the learning rate is too large for the linear model, but not for the network: the "
        "loss first rises, and this changes the kernel, until the steps are no longer too long for it. Then the loss "
        "falls. While the largest eigenvalue stays close to the limit, the loss can rise again for some steps.",
    }
)
