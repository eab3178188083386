"""Attrs dataclasses say what the schema says: field names, kinds and defaults."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from graphc.check.case import Case
from graphc.front.derive import layer_fields
from graphc.front.fields import Plan, plans
from graphc.front.schema import dialect, union
from graphc.ops.registry import all_ops
from graphc.ops.spec import OpSpec

OPS = [op for op in all_ops().values() if layer_fields(op)]
KINDS = {
    bool: {FieldDescriptor.CPPTYPE_BOOL},
    float: {FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE},
    str: {FieldDescriptor.CPPTYPE_STRING, FieldDescriptor.CPPTYPE_ENUM},
    int: {
        FieldDescriptor.CPPTYPE_INT32,
        FieldDescriptor.CPPTYPE_INT64,
        FieldDescriptor.CPPTYPE_UINT32,
        FieldDescriptor.CPPTYPE_UINT64,
    },
}


def message(schema: Any, field: str) -> Descriptor | None:
    """The message type of a field of LayerParameter."""
    found = schema.descriptor("LayerParameter").fields_by_name.get(field)
    return None if found is None else found.message_type


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.type)
def test_attrs_match_the_schema(op: type[OpSpec]) -> None:
    for field, cls in layer_fields(op):
        ours = {p.name: p for p in plans(cls)}
        if cls is op.Attrs:
            ours = {name: p for name, p in ours.items() if name not in op.extra_fields}
        merged, plain = message(union(), field), message(dialect("bvlc"), field)
        assert merged is not None, f"{field} is no field of LayerParameter"
        compare(field, ours, merged, plain)


def compare(
    where: str, ours: dict[str, Plan], merged: Descriptor, plain: Descriptor | None
) -> None:
    """Every field of ours is in the forks' union, every field of BVLC's is in ours."""
    assert set(ours) <= set(merged.fields_by_name), f"{where}: unknown fields"
    if plain is not None:
        lost = set(plain.fields_by_name) - set(ours)
        assert not lost, f"{where} lacks {sorted(lost)}"
    for name, plan in ours.items():
        field = merged.fields_by_name[name]
        at = f"{where}.{name}"
        repeated = isinstance(field.default_value, list)
        assert plan.repeated == repeated, f"{at}: repeated"
        if plan.is_message:
            assert field.message_type is not None, f"{at} is no message"
            assert plan.default in (None, (), plan.base()), f"{at} has a default of its own"
            inner = plain.fields_by_name.get(name) if plain is not None else None
            nested = {p.name: p for p in plans(plan.base)}
            compare(at, nested, field.message_type, inner.message_type if inner else None)
            continue
        assert field.cpp_type in KINDS[plan.base], f"{at} is not {plan.base.__name__}"
        if repeated:
            assert plan.default == (), at
        elif not plan.optional:
            check_default(at, plan, field)
        if plan.choices:
            names = {v.name for v in field.enum_type.values}
            assert set(plan.choices) <= names, f"{at} allows {set(plan.choices) - names}"


def check_default(at: str, plan: Plan, field: FieldDescriptor) -> None:
    expected: Any = field.default_value
    if field.enum_type is not None:
        expected = field.enum_type.values_by_number[expected].name
    if plan.base is float:
        assert np.float32(plan.default) == np.float32(expected), at
    else:
        assert plan.default == expected, at


CASES = [Case(op, i) for op in OPS for i in range(len(op.samples))]


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_attrs_survive_the_message(case: Case) -> None:
    attrs = pytest.importorskip("graphc.front.attrs")
    for limitation in case.op.limitations:
        if limitation.skips == "roundtrip":
            pytest.skip(limitation.why)
    layer = union().new("LayerParameter")
    attrs.encode(case.op, case.attrs, layer)
    assert attrs.decode(case.op, layer) == attrs.canonical(case.attrs)
