"""A training step of the Elman network in JAX: a scan, gradient and update compiled into one function."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


def prepare(spec, limit):
    """The compiled step, which writes the next W where the last one was."""
    problem = {name: jnp.asarray(value) for name, value in np.load(spec["problem"]).items()}
    steps = jnp.swapaxes(problem["X"], 0, 1)

    def loss(W):
        def advance(state, x):
            return jax.nn.relu(state @ W.T + x @ problem["A"].T), None

        last, _ = lax.scan(advance, jnp.zeros((steps.shape[1], len(W)), W.dtype), steps)
        return 0.5 * jnp.sum((last @ problem["B"].T - problem["y"]) ** 2)

    @functools.partial(jax.jit, donate_argnums=0)
    def descend(W):
        return W - spec["rate"] * jax.grad(loss)(W)

    weights = {"W": problem["W"]}

    def steps_in_a_row():
        for _ in range(spec["repeats"]):
            weights["W"] = descend(weights["W"]).block_until_ready()
        return weights["W"]

    steps_in_a_row()
    return {"steps": steps_in_a_row}


def save(path, weights):
    """Write W."""
    np.save(path, np.asarray(weights))
