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
# # What the reviewers asked: six answers that can be seen
#
# At the end you can
#
# * name what the three reviewers asked about *On the Convergence Rate of Training Recurrent Neural Networks*
#   ([Allen-Zhu, Li and Song 2019](https://arxiv.org/abs/1810.12065), "the paper" below), and what an experiment says;
# * rerun any of these experiments at any size, from here or by one command;
# * distinguish a result from "not visible at this size".
#
# The paper proves that gradient descent on a very wide recurrent network finds a global minimum, with tiny steps, near the
# initialization. Its reviewers asked what that says about networks in use. Six of their questions have answers that even
# small runs show; they make one story here. The others stand in a table at the end.
#
# **Predict before you look.** Each section begins with a question. Write your answer down, then run the cell. The verdict
# below each figure is made from the numbers of this run, and says so where a run is too small. Intervals in parentheses are
# 95 % intervals over seeds. Terms such as *gap*, *lazy* and *kernel time* stand in the
# [glossary](../README.md#glossary).

# %%
import tempfile
from pathlib import Path

import pandas as pd
from IPython.display import Markdown, display

import comparisons
from lab.figures import notebook

notebook.begin()

# %% tags=["parameters"]
PRESET, SETTINGS = "fast", {}  # by comparison, settings that differ from the preset: {"minima": {"seeds": 5}}

# %%
FOLDER, runs = Path(tempfile.mkdtemp(prefix="reviewers-")), {}


def answer(name, figure):
    """Run one comparison, and show one of its figures with the caption, and its verdict as a list."""
    options = {"executor": "serial", "progress": False, **SETTINGS.get(name, {})}
    run = runs[name] = comparisons.run(name, PRESET, FOLDER / name, **options)
    sentences = run.verdict.replace(". ", ".\n* ")
    display(run.figures[figure], Markdown(f"*{run.comparison.CAPTIONS[figure]}*\n\n* {sentences}"))


# %% [markdown]
# ## 1. Why is the variance of the weights 2/m?
#
# Reviewer 1 asked for the reason. The recurrent matrix is used at every time step, so that its scale counts to the power of
# the length. Nothing is trained here: we vary $\sigma_w^2$ in the variance $\sigma_w^2/m$ of $W$ and measure by which factor
# gradients grow per time step, backwards.
#
# **Your prediction:** at which $\sigma_w^2$ do gradients neither explode nor vanish, if every second ReLU gate is open?

# %% tags=["varies"]
answer("stability", "rates")

# %% [markdown]
# A ReLU lets half of the squared norm through, so that $\sigma_w^2/2$ must be 1.
#
# ## 2. How large may the learning rate be?
#
# Reviewer 1: the learning rate of the theorem is very small. In units of the critical one, $c=\eta\lambda_{\max}(K_0)/2$
# (notebook 05), the linear model converges below $c=1$ and explodes beyond.
#
# **Your prediction:** beyond $c=1$, does the network explode as well?

# %% tags=["varies"]
answer("step_size", "limits")

# %% [markdown]
# In the shaded part is the catapult of [Lewkowycz et al. (2020)](https://arxiv.org/abs/2003.02218): the error rises first,
# the weights move to where the kernel is smaller, and then the network trains.
#
# ## 3. What does the linear model miss?
#
# The next term of the Taylor series is quadratic in the motion of the weights. With it the kernel can move.
#
# **Your prediction:** does the quadratic model survive the rates at which the linear one explodes? All of those at which the
# network trains?

# %% tags=["varies"]
answer("second_order", "losses")

# %% [markdown]
# With ReLU the quadratic model catapults like the network just beyond the edge; a little further on it explodes: to come
# back from far away, the network needs its higher orders.
#
# ## 4. Why does width help?
#
# Reviewer 2 asked for an intuition, and whether there are worse minima. There are: one can construct a point at which the
# gradient is exactly zero, but far away. The intuition compares two distances: how far the weights must move to fit the data,
# and how far they may move before the smallest eigenvalue of the kernel has lost three quarters of its value.
#
# **Your prediction:** which of the two changes with the width?

# %% tags=["varies"]
answer("minima", "intuition")

# %% [markdown]
# Where the first is smaller than the second, the weights fit the data before the kernel is lost: this is the whole idea of
# the proof.
#
# ## 5. Is a wide network always lazy?
#
# Reviewer 3: networks in this regime behave like linear models. Width alone does not decide that. The scale $\alpha$ of the
# outputs counts as well ([Chizat, Oyallon and Bach 2019](https://arxiv.org/abs/1812.07956)): width and scale span a plane.
# Along $\alpha=1$ wide networks become lazy. Along $\alpha\propto m^{-1/2}$, the mean-field limit, features move at every
# width.
#
# **Your prediction:** in which direction does the boundary between lazy and rich run, as the width grows?

# %% tags=["varies"]
answer("regimes", "plane")

# %% [markdown]
# ## 6. What can a model with fixed features not learn?
#
# Reviewer 3 pointed to [Yehudai and Shamir (2019)](https://arxiv.org/abs/1904.00687): random features may need exponentially
# many units to express a single ReLU neuron. Here several models learn one neuron from samples. An error of 1 is that of the
# best affine predictor.
#
# **Your prediction:** order random features, the tangent kernel, and a network that may learn its features.

# %% tags=["varies"]
answer("random_features", "learners")

# %% [markdown]
# ## The other questions
#
# Each is one command; `lazylab run all` runs them all, and `lazylab report runs/*` makes one page of everything. What they
# print with their default preset stands in the [README](../README.md#what-the-reviewers-asked-and-what-came-out).

# %%
from comparisons.runs.registry import find, names

others = [f"* `lazylab run {name}`: {find(name).question}" for name in names() if name not in runs]
display(Markdown("\n".join(others)))

# %% [markdown]
# A number without a value has a reason instead, such as "too few seeds" or "right censored at 64" (the threshold lies beyond
# the measured widths). Here are the first numbers of one run. A run as the last line of a cell shows everything: question,
# verdict, all numbers and all figures.

# %% tags=["varies"]
pd.Series({name: str(number) for name, number in list(runs["minima"].numbers.items())[:8]}, name="minima")

# %% [markdown]
# **What small runs cannot show.** Intervals from a few seeds are so wide that they contain most theories, and a figure in
# which a curve seems to fall may show an accident of one seed. The remedy is not a bolder sentence but more seeds and widths:
# the preset `default` takes one to five minutes and gives numbers to rely on, `full` those to quote.
#
# ## Exercises
#
# **1.** How many seeds would the exponent of the motion that is needed need before its interval is shorter than ½? Use that
# the length of a $t$ interval falls about as one over the square root of the number of seeds.
#
# <details><summary>Solution</summary>
#
# ```python
# slope = next(number for key, number in runs["minima"].numbers.items() if key.startswith("exponent.needed"))
# low, high = slope.interval
# print(slope, "from", slope.seeds, "seeds; wanted about", round(slope.seeds * ((high - low) / 0.5) ** 2))
# ```
#
# That overstates it for a few seeds: Student's factor alone falls from 3.2 to 2.3 between 4 and 10 seeds. More widths help as
# well, since each seed's slope then varies less.
#
# </details>
#
# **2.** Is it the Elman network alone that becomes lazy with the width? Run the main comparison with torch's GRU.
#
# <details><summary>Solution</summary>
#
# ```python
# options = {"widths": (16, 32), "seeds": 4, "variants": ("centred",), "executor": "serial", "progress": False}
# gru = comparisons.run("width", "fast", FOLDER / "gru", network="gru", **options)
# print(gru.verdict)
# ```
#
# Only slopes compare, not levels: GRUs are in torch's own parametrization, with all weights trained.
#
# </details>
#
# **3.** Verdicts are made from a table with one row per cell. From the table of `step_size`, compute the share of runs that
# train at each learning rate $c$, of networks and of second-order models, and the largest error of networks on the way.
#
# <details><summary>Solution</summary>
#
# ```python
# table = runs["step_size"].table
# trains = (table["outcome"] == "reached").groupby(table["fraction"]).mean()
# second = (table["outcome_second_order"] == "reached").groupby(table["fraction"]).mean()  # from c = ½ on
# peak = table.groupby("fraction")["peak_mse"].max()
# print(pd.DataFrame({"network": trains, "second order": second, "highest peak": peak}))
# ```
#
# Peaks are in units of the first error. An empty cell stands for a learning rate at which every run diverged.
#
# </details>
