"""Is a training lazy? What somebody else's training loop does to its network, measured on a few probes."""

from lab.lazy import submodules
from lab.watch.diagnosis import diagnose
from lab.watch.watch import Watch

__all__ = ["Watch", "diagnose"]

__getattr__ = submodules(__name__)
