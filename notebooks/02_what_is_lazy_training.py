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
# * explain with one neuron when a model learns as its linearization does;
# * compare a narrow and a wide recurrent network with their linear models;
# * say what a single number, the output scale $\alpha$, does to a network, and by which law.
#
# Terms of this project, such as *gap*, *motion* and *lazy*, stand in the [glossary](../README.md#glossary).

# %%
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from IPython.display import Markdown

import comparisons
import lab
from lab.figures import curves, notebook, style

notebook.begin()

# %% tags=["parameters"]
WIDTHS, STEPS = (32, 512), 300  # of the two networks
SCALED_WIDTH, SCALED_STEPS = 128, 400  # of the network whose outputs are scaled
LAW = {"width": 64, "seeds": 5, "alphas": (1.0, 3.0, 10.0, 30.0, 100.0)}  # of the comparison

# %% [markdown]
# ## One neuron
#
# Take a model with one weight $w$ and the output $f(w)=\tanh w$, and start at $w_0=0.5$. [Chizat, Oyallon and Bach
# (2019)](https://arxiv.org/abs/1812.07956) subtract the initial output and multiply by a number $\alpha$:
# $\alpha\,(f(w)-f(w_0))$. The model shall learn the output 0.4. In each picture the solid curve is the model and the dashed
# line its *linearization*, the tangent at $w_0$. Two markers show the weights at which they reach the target.
#
# **Your prediction:** the slope at $w_0$ is 0.79. How far must $w$ move along the tangent if $\alpha=2$? Must it move further
# on the curve, or less far? Does the ratio of the two distances grow or shrink with $\alpha$?

# %%
start, target = 0.5, 0.4


def neuron(weight):
    return np.tanh(weight) - np.tanh(start)


def tangent(weight):
    return (1 - np.tanh(start) ** 2) * (weight - start)


def weights_at_target(alpha):
    """The weights at which neuron and tangent, times α, reach the target."""
    return np.arctanh(target / alpha + np.tanh(start)), start + target / alpha / (1 - np.tanh(start) ** 2)


def draw_neuron(alpha, ax):
    grid = np.linspace(-0.5, 3.0, 300)
    ax.plot(grid, alpha * neuron(grid), label="network", **style.NETWORK.curve())
    ax.plot(grid, alpha * tangent(grid), label="linearized", **style.LINEARIZED.curve())
    ax.axhline(target, color=style.GREY, linewidth=1, linestyle=":", label="target")
    for place, line in zip(weights_at_target(alpha), (style.NETWORK, style.LINEARIZED), strict=True):
        ax.plot(place, target, line.marker, color=line.color, markersize=8)
    ax.plot(start, 0, "k.", markersize=9)
    ax.set(xlabel="weight w", ylabel="output α (f(w) − f(w₀))", ylim=(-0.5, 1.2), title=f"α = {alpha:g}")
    ax.legend(loc="lower right", fontsize="small")


notebook.slide(draw_neuron, "α", [0.8, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0], shown=[0.8, 2.0, 10.0])

# %%
for alpha in (0.8, 2.0, 10.0):
    curved, straight = weights_at_target(alpha)
    print(f"α = {alpha:g}: the weight moves by {curved - start:.3f}, that of the tangent by {straight - start:.3f}")

# %% [markdown]
# **What to see.** At small $\alpha$ the weight has to move to where the curve bends, and further than along the tangent. At
# large $\alpha$ a small move is enough, and on a small piece every smooth curve is close to its tangent: the ratio of the two
# distances falls to 1. The neuron *learns*, and yet it only follows its linearization. This is laziness. No learning rate
# occurred, so a small one is not the reason.
#
# ## Many weights
#
# Here are two recurrent networks on the same digits, one of them 16 times as wide, without any $\alpha$. Their activation is
# erf, which is smooth as the neuron's tanh, in the parametrization in which activations can be compared ("ntk"). Both take
# the same number of steps at half the *critical* learning rate $2/\lambda_{\max}(K_0)$, at which the linearized network
# begins to diverge.
#
# **Your prediction:** which network ends nearer to its linear model? Do the weights of the wide one move, relative to their
# size, about as far, 4 times less or 16 times less? Do its outputs move less, too?

# %%
task = lab.tasks.digits()  # 3 and 8; targets −1 and +1
smooth = {"activation": "erf", "parametrization": "ntk"}
results = {}
for width in WIDTHS:
    network = lab.ElmanRNN.like(task, width, centred=True, **smooth)  # outputs start at 0
    results[width] = lab.side_by_side(network, task, lab.Descent(STEPS))

figure, axes = style.panels(2, sharey=True)
for ax, (width, result) in zip(axes[0], results.items(), strict=True):
    outputs = {name: learner.test[-1, :, 0] for name, learner in result.learners.items()}
    curves.outputs_by_sample(ax, outputs, task.test_targets[:, 0].numpy())
    ax.set_title(f"width {width}: largest gap {result.gap('test').max():.2f}")
axes[0, 0].set_ylabel("output after training")
axes[0, 0].legend(loc="upper left")
figure

# %%
signs = np.sign(task.test_targets[:, 0].numpy())
rows = [
    {
        "width": width,
        "relative weight motion": result.motion.relative_weight_motion,
        "mean |output|": np.abs(result.network.test[-1]).mean(),
        "wrong test digits": (np.sign(result.network.test[-1, :, 0]) != signs).mean(),
        "the same, linearized": (np.sign(result.linearized.test[-1, :, 0]) != signs).mean(),
    }
    for width, result in results.items()
]
pd.DataFrame(rows).set_index("width").round(3)

# %% [markdown]
# **What to see.** The narrow network leaves its linearization, sample by sample; the wide one stays close to the dashed line.
# Its weights move by less than a hundredth of their size, about twenty times less than in the narrow one, and yet its outputs
# move as far, from 0 to about ±1. (The dotted kernel regressor is the linearized network computed from its kernel.)
#
# ## One number in front of the network
#
# Now we multiply the outputs as we did for the neuron, $\alpha\,(f(\theta)-f(\theta_0))$, on one network of *fixed* width. The
# learning rate is always a quarter of the critical one, so the linear model is the same for every $\alpha$.
#
# **Your prediction:** sketch the outputs of the network beside those of the linear model for $\alpha=$ 0.5, 5 and 100. For
# which $\alpha$ does the network reach the lowest training loss, or are all three equal?

# %%
alphas = [0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 100.0]
scaled = {}
for alpha in alphas:
    network = lab.ElmanRNN.like(task, SCALED_WIDTH, **smooth)
    descent = lab.Descent(SCALED_STEPS, critical_fraction=0.25)
    scaled[alpha] = lab.side_by_side(lab.Scaled(network, alpha), task, descent)


def draw_scaled(alpha, above, below):
    result = scaled[alpha]
    outputs = {name: learner.test[-1, :, 0] for name, learner in result.learners.items()}
    curves.outputs_by_sample(above, outputs)
    above.set(title=f"α = {alpha:g}", ylabel="output after training")
    curves.losses(below, result.network.steps, {name: learner.loss for name, learner in result.learners.items()})


notebook.slide(draw_scaled, "α", alphas, shown=[0.5, 5.0, 100.0], rows=2)

# %% [markdown]
# **What to see.** At $\alpha=0.5$ the network leaves its linear model on most samples, and its training loss falls further. At
# $\alpha=100$ outputs and losses lie on those of the linear model.
#
# ## The law
#
# Chizat, Oyallon and Bach call a model lazy when
# $\kappa=\frac1\alpha\,\lVert y\rVert\,\lVert D^2f\rVert/\lVert Df\rVert^2$ is small against 1, that is, when the derivative
# hardly changes over the distance that the weights must move. The comparison `output_scale` trains networks to one training
# error at several $\alpha$, with several seeds, and fits powers of $\alpha$ from $\alpha=3$ on.
#
# **Your prediction:** with which powers of $\alpha$ do the weight motion and the test gap fall for the smooth erf? Does the gap
# of a ReLU network, which is piecewise linear, fall faster or more slowly than that?

# %%
run = comparisons.run(
    "output_scale", "fast", Path(tempfile.mkdtemp()) / "output_scale", executor="serial", progress=False,
    networks=("erf", "relu"), data=("digits",), **LAW,
)  # fmt: skip
run.figures["laziness"]

# %% tags=["varies"]
Markdown(run.verdict)

# %% [markdown]
# **What to see.** Bands are 95 % intervals over seeds. The weight motion falls about as $1/\alpha$ for both networks. For erf
# so do the gap, the drift of the kernel and $\kappa$, as theory has it for smooth networks. For ReLU the gap falls more
# slowly, with a power near −½: a ReLU network becomes lazy as well, but at a larger $\alpha$ (exercise 2).
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
# The flatter the function at the start, the larger $\alpha$ must be: laziness compares curvature with slope.
#
# </details>
#
# **2.** Why does the gap of the ReLU network fall more slowly, although its weight motion falls as $1/\alpha$? Compare the gap
# with the share of gates that flip (both are in `run.table`).
#
# <details><summary>Solution</summary>
#
# ```python
# relu = run.table[run.table["network"] == "relu"]
# means = relu.groupby("alpha")[["gate_flips", "gap_test"]].mean()
# print(means.assign(ratio=means["gap_test"] / np.sqrt(means["gate_flips"])))
# ```
#
# A gate flips if its input moves across the kink, so the share of flips falls as $1/\alpha$. But each flip changes the
# derivative by an amount that does not depend on $\alpha$. If these jumps have random signs, their sum goes as the square
# root of their number, as $\alpha^{-1/2}$. The theorem assumes a smooth network.
#
# </details>
#
# **3.** What if $f(\theta_0)$ is not subtracted? Use `lab.Scaled(network, alpha, centred=False)` with a large $\alpha$. Why
# does training not become lazy?
#
# <details><summary>Solution</summary>
#
# ```python
# network = lab.ElmanRNN.like(task, SCALED_WIDTH // 2, **smooth)
# result = lab.side_by_side(lab.Scaled(network, 30.0, centred=False), task, descent)  # The lab warns: f₀ is large
# print(result.gap("test").max(), result.gap("test", unit="initial").max(), result.motion.relative_weight_motion)
# ```
#
# Now the initial outputs $\alpha f(\theta_0)$ are large, and training mostly removes them: the residual grows with $\alpha$
# and cancels the $1/\alpha$. The relative motion is that of a network that is not lazy. The gap is large in units of the
# targets. The second number, in units of the large first residual, is small for the wrong reason.
#
# </details>
