"""Attributes of a layer from and to its protobuf message, by the type hints of its Attrs class.

Floats become the float32 numbers that Caffe would hold, defaults too, so that a value written out
and the same default left out compare equal.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from google.protobuf.descriptor import FieldDescriptor

from graphc.errors import fail
from graphc.front.derive import layer_fields
from graphc.front.fields import Plan, plans
from graphc.front.leftovers import check_layer, check_param
from graphc.front.schema import is_repeated, is_required
from graphc.ir.graph import near
from graphc.ir.op import Op


def decode(op: type[Op], layer: Any, notes: list[str] | None = None) -> Any:
    """The Attrs of a LayerParameter whose type is `op`'s.

    Fields that are set but that the Attrs lacks are never dropped in silence: harmless ones are
    told in `notes`, others raise GC-U001. Raises GC-P001 for a required field left out, GC-O001
    for an Attrs that does not fit the schema.
    """
    notes = [] if notes is None else notes
    check_layer(op, layer, notes)
    layer_fields(op)  # raises GC-O001 for extra_fields that the Attrs lacks
    nested: dict[str, Any] = {}
    for plan in plans(op.Attrs):
        if plan.name in op.extra_fields:
            part = _part(layer, plan.name)
            nested[plan.name] = (
                canonical(plan.default)
                if part is None
                else _read(plan.base, part, plan.name, op, notes, skip=())
            )
    own = _part(layer, op.param_field) if op.param_field else None
    return _read(op.Attrs, own, op.param_field or "", op, notes, tuple(nested), nested)


def encode(op: type[Op], attrs: Any, layer: Any) -> None:
    """Write what differs from the defaults into a LayerParameter. Raises GC-N008 for a value that
    the field cannot hold, GC-O001 for an Attrs that does not fit the schema."""
    layer_fields(op)  # raises GC-O001 for extra_fields that the Attrs lacks
    if op.param_field is not None:
        _known(layer, op.param_field)
        _write(attrs, getattr(layer, op.param_field), op.param_field, op.extra_fields)
    for plan in plans(attrs.__class__):
        if plan.name in op.extra_fields:
            _known(layer, plan.name)
            _write_part(getattr(attrs, plan.name), plan, getattr(layer, plan.name), plan.name)


def canonical(attrs: Any) -> Any:
    """`attrs` as a prototxt would carry it: every float rounded to float32."""
    if isinstance(attrs, float):
        with np.errstate(over="ignore", invalid="ignore"):
            return float(np.float32(attrs))
    if isinstance(attrs, tuple):
        return tuple(map(canonical, attrs))
    if dataclasses.is_dataclass(attrs) and not isinstance(attrs, type):
        return dataclasses.replace(
            attrs, **{p.name: canonical(getattr(attrs, p.name)) for p in plans(attrs.__class__)}
        )
    return attrs


def _part(layer: Any, name: str) -> Any:
    """The sub-message if it is there, else None."""
    _known(layer, name)
    return getattr(layer, name) if layer.HasField(name) else None


def _known(layer: Any, name: str) -> None:
    if name not in layer.DESCRIPTOR.fields_by_name:
        fail("GC-O001", f"the schema has no layer field {name!r}; make it with schema_for")


def _read(
    cls: type,
    message: Any,
    path: str,
    op: type[Op],
    notes: list[str],
    skip: tuple[str, ...],
    ready: dict[str, Any] | None = None,
) -> Any:
    """An instance of `cls` from `message` (None: all defaults); `ready` are values made before."""
    values = dict(ready or {})
    known = set(skip)
    for plan in plans(cls):
        if plan.name in skip:
            continue
        known.add(plan.name)
        if message is None:
            if not plan.required:
                values[plan.name] = canonical(plan.default)
            continue
        field = _field(message, plan.name, cls)
        where = f"{path}.{plan.name}"
        if is_repeated(field):
            items = getattr(message, plan.name)
            values[plan.name] = tuple(_value(v, plan, field, where, op, notes) for v in items)
        elif message.HasField(plan.name):
            values[plan.name] = _value(getattr(message, plan.name), plan, field, where, op, notes)
        elif is_required(field):
            fail("GC-P001", f"{where} is required", f"add it: {path} {{ {plan.name}: ... }}")
        elif not plan.required:
            values[plan.name] = canonical(plan.default)
    if message is not None:
        check_param(op, path, message, frozenset(known), notes)
    missing = [p.name for p in plans(cls) if p.required and p.name not in values]
    if missing:
        fail("GC-N008", f"{path}.{missing[0]} must be given")
    return cls(**values)


def _field(message: Any, name: str, cls: type) -> FieldDescriptor:
    field: FieldDescriptor | None = message.DESCRIPTOR.fields_by_name.get(name)
    if field is None:
        fail("GC-O001", f"{cls.__qualname__}.{name} is no field of {message.DESCRIPTOR.name}")
    return field


def _value(
    value: Any, plan: Plan, field: FieldDescriptor, path: str, op: type[Op], notes: list[str]
) -> Any:
    if plan.is_message:
        return _read(plan.base, value, path, op, notes, skip=())
    if field.enum_type is not None:
        return field.enum_type.values_by_number[value].name
    return plan.base(value)


def _write(attrs: Any, message: Any, path: str, skip: tuple[str, ...]) -> None:
    for plan in plans(attrs.__class__):
        value = getattr(attrs, plan.name)
        if plan.name in skip or _is_default(value, plan):
            continue
        field = _field(message, plan.name, attrs.__class__)
        where = f"{path}.{plan.name}"
        if is_repeated(field):
            values = value if isinstance(value, tuple) else (value,)
            for item in values:
                if plan.is_message:
                    _write(item, getattr(message, plan.name).add(), where, ())
                else:
                    _set(message, plan.name, _scalar(item, field, where), where, append=True)
        elif plan.is_message:
            _write_part(value, plan, getattr(message, plan.name), where)
        else:
            _set(message, plan.name, _scalar(value, field, where), where)


def _write_part(value: Any, plan: Plan, part: Any, path: str) -> None:
    if not _is_default(value, plan):
        part.SetInParent()
        _write(value, part, path, ())


def _is_default(value: Any, plan: Plan) -> bool:
    """Does leaving the field out say the same? Where presence matters, only None is left out."""
    if plan.optional:
        return value is None
    return not plan.required and bool(canonical(value) == canonical(plan.default))


def _scalar(value: Any, field: FieldDescriptor, path: str) -> Any:
    """`value` as the field stores it: an enum's number for its name."""
    if field.enum_type is None:
        return value
    found = field.enum_type.values_by_name.get(value)
    if found is None:
        names = list(field.enum_type.values_by_name)
        hint = near(str(value), names) or f"one of {', '.join(names)}"
        fail("GC-N008", f"{path} is {value!r}", hint)
    return found.number


def _set(message: Any, name: str, value: Any, path: str, *, append: bool = False) -> None:
    try:
        if append:
            getattr(message, name).append(value)
        else:
            setattr(message, name, value)
    except (TypeError, ValueError, OverflowError) as error:
        fail("GC-N008", f"{path} cannot hold {value!r}: {error}")


__all__ = ["canonical", "decode", "encode"]
