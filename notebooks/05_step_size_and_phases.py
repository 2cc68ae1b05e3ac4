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
# # Step size, catapults, and a second phase
#
# At the end you can
#
# * name the largest step that the linear model survives, and say in one line why;
# * find out whether a network survives larger ones, and what happens to its kernel then;
# * linearize a network at the weights that a first phase of large steps has reached, and measure whether that helps.
#
# The first of the paper's reviewers made two remarks that lead to these experiments. The learning rate in the theorems
# is very small. And if training begins with a phase of large steps, the weights after it are no longer random, as the
# theorems need them. (The paper is [Allen-Zhu, Li and Song 2019](https://arxiv.org/abs/1810.12065).) Terms of this
# project stand in the [glossary](../README.md#glossary).

# %%
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from IPython.display import Markdown

import comparisons
import lab
from lab.figures import curves, notebook, style

notebook.begin()

# %% tags=["parameters"]
WIDTH, STEPS = 128, 100
PHASES = {"widths": (64,), "seeds": 10}  # of the comparison of two phases

# %% [markdown]
# ## The edge, for the linear model
#
# Let $r_t=f_t-y$ be the residual on the training set after $t$ steps, $K$ the tangent kernel (one number for each pair
# of training samples), $\eta$ the learning rate. For the linear model a step of gradient descent is
# $r_{t+1}=(I-\eta K)\,r_t$. Along an eigenvector of $K$ with eigenvalue $\lambda$ this multiplies by $1-\eta\lambda$. The
# largest eigenvalue is the first one for which this leaves the interval from −1 to 1, at the *critical* learning rate
# $2/\lambda_{\max}(K)$. We give learning rates in units of it, as the *critical fraction*
#
# $$c=\frac{\eta\,\lambda_{\max}(K)}{2},\qquad\text{along the first eigenvector:}\quad r\mapsto(1-2c)\,r .$$
#
# For $c<1$ the residual shrinks. For $c>1$ it is multiplied by $-(2c-1)$ in every step and grows. We compare the plain
# loop with the lab's formula, which needs one eigendecomposition for all steps.
#
# **Your prediction:** you may watch the loss for five steps only. Which of $c=$ 0.25, 0.9 and 1.05 looks best? From which
# step on can you see that 1.05 is too large?

# %%
task = lab.tasks.digits(train=24, test=24)  # two handwritten digits, 8 rows of 8 pixels; targets −1 and +1
network = lab.ElmanRNN.like(task, WIDTH, centred=True)  # outputs f(θ) − f(θ₀)
linear = lab.KernelRegressor.at(network, task)  # the linear model around these weights
edge = 2 / linear.spectrum.lambda_max


def by_hand(c, steps):
    """Loss of the linear model over its first value, one step after the other."""
    kernel = linear.kernel.flatten(2).flatten(0, 1)
    residual, losses = (linear.outputs - linear.targets).flatten(), []
    for _ in range(steps + 1):
        losses.append(0.5 * float(residual @ residual))
        residual = residual - c * edge * kernel @ residual
    return np.array(losses) / losses[0]


def by_formula(c, steps):
    """The same in closed form."""
    loss = linear.trajectory(lab.Descent(steps, learning_rate=c * edge, record="all"), c * edge).loss
    return loss / loss[0]


figure, axes = style.panels(1, size=(6.4, 3.6))
for c, color in zip((0.25, 0.9, 1.05, 1.2), style.QUANTITIES, strict=False):
    loop, formula = by_hand(c, 20), by_formula(c, 20)
    np.testing.assert_allclose(loop, formula, rtol=1e-8)
    axes[0, 0].plot(formula, color=color, label=f"c = {c}")
axes[0, 0].set(yscale="log", xlabel="step", ylabel="loss / first loss", title="The linear model has an edge at c = 1")
axes[0, 0].set_xticks(range(0, 21, 5))
style.legend_below(axes[0, 0], columns=4)
figure

# %% [markdown]
# **What to see.** Beyond the edge the loss falls at first, because the residual still shrinks along all eigenvectors
# but one. Then that one dominates, and the loss grows by $(2c-1)^2$ in every step. In a run of five steps, $c=1.05$
# looks best; its loss rises from step 12 on.
#
# ## The network, at the same steps
#
# At every step we record the loss and the *sharpness* $\eta\,\lambda_{\max}(K_t)/2$: the critical fraction computed with
# the kernel at the weights of that step. At the start it is $c$, and 1 is the edge.
#
# **Your prediction:** for each of $c=$ 0.25, 0.9, 3 and 16, does the network diverge as the linear model does? Where
# does its sharpness end: at its first value, at the edge, or below?


# %%
def losses_and_sharpness(c):
    """Along descent of the network, in units of the first loss and of the edge; the step of a divergence or None."""
    path = lab.descend(network, task, lab.Descent(STEPS, c, record="all"))
    losses, sharpness = [], []
    for snapshot in path:
        kernel = snapshot.jacobian.gram()
        largest = torch.linalg.eigvalsh(kernel.flatten(2).flatten(0, 1))[-1]
        losses.append(snapshot.loss)
        sharpness.append(c * float(largest) / linear.spectrum.lambda_max)
    return np.array(losses) / losses[0], np.array(sharpness), path.diverged_at


FRACTIONS = (0.1, 0.25, 0.5, 0.9, 1.1, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0)
runs = {c: losses_and_sharpness(c) for c in FRACTIONS}


# %%
def draw(c, above, below):
    """Losses of network and linear model, and the sharpness below."""
    losses, sharpness, diverged_at = runs[c]
    above.plot(by_formula(c, STEPS), **style.LINEARIZED.curve(), label="linear model")
    above.plot(losses, **style.NETWORK.curve(), label="network", marker=".", markevery=range(min(10, len(losses))))
    below.plot(sharpness, **style.NETWORK.curve(), marker=".", markevery=range(min(10, len(losses))))
    curves.reference(below, 1, "edge", horizontal=True)
    end = "" if diverged_at is None else f", diverged at step {diverged_at}"
    above.set(yscale="log", ylim=(1e-3, 1e7), title=f"c = {c:g}{end}", ylabel="loss / first loss")
    below.set(yscale="log", ylim=(0.1, 1e4), ylabel="sharpness $\\eta\\lambda_{\\max}(K_t)/2$")
    for ax in (above, below):
        curves.step_axis(ax, np.array([STEPS]))
    above.legend(loc="upper right", fontsize="small")


notebook.slide(draw, "c", FRACTIONS, (0.25, 0.9, 3.0, 16.0), rows=2, size=(3.0, 2.7))

# %% [markdown]
# **What to see.** Steps are on a logarithmic axis; the first ten have a point each. At $c=0.25$ network and linear
# model fall together, and the sharpness grows a little. At $c=0.9$ the sharpness rises to the edge and stays there,
# with a few bumps in the loss. At $c=3$ the linear model diverges. The loss of the network, too, grows more than
# tenfold within three steps, but then the sharpness drops below the edge, and the loss falls. At $c=16$ both diverge
# after a few steps. The table has all learning rates at which the network did not diverge:

# %% tags=["varies"]
survivors = [c for c in FRACTIONS if runs[c][2] is None]
rows = [(c, runs[c][0].max(), runs[c][0][-1], runs[c][1].max(), runs[c][1][-1]) for c in survivors]
columns = ["c", "largest loss / first", "last loss / first", "largest sharpness", "last sharpness"]
pd.DataFrame(rows, columns=columns).set_index("c").map("{:.3g}".format)

# %% [markdown]
# For $c>1$ the sharpness begins above the edge, at $c$, grows at first, and ends at the edge or below it.
#
# There are three regimes. At small $c$ network and linear model fall together. Around $c=1$ the sharpness settles at
# the edge: the *edge of stability* of [Cohen et al. (2021)](https://arxiv.org/abs/2103.00065), who measure the Hessian
# where we measure the kernel. At larger $c$ the loss grows until the weights reach a region in which the kernel is
# small, and the network trains there: the *catapult* of [Lewkowycz et al. (2020)](https://arxiv.org/abs/2003.02218).
#
# ## Why it comes back: a model with two numbers
#
# Take one training sample $x=1$ with target 0 and $f=\langle u,v\rangle/\sqrt n$, with $u,v\in\mathbb R^n$ both trained.
# Its kernel is one number, $\lambda=(\|u\|^2+\|v\|^2)/n$. Put a step of gradient descent into both definitions and
# collect terms:
#
# $$f'=f\,(1-\eta\lambda+\eta^2f^2/n),\qquad \lambda'=\lambda+\frac{\eta f^2}{n}\,(\eta\lambda-4).$$
#
# A linear model keeps only $f'=f(1-\eta\lambda)$. When $f$ has become as large as $\sqrt n$, the change of $\lambda$ is
# no longer small.
#
# **Your prediction:** up to which $c$ do large outputs make the kernel smaller? Sketch $|f|$ and the sharpness
# $\eta\lambda/2$ for $c=1.5$. Does the sharpness end just below the edge, or far below it?


# %%
def two_numbers(c, n=512, steps=20):
    """|f| and ηλ/2 by the two equations, from λ = 1."""
    f, size, eta, path = 1.0, 1.0, 2 * c, []
    for _ in range(steps):
        path.append((abs(f), eta * size / 2))
        if not abs(f) < 1e6:
            break
        f, size = f * (1 - eta * size + eta**2 * f**2 / n), size + eta * f**2 / n * (eta * size - 4)
    return np.array(path).T


generator = torch.Generator().manual_seed(0)  # the same by autograd, three steps
u, v = (torch.randn(512, generator=generator, dtype=torch.float64).requires_grad_() for _ in range(2))
f, size = (u @ v).item() / 512**0.5, (u @ u + v @ v).item() / 512
for _ in range(3):
    for weights, change in zip((u, v), torch.autograd.grad(0.5 * (u @ v) ** 2 / 512, (u, v)), strict=True):
        weights.data -= 1.2 * change
    f, size = f * (1 - 1.2 * size + 1.44 * f**2 / 512), size + 1.2 * f**2 / 512 * (1.2 * size - 4)
np.testing.assert_allclose([f, size], [(u @ v).item() / 512**0.5, (u @ u + v @ v).item() / 512], rtol=1e-10)

figure, axes = style.panels(2, size=(4.3, 3.4))
for c, color in zip((0.25, 1.5, 1.95, 2.1), style.QUANTITIES, strict=False):
    for ax, values in zip(axes[0], two_numbers(c), strict=True):
        ax.plot(values, ".-", color=color, label=f"c = {c}")
axes[0, 0].axhline(512**0.5, color=style.GREY, linestyle=":", label="√n")
axes[0, 0].set(yscale="log", ylim=(1e-3, 1e3), xlabel="step", ylabel="|f|", title="Output")
axes[0, 1].set(ylim=(0, 2.6), xlabel="step", ylabel="ηλ/2", title="Sharpness")
curves.reference(axes[0, 1], 1, "edge", horizontal=True)
for ax in axes[0]:
    ax.set_xticks(range(0, 21, 5))
style.legend_below(axes[0, 0], columns=3)
figure

# %% [markdown]
# **What to see.** At $c=0.25$ the output falls from the start and the sharpness does not change. At $c=1.5$ and $c=1.95$
# the output grows to the order of $\sqrt n$. There $\eta\lambda<4$, so that large outputs make the kernel smaller: the
# sharpness drops far below the edge, and the output falls. At $c=2.1$ both grow without bound. In this model the catapult
# needs $1<c<2$.
#
# The recurrent ReLU network above survives larger learning rates than that. It has many samples, shared weights, and
# gates that can close. How far this goes has to be measured: `lazylab run step_size` does it for several widths and
# seeds.

# %% [markdown]
# ## Two phases
#
# In practice a run starts with large steps and ends with small ones. Reviewer 1 accepts the theory for the second phase
# only if it can start from weights that are *not* random. So we let a first phase bring the residual below half of its
# first value, once at $c_1=0.1$ and once at $c_1=3$, with a catapult. Call the weights there $W_k$. A second phase of
# small steps goes on from them. Two linear models of it start at the outputs $f(W_k)$; they differ in their kernel
# alone,
#
# * $K(W_0)$, the kernel at initialization, as in the theory;
# * $K(W_k)$, linearized anew.
#
# The comparison `phases` does this for several seeds. Its gap is in units of RMS$(y-f(W_k))$, of what the first phase
# left to learn.
#
# **Your prediction:** there are four gaps, of two models after two first phases. Order them by size. Is the
# linearization at $W_k$ worse after large steps than after small ones?


# %%
run = comparisons.run(
    "phases", "fast", Path(tempfile.mkdtemp()) / "phases", executor="serial", progress=False,
    phase_one=(0.1, 3.0), **PHASES,
)  # fmt: skip
run.figures["gaps"]

# %% tags=["varies"]
Markdown(run.verdict)

# %% [markdown]
# **What to see.** Squares with bars are means with 95 % intervals, faint squares single seeds. After large steps the
# kernel of the *initialization* describes the second phase badly, and the linearization at $W_k$ is clearly nearer to
# the network. It is about as good after large steps as after small ones; ten networks are too few to show a difference.
# After small steps the intervals of the two models overlap.
#
# The reviewer and the theory are both right in part. A proof that needs random weights does not cover the second phase. A
# linear model *taken at $W_k$* describes a part of it, but its kernel is that of trained weights. Whether it stays well
# conditioned has to be measured: the verdict names what is left of the constant in the paper's lower bound of the gradient.
#
# **A last prediction:** after the catapult, the second phase goes on with one learning rate for all. Which of the three
# trains fastest: the network, the model with $K(W_k)$, or the model with the old kernel $K(W_0)$?

# %% tags=["varies"]
large = run.table[(run.table["first"] == 3.0) & (run.table["outcome"] == "reached")]
last = np.array([arrays["losses"][:, -1] for cell, arrays in run.arrays(first=3.0) if "losses" in arrays])
last = last[np.isfinite(last).all(1)]
print("loss that is left at the end of the second phase (geometric means):")
for name, share in zip(("network", "model with K(W₀)", "model with K(W_k)"), np.exp(np.log(last).mean(0)), strict=True):
    print(f"{name}: {100 * share:.2g} %")
shrunk = np.exp(np.log((large["lambda_max_phase_one"] / large["lambda_max_init"]).astype(float)).mean())
print(f"λ_max of K(W_k) is {shrunk:.2f} times that of K(W₀)")

# %% [markdown]
# The model with the *old* kernel trains fastest, because the catapult has made the largest eigenvalue several times
# smaller. The smaller kernel that saved the network from divergence makes it slow afterwards.
#
# ## Exercises
#
# **1.** With momentum $\beta$ (heavy ball), where is the edge of the linear model? The lab says that
# `critical_fraction=1` is the edge for every $\beta$, with $\eta=2c(1+\beta)/\lambda_{\max}$. Check it.
#
# <details><summary>Solution</summary>
#
# ```python
# for beta in (0.0, 0.5, 0.9):
#     for c in (0.98, 1.02):
#         descent = lab.Descent(2000, c, momentum=beta)
#         loss = linear.trajectory(descent, descent.rate(linear.spectrum.lambda_max)).loss
#         print(f"β = {beta}, c = {c}: loss goes from {loss[0]:.1f} to {loss[-1]:.1e}")
# ```
#
# Above the edge the trajectory ends in NaN, which is how the lab marks a learner that has diverged. Along an eigenvector,
# $r_{t+1}=(1+\beta-\eta\lambda)r_t-\beta r_{t-1}$; the characteristic polynomial has the root $-1$ exactly at
# $\eta\lambda=2(1+\beta)$.
#
# </details>
#
# **2.** Is survival monotone in $c$, or may a network survive a learning rate although it fails at a smaller one? Test
# values of $c$ between 4 and 16, for a few seeds and 60 steps each.
#
# <details><summary>Solution</summary>
#
# ```python
# for seed in range(7):
#     other, alive = lab.ElmanRNN.like(task, WIDTH, seed=seed, centred=True), []
#     for c in np.geomspace(4, 16, 25):
#         path = lab.descend(other, task, lab.Descent(60, c, record=(60,)))
#         alive.append(len(list(path)) > 0 and path.diverged_at is None)
#     print(seed, "".join("+" if each else "." for each in alive), "from c = 4 to c = 16")
# ```
#
# A plus is a run that survives. For most seeds there is one largest $c$; for one of them, pluses follow after a failure.
# The largest stable learning rate is therefore no sharp number. `step_size` takes the largest $c$ such that it *and all
# smaller ones* train, and counts the exceptions. A run that has survived 60 steps need not have learnt anything: look at
# its loss, too.
#
# </details>
#
# **3.** Linearize again and again: every $k$ steps, replace the model by the one at the network's present weights. How
# does the largest gap depend on $k$?
#
# <details><summary>Solution</summary>
#
# ```python
# rate = 0.5 * edge
# for k in (100, 50, 25, 10):
#     here, worst = network.copy(), 0.0
#     for _ in range(100 // k):
#         piece = lab.side_by_side(here, task, lab.Descent(k, learning_rate=rate))
#         worst = max(worst, piece.gap("test").max())
#         here = piece.trained_network
#     print(f"every {k} steps: largest gap {worst:.3f}")
# ```
#
# It falls with $k$. For $k=1$ the linear model predicts a single step, and only the curvature along that step remains.
# (All gaps are in units of the targets, so those of different pieces can be compared.)
#
# </details>
