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
# # The reviewers' concerns, one after the other
#
# At the end you can
#
# * name what the three reviewers asked of *On the Convergence Rate of Training Recurrent Neural Networks*
#   ([Allen-Zhu, Li and Song 2019](https://arxiv.org/abs/1810.12065), "the paper" below), and what an experiment says;
# * rerun any of these experiments at any size, from here or by one command;
# * tell a result from a "not visible at this size".
#
# Each section says who asked (reviewers 1, 2 and 3; the words are ours), shows one figure and prints the verdict, which
# is made from the numbers of this very run. **The runs are small**: a few narrow networks, few seeds. What they
# cannot see, they say. Intervals in parentheses are 95 % over seeds. The figures are those of the command in each section; take
# `--preset default` (one to five minutes) for numbers to rely on, and `full` to quote them.
#
# `comparisons.run` measures what is missing in a directory and returns numbers, verdict, table and figures:

# %%
import re
import tempfile
from pathlib import Path

import comparisons
from lab.figures import notebook

notebook.begin()
RUNS, FOUND = Path(tempfile.mkdtemp(prefix="reviewers-")), {}


def ask(name, figure, **small):
    """One comparison in its fast preset (in fast mode smaller still): a figure, the verdict, the command."""
    settings = notebook.choose({}, small)
    run = FOUND[name] = comparisons.run(name, "fast", RUNS / name, executor="serial", progress=False, **settings)
    question = run.comparison.question
    notebook.show(run.figures[figure], question)
    sentences = re.split(r"(?<=\.) (?=[A-Z])", run.verdict)
    notebook.say("\n".join([f"**{question}**", "", *(f"* {each}" for each in sentences)]))
    notebook.say(f"At full size: `lazylab run {name} --preset full`")


# %% [markdown]
# ## Reviewer 1
#
# ### "The width is a polynomial of a high order"
#
# The theorem needs a width $m\ge\mathrm{poly}(n,L,1/\delta,\log 1/\varepsilon)$: $n$ samples, sequences of length $L$, whose
# first steps are $\delta$ apart, error $\varepsilon$. Its degrees are hidden; reviewer 3 asks how loose they are. So we
# measure the width at which nine of ten networks train, and the one from which on they follow their linear model, and
# fit the degrees.

# %%
ask("required_width", "widths", samples=(8, 16, 32), lazy_samples=(8, 16, 32), lengths=(2, 4), separations=(0.7, 1.0),
    accuracies=(0.3, 0.1, 0.03), seeds=3, lazy_seeds=3, widest=32, lazy_widest=64)  # fmt: skip

# %% [markdown]
# ### "With data from a simple model less width may do"
#
# The authors' answer to the reviewers said so. The same sequences are labelled in five ways, from coin flips to a wide Elman network;
# what counts is the width in units of the one that coin flips need.

# %%
ask("data_model", "widths", models=("random", "neuron", "teacher"), samples=12, seeds=3, widest=64, width=64)

# %% [markdown]
# ### "The step size is very small"
#
# Steps are in units of the critical one, $c=\eta\lambda_{\max}(K_0)/2$ (notebook 05). Three limits: where tracking ends, where
# the linear model diverges, where the network does. The shaded part is the catapult of
# [Lewkowycz et al. (2020)](https://arxiv.org/abs/2003.02218).

# %%
ask("step_size", "limits", widths=(32,), per_octave=1, kernel_time=20.0, patience=2.0)

# %% [markdown]
# ### "After a first phase the weights are not random any more"
#
# The authors pointed to the second phase of training, in which the step has become small; the reviewer answered that
# weights are then no random matrix. Two linear models of the second phase: one linearized at the initialization, one
# where the first phase ends, as [Fort et al. (2020)](https://arxiv.org/abs/2010.15110) do along the path.

# %%
ask("phases", "gaps", widths=(32,), phase_one=(0.1, 3.0), phase_two_steps=400)

# %% [markdown]
# ### "The weights hardly move in total"
#
# True for very wide networks, and the point of the theory: then the linear model describes them. How fast the gap between the two falls
# with the width is the lab's main question; [Lee et al. (2019)](https://arxiv.org/abs/1902.06720) bound it by $m^{-1/2}$.

# %%
ask("width", "gap", widths=(32, 64, 128), readouts=("last",), variants=("centred", "erf"))

# %% [markdown]
# ### "Why is the variance of the weights 2/m?"
#
# The proof needs signals that neither explode nor vanish over many time steps, and inputs that stay apart. Nothing is
# trained here: we turn the variance $c/m$ and watch the growth per step.

# %%
ask("stability", "rates", widths=(64,), length=50)

# %% [markdown]
# ### "How near must the weights stay?"
#
# Theorem 3 bounds the gradient from below by the loss, for all weights near the initialization. That bound is the
# smallest eigenvalue $\lambda_{\min}$ of the tangent kernel. We walk away from $W_0$ in four directions, one of them as bad as a search
# can find, and look where $\lambda_{\min}$ has lost three quarters. Reviewer 3 asks the same as a question of looseness.

# %%
ask(
    "gradient_bounds", "spheres", widths=(16, 32, 64), readouts=("last",), radii=(0.1, 1.0, 4.0, 16.0, 64.0), searches=1
)

# %% [markdown]
# ## Reviewer 2
#
# ### "Are there worse minima? And why does width help?"
#
# There are: one can be planted by hand, with a gradient of exactly zero. The intuition that the reviewer asks for is a race of two
# lengths: how far weights must move to fit the data, and how far they may move before the kernel turns bad. Width decides it where the
# first falls below the second.

# %%
ask("minima", "intuition", widths=(16, 32), readouts=("last",), success_widths=(2, 4, 8, 16), success_seeds=3,
    success_patience=10.0, radii=(0.1, 1.0, 4.0, 16.0), searches=1, points=11)  # fmt: skip

# %% [markdown]
# ## Reviewer 3
#
# ### "So they behave like linear models"
#
# The reviewer cites [Chizat, Oyallon and Bach (2019)](https://arxiv.org/abs/1812.07956): large outputs alone make any model lazy.
# We scale the outputs by $\alpha$; their theory lets the gap fall as $1/\alpha$ for smooth networks. ReLU is not smooth.

# %%
ask("output_scale", "laziness", networks=("relu", "erf"), data=("digits",), alphas=(1.0, 3.0, 10.0, 30.0), target=0.3)

# %% [markdown]
# ### "Random features cannot learn a single neuron"
#
# [Yehudai and Shamir (2019)](https://arxiv.org/abs/1904.00687): a single ReLU neuron may need exponentially many random features, or
# exponentially large coefficients, in the dimension $d$. The reviewer asks what that leaves of a linear theory. The figure is
# about learning from samples: 1 is the best plane.

# %%
ask("random_features", "learners", dimensions=(2, 3, 4), features=128, width=32, steps=200, samples=64, test=500)

# %% [markdown]
# ### "From infinite to finite width"
#
# [Jacot, Gabriel and Hongler (2018)](https://arxiv.org/abs/1806.07572) have theorems about infinite width. How far from it are networks
# that fit in a computer, in their kernel at the initialization and in what they have learnt?

# %%
ask("infinite_width", "kernel", widths=(32, 64, 128), readouts=("last",), variants=("centred",))

# %% [markdown]
# ### "Only W is trained; are random weights nearly optimal already?"
#
# $A$ and $B$ stay random in the paper. We train each matrix alone and all together, and compare the distance that training covers with
# the distance between two random draws.

# %%
ask("frozen_layers", "losses", widths=(32,), kernel_time=20.0)

# %% [markdown]
# ### "This explains the early stages at most"
#
# Stochastic gradient descent, beside a linear model that gets the same batches. Time is counted in units that make batches and
# step sizes comparable; the question is when network and linear model part.

# %%
ask("early_sgd", "gap", widths=(32, 64), kernel_time=5.0)

# %% [markdown]
# ### "Not yet sufficient to explain the success"
#
# The last word is the test error on real series: the network in three regimes, its linearization, its infinite-width kernel, and simple
# rivals, all with the same number of choices on the same validation samples.

# %%
ask("practice", "errors", samples=(48,), width=64, kernel_time=200.0, test=100)

# %% [markdown]
# ## What this run can say, at a glance

# %%
rows = []
for name, run in FOUND.items():
    known = [number for number in run.numbers.values() if number.value is not None]
    seconds = run.table["seconds"].sum()
    rows.append(f"| `{name}` | {run.comparison.asked_by} | {len(run.table)} | {seconds:.0f} s | "
                f"{len(known)} of {len(run.numbers)} |")  # fmt: skip
head = ["| comparison | asked by | cells | time on one core | numbers with a value |", "|---|---|---|---|---|"]
notebook.say("\n".join(head + rows))

# %% [markdown]
# A number without a value has a reason instead, such as "too few seeds" or "right censored at 64" (the threshold lies beyond the
# grid). **The honest surprise of this page is how often a small run has to pass.** Slopes from three seeds
# have intervals that hold almost any theory, so a plot in which "the gap falls with the width" may be an accident of one seed. The
# remedy is not a bolder sentence but more seeds and widths: `lazylab run all`, then `lazylab report runs/*` for one
# page with everything.
#
# ## Exercises
#
# **1.** How many seeds would the slope of `width` need before its interval is shorter than ½? Use the local information: the length of
# a $t$ interval falls about as one over the root of the number of seeds.
#
# <details><summary>Solution</summary>
#
# ```python
# slope = FOUND["width"].numbers["exponent.gap_test"]
# low, high = slope.interval
# print(slope, "from", slope.seeds, "seeds; wanted about", round(slope.seeds * ((high - low) / 0.5) ** 2))
# ```
#
# That overstates it for three seeds: Student's factor alone falls from 4.3 to 2.3 between 3 and 10 seeds. And more widths
# help as well as more seeds, since each seed's slope then varies less.
#
# </details>
#
# **2.** Is the story of `width` one about Elman networks? Ask the same with torch's GRU.
#
# <details><summary>Solution</summary>
#
# ```python
# small = {"widths": notebook.choose((32, 64, 128), (8, 16)), "seeds": notebook.choose(3, 2), "readouts": ("last",)}
# gru = comparisons.run("width", "fast", RUNS / "gru", executor="serial", progress=False, network="gru", **small)
# print(gru.verdict)
# ```
#
# Only slopes compare, not levels: GRUs are in torch's own parametrization, with all weights trained.
#
# </details>
#
# **3.** Verdicts are made from a table with one row per cell. From the table of `step_size`, make your own: the share of runs that
# train at each step $c$, and the largest error on the way.
#
# <details><summary>Solution</summary>
#
# ```python
# import pandas as pd
#
# table = FOUND["step_size"].table
# trains = (table["outcome"] == "reached").groupby(table["fraction"]).mean()
# peak = table.groupby("fraction")["peak_mse"].max()
# print(pd.DataFrame({"trains": trains, "highest peak": peak}))
# ```
#
# Peaks are in units of the first error. An empty cell stands for a step at which every run diverged.
#
# </details>
