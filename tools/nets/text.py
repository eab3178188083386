"""Prints a network as prototxt in the layout of models/: one field group per line."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

Scalar = str | int | float | bool
Fields = dict[str, Any]  # field name -> scalar, nested Fields, or a list of either


class Enum(str):
    """A protobuf enum value: printed without quotes."""


@dataclass
class Layer:
    """One `layer { }`: `fields` holds what follows name, type, bottoms and tops."""

    name: str
    type: str
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]
    fields: Fields = field(default_factory=dict)


def network(name: str, layers: Iterable[Layer]) -> str:
    """The prototxt text of a whole net."""
    head = f"# Written by tools/models.py; edit tools/nets/ instead.\nname: {_scalar(name)}\n"
    return head + "".join(_layer(each) for each in layers)


def _layer(layer: Layer) -> str:
    names = {"name": layer.name, "type": layer.type}
    blobs = {"bottom": list(layer.bottoms), "top": list(layer.tops)}
    rows = [_fields(names, gap="  "), _fields(blobs, gap="  ")]
    for key, value in layer.fields.items():
        rows += [_field(key, each) for each in (value if isinstance(value, list) else [value])]
    return "layer {\n" + "".join(f"  {row}\n" for row in rows) + "}\n"


def _fields(fields: Fields, gap: str = " ") -> str:
    """`a: 1 b { c: 2 }`: lists repeat their key."""
    parts = []
    for key, value in fields.items():
        parts += [_field(key, each) for each in (value if isinstance(value, list) else [value])]
    return gap.join(parts)


def _field(key: str, value: Any) -> str:
    if isinstance(value, dict):
        return f"{key} {{ {_fields(value)} }}"
    assert not isinstance(value, list)
    return f"{key}: {_scalar(value)}"


def _scalar(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Enum):
        return str.__str__(value)
    return f'"{value}"' if isinstance(value, str) else repr(value)
