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
# # The tangent kernel
#
# At the end you can
#
# * compute the neural tangent kernel of a recurrent network from its definition, and see why that is slow;
# * compute it from two small Gram matrices, the way of this lab, and check that the two agree;
# * name the classic mistake, and say how wrong it is.
#
# Terms of this project stand in the [glossary](../README.md#glossary).

# %%
import time

import numpy as np
import torch

import lab
from lab.figures import notebook, style

notebook.begin()

# %% tags=["parameters"]
WIDTH = 512

# %% [markdown]
# ## The slow way: from the definition
#
# The *Jacobian* $J$ has one row for each output $f(x_i)$ and one column for each weight; the *tangent kernel* is
# $K=JJ^\top$ ([Jacot, Gabriel and Hongler 2018](https://arxiv.org/abs/1806.07572)). `torch.func` computes $J$ by
# automatic differentiation, for any network.

# %%
task = lab.tasks.separable(samples=16, length=8)
X = task.train_inputs
network = lab.ElmanRNN.like(task, WIDTH, readout="mean")  # f = B (h₁ + … + h_L)/L


def slow_kernel(network, X):
    weights = {"W": network.W.detach()}

    def output(weights, x):
        return torch.func.functional_call(network, weights, (x[None],))[0]

    jacobian = torch.func.vmap(torch.func.jacrev(output), (None, 0))(weights, X)["W"]  # (n, 1, m, m)
    rows = jacobian.flatten(1)
    return rows @ rows.T


slow = slow_kernel(network, X)
print(f"J has {len(X)} × {network.W.numel():,} entries: {8 * len(X) * network.W.numel() / 1e6:.0f} MB.")

# %% [markdown]
# ## The factored way
#
# With $g_t=Wh_{t-1}+Ax_t$, $h_t=\varphi(g_t)$ and the *deltas* $\delta_t=\partial f/\partial g_t$, the chain rule gives
#
# $$\frac{\partial f}{\partial W}=\sum_t\delta_t\,h_{t-1}^\top
# \qquad\Longrightarrow\qquad
# K(x,x')=\sum_{t,s}\langle\delta_t,\delta'_s\rangle\,\langle h_{t-1},h'_{s-1}\rangle .$$
#
# Each of the two inner products is a small Gram matrix over all samples and time steps. No array with $m^2$ columns is
# formed.

# %%


def states_and_deltas(network, X):
    unrolled = network.unroll(X)
    states, gains, W = unrolled.states, unrolled.gains.to(X), network.W.detach()
    read = network.B.detach() / len(states)  # every state is read, with the same share
    deltas = torch.zeros_like(states)
    deltas[-1] = gains[-1] * read
    for t in range(len(states) - 2, -1, -1):
        deltas[t] = gains[t] * (deltas[t + 1] @ W + read)
    return states[:-1], deltas[1:]  # h_1 … h_(L−1) and δ_2 … δ_L; the first step adds nothing, because h_0 = 0


states, deltas = states_and_deltas(network, X)
gram_of_states = torch.einsum("tim,sjm->tisj", states, states)
gram_of_deltas = torch.einsum("tim,sjm->tisj", deltas, deltas)
factored = torch.einsum("tisj,tisj->ij", gram_of_states, gram_of_deltas)
torch.testing.assert_close(factored, slow, rtol=1e-10, atol=1e-10)

# %% [markdown]
# The two kernels agree to ten digits. In the lab this is one call; it takes the cheaper of two ways to add up the products.

# %% tags=["varies"]


def seconds(work, repeats=5):
    """Median time of a call."""
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return float(np.median(times))


ours = network.jacobian(X).gram()[:, 0, :, 0]
torch.testing.assert_close(ours, slow, rtol=1e-10, atol=1e-10)
ratio = seconds(lambda: slow_kernel(network, X)) / seconds(lambda: network.jacobian(X).gram())
print(f"At width {network.width} the slow way takes {ratio:.0f} times as long on this machine.")

# %% [markdown]
# ## The classic mistake
#
# $W$ is the same matrix at every time step, so its gradient is a *sum* over time, and the square of a sum has cross
# terms. A common mistake is to keep only $t=s$, as if every step had a matrix of its own. For each pair of samples that keeps
# 7 of 49 terms.
#
# **Your prediction:** which share of the trace is lost: almost nothing, half, or six sevenths? Do entries of two different
# samples lose more than those on the diagonal, or less? Would a check of symmetry and of the eigenvalues' signs find the
# mistake?

# %%
wrong = torch.einsum("titj,titj->ij", gram_of_states, gram_of_deltas)
figure, axes = style.panels(3, size=(3.4, 3.4))
top = float(slow.abs().max())
for ax, (name, kernel) in zip(
    axes[0], {"right": slow, "without t ≠ s": wrong, "what is missing": slow - wrong}.items(), strict=True
):
    image = ax.imshow(kernel.numpy(), cmap="RdBu_r", vmin=-top, vmax=top)
    ax.set(title=name, xlabel="sample", ylabel="sample" if name == "right" else "")
    ax.grid(visible=False)
figure.colorbar(image, ax=axes[0], shrink=0.8, label="K(x, x')")
figure

# %%
error = float(torch.linalg.norm(wrong - slow) / torch.linalg.norm(slow))
lost, smallest = 1 - float(wrong.trace() / slow.trace()), float(torch.linalg.eigvalsh(wrong)[0])
print(f"Without the terms t ≠ s the kernel is wrong by {100 * error:.0f} % (relative, Frobenius norm),")
print(f"and {100 * lost:.0f} % of its trace is missing. Its smallest eigenvalue is {smallest:.0f}.")

# %% [markdown]
# **What to see.** About half of the trace is lost, and most of the entries away from the diagonal. No error is raised: the
# wrong kernel is symmetric and positive definite, as the right one is. Only a comparison with the definition reveals the
# mistake.
#
# Why are the cross terms so large? A term with $t\neq s$ is large if both the states and the deltas are correlated in time.
# Inputs of different time steps are independent here, and the weights are random.
#
# **Your prediction:** sketch the correlation of $h_1$ with $h_2,\dots,h_7$, averaged over samples. Does it start near 1 and
# fall to 0, or is it the same for all, and how large? (States are outputs of ReLU. For independent standard normal $u$ and
# $v$, what is $\mathbb E[\varphi(u)\varphi(v)]$ over $\mathbb E[\varphi(u)^2]$?)

# %%


def correlation(values):
    """Of the vectors (T, n, m) between time steps, averaged over samples: (T, T)."""
    size = torch.einsum("tim,tim->t", values, values).sqrt()
    return torch.einsum("tim,sim->ts", values, values) / size.outer(size)


correlations = {"states ⟨h_t, h_s⟩": correlation(states), "deltas ⟨δ_t, δ_s⟩": correlation(deltas)}
figure, axes = style.panels(2, size=(3.6, 3.4))
for first, ax, (title, matrix) in zip((1, 2), axes[0], correlations.items(), strict=True):
    ends = first - 0.5, first + len(matrix) - 0.5
    image = ax.imshow(matrix.numpy(), cmap="RdBu_r", vmin=-1, vmax=1, extent=(*ends, *ends[::-1]))
    ax.set(title=title, xlabel="time step s", ylabel="time step t")
    ax.grid(visible=False)
figure.colorbar(image, ax=axes[0], shrink=0.8, label="correlation")
figure

# %%
for name, matrix in correlations.items():
    off_diagonal = matrix[~torch.eye(len(matrix), dtype=torch.bool)]
    print(f"{name}: {float(off_diagonal.mean()):.2f} on average off the diagonal")
first = correlations["states ⟨h_t, h_s⟩"][0, 1:]
print(f"h_1 with later states: from {float(first.min()):.2f} to {float(first.max()):.2f}")

# %% [markdown]
# **What to see.** The correlation of $h_1$ with all later states is near $1/\pi\approx0.32$, the ratio of $1/(2\pi)$ to $1/2$:
# no state has negative entries, so that even independent ones are not orthogonal. $W$ passes the common part on, and
# states of later times are more alike, whatever their distance. Deltas are similar as well, because every state is read
# through the same $B$. These correlations remain in wide networks. If only the *last* state is read, deltas of different
# times are nearly orthogonal in wide networks, and the mistake is smaller; exercise 2 measures it.

# %% [markdown]
# ## Exercises
#
# **1.** The kernel decides how fast gradient descent learns: the residual's component along an eigenvector with
# eigenvalue $\lambda$ shrinks by $(1-\eta\lambda)$ in every step. Compute the critical learning rate and check it.
#
# <details><summary>Solution</summary>
#
# ```python
# critical = 2 / torch.linalg.eigvalsh(slow)[-1].item()
# for factor in (0.95, 1.05):
#     result = lab.side_by_side(network, task, lab.Descent(2000, learning_rate=factor * critical))
#     print(factor, result.linearized.diverged_at, result.linearized.loss[-1])
# ```
#
# Below it the linearized network converges, above it its loss grows without bound.
#
# </details>
#
# **2.** How does the error of the mistake depend on the width, here and if only the last time step is read?
#
# <details><summary>Solution</summary>
#
# ```python
# for width in (64, 256, 1024):
#     net = lab.ElmanRNN.like(task, width, readout="mean")
#     h, d = states_and_deltas(net, X)
#     right = net.jacobian(X).gram()[:, 0, :, 0]
#     diagonal = torch.einsum("tim,tjm,tin,tjn->ij", h, h, d, d)
#     print(width, float(torch.linalg.norm(right - diagonal) / torch.linalg.norm(right)))
# ```
#
# It does not depend on the width. For the last step, write `deltas[-1] = gains[-1] * network.B.detach()`, remove `+ read`
# in `states_and_deltas`, and use `lab.ElmanRNN.like(task, width)`: there the error falls about as $m^{-1/2}$. Such a
# mistake is easily overlooked, because many other errors fall with the width, too.
#
# </details>
#
# **3.** Which matrix carries the kernel? Train $A$ and $B$ too, and compare the traces of the three parts.
#
# <details><summary>Solution</summary>
#
# ```python
# for name in "WAB":
#     part = lab.ElmanRNN.like(task, 256, trained=(name,)).jacobian(X).gram()
#     print(name, float(part[:, 0, :, 0].trace()))
# ```
#
# In the paper's initialization $W$ has the largest share and $B$ almost none. `lazylab run frozen_layers` shows what
# that means for training.
#
# </details>
