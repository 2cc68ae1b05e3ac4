"""The Jacobian of any torch.nn.Module in factors, as far as its parameters are used in ways that factors know.

With z_u what a parameter multiplies in its use u, and δ_u = ∂f/∂(result of the use), J = Σ_u δ_u z_uᵀ over layers, time
steps, positions and ties. One run of the module records the z_u, one backward pass per output and for all samples gives
the δ_u, and no gradient of a weight is formed. Parameters that are used in any other way, or whose rows are too large
to be formed, go by `lab.jacobians.autodiff`, alone: kernels and products are sums of both.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Self, TypeVar

import torch
from torch import Tensor, vmap

from lab.errors import LabWarning, check_choice, refuse
from lab.jacobians import autodiff
from lab.jacobians.assembly import Assembled, assemble, compact
from lab.jacobians.autodiff import AutodiffJacobian, are_close
from lab.jacobians.factors import Factors, joined, reduce
from lab.jacobians.gram import MEMORY, mirror
from lab.jacobians.jacobian import Tangent, check_cotangent, check_tangent
from lab.jacobians.parts import Products
from lab.jacobians.recorder import Recorder
from lab.progress import bar

FACTORS = "factors"
ROUTES = (FACTORS, *autodiff.ROUTES)
KEPT = 2**30  # bytes of factors that are kept; above, a copy of the module is, and each product is a pass through it
_ALIVE = 2  # results of a pass and what the graph keeps of them; deltas and their parts
_PASSES = 10.0  # passes forward that a derivative each way takes, as slow per flop as they are
_LARGE_FEATURES = 8.0  # times the numbers of a row: from there on convolutions' own gradients are faster (measured)
_MOST = 6  # times the results of a pass that factors are taken to have before they are measured

_Result = TypeVar("_Result")


@dataclass
class Findings:
    """What is known of a module after its first Jacobian.

    Attributes
    ----------
    others
        Trained parameters that do not go by factors.
    work
        Flops, and bytes of all results, in a pass of one sample, by the shape of the sample.
    factors
        Bytes of the factors of one sample, by its shape.
    is_compared
        Whether factors were compared with plain backward passes.
    is_refused
        Whether the module cannot be recorded at all.
    has_large_features
        Whether features, such as the patches of large images, have far more numbers than rows of J.
    """

    others: set[str] = field(default_factory=set)
    work: dict[torch.Size, tuple[int, int]] = field(default_factory=dict)
    factors: dict[torch.Size, int] = field(default_factory=dict)
    is_compared: bool = False
    is_refused: bool = False
    has_large_features: bool = False


class RecordedJacobian(AutodiffJacobian):
    """Jacobian of a module's outputs, flattened to (n, o), in some of its parameters, in factors where there are such.

    Unkept, `push` and `pull` are passes through the module, as in `AutodiffJacobian`. Kept, they are products with
    factors: n·o·T·m numbers for the deltas and n·T·d for the features of a matrix (m, d) that is used at T places of a
    sample, or n·o·m·d where that is less. Above ``KEPT`` bytes in all the module itself is kept.

    Parameters
    ----------
    module, trained, inputs, held, graph
        As for `AutodiffJacobian`.
    findings
        What is known of this module; shared between its Jacobians.

    Raises
    ------
    LabError
        As `AutodiffJacobian` does.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        trained: Mapping[str, Tensor],
        inputs: Tensor,
        findings: Findings | None = None,
        *,
        held: Mapping[str, Tensor] | None = None,
        graph: bool = False,
    ) -> None:
        super().__init__(module, trained, inputs, held=held, graph=graph)
        self._findings = Findings() if findings is None else findings
        self._factors: Factors | None = None
        self._rest: AutodiffJacobian | None = None
        self._sizes = {name: value.shape for name, value in self._point.items()}

    def pull(self, cotangent: Tensor) -> Tangent:
        """Jᵀr for r (n, o)."""
        if self._factors is None:
            return super().pull(cotangent)
        tangent = {name: self._outputs.new_zeros(size) for name, size in self._sizes.items()}
        self.add_pull(tangent, cotangent, 1.0)
        return tangent

    @torch.no_grad()
    def add_pull(self, tangent: Mapping[str, Tensor], cotangent: Tensor, scale: float) -> None:
        """Tangent += scale · Jᵀr in place."""
        if self._factors is None:
            super().add_pull(tangent, cotangent, scale)
            return
        self._factors.add_pull(tangent, check_cotangent(cotangent, self._outputs), scale)
        if self._rest is not None:
            self._rest.add_pull(tangent, cotangent, scale)

    def push(self, tangent: Mapping[str, Tensor]) -> Tensor:
        """Jv for a tangent v, shape (n, o)."""
        if self._factors is None:
            return super().push(tangent)
        with torch.no_grad():
            tangent = check_tangent(tangent, self._sizes, self._outputs)
            change = self._factors.push(tangent)
        if self._rest is not None:
            change += self._rest.push({name: tangent[name] for name in self._rest.names})
        return change

    @torch.no_grad()
    def gram(self, other: Self | None = None, *, route: str | None = None, memory: int = MEMORY) -> Tensor:
        """J J'ᵀ in factors, ``route="factors"``, or by one of the two routes of `AutodiffJacobian.gram`.

        By default in factors, but for live modules whose features are far larger than their rows (large images).

        With T places of a matrix (m, d) in a sample, factors take one pass forward and o backward for all samples at
        once, and then per matrix the cheaper of (n·o·T)²·m + (n·T)²·d and n·o·T·m·d + (n·o)²·m·d multiply-adds (see
        `lab.jacobians.gram`). Samples are taken in blocks, so that temporaries take about ``memory`` bytes, but never
        less than those of one sample.
        """
        if route is not None:
            check_choice("route", route, ROUTES)
        right = self if other is None else other
        self._check()
        right._check()
        if route in autodiff.ROUTES and any(each._factors is not None for each in (self, right)):
            refuse("route", route, repr(FACTORS), "a kept Jacobian holds factors alone; call gram() before keep()")
        live = self._factors is None and right._factors is None
        recorded = self._is_recorded() and right._is_recorded()
        if route in autodiff.ROUTES or not recorded or (route is None and live and self._findings.has_large_features):
            return super().gram(other, route=None if route == FACTORS else route, memory=memory)
        kernel = self._unless_refused(lambda: self._gram_of_factors(right, memory))
        if kernel is None:
            return super().gram(other, memory=memory)
        for mine, theirs in self._rests(right):
            kernel += mine.gram(theirs, memory=memory)
        return kernel

    def keep(self) -> Self:
        """Form the factors, or copy the module, so that nothing that happens to it moves this Jacobian.

        Returns the same object. Raises `LabError` as `AutodiffJacobian.keep` does.
        """
        if self._factors is not None:
            return self
        self._check()
        factors = self._unless_refused(self._to_keep) if self._is_recorded() else None
        if factors is None:
            super().keep()
            return self
        others = self._findings.others
        self._rest = self._only(others).keep() if others else None
        self._factors, self._module, self._watch = factors.stored(), torch.nn.Module(), None
        return self

    def select(self, samples: Tensor) -> Self:
        """The kept Jacobian of some samples (integer indices); raises `LabError` if this one is not kept."""
        chosen = super().select(samples)
        if self._factors is not None:
            chosen._factors = self._factors.select(samples)
            chosen._rest = None if self._rest is None else self._rest.select(samples)
        return chosen

    @torch.no_grad()
    def reduced(self, other: Self | None) -> tuple[Self, Self | None]:
        """Two kept Jacobians in coordinates of what descent on this one can reach; as they are without factors."""
        kept = [each for each in (self, other) if each is not None]
        if any(each._factors is None or each._rest is not None for each in kept):
            return self, other
        assert self._factors is not None
        mine, theirs = reduce(self._factors, None if other is None else other._factors)
        return self._with(mine), None if other is None or theirs is None else other._with(theirs)

    def _with(self, factors: Factors) -> Self:
        twin = copy.copy(self)
        twin._factors, twin._sizes = factors, factors.shapes
        return twin

    def _is_recorded(self) -> bool:
        """Whether there are factors of some parameters; the first time, whether they are right."""
        if self._factors is None and not self._findings.is_compared:
            self._findings.is_compared = True
            self._compare()
        return self._factors is not None or not (
            self._findings.is_refused or self._findings.others.issuperset(self._point)
        )

    def _compare(self) -> None:
        """Compare the factors of the first and last sample with plain backward passes, output by output at one place.

        They are the first sample's last output and the last sample's first, which a mix-up of samples and outputs would
        move.
        """
        n, o = self._outputs.shape
        factors = self._unless_refused(lambda: self._form(self._inputs[[0, n - 1]]))
        if factors is None:
            return
        self._findings.has_large_features = _features_over_rows(factors) > _LARGE_FEATURES
        for place, sample, output in ((0, 0, o - 1), (1, n - 1, 0)):
            wrong = self._differing(factors, place, sample, output)
            if wrong:
                self._findings.others |= wrong
                warnings.warn(
                    f"the recorded uses of {', '.join(sorted(wrong))} do not give the gradient of a backward pass; "
                    "these parameters take the slow way",
                    LabWarning,
                    stacklevel=2,
                )

    def _unless_refused(self, work: Callable[[], _Result]) -> _Result | None:
        """What ``work`` returns; None, and the module is recorded no more, if vmap refuses what the module does."""
        try:
            return work()
        except torch.OutOfMemoryError:
            raise
        except RuntimeError:
            if self._factors is not None:  # there is no module left to go another way
                raise
            self._findings.is_refused = True
            return None

    def _differing(self, factors: Factors, place: int, sample: int, output: int) -> set[str]:
        """Parameters whose row of J, that of one output of one sample, is not that of a plain backward pass."""
        unit = torch.zeros_like(factors.outputs)
        unit[place, output] = 1.0
        found = {name: self._outputs.new_zeros(size) for name, size in self._sizes.items()}
        factors.add_pull(found, unit, 1.0)
        plain = self._row_of(sample, output)
        return {
            name
            for name, value in found.items()
            if name not in self._findings.others and not are_close(value, plain[name], plain)
        }

    def _form(self, inputs: Tensor) -> Factors:
        """Factors on these inputs; parameters that turn out to be used otherwise are noted."""
        while True:
            assembled = self._record(inputs)
            if assembled.others <= self._findings.others:
                return assembled.factors
            self._findings.others |= assembled.others

    def _record(self, inputs: Tensor) -> Assembled:
        recorder, leaves = Recorder(len(inputs)), self.leaves()

        def one(sample: Tensor) -> Tensor:
            with recorder:
                return self._function(sample[None])(leaves)[0]

        with torch.enable_grad():
            outputs = vmap(one)(inputs)
            return assemble(recorder.uses, outputs, leaves, self._findings.others)

    def _to_keep(self) -> Factors | None:
        """Factors on all samples, or None if they are too large to be kept or slower than passes through the module."""
        n = len(self._inputs)
        first = compact(self._form(self._inputs[:1]))
        if n * _bytes(first) > KEPT or first.step_flops > _PASSES * max(self._work()[0], 1):
            return None
        blocks = [compact(self._form(self._inputs[block])) for block in self._sample_blocks(MEMORY)]
        return blocks[0] if len(blocks) == 1 else joined(blocks)

    def _sample_blocks(self, memory: int) -> list[slice]:
        """Samples in blocks, so that forming their factors takes about so many bytes."""
        n, o = self._outputs.shape
        if self._factors is not None:
            return [slice(0, n)]
        (_, passes), size = self._work(), n
        if n * _MOST * (1 + o) * passes > memory:
            each = _ALIVE * (passes + self._bytes_of_one())
            size = n if n * each <= memory else max(memory // (2 * each), 1)  # two sides are in memory at once
        return [slice(start, min(start + size, n)) for start in range(0, n, size)]

    def _work(self) -> tuple[int, int]:
        """Flops, and bytes of all results, in a pass of one sample."""
        shape = self._inputs.shape[1:]
        if shape not in self._findings.work:
            work = self._forward_work()
            self._findings.work[shape] = work.flops, work.bytes
        return self._findings.work[shape]

    def _bytes_of_one(self) -> int:
        """Bytes of the factors of one sample."""
        shape = self._inputs.shape[1:]
        if shape not in self._findings.factors:
            self._findings.factors[shape] = _bytes(self._form(self._inputs[:1]))
        return self._findings.factors[shape]

    def _gram_of_factors(self, right: Self, memory: int) -> Tensor:
        """The kernel of what goes by factors, block of samples by block of samples."""
        kernel = self._outputs.new_zeros(*self._outputs.shape, *right._outputs.shape)
        lefts = self._sample_blocks(memory)
        rights = lefts if right is self else right._sample_blocks(memory)
        with bar(len(lefts), "tangent kernel", "block") as counter:
            for mine in lefts:
                factors = self._factors_of(mine)
                for theirs in rights:
                    if right is self and theirs.start > mine.start:
                        break
                    same = right is self and theirs == mine
                    kernel[mine, :, theirs] = factors.gram(None if same else right._factors_of(theirs), None, memory)
                counter.update()
        if right is self and len(lefts) > 1:
            flat = kernel.view(self._outputs.numel(), -1)
            kernel = mirror(flat).view(kernel.shape)
        return kernel

    def _factors_of(self, block: slice) -> Factors:
        return self._form(self._inputs[block]) if self._factors is None else self._factors

    def _rests(self, right: Self) -> Iterator[tuple[AutodiffJacobian, AutodiffJacobian | None]]:
        """The Jacobians of both sides in the parameters that do not go by factors, if there are any."""
        names = self._findings.others
        if names:
            mine = self._rest or self._only(names)
            yield mine, None if right is self else right._rest or right._only(names)

    def _only(self, names: Collection[str]) -> AutodiffJacobian:
        """The plain Jacobian in some of the parameters."""
        return AutodiffJacobian(self._module, {name: self._point[name] for name in sorted(names)}, self._inputs)


def _features_over_rows(factors: Factors) -> float:
    """Numbers of all features over those of the rows of J that they make."""
    products = [part for part in factors.parts.values() if isinstance(part, Products)]
    rows = sum(part.deltas[:, :, 0].numel() * part.features.shape[2] for part in products)
    return sum(part.features.numel() for part in products) / max(rows, 1)


def _bytes(factors: Factors) -> int:
    tensors = (value for part in factors.parts.values() for value in vars(part).values() if isinstance(value, Tensor))
    return sum(value.nbytes for value in tensors)
