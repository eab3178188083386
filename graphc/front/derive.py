"""Derive a message from an Attrs dataclass, so that a user's layer brings its own `foo_param`."""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Any

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)

from graphc.errors import fail
from graphc.front.fields import Plan, plans
from graphc.front.merge import PACKAGE
from graphc.ir.op import Filler, Op

FIRST_NUMBER = 20_000
_TYPES: dict[type, FieldDescriptorProto.Type.ValueType] = {
    bool: FieldDescriptorProto.TYPE_BOOL,
    int: FieldDescriptorProto.TYPE_INT64,
    float: FieldDescriptorProto.TYPE_FLOAT,
    str: FieldDescriptorProto.TYPE_STRING,
}


def derived_fields(ops: Iterable[type[Op]], known: Container[str]) -> tuple[tuple[str, type], ...]:
    """(field of LayerParameter, dataclass) of every field that `ops` use and `known` lacks.

    Raises GC-O001 if two layers give one field different dataclasses.
    """
    found: dict[str, type] = {}
    for op in ops:
        for name, cls in layer_fields(op):
            if name in known:
                continue
            if found.setdefault(name, cls) is not cls:
                fail(
                    "GC-O001",
                    f"{name!r} is defined by {found[name].__qualname__} and {cls.__qualname__}",
                    "share one Attrs class, or rename a param_field",
                )
    return tuple(sorted(found.items(), key=lambda item: item[0]))


def layer_fields(op: type[Op]) -> list[tuple[str, type]]:
    """The message fields of LayerParameter that hold a layer's attributes, with dataclasses."""
    out = [(op.param_field, op.Attrs)] if op.param_field else []
    nested = {p.name: p for p in plans(op.Attrs)}
    for name in op.extra_fields:
        if name not in nested or not nested[name].is_message:
            fail("GC-O001", f"{op.Attrs.__qualname__} has no dataclass field {name!r}")
        out.append((name, nested[name].base))
    return out


def extended(file: FileDescriptorProto, fields: Iterable[tuple[str, type]]) -> FileDescriptorProto:
    """`file` with these fields in LayerParameter, numbered from 20000 in order of name."""
    out = FileDescriptorProto()
    out.CopyFrom(file)
    layer = next(m for m in out.message_type if m.name == "LayerParameter")
    extras = {name for name, _ in fields}
    for offset, (name, cls) in enumerate(fields):
        layer.field.add(
            name=name,
            number=FIRST_NUMBER + offset,
            label=FieldDescriptorProto.LABEL_OPTIONAL,
            type=FieldDescriptorProto.TYPE_MESSAGE,
            type_name=_message(out, cls, extras),
        )
    return out


def _message(file: FileDescriptorProto, cls: type, extras: set[str]) -> str:
    """Full name of the message for a dataclass, made if there is none of its name yet."""
    name = "FillerParameter" if cls is Filler else f"{cls.__name__.removesuffix('Attrs')}Parameter"
    names = {m.name for m in file.message_type}
    if cls is not Filler and cls.__name__ in names:
        name = cls.__name__
    elif name not in names:
        message = file.message_type.add(name=name)
        for number, plan in enumerate((p for p in plans(cls) if p.name not in extras), 1):
            _field(file, message, number, plan, extras)
    return f".{PACKAGE}.{name}"


def _field(
    file: FileDescriptorProto, message: DescriptorProto, number: int, plan: Plan, extras: set[str]
) -> None:
    field = message.field.add(name=plan.name, number=number)
    field.label = (
        FieldDescriptorProto.LABEL_REPEATED
        if plan.repeated
        else FieldDescriptorProto.LABEL_OPTIONAL
    )
    if plan.is_message:
        field.type = FieldDescriptorProto.TYPE_MESSAGE
        field.type_name = _message(file, plan.base, extras)
    elif plan.choices:
        field.type = FieldDescriptorProto.TYPE_ENUM
        enum = message.enum_type.add(name="".join(w.title() for w in plan.name.split("_")))
        for value, choice in enumerate(plan.choices):
            enum.value.add(name=choice, number=value)
        field.type_name = f".{PACKAGE}.{message.name}.{enum.name}"
    else:
        field.type = _TYPES[plan.base]
    if not (plan.repeated or plan.is_message) and isinstance(plan.default, (bool, int, float, str)):
        field.default_value = _default(plan.default)


def _default(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


__all__ = ["FIRST_NUMBER", "derived_fields", "extended", "layer_fields"]
