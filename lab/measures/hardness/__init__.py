"""What random ReLU features pay for targets that are hard for them: how many features, how large coefficients.

Yehudai and Shamir 2019 prove that there are single neurons with weights polynomial in the dimension d for which the
number r of features or the largest coefficient max|u| is exponential in d; their bound is on the product r·max|u|.
Errors are population mean squares over x ~ N(0, I_d).

References
----------
Yehudai, Shamir, "On the Power and Limitations of Random Features", NeurIPS 2019, section 4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.lazy import submodules

if TYPE_CHECKING:
    from lab.measures.hardness import catalogue, prices

__all__ = ["catalogue", "prices"]
__getattr__ = submodules(__name__)
