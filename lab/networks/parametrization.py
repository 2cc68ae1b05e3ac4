"""Where the scale of the weights lives: in their variance (paper) or in multipliers in front (ntk, mean_field)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lab.errors import check_choice, check_number, refuse

STYLES = ("paper", "ntk", "mean_field")
MEAN_FIELD_SCALE = 2.0  #: the default of α₀


@dataclass(frozen=True)
class Scale:
    """Standard deviation of a weight's entries at initialization, and the multiplier in front of it."""

    deviation: float
    multiplier: float


@dataclass(frozen=True, kw_only=True)
class Parametrization:
    """Scales of the four weights of an Elman network.

    In ``style="paper"`` (Allen-Zhu, Li, Song 2019) the entries carry the scale and no multiplier is used:
    W ~ N(0, σ_w²/m), A ~ N(0, σ_u²/m), B ~ N(0, σ_v²/q). Defaults give the paper's 2/m, 2/m and 1/q. Pre-activations
    are of order 1/√m there, where erf and tanh are straight lines: it is made for ReLU.

    In ``style="ntk"`` (Jacot et al. 2018; Alemohammad et al. 2020) all entries are N(0, 1), and σ_w/√m, σ_u/√p,
    σ_v/√m and σ_b stand in front of W, A, B and the bias b. Pre-activations are of order 1 for any activation.

    ``style="mean_field"`` is "ntk" with the output scale α = α₀/√m, so that α₀σ_v/m stands in front of B. With the
    learning rate in units of the critical one, which then grows like m, features move by O(1) at every width: the other
    limit of infinite width, called mean-field or maximal-update. Networks in this style are centred by default.

    Parameters
    ----------
    style
        "paper", "ntk" or "mean_field".
    sigma_w, sigma_u, sigma_v
        Scales of W, A, B; positive.
    sigma_b
        Scale of the bias; 0 means that there is none. Not in "paper": its bias is a constant input feature.
    alpha
        α₀ of "mean_field", positive; 2 if not given. None in the other styles.

    Raises
    ------
    LabError
        An unknown style, a scale that is not positive, a bias in the paper's style, an α₀ in a style that has none.

    References
    ----------
    Geiger, Spigler, Jacot, Wyart, "Disentangling feature and lazy training in deep neural networks", 2020.
    Yang, Hu, "Tensor Programs IV: Feature Learning in Infinite-Width Neural Networks", ICML 2021.
    """

    style: str = "paper"
    sigma_w: float = math.sqrt(2)
    sigma_u: float = math.sqrt(2)
    sigma_v: float = 1.0
    sigma_b: float = 0.0
    alpha: float | None = None

    def __post_init__(self) -> None:
        check_choice("parametrization", self.style, STYLES)
        for name in ("sigma_w", "sigma_u", "sigma_v"):
            check_number(name, getattr(self, name), above=0)
        check_number("sigma_b", self.sigma_b, above=0, closed=True)
        if self.style == "paper" and self.sigma_b:
            fix = "append a constant input feature, or use style='ntk'"
            refuse("sigma_b", self.sigma_b, "0 in the paper's style", fix)
        self._check_alpha()
        for name in ("sigma_w", "sigma_u", "sigma_v", "sigma_b", "alpha"):  # NumPy's and torch's keep few digits
            if getattr(self, name) is not None:
                object.__setattr__(self, name, float(getattr(self, name)))

    def _check_alpha(self) -> None:
        """Refuse an α₀ that would not be used, and fill in the default."""
        if self.style != "mean_field":
            if self.alpha is not None:
                fix = "use style='mean_field', or lab.Scaled(network, alpha) for an output scale of your own"
                refuse("alpha", self.alpha, f"None in style={self.style!r}", fix)
        elif self.alpha is None:
            object.__setattr__(self, "alpha", MEAN_FIELD_SCALE)
        else:
            check_number("alpha", self.alpha, above=0)

    def output_scale(self, width: int) -> float:
        """α in front of the outputs of an "ntk" network of this width: α₀/√m in "mean_field", otherwise 1."""
        return 1.0 if self.alpha is None else self.alpha / math.sqrt(width)

    @property
    def label(self) -> str:
        """What titles say of it: α₀ in "mean_field"; otherwise empty."""
        return "" if self.alpha is None else f"mean-field limit with α₀ = {self.alpha:g}"

    def scales(self, width: int, inputs: int, outputs: int) -> dict[str, Scale]:
        """Deviation and multiplier of W, A, B and, where there is a bias, b."""
        if self.style == "paper":
            deviations = {"W": self.sigma_w / math.sqrt(width), "A": self.sigma_u / math.sqrt(width)}
            deviations["B"] = self.sigma_v / math.sqrt(outputs)
            return {name: Scale(deviation, 1.0) for name, deviation in deviations.items()}
        multipliers = {"W": self.sigma_w / math.sqrt(width), "A": self.sigma_u / math.sqrt(inputs)}
        multipliers["B"] = self.output_scale(width) * self.sigma_v / math.sqrt(width)
        if self.sigma_b:
            multipliers["b"] = self.sigma_b
        return {name: Scale(1.0, multiplier) for name, multiplier in multipliers.items()}


def parametrization(choice: str | Parametrization) -> Parametrization:
    """The `Parametrization` of this style, or one that is given itself; anything else raises `LabError`."""
    if isinstance(choice, Parametrization):
        return choice
    check_choice("parametrization", choice, STYLES)
    return Parametrization(style=choice)
