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
# # Width
#
# At the end you can
#
# * run the lab's main comparison step by step, and read its figure;
# * turn a table of widths and seeds into an exponent with an interval, and say what the interval means;
# * compare a finite network with the infinitely wide one.

# %%
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.stats

import comparisons
import lab
from lab.figures import estimates, notebook, style

notebook.begin()

# %% [markdown]
# ## One cell of the table
#
# The question: how far does a network stray from its linearization, and how does that change with the width $m$? One
# *cell* is one network: a width and a seed. The data are the same for all.

# %%
task = lab.tasks.digits()
descent = lab.Descent(steps=notebook.choose(200, fast=60))


smooth = {"activation": "erf", "parametrization": "ntk"}


def measure(width, seed):
    network = lab.ElmanRNN.like(task, width, seed=seed, centred=True, **smooth)
    result = lab.side_by_side(network, task, descent)
    return {
        "width": width,
        "seed": seed,
        "gap_test": result.gap("test").max(),
        "relative_weight_motion": result.motion.relative_weight_motion,
        "kernel_drift": result.motion.kernel_drift,
    }


measure(64, seed=0)

# %% [markdown]
# The *gap* is the root mean square of network − linearized over test samples, divided by that of the training targets
# about their mean: what there is to learn. Quoted is its largest value along training. The network is *centred*, its
# outputs are $f(\theta)-f(\theta_0)$: in the paper's initialization $f_0$ is several times as large as the targets, and
# training would mostly remove it. Its activation is *smooth* (erf, which needs the ntk parametrization), as the theory
# asks. *Kernel drift* is $\lVert K_T-K_0\rVert_F/\lVert K_0\rVert_F$, with the tangent
# kernel before and after training.
#
# ## All cells

# %%
widths = notebook.choose((32, 64, 128, 256, 512), fast=(16, 32, 64))
seeds = notebook.choose(5, fast=3)
table = pd.DataFrame([measure(width, seed) for width in widths for seed in range(seeds)])
table.groupby("width").mean().drop(columns="seed").round(3)

# %% [markdown]
# ## From the table to an exponent
#
# If the gap is a power law, $\text{gap}\approx C\,m^{p}$, then $\log\text{gap}$ is a straight line in $\log m$ with
# slope $p$. One line through all points would treat five widths of one seed as five independent measurements. They are
# not: a lucky seed is lucky at every width. So we fit *one slope per seed* and look at how the slopes scatter.

# %%
grid = table.pivot(index="seed", columns="width", values="gap_test")
slopes = np.polyfit(np.log(widths), np.log(grid.to_numpy()).T, 1)[0]
mean, error = slopes.mean(), slopes.std(ddof=1) / np.sqrt(len(slopes))
half = scipy.stats.t.ppf(0.975, len(slopes) - 1) * error
notebook.say(f"Slopes of the seeds: {', '.join(f'{slope:.2f}' for slope in slopes)}.")
notebook.say(f"Mean {mean:.2f}, 95 % interval ({mean - half:.2f} to {mean + half:.2f}).")

# %% [markdown]
# The interval is Student's: with few seeds its half-width is several standard errors, not two. It says where the mean
# over *initializations* lies; the data were never drawn again, so it says nothing about other data. `lab.fit_exponent`
# does the same, and adds the slopes between neighbouring widths: they show a curve that is no power law.

# %%
fit = lab.fit_exponent(widths, grid.to_numpy())
assert np.isclose(fit.value, mean)
assert np.allclose(fit.interval, (mean - half, mean + half))
notebook.say(f"Between neighbouring widths: {', '.join(f'{slope:.2f}' for slope in fit.local_slopes)}.")

# %%
names = {
    "gap_test": "largest test gap",
    "relative_weight_motion": "relative weight motion",
    "kernel_drift": "drift of K",
}
figure, axes = style.panels(3, size=(3.7, 3.6))
for ax, (name, title), color in zip(axes[0], names.items(), style.QUANTITIES, strict=False):
    values = table.pivot(index="seed", columns="width", values=name).to_numpy()
    fit, middle = lab.fit_exponent(widths, values), np.exp(np.log(values).mean(0))
    slope = f"slope {fit.value:.2f} ({fit.interval[0]:.2f} to {fit.interval[1]:.2f})".replace("-", "−")
    line = {"line": (fit.value, fit.log_intercept), "band": fit.interval}
    estimates.power_law(ax, np.array(widths), values, middle, color=color, label=slope, **line)
    ax.set_title(title)
    style.legend_below(ax)
notebook.show(figure, "gap, weight motion and kernel drift against width, with slopes and intervals")

# %% [markdown]
# **What to see.** Faint points are seeds, large ones their geometric mean, the band is the interval of the slope. Theory
# bounds the gap by $m^{-1/2}$ ([Lee et al. 2019](https://arxiv.org/abs/1902.06720), for smooth activations); relative
# motion should fall as $m^{-1}$. Does each interval hold its exponent? A bound may also be beaten, and with few seeds an
# interval that holds everything shows nothing. ReLU, whose gates flip one at a time, falls more slowly: `lazylab run
# width` shows both.
#
# ## The infinitely wide network
#
# As $m\to\infty$ the tangent kernel at initialization stops being random: it tends to a closed formula. How far is a
# network of finite width from there?

# %%
X = task.train_inputs
network = lab.ElmanRNN.like(task, widths[0], seed=0, **smooth)
limit, kernel = lab.infinite_ntk(network, X), lab.empirical_ntk(network, X)
error = float((kernel - limit).norm() / limit.norm())
notebook.say(f"At width {widths[0]}, seed 0, the kernel is {100 * error:.0f} % off its limit (Frobenius norm).")

# %% [markdown]
# For all widths and seeds there is a comparison, `infinite_width`. From Python, `comparisons.run` measures what its
# directory lacks, with a progress bar, and returns numbers, verdict, table and figures. The row of our cell is in its table:

# %%
run = comparisons.run(
    "infinite_width", "fast", Path(tempfile.mkdtemp()) / "infinite_width", executor="serial", progress=False,
    widths=widths, seeds=seeds, readouts=("last",), variants=("erf",), dtype="float64",
)  # fmt: skip
assert np.isclose(run.table.query(f"width == {widths[0]} and seed == 0")["kernel_error"].item(), error)
notebook.show(run.figures["kernel"], "distance of the kernel from its limit against width")
notebook.say(run.verdict)

# %% [markdown]
# **What to see.** A network of a few hundred units is far from infinite: its kernel is random, and differs from the limit
# by tens of percent. The picture before shows how far it strays from *its own* linearization, which is less. The two
# statements "training is linear" and "the kernel is the infinite one" are different.
#
# The full experiments are `lazylab run width` and `lazylab run infinite_width`: they keep every cell and resume when
# stopped. With `--network gru` (or lstm, mlp, cnn), `width` measures other networks.
#
# ## Exercises
#
# **1.** Fit one line through *all* points at once and compute the usual standard error of its slope. How does it compare
# with the interval above?
#
# <details><summary>Solution</summary>
#
# ```python
# line = scipy.stats.linregress(np.log(table["width"]), np.log(table["gap_test"]))
# print(line.slope, "±", 1.96 * line.stderr, "against", mean, "±", half)
# ```
#
# The slope is the same, for every seed has the same widths. The error is another: it takes all points for independent,
# and mixes the luck of a seed, which shifts whole lines, into the scatter about one line.
#
# </details>
#
# **2.** A learner that diverges has an infinite gap. What should happen to its width in the fit? Try it.
#
# <details><summary>Solution</summary>
#
# ```python
# broken = grid.to_numpy().copy()
# broken[0, -1] = np.inf
# print(lab.fit_exponent(widths, broken))
# ```
#
# The width is left out for *all* seeds, and named in the reason. Leaving it out for that seed alone would fit slopes
# over different widths; putting in a large number would invent a result.
#
# </details>
#
# **3.** Does the gap fall as fast for data that are random labels on separated sequences, `lab.tasks.separable()`?
#
# <details><summary>Solution</summary>
#
# ```python
# task = lab.tasks.separable()
# again = pd.DataFrame([measure(width, seed) for width in widths for seed in range(seeds)])
# print(lab.fit_exponent(widths, again.pivot(index="seed", columns="width", values="gap_test").to_numpy()))
# task = lab.tasks.digits()
# ```
#
# It falls about twice as fast. These data satisfy the assumption of the theorem exactly.
#
# </details>
