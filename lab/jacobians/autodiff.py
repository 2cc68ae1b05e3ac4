"""The Jacobian of any torch.nn.Module by autograd and torch.func: general, and the reference for the factored one."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Self, TypeVar

import torch
from torch import Tensor
from torch.func import jvp, vjp, vmap

from lab.costs import ELEMENTWISE
from lab.errors import LabError, LabWarning, check_choice, first_line, refuse
from lab.jacobians.gram import MEMORY, add_self_product, mirror
from lab.jacobians.jacobian import Tangent, WeightWatch, check_cotangent, check_tangent
from lab.jacobians.substitution import call, copied, foreign_leaves, refuse_shared, tensors_of
from lab.jacobians.unfused import unfused
from lab.jacobians.work import Work
from lab.progress import bar

ROUTES = ("contraction", "vector_products")
_PASSES = 3.0  # a derivative in one direction, backward or forward, costs about three forward passes
_SLOWER = 3.0  # batched passes take so much longer per flop than one large product (measured, 1.5 to 5)
_ROWS_ALIVE = 6  # rows of both sides, and what torch sums up while it forms them

_REPLACE = "write the operation in elementary ones, or freeze the parameters before it"

_Result = TypeVar("_Result")

#: Outputs (n, o) at parameters.
Function = Callable[[Tangent], Tensor]


class UndifferentiableError(LabError):
    """A module without a derivative along directions."""


class AutodiffJacobian:
    """Jacobian of a module's outputs, flattened to (n, o), in some of its parameters.

    `push` is one forward-mode pass, `pull` one backward pass. torch's recurrent layers and attention are differentiated
    as loops and plain formulas (`lab.jacobians.unfused`), with the module's own parameters. What vmap or forward mode
    refuses elsewhere (a branch on data, a write in place, a hand-written autograd function) is tried once, then done
    the slow way: sample by sample and output by output, with forward mode as the derivative of a backward pass. So is
    what vmap gets wrong: the first results are compared with plain passes at two places.

    A complex parameter counts as its real and imaginary parts, which are real parameters: tangents have a last axis of
    2 there, as `torch.view_as_real` gives it.

    Parameters
    ----------
    module
        Any module whose outputs have the samples first and that treats samples independently: what mixes them (batch
        statistics, attention across the batch) has no Jacobian per sample, and is not looked for here.
    trained
        The parameters to differentiate in, by the module's own names; complex ones as they are or as real views.
    inputs
        Samples first; already in the module's dtype and on its device.
    held
        What `tensors_of` finds in the module, where it has just been called.
    graph
        Run the module with a graph, by torch's own fused layers, and let `pull` go back through it: for a training
        step, which takes one gradient. What that pass holds is held as long as the Jacobian is.

    Raises
    ------
    LabError
        Outputs that are no single real tensor with one row per sample; a forward pass that writes the module's tensors.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        trained: Mapping[str, Tensor],
        inputs: Tensor,
        *,
        held: Mapping[str, Tensor] | None = None,
        graph: bool = False,
    ) -> None:
        self._module, self._inputs = module, inputs
        held = tensors_of(module) if held is None else held
        self._watch: WeightWatch | None = WeightWatch(held)
        self._point = {name: real_view(value) for name, value in trained.items()}
        self._complex = {name for name, value in held.items() if value.is_complex()}
        self._refused: set[str] = set()
        self._verified: set[str] = set()
        self._graph: tuple[Tensor, Tangent] | None = None
        if graph:
            self._run_with_graph(held)
        else:
            with torch.no_grad():
                self._outputs = _flat(call(module, {}, inputs), len(inputs))
        if self._watch.moved:
            came = f"a module whose forward pass writes {', '.join(self._watch.moved)}"
            refuse("module", came, "a function of inputs and weights", "call module.eval() first")

    @property
    def outputs(self) -> Tensor:
        """f, shape (n, o)."""
        return self._outputs

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parameters."""
        return tuple(self._point)

    def pull(self, cotangent: Tensor) -> Tangent:
        """Jᵀr for r (n, o)."""
        self._check()
        cotangent = check_cotangent(cotangent, self._outputs)
        if self._graph is not None:
            graph, self._graph = self._graph, None  # it can be gone through once
            try:
                return gradient(*graph, cotangent, retain_graph=False)
            except torch.OutOfMemoryError:
                raise
            except RuntimeError:  # cuDNN's recurrent layers have no backward pass in evaluation mode
                pass
        leaves = self.leaves()
        with torch.enable_grad():
            return gradient(self._function(self._inputs)(leaves), leaves, cotangent)

    def add_pull(self, tangent: Mapping[str, Tensor], cotangent: Tensor, scale: float) -> None:
        """Tangent += scale · Jᵀr in place."""
        gradient = self.pull(cotangent)
        with torch.no_grad():
            for name, value in gradient.items():
                tangent[name].add_(value, alpha=scale)

    def push(self, tangent: Mapping[str, Tensor]) -> Tensor:
        """Jv for a tangent v, shape (n, o)."""
        self._check()
        shapes = {name: value.shape for name, value in self._point.items()}
        return self._push(check_tangent(tangent, shapes, self._outputs), self._inputs)

    @torch.no_grad()
    def gram(self, other: Self | None = None, *, route: str | None = None, memory: int = MEMORY) -> Tensor:
        """J J'ᵀ by one of two routes.

        With F flops of one sample's forward pass, P trained parameters and N = n·o rows:

        * ``"contraction"``: Jacobians (rows, P) of a block of samples on both sides, then their product, for all pairs
          of blocks. About (3F + 40P)(N + bN') + 2NN'P flops: P numbers of a row are written at the price of 40 each,
          and each of the b blocks of the left side forms the right one again.
        * ``"vector_products"``: for a block of rows one backward pass each, Jᵀe, and one forward-mode pass along it on
          all samples of the right side, J'(Jᵀe). About (3F + 40P)N + 3F·Nn' flops, the latter thrice as slow as in a
          large product.

        Both take about ``memory`` bytes beyond the kernel, but never less than one row of P numbers and one pass of one
        sample; n×P arrays appear only where they are smaller than that. The symmetric kernel takes half the time.

        Parameters
        ----------
        other
            The right side; this Jacobian itself by default.
        route
            One of the two, or None for the faster one by these estimates, F being counted on one sample: roughly,
            vector products win where 9F < 2o'P, with many outputs and little sharing of weights.
        memory
            Bound on temporaries, in bytes: it sets the size of the blocks. Small blocks make the contraction slow.

        Returns
        -------
        Tensor
            Shape (n, o, n', o'), in the dtype of the outputs.

        References
        ----------
        Novak, Sohl-Dickstein, Schoenholz, "Fast Finite Width Neural Tangent Kernel", ICML 2022, sections 3.1 and 3.2.
        """
        self._check()
        right = self if other is None else other
        right._check()
        work = self._forward_work()
        asked, route = route, route or self._cheaper_route(right, work, memory)
        check_choice("route", route, ROUTES)
        rule = self._contract if route == "contraction" else self._multiply
        kernel = self._outputs.new_zeros(self._outputs.numel(), right._outputs.numel())
        try:
            rule(kernel, right, work, memory)
        except UndifferentiableError:
            if asked is not None:
                raise
            self._contract(kernel.zero_(), right, work, memory)
        return (mirror(kernel) if right is self else kernel).view(*self._outputs.shape, *right._outputs.shape)

    def keep(self) -> Self:
        """Copy the module, so that nothing that happens to it moves this Jacobian; returns the same object.

        Raises `LabError` for a module that cannot be copied, or whose copy computes with the original's weights.
        """
        self._check()
        originals = tensors_of(self._module).values()
        self._module = copied(self._module)
        frozen = tensors_of(self._module)
        self._point = {name: real_view(frozen[name]) for name in self._point}
        self._watch = None
        with torch.enable_grad():
            outputs = self._function(self._inputs[:1])(self.leaves())
        refuse_shared(foreign_leaves(outputs, ()), originals)
        return self

    def select(self, samples: Tensor) -> Self:
        """The kept Jacobian of some samples (integer indices); raises `LabError` if this one is not kept."""
        if self._watch is not None:
            refuse("jacobian", "an unkept Jacobian", "a kept one", "call .keep() before selecting samples")
        chosen = copy.copy(self)
        chosen._inputs, chosen._outputs = self._inputs[samples], self._outputs[samples]
        return chosen

    @property
    def function(self) -> Function:
        """θ -> f(θ), shape (n, o), in operations that every transform of torch.func can pass."""
        return self._function(self._inputs)

    def _check(self) -> None:
        if self._watch is not None:
            self._watch.check()

    @property
    def point(self) -> Tangent:
        """The parameters, without graph, in the memory of the module."""
        return {name: value.detach() for name, value in self._point.items()}

    def leaves(self) -> Tangent:
        """The parameters as leaves of a graph, in the memory of the module."""
        return {name: value.detach().requires_grad_() for name, value in self._point.items()}

    def _function(self, inputs: Tensor) -> Function:
        """θ -> f(θ, inputs), shape (n, o)."""

        def outputs(point: Tangent) -> Tensor:
            with unfused():
                return self._called(point, inputs)

        return outputs

    def _called(self, point: Tangent, inputs: Tensor, held: Mapping[str, Tensor] | None = None) -> Tensor:
        """f(θ, inputs), shape (n, o), by whatever operations the module calls; ``held`` is what `tensors_of` finds."""
        own = {name: torch.view_as_complex(v) if name in self._complex else v for name, v in point.items()}
        return _flat(call(self._module, own, inputs, held), len(inputs))

    def _run_with_graph(self, held: Mapping[str, Tensor]) -> None:
        leaves = self.leaves()
        with torch.enable_grad():
            outputs = self._called(leaves, self._inputs, held)
        self._graph, self._outputs = (outputs, leaves), outputs.detach()

    def attempt(
        self,
        what: str,
        fast: Callable[[], _Result],
        slow: Callable[[], _Result],
        agrees: Callable[[_Result], bool] = lambda result: True,
    ) -> _Result:
        """``fast()``, until torch has refused it once or its first result does not agree; ``slow()`` from then on."""
        if what not in self._refused:
            try:
                result = fast()
                if what in self._verified or agrees(result):
                    self._verified.add(what)
                    return result
                warnings.warn(
                    f"torch's {what} is wrong for this module; the slow way is taken", LabWarning, stacklevel=2
                )
            except RuntimeError:  # vmap and forward mode refuse at once, before anything is written
                pass
            self._refused.add(what)
        try:
            return slow()
        except NotImplementedError as error:
            came = f"a module that torch cannot differentiate along a direction ({first_line(error)})"
            raise UndifferentiableError("module", came, "operations with a second derivative", _REPLACE) from None

    def _push(self, direction: Tangent, inputs: Tensor) -> Tensor:
        """Jv on these inputs, (n, o)."""
        forward, backward = (partial(route, direction, inputs) for route in (self._push_forward, self._push_backward))
        return self.attempt("forward mode", forward, backward)

    def _push_forward(self, direction: Tangent, inputs: Tensor) -> Tensor:
        with torch.enable_grad():  # some formulas are wrong under no_grad (torch.linalg.solve)
            change = along_forward(self._function(inputs), direction)(self.point)
        return change.detach().to(self._outputs.dtype)  # a 0-d output times a Python float has a float64 tangent

    def _push_backward(self, direction: Tangent, inputs: Tensor) -> Tensor:
        with torch.enable_grad():
            return along_backward(self._function(inputs), direction)(self.leaves()).detach()

    def _push_each(self, directions: Tangent, inputs: Tensor) -> Tensor:
        """Jv on these inputs for a stack of directions, (directions, n·o)."""

        def together() -> Tensor:
            return vmap(lambda direction: self._push_forward(direction, inputs))(directions)

        def in_turn() -> Tensor:
            count = len(next(iter(directions.values())))
            each = ({name: value[i] for name, value in directions.items()} for i in range(count))
            return torch.stack([self._push(direction, inputs) for direction in each])

        def agrees(changes: Tensor) -> bool:
            ends = ({name: value[place] for name, value in directions.items()} for place in (0, -1))
            return all(
                are_close(changes[place], self._push(end, inputs)) for place, end in zip((0, -1), ends, strict=True)
            )

        return self.attempt("forward mode under vmap", together, in_turn, agrees).flatten(1)

    def _rows(self, block: _Block) -> Tangent:
        """Some rows of J as a stack of tangents: name -> (rows, *shape)."""
        together, in_turn = partial(self._rows_together, block), partial(self._rows_in_turn, block)
        stacked = self.attempt("backward pass under vmap", together, in_turn, partial(self._ends_agree, block))
        return {name: value.detach().to(self._outputs.dtype) for name, value in stacked.items()}

    def _ends_agree(self, block: _Block, rows: Tangent) -> bool:
        """Whether two rows are those of plain backward passes: not every rule of vmap is right.

        They are the first sample's last and the last sample's first, which a mix-up of samples and outputs would move.
        """
        outputs = block.outputs.stop - block.outputs.start
        first, last = block.samples.start, block.samples.stop - 1
        ends = (first, block.outputs.stop - 1, outputs - 1), (last, block.outputs.start, -outputs)
        for sample, output, row in ends:
            plain = self._row_of(sample, output)
            if not all(are_close(value[row], plain[name], plain) for name, value in rows.items()):
                return False
        return True

    def _row_of(self, sample: int, output: int) -> Tangent:
        """One row of J by a plain backward pass through one sample."""
        place = _Block(slice(sample, sample + 1), slice(output, output + 1), slice(0, 1))
        return {name: value[0] for name, value in self._rows_in_turn(place).items()}

    def _rows_together(self, block: _Block) -> Tangent:
        point = self.point
        outputs = self._outputs
        units = torch.eye(outputs.shape[1], dtype=outputs.dtype, device=outputs.device)[block.outputs]

        def row(sample: Tensor, unit: Tensor) -> Tangent:
            (tangent,) = vjp(self._function(sample[None]), point)[1](unit[None])
            return dict(tangent)

        with torch.enable_grad():  # some formulas are wrong under no_grad (torch.linalg.solve)
            rows: Tangent = vmap(vmap(row, (None, 0)), (0, None))(self._inputs[block.samples], units)
        return {name: value.flatten(0, 1) for name, value in rows.items()}

    def _rows_in_turn(self, block: _Block) -> Tangent:
        leaves, rows = self.leaves(), []
        for sample in self._inputs[block.samples]:
            with torch.enable_grad():
                outputs = self._function(sample[None])(leaves)[0]
                rows += [gradient(output, leaves, torch.ones_like(output)) for output in outputs[block.outputs]]
        return {name: torch.stack([row[name] for row in rows]) for name in leaves}

    def _contract(self, kernel: Tensor, right: Self, work: Work, memory: int) -> None:
        lefts, rights = list(self._blocks(work, memory)), list(right._blocks(work, memory))
        with bar(len(lefts), "tangent kernel", "block") as counter:
            for first in lefts:
                left_rows = self._rows(first)
                for second in rights:
                    if right is self and second.rows.start > first.rows.start:
                        break
                    place = kernel[first.rows, second.rows]
                    if right is self and second == first:
                        _add_products(place, left_rows)
                    else:
                        _add_products(place, left_rows, right._rows(second))
                counter.update()

    def _multiply(self, kernel: Tensor, right: Self, work: Work, memory: int) -> None:
        o, blocks = right._outputs.shape[1], list(self._blocks(work, memory))
        with bar(len(blocks), "tangent kernel", "block") as counter:
            for block in blocks:
                directions = self._rows(block)
                reach = block.samples.stop if right is self else len(right._inputs)
                alive = _ROWS_ALIVE * max(work.bytes, 1) * (block.rows.stop - block.rows.start)
                size = max(memory // alive, 1)
                for start in range(0, reach, size):
                    stop = min(start + size, reach)
                    changes = right._push_each(directions, right._inputs[start:stop])
                    kernel[block.rows, start * o : stop * o] = changes
                counter.update()

    def _blocks(self, work: Work, memory: int) -> Iterator[_Block]:
        """Rows of J in blocks that fit, with the passes that form them: samples, or some outputs of one sample."""
        n, o = self._outputs.shape
        size = max(memory // (_ROWS_ALIVE * (self._row_bytes() + work.bytes)), 1)
        samples, outputs = max(size // o, 1), min(size, o)
        for sample in range(0, n, samples):
            last = min(sample + samples, n)
            for output in range(0, o, outputs):
                end = min(output + outputs, o)
                rows = slice(sample * o + output, (last - 1) * o + end)
                yield _Block(slice(sample, last), slice(output, end), rows)

    def _row_bytes(self) -> int:
        return sum(value.numel() * value.element_size() for value in self._point.values())

    def _forward_work(self) -> Work:
        work = Work()
        with work:
            self._function(self._inputs[:1])(self.point)
        return work

    def _cheaper_route(self, right: Self, work: Work, memory: int) -> str:
        """The rule of `gram`; half of everything where the kernel is symmetric changes nothing in it."""
        rows, columns = self._outputs.numel(), right._outputs.numel()
        blocks, derivative = sum(1 for _ in self._blocks(work, memory)), _PASSES * work.flops
        parameters = sum(value.numel() for value in self._point.values())
        again = 0 if blocks == 1 and right is self else blocks * columns
        contraction = (derivative + ELEMENTWISE * parameters) * again + 2.0 * rows * columns * parameters
        products = _SLOWER * derivative * rows * len(right._inputs)
        return "contraction" if contraction <= products else "vector_products"


@dataclass(frozen=True)
class _Block:
    """Samples, outputs of each, and the rows of J that these are."""

    samples: slice
    outputs: slice
    rows: slice


def are_close(value: Tensor, reference: Tensor, beside: Mapping[str, Tensor] | None = None) -> bool:
    """Whether two computations of one tensor agree as far as other algorithms for other batch sizes allow.

    ``beside`` are the other parts of a gradient: rounding errors of the largest are allowed. Some parts have no more,
    such as the bias of an attention's keys, whose gradient is 0.
    """
    difference = torch.linalg.vector_norm(value.double() - reference.double())
    size = torch.linalg.vector_norm(reference.double())
    largest = max((float(torch.linalg.vector_norm(each.double())) for each in (beside or {}).values()), default=0.0)
    precision = torch.finfo(value.dtype).eps
    return bool(difference <= precision**0.25 * size + precision**0.5 * largest) or not bool(torch.isfinite(size))


def real_view(value: Tensor) -> Tensor:
    """A tensor without its graph, in the same memory: itself, or (…, 2) real and imaginary parts of a complex one."""
    return torch.view_as_real(value.detach()) if value.is_complex() else value.detach()


def _flat(outputs: object, samples: int) -> Tensor:
    """Outputs as (n, o); refused if they are not one tensor with a row for every sample."""
    if not isinstance(outputs, Tensor):
        fix = "wrap the module in one that returns what is trained, as in output, state = gru(x); return output[:, -1]"
        refuse("module", f"outputs of type {type(outputs).__name__}", "one tensor with samples first", fix)
    if outputs.is_complex():
        fix = "return torch.view_as_real(outputs).flatten(1), or the part that is trained"
        refuse("module", f"outputs of type {outputs.dtype}", "real outputs", fix)
    rows = outputs.shape[0] if outputs.ndim else 1
    if rows != samples:
        fix = "put samples first in and out; torch's recurrent layers and attention need batch_first=True for that"
        refuse("module", f"outputs of shape {tuple(outputs.shape)} for {samples} samples", f"({samples}, …)", fix)
    return outputs.reshape(samples, -1)


def along_forward(function: Function, direction: Tangent) -> Function:
    """θ -> J(θ)v by forward mode."""

    def along(point: Tangent) -> Tensor:
        change: Tensor = jvp(function, (point,), (direction,))[1]
        return change

    return along


def along_backward(function: Function, direction: Tangent) -> Function:
    """θ -> J(θ)v, with a graph, as the derivative in r of ⟨Jᵀr, v⟩; θ are leaves."""

    def along(point: Tangent) -> Tensor:
        outputs = function(point)
        cotangent = torch.zeros_like(outputs, requires_grad=True)
        pulled = gradient(outputs, point, cotangent, create_graph=True)
        inner = torch.stack([(value * direction[name]).sum() for name, value in pulled.items()]).sum()
        return gradient(inner, {"r": cotangent}, torch.ones_like(inner), create_graph=True)["r"]

    return along


def gradient(
    outputs: Tensor, leaves: Tangent, cotangent: Tensor, *, create_graph: bool = False, retain_graph: bool = True
) -> Tangent:
    """Jᵀr by autograd; zeros for leaves that the outputs do not depend on."""
    if not outputs.requires_grad:
        return {name: torch.zeros_like(value) for name, value in leaves.items()}
    gradients = torch.autograd.grad(
        outputs,
        list(leaves.values()),
        cotangent,
        retain_graph=retain_graph,
        create_graph=create_graph,
        materialize_grads=True,
    )
    return {name: value.to_dense() if value.is_sparse else value for name, value in zip(leaves, gradients, strict=True)}


def _add_products(place: Tensor, left: Tangent, right: Tangent | None = None) -> None:
    """Add J J'ᵀ to a block of the kernel, parameter by parameter; without ``right`` to the lower half alone."""
    for name, rows in left.items():
        matrix = rows.reshape(len(rows), -1)  # of a scalar parameter, too
        if right is None:
            add_self_product(place, matrix)
        else:
            place.addmm_(matrix, right[name].reshape(len(right[name]), -1).T)
