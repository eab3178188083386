"""Shown: the values that may be looked at after an entry; an array is made when one is."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, TypeAlias

from graphc.ir.graph import Role, Value, typed
from graphc.numpy_later import npt
from graphc.program import Program

ShapedValues: TypeAlias = list[tuple[Value, tuple[int, ...]]]


class Shown(dict[Value, "npt.NDArray[Any]"]):
    """A mapping to arrays on the plan's memory; `make` makes that of a value which is shown."""

    def __init__(self, make: Callable[[Value], npt.NDArray[Any]]) -> None:
        self._make = make
        self._waiting: set[Value] = set()

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


def shown_after(program: Program, kept: Collection[Value], entry: str) -> ShapedValues:
    """The kept values that an entry makes or is given, and their shapes."""
    found = []
    for value in kept:
        made_by = value.producer.role if value.producer is not None else Role.GRAD
        is_here = (made_by is Role.FWD) == (entry == "forward")
        if is_here and value.name in program.values:
            found.append((value, typed(value).shape))
    return found


__all__ = ["ShapedValues", "Shown", "shown_after"]
