# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # What the reviewers asked, one question after the other
#
# At the end you can
#
# * name what the three reviewers asked about *On the Convergence Rate of Training Recurrent Neural Networks*
#   ([Allen-Zhu, Li and Song 2019](https://arxiv.org/abs/1810.12065), "the paper" below), and what an experiment says;
# * rerun any of these experiments at any size, from here or by one command;
# * distinguish a result from "not visible at this size".
#
# The paper proves that gradient descent on a very wide recurrent network finds a global minimum. Each section has one
# question of a reviewer in our words, one figure and a verdict in sentences, which is made from the numbers of this run.
# **The runs are small**: a few narrow networks, few seeds. Where they are too small to show something, the verdict says
# so. Intervals in parentheses are 95 % intervals over seeds. Terms such as *gap*, *lazy* and *kernel time* stand in the
# [glossary](../README.md#glossary).
#
# `comparisons.run` measures what is missing in a directory and returns numbers, verdict, table and figures. The command
# line does the same: `lazylab run width`. Its preset `default` takes one to five minutes and gives numbers to rely on, and
# `--preset full` those to quote.

# %%
import tempfile
from pathlib import Path

import pandas as pd
from IPython.display import Markdown, display

import comparisons
from lab.figures import notebook

notebook.begin()

# %% tags=["parameters"]
PRESET, SETTINGS = "fast", {}  # by comparison, settings that differ from the preset: {"width": {"seeds": 5}}

# %%
FOLDER, runs = Path(tempfile.mkdtemp(prefix="reviewers-")), {}


def answer(name, figure):
    """Run one comparison, and show its question, one of its figures with the caption, and its verdict as a list."""
    options = {"executor": "serial", "progress": False, **SETTINGS.get(name, {})}
    run = runs[name] = comparisons.run(name, PRESET, FOLDER / name, **options)
    question, caption = run.comparison.question, run.comparison.CAPTIONS[figure]
    sentences = run.verdict.replace(". ", ".\n* ")
    display(Markdown(f"**{question}**"), run.figures[figure], Markdown(f"*{caption}*\n\n* {sentences}"))


# %% [markdown]
# ## Reviewer 1
#
# Reviewer 1 doubted that the theorems describe networks in use: the width they need is a polynomial of high order, the
# learning rate is very small, and the weights hardly move. The reviewer also asked what happens once a first phase of
# training has made the weights less random, how near to the initialization the weights must stay, and why their variance
# is $2/m$.
#
# ### How does the required width grow?
#
# The theorem needs a width $m\ge\mathrm{poly}(n,L,1/\delta,\log 1/\varepsilon)$ for $n$ samples, sequences of length $L$
# whose first steps are $\delta$ apart, and error $\varepsilon$. It does not give the degrees of the polynomial; reviewer 3
# asks how far from tight they are. So we measure the width at which nine of ten networks train, and the width from which on
# they follow their linear model, and fit the degrees.

# %% tags=["varies"]
answer("required_width", "widths")

# %% [markdown]
# ### Do data from a simple model need less width?
#
# The authors answered the reviewers that they do. The same sequences are labelled in five ways, from random labels to the
# outputs of a wide Elman network. The figure has the width in units of the one that random labels need.

# %% tags=["varies"]
answer("data_model", "widths")

# %% [markdown]
# ### How large may the learning rate be?
#
# Learning rates are in units of the critical one, $c=\eta\lambda_{\max}(K_0)/2$ (notebook 05). The figure marks three limits:
# where the network stops following the linear model, where the linear model diverges, and where the network does not train.
# Between the last two, in the shaded part, is the catapult of [Lewkowycz et al. (2020)](https://arxiv.org/abs/2003.02218).

# %% tags=["varies"]
answer("step_size", "limits")

# %% [markdown]
# ### Does a linear model hold after a first phase of training?
#
# The authors pointed to a second phase of training, with small steps. The reviewer answered that the weights are not random
# there. We compare two linear models of the second phase: one linearized at the initialization, one where the first phase
# ends, as [Fort et al. (2020)](https://arxiv.org/abs/2010.15110) do along the path of training.

# %% tags=["varies"]
answer("phases", "gaps")

# %% [markdown]
# ### Is a network whose weights hardly move a linear model?
#
# In very wide networks it is: this is the theory of lazy training. How fast the gap between the network and its linear model
# falls with the width is the main question of this project. [Lee et al. (2019)](https://arxiv.org/abs/1902.06720) bound the
# gap by a multiple of $m^{-1/2}$ for smooth activations.

# %% tags=["varies"]
answer("width", "gap")

# %% [markdown]
# ### Why is the variance of the weights 2/m?
#
# The proof needs signals that neither explode nor vanish over many time steps, and inputs that stay distinguishable. Nothing
# is trained here: we vary $\sigma_w^2$ in the variance $\sigma_w^2/m$ of $W$ and measure the growth per time step.

# %% tags=["varies"]
answer("stability", "rates")

# %% [markdown]
# ### How near to the initialization must the weights stay?
#
# Theorem 3 bounds the gradient from below by the loss, for all weights near the initialization. That bound is the smallest
# eigenvalue $\lambda_{\min}$ of the tangent kernel. We move away from $W_0$ in four directions, one of them the worst that a
# search finds, and record where $\lambda_{\min}$ has lost three quarters of its value. Reviewer 3 asked the same: how far from
# tight is the theorem?

# %% tags=["varies"]
answer("gradient_bounds", "spheres")

# %% [markdown]
# ## Reviewer 2
#
# Reviewer 2 asked about the loss surface: whether there are worse minima than the one that gradient descent finds, and for
# an intuition why width helps.
#
# ### Are there worse minima, and why does width help?
#
# There are worse minima: we can construct one at which the gradient is exactly zero. The intuition compares two distances: how
# far the weights must move to fit the data, and how far they may move before the smallest eigenvalue of the kernel is lost.
# The first falls with the width. Where it is smaller than the second, the weights fit the data before the kernel is lost.

# %% tags=["varies"]
answer("minima", "intuition")

# %% [markdown]
# ## Reviewer 3
#
# Reviewer 3 doubted that a linear theory explains the success of neural networks: networks in this regime behave like linear
# models, random features cannot learn even a single neuron, and infinite width may be far from what is used. The reviewer
# asked what each of the three matrices contributes, and whether the theory explains more than the early stages of training.
#
# ### Does output scale alone make a network lazy?
#
# The reviewer cites [Chizat, Oyallon and Bach (2019)](https://arxiv.org/abs/1812.07956): every model becomes lazy if its
# outputs are scaled up. We multiply the outputs by $\alpha$ (notebook 02). By their theory the gap falls as $1/\alpha$ for
# smooth networks; ReLU is not smooth.

# %% tags=["varies"]
answer("output_scale", "laziness")

# %% [markdown]
# ### Where does lazy end and feature learning begin?
#
# Width and output scale span a plane. Along $\alpha = 1$ wide networks become lazy. Along $\alpha \propto m^{-1/2}$, the
# mean-field limit, features move at every width. In between runs a boundary, at which the gap is a tenth of the targets.

# %% tags=["varies"]
answer("regimes", "plane")

# %% [markdown]
# ### What can random features not learn?
#
# [Yehudai and Shamir (2019)](https://arxiv.org/abs/1904.00687) show that a single ReLU neuron may need exponentially many random
# features, or exponentially large coefficients, in the dimension $d$. The reviewer asks what this means for a linear theory.
# The figure is about learning one neuron from samples; an error of 1 is that of the best affine predictor.

# %% tags=["varies"]
answer("random_features", "learners")

# %% [markdown]
# ### How far is finite width from infinite width?
#
# [Jacot, Gabriel and Hongler (2018)](https://arxiv.org/abs/1806.07572) have theorems about infinite width. We measure how far
# networks of a few hundred units are from it, in their kernel at initialization and in what they have learnt.

# %% tags=["varies"]
answer("infinite_width", "kernel")

# %% [markdown]
# ### What does each matrix contribute?
#
# In the paper $A$ and $B$ stay random and only $W$ is trained. The reviewer asks whether random weights are nearly optimal
# already. We train each matrix alone and all together. "mse" is the mean squared error on the training set.

# %% tags=["varies"]
answer("frozen_layers", "losses")

# %% [markdown]
# ### Does the linear model explain more than the early stages?
#
# We train by stochastic gradient descent, beside a linear model that gets the same batches. Kernel time $\tau$ counts steps in
# units that make batch sizes and learning rates comparable. The question is at which $\tau$ network and linear model differ
# visibly.

# %% tags=["varies"]
answer("early_sgd", "gap")

# %% [markdown]
# ### Does the loss decide?
#
# The theory is about the squared loss; classifiers are trained by cross-entropy. There the outputs grow without end, so that
# targets are no unit for a gap: here it is the change of the linear model's own outputs, for every loss.

# %% tags=["varies"]
answer("loss_function", "leaving")

# %% [markdown]
# ### When does the kernel stop moving, and is the kernel after training better?
#
# The tangent kernel is computed again along training. Its velocity is the angle by which it turns in one unit of kernel time.
# Kernels from the start, from a tenth of the error and from the end of training then learn the same task from scratch.

# %% tags=["varies"]
answer("kernel_evolution", "errors")

# %% [markdown]
# ### Does the theory suffice to explain success in practice?
#
# Here the test error on real data counts: of the network in three regimes, its linearization, its infinite-width kernel, and
# simple other methods. All of them choose among the same number of candidates on the same validation samples.

# %% tags=["varies"]
answer("practice", "errors")

# %% [markdown]
# ## All runs at a glance

# %% tags=["varies"]
rows = {
    name: {
        "cells": len(run.table),
        "seconds on one core": run.table["seconds"].sum().round(),
        "numbers": len(run.numbers),
        "without a value": sum(number.value is None for number in run.numbers.values()),
    }
    for name, run in runs.items()
}
pd.DataFrame(rows).T.astype(int)

# %% [markdown]
# A number without a value has a reason instead, such as "too few seeds" or "right censored at 64" (the threshold lies beyond
# the measured widths). Here are the first numbers of one run. A run as the last line of a cell shows everything: question,
# verdict, all numbers and all figures.

# %% tags=["varies"]
pd.Series({name: str(number) for name, number in list(runs["width"].numbers.items())[:8]}, name="width")

# %% [markdown]
# **What small runs cannot show.** Many of these verdicts say "no trend is visible at this size" or "no difference is visible".
# Intervals from three seeds are so wide that they contain most theories, and a figure in which the gap seems to fall may show
# an accident of one seed. The remedy is not a bolder sentence but more seeds and widths: `lazylab run all`, then
# `lazylab report runs/*` for one page with everything.
#
# ## Exercises
#
# **1.** How many seeds would the slope of `width` need before its interval is shorter than ½? Use that the length of a $t$
# interval falls about as one over the square root of the number of seeds.
#
# <details><summary>Solution</summary>
#
# ```python
# slope = runs["width"].numbers["exponent.gap_test"]
# low, high = slope.interval
# print(slope, "from", slope.seeds, "seeds; wanted about", round(slope.seeds * ((high - low) / 0.5) ** 2))
# ```
#
# That overstates it for three seeds: Student's factor alone falls from 4.3 to 2.3 between 3 and 10 seeds. More widths help as
# well, since each seed's slope then varies less.
#
# </details>
#
# **2.** Does `width` describe Elman networks alone? Run it with torch's GRU.
#
# <details><summary>Solution</summary>
#
# ```python
# options = {"widths": (16, 32), "variants": ("centred",), "executor": "serial", "progress": False}
# gru = comparisons.run("width", "fast", FOLDER / "gru", network="gru", **options)
# print(gru.verdict)
# ```
#
# Only slopes compare, not levels: GRUs are in torch's own parametrization, with all weights trained.
#
# </details>
#
# **3.** Verdicts are made from a table with one row per cell. From the table of `step_size`, compute the share of runs that
# train at each learning rate $c$, and the largest error on the way.
#
# <details><summary>Solution</summary>
#
# ```python
# table = runs["step_size"].table
# trains = (table["outcome"] == "reached").groupby(table["fraction"]).mean()
# peak = table.groupby("fraction")["peak_mse"].max()
# print(pd.DataFrame({"trains": trains, "highest peak": peak}))
# ```
#
# Peaks are in units of the first error. An empty cell stands for a learning rate at which every run diverged.
#
# </details>
