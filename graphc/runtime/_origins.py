"""traced: say which record of a data layer a wrong label comes from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from graphc.errors import GraphError
from graphc.ir.graph import Node, Value
from graphc.ir.op import Effect

_LABEL = "GC-D003"
_PLACE = re.compile(r" at (?:[(\[](?P<row>\d+)|element (?P<element>\d+))")


def traced(
    error: GraphError, node: Node, sources: Mapping[Node, Any], begun: Mapping[Node, Any]
) -> GraphError:
    """`error` of `node`, and, if it is about a value of a data layer, the record it comes from.

    `sources`: what the data layers have opened, `begun`: where their last batches begin.
    """
    place = _PLACE.search(error.message) if error.code == _LABEL else None
    value = _from_source(node)
    if place is None or value is None or value.producer is None or value.type is None:
        return error
    maker = value.producer
    rows = value.type.shape[0] if value.type.shape else 1
    row = int(place["row"] or 0)
    if place["element"]:
        row = int(place["element"]) * rows // max(1, value.type.size)
    with suppress(Exception):  # the error itself matters more than where it comes from
        record = sources[maker].origin(begun[maker], row)
        told = f"{error.message}; layer {maker.name!r} read it from {record}"
        return GraphError(
            error.code, told, error.hint, loc=error.loc, layer=error.layer, type_=error.type_
        )
    return error


def _from_source(node: Node) -> Value | None:
    """The last bottom that a data layer has made: labels come after what they label."""
    made = [
        value
        for value in node.ins.values()
        if value.producer is not None and value.producer.has(Effect.SOURCE)
    ]
    return made[-1] if made else None


__all__ = ["traced"]
