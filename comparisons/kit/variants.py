"""Variants of one network beside each other: centred, centred with a smooth activation, and the paper's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

from comparisons.kit import losses, networks
from comparisons.kit.cells import grid, optional
from comparisons.kit.draws import Draws, of_cells
from comparisons.kit.networks import AnyCell, CentredCell, NetworkSettings
from comparisons.kit.settings import Choices, OneOf, doc

if TYPE_CHECKING:
    from lab.networks.network import Network
    from lab.tasks.task import SequenceTask

#: What each variant changes in a cell. The first of a run is its main arm.
VARIANTS: dict[str, dict[str, Any]] = {
    "centred": {"centred": True},
    "erf": {"centred": True, "activation": "erf", "parametrization": "ntk"},
    "paper": {"centred": False},
    "leading": {"centred": True, "leading": True},
}
#: What they change besides where the run is in the mean-field limit: paper is the control in the lazy limit there.
MEAN_FIELD: dict[str, dict[str, Any]] = {
    "centred": {},
    "erf": {"parametrization": "mean_field"},
    "paper": {"parametrization": "ntk"},
    "leading": {},
}
LEADING = 1 / 30  #: eigenvalues of K∞ below this share of the largest are small
HELP = (
    "Networks side by side, the first one with all readouts: centred has outputs f(θ) − f(θ₀), erf is the same with a "
    "smooth activation in the ntk parametrization, paper keeps its random f₀, leading is centred and its "
    "targets have components along the large eigenvalues of K∞ alone, above λ_max/30."
)
Variant = Annotated[str, OneOf(*VARIANTS)]


@dataclass(frozen=True)
class Settings(NetworkSettings):
    """`NetworkSettings` for comparisons that set variants side by side."""

    draws: Draws = 0
    variants: Annotated[Choices[Variant], doc(HELP)] = ("centred", "erf", "paper")

    def implied(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Seeds for other widths; and no further draws, nor kernels, for who says how many seeds there should be."""
        further = ("draws", 0), ("kernel_seeds", values.get("seeds"))
        alone = {name: value for name, value in further if "seeds" in values and hasattr(self, name)}
        return super().implied(values) | alone

    def grid(self, kind: type[AnyCell], **more: Any) -> list[AnyCell]:
        """Cells of the first variant for every readout, width and seed, and of the others for the first readout."""
        found: list[AnyCell] = []
        skipped = losses.of(self) != "squared" or self.parametrization == "mean_field"  # of another kernel or measure
        for place, variant in enumerate(each for each in self.variants if each != "leading" or not skipped):
            readouts = self.readouts if place == 0 else self.readouts[:1]
            axes = {"readout": readouts, "width": self.widths, **more}
            cells = grid(kind, self, self.seeds, variant=[variant], centred=[True], **axes)
            changes = VARIANTS[variant]
            if self.parametrization == "mean_field":
                changes = changes | MEAN_FIELD[variant]
            found += [replace(cell, **changes) for cell in cells]
        return [*found, *of_cells(found, self.draws)]


@dataclass(frozen=True, kw_only=True)
class Cell(CentredCell):
    """`CentredCell` of one variant."""

    variant: str
    leading: bool = optional(False)


def build(cell: Cell, network: str = "elman") -> tuple[SequenceTask, Network]:
    """`networks.build`; of the targets only their leading part where the variant says so."""
    task, built = networks.build(cell, network)
    if not cell.leading:
        return task, built
    import torch

    import lab

    limit = lab.ElmanRNN.like(task, cell.width, device="meta", **networks.choices(cell))
    spectrum = lab.kernels.spectrum.Spectrum(lab.infinite_ntk(limit, task.train_inputs))
    targets = torch.from_numpy(spectrum.leading(task.train_targets.flatten().double().numpy(), LEADING))
    return replace(task, train_targets=targets.reshape(task.train_targets.shape).to(task.train_targets)), built
