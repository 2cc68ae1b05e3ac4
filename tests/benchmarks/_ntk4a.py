"""The recurrent network of github.com/thegregyang/NTK4A, and how far its tangent kernels were from their limit.

RNN-NTK.ipynb has s_t = erf(W s_{t-1}/√m + U x_t/√3 + b) and reads vᵀ(s_1 + … + s_5)/(5√m), with W ~ N(0, 1),
U ~ N(0, 2), b ~ N(0, 0.2), v ~ N(0, 1), all trained. Inputs are the first five pixels of the first two images of
CIFAR-10, (x/255 − ½)/½. It stores ‖K₀ − K∞‖_F/‖K∞‖_F of 100 seeds at each width in rnn_ap_ntk.frob.
"""

from __future__ import annotations

import numpy as np
import torch

import lab
from lab.networks.parametrization import Parametrization, Scale

SOURCE = "thegregyang/NTK4A"
SETTING = "erf RNN, mean over 5 states, 3 inputs, variances W 1, U 2, b 0.2, v 1, two images' first pixels, 100 seeds"
COUNT = 100
#: Width: mean and standard deviation over their seeds, then those of the logarithms, computed from rnn_ap_ntk.frob.
DISTANCES = {
    64: (0.2201, 0.1453, -1.6884, 0.598),
    128: (0.1544, 0.1005, -2.0563, 0.632),
    256: (0.1209, 0.0784, -2.3091, 0.649),
    512: (0.0682, 0.0414, -2.8863, 0.672),
    1024: (0.0511, 0.0291, -3.1322, 0.579),
    2048: (0.0415, 0.0270, -3.3769, 0.641),
    4096: (0.0283, 0.0171, -3.7284, 0.579),
    8192: (0.0195, 0.0104, -4.0922, 0.580),
}
#: As the README of github.com/oneilsh/tidytensor prints the first pixels of keras's CIFAR-10 (RGB, top row).
PIXELS = (
    ((59, 62, 63), (43, 46, 45), (50, 48, 43), (68, 54, 42), (98, 73, 52)),
    ((154, 177, 187), (126, 137, 136), (105, 104, 95), (102, 101, 99), (125, 131, 139)),
)
_SINGLE_FROM = 2048  # float32 from this width on: its rounding is a ten-thousandth of the distances there


class Variances(Parametrization):
    """ "ntk" with the scales in the variances of the entries: gradients in U and b lack the factors √2 and √0.2."""

    def scales(self, width: int, inputs: int, outputs: int) -> dict[str, Scale]:
        deviations = {"W": self.sigma_w, "A": self.sigma_u, "B": self.sigma_v, "b": self.sigma_b}
        multipliers = {"W": width**-0.5, "A": inputs**-0.5, "B": width**-0.5, "b": 1.0}
        return {name: Scale(deviation, multipliers[name]) for name, deviation in deviations.items()}


def network(width: int, **settings) -> lab.ElmanRNN:
    """Their network; U is A here, and v is B."""
    scales = Variances(style="ntk", sigma_w=1.0, sigma_u=2**0.5, sigma_v=1.0, sigma_b=0.2**0.5)
    choices = {"activation": "erf", "readout": "mean", "trained": ("W", "A", "B", "b"), "parametrization": scales}
    return lab.ElmanRNN(width, 3, **choices, **settings)


def pixels() -> torch.Tensor:
    """Their inputs, (2, 5, 3)."""
    return (torch.tensor(PIXELS, dtype=torch.float64) / 255 - 0.5) / 0.5


def stand_ins() -> dict[str, torch.Tensor]:
    """Other inputs (2, 5, 3) by name."""
    generator = torch.Generator().manual_seed(0)
    normal = torch.randn(2, 5, 3, generator=generator, dtype=torch.float64)
    return {
        "both images grey (0)": torch.zeros_like(pixels()),
        "the second image twice": pixels()[[1, 1]],
        "the first image and its negative": torch.stack([pixels()[0], -pixels()[0]]),
        "N(0, 1)": normal,
        "N(0, 1), three times as large": 3 * normal,
    }


def distances(width: int, seeds: range, inputs: torch.Tensor) -> np.ndarray:
    """‖K₀ − K∞‖_F/‖K∞‖_F of each seed, (seeds,)."""
    limit = lab.infinite_ntk(network(width, device="meta"), inputs)
    dtype = torch.float32 if width >= _SINGLE_FROM else torch.float64
    kernels = (lab.empirical_ntk(network(width, seed=seed, dtype=dtype), inputs) for seed in seeds)
    return np.array([lab.measures.kernels.relative_error(kernel.to(limit), limit) for kernel in kernels])
