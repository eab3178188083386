"""np, npt: NumPy and its types, imported when something of them is first asked for.

Importing NumPy takes longer than running many a network. Modules that running an artefact imports
take it from here, so that `graphc run` does without where arrays come and go as plain bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
else:

    class _Later:
        def __init__(self, module: str) -> None:
            self._module = module

        def __getattr__(self, name: str) -> Any:
            import importlib

            value = getattr(importlib.import_module(self._module), name)
            setattr(self, name, value)
            return value

    np, npt = _Later("numpy"), _Later("numpy.typing")

__all__ = ["np", "npt"]
