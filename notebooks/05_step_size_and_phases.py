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
# * show a network that survives larger ones, and what it gives up for that;
# * linearize a network where a first phase of large steps has left it, and measure whether that pays.
#
# Two remarks of the paper's first reviewer stand behind this: the step in the theorems is very small, and after a first
# phase of ordinary training the weights are not random any more.

# %%
import numpy as np
import torch

import lab
from lab.figures import curves, notebook, style
from lab.measures.gap import tracking_gap

notebook.begin()

# %% [markdown]
# ## The edge, for the linear model
#
# Let $r_t=f_t-y$ be the residual on the training set after $t$ steps, $K$ the tangent kernel (one number for each pair
# of training samples), $\eta$ the learning rate. For the linear model a step of gradient descent is
# $r_{t+1}=(I-\eta K)\,r_t$. Along an eigenvector of $K$ with eigenvalue $\lambda$ this multiplies by $1-\eta\lambda$, so
# everything hangs on the largest one. We measure steps in units of the edge,
#
# $$c=\frac{\eta\,\lambda_{\max}(K)}{2},\qquad\text{fastest direction:}\quad r\mapsto(1-2c)\,r .$$
#
# For $c<1$ the residual shrinks; for $c>1$ it grows by $(2c-1)$ in every step, with alternating sign. First the plain
# loop, then the lab's formula, which needs one eigendecomposition for all steps:

# %%
task = lab.tasks.digits(train=24, test=24)  # two handwritten digits, 8 rows of 8 pixels; targets −1 and +1
network = lab.ElmanRNN.like(task, width=notebook.choose(128, fast=64), centred=True)  # output f(θ) − f(θ₀)
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
notebook.show(figure, "loss of the linear model below and above the edge")

# %% [markdown]
# **What to see.** Slightly above the edge the loss first falls: all directions but one still shrink. Then that one
# direction takes over, at its known rate. A short run cannot tell $c=1.05$ from a good step.
#
# ## The network, at the same steps
#
# At every step we note the loss and the *sharpness* $\eta\,\lambda_{\max}(K_t)/2$, which is $c$ recomputed with the
# kernel at the weights of that moment. At the start it is $c$ itself, and 1 is the edge.

# %%
STEPS = notebook.choose(100, fast=60)


def watch(c):
    """Losses and sharpness of the network along descent, in units of their first value and of the edge."""
    path = lab.descend(network, task, lab.Descent(STEPS, c, record="all"))
    losses, sharpness = [], []
    for snapshot in path:
        kernel = snapshot.jacobian.gram()
        largest = torch.linalg.eigvalsh(kernel.flatten(2).flatten(0, 1))[-1]
        losses.append(snapshot.loss)
        sharpness.append(c * float(largest) / linear.spectrum.lambda_max)
    return np.array(losses) / losses[0], np.array(sharpness), path.diverged_at


FRACTIONS = (0.1, 0.25, 0.5, 0.9, 1.1, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0)
runs = {c: watch(c) for c in FRACTIONS}


# %%
def draw(c, above, below):
    """Losses of network and linear model, and the sharpness below."""
    losses, sharpness, diverged_at = runs[c]
    network_line, linear_line = style.NETWORK.curve(), style.LINEARIZED.curve()
    above.plot(losses, **network_line, label="network")
    above.plot(by_formula(c, STEPS), **linear_line, label="linear model")
    below.plot(sharpness, **network_line)
    below.axhline(1, color=style.GREY, linestyle="--")
    end = "" if diverged_at is None else f", diverged at step {diverged_at}"
    above.set(yscale="log", ylim=(1e-3, 1e3), title=f"c = {c:g}{end}", ylabel="loss / first loss")
    below.set(
        yscale="log",
        ylim=(0.05, 100),
        xlabel="step",
        ylabel="sharpness  $\\eta\\lambda_{\\max}(K_t)/2$\n(dashed: edge)",
    )
    above.set_xlim(-2, STEPS)
    below.set_xlim(-2, STEPS)
    above.legend(loc="upper right", fontsize="small")


notebook.slide(draw, "c", FRACTIONS, (0.25, 0.9, 3.0, 16.0), rows=2, size=(3.0, 2.7))

# %%
survivors = [c for c in FRACTIONS if runs[c][2] is None]
largest = max(survivors)
flown = [c for c in survivors if c > 1]
ends = [runs[c][1][-1] for c in flown]
calm, near = runs[0.25][1], runs[0.9][1]
notebook.say(f"""
The linear model's edge is at c = 1. **This network still trains at c = {largest:g}**: its loss first rises to
{runs[largest][0].max():.0f} times its first value, and ends at {runs[largest][0][-1]:.2g} of it. On the way its kernel
shrinks. Over the steps from c = {min(flown):g} to {largest:g} the final sharpness lies between {min(ends):.2f} and
{max(ends):.2f}, although it began at {min(flown):g} to {largest:g}. Even a step *below* the edge meets it: at c = 0.9 the
sharpness rises to {near.max():.2f}, bumps appear in the loss, and it ends at {near[-1]:.2f}. At c = 0.25 it goes from
{calm[0]:.2f} to {calm[-1]:.2f} undisturbed.
""")

# %% [markdown]
# Three regimes, then. At small $c$ network and linear model fall together. Around $c=1$ the sharpness comes to the edge
# and stays there: the
# *edge of stability* of [Cohen et al. (2021)](https://arxiv.org/abs/2103.00065), who measure the Hessian; ours is the
# kernel's. Beyond it the network is thrown out, lands where the kernel is small, and trains there: the *catapult* of
# [Lewkowycz et al. (2020)](https://arxiv.org/abs/2003.02218).
#
# ## Why it comes back: a model with two numbers
#
# Take one training sample $x=1$ with target 0 and $f=\langle u,v\rangle/\sqrt n$, with $u,v\in\mathbb R^n$ both trained.
# Its kernel is one number, $\lambda=(\|u\|^2+\|v\|^2)/n$. Put a step of gradient descent into both definitions and
# collect terms:
#
# $$f'=f\,(1-\eta\lambda+\eta^2f^2/n),\qquad \lambda'=\lambda+\frac{\eta f^2}{n}\,(\eta\lambda-4).$$
#
# A linear model keeps only $f'=f(1-\eta\lambda)$. Here, when $f$ has become as large as $\sqrt n$, the second equation
# wakes up: as long as $\eta\lambda<4$, that is $c<2$, **large outputs make the kernel smaller**. That is the way back.


# %%
def two_numbers(c, n=512, steps=60):
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
        ax.plot(values, color=color, label=f"c = {c}")
axes[0, 0].set(yscale="log", ylim=(1e-4, 1e3), xlabel="step", ylabel="|f|", title="Output")
axes[0, 1].set(ylim=(0, 2.4), xlabel="step", ylabel="ηλ/2", title="Sharpness")
axes[0, 1].axhline(1, color=style.GREY, linestyle="--")
axes[0, 0].legend(fontsize="small", loc="upper right")
notebook.show(figure, "the two-number model below the edge, in the catapult window, and beyond it")

# %%
notebook.say(f"""
The two-number model catapults for 1 < c < 2 and is lost beyond. **Our ReLU network is not: it survives c =
{largest:g}.** With many samples, shared weights and gates that can close, it has more ways to shrink its kernel than
the model has; how far it can go is a matter of measurement. `lazylab run step_size` measures it over widths and seeds.
""")

# %% [markdown]
# ## Two phases
#
# In practice a run starts with large steps and ends with small ones. Reviewer 1 accepts the theory for the second part
# only if it can start from weights that are *not* random. So: let a first phase of large steps bring the residual below
# half of its first value, call the weights there $W_k$, and compare two linear models of what follows. Both start at
# the outputs $f(W_k)$; they differ in their kernel alone,
#
# * $K(W_0)$, as the theory has it: `before.starting_from(after)`;
# * $K(W_k)$, linearized anew: `lab.KernelRegressor.at(caught, task)`.


# %%
def first_phase(c, share=0.5, steps=400):
    """The network when its residual is ``share`` of the first one, after the peak if it rises; None if never."""
    caught, first, peak = None, None, 1 + 1e-6
    for snapshot in lab.descend(network, task, lab.Descent(steps, c, record="all")):
        first = first or snapshot.loss
        residual = (snapshot.loss / first) ** 0.5
        if residual > peak:
            caught, peak = None, residual
        elif caught is None and residual <= share:
            caught = snapshot.network.copy()
    return caught


def second_phase(caught, steps=notebook.choose(400, fast=150)):
    """Small steps from there: the three learners, and the model with the kernel of the first weights."""
    after = lab.KernelRegressor.at(caught, task)
    rate = 0.5 / max(linear.spectrum.lambda_max, after.spectrum.lambda_max)
    descent = lab.Descent(steps, learning_rate=rate)
    result = lab.side_by_side(caught, task, descent)
    return result, linear.starting_from(after).trajectory(descent, rate)


def phases(c):
    """Both test gaps of the second phase, in units of what the first one left to learn; with the learners."""
    result, old = second_phase(first_phase(c))
    former = tracking_gap(result.network.test, old.test, result.units["initial"])
    return former, result.gap("test", unit="initial"), result, old


compared = {c: phases(c) for c in (0.1, 3.0)}

# %%
figure, axes = style.panels(2, 2, size=(4.3, 3.1), sharey="row", sharex=True)
for (c, (from_start, from_here, result, old)), (above, below) in zip(compared.items(), axes.T, strict=True):
    for loss, label, line in (
        (result.network.loss, "network", style.NETWORK),
        (result.linearized.loss, "linear model with $K(W_k)$", style.LINEARIZED),
        (old.loss, "linear model with $K(W_0)$", style.KERNEL),
    ):
        above.plot(old.steps, loss / loss[0], **line.curve(), label=label)
    below.plot(old.steps, from_here, **style.LINEARIZED.curve(), label="to the model with $K(W_k)$")
    below.plot(old.steps, from_start, **style.KERNEL.curve(), label="to the model with $K(W_0)$")
    above.set(yscale="log", title=f"after a first phase at c = {c:g}")
    curves.step_axis(below, old.steps).set_xlabel("step of the second phase")
axes[0, 0].set_ylabel("loss / loss at $W_k$")
axes[1, 0].set_ylabel("gap on the test set")
axes[0, 0].legend(fontsize="small", loc="lower left")
axes[1, 0].legend(fontsize="small", loc="upper left")
notebook.show(figure, "the second phase after small and after large first steps")

# %%
lines = ["| first phase | λ_max of K(W_k) / of K(W₀) | gap with K(W₀) | gap with K(W_k) |", "|---|---|---|---|"]
for c, (from_start, from_here, result, _) in compared.items():
    ratio = result.lambda_max / linear.spectrum.lambda_max
    lines.append(f"| c = {c:g} | {ratio:.2f} | {100 * from_start.max():.0f} % | {100 * from_here.max():.0f} % |")
gentle, wild = compared[0.1], compared[3.0]
notebook.say("\n".join(lines))
notebook.say(f"""
The gap is in units of RMS(y − f(W_k)): what phase one left to learn. For this one network, relinearizing divides it by
{gentle[0].max() / gentle[1].max():.1f} after small first steps and by {wild[0].max() / wild[1].max():.1f} after large ones.
The catapult has changed the kernel so much that the old one describes another network; the new one describes what
follows {"better than" if wild[1].max() < gentle[1].max() else "no better than"} after small steps.
""")

# %% [markdown]
# **So who is right?** Both, in part. The reviewer: after large steps the kernel at the *initialization* says little about
# what follows, so a proof that needs random weights does not cover it. The theory: a linear model *taken there* can
# describe the second phase; but its kernel is that of trained weights, and that it stays well conditioned has to be
# measured, not proved. One network is an anecdote; `lazylab run phases` does this over seeds and gives intervals.
#
# **An honest surprise.** Look at the losses after the catapult again. At one and the same step, the model with the *old*
# kernel trains faster than the network: the shrinking that saved the network from divergence makes it slow afterwards.

# %%
_, _, result, old = wild
notebook.say(f"""
After the first phase at c = 3, at the end of the second, {100 * result.network.final_loss / result.network.loss[0]:.2g} %
of its first loss are left to the network, {100 * result.linearized.final_loss / old.loss[0]:.2g} % to the model with
K(W_k), and {100 * old.final_loss / old.loss[0]:.2g} % to the model with K(W₀). A larger step would make up for it.
""")

# %% [markdown]
#
# ## Exercises
#
# **1.** With momentum $\beta$ (heavy ball), where is the edge of the linear model? The lab says that `critical_fraction=1`
# is the edge for every $\beta$, with $\eta=2c(1+\beta)/\lambda_{\max}$. Check it.
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
# **2.** Survival is not monotone in $c$: between two steps that fail there may be one that works. Count on a finer grid how
# many values of $c$ between 4 and 16 this network survives for 60 steps.
#
# <details><summary>Solution</summary>
#
# ```python
# grid = np.geomspace(4, 16, 25)
# alive = []
# for c in grid:
#     path = lab.descend(network, task, lab.Descent(60, c, record=(60,)))
#     alive.append(len(list(path)) > 0 and path.diverged_at is None)
# print("".join("+" if each else "." for each in alive))
# ```
#
# Often a plus stands among dots. A few large steps are a chaotic map, so "the largest stable step" is no sharp
# number; `step_size` therefore takes the largest $c$ such that it *and all smaller ones* train, and counts the exceptions.
# A run of 60 steps that is alive need not have learnt anything: look at its loss, too.
#
# </details>
#
# **3.** Linearize again and again: every $k$ steps, replace the model by the one at the network's present weights. How does
# the largest gap depend on $k$?
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
# It falls with $k$. In the limit $k=1$ the linear model is only asked about one step: what remains is the curvature along
# that step. (All gaps are in units of the targets, so that those of different pieces compare.)
#
# </details>
