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
# # Is my network lazy?
#
# At the end you can
#
# * add three lines to your own training loop that measure whether training is lazy, for any optimizer, loss and data;
# * say what each measured number means, and compute the most important one by hand;
# * compare training from scratch with fine-tuning, and the beginning of a training with its end.
#
# Training is *lazy* when the network behaves like its linearization at the initial weights:
# $f(\theta_t)\approx f_0+J_0(\theta_t-\theta_0)$, where $f_0$ are the outputs and $J_0$ is their Jacobian at the start.
# The other notebooks train a network and its linear model side by side. Here nothing is trained a second time:
# `lab.Watch` only looks at the path that your own training takes. Terms of this project stand in the
# [glossary](../README.md#glossary).

# %%
import copy

import numpy as np
import pandas as pd
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.func import functional_call, jvp
from torch.nn import functional

import lab
from lab.figures import curves, notebook, style

notebook.begin()

# %% tags=["parameters"]
CHANNELS = 8
STEPS, EVERY = 200, 20  # optimizer steps, and steps between two looks
SEEDS = 3  # pairs of trainings that are compared

# %% [markdown]
# ## A training of your own
#
# Nothing in this section comes from the lab: images of handwritten digits (8 × 8 pixels), a convolutional network with
# batch normalization and dropout, Adam, cross-entropy. There are two sets of classes: the digits 0 to 4, and the digits 5
# to 9 for fine-tuning later. Of each set 64 images are held out; they will be the *probes*, on which we look.

# %%
images, labels = load_digits(return_X_y=True)
images, labels = torch.tensor(images / 16).view(-1, 1, 8, 8), torch.tensor(labels)


def split(first):
    """Five classes from this digit on: images and labels to train on, and those of 64 probes."""
    chosen = (labels >= first) & (labels < first + 5)
    order = torch.randperm(int(chosen.sum()), generator=torch.Generator().manual_seed(0))
    X, y = images[chosen][order], labels[chosen][order] - first
    return X[64:], y[64:], X[:64], y[:64]


def convolutional(seed=0):
    """A small convolutional network with five outputs."""
    torch.manual_seed(seed)
    first = (nn.Conv2d(1, CHANNELS, 3, padding=1), nn.BatchNorm2d(CHANNELS), nn.ReLU(), nn.MaxPool2d(2))
    second = (nn.Conv2d(CHANNELS, 2 * CHANNELS, 3, padding=1), nn.ReLU())
    return nn.Sequential(*first, *second, nn.Flatten(), nn.Dropout(0.2), nn.Linear(32 * CHANNELS, 5)).double()


low, high = split(0), split(5)

# %% [markdown]
# ## Three lines more
#
# The loop below is what anyone would write. Three lines belong to the watch: it is made before the first step, it looks
# every few steps, and the loop returns it.


# %%
def train(module, data, learning_rate=1e-3, steps=STEPS, watched=True):
    """Adam on random batches; returns the watch."""
    X, y, probes, probe_labels = data
    watch = lab.Watch(module, probes, probe_labels, loss="cross_entropy") if watched else None  # 1
    torch.manual_seed(1)
    optimizer = torch.optim.Adam([p for p in module.parameters() if p.requires_grad], learning_rate)
    module.train()
    for step in range(1, steps + 1):
        rows = torch.randint(len(X), (32,))
        optimizer.zero_grad()
        functional.cross_entropy(module(X[rows]), y[rows]).backward()
        optimizer.step()
        if watched and step % EVERY == 0:
            watch.look(step)  # 2
    module.eval()
    return watch  # 3


def accuracy(module, data):
    """Share of the probes that a module classifies correctly."""
    return (module(data[2]).argmax(1) == data[3]).double().mean().item()


start = convolutional()
network = copy.deepcopy(start)
watch = train(network, low)
print(f"{accuracy(network, low):.0%} of the probes right")

# %% [markdown]
# Did the watch change the training? The same loop without it:

# %%
unwatched = copy.deepcopy(start)
train(unwatched, low, watched=False)
same = all(
    torch.equal(a, b) for a, b in zip(unwatched.state_dict().values(), network.state_dict().values(), strict=True)
)
print("weights and buffers are equal to the bit:", same)

# %% [markdown]
# ## What it saw
#
# The most important number is the *nonlinearity* of the path,
# $\|f_t-f_0-J_0(\theta_t-\theta_0)\|\,/\,\|f_t-f_0\|$: the part of the change of the outputs that the linear model at the
# start does not explain. It is 0 on a linear path, and it can exceed 1. The watch measures it also with the last look, 20
# steps earlier, in the place of the start.
#
# **Your prediction:** how large is the nonlinearity from the start at the end: below 0.1, about 0.5, or near 1? Does that from
# look to look rise along training, fall, or stay?

# %%
watch.plot()

# %%
print(watch.verdict())

# %% [markdown]
# **What to see.** From the start, the nonlinearity rises above 0.8: the linear model there explains little, and the network
# learns features. The nonlinearity since the last look is more surprising: it falls below 0.1. The network leaves its
# *first* linear model, and then moves along later ones (exercise 2).
#
# The verdict rests on two numbers, the nonlinearity and the *kernel distance*, and names the thresholds. With targets it
# also says whether the loss on the probes has fallen far enough for a judgement: every network looks lazy at the beginning,
# because it has hardly moved.


# %%
def shown(table):
    """A table with the looks side by side, without empty columns and times."""
    return table.drop(columns="seconds").dropna(axis=1, how="all").set_index("step").T.round(3)


shown(watch.table.iloc[[0, len(watch.table) // 2, -1]])

# %% [markdown]
# Everything is measured on the probes, with batch normalization by its running statistics and without dropout.
#
# * **nonlinearity**: see above; **nonlinearity_since_last** is the same with the last look in the place of the start.
# * **relative_weight_motion**, **weight_motion**: $\|\theta_t-\theta_0\|/\|\theta_0\|$, and the numerator alone. Small motion
#   does not mean lazy: it depends on the width how much motion is needed. `watch.parameters` has it by parameter.
# * **kernel_distance**: $1-\langle K_0,K_t\rangle/(\|K_0\|\|K_t\|)$ between the tangent kernels $K=JJ^\top$ at the start and now
#   ([Fort et al. 2020](https://arxiv.org/abs/2010.15110)). It does not depend on the size of the kernel.
#   **kernel_norm_ratio** is $\|K_t\|/\|K_0\|$, and **kernel_drift** is $\|K_t-K_0\|/\|K_0\|$, which sees both.
# * **kernel_velocity**: the angle between the kernels of this look and the last one, per step.
# * **alignment**: how similar the centred kernel is to that of the targets, at most 1. Where features are learnt it often rises;
#   here it hardly changes.
# * **effective_rank**: how many eigenvalues of the kernel matter, $(\mathrm{tr}\,K)^2/\mathrm{tr}\,K^2$.
# * **lambda_max**: the sharpness, the largest eigenvalue of $H^{1/2}K_tH^{1/2}$, where $H$ is the curvature of the loss.
#   With `watch.look(step, learning_rate, momentum=...)` of plain SGD there is also **critical_fraction**, which is 1 at the
#   edge of stability (notebook 05). Adam has no such edge, so the column is empty.
# * **gate_flips**: share of ReLU gates that are no longer as at the start.
# * **feature_change**: relative change of the outputs of the hidden layers; `watch.features` has it by layer.
# * **buffer_effect**: what the running statistics of batch normalization changed by themselves, as a share of the change of
#   the outputs. All other columns leave this out and judge the weights.
# * **probe_loss**: the loss per probe.
#
# The kernel distance alone would not show that features are learnt. The kernel has grown many times over, but its direction
# has changed by little, because a large part of it is common to all probes. Read the norm ratio beside the distance.
#
# ## By hand
#
# The nonlinearity needs no Jacobian, only one derivative in one direction, a `jvp` at the start. With the tools of
# PyTorch, on the network after training:

# %%
names = [name for name, _ in network.named_parameters()]
buffers = dict(network.named_buffers())  # today's, for both ends
first, last = ({name: module.get_parameter(name).detach() for name in names} for module in (start, network))


def outputs(parameters):
    """f on the probes, (64, 5)."""
    return functional_call(network.eval(), {**parameters, **buffers}, (low[2],))


before, along = jvp(outputs, (first,), ({name: last[name] - first[name] for name in names},))
change = outputs(last) - before
by_hand = ((change - along).norm() / change.norm()).item()
measured = watch.table["nonlinearity"].iloc[-1]
print(f"nonlinearity by hand {by_hand:.4f}, by the watch {measured:.4f}")
assert abs(by_hand - measured) < 1e-9

# %% [markdown]
# ## Fine-tuning
#
# Is fine-tuning lazier than training from scratch? The network that knows 0 to 4 gets a new last layer and learns 5 to 9.
# A watch belongs to the weights at which it was made, so fine-tuning gets a new one. Beside it, a fresh network learns the
# same digits in the same number of steps. We do both several times, with other initial weights of the fresh network and of
# the new layer.
#
# **Your prediction:** sketch the nonlinearity from the start for both. Does fine-tuning stay below 0.1, where a path counts as
# lazy? Are the features of the first five digits good enough for the others, or do the weights have to move as far?


# %%
def with_new_head(module, seed=0):
    """A copy of a trained network with a fresh last layer."""
    tuned = copy.deepcopy(module)
    torch.manual_seed(7 + seed)
    tuned[-1] = nn.Linear(32 * CHANNELS, 5).double()
    return tuned


trainings = {
    "from scratch": [convolutional(seed=2 + seed) for seed in range(SEEDS)],
    "fine-tuning": [with_new_head(network, seed) for seed in range(SEEDS)],
}
watches = {name: [train(module, high) for module in modules] for name, modules in trainings.items()}

figure, axes = style.panels(2, size=(4.4, 3.3))
columns = {"nonlinearity": "nonlinearity of the path", "relative_weight_motion": "relative weight motion"}
for ax, (column, label) in zip(axes[0], columns.items(), strict=True):
    for (name, each), color, dash in zip(watches.items(), style.QUANTITIES, ("-", "--"), strict=False):
        steps, paths = each[0].table["step"], np.stack([one.table[column] for one in each])
        curves.faint(ax, steps, paths, color=color)
        ax.plot(steps, paths.mean(0), dash, marker="o", color=color, label=name)
    ax.set(xlabel="step", ylabel=label, ylim=(0, None))
curves.reference(axes[0, 0], 0.1, "lazy: nonlinearity below", horizontal=True)
axes[0, 1].legend()
style.headline(figure, "The same digits, learnt from scratch and by fine-tuning")
figure

# %%
for name, modules in trainings.items():
    right = np.mean([accuracy(module, high) for module in modules])
    print(f"{name}: {right:.0%} right. The first of {SEEDS}: {watches[name][0].verdict()}")
last = {name: pd.concat([one.table.iloc[[-1]] for one in each]) for name, each in watches.items()}
shown(pd.concat([rows.mean().to_frame().T.assign(step=name) for name, rows in last.items()]))

# %% [markdown]
# **What to see.** Faint curves are single trainings, the table has means. Fine-tuning reaches about the same accuracy on a path
# that is nearer to a straight one, in all three pairs: the features of the first five digits serve the others as well, so
# the weights move less and the kernel grows less. But it is not lazy either. Its nonlinearity passes 0.1 early, and at the
# end the linear model misses a good part of what the network has learnt.
#
# ## Without a loop of your own
#
# Two checkpoints are enough. `lab.diagnose` compares them on the probes:

# %%
found = lab.diagnose(start, network, low[2], low[3], loss="cross_entropy")
print(found.verdict())

# %% [markdown]
# For state dicts in files there is a command,
# `lazylab diagnose package.module:factory start.pt now.pt --probe data.npz --loss cross_entropy`. In a training of Lightning
# or Hugging Face, pass a callback (`pip install 'lazylab[lightning]'`, or `transformers`):
#
# ```python
# from lab.watch.lightning import WatchCallback  # or lab.watch.transformers
#
# watching = WatchCallback(probes, probe_labels, loss="cross_entropy", every_n_steps=50)
# Trainer(callbacks=[watching]).fit(model, loader)
# print(watching.watch.verdict())
# ```
#
# `lab.watch.tensorboard.add_look(writer, watch)` draws the looks in TensorBoard, and `watch.save(path)` writes all of it to
# one file, from which `lab.Watch.load(path, module)` goes on.
#
# Some advice for real networks:
#
# * 32 to 256 probes are enough. Probes times outputs above 512 are projected to fewer outputs by a fixed random matrix
#   (`watch.projection` says so), and then the sharpness is left out. Here they are 64 · 5 = 320.
# * Look seldom: a look costs as much as some dozens of training steps. `watch.share_of_time` is the share that it took.
# * Freeze what stays frozen before you make the watch: only parameters that require gradients are judged.
# * A module that returns a tuple or an object needs a function, such as `outputs=lambda result: result.logits`.
#
# ## Exercises
#
# **1.** Fine-tune the last layer alone. What is the nonlinearity, and why? Is the accuracy worse?
#
# <details><summary>Solution</summary>
#
# ```python
# module = with_new_head(network)
# module[:-1].requires_grad_(False)
# probed = train(module, high, learning_rate=1e-2)
# row = probed.table.iloc[-1]
# print(f"{accuracy(module, high):.0%} right, nonlinearity below 1e-6: {row['nonlinearity'] < 1e-6}, "
#       f"relative weight motion {row['relative_weight_motion']:.1f}, regime: {probed.regime}")
# ```
#
# The outputs are a linear function of the last layer's weights, so the nonlinearity is a rounding error, however far the
# weights move. Lazy means linear, not small. (Batch normalization's running statistics still change in training mode. The
# watch reports them apart, as `buffer_effect`.) The features of the other digits are good enough for most images.
#
# </details>
#
# **2.** In the first figure the nonlinearity since the last look becomes small. Is the *rest* of training lazy, seen from
# the middle? Train for half of the steps, then make a new watch.
#
# <details><summary>Solution</summary>
#
# ```python
# module = copy.deepcopy(start)
# early = train(module, low, steps=STEPS // 2)
# late = train(module, low, steps=STEPS // 2)  # with a new watch, from where the first half ended
# for name, each in (("first half", early), ("second half", late)):
#     row = each.table.iloc[-1]
#     print(f"{name}: nonlinearity {row['nonlinearity']:.2f}, kernel distance {row['kernel_distance']:.3f}")
# ```
#
# The second half is far more linear than the first. The network chooses its features early and then fits a nearly fixed
# linear model, whose kernel is not that of the initialization. (Fort et al. 2020 found this for large networks.)
#
# </details>
#
# **3.** Make the network lazy without making it wider: train $\alpha\,(f(\theta)-f(\theta_0))$ with a large $\alpha$ and a learning
# rate of $10^{-3}/\alpha$ ([Chizat, Oyallon and Bach 2019](https://arxiv.org/abs/1812.07956)).
#
# <details><summary>Solution</summary>
#
# ```python
# class Scaled(nn.Module):
#     def __init__(self, module, alpha):
#         super().__init__()
#         self.module, self.alpha = module, alpha
#         self.origin = copy.deepcopy(module).eval().requires_grad_(False)
#
#     def forward(self, inputs):
#         return self.alpha * (self.module(inputs) - self.origin(inputs))
#
#     def train(self, mode=True):  # batch normalization and dropout would be no part of f(θ) − f(θ₀)
#         return super().train(False)
#
# for alpha in (1, 30, 1000):
#     scaled = Scaled(convolutional(), alpha)
#     each = train(scaled, low, learning_rate=1e-3 / alpha)
#     row = each.table.iloc[-1]
#     print(f"α = {alpha}: {accuracy(scaled, low):.0%} right, nonlinearity {row['nonlinearity']:.3f}, regime: {each.regime}")
# ```
#
# With a large $\alpha$ a tiny motion of the weights is enough to fit the targets, and along a tiny motion the network is
# linear. The accuracy on these easy images does not suffer.
#
# </details>
