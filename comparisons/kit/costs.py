"""What cells of networks cost: trainings and kernels of Elman networks and of the named modules, without torch."""

from __future__ import annotations

from comparisons.kit import losses, tasks
from comparisons.kit.networks import KINDS, NetworkCell
from lab.costs import (
    Cost,
    Matrix,
    eigenvectors,
    factored_kernel,
    factored_step,
    kernel_recursion,
    linearized_step,
    network_bytes,
    recurrent_pass,
    tangent_kernel,
    training_step,
)

RECORDED = 75  #: about how many steps training records by default


def training_cost(cell: NetworkCell, steps: int, *, kernels: int, copies: int = 4) -> Cost:
    """Cost of training an Elman network and its linearization, recorded at RECORDED steps, and of ``kernels`` kernels.

    Memory is that of `kernel_cost`.
    """
    task, width = tasks.size_of(cell), cell.width
    reach = min(width, task.samples * (task.length - 1))  # coordinates of the linearized network's motion
    step = training_step(task.samples, task.length, width) + linearized_step(task.samples, task.length, reach)
    found = kernel_cost(cell, kernels, copies)
    work = steps * step + found + eigenvectors(task.samples * _outputs(cell)) + recursion(cell, steps)
    work += 1.5 * min(steps, RECORDED) * recurrent_pass(task.test, task.length, width)
    return work.holding(found.bytes)


def recursion(cell: NetworkCell, steps: int) -> Cost:
    """So many steps of the kernel learner of losses without a closed form; nothing for the squared loss."""
    size = tasks.size_of(cell).samples * _outputs(cell)
    return Cost(0.0) if losses.of(cell) == "squared" else steps * kernel_recursion(size)


def kernel_cost(cell: NetworkCell, kernels: int, copies: int = 4) -> Cost:
    """Cost of some tangent kernels of an Elman network.

    Memory is ``copies`` arrays of the size of W, and the states and deltas of all samples.
    """
    task, width, outputs = tasks.size_of(cell), cell.width, _outputs(cell)
    item = 4 if cell.dtype == "float32" else 8
    kernel = tangent_kernel(task.samples, task.test, outputs, task.length, width)
    held = network_bytes(task.samples + task.test, outputs, task.length, width, copies=copies, item=item)
    return (kernels * kernel).holding(held)


def _outputs(cell: NetworkCell) -> int:
    """Outputs per sample, of two classes at most."""
    return losses.outputs(losses.of(cell), 1) * (tasks.size_of(cell).length - 1 if cell.readout == "all" else 1)


def module_cost(cell: NetworkCell, network: str, steps: int) -> Cost:
    """Cost of training a module of `KINDS`, of its linearization in factors, and of three kernels.

    A training step is a pass forward and one back, which costs two.
    """
    task, item = tasks.size_of(cell), 4 if cell.dtype == "float32" else 8
    matrices, outputs = _matrices(cell.width, network, task), _outputs(cell)
    forward = sum(matrix.flops for matrix in matrices)
    loops = task.length if KINDS[network].gates else 0
    passes = Cost(3.0 * task.samples * forward, operations=80 + 50 * loops)
    step = passes + factored_step(task.samples, outputs, matrices)
    kernel = factored_kernel(task.samples, task.samples + task.test, outputs, matrices, loops)
    numbers = sum(matrix.numbers(outputs) for matrix in matrices) * (task.samples + task.test)
    weights = sum(matrix.width * matrix.features for matrix in matrices)
    work = steps * step + 3 * kernel + recursion(cell, steps)
    return work.holding(item * (5.0 * weights + 2.0 * numbers))


def _matrices(width: int, network: str, task: tasks.Size) -> tuple[Matrix, ...]:
    """The matrices of a module without its output layer."""
    gates = KINDS[network].gates
    if gates:
        return Matrix(gates * width, width, task.length), Matrix(gates * width, task.features, task.length)
    if network == "mlp":
        return Matrix(width, task.length * task.features), Matrix(width, width)
    places = task.length * task.features
    return Matrix(width, 9, places), Matrix(width, 9 * width, places)
