"""The learners by name, and what they cost. Pure arithmetic: no torch here.

The network is that of Allen-Zhu, Li, Song 2019 in float32, centred at initialization; W, A and B are trained by heavy
ball with momentum β and η = 2c(1 + β)/λ_max(K₀). Stopping times are in kernel time τ = c·steps·(1 + β)/(1 − β), and the
last one is 32 times the first. The linearization of that very network and the infinitely wide network (closed-form
tangent kernel of W, A and B) follow the same descent at c = 0.25. Ridge regression has the penalties λ_max·10⁰ …
λ_max·10⁻⁷, on three kernels: that of the infinitely wide network, that of the network's last states at initialization
(B alone is trained), and that of the inputs with a constant. Of neighbours there are 1, 3, …, 15.

With another loss than the squared one, λ_max of a descent is that of H₀^½K₀H₀^½ (`lab.Descent`). Ridge regression is
least squares whatever the loss.

References
----------
Chizat, Oyallon, Bach, "On Lazy Training in Differentiable Programming", NeurIPS 2019: a small output scale α leaves the
lazy regime.
"""

from __future__ import annotations

from lab.costs import Cost, eigenvectors, kernel_recursion, tangent_kernel, training_step
from lab.errors import check_choice

CANDIDATES = 8  #: of every learner
SMALL_STEP, LARGE_STEP = 0.25, 2.0  #: critical fractions c, below and beyond the edge of the linear model
ALPHAS = (0.3, 0.1)  #: of "network_small_scale", with half of the stopping times each

#: What each learner is, in a few words.
LABELS = {
    "network": f"network, c = {SMALL_STEP:g}",
    "network_large_step": f"network, c = {LARGE_STEP:g}",
    "network_small_scale": "network, small α",
    "linearized": "its linearization",
    "kernel": "infinite width, stopped",
    "kernel_ridge": "infinite width, ridge",
    "features": "random features (B alone)",
    "ridge": "linear ridge",
    "neighbours": "nearest neighbours",
}
NETWORKS = ("network", "network_large_step", "network_small_scale")  #: those that train all weights, beyond any kernel

_ITEM = 4  # bytes of a float32
_PAIR = 100.0  # flops for two time steps of the closed-form kernel


def learnt(samples: int) -> int:
    """How many of n training samples are learnt: three quarters, rounded down. The others are for validation."""
    return samples * 3 // 4


def columns(classes: int, loss: str = "squared") -> int:
    """Outputs of a learner of so many classes: one for two classes, unless it is trained with cross-entropy."""
    return 1 if classes == 2 and loss != "cross_entropy" else classes


def learning_cost(
    name: str,
    *,
    samples: int,
    test: int,
    classes: int,
    length: int,
    width: int,
    kernel_time: float,
    momentum: float,
    loss: str = "squared",
) -> Cost:
    """Cost of all candidates of a learner: flops of its descents and kernels, bytes of weights and kernels.

    Parameters
    ----------
    name
        One of `LABELS`.
    samples, test, classes, length
        Training samples n, validation included, test samples, classes, time steps.
    width, kernel_time, momentum, loss
        m, the last stopping time τ, β, and the name of the loss.

    Raises
    ------
    LabError
        Another name.
    """
    check_choice("name", name, LABELS)
    outputs, fit, both = columns(classes, loss), learnt(samples), samples + test
    step = LARGE_STEP if name == "network_large_step" else SMALL_STEP
    steps = kernel_time / ((1 + momentum) / (1 - momentum)) / step
    if name in NETWORKS:
        descents = len(ALPHAS) if name == "network_small_scale" else 1
        work = descents * steps * training_step(fit, length, width)
        held = 4 * width**2 + 2 * fit * length * width
        return (work + tangent_kernel(fit, fit, outputs, length, width)).holding(_ITEM * held)
    recursive = loss != "squared" and name in ("linearized", "kernel")
    if name == "linearized":
        work = tangent_kernel(fit, both, outputs, length, width) + eigenvectors(fit * outputs)
        work += steps * recursive * kernel_recursion(fit * outputs)
        return work.holding(_ITEM * (width**2 + 2 * both * outputs * length * width))
    pairs = fit * both
    solved = eigenvectors(fit) + steps * recursive * outputs * kernel_recursion(fit)
    return solved + Cost(_PAIR * pairs * length, 8.0 * pairs * (length + 10), operations=1e5)
