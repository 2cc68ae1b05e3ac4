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
#
# Terms of this project, such as *gap*, *motion* and *lazy*, stand in the [glossary](../README.md#glossary).

# %%
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.exceptions import ConvergenceWarning
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

# %% tags=["parameters"]
UNITS, STEPS = 32, 300  # of the modules
WIDTH, RNN_STEPS = 256, 300  # of recurrent networks
COUNTS = [3, 10, 30, 100, 300, 1000, 3000, 10000]  # of descent steps, for early stopping
PENALTIES = [0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0]

# %% [markdown]
# ## Data from arrays
#
# Waves of an unknown frequency, with noise, 16 time steps each. The target is the frequency, measured with an error. Inputs
# have the shape (samples, time steps, features), targets (samples,) or (samples, outputs).
#
# **Your prediction:** frequencies lie between 0.5 and 2 radians per time step. How many periods do the slowest and the fastest
# series show? Is there a *linear* function of the series that finds the frequency? (What does it give for $x$ and $-x$?)


# %%
def waves(samples, seed, noise=0.3, length=16):
    """Noisy waves (n, L, 1), and their frequencies in standard units with an error of this size (n,)."""
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
figure

# %% [markdown]
# **What to see.** The slowest series shows a little more than one period, the fastest about five. A wave and its negative have
# the same frequency, but a linear function changes its sign. So no model that is linear in the *series* can learn this task.
# A model that is linear in the *weights*, such as a linearized network, may.
#
# ## Any module
#
# Samples come first, in and out: torch's recurrent layers and attention need `batch_first=True`. Parameters that require a
# gradient are trained; freeze the others by `requires_grad_(False)`.
#
# **Your prediction:** an LSTM of 32 units, in PyTorch's own initialization, takes 300 steps at a quarter of the critical
# learning rate (notebook 05). Sketch its loss and that of its linear model. Do both reach the targets? Can the loss of the
# LSTM grow again?


# %%
class Reader(nn.Module):
    """An LSTM whose last state is read out."""

    def __init__(self):
        super().__init__()
        self.core, self.head = nn.LSTM(1, UNITS, batch_first=True), nn.Linear(UNITS, 1)

    def forward(self, series):
        """Outputs (n, 1) from series (n, L, 1)."""
        states, _ = self.core(series)
        return self.head(states[:, -1])


class Attention(nn.Module):
    """One transformer layer with learnt positions, averaged over time."""

    def __init__(self):
        super().__init__()
        self.embed, self.positions = nn.Linear(1, UNITS), nn.Parameter(0.5 * torch.randn(16, UNITS))
        self.core = nn.TransformerEncoderLayer(UNITS, 4, 2 * UNITS, dropout=0.0, batch_first=True)
        self.head = nn.Linear(UNITS, 1)

    def forward(self, series):
        """Outputs (n, 1) from series (n, L, 1)."""
        return self.head(self.core(self.embed(series) + self.positions).mean(1))


def convolutions():
    """Two convolutions over time, averaged."""
    layers = (nn.Conv1d(1, UNITS, 5, padding=2), nn.ReLU(), nn.Conv1d(UNITS, UNITS, 5, padding=2), nn.ReLU())
    return nn.Sequential(nn.Flatten(), nn.Unflatten(1, (1, 16)), *layers, nn.AdaptiveAvgPool1d(1), nn.Flatten(),
                         nn.Linear(UNITS, 1))  # fmt: skip


torch.manual_seed(0)
modules = {"LSTM": Reader().double(), "transformer": Attention().double(), "CNN": convolutions().double()}
descent = lab.Descent(STEPS, critical_fraction=0.25)
runs = {name: lab.side_by_side(module, task, descent) for name, module in modules.items()}
runs["LSTM"].plot()

# %% [markdown]
# **What to see.** For about a hundred steps the two losses agree, and hardly fall. The linear model learns next to nothing to
# the end. Then the loss of the LSTM falls to a fraction of its first value, jumps back, and oscillates. This network at least
# is not lazy, and its critical learning rate does not stay what it was:

# %%
largest = lab.KernelRegressor.at(runs["LSTM"].trained_network, task).spectrum.lambda_max
print(f"largest eigenvalue of the LSTM's kernel: {largest / runs['LSTM'].lambda_max:.1f} times that at the start")

# %% [markdown]
# At a quarter of the critical rate, a kernel that has grown more than fourfold is beyond the edge. Here are the numbers of all
# three modules:


# %%
def table(runs):
    """Size, losses, largest gap and motion of each run."""
    rows = {
        name: {
            "weights": sum(weight.numel() for weight in run.trained_network.trained.values()),
            "loss left": run.network.final_loss / run.network.loss[0],
            "loss left, linearized": run.linearized.final_loss / run.linearized.loss[0],
            "largest test gap": run.gap("test").max(),
            "relative weight motion": run.motion.relative_weight_motion,
        }
        for name, run in runs.items()
    }
    return pd.DataFrame(rows).T.astype({"weights": int}).round(3)


table(runs)

# %% [markdown]
# **Read the loss beside the gap.** The transformer has the smallest gap, but most of its loss is left: it has hardly moved, so
# nothing follows about laziness. The CNN has learnt, and on the way its gap was of the order of the targets: it did not
# follow its linear model. Networks of a few dozen units in PyTorch's own initialization need not be lazy at all.
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
# Give a function from parameters to an optimizer. Network and linearized network are trained by optimizers of their own; the
# kernel regressor is left out, because only gradient descent has a closed form on a kernel.


# %%
def adam(parameters):
    """Adam, for the network and again for its linearization."""
    return torch.optim.Adam(parameters, lr=3e-3)


by_adam = lab.Descent(STEPS, optimizer=adam)
adam_runs = {f"{name}, Adam": lab.side_by_side(modules[name], task, by_adam) for name in ("LSTM", "transformer")}
print("kernel regressor:", adam_runs["LSTM, Adam"].kernel, "because", adam_runs["LSTM, Adam"].reasons["kernel"])
table(adam_runs)

# %% [markdown]
# With Adam the transformer, too, learns within these steps. Now its gap is large: its laziness above was lack of training.

# %% [markdown]
# ## Data from a file
#
# A `.csv` has one sample in a row: its label, then one number for each time step. Labels may be text. (`.npz`, `.tsv` and
# `.ts`, also with several features and for regressions, are described in `lab.data.files.read`.) Series are standardized by
# the training samples, and a constant feature is appended, as for the digits.

# %%
path = Path(tempfile.mkdtemp()) / "waves.csv"
rows = pd.DataFrame(X[:, :, 0].round(4))
rows.insert(0, "label", np.where(y > 0, "fast", "slow"))
rows.to_csv(path, index=False)
print(path.read_text()[:160], "...")

own = lab.tasks.from_file(path, train=32, test=16)
network = lab.ElmanRNN.like(own, WIDTH, readout="mean", centred=True)
result = lab.side_by_side(network, own, lab.Descent(RNN_STEPS))
right = (result.network.test[-1, :, 0] > 0) == (own.test_targets[:, 0].numpy() > 0)
print(f"{own.name}: {right.mean():.0%} of the test series right, largest gap {result.gap('test').max():.0%}")

# %% [markdown]
# The same file is a task for every comparison: `lazylab run width --task waves.csv`.
#
# ## In scikit-learn
#
# `lab.estimators` has the three learners as regressors and classifiers. They take series as (samples, time steps), (samples,
# time steps, features), or flattened with `length=`; so they work in pipelines and grid searches. First, all of them beside
# a plain ridge regression on the raw series:

# %%
A, B = X[:, :, 0], X_test[:, :, 0]  # one feature: (samples, time steps)
SIZE = {"width": WIDTH // 2, "readout": "mean"}
models = {
    "ridge on the raw series": Ridge(),
    "network": estimators.RNNRegressor(steps=RNN_STEPS, **SIZE),
    "linearized network": estimators.LinearizedRNNRegressor(steps=RNN_STEPS, **SIZE),
    "tangent kernel of that width": estimators.TangentKernelRegressor("empirical", penalty=1.0, **SIZE),
    "tangent kernel, infinite width": estimators.TangentKernelRegressor("infinite", penalty=1.0, **SIZE),
    "NNGP kernel, infinite width": estimators.TangentKernelRegressor("nngp", penalty=0.1, **SIZE),
}
scores = {name: model.fit(A, y).score(B, y_test) for name, model in models.items()}
pd.DataFrame({"R² on new series": scores}).round(2)

# %% [markdown]
# $R^2$ is 1 for perfect predictions and 0 for the mean; below 0 is worse than the mean. (The NNGP kernel is the covariance of
# the outputs at initialization: with it, only the last layer learns.)
#
# ### Ridge or early stopping?
#
# A kernel that interpolates noisy targets also fits the noise. There are two remedies: a penalty $\mu$, as in
# $K(K+\mu)^{-1}$, and early stopping after some steps of descent. Here is a grid search over both, by cross-validation, in a
# pipeline.
#
# **Your prediction:** the targets have an error of 0.30. Sketch the score from strong to weak regularization. Does it fall
# again where the kernel interpolates the targets? Which of the two remedies reaches the higher maximum?

# %%
pipeline = make_pipeline(StandardScaler(), estimators.TangentKernelRegressor(readout="mean"))
name = "tangentkernelregressor"
grid = [{f"{name}__penalty": PENALTIES}, {f"{name}__steps": COUNTS}]
search = GridSearchCV(pipeline, grid, cv=5).fit(A, y)

found = search.cv_results_["mean_test_score"]
figure, axes = style.panels(2, size=(4.2, 3.3), sharey=True)
for ax, values, heights, label in zip(
    axes[0], (PENALTIES, COUNTS), np.split(found, [len(PENALTIES)]), ("penalty μ", "steps of descent"), strict=True
):
    ax.plot(values, heights, "o-", color=style.KERNEL.color)
    ax.set(xscale="log", xlabel=label)
axes[0, 0].invert_xaxis()  # less regularization to the right in both
axes[0, 0].set_ylabel("R² (cross-validation)")
style.headline(figure, "Two ways to regularize one kernel; less regularization to the right")
figure

# %%
best = {key.split("__")[1]: value for key, value in search.best_params_.items()}
ridge_best, stopped_best = found[: len(PENALTIES)].max(), found[len(PENALTIES) :].max()
print(f"chosen: {best}, with R² = {search.score(B, y_test):.2f} on new series")
print(f"cross-validated R²: {ridge_best:.3f} with the best penalty, {stopped_best:.3f} with the best number of steps")

# %% [markdown]
# **What to see.** The two remedies do nearly the same: both shrink the directions with small eigenvalues, one by the factor
# $\lambda/(\lambda+\mu)$, the other by $1-(1-\eta\lambda)^t$. But the score does not fall again to the right: interpolating
# noisy targets costs nothing here.
#
# **Your prediction:** a kernel that contains a part $p\,I$, in which every sample is similar to itself alone, acts like one with
# a penalty $\mu=p$. How would you recognize that part in the sorted eigenvalues? Which kernel of the same network has it, the
# tangent kernel, the NNGP kernel, or both?

# %%
kernels = {"tangent kernel": estimators.TangentKernel(readout="mean"),
           "NNGP kernel": estimators.TangentKernel("nngp", readout="mean")}  # fmt: skip
spectra = {name: np.linalg.eigvalsh(kernel(A))[::-1] for name, kernel in kernels.items()}
figure, axes = style.panels(1, size=(5.2, 3.4))
for (name, spectrum), color in zip(spectra.items(), style.QUANTITIES, strict=False):
    axes[0, 0].semilogy(np.arange(1, len(spectrum) + 1), spectrum / spectrum[0], ".-", color=color, label=name)
axes[0, 0].set(xlabel="eigenvalue, by size", ylabel="eigenvalue / the largest", title="Two kernels of one network")
axes[0, 0].legend()
figure

# %% [markdown]
# **What to see.** The spectrum of the tangent kernel ends in a plateau: half of its eigenvalues lie within a factor of two of
# each other. So this kernel regularizes itself. The NNGP kernel of the same network has eigenvalues that fall much further.
#
# ### The kernel in other estimators of scikit-learn
#
# `TangentKernel` is a kernel in the sense of scikit-learn's Gaussian processes; being callable, it also serves support vector
# machines. A Gaussian process chooses the size of kernel and noise by itself, as those with the largest likelihood, and adds
# error bars.
#
# **Your prediction:** with the NNGP kernel and 96 training series, how long are error bars of two standard deviations on each
# side, if the targets have an error of 0.30? How many of 96 new targets lie outside of theirs?


# %%
def gaussian_process(kernel, X, y):
    """A Gaussian process with this kernel of a size to be found, and noise."""
    process = GaussianProcessRegressor(ConstantKernel() * kernel + WhiteKernel(), normalize_y=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # noise at its lower bound: the text says why
        return process.fit(X, y)


more, more_y = waves(96, seed=2)
more = more[:, :, 0]
processes = {name: gaussian_process(kernel, more, more_y) for name, kernel in kernels.items()}
predicted = {name: process.predict(B, return_std=True) for name, process in processes.items()}
mean, deviation = predicted["NNGP kernel"]
figure, axes = style.panels(1, size=(5.2, 4.2))
axes[0, 0].errorbar(y_test, mean, 2 * deviation, fmt="o", markersize=3, elinewidth=0.7, color=style.NETWORK.color)
axes[0, 0].plot([-2, 2], [-2, 2], "--", color=style.GREY)
axes[0, 0].set(xlabel="measured target", ylabel="prediction ± 2 standard deviations")
axes[0, 0].set_title("A Gaussian process with the recurrent NNGP kernel")
figure

# %%
rows = {
    name: {
        "R²": process.score(B, y_test),
        "targets within 2 deviations": (np.abs(predicted[name][0] - y_test) < 2 * predicted[name][1]).mean(),
        "2 deviations": 2 * predicted[name][1].mean(),
        "estimated noise": np.sqrt(process.kernel_.k2.noise_level) * more_y.std(),
        "plateau of the kernel": np.sqrt(np.median(np.linalg.eigvalsh(process.kernel_.k1(more)))) * more_y.std(),
    }
    for name, process in processes.items()
}
pd.DataFrame(rows).T.round(2)

# %% [markdown]
# **What to see.** All but a few bars cross the dashed diagonal: about 5 % should not. They are a little longer than the 0.60
# that noise alone would give, because the frequency is uncertain, too.
#
# In the table, the *plateau* is the square root of the median eigenvalue of the fitted kernel, in units of the targets: a
# standard deviation, which can be compared with the noise of 0.30. With the NNGP kernel the estimated noise is near that.
# With the tangent kernel it is zero: scikit-learn ends at its lower bound and would warn of it. The reason is the plateau.
# After scaling, it stands for a standard deviation of more than 0.30, so the kernel by itself explains all of the noise. The
# data do not show whether an error of single targets comes from one or the other; only their sum is determined. If the noise
# itself is the question, look at the spectrum first, and take a kernel without a plateau.
#
# A support vector machine takes the same kernel:

# %%
machines = {
    "tangent kernel": SVC(kernel=estimators.TangentKernel(readout="mean"), C=10),
    "RBF kernel of scikit-learn": SVC(C=10),
}
right = {name: machine.fit(A, y > 0).score(B, y_test > 0) for name, machine in machines.items()}
pd.DataFrame({"slow or fast, share right": right}).round(2)

# %% [markdown]
# `estimators.save(model, path)` writes a fitted estimator without pickle, and `estimators.load(path)` reads it back.
#
# ## Exercises
#
# **1.** Make the CNN lazy without making it wider: `lab.Scaled(lab.as_network(module), alpha)` subtracts the initial outputs
# and multiplies by $\alpha$ ([Chizat, Oyallon and Bach 2019](https://arxiv.org/abs/1812.07956)). How does the gap go with $\alpha$?
#
# <details><summary>Solution</summary>
#
# ```python
# for alpha in (1, 10, 100):
#     scaled = lab.Scaled(lab.as_network(modules["CNN"]), alpha)
#     run = lab.side_by_side(scaled, task, descent)
#     left = [learner.final_loss / learner.loss[0] for learner in (run.network, run.linearized)]
#     print(f"α = {alpha}: gap {run.gap('test').max():.3f}, loss left {left[0]:.1%}, linearized {left[1]:.1%}")
# ```
#
# The gap falls, at large $\alpha$ more slowly than $1/\alpha$, because ReLU gates flip one at a time. The learning rate is in
# units of the critical one, so the linear model is the same for all $\alpha$. The loss that is left comes to that of the
# linear model: what the network had learnt beyond it is lost.
#
# </details>
#
# **2.** `Descent(momentum=0.9)` should agree with the momentum of torch. Check it against `torch.optim.SGD`.
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
# They agree up to rounding errors. With the lab's own momentum there is a kernel regressor as well: heavy ball has a
# recursion for each eigenvalue.
#
# </details>
#
# **3.** Replace ReLU by `activation="erf"` in the tangent kernel, with `parametrization="ntk"`. What happens to $R^2$, and
# why? Find the remedy.
#
# <details><summary>Solution</summary>
#
# ```python
# for parametrization in ("ntk", lab.Parametrization(style="ntk", sigma_b=1.0)):
#     model = estimators.TangentKernelRegressor(
#         penalty=1.0, readout="mean", activation="erf", parametrization=parametrization
#     )
#     print(model.fit(A, y).score(B, y_test))
# ```
#
# It falls to about zero. erf is an odd function, and "ntk" by itself has no bias, so $f(-x)=-f(x)$: such a network cannot
# express that a wave and its negative have one frequency. A bias breaks the symmetry, and therefore the estimators have one
# by default.
#
# </details>
