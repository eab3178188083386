"""Plans: what the fields of an Attrs dataclass are in a protobuf message, read off its type hints.

`int`, `float`, `bool`, `str` (an enum value's name, or text), Literal of strings, Filler and other
dataclasses; `tuple[T, ...]` is a repeated field; `T | None` one whose presence matters.
"""

from __future__ import annotations

import dataclasses
import types
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from graphc.errors import fail
from graphc.records import record

SCALARS: tuple[type, ...] = (bool, int, float, str)


@record(frozen=True)
class Plan:
    """One field: `base` is a scalar type or a dataclass, `choices` the names of a Literal.

    `required`: the dataclass has no default for it.
    """

    name: str
    base: type
    repeated: bool = False
    optional: bool = False
    choices: tuple[str, ...] = ()
    default: Any = None
    required: bool = False

    @property
    def is_message(self) -> bool:
        return self.base not in SCALARS


@cache
def plans(cls: type) -> tuple[Plan, ...]:
    """The fields of a dataclass in order. Raises GC-O001 for what no message field can hold."""
    if not dataclasses.is_dataclass(cls):
        fail("GC-O001", f"{cls.__qualname__} is no dataclass")
    try:
        hints = get_type_hints(cls)
    except Exception as error:  # hints are expressions of the user's file
        fail("GC-O001", f"the type hints of {cls.__qualname__} cannot be read: {error}")
    return tuple(_plan(cls, f, hints[f.name]) for f in dataclasses.fields(cls))


def _plan(cls: type, field: dataclasses.Field[Any], hint: Any) -> Plan:
    default: Any = field.default
    if field.default_factory is not dataclasses.MISSING:
        default = field.default_factory()
    required = default is dataclasses.MISSING
    optional = repeated = False
    if get_origin(hint) in (Union, types.UnionType):
        rest = [a for a in get_args(hint) if a is not type(None)]
        optional, hint = len(rest) == 1, rest[0]
    if get_origin(hint) is tuple:
        inner = get_args(hint)
        repeated = len(inner) == 2 and inner[1] is Ellipsis
        hint = inner[0] if repeated else None
    choices: tuple[str, ...] = ()
    if get_origin(hint) is Literal and all(isinstance(a, str) for a in get_args(hint)):
        choices, hint = get_args(hint), str
    if hint not in SCALARS and not (isinstance(hint, type) and dataclasses.is_dataclass(hint)):
        fail(
            "GC-O001",
            f"{cls.__qualname__}.{field.name} has type {field.type}",
            "use int, float, bool, str, Filler, a dataclass, tuple[T, ...] or T | None of these",
        )
    default = None if required else default
    return Plan(field.name, hint, repeated, optional, choices, default, required)


__all__ = ["SCALARS", "Plan", "plans"]
