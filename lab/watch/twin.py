"""A second copy of the network that is watched, in evaluation mode: whatever is measured runs there.

The user's module is only read: its parameters and buffers are copied into the twin before each look.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from lab.errors import refuse
from lab.jacobians.autodiff import real_view
from lab.jacobians.jacobian import Jacobian, Tangent
from lab.jacobians.substitution import copied, tensors_of
from lab.jacobians.unfused import unfused
from lab.networks.elman import ElmanRNN
from lab.networks.modules import ModuleNetwork
from lab.networks.network import Network
from lab.networks.screening import explained
from lab.watch.features import Seen, observed

Readout = Callable[[object], Tensor]

ROWS = 512  #: samples × outputs from which outputs are projected


class Observed(torch.nn.Module):
    """What is watched of a module: one tensor of outputs, flattened, and projected where there are many."""

    projection: Tensor | None

    def __init__(self, module: torch.nn.Module, readout: Readout | None) -> None:
        super().__init__()
        self.module, self.readout = module, readout
        self.register_buffer("projection", None)

    def whole(self, inputs: Tensor) -> Tensor:
        """Outputs (n, …) before the projection."""
        outputs = self.module(inputs)
        outputs = outputs if self.readout is None else self.readout(outputs)
        if not isinstance(outputs, Tensor):
            fix = "pass a function that takes the tensor out, such as outputs=lambda result: result[0]"
            refuse("outputs", f"a module that returns {type(outputs).__name__}", "one tensor, samples first", fix)
        return outputs[:, None] if outputs.ndim == 1 else outputs

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs (n, o), or (n, r) after the projection."""
        outputs = self.whole(inputs).flatten(1)
        return outputs if self.projection is None else outputs @ self.projection


@dataclass
class Twin:
    """The copy of a network, and where to read the original from.

    Attributes
    ----------
    original
        The user's module, or a network of the lab.
    network
        The copy, as the lab's measures take it.
    inputs
        Probe inputs (n, …).
    prefix
        By which names of its parameters differ from the original's.
    """

    original: torch.nn.Module | Network
    network: Network
    inputs: Tensor
    prefix: str

    @classmethod
    def of(cls, original: object, inputs: Tensor, readout: Readout | None) -> Twin:
        """A copy of a network of the lab, or of any module in evaluation mode.

        Raises
        ------
        LabError
            What is neither, a module that cannot be copied or that `lab.as_network` refuses, outputs of a network of
            the lab that are to be read.
        """
        if isinstance(original, Network):
            if readout is not None:
                refuse("outputs", "a function beside a network of the lab", "None there", "leave it out")
            return cls(original, original.copy(), inputs, "")
        if not isinstance(original, torch.nn.Module):
            refuse("module", type(original).__name__, "a torch.nn.Module", "pass the module that you train")
        watched = Observed(copied(original), readout).eval()
        return cls(original, ModuleNetwork(_in_full_precision(watched)), inputs, "module.")

    def read(self) -> Tangent:
        """A copy of the original's trained parameters, by its own names; of the type and on the device of the twin.

        Raises `LabError` if the original has other parameters now, such as a new last layer.
        """
        today, mine = _trained(self.original), self.network.trained
        like = {name.removeprefix(self.prefix): value for name, value in mine.items()}
        other = [name for name, value in like.items() if name not in today or today[name].shape != value.shape]
        if other:
            came = f"a module whose parameters are others now: {', '.join(other[:3])}"
            refuse("module", came, "the parameters that it had when the watch was made", "make a new Watch")
        return {name: today[name].detach().to(value, copy=True) for name, value in like.items()}

    def newly_trained(self) -> list[str]:
        """Names of parameters of the original that require gradients now, and did not when the twin was made."""
        if isinstance(self.original, Network):
            return []
        known = set(self.names)
        return [name for name, value in self.original.named_parameters() if value.requires_grad and name not in known]

    def point_at(self, module: torch.nn.Module | Network) -> None:
        """Read another module of the same architecture from now on; raises `LabError` if parameters differ."""
        mine = {name: tuple(value.shape) for name, value in _trained(self.original).items()}
        theirs = {name: tuple(value.shape) for name, value in _trained(module).items()}
        if mine != theirs:
            names = sorted({name for name, _ in mine.items() ^ theirs.items()})
            came = f"trained parameters that differ in name or shape: {', '.join(names[:4])}"
            refuse("module_now", came, "the architecture of module_at_start", "build both by the same function")
        self.original = module

    @property
    def names(self) -> list[str]:
        """Names of the trained parameters, as the original has them."""
        return [name.removeprefix(self.prefix) for name in self.network.trained]

    @torch.no_grad()
    def refresh(self) -> None:
        """Take over everything that is not trained from the original: buffers, frozen parameters."""
        if isinstance(self.original, Network) or not isinstance(self.network, ModuleNetwork):
            return
        mine, trained = tensors_of(self.network.module), set(self.names)
        for name, value in tensors_of(self.original).items():
            copy = mine.get(f"{self.prefix}{name}")
            if copy is not None and name not in trained and copy.shape == value.shape:
                copy.copy_(value)

    def differs(self, state: Mapping[str, Tensor]) -> bool:
        """Whether what is not trained differs from this state."""
        if not isinstance(self.network, ModuleNetwork):
            return False
        held = tensors_of(self.network.module)
        return any(not torch.equal(held[name], value) for name, value in state.items())

    def state(self) -> dict[str, Tensor]:
        """Copies of what is not trained, by the twin's own names."""
        if not isinstance(self.network, ModuleNetwork):
            return {}
        trained = {f"{self.prefix}{name}" for name in self.names}
        held = tensors_of(self.network.module)
        return {name: value.detach().clone() for name, value in held.items() if name not in trained}

    @torch.no_grad()
    def put(self, parameters: Mapping[str, Tensor], state: Mapping[str, Tensor] | None = None) -> None:
        """Give the twin these trained parameters, and maybe another state of the rest."""
        for name, value in self.network.trained.items():
            value.copy_(parameters[name.removeprefix(self.prefix)])
        if state and isinstance(self.network, ModuleNetwork):
            held = tensors_of(self.network.module)
            for name, value in state.items():
                held[name].copy_(value)

    def jacobian(self) -> Jacobian:
        """The Jacobian on the probes at what the twin holds."""
        return self.network.jacobian(self.inputs)

    @property
    def is_projected(self) -> bool:
        """Whether there are so many outputs that they are projected."""
        module = getattr(self.network, "module", None)
        return isinstance(module, Observed) and module.projection is not None

    def _jacobian_in(self, context: AbstractContextManager[None]) -> Jacobian:
        with context:
            return self.jacobian()

    def push(self, jacobian: Jacobian, tangent: Tangent) -> Tensor:
        """Jv (n, o) for a tangent by the original's names."""
        return jacobian.push({f"{self.prefix}{name}": value for name, value in tangent.items()})

    @torch.no_grad()
    def project(self) -> str | None:
        """Project the outputs if there are more than 512 rows of them; returns how, in words."""
        n, o = len(self.inputs), self.outputs()[0].numel()
        rank = max(ROWS // n, 1)
        if n * o <= ROWS or not isinstance(self.network, ModuleNetwork):
            return None
        like = next(iter(self.network.trained.values()))
        drawn = torch.randn(o, rank, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        assert isinstance(self.network.module, Observed)
        self.network.module.projection = (drawn / rank**0.5).to(like)
        return f"{o} outputs by a fixed Gaussian matrix to {rank}, so that {n} probes have at most {ROWS} rows"

    @torch.no_grad()
    def outputs(self) -> Tensor:
        """Outputs (n, …) as the task's targets are shaped, not projected."""
        if isinstance(self.network, ModuleNetwork) and isinstance(self.network.module, Observed):
            with explained(self.inputs):
                return self.network.module.whole(self.network.cast(self.inputs))
        return self.network(self.inputs)

    def observe(self) -> tuple[Jacobian, Seen]:
        """The Jacobian on the probes, and the hidden features and gates of the pass that it begins with."""
        if isinstance(self.network, ModuleNetwork):
            assert isinstance(self.network.module, Observed)
            loops = unfused if _has_fused_gates(self.network.module) else nullcontext
            return observed(self.network.module.module, lambda: self._jacobian_in(loops()))
        inner = getattr(self.network, "network", self.network)
        states = inner.unroll(self.inputs).states.clone() if isinstance(inner, ElmanRNN) else None
        return self.jacobian(), Seen({} if states is None else {"h": states}, self.network.gates(self.inputs))


def _trained(original: torch.nn.Module | Network) -> dict[str, Tensor]:
    """Parameters by name, live; of a module also those that do not require gradients, complex ones as real pairs."""
    if isinstance(original, Network):
        return original.trained
    found = dict(original.named_parameters())
    return {name: real_view(value) if value.is_complex() else value for name, value in found.items()}


def _in_full_precision(module: torch.nn.Module) -> torch.nn.Module:
    """A module with weights of half precision in float32, which holds them exactly: kernels need more digits."""
    kinds = {value.dtype for value in module.parameters() if value.is_floating_point()}
    return module.float() if any(torch.finfo(kind).bits < 32 for kind in kinds) else module


def _has_fused_gates(module: torch.nn.Module) -> bool:
    """Whether there are rectified units inside a fused recurrent layer, where nothing sees them."""
    kinds = (torch.nn.RNN, torch.nn.RNNCell)
    return any(isinstance(part, kinds) and part.nonlinearity == "relu" for part in module.modules())


@contextmanager
def undisturbed(module: torch.nn.Module | Network) -> Iterator[None]:
    """Random number generators of torch are afterwards what they were, on the CPU and where the module is."""
    devices = (
        {value.device for value in _trained(module).values()}
        if isinstance(module, torch.nn.Module | Network)
        else set()
    )
    with torch.random.fork_rng([device for device in devices if device.type == "cuda"]):
        yield
