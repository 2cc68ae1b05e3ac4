"""The modules of `modules` in JAX, on the same weights, and their kernels by neural-tangents, compiled ahead of time.

Parameters keep the names and shapes that torch gives them. Recurrences are a `lax.scan` or unrolled.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from tests.benchmarks._neural_tangents import nt, save  # noqa: F401  `_worker` calls save

HEADS, EPSILON = 4, 1e-5


def linear(point, name, inputs):
    """What `nn.Linear` of this name does."""
    return inputs @ point[f"{name}.weight"].T + point[f"{name}.bias"]


def unrolled(step, start, inputs):
    """`lax.scan` as a Python loop."""
    state, each = start, []
    for x in inputs:
        state, output = step(state, x)
        each.append(output)
    return state, jnp.stack(each)


def gru_step(state, projected, weight, bias):
    """Reset, update, new."""
    hidden = state @ weight.T + bias
    (xr, xz, xn), (hr, hz, hn) = jnp.split(projected, 3, -1), jnp.split(hidden, 3, -1)
    update = jax.nn.sigmoid(xz + hz)
    new = (1 - update) * jnp.tanh(xn + jax.nn.sigmoid(xr + hr) * hn) + update * state
    return new, new


def lstm_step(states, projected, weight, bias):
    """Input, forget, cell, output."""
    hidden, cell = states
    i, f, g, o = jnp.split(projected + hidden @ weight.T + bias, 4, -1)
    cell = jax.nn.sigmoid(f) * cell + jax.nn.sigmoid(i) * jnp.tanh(g)
    hidden = jax.nn.sigmoid(o) * jnp.tanh(cell)
    return (hidden, cell), hidden


def recurrent(step, states, scan):
    """`Last` around an `nn.GRU` or `nn.LSTM` of any number of layers and directions."""

    def direction(point, suffix, inputs):
        input_weight, weight, input_bias, bias = (
            point[f"core.{name}_{suffix}"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        zeros = jnp.zeros((inputs.shape[1], weight.shape[1]), inputs.dtype)
        start = (zeros, zeros) if states == 2 else zeros
        return scan(lambda state, x: step(state, x, weight, bias), start, inputs @ input_weight.T + input_bias)[1]

    def outputs(point, inputs):
        each, layer = jnp.swapaxes(inputs, 0, 1), 0
        while f"core.weight_ih_l{layer}" in point:
            both = [direction(point, f"l{layer}", each)]
            if f"core.weight_ih_l{layer}_reverse" in point:
                both.append(direction(point, f"l{layer}_reverse", each[::-1])[::-1])
            each, layer = jnp.concatenate(both, -1), layer + 1
        return linear(point, "head", each[-1])

    return outputs


def perceptron(point, inputs):
    """Linear layers 0, 2, 4 and 6 with ReLU between them."""
    for layer in (0, 2, 4):
        inputs = jax.nn.relu(linear(point, layer, inputs))
    return linear(point, 6, inputs)


def convolutional(point, inputs):
    """Two convolutions with ReLU, the average over the image, a linear readout."""
    for layer in (0, 2):
        inputs = lax.conv_general_dilated(inputs, point[f"{layer}.weight"], (1, 1), "SAME")
        inputs = jax.nn.relu(inputs + point[f"{layer}.bias"][None, :, None, None])
    return linear(point, 6, inputs.mean((2, 3)))


def attention(point, name, inputs):
    """Self-attention of `nn.MultiheadAttention`."""
    n, length, size = inputs.shape
    projected = inputs @ point[f"{name}.in_proj_weight"].T + point[f"{name}.in_proj_bias"]
    query, key, value = (jnp.swapaxes(part.reshape(n, length, HEADS, -1), 1, 2) for part in jnp.split(projected, 3, -1))
    scores = query @ jnp.swapaxes(key, 2, 3) / np.sqrt(size // HEADS).astype(np.float32)
    mixed = jnp.swapaxes(jax.nn.softmax(scores) @ value, 1, 2).reshape(n, length, size)
    return linear(point, f"{name}.out_proj", mixed)


def normalized(point, name, inputs):
    """`nn.LayerNorm` over features."""
    centred = inputs - inputs.mean(-1, keepdims=True)
    deviation = jnp.sqrt((centred**2).mean(-1, keepdims=True) + EPSILON)
    return centred / deviation * point[f"{name}.weight"] + point[f"{name}.bias"]


def transformer(point, inputs):
    """A linear embedding, two encoder layers that normalize after adding, a linear readout of all positions."""
    inputs = linear(point, 0, inputs)
    for layer in ("1.layers.0", "1.layers.1"):
        inputs = normalized(point, f"{layer}.norm1", inputs + attention(point, f"{layer}.self_attn", inputs))
        hidden = jax.nn.relu(linear(point, f"{layer}.linear1", inputs))
        inputs = normalized(point, f"{layer}.norm2", inputs + linear(point, f"{layer}.linear2", hidden))
    return linear(point, 3, inputs.reshape(len(inputs), -1))


def network(kind, recurrence):
    """The function of weights and inputs."""
    scan = {"scan": lax.scan, "loop": unrolled}.get(recurrence)
    modules = {"mlp": perceptron, "cnn": convolutional, "transformer": transformer}
    modules |= {"gru": recurrent(gru_step, 1, scan), "lstm": recurrent(lstm_step, 2, scan)}
    return modules[kind]


def prepare(spec, limit):
    """The compiled kernel; XLA reserves more than it uses, so ``limit`` is not called."""
    arrays = {name: jnp.asarray(value) for name, value in np.load(spec["problem"]).items()}
    inputs = arrays.pop("inputs")
    implementation = nt.NtkImplementation[spec["method"].upper()]
    function = network(spec["kind"], spec["recurrence"])
    kernel = nt.empirical_ntk_fn(function, trace_axes=(), vmap_axes=0, implementation=implementation)
    compiled = jax.jit(lambda inputs, point: kernel(inputs, None, point)).lower(inputs, arrays).compile()
    return {"kernel": lambda: compiled(inputs, arrays).block_until_ready()}
