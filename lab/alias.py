"""``import lazylab``: the library under the name of its distribution. Installed as the module ``lazylab``.

Modules are the same objects under both names, so that ``lazylab.tasks.task.Task`` is ``lab.tasks.task.Task``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

_ALIAS = "lazylab"


class _Same(MetaPathFinder, Loader):
    """Finds ``lazylab.x`` as the module ``lab.x``."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        return ModuleSpec(name, self) if name.startswith(f"{_ALIAS}.") else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = import_module("lab" + spec.name.removeprefix(_ALIAS))
        self._own = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._own  # the import system has written the alias's


if __name__ == _ALIAS:
    sys.meta_path.insert(0, _Same())
    sys.modules[_ALIAS] = import_module("lab")
