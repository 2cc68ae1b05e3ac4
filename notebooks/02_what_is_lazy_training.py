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
# # What is lazy training?
#
# At the end you can
#
# * explain with one neuron how a model can learn while its weights hardly move;
# * see the same in a recurrent network as it gets wider;
# * make any network lazy, or less lazy, with a single number: its output scale $\alpha$.

# %%
import numpy as np

import lab
from lab.figures import curves, notebook, style

notebook.begin()

# %% [markdown]
# ## One neuron
#
# Take a model with one weight $w$, the output $f(w)=\tanh w$, and start at $w_0=0.5$. [Chizat, Oyallon and Bach
# (2019)](https://arxiv.org/abs/1812.07956) put a number in front of it and subtract what it says at the start:
# $\alpha\,(f(w)-f(w_0))$. The model shall learn the output 0.4. How far does $w$ have to go?
#
# In each picture the blue curve is the model, the dashed line its *linearization*, the tangent at $w_0$. The weights at
# which they reach the target are marked.

# %%
start, target = 0.5, 0.4


def neuron(weight):
    return np.tanh(weight) - np.tanh(start)


def tangent(weight):
    return (1 - np.tanh(start) ** 2) * (weight - start)


def draw_neuron(alpha, ax):
    grid = np.linspace(-0.5, 3.0, 300)
    ax.plot(grid, alpha * neuron(grid), label="network", **style.NETWORK.curve())
    ax.plot(grid, alpha * tangent(grid), label="linearized", **style.LINEARIZED.curve())
    ax.axhline(target, color=style.GREY, linewidth=1, linestyle=":", label="target")
    solutions = np.arctanh(target / alpha + np.tanh(start)), start + target / alpha / (1 - np.tanh(start) ** 2)
    for place, line in zip(solutions, (style.NETWORK, style.LINEARIZED), strict=True):
        ax.plot(place, target, line.marker, color=line.color, markersize=8)
    ax.plot(start, 0, "k.", markersize=9)
    ax.set(xlabel="weight w", ylabel="output α (f(w) − f(w₀))", ylim=(-0.5, 1.2), title=f"α = {alpha:g}")
    ax.legend(loc="lower right", fontsize="small")


notebook.slide(draw_neuron, "α", [0.8, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0], shown=[0.8, 2.0, 10.0])

# %% [markdown]
# **What to see.** At small $\alpha$ the weight has to travel into the bend of the curve, and the two solutions differ.
# At large $\alpha$ a tiny step is enough. On a tiny step every smooth curve is its own tangent: the neuron *learns*, and
# yet it only follows its linearization. That is laziness. It has nothing to do with a small learning rate: no learning
# rate occurred.

# %%
moves = {alpha: np.arctanh(target / alpha + np.tanh(start)) - start for alpha in (0.8, 10.0)}
linear = {alpha: target / alpha / (1 - np.tanh(start) ** 2) for alpha in moves}
notebook.say(" ".join(
    f"At α = {alpha:g} the weight moves by {moves[alpha]:.3f}, that of the tangent by {linear[alpha]:.3f}."
    for alpha in moves
))  # fmt: skip

# %% [markdown]
# ## A network: many weights, each with little to do
#
# A wide network gets there without any $\alpha$: its output is a sum over many units, so each of them moves only a
# little. Here are two recurrent networks on the same digits, one narrow and one wide, both trained for the same number
# of steps at half the *critical* learning rate $2/\lambda_{\max}(K_0)$, at which the linearized model would diverge.

# %%
task = lab.tasks.digits()
widths = notebook.choose((32, 512), fast=(16, 64))
results = {}
for width in widths:
    network = lab.ElmanRNN.like(task, width, centred=True)  # outputs start at 0
    results[width] = lab.side_by_side(network, task, lab.Descent(notebook.choose(300, fast=60)))

figure, axes = style.panels(2, sharey=True)
for ax, (width, result) in zip(axes[0], results.items(), strict=True):
    outputs = {name: learner.test[-1, :, 0] for name, learner in result.learners.items()}
    curves.outputs_by_sample(ax, outputs, task.test_targets[:, 0].numpy())
    ax.set_title(f"width {width}: gap {result.gap('test').max():.2f}")
axes[0, 0].set_ylabel("output after training")
axes[0, 0].legend(loc="upper left")
notebook.show(figure, "test outputs of the three learners, narrow and wide")

# %%
notebook.say("\n".join(
    f"* width {width}: the weights moved by **{100 * result.motion.relative_weight_motion:.1f} %** of their size, the "
    f"outputs by {np.abs(result.network.test[-1]).mean():.2f} on average"
    for width, result in results.items()
))  # fmt: skip

# %% [markdown]
# **What to see.** Small change of the weights, large change of the outputs: both networks sort the digits. The narrow
# one strays from its linearization, sample by sample; the wide one stays close to the dashed line. The dotted kernel
# learner is the linearized model computed from its kernel, so the two coincide.
#
# ## Laziness by scale alone
#
# Now the same knob as for the neuron, $\alpha\,(f(\theta)-f(\theta_0))$, on one network of *fixed* width. We take the
# activation erf, which is smooth, in the parametrization in which activations can be compared ("ntk").

# %%
alphas = [0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 100.0]
scaled = {}
for alpha in alphas:
    smooth = lab.ElmanRNN.like(task, notebook.choose(128, fast=24), activation="erf", parametrization="ntk")
    descent = lab.Descent(notebook.choose(400, fast=60), critical_fraction=0.25)
    scaled[alpha] = lab.side_by_side(lab.Scaled(smooth, alpha), task, descent)


def draw_scaled(alpha, above, below):
    result = scaled[alpha]
    outputs = {name: learner.test[-1, :, 0] for name, learner in result.learners.items()}
    curves.outputs_by_sample(above, outputs)
    above.set(title=f"α = {alpha:g}", ylabel="output after training")
    curves.losses(below, result.network.steps, {name: learner.loss for name, learner in result.learners.items()})
    below.get_legend().remove()  # colours and dashes as above


notebook.slide(draw_scaled, "α", alphas, shown=[0.5, 5.0, 100.0], rows=2)

# %%
figure, axes = style.panels(2)
gaps = [result.gap("test").max() for result in scaled.values()]
motions = [result.motion.relative_weight_motion for result in scaled.values()]
for ax, values, what in zip(axes[0], (gaps, motions), ("largest test gap", "relative weight motion"), strict=True):
    ax.loglog(alphas, values, "o-", color=style.NETWORK.color)
    ax.loglog(alphas, values[-1] * alphas[-1] / np.array(alphas), "--", color=style.GREY, label="1/α")
    ax.set(xlabel="output scale α", ylabel=what)
    ax.legend()
notebook.show(figure, "gap and weight motion against the output scale")

# %% [markdown]
# **What to see.** Nothing was changed but a number in front of the network and, with it, the learning rate. At large
# $\alpha$ both gap and motion fall as $1/\alpha$, as Chizat, Oyallon and Bach prove for smooth networks. At small
# $\alpha$ the network has to move, and it is a different learner from its linearization.
#
# Their criterion says it in one formula: a model is lazy when
# $\kappa=\frac1\alpha\,\lVert y\rVert\,\lVert D^2f\rVert/\lVert Df\rVert^2$ is small against 1, that is when the
# derivative hardly changes over the distance that must be travelled. `lazylab run output_scale` measures $\kappa$, for
# ReLU too, and what laziness costs in test error.
#
# ## Exercises
#
# **1.** In the neuron's picture, start at $w_0=2$, where $\tanh$ is nearly flat. Which $\alpha$ is needed now?
#
# <details><summary>Solution</summary>
#
# ```python
# for alpha in (5, 10, 20, 50):
#     reach = target / alpha + np.tanh(2.0)
#     print(alpha, np.arctanh(reach) - 2.0 if reach < 1 else "out of reach")
# ```
#
# $\tanh$ can only grow by $1-\tanh 2\approx 0.04$ from there, so below $\alpha\approx 11$ the target is out of reach.
# The flatter the start, the larger $\alpha$ must be: laziness compares curvature with slope.
#
# </details>
#
# **2.** Repeat the last sweep with `activation="relu"`. Does the gap still fall as $1/\alpha$?
#
# <details><summary>Solution</summary>
#
# ```python
# for alpha in (5.0, 100.0):
#     kinked = lab.ElmanRNN.like(task, 128, parametrization="ntk")
#     result = lab.side_by_side(lab.Scaled(kinked, alpha), task, lab.Descent(300, critical_fraction=0.25))
#     print(alpha, result.gap("test").max(), result.motion.gate_flips)
# ```
#
# More slowly. A ReLU network is piecewise linear: its derivative jumps wherever a gate flips, and a few gates lie so
# close to their kink that they flip however little the weights move. The theorem asks for a smooth network.
#
# </details>
#
# **3.** The network's *own* function need not be centred. Use `lab.Scaled(network, alpha, centred=False)` with a large
# $\alpha$. Why does it not become lazy?
#
# <details><summary>Solution</summary>
#
# ```python
# rough = lab.ElmanRNN.like(task, 64, activation="erf", parametrization="ntk")
# result = lab.side_by_side(lab.Scaled(rough, 30.0, centred=False), task, lab.Descent(200, critical_fraction=0.25))
# print(result.gap("test").max(), result.motion.relative_weight_motion)
# ```
#
# Now $\alpha f(\theta_0)$ is large, and most of training goes into removing it: the residual grows with $\alpha$ and
# cancels the $1/\alpha$. The relative motion shows no laziness. The gap is large in units of the targets;
# `result.gap("test", unit="initial")`, in units of that large residual, looks small for the wrong reason. The lab warns.
#
# </details>
