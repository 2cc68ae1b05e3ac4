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
# # Your own network, your own data
#
# At the end you can
#
# * put any PyTorch module and any optimizer of PyTorch beside its linearization, on your own arrays or files;
# * say from one table whether a network is lazy, or has merely not learnt anything;
# * use the recurrent network, its linearization and its tangent kernel inside scikit-learn.

# %%
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, WhiteKernel
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from torch import nn

import lab
from lab import estimators
from lab.figures import notebook, style

notebook.begin()

# %% [markdown]
# ## Data from arrays
#
# Waves of an unknown frequency, with noise, 16 time steps each. What is to be learnt is the frequency, measured with an error. Inputs
# have the shape (samples, time steps, features), targets (samples,) or (samples, outputs).


# %%
def waves(samples, seed, noise=0.3, length=16):
    """Noisy waves (n, L, 1) and their frequencies with an error, of mean 0 and deviation about 1."""
    generator = np.random.default_rng(seed)
    frequency, phase = generator.uniform(0.5, 2.0, samples), generator.uniform(0, 2 * np.pi, samples)
    clean = np.sin(frequency[:, None] * np.arange(length) + phase[:, None])
    series = clean + 0.2 * generator.standard_normal(clean.shape)
    return series[:, :, None], (frequency - 1.25) / 0.43 + noise * generator.standard_normal(samples)


(X, y), (X_test, y_test) = waves(48, seed=0), waves(96, seed=1)
task = lab.Task(X, y, X_test, y_test, name="waves")  # or just the pair (X, y), without a test split

figure, axes = style.panels(1, size=(6.4, 2.8))
for i, color in zip(np.argsort(y)[[0, 24, 47]], style.QUANTITIES, strict=False):
    axes[0, 0].plot(X[i, :, 0], "o-", color=color, markersize=3, label=f"target {y[i]:.1f}")
axes[0, 0].set(xlabel="time step", ylabel="x", title="Three of the training series")
axes[0, 0].legend(loc="upper left", bbox_to_anchor=(1, 1))
notebook.show(figure, "three noisy waves")

# %% [markdown]
# ## Any module
#
# Samples come first, in and out: torch's recurrent layers and attention need `batch_first=True`. Parameters that require a gradient are
# trained; freeze the others by `requires_grad_(False)`.

# %%
WIDTH = notebook.choose(32, fast=12)


class Reader(nn.Module):
    """An LSTM whose last state is read out."""

    def __init__(self):
        super().__init__()
        self.core, self.head = nn.LSTM(1, WIDTH, batch_first=True), nn.Linear(WIDTH, 1)

    def forward(self, series):
        """Outputs (n, 1) from series (n, L, 1)."""
        states, _ = self.core(series)
        return self.head(states[:, -1])


class Attention(nn.Module):
    """One transformer layer with learnt places, averaged over time."""

    def __init__(self):
        super().__init__()
        self.embed, self.places = nn.Linear(1, WIDTH), nn.Parameter(0.5 * torch.randn(16, WIDTH))
        self.core = nn.TransformerEncoderLayer(WIDTH, 4, 2 * WIDTH, dropout=0.0, batch_first=True)
        self.head = nn.Linear(WIDTH, 1)

    def forward(self, series):
        """Outputs (n, 1) from series (n, L, 1)."""
        return self.head(self.core(self.embed(series) + self.places).mean(1))


def convolutions():
    """Two convolutions over time, averaged."""
    layers = (nn.Conv1d(1, WIDTH, 5, padding=2), nn.ReLU(), nn.Conv1d(WIDTH, WIDTH, 5, padding=2), nn.ReLU())
    return nn.Sequential(nn.Flatten(), nn.Unflatten(1, (1, 16)), *layers, nn.AdaptiveAvgPool1d(1), nn.Flatten(),
                         nn.Linear(WIDTH, 1))  # fmt: skip


torch.manual_seed(0)
modules = {"LSTM": Reader().double(), "transformer": Attention().double(), "CNN": convolutions().double()}
descent = lab.Descent(steps=notebook.choose(200, fast=40))
runs = {name: lab.side_by_side(module, task, descent) for name, module in modules.items()}
notebook.show(runs["LSTM"].plot(), "an LSTM beside its linearization")

# %% [markdown]
# The picture is that of notebook 01: losses, outputs of a few test samples, and the gap between network and linearization, in units of
# what there was to learn. For all three modules:


# %%
def table(runs):
    """Size, losses, largest gap and motion of each run, as Markdown."""
    lines = ["| network | weights | loss left | loss left, linearized | largest test gap | relative weight motion |"]
    lines += ["|---|---|---|---|---|---|"]
    for name, run in runs.items():
        left = [trajectory.final_loss / trajectory.loss[0] for trajectory in (run.network, run.linearized)]
        weights = sum(weight.numel() for weight in run.trained_network.trained.values())
        motion = run.motion.relative_weight_motion
        lines.append(f"| {name} | {weights:,} | {left[0]:.1%} | {left[1]:.1%} | "
                     f"{run.gap('test').max():.1%} | {motion:.1%} |")  # fmt: skip
    return "\n".join(lines)


notebook.say(table(runs))

# %% [markdown]
# **Read the loss beside the gap.** A network whose loss has hardly fallen has a small gap because it has not gone anywhere, and
# nothing follows about laziness. Where the loss has fallen and the gap is of order 1, the network has left its linear model: a few
# dozen units in PyTorch's own initialization need not be lazy at all.
#
# Modules that are no function of one sample and the weights are refused, with the remedy:

# %%
try:
    lab.side_by_side(nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Dropout(0.1), nn.Linear(8, 1)), task, descent)
except lab.LabError as error:
    print(error)

# %% [markdown]
# ## Any optimizer of torch.optim
#
# Give a function from parameters to an optimizer. Network and linearized network are trained by optimizers of their own; the kernel
# learner is left out, because gradient descent alone has a closed form on a kernel.


# %%
def adam(parameters):
    """Adam, for the network and again for its linearization."""
    return torch.optim.Adam(parameters, lr=3e-3)


by_adam = lab.Descent(steps=notebook.choose(200, fast=40), optimizer=adam)
adam_runs = {f"{name}, Adam": lab.side_by_side(modules[name], task, by_adam) for name in ("LSTM", "transformer")}
notebook.say(table(adam_runs))
notebook.say(f"`result.kernel` is {adam_runs['LSTM, Adam'].kernel}: {adam_runs['LSTM, Adam'].reasons['kernel']}.")

# %% [markdown]
# ## Data from a file
#
# A `.csv` has one sample in a row: its label, then one number for each time step. Labels may be text. (`.npz`, `.tsv` and `.ts`, also
# with several features and for regressions, are described in `lab.data.files.read`.) Series are standardised by the training samples,
# and a constant feature is appended, as for the digits.

# %%
path = Path(tempfile.mkdtemp()) / "waves.csv"
rows = pd.DataFrame(X[:, :, 0].round(4))
rows.insert(0, "label", np.where(y > 0, "fast", "slow"))
rows.to_csv(path, index=False)
print(path.read_text()[:160], "...")

own = lab.tasks.from_file(path, train=32, test=16)
network = lab.ElmanRNN.like(own, width=notebook.choose(256, fast=64), readout="mean")
result = lab.side_by_side(network, own, lab.Descent(steps=notebook.choose(300, fast=100)))
right = (result.network.test[-1, :, 0] > 0) == (own.test_targets[:, 0].numpy() > 0)
notebook.say(f"{own.name}: {right.mean():.0%} of the test series right, largest gap {result.gap('test').max():.0%}.")

# %% [markdown]
# The same file is a task for every comparison: `lazylab run width --task waves.csv`.
#
# ## In scikit-learn
#
# `lab.estimators` has the three learners as regressors and classifiers. They take series as (samples, time steps), (samples, time
# steps, features), or flattened with `length=`; so they work in pipelines and grid searches. First, all of them beside a plain
# ridge regression on the raw series:

# %%
A, B = X[:, :, 0], X_test[:, :, 0]  # one feature: (samples, time steps)
SIZE = {"width": notebook.choose(128, fast=32), "readout": "mean"}
models = {
    "ridge on the raw series": Ridge(),
    "network": estimators.RNNRegressor(steps=notebook.choose(300, fast=60), **SIZE),
    "linearized network": estimators.LinearizedRNNRegressor(steps=notebook.choose(300, fast=60), **SIZE),
    "tangent kernel of that width": estimators.TangentKernelRegressor("empirical", penalty=1.0, **SIZE),
    "tangent kernel, infinite width": estimators.TangentKernelRegressor("infinite", penalty=1.0, **SIZE),
    "NNGP (last layer alone), infinite width": estimators.TangentKernelRegressor("nngp", penalty=1.0, **SIZE),
}
scores = {name: model.fit(A, y).score(B, y_test) for name, model in models.items()}
lines = ["| model | R² on new series |", "|---|---|", *(f"| {name} | {score:.2f} |" for name, score in scores.items())]
notebook.say("\n".join(lines))

# %% [markdown]
# $R^2$ is 1 for perfect predictions and 0 for the mean; below 0 is worse than the mean. The frequency is no linear function of
# the series: changing $x$ to $-x$ turns every linear prediction round but leaves the frequency alone.
#
# ### Ridge or early stopping?
#
# A kernel that interpolates noisy targets learns the noise. Two cures are built in: a penalty $\rho$, as in $K(K+\rho)^{-1}$, and stopping
# after some steps of descent. A grid search over both, by cross-validation, in a pipeline:

# %%
PENALTIES = [float(f"{10.0**power:.1g}") for power in np.arange(-2, 2.5, notebook.choose(0.5, fast=1.0))]
COUNTS = notebook.choose([3, 10, 30, 100, 300, 1000, 3000, 10000], fast=[3, 30, 300, 3000])
pipeline = make_pipeline(StandardScaler(), estimators.TangentKernelRegressor(readout="mean"))
name = "tangentkernelregressor"
grid = [{f"{name}__penalty": PENALTIES}, {f"{name}__steps": COUNTS}]
search = GridSearchCV(pipeline, grid, cv=5).fit(A, y)

found = search.cv_results_["mean_test_score"]
figure, axes = style.panels(2, size=(4.2, 3.3), sharey=True)
for ax, values, heights, label in zip(
    axes[0], (PENALTIES, COUNTS), np.split(found, [len(PENALTIES)]), ("penalty ρ", "steps of descent"), strict=True
):
    ax.plot(values, heights, "o-", color=style.KERNEL.color)
    ax.set(xscale="log", xlabel=label)
axes[0, 0].invert_xaxis()  # less regularization to the right in both
axes[0, 0].set_ylabel("R² (cross-validation)")
style.headline(figure, "Two ways to regularize one kernel; less and less of it to the right")
notebook.show(figure, "cross-validated score against ridge and against steps")

# %%
best = {key.split("__")[1]: value for key, value in search.best_params_.items()}
ridge_best, stopped_best = found[: len(PENALTIES)].max(), found[len(PENALTIES) :].max()
notebook.say(f"""
Chosen: {", ".join(f"{key} = {value:g}" for key, value in best.items())}, with R² = {search.score(B, y_test):.2f} on new series. The best
penalty reaches {ridge_best:.3f} in cross-validation, the best number of steps {stopped_best:.3f}: both shrink the directions with small
eigenvalues, one as λ/(λ + ρ), the other as 1 − (1 − ηλ)^t.
""")

# %% [markdown]
# ### The kernel in other people's machines
#
# `TangentKernel` is a kernel as scikit-learn's Gaussian processes know it; being callable, it also serves support vector machines. A
# Gaussian process chooses the size of kernel and noise by itself and adds error bars.

# %%
kernel = ConstantKernel() * estimators.TangentKernel(readout="mean") + WhiteKernel()
process = GaussianProcessRegressor(kernel, normalize_y=True).fit(A, y)
mean, deviation = process.predict(B, return_std=True)
machine = SVC(kernel=estimators.TangentKernel(readout="mean"), C=10).fit(A, y > 0)

figure, axes = style.panels(1, size=(5.2, 4.2))
axes[0, 0].errorbar(y_test, mean, 2 * deviation, fmt="o", markersize=3, elinewidth=0.7, color=style.NETWORK.color)
axes[0, 0].plot([-2, 2], [-2, 2], "--", color=style.GREY)
axes[0, 0].set(xlabel="measured target", ylabel="prediction ± 2 standard deviations")
axes[0, 0].set_title("A Gaussian process with the recurrent tangent kernel")
notebook.show(figure, "predictions with error bars against targets")

# %%
inside = np.abs(mean - y_test) < 2 * deviation
noise = np.sqrt(process.kernel_.k2.noise_level) * y.std()
plain = SVC(C=10).fit(A, y > 0).score(B, y_test > 0)
notebook.say(f"""
The process has R² = {process.score(B, y_test):.2f}; {inside.mean():.0%} of the test targets lie inside two standard deviations. It
estimates the error of measurement as {noise:.2f}; we had put in 0.30. As a classifier of slow and fast, the support vector machine
with this kernel gets {machine.score(B, y_test > 0):.0%} right, with the standard RBF kernel {plain:.0%}.
""")

# %% [markdown]
# `estimators.save(model, path)` writes a fitted estimator without pickle, and `estimators.load(path)` reads it back.
#
# ## Exercises
#
# **1.** Make the LSTM lazy without making it wider: `lab.Scaled(lab.as_network(module), alpha)` subtracts the first outputs and multiplies by
# $\alpha$ ([Chizat, Oyallon and Bach 2019](https://arxiv.org/abs/1812.07956)). How does the gap go with $\alpha$?
#
# <details><summary>Solution</summary>
#
# ```python
# for alpha in (1, 10, 100):
#     scaled = lab.Scaled(lab.as_network(modules["LSTM"]), alpha)
#     run = lab.side_by_side(scaled, task, descent)
#     left = run.network.final_loss / run.network.loss[0]
#     print(f"α = {alpha}: gap {run.gap('test').max():.3f}, loss left {left:.1%}")
# ```
#
# The gap falls, finally as $1/\alpha$: an LSTM is smooth. The step is in units of the critical one, so the linear model is the same for all
# $\alpha$; and where the network had got further than its linear model, laziness takes that away.
#
# </details>
#
# **2.** `Descent(momentum=0.9)` is meant to be torch's heavy ball. Check it against `torch.optim.SGD`.
#
# <details><summary>Solution</summary>
#
# ```python
# def heavy_ball(parameters):
#     return torch.optim.SGD(parameters, lr=1e-3, momentum=0.9)
#
# ours = lab.side_by_side(modules["CNN"], task, lab.Descent(20, learning_rate=1e-3, momentum=0.9))
# torchs = lab.side_by_side(modules["CNN"], task, lab.Descent(20, optimizer=heavy_ball))
# print(np.abs(ours.network.test - torchs.network.test).max())
# ```
#
# Equal up to rounding. With our own momentum the kernel learner is there as well, by a recursion for each eigenvalue.
#
# </details>
#
# **3.** Replace ReLU by `activation="erf"` in the tangent kernel, with `parametrization="ntk"`. What happens to $R^2$, and why? Find the
# remedy.
#
# <details><summary>Solution</summary>
#
# ```python
# for parametrization in ("ntk", lab.Parametrization("ntk", sigma_b=1.0)):
#     model = estimators.TangentKernelRegressor(
#         penalty=1.0, readout="mean", activation="erf", parametrization=parametrization
#     )
#     print(model.fit(A, y).score(B, y_test))
# ```
#
# It falls to nothing. erf is an odd function, and "ntk" by itself has no bias, so $f(-x)=-f(x)$: such a network cannot say that a wave and
# its negative have one frequency. A bias breaks the symmetry, which is why the estimators have one by default.
#
# </details>
