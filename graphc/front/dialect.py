"""Read a binary NetParameter in the dialect of the fork that wrote it.

Forks gave the same field numbers different meanings, so a file may parse in several dialects. It
is accepted when all readings that are possible say the same; a choice is never guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from graphc.data.wire import BYTES, fields
from graphc.errors import GraphError, fail
from graphc.front.schema import DIALECTS, Schema, dialect, is_repeated, union
from graphc.limits import Limits
from graphc.ops import registry

AUTO = "auto"
_BLOBS = {"layer": "blobs", "layers": "blobs"}


def decode_binary(
    data: bytes | memoryview,
    name: str = AUTO,
    *,
    limits: Limits | None = None,
    plausible: Callable[[Any], bool] | None = None,
) -> Any:
    """A NetParameter of the union schema from its bytes.

    With `name` "auto" every dialect is tried; those remain that know all fields, then those whose
    parameters suit the layer types best, then those whose net `plausible` accepts. Raises GC-P002
    for what is no NetParameter, GC-P003 if none or several different readings remain, GC-L001.
    """
    limits, view = limits or Limits(), memoryview(data)
    limits.check("binary_bytes", len(view), "the size of the file in bytes")
    names = list(DIALECTS) if name == AUTO else [name]
    schemas = {n: dialect(n) for n in names}
    _count(view, dialect("bvlc"), limits)
    whole = _parse(bytes(view), dialect("bvlc"))
    if not whole.layer and not whole.layers:
        fail("GC-P002", f"{len(view):,} bytes hold no layer of a network")
    blobs = _take_blobs(whole)
    skeleton = whole.SerializePartialToString()
    readings: dict[bytes, tuple[Any, list[str]]] = {}
    failures: list[str] = []
    for dialect_name, schema in schemas.items():
        try:
            net = _reading(skeleton, schema)
        except GraphError as error:
            failures.append(f"{dialect_name}: {error.message}")
            continue
        key = net.SerializePartialToString(deterministic=True)
        readings.setdefault(key, (net, []))[1].append(dialect_name)
    if not readings:
        fail("GC-P003", f"no dialect fits ({failures[0]})", "give the net as a prototxt")
    net = _choose(list(readings.values()), plausible)
    _put_blobs(net, blobs)
    return net


def _choose(readings: list[tuple[Any, list[str]]], plausible: Callable[[Any], bool] | None) -> Any:
    """The one reading that evidence leaves. Raises GC-P003 if several remain."""
    if len(readings) > 1:
        misfits = [_misfits(net) for net, _ in readings]
        readings = [r for r, m in zip(readings, misfits, strict=True) if m == min(misfits)]
    if len(readings) > 1 and plausible is not None:
        readings = [r for r in readings if plausible(r[0])] or readings
    if len(readings) > 1:
        groups = " or ".join("/".join(names) for _, names in readings)
        fail(
            "GC-P003",
            f"the file reads differently as {groups}: {_difference(*(r[0] for r in readings[:2]))}",
            "name the fork that wrote it with --dialect, or give the net as a prototxt",
        )
    return readings[0][0]


def _reading(data: bytes, schema: Schema) -> Any:
    """The net in the union schema, if `schema` knows all of it. Raises GraphError if not."""
    message, net = _parse(data, schema), union().new("NetParameter")
    try:
        strange = next(_unknown(message), "")
        if strange:
            fail("GC-P003", f"{strange} is unknown")
        _transfer(message, net)
    except UnicodeDecodeError as error:
        fail("GC-P002", f"a text is not UTF-8: {error}")
    return net


def _parse(data: bytes, schema: Schema) -> Any:
    message = schema.new("NetParameter")
    try:
        message.MergeFromString(data)
    except (DecodeError, ValueError, RecursionError) as error:
        fail("GC-P002", f"the file is no binary NetParameter: {error}")
    return message


def _count(data: memoryview, schema: Schema, limits: Limits) -> None:
    """Count fields and layers before anything is parsed. Raises GC-L001, GC-P002."""
    todo = [(data, schema.descriptor("NetParameter"))]
    used = layers = 0
    while todo:
        message, descriptor = todo.pop()
        for number, kind, value in fields(message, limits.binary_fields + 1):
            used += 1
            limits.check("binary_fields", used, "the number of fields of the file")
            field = descriptor.fields_by_number.get(number)
            if field is None or field.message_type is None or isinstance(value, int):
                continue
            if kind == BYTES:
                todo.append((value, field.message_type))
            if descriptor.name == "NetParameter" and field.name in _BLOBS:
                layers += 1
                limits.check("layers", layers, "the number of layers")


def _take_blobs(net: Any) -> list[tuple[str, int, list[bytes]]]:
    """Remove the layers' blobs, whose numbers all forks share, so that no dialect copies them."""
    found: list[tuple[str, int, list[bytes]]] = []
    for name, blobs in _BLOBS.items():
        for index, layer in enumerate(getattr(net, name)):
            if getattr(layer, blobs):
                found.append(
                    (name, index, [b.SerializePartialToString() for b in getattr(layer, blobs)])
                )
                layer.ClearField(blobs)
    return found


def _put_blobs(net: Any, blobs: list[tuple[str, int, list[bytes]]]) -> None:
    for name, index, parts in blobs:
        for part in parts:
            getattr(getattr(net, name)[index], _BLOBS[name]).add().MergeFromString(part)


def _unknown(message: Any) -> Iterator[str]:
    """Yield what a message has that its schema does not name."""
    strange = UnknownFieldSet(message)
    for index in range(len(strange)):
        yield f"field {strange[index].field_number} of {message.DESCRIPTOR.name}"
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in value if is_repeated(field) else (value,):
                yield from _unknown(part)


def _transfer(source: Any, target: Any) -> None:
    """Copy by field name, enum values by name too. Raises GC-U001."""
    for field, value in source.ListFields():
        goal = target.DESCRIPTOR.fields_by_name[field.name]
        items = list(value) if is_repeated(field) else [value]
        if len(items) > 1 and not is_repeated(goal):
            fail("GC-U001", f"{source.DESCRIPTOR.name}.{field.name} has {len(items)} values")
        for item in items:
            if field.message_type is not None:
                slot = getattr(target, field.name)
                if is_repeated(goal):
                    slot = slot.add()
                else:
                    slot.SetInParent()
                _transfer(item, slot)
                continue
            if field.enum_type is not None:
                name = field.enum_type.values_by_number[item].name
                item = goal.enum_type.values_by_name[name].number
            if is_repeated(goal):
                getattr(target, field.name).append(item)
            else:
                setattr(target, field.name, item)


def _misfits(net: Any) -> int:
    """How many parameter messages stand in a layer of a type that does not read them."""
    ops, count = registry.all_ops(), 0
    for layer in net.layer:
        op = ops.get(layer.type)
        read = {op.param_field, *op.extra_fields} if op is not None else set()
        for field, _ in layer.ListFields():
            if field.name.endswith("_param") and field.name not in read:
                count += _squash(field.name.removesuffix("_param")) != _squash(layer.type)
    return count


def _squash(name: str) -> str:
    return name.replace("_", "").casefold()


def _difference(left: Any, right: Any) -> str:
    """The first layer that two readings disagree on."""
    for a, b in zip(left.layer, right.layer, strict=False):
        if a != b:
            what = sorted({_said(a), _said(b)})
            return f"layer {a.name!r} has {' or '.join(what)}"
    return "their net-level fields differ"


def _said(layer: Any) -> str:
    names = [f.name for f, _ in layer.ListFields() if f.message_type is not None]
    return ", ".join(names) or "no parameters"


__all__ = ["AUTO", "decode_binary"]
