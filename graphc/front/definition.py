"""Definition: a NetParameter message on its way to a graph, with the place of each layer."""

from __future__ import annotations

from dataclasses import field
from typing import Any

from graphc.errors import GraphError, Loc
from graphc.records import record

_SHOWN = 100  # characters of a name in an error


@record
class Definition:
    """`net` is a NetParameter of the union schema; `lines[i]` is where its layer i begins (0: not
    known). `notes` are remarks for the user, `dropped` the net inputs that had no shape."""

    net: Any
    file: str
    lines: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)

    def loc(self, layer: int) -> Loc:
        return Loc(self.file, self.lines[layer] if layer < len(self.lines) else 0)

    def located(self, error: GraphError, layer: int, message: Any) -> GraphError:
        """Fill in the place of an error at layer `layer`, which `message` describes."""
        kind = str(message.type) if isinstance(message.type, str) else ""
        return error.at(loc=self.loc(layer), layer=message.name[:_SHOWN], type_=kind[:_SHOWN])


__all__ = ["Definition"]
