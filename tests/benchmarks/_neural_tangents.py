"""neural-tangents' three implementations, compiled ahead of time, on the recurrence as a scan or as a Python loop."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.interpreters import ad

# structured derivatives look for these two under names that newer versions of JAX have taken away
ad.config = jax.config
ad.source_info_util = __import__("jax._src.source_info_util", fromlist=["_"])

import neural_tangents as nt  # noqa: E402


def scan(problem, readout):
    """The network as a function of W and inputs, its recurrence a `lax.scan`."""

    def outputs(W, inputs):
        def step(state, x):
            state = jax.nn.relu(state @ W.T + x @ problem["A"].T)
            return state, state @ problem["B"].T if readout == "all" else None

        start = jnp.zeros((len(inputs), len(W)), inputs.dtype)
        last, each = lax.scan(step, start, jnp.swapaxes(inputs, 0, 1))
        return last @ problem["B"].T if readout == "last" else jnp.swapaxes(each[1:], 0, 1).reshape(len(inputs), -1)

    return outputs


def loop(problem, readout):
    """The same, unrolled."""

    def outputs(W, inputs):
        state, each = jax.nn.relu(inputs[:, 0] @ problem["A"].T), []
        for t in range(1, inputs.shape[1]):
            state = jax.nn.relu(state @ W.T + inputs[:, t] @ problem["A"].T)
            each.append(state @ problem["B"].T)
        return jnp.concatenate(each if readout == "all" else each[-1:], axis=1)

    return outputs


def prepare(spec, limit):
    """The compiled kernel; methods are called like ``scan jacobian_contraction``.

    XLA reserves more than it uses, so the watchdog alone limits its memory and ``limit`` is not called.
    """
    arrays = {name: jnp.asarray(value) for name, value in np.load(spec["problem"]).items()}
    recurrence, method = spec["method"].split()
    network = {"scan": scan, "loop": loop}[recurrence](arrays, spec["readout"])
    implementation = nt.NtkImplementation[method.upper()]
    kernel = nt.empirical_ntk_fn(network, trace_axes=(), vmap_axes=0, implementation=implementation)
    compiled = jax.jit(lambda inputs, W: kernel(inputs, None, W)).lower(arrays["x"], arrays["W"]).compile()
    return {"kernel": lambda: compiled(arrays["x"], arrays["W"]).block_until_ready()}


def save(path, kernel):
    """Write a kernel (n, o, n, o); neural-tangents has (n, n, o, o)."""
    np.save(path, np.asarray(kernel).transpose(0, 2, 1, 3))
