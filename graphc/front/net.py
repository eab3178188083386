"""Read a net: file or text -> definition -> upgrades -> graph."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from graphc.errors import GraphError, Loc, fail
from graphc.files import map_file
from graphc.front.build import build
from graphc.front.definition import Definition
from graphc.front.dialect import AUTO, decode_binary
from graphc.front.overrides import NetOverrides, Overrides
from graphc.front.prototxt import decode_text, parse
from graphc.front.schema import check_dialect, schema_for, union
from graphc.front.upgrade import upgrade
from graphc.ir.graph import Graph
from graphc.ir.infer import infer
from graphc.ir.op import Effect, Trait
from graphc.ir.provenance import Record
from graphc.ir.types import Phase
from graphc.limits import Limits
from graphc.ops import registry

_TEXT, _BINARY = (".prototxt", ".pbtxt", ".txt"), (".caffemodel", ".binaryproto", ".pb")
_HDF5 = b"\x89HDF"
_CONTROL = bytes(c for c in range(32) if c not in b"\t\n\v\f\r\x1a") + b"\x7f"
_SNIFFED = 4_096
# A reading of a binary that ends in one of these is none that Caffe could have written.
_IMPOSSIBLE = ("GC-N", "GC-S001", "GC-S002", "GC-S003", "GC-W001", "GC-W003")


def read_net(
    path: str | Path,
    *,
    phase: Phase = "TEST",
    level: int = 0,
    stages: Iterable[str] = (),
    limits: Limits | None = None,
    dialect: str = AUTO,
    set: Overrides | NetOverrides = (),
) -> Graph:
    """The graph, still without types, of a prototxt or a binary NetParameter.

    `dialect` names the Caffe fork that wrote a binary; text is read by field name and needs none.
    `set`: overrides, path -> value; NetOverrides are for several networks, and their reader calls
    `check` after the last. Raises GC-F001, GC-L001, GC-P00x, GC-N00x, GC-U001 with file, line and
    layer, GC-R002 and GC-R004 for overrides.
    """
    limits, file = limits or Limits(), str(path)
    if dialect != AUTO:
        check_dialect(dialect)
    state: dict[str, Any] = {"phase": phase, "level": level, "stages": tuple(stages)}
    state |= {"base": Path(path).parent, "limits": limits}
    try:
        data = map_file(path)
        if not is_binary(data, Path(path).suffix):
            limits.check("text_bytes", len(data), "the size of the file in bytes")
            return parse_net(decode_text(data), file=file, set=set, **state)
        if bytes(data[:4]) == _HDF5:
            fail("GC-P002", "this is an HDF5 file of weights", "give the net's prototxt first")

        def plausible(net: Any) -> bool:
            copy = union().new("NetParameter")
            copy.CopyFrom(net)
            return _possible(Definition(copy, file), state)

        net = decode_binary(data, dialect, limits=limits, plausible=plausible)
        return _graph(Definition(net, file), state, set)
    except GraphError as error:
        raise error.at(loc=Loc(file)) from None


def parse_net(
    text: str,
    *,
    file: str = "<text>",
    base: Path | None = None,
    phase: Phase = "TEST",
    level: int = 0,
    stages: Iterable[str] = (),
    limits: Limits | None = None,
    set: Overrides | NetOverrides = (),
) -> Graph:
    """The graph, still without types, of a prototxt's text; `base` is where its paths start, `set`
    as in `read_net`.

    Raises GC-L001, GC-P00x, GC-N00x, GC-U001 with file, line and layer, GC-R002, GC-R004.
    """
    state: dict[str, Any] = {"phase": phase, "level": level, "stages": tuple(stages)}
    state |= {"base": base, "limits": limits or Limits()}
    return _graph(definition(text, file=file, limits=limits), state, set)


def net_of(
    message: Any,
    *,
    file: str,
    phase: Phase = "TEST",
    level: int = 0,
    stages: Iterable[str] = (),
    limits: Limits | None = None,
    set: Overrides | NetOverrides = (),
) -> Graph:
    """The graph, still without types, of a NetParameter within another message, such as a solver's
    net_param; `message` stays as it is.

    `file`: what the message was read from; paths start in its folder. Raises as `parse_net`, with
    file and layer.
    """
    copy = type(message)()
    copy.CopyFrom(message)
    state: dict[str, Any] = {"phase": phase, "level": level, "stages": tuple(stages)}
    state |= {"base": Path(file).parent, "limits": limits or Limits()}
    return _graph(Definition(copy, file), state, set)


def definition(text: str, *, file: str = "<text>", limits: Limits | None = None) -> Definition:
    """The definition that a text holds, not upgraded yet. Raises GC-L001, GC-P001."""
    schema = schema_for(registry.all_ops().values())
    net, counted = parse(text, "NetParameter", schema, file=file, limits=limits)
    return Definition(net, file, counted.lines)


def is_binary(data: memoryview, suffix: str = "") -> bool:
    """Is this a binary file? By its suffix, or by control characters, which text has none of."""
    if suffix.lower() in (*_TEXT, *_BINARY):
        return suffix.lower() in _BINARY
    start = bytes(data[:_SNIFFED])
    return start.translate(None, _CONTROL) != start


def _graph(source: Definition, state: dict[str, Any], set: Overrides | NetOverrides = ()) -> Graph:
    changes = set if isinstance(set, NetOverrides) else NetOverrides(set)
    told = changes.apply_old(source.net)
    if not source.net.layer and not source.net.layers:
        raise GraphError("GC-P001", "no layer in this file", loc=Loc(source.file))
    upgrade(source)
    told += changes.apply(source, state["phase"], state["level"], state["stages"])
    if changes is not set:
        changes.check()
    graph = build(source, **state)
    if told:
        graph.history.append(Record("set", True, told))
    return graph


def _possible(source: Definition, state: dict[str, Any]) -> bool:
    """Could Caffe have run this net? Data sources are not opened to find out."""
    try:
        graph = _graph(source, state)
        if not any(n.has(Effect.SOURCE) and not n.has(Trait.FEED) for n in graph.nodes):
            infer(graph)
    except GraphError as error:
        return not error.code.startswith(_IMPOSSIBLE)
    return True


__all__ = ["definition", "is_binary", "net_of", "parse_net", "read_net"]
