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
# # Quick start: a network beside its linear model
#
# At the end you can
#
# * train a recurrent network, its linearization and its kernel regressor on one task, with one call;
# * read the three pictures that come out;
# * put your own data or your own PyTorch module in their place, and draw for a large room.
#
# To run this yourself, in the repository's folder: `pip install -c constraints.txt '.[notebooks]'`, then `jupyter lab`.
# Terms of this project, such as *gap*, *motion* and *lazy*, stand in the [glossary](../README.md#glossary).

# %%
import torch

import lab
from lab.figures import architecture, curves, notebook, style

notebook.begin()  # the lab's colours and type in every picture

# %% tags=["parameters"]
WIDTH, STEPS = 256, 300  # hidden units; steps of gradient descent

# %% [markdown]
# ## The first plot
#
# We train a recurrent network on images of two digits, and beside it its *linearization*, the first-order Taylor polynomial
# in the weights around the initial ones. The *gap* is the root mean square of (network − linearized) over the samples, in
# units of the targets. The smaller it is, the *lazier* the training: a lazy network learns as a linear model would.
#
# **Your prediction:** at the end, is the gap on new digits about 3 %, 10 % or 30 %? Sketch it over the steps, for new digits
# and for the training digits.

# %%
task = lab.tasks.digits(classes=(3, 8))  # 8 rows of 8 pixels, read one after the other; targets −1 and +1
network = lab.ElmanRNN.like(task, WIDTH, centred=True)  # centred: outputs are f(θ) − f(θ₀), they start at 0
result = lab.side_by_side(network, task, lab.Descent(STEPS))
result.plot()

# %% [markdown]
# **What to see.** *Left:* the training losses of the network, its linearization and the kernel regressor fall together.
# *Middle:* their outputs on four test samples, one bundle of curves for each. The dotted kernel regressor always lies on the
# dashed linearized network; the network leaves them, on some samples more than on others. *Right:* on the test set the gap
# grows to about a quarter. On the training set it falls again, because both models approach the same targets there.

# %%
print(f"The network of width {network.width} has {network.W.numel():,} trained weights.")
print(f"Training moved them by {100 * result.motion.relative_weight_motion:.1f} % of their size")
print(f"and divided the loss by {result.network.loss[0] / result.network.final_loss:.0f}.")

# %% [markdown]
# A result shows its most important numbers by itself:

# %%
result

# %% [markdown]
# *Initial* gaps are in units of the first residual $y-f_0$; here they are the same up to the mean of the targets, because
# $f_0=0$. The last rows say how far training went: the weights in absolute and relative terms, the spectral norm of the
# change of $W$, the change of the tangent kernel, and the share of ReLU gates that flipped.
#
# ## The three learners
#
# The network reads a sequence $x_1,\dots,x_L$ and keeps a state of $m$ numbers, $h_t=\varphi(Wh_{t-1}+Ax_t)$ with
# $h_0=0$ and $\varphi$ = ReLU. Its output is $f=Bh_L$. All three matrices are random; only $W$ is trained, as in
# [Allen-Zhu, Li and Song (2019)](https://arxiv.org/abs/1810.12065).
#
# **Your prediction:** for $L=8$, how often is $W$ used, and how many of these uses contribute to $\partial f/\partial W$?

# %%
length, features = task.train_inputs.shape[1:]
architecture.architecture_figure(features, network.width, 1, length)

# %% [markdown]
# **What to see.** The same $W$ is used at all eight time steps. The first use multiplies $h_0=0$, so seven contribute.
#
# Call the trained weights $\theta$, their initial values $\theta_0$, and $J_0=\partial f/\partial\theta$ at $\theta_0$.
#
# | learner | predicts | is trained by |
# |---|---|---|
# | **network** | $f(\theta)$ | gradient descent on $\theta$, with the loss $\frac12\sum(f-y)^2$ |
# | **linearized** | $f(\theta_0)+J_0\,(\theta-\theta_0)$ | the same descent on the same loss |
# | **kernel** | $f(\theta_0)$ plus a combination of columns of $K_0=J_0J_0^\top$ | a formula: no weights, no steps |
#
# The last two are the same function, computed in two ways: from the weights, and from the matrix $K_0$ with one number
# for each pair of samples. They must agree up to rounding errors, and the lab checks this in every run:

# %%
print(f"largest difference between linearized and kernel, in units of the gap: {result.disagreement():.0e}")

# %% [markdown]
# The outputs of each learner are arrays, `result.network.test` for instance, and also a tidy table:

# %%
result.network.to_frame().query("split == 'test' and sample == 0").tail(3)

# %% [markdown]
# ## Your own data, your own network
#
# A task may be a pair `(X, y)`, samples first. A network may be any `torch.nn.Module`; all parameters that require a
# gradient are trained. Here it is one hidden layer of tanh units, in PyTorch's own initialization.
#
# **Your prediction:** up to which step does its loss agree with that of its linear model: 10, 100, or the last one? If they
# separate, which one is lower?

# %%
torch.manual_seed(0)
X = torch.randn(30, 5)
y = torch.sin(2 * X[:, :1])  # what to learn: a wave in the first coordinate
module = torch.nn.Sequential(torch.nn.Linear(5, 2 * WIDTH), torch.nn.Tanh(), torch.nn.Linear(2 * WIDTH, 1))

own = lab.side_by_side(module.double(), (X.double(), y.double()), lab.Descent(3 * STEPS))
own.plot()

# %%
print(f"final training loss: network {own.network.final_loss:.2g}, linearized {own.linearized.final_loss:.2g}")
print(f"largest gap on the training set: {own.gap('train').max():.0%}")

# %% [markdown]
# **What to see.** The two losses agree for about a hundred steps. Then that of the network falls faster. Whether a network is
# lazy is a property of *this* network on *this* task: measure it.
#
# ## A picture for tomorrow's lecture
#
# The curves are functions that take an axes object and numbers. The style "lecture" is for a slide, and
# `figure.savefig("gap.svg")` writes a file. Here is the gap once more, and that of a network four times as wide.
#
# **Your prediction:** by which factor does the largest gap on new digits change?

# %%
wide = lab.side_by_side(lab.ElmanRNN.like(task, 4 * WIDTH, centred=True), task, result.descent)
with style.use("lecture"):
    figure, axes = style.panels(2, sharey=True)
    for ax, each in zip(axes[0], (result, wide), strict=True):
        curves.gaps(ax, each.network.steps, {split: each.gap(split) for split in ("train", "test")})
        ax.set_title(f"width {each.trained_network.width}")
    axes[0, 1].set_ylabel("")
    style.headline(figure, "Handwritten digits: how far a network leaves its linear model")
figure

# %% [markdown]
# **What to see.** The wider network stays nearer to its linear model. Its test gap is about half as large. These are two
# draws of the weights, and other draws give other factors; notebook 04 measures an exponent, with an interval.
#
# ## Exercises
#
# **1.** How does the relative motion of the weights change with the width? Does the wide network fit the targets as well?
#
# <details><summary>Solution</summary>
#
# ```python
# for each in (result, wide):
#     print(each.trained_network.width, each.motion.relative_weight_motion, each.network.final_loss)
# ```
#
# The losses are alike. The relative motion falls about in proportion to $1/m$, faster than the gap.
#
# </details>
#
# **2.** The learning rate is given as a share $c$ of the largest one that the linear model survives; the default is
# `critical_fraction=0.5`. Try $c=1.1$. Which learners diverge?
#
# <details><summary>Solution</summary>
#
# ```python
# fast = lab.side_by_side(network, task, lab.Descent(steps=1000, critical_fraction=1.1))
# for name, learner in fast.learners.items():
#     print(name, "diverged at step", learner.diverged_at)
# ```
#
# The linearized network and the kernel regressor do, at the same step. The network need not: where its loss grows, it
# moves to weights with a smaller kernel, and its loss falls again. A linear model cannot do that. This is the "catapult"
# of [Lewkowycz et al. (2020)](https://arxiv.org/abs/2003.02218). `lazylab run step_size` measures it.
#
# </details>
#
# **3.** Give the digits random labels. Does the network fit them? Is it as close to its linearization?
#
# <details><summary>Solution</summary>
#
# ```python
# coin = lab.side_by_side(network, task.with_random_labels(seed=1), result.descent)
# for each in (result, coin):
#     print(each.network.final_loss, each.gap("train").max(), each.motion.relative_weight_motion)
# ```
#
# The loss falls far more slowly: random labels are spread over the directions in which the kernel is small. The weights
# move further, and the gap is larger. With more steps the random labels are fitted too.
#
# </details>
