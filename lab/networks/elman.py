"""The Elman network of the paper, with every choice that the comparisons vary."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from functools import lru_cache
from typing import Any, Self

import torch
from torch import Tensor

from lab.activations import activation as find_activation
from lab.arrays import as_tensor
from lab.errors import check_choice, check_integer, check_seed, first_line, refuse
from lab.jacobians.factored import FactoredJacobian, Unrolled
from lab.jacobians.jacobian import Jacobian, version_of
from lab.jacobians.recurrent_expansion import RecurrentExpansion
from lab.jacobians.workspace import Workspace
from lab.networks.network import Evaluator, SteppingEvaluator, chosen
from lab.networks.parametrization import Parametrization
from lab.networks.parametrization import parametrization as find_parametrization
from lab.networks.passes import GeneralPasses, PlainPasses
from lab.networks.start import Remembered
from lab.networks.weights import draw_rows, fill, initial_pieces
from lab.tasks.task import Task, as_task

READOUTS: dict[str, Callable[[int], Tensor]] = {
    "last": lambda length: torch.eye(length, dtype=torch.float64, device="cpu")[-1:],
    "all": lambda length: torch.eye(length, dtype=torch.float64, device="cpu")[1:],
    # 1/L in float32 is off by 1e-8
    "mean": lambda length: torch.full((1, length), 1 / length, dtype=torch.float64, device="cpu"),
}


class ElmanRNN(torch.nn.Module):
    """g_t = c_W W h_{t-1} + c_A A x_t + c_b b, h_t = φ(g_t), h_0 = 0, read out by c_B B.

    Parameters
    ----------
    width, inputs, outputs
        m hidden units, p features per time step, q outputs per observed step.
    readout
        "last": f = B h_L, shape (n, q). "all": f_t = B h_t for t = 2…L, shape (n, L−1, q); step 1 cannot depend on W.
        "mean": f = B (h_1 + … + h_L)/L, shape (n, q).
    activation
        "relu", "erf", "tanh" or "softplus", as torch defines them.
    trained
        Which of W, A, B (and the bias b, where σ_b > 0) gradient descent moves; at least one.
    parametrization
        "paper": W, A ~ N(0, 2/m), B ~ N(0, 1/q), no multipliers. Made for ReLU: pre-activations are of order 1/√m, so
        erf and tanh become linear as the network widens; softplus is refused, since its states φ(0) = log 2 would blow
        up. "ntk": entries N(0, 1) with σ_w/√m, σ_u/√p, σ_v/√m in front (√2, √2, 1); the one to use when activations
        are compared. "mean_field": "ntk" with 2/m in front of B, where features move by O(1) at every width if the
        learning rate is in units of the critical one. Or a `Parametrization` of your own.
    seed
        One seed is one network: the same float64 draws whatever dtype, device, trained set or number of threads.
    dtype, device
        Of the weights; inputs are cast to them.
    centred
        Outputs are f(θ) − f(θ₀), θ₀ being the weights of the seed, so that training begins at 0 and not at a random f₀,
        whose RMS in the paper's parametrization is √L for inputs of unit norm, against targets of size 1. It is
        `lab.Scaled` with α = 1 without a second copy of the weights: f₀ is remembered for each set of inputs, and
        computed by weights drawn again (for that moment alone) where the present ones have moved. None stands for True
        in "mean_field" and for False elsewhere.

    Attributes
    ----------
    W, A, B
        Parameters of shapes (m, m), (m, p), (q, m); ``b`` is (m,) or None. Only the trained ones require gradients.

    Raises
    ------
    LabError
        A size below 1, an unknown name, an empty or unknown trained set, softplus in the paper's parametrization.

    References
    ----------
    Allen-Zhu, Li, Song, "On the Convergence Rate of Training Recurrent Neural Networks", NeurIPS 2019, section 2.
    Alemohammad et al., "The Recurrent Neural Tangent Kernel", ICLR 2021, section 2 (the "ntk" parametrization).

    Examples
    --------
    >>> network = ElmanRNN(64, inputs=9, seed=1)
    >>> tuple(network(torch.ones(5, 8, 9)).shape)
    (5, 1)
    """

    W: torch.nn.Parameter
    A: torch.nn.Parameter
    B: torch.nn.Parameter
    b: torch.nn.Parameter | None

    def __init__(
        self,
        width: int,
        inputs: int,
        outputs: int = 1,
        *,
        readout: str = "last",
        activation: str = "relu",
        trained: Collection[str] = ("W",),
        parametrization: str | Parametrization = "paper",
        seed: int = 0,
        dtype: torch.dtype = torch.float64,
        device: str | torch.device = "cpu",
        centred: bool | None = None,
    ) -> None:
        super().__init__()
        for name, size in (("width", width), ("inputs", inputs), ("outputs", outputs)):
            check_integer(name, size, 1)
        check_seed("seed", seed)
        _check_place(dtype, device)
        check_choice("readout", readout, READOUTS)
        self.readout, self.seed, self._starts = readout, seed, Remembered[Tensor]()
        self.activation = find_activation(activation)
        self.parametrization = _check_pair(find_parametrization(parametrization), activation)
        self.centred = self.parametrization.style == "mean_field" if centred is None else bool(centred)
        self.scales = self.parametrization.scales(width, inputs, outputs)
        self.multipliers = {name: scale.multiplier for name, scale in self.scales.items()}
        self._trained = _check_trained(trained, self.scales)
        shapes = {"W": (width, width), "A": (width, inputs), "B": (outputs, width), "b": (width,)}
        for name, shape in shapes.items():
            self.register_parameter(name, self._initial(name, shape, dtype, device) if name in self.scales else None)
        self._drawn = {name: self._state(name) for name in self.scales}

    @classmethod
    def like(cls, task: Task | tuple[Any, Any], width: int, **settings: Any) -> Self:
        """A network of this width that fits the task: features, outputs and readout come from it.

        A pair (X, y) will do for a task. Targets (n, q) mean the last step, targets (n, L−1, q) all steps. ``settings``
        go to the constructor and win, such as ``outputs=3`` for three classes given by indices.
        """
        task = as_task(task)
        inputs, targets = task.train_inputs, task.train_targets
        if inputs.ndim != 3:
            fix = "for one feature per step use inputs[:, :, None]"
            refuse("task", f"inputs of shape {tuple(inputs.shape)}", "(samples, length, features)", fix)
        if targets.ndim > 3:
            allowed = "(samples, outputs), or (samples, length − 1, outputs)"
            refuse("task", f"targets of shape {tuple(targets.shape)}", allowed, "flatten what belongs to one time step")
        readout = "all" if targets.ndim == 3 else "last"
        sizes = {"outputs": targets.shape[-1], "readout": readout}
        return cls(width, inputs.shape[-1], **{**sizes, **settings})

    def extra_repr(self) -> str:
        """What ``repr`` says of the network."""
        sizes = f"width={self.width}, inputs={self.A.shape[1]}, outputs={len(self.B)}"
        choices = f"readout={self.readout!r}, activation={self.activation.name!r}, trained={self._trained!r}"
        origin = f"seed={self.seed}" + (", centred=True" if self.centred else "")
        scales = f"parametrization={self.parametrization.style!r}"
        if (alpha := self.parametrization.alpha) is not None:
            scales += f" (alpha={alpha:g})"
        return f"{sizes}, {choices}, {scales}, {origin}"

    @property
    def label(self) -> str:
        """What titles say of its limit of width (see `Parametrization.label`)."""
        return self.parametrization.label

    @property
    def replayable(self) -> bool:
        """Whether a GPU may replay steps of descent: they read no number on the host. Not so in subclasses."""
        return type(self) is ElmanRNN

    @property
    def width(self) -> int:
        """The number m of hidden units."""
        return self.W.shape[0]

    @property
    def trained(self) -> dict[str, Tensor]:
        """The trained parameters by name, live."""
        return {name: getattr(self, name) for name in self._trained}

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs for inputs (n, L, p): (n, q), or (n, L−1, q) for the readout "all". Ordinary differentiable torch."""
        outputs = self._read(self._cast(inputs))
        return outputs - self.initial_outputs(inputs).view_as(outputs) if self.centred else outputs

    def through(self, inputs: Tensor, slopes: Tensor) -> Tensor:
        """`forward` with h_t = s_t ∘ g_t in the place of φ(g_t), for slopes s (L, n, m)."""
        outputs = self._read(self._cast(inputs), slopes)
        return outputs - self.initial_outputs(inputs).view_as(outputs) if self.centred else outputs

    def _read(self, inputs: Tensor, slopes: Tensor | None = None) -> Tensor:
        """Outputs that are not centred, for inputs that are cast."""
        projected = self._project(inputs)
        state, states = projected.new_zeros(len(inputs), self.width), []
        W_transposed = self.W.T
        for t, step in enumerate(projected.unbind(1)):
            preactivation = step + self.multipliers["W"] * (state @ W_transposed)
            state = self.activation.function(preactivation) if slopes is None else slopes[t] * preactivation
            states.append(state)
        first = _first_read(self.readout, len(states))
        read = torch.matmul(torch.stack(states[first:]), self.B.T)  # in the order of `FactoredJacobian.outputs`
        if self.readout == "mean":
            read = torch.tensordot(_taps(self.readout, len(states), inputs.dtype, inputs.device), read, 1)
        outputs = self.multipliers["B"] * read.transpose(0, 1)
        return outputs if self.readout == "all" else outputs[:, 0]

    @torch.no_grad()
    def jacobian(self, inputs: Tensor) -> FactoredJacobian:
        """Run the forward pass on inputs (n, L, p) without autograd and return the Jacobian in factors."""
        return FactoredJacobian(self.unroll(inputs), self.initial_outputs(inputs) if self.centred else None)

    @torch.no_grad()
    def unroll(self, inputs: Tensor, slopes: Tensor | None = None) -> Unrolled:
        """States h_t and gains φ'(g_t), both (L, n, m), with h = D(W h + A x) to the bit for ReLU (D is boolean).

        With ``slopes`` s (L, n, m), states are h_t = s_t ∘ g_t and the gains these slopes.
        """
        unrolled = self._prepare(inputs, lasting=False)
        self._recur(unrolled, slopes)
        return unrolled

    @torch.no_grad()
    def evaluator(self, inputs: Tensor) -> Evaluator:
        """The Jacobian on all of these inputs always in the same memory, or on some of them, and steps without one."""
        cast = self._cast(inputs)
        unrolled, start = self._prepare(inputs, lasting=True), self.initial_outputs(inputs) if self.centred else None

        @torch.no_grad()
        def evaluate(batch: Tensor | None = None) -> FactoredJacobian:
            if batch is not None:
                some = None if start is None else chosen(start, batch)
                return FactoredJacobian(self.unroll(chosen(cast, batch)), some)
            self._recur(unrolled)
            return FactoredJacobian(unrolled, start)

        if type(self) is not ElmanRNN:  # a subclass may compute something else
            return evaluate
        if PlainPasses.suit(unrolled, self.activation):
            return SteppingEvaluator(evaluate, PlainPasses(unrolled, start, self.activation))
        return SteppingEvaluator(evaluate, GeneralPasses(unrolled, start, self._recur))

    @torch.no_grad()
    def expansion(self, inputs: Tensor) -> RecurrentExpansion:
        """The second-order expansion by the recurrence of two tangents; kinks of ReLU have no second derivative."""
        unrolled, bend = self.unroll(inputs), self.activation.bend
        memory, start = unrolled.workspace, self.initial_outputs(inputs) if self.centred else None
        if bend is None:
            return RecurrentExpansion(unrolled, None, start)
        preactivations = memory.states if self.activation.gain_of_state else memory.preactivations
        return RecurrentExpansion(unrolled, bend(preactivations, memory.states, memory.slopes), start)

    def _prepare(self, inputs: Tensor, *, lasting: bool) -> Unrolled:
        """Inputs time first, and memory for what `_recur` computes from them."""
        inputs = self._cast(inputs).transpose(0, 1).contiguous()
        states = inputs.new_empty(*inputs.shape[:2], self.width)
        length = len(states)
        return Unrolled(
            inputs=inputs,
            workspace=Workspace(states, lasting=lasting),
            gated=self.activation.gated,
            weights={name: getattr(self, name) for name in self.scales},
            multipliers=self.multipliers,
            taps=_taps(self.readout, length, states.dtype, states.device),
            first_read=_first_read(self.readout, length),
            trained=self._trained,
        )

    def _recur(self, unrolled: Unrolled, slopes: Tensor | None = None) -> None:
        """Write h_t, one time step after the other, and φ'(g_t) into the memory of an unrolling."""
        activation, W_transposed, memory, previous = self.activation, self.W.T, unrolled.workspace, None
        scale = {} if self.multipliers["W"] == 1 else {"alpha": self.multipliers["W"]}
        self._project(unrolled.inputs, memory.states)  # g_t begins there, until h_t takes its place
        preactivations = memory.states if activation.gain_of_state else memory.preactivations
        for t, state in enumerate(memory.state_steps):  # two operations per time step
            if previous is not None:
                state.addmm_(previous, W_transposed, **scale)
            if not activation.gain_of_state:
                preactivations[t] = state
            previous = activation.in_place(state) if slopes is None else state.mul_(slopes[t])
        if slopes is None:
            activation.gain(preactivations, memory.states, memory.slopes)
        else:
            memory.slopes.copy_(slopes)

    @torch.no_grad()
    def gates(self, inputs: Tensor) -> Tensor | None:
        """Open ReLU gates 1[g_t > 0] as booleans (L, n, m); None for activations without gates."""
        return self.unroll(inputs).gains if self.activation.gated else None

    def descend(self, jacobian: Jacobian, cotangent: Tensor, learning_rate: float) -> None:
        """θ −= η Jᵀr for r (n, o), by one in-place product per weight; the gradient is never formed."""
        jacobian.add_pull(self.trained, cotangent, -learning_rate)

    @torch.no_grad()
    def copy(self) -> Self:
        """An independent network with the same weights: nothing is shared."""
        twin, is_initial = self._drawn_on("meta", centred=self.centred), self.is_initial()
        for name in self.scales:
            value = getattr(self, name).detach().clone()
            twin.register_parameter(name, torch.nn.Parameter(value, requires_grad=name in self._trained))
            twin._drawn[name] = twin._state(name) if is_initial else (0, -1)  # it may be trained already
        twin._starts = self._starts
        return twin

    def _drawn_on(self, device: str | torch.device, *, centred: bool) -> Self:
        """A network with the same settings, at its initialization."""
        return type(self)(
            self.width, self.A.shape[1], len(self.B), readout=self.readout, activation=self.activation.name,
            trained=self._trained, parametrization=self.parametrization, seed=self.seed, dtype=self.W.dtype,
            device=device, centred=centred,
        )  # fmt: skip

    def initial_outputs(self, inputs: Tensor) -> Tensor:
        """f(θ₀) of the weights of the seed on inputs (n, L, p), flattened to (n, o): what a centred network subtracts.

        It is remembered for the inputs that came last, unless it is to be differentiated by them.
        """
        functions = torch._C._functorch
        tensor = isinstance(inputs, Tensor) and not functions.is_functorch_wrapped_tensor(inputs)
        outside = functions.peek_interpreter_stack() is None  # of a transform, whose tensors must not be kept
        if (found := self._starts.find(inputs) if tensor else None) is not None and not inputs.requires_grad:
            return found
        if not outside or (tensor and inputs.requires_grad and torch.is_grad_enabled()):
            return self._drawn_on(self.W.device, centred=False).forward(inputs).flatten(1)
        with torch.no_grad():
            network = self if self.is_initial() else self._drawn_on(self.W.device, centred=False)
            outputs = FactoredJacobian(network.unroll(inputs)).outputs
        return self._starts.remember(inputs, outputs) if tensor else outputs

    def is_initial(self) -> bool:
        """Whether no weight was written since it was drawn: its version and its first rows are still the first ones."""
        return all(self._state(name) == state and self._begins_as_drawn(name) for name, state in self._drawn.items())

    def _begins_as_drawn(self, name: str) -> bool:
        weight = getattr(self, name)
        return weight.is_meta or torch.equal(weight[:1], self.initial_rows(name, 0, 1))

    def _state(self, name: str) -> tuple[int, int]:
        """Which tensor a weight is, and how often it was written."""
        weight = getattr(self, name)
        return id(weight), version_of(weight)

    def initial_pieces(self, name: str) -> Iterator[tuple[slice, Tensor]]:
        """The weight ``name`` at initialization, drawn again a few rows at a time: (which rows, their values)."""
        check_choice("name", name, self.scales)
        return initial_pieces(getattr(self, name), self.seed, name, self.scales[name].deviation)

    def initial_rows(self, name: str, start: int, stop: int) -> Tensor:
        """Rows ``start`` to ``stop`` of the weight ``name`` at initialization, drawn again, in its dtype and device.

        On the device "meta", which holds no numbers, they come on the CPU. Rows that are not there raise `LabError`.
        """
        check_choice("name", name, self.scales)
        weight = getattr(self, name)
        if not 0 <= start <= stop <= len(weight):
            allowed = f"0 ≤ start ≤ stop ≤ {len(weight)}"
            refuse("start, stop", f"{start}, {stop}", allowed, "count rows from 0, stop excluded")
        columns = weight.shape[1] if weight.ndim == 2 else 1
        rows = self.scales[name].deviation * draw_rows(self.seed, name, start, stop, columns)
        device = "cpu" if weight.is_meta else weight.device
        return rows.to(device, weight.dtype).reshape(-1, *weight.shape[1:])

    def _initial(
        self, name: str, shape: tuple[int, ...], dtype: torch.dtype, device: str | torch.device
    ) -> torch.nn.Parameter:
        weight = torch.empty(shape, dtype=dtype, device=device)
        if weight.device.type != "meta":
            fill(weight, self.seed, name, self.scales[name].deviation)
        return torch.nn.Parameter(weight, requires_grad=name in self._trained)

    def _project(self, inputs: Tensor, out: Tensor | None = None) -> Tensor:
        """c_A A x_t + c_b b for all time steps at once."""
        projected = torch.matmul(inputs, self.A.T, out=out)
        if self.multipliers["A"] != 1:
            projected.mul_(self.multipliers["A"])
        return projected if self.b is None else projected.add_(self.b, alpha=self.multipliers["b"])

    def _cast(self, inputs: Tensor) -> Tensor:
        inputs = as_tensor("inputs", inputs)
        p = self.A.shape[1]
        if inputs.ndim != 3 or inputs.shape[2] != p:
            fix = "put samples first, then time, then features; or build the network with ElmanRNN.like(task, width)"
            refuse("inputs", f"shape {tuple(inputs.shape)}", f"(samples, length, {p})", fix)
        if inputs.shape[1] < (shortest := 2 if self.readout == "all" else 1):
            allowed = f"at least {shortest} time steps for readout={self.readout!r}"
            refuse("inputs", f"shape {tuple(inputs.shape)}", allowed, "give longer sequences, or use readout='last'")
        if not len(inputs):
            refuse("inputs", f"shape {tuple(inputs.shape)}", "at least one sample", "check how the data were selected")
        return inputs.to(self.A)


def _first_read(readout: str, length: int) -> int:
    """The first time step (from 0) that is read."""
    return {"last": length - 1, "all": 1, "mean": 0}[readout]


@lru_cache(maxsize=16)
def _taps(readout: str, length: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """R (s, L), made once and never written to."""
    return READOUTS[readout](length).to(device, dtype)


def _check_pair(parametrization: Parametrization, activation: str) -> Parametrization:
    if parametrization.style == "paper" and activation == "softplus":
        fix = "pass parametrization='ntk', whose states stay of order 1 for softplus"
        refuse("parametrization", "'paper' with activation='softplus'", "'paper' with relu, erf or tanh", fix)
    return parametrization


def _check_trained(trained: Collection[str], weights: Collection[str]) -> tuple[str, ...]:
    """The trained names in the order W, A, B, b."""
    names = list(trained) if isinstance(trained, (tuple, list, set, frozenset)) else []
    if (
        not names
        or not all(isinstance(name, str) for name in names)
        or len(set(names)) < len(names)
        or not set(names) <= set(weights)
    ):
        fix = "name each weight once, as in trained=('W', 'B'); b needs sigma_b > 0"
        refuse("trained", repr(trained), "a non-empty subset of " + ", ".join(weights), fix)
    return tuple(name for name in weights if name in names)


def _check_place(dtype: object, device: object) -> None:
    """Refuse dtypes in which no tangent kernel can be solved, and devices that are not there."""
    if dtype not in (torch.float32, torch.float64):
        refuse("dtype", repr(dtype), "torch.float32 or torch.float64", "pass dtype=torch.float64")
    try:
        torch.empty(0, device=device)  # type: ignore[call-overload]
    except (RuntimeError, AssertionError, TypeError, ValueError) as error:
        came = f"{device!r} ({first_line(error)})"
        refuse("device", came, "a device that torch finds here", "pass device='cpu'")
