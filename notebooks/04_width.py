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
# * compare a finite network with the infinitely wide one, and an ensemble of them with its closed form.
#
# Terms of this project, such as *gap*, *motion* and *drift*, stand in the [glossary](../README.md#glossary).

# %%
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.stats
from IPython.display import Markdown

import comparisons
import lab
from lab.figures import estimates, notebook, style

notebook.begin()

# %% tags=["parameters"]
WIDTHS, SEEDS, STEPS = (32, 64, 128, 256, 512), 5, 200
ENSEMBLE_WIDTH, MEMBERS = 128, 50

# %% [markdown]
# ## One cell of the table
#
# The question: how far does a network leave its linearization, and how does that change with the width $m$? One *cell* is
# one network: a width and a seed, which draws the initial weights. The data are the same for all.

# %%
task = lab.tasks.digits()
descent = lab.Descent(STEPS)
smooth = {"activation": "erf", "parametrization": "ntk"}


def measure(width, seed):
    """One row of the table."""
    network = lab.ElmanRNN.like(task, width, seed=seed, centred=True, **smooth)
    result = lab.side_by_side(network, task, descent)
    return {
        "width": width,
        "seed": seed,
        "gap_test": result.gap("test").max(),
        "relative_weight_motion": result.motion.relative_weight_motion,
        "kernel_drift": result.motion.kernel_drift,
    }


pd.Series(measure(64, seed=0)).round(3)

# %% [markdown]
# The *gap* is the root mean square of (network − linearized) over the test samples, divided by that of the training
# targets about their mean: what there is to learn. We quote its largest value along training. *Kernel drift* is
# $\lVert K_T-K_0\rVert_F/\lVert K_0\rVert_F$, with the tangent kernel before and after training.
#
# The network is *centred*: its outputs are $f(\theta)-f(\theta_0)$. In the paper's initialization $f_0$ is several times as
# large as the targets, and training would mostly remove it. The activation is *smooth* (erf, which needs the
# parametrization "ntk"), as the theory assumes.
#
# ## All cells

# %%
table = pd.DataFrame([measure(width, seed) for width in WIDTHS for seed in range(SEEDS)])
table.groupby("width").mean().drop(columns="seed").round(3)

# %% [markdown]
# ## From the table to an exponent
#
# If the gap is a power law, $\text{gap}\approx C\,m^{p}$, then $\log\text{gap}$ is a straight line in $\log m$ with
# slope $p$. One line through all points would treat the widths of one seed as independent measurements. They are not: a
# seed with a large gap at one width may have a large gap at another. So we fit *one slope per seed* and look at how the
# slopes scatter.

# %%
grid = table.pivot(index="seed", columns="width", values="gap_test")
slopes = np.polyfit(np.log(WIDTHS), np.log(grid.to_numpy()).T, 1)[0]
mean, error = slopes.mean(), slopes.std(ddof=1) / np.sqrt(len(slopes))
half = scipy.stats.t.ppf(0.975, len(slopes) - 1) * error
print("slopes of the seeds:", ", ".join(f"{slope:.2f}" for slope in slopes))
print(f"mean {mean:.2f}, 95 % interval ({mean - half:.2f} to {mean + half:.2f})")

# %% [markdown]
# The interval is Student's: with few seeds its half-width is several standard errors, not two. It says where the mean
# over *initializations* lies. The data were not drawn again, so it says nothing about other data. `lab.fit_exponent` does
# the same, and adds the slopes between neighbouring widths: they show whether the curve is a power law at all.

# %%
fit = lab.fit_exponent(WIDTHS, grid.to_numpy())
assert np.isclose(fit.value, mean)
assert np.allclose(fit.interval, (mean - half, mean + half))
fit

# %% [markdown]
# Two more columns of the table say how lazy a network is: how far the weights move, relative to their size, and how far the
# kernel drifts.
#
# **Your prediction:** which of gap, relative weight motion and drift falls fastest as the width grows? Write down an exponent
# for each. (In the parametrization "ntk" the weights are standard normal, and the norm of the gradient does not depend on
# $m$. How large is the norm of $W$, and how far must $W$ move to change the outputs?)

# %%
names = ("gap_test", "relative_weight_motion", "kernel_drift")
by_seed = {name: table.pivot(index="seed", columns="width", values=name).to_numpy() for name in names}
fits = {name: lab.fit_exponent(WIDTHS, values) for name, values in by_seed.items()}
figure, axes = style.panels(3, size=(3.7, 3.6))
for ax, (name, fit), color in zip(axes[0], fits.items(), style.QUANTITIES, strict=False):
    middle = np.exp(np.log(by_seed[name]).mean(0))  # geometric mean over seeds
    line = {"line": (fit.value, fit.log_intercept), "band": fit.interval}
    estimates.power_law(
        ax, np.array(WIDTHS), by_seed[name], middle, color=color, label=f"slope {fit.value:.2f}", **line
    )
    ax.set_title(name.replace("_", " "))
    style.legend_below(ax)
figure

# %%
theory = {"gap_test": -0.5, "relative_weight_motion": -1.0, "kernel_drift": -0.5}
rows = [(name, fit.value, *fit.interval, theory[name]) for name, fit in fits.items()]
exponents = (
    pd.DataFrame(rows, columns=["exponent of", "slope", "from", "to", "theory"]).set_index("exponent of").round(2)
)
exponents.assign(contains_theory=exponents["theory"].between(exponents["from"], exponents["to"]))

# %% [markdown]
# **What to see.** Faint points are seeds, large points their geometric mean, the band is the interval of the slope. All
# three quantities fall with the width, the relative motion of the weights fastest. $W$ has $m^2$ standard normal entries, so
# that its norm is about $m$; a step of length 1 along the gradient changes the outputs by as much in a wide network as in
# a narrow one. Hence the exponent $-1$ of theory for the ratio. For the gap, and with it the drift, theory has the bound
# $m^{-1/2}$ ([Lee et al. 2019](https://arxiv.org/abs/1902.06720), for smooth activations).
#
# Where the interval contains the exponent of theory, the measurement is compatible with it; an interval as wide as these
# is compatible with other exponents, too. More seeds and widths make it shorter.
#
# The gap of a ReLU network falls more slowly. `lazylab run width` shows where that comes from: until the directions of
# large eigenvalues are fitted it falls about as theory says; afterwards the directions of small eigenvalues are fitted,
# one after the other, and the gap on the *test* set keeps growing, more in wide networks than in narrow ones, whose gap
# is already as large as the targets. The exponent depends on when one looks.
#
# ## The infinitely wide network
#
# As $m\to\infty$ the tangent kernel at initialization is no longer random: it tends to a closed formula. How far is a
# network of finite width from that limit?

# %%
X = task.train_inputs
network = lab.ElmanRNN.like(task, WIDTHS[0], seed=0, **smooth)
limit, kernel = lab.infinite_ntk(network, X), lab.empirical_ntk(network, X)
error = float((kernel - limit).norm() / limit.norm())
print(
    f"At width {WIDTHS[0]}, seed 0, the kernel differs from its limit by {100 * error:.0f} % (relative, Frobenius norm)."
)

# %% [markdown]
# The comparison `infinite_width` does this for all widths, each with networks and data of its own. `comparisons.run`
# measures what its directory does not have yet, and returns numbers, verdict, table and figures. The verdict is made from
# the numbers.
#
# **Your prediction:** by how many percent does the kernel still differ from its limit at the largest width?

# %%
run = comparisons.run(
    "infinite_width", "fast", Path(tempfile.mkdtemp()) / "infinite_width", executor="serial", progress=False,
    widths=WIDTHS, seeds=SEEDS, readouts=("last",), variants=("erf",), dtype="float64",
)  # fmt: skip
run.figures["kernel"]

# %% tags=["varies"]
Markdown(run.verdict)

# %% [markdown]
# **What to see.** *Left:* a network of a few hundred units is far from infinite. Its kernel is random, and differs from the
# limit by tens of percent. *Right:* for convergence proofs the difference must be small beside the smallest eigenvalue of
# the limit. The dashed line says how small; no width here is near it. Two statements are easily confused: "training is
# linear" (the network stays close to *its own* linearization, the gap above), and "the kernel is the infinite one" (this
# section). Each has to be measured.
#
# The full experiments are `lazylab run width` and `lazylab run infinite_width`: they keep every cell and resume when
# stopped. With `--network gru` (or lstm, mlp, cnn), `width` measures other networks.
#
# ## Many initializations
#
# One network is one draw of the weights. We train many on a function of one number, all of their weights, and look at the
# mean and the standard deviation of their outputs. At infinite width both have a closed form
# ([Lee et al. 2019](https://arxiv.org/abs/1902.06720)). Initial outputs are Gaussian there, with a known covariance (the
# *NNGP kernel*). Training is the same linear map for all draws, because the tangent kernel is not random. So outputs are
# Gaussian at every step.
#
# **Your prediction:** a linearized network starts from the outputs of its network. After training, do linearized networks
# differ from each other less than networks do, as much, or more?

# %%
curve = lab.tasks.curve()


def make(seed):
    """A network for each seed."""
    return lab.ElmanRNN.like(curve, ENSEMBLE_WIDTH, seed=seed, trained=("W", "A", "B"), **smooth)


members = lab.ensemble(make, curve, descent, seeds=MEMBERS)
members.plot()

# %%
sizes = {learner: np.sqrt(variance[-1].mean()) for learner, variance in members.variance.items()}
pd.Series(sizes, name="standard deviation of the test outputs (RMS)").round(3).to_frame()

# %% [markdown]
# **What to see.** Bands show two standard deviations, thin dashed lines those of infinite width. They are narrow at the
# training points, where all members have learnt the same targets, and widest where no target is near: nothing in the data
# reduces the variation of the initial outputs there.
#
# Linearized networks differ *more*. Each has its own tangent kernel, and at this width the kernels are far from their
# limit, as the section above showed. A random kernel is a second source of variation, which the closed form does not have.
# With `centred=True` in `make` initial outputs are 0, and this source alone is left. The networks differ less than their
# linearizations: training at this width is not linear. That they differ about as much as at infinite width is therefore no
# sign of laziness. With `ENSEMBLE_WIDTH = 512` the learners and infinite width come together.
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
# The slope is the same, because every seed has the same widths. The error is another: it takes all points for
# independent, and adds the differences between seeds, which shift whole lines, to the scatter about one line.
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
# print(lab.fit_exponent(WIDTHS, broken))
# ```
#
# The width is left out for *all* seeds, and named in the reason. Leaving it out for that seed alone would fit slopes
# over different widths; a large number in its place would be an invented result.
#
# </details>
#
# **3.** Does the gap fall as fast for random labels on separated sequences, `lab.tasks.separable()`?
#
# <details><summary>Solution</summary>
#
# ```python
# task = lab.tasks.separable()
# again = pd.DataFrame([measure(width, seed) for width in WIDTHS for seed in range(SEEDS)])
# other = lab.fit_exponent(WIDTHS, again.pivot(index="seed", columns="width", values="gap_test").to_numpy())
# print(other.value, other.interval)
# task = lab.tasks.digits()
# ```
#
# It falls about twice as fast. The theorem assumes sequences that differ clearly from the first step on, and these do.
#
# </details>
