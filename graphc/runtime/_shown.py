"""Shown: the values that may be looked at after an entry; an array is made when one is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphc.ir.graph import Value
from graphc.numpy_later import npt


class Shown(dict[Value, "npt.NDArray[Any]"]):
    """A mapping to arrays on the plan's memory; `make` makes that of a value which is shown."""

    def __init__(self, make: Callable[[Value], npt.NDArray[Any]]) -> None:
        super().__init__()
        self._make, self._waiting = make, set[Value]()

    def show(self, value: Value) -> None:
        self.pop(value, None)
        self._waiting.add(value)

    def __missing__(self, value: Value) -> npt.NDArray[Any]:
        if value not in self._waiting:
            raise KeyError(value)
        self[value] = array = self._make(value)
        return array

    def __contains__(self, value: object) -> bool:
        return super().__contains__(value) or value in self._waiting


__all__ = ["Shown"]
