"""Merge the schema of a fork into that of BVLC: by name for text, by number for binaries.

Forks use each other's field numbers for different things. Text names its fields, so one union of
all forks reads it; there a number that is taken gives way to a private one. A binary has nothing
but numbers, so there the fork's meaning of a number replaces the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)

PACKAGE = "caffe"
PRIVATE = 40_000
_INTEGERS = {
    FieldDescriptorProto.TYPE_INT32,
    FieldDescriptorProto.TYPE_INT64,
    FieldDescriptorProto.TYPE_UINT32,
    FieldDescriptorProto.TYPE_UINT64,
}

MergeFields = Callable[[DescriptorProto, FieldDescriptorProto], None]
MergeValues = Callable[[EnumDescriptorProto, EnumDescriptorProto], None]


def union(base: FileDescriptorProto, forks: Iterable[FileDescriptorProto]) -> FileDescriptorProto:
    """All messages and fields of `base` and `forks` by name; definitions of `base` stand."""
    own = {(m.name, f.name) for m in base.message_type for f in m.field}

    def add(message: DescriptorProto, field: FieldDescriptorProto) -> None:
        known = next((f for f in message.field if f.name == field.name), None)
        if known is None:
            field.number = _free(field.number, {f.number for f in message.field})
            message.field.append(field)
        elif (message.name, field.name) not in own:
            _widen(message, known, field)

    return _merged(base, forks, add, _union_values)


def overlaid(
    base: FileDescriptorProto, forks: Iterable[FileDescriptorProto]
) -> FileDescriptorProto:
    """`base` as a fork has it: of each name and of each number the last definition stands.

    Numbers that a fork reserves are fields it lacks.
    """

    def replace(message: DescriptorProto, field: FieldDescriptorProto) -> None:
        _drop(message.field, field)
        message.field.append(field)

    out = base
    for fork in forks:
        lacking = FileDescriptorProto()
        lacking.CopyFrom(out)
        gone = {m.name: m.reserved_range for m in fork.message_type}
        for message in lacking.message_type:
            for span in gone.get(message.name, ()):
                kept = [f for f in message.field if not span.start <= f.number < span.end]
                del message.field[:]
                message.field.extend(kept)
        out = _merged(lacking, [fork], replace, _replace_values)
    return out


def _merged(
    base: FileDescriptorProto,
    forks: Iterable[FileDescriptorProto],
    merge_field: MergeFields,
    merge_values: MergeValues,
) -> FileDescriptorProto:
    out = FileDescriptorProto()
    out.CopyFrom(base)
    for fork in forks:
        source = FileDescriptorProto()
        source.CopyFrom(fork)
        _merge_enums(out.enum_type, source.enum_type, merge_values)
        for message in source.message_type:
            known = next((m for m in out.message_type if m.name == message.name), None)
            if known is None:
                known = out.message_type.add(name=message.name)
                known.nested_type.extend(message.nested_type)
            _merge_enums(known.enum_type, message.enum_type, merge_values)
            for field in message.field:
                merge_field(known, field)
    for message in out.message_type:
        _home(message)
    return out


def _home(message: DescriptorProto) -> None:
    """Let fields refer to the merged package instead of a fork's."""
    for field in message.field:
        if field.type_name:
            field.type_name = f".{PACKAGE}." + field.type_name.split(".", 2)[2]
    for inner in message.nested_type:
        _home(inner)


def _merge_enums(into: Any, source: Iterable[EnumDescriptorProto], merge: MergeValues) -> None:
    for enum in source:
        known = next((e for e in into if e.name == enum.name), None)
        if known is None:
            into.append(enum)
        else:
            merge(known, enum)


def _union_values(known: EnumDescriptorProto, enum: EnumDescriptorProto) -> None:
    for value in enum.value:
        if all(v.name != value.name for v in known.value):
            value.number = _free(value.number, {v.number for v in known.value})
            known.value.append(value)


def _replace_values(known: EnumDescriptorProto, enum: EnumDescriptorProto) -> None:
    for value in enum.value:
        _drop(known.value, value)
        known.value.append(value)


def _drop(entries: Any, new: Any) -> None:
    """Remove what has the name or the number of `new`."""
    kept = [e for e in entries if e.name != new.name and e.number != new.number]
    del entries[:]
    entries.extend(kept)


def _free(number: int, taken: set[int]) -> int:
    """`number`, or the next free private one."""
    if number not in taken:
        return number
    return max(PRIVATE - 1, *taken) + 1


def _widen(
    message: DescriptorProto, known: FieldDescriptorProto, field: FieldDescriptorProto
) -> None:
    """Make `known` hold what either fork writes: several values, larger integers."""
    if field.label == FieldDescriptorProto.LABEL_REPEATED != known.label:
        known.label = FieldDescriptorProto.LABEL_REPEATED
        known.ClearField("default_value")
    if known.type == field.type:
        return
    if not {known.type, field.type} <= _INTEGERS:
        raise AssertionError(f"{message.name}.{field.name} has types that do not mix")
    known.type = FieldDescriptorProto.TYPE_INT64


__all__ = ["PACKAGE", "PRIVATE", "overlaid", "union"]
