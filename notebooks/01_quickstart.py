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

# %%
import torch

import lab
from lab.figures import architecture, curves, notebook, style

notebook.begin()

# %% [markdown]
# ## The first plot

# %%
task = lab.tasks.digits(classes=(3, 8))  # 8 rows of 8 pixels, read one after the other; targets −1 and +1
network = lab.ElmanRNN.like(task, width=notebook.choose(256, fast=64), centred=True)  # outputs start at 0
result = lab.side_by_side(network, task, lab.Descent(steps=notebook.choose(300, fast=50)))

notebook.show(result.plot(), "losses, outputs and gap of the three learners")

# %% [markdown]
# **What to see.** *Left:* the training losses of three learners fall together. *Middle:* their outputs on four test
# samples; each bundle is one sample. The dotted kernel learner always lies on the dashed linearized network.
# *Right:* how far the network is from its linearization, as a share of what there was to learn.

# %%
split = result.gap("test")
notebook.say(f"""
The {network.width}-unit network has {network.W.numel():,} trained weights. Training moved them by
**{100 * result.motion.relative_weight_motion:.1f} %** of their size and divided the loss by
**{result.network.loss[0] / result.network.final_loss:.0f}**. All that time its outputs on new digits stayed within
**{100 * split.max():.0f} %** (root mean square, in units of the targets) of a model that is *linear* in the
weights. The closer a network stays to that model, the *lazier* its training; wider networks stay closer (notebook 04).
""")

# %% [markdown]
# ## Who are the three?
#
# The network reads a sequence $x_1,\dots,x_L$ and keeps a state of $m$ numbers, $h_t=\varphi(Wh_{t-1}+Ax_t)$ with
# $h_0=0$ and $\varphi$ = ReLU. Its output is $f=Bh_L$. All three matrices are random; only $W$ is trained, as in
# [Allen-Zhu, Li and Song (2019)](https://arxiv.org/abs/1810.12065).

# %%
length, features = task.train_inputs.shape[1:]
figure = architecture.architecture_figure(features, network.width, 1, length)
notebook.show(figure, "the recurrent network, unrolled in time")

# %% [markdown]
# Call the trained weights $\theta$, their initial values $\theta_0$, and $J_0=\partial f/\partial\theta$ at $\theta_0$.
#
# | learner | predicts | is trained by |
# |---|---|---|
# | **network** | $f(\theta)$ | gradient descent on $\theta$, with the loss $\frac12\sum(f-y)^2$ |
# | **linearized** | $f(\theta_0)+J_0\,(\theta-\theta_0)$ | the same descent on the same loss |
# | **kernel** | $f(\theta_0)$ plus a combination of columns of $K_0=J_0J_0^\top$ | a formula: no weights, no steps |
#
# The last two are the same function, computed in two ways: with weights, and from the matrix $K_0$, one number for each
# pair of samples. So they must agree, and the lab checks it in every run:

# %%
notebook.say(f"Largest difference between linearized and kernel, in the gap's units: **{result.disagreement():.0e}**.")

# %% [markdown]
# ## Your own data, your own network
#
# A task may be a pair `(X, y)`, samples first. A network may be any `torch.nn.Module`; all parameters that require a
# gradient are trained.

# %%
torch.manual_seed(0)
X = torch.randn(30, 5)
y = torch.sin(2 * X[:, :1])  # what to learn: a wave in the first coordinate
hidden = notebook.choose(512, fast=64)
module = torch.nn.Sequential(torch.nn.Linear(5, hidden), torch.nn.Tanh(), torch.nn.Linear(hidden, 1))

own = lab.side_by_side(module.double(), (X.double(), y.double()), lab.Descent(steps=notebook.choose(1000, fast=100)))
notebook.show(own.plot(), "the three learners on a wave, with a module of our own")

# %%
notebook.say(f"""
A tanh network in PyTorch's own initialization ends at a training loss of {own.network.final_loss:.2g}, its
linearization at {own.linearized.final_loss:.2g}; the largest gap is {100 * own.gap("train").max():.0f} % of what
there was to learn. Whether a network is lazy is a property of *this* network on *this* task: measure it.
""")

# %% [markdown]
# ## A picture for tomorrow's lecture
#
# The curves are functions that take an axes object and numbers. In the style "lecture" type and lines are larger, and
# the panels grow with them.

# %%
notebook.begin("lecture")
figure, axes = style.panels(2)
curves.losses(axes[0, 0], result.network.steps, {name: learner.loss for name, learner in result.learners.items()})
curves.gaps(axes[0, 1], result.network.steps, {"test": result.gap("test")})
style.headline(figure, f"{network.width} units on handwritten digits: lazy training")
notebook.show(figure, "losses and gap in large type")  # figure.savefig("lazy.svg") keeps it
notebook.begin()

# %% [markdown]
# ## Exercises
#
# **1.** Make the network four times as wide. What happens to the gap, and to the relative motion of the weights?
#
# <details><summary>Solution</summary>
#
# ```python
# wide = lab.side_by_side(lab.ElmanRNN.like(task, 4 * network.width, centred=True), task, result.descent)
# for each in (result, wide):
#     print(each.trained_network.width, each.gap("test").max(), each.motion.relative_weight_motion)
# ```
#
# Both fall. The relative motion falls about in proportion to $1/m$, the gap more slowly: notebook 04 measures how fast.
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
# The linearized network and the kernel do, at the same step. The network need not: where its loss grows it moves to a
# place with a smaller kernel and comes down again, which a linear model cannot do. This is the "catapult" of
# [Lewkowycz et al. (2020)](https://arxiv.org/abs/2003.02218). `lazylab run step_size` maps it out.
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
# The loss falls far more slowly: random labels are spread over the directions in which the kernel is small. With more
# steps they are fitted too, and the weights have to move further for it.
#
# </details>
