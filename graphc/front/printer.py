"""print_message: a protobuf message as text for people: short ones on a line, floats as written.

`google.protobuf.text_format` reads it; it would itself print one field per line.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from google.protobuf.descriptor import FieldDescriptor

WIDTH = 72  # of a message on one line, its indentation apart
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def print_message(message: Any, name: str = "") -> Iterator[str]:
    """The lines of a message's fields, in order of their numbers; within `name { }` if given.

    A message given a name is opened up, what lies in it stands on one line if it fits.
    """
    fields = list(_fields(message, 0 if not name else 1))
    yield from [f"{name} {{", *fields, "}"] if name else fields


def _fields(message: Any, depth: int) -> Iterator[str]:
    """Depth is bounded by the schema: no message of Caffe's contains itself."""
    indent = "  " * depth
    for field, name, value in _entries(message):
        if field.type != FieldDescriptor.TYPE_MESSAGE:
            yield f"{indent}{name}: {_scalar(field, value)}"
            continue
        line = _one_line(name, value)
        if len(line) <= WIDTH:
            yield indent + line
        else:
            yield f"{indent}{name} {{"
            yield from _fields(value, depth + 1)
            yield f"{indent}}}"


def _entries(message: Any) -> Iterator[tuple[FieldDescriptor, str, Any]]:
    """Every value that is set, repeated fields value by value."""
    for field, value in message.ListFields():
        is_repeated = not isinstance(value, str | bytes) and hasattr(value, "__len__")
        for each in value if is_repeated else (value,):
            yield field, field.name, each


def _one_line(name: str, message: Any) -> str:
    words = [
        _one_line(label, value)
        if field.type == FieldDescriptor.TYPE_MESSAGE
        else f"{label}: {_scalar(field, value)}"
        for field, label, value in _entries(message)
    ]
    return " ".join([name, "{", *words, "}"])


def _scalar(field: FieldDescriptor, value: Any) -> str:
    if field.enum_type is not None:
        found = field.enum_type.values_by_number.get(value)
        return str(value) if found is None else str(found.name)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _float(value, field.type == FieldDescriptor.TYPE_FLOAT)
    if isinstance(value, bytes):
        return '"' + "".join(f"\\{byte:03o}" for byte in value) + '"'
    if isinstance(value, str):
        return '"' + "".join(_ESCAPES.get(c) or _visible(c) for c in value) + '"'
    return str(value)


def _visible(char: str) -> str:
    return char if char >= " " and char != "\x7f" else f"\\{ord(char):03o}"


def _float(value: float, is_single: bool) -> str:
    """The shortest decimal that reads back as the same number; 0.1, not 0.10000000149."""
    if not math.isfinite(value):
        return str(value)
    if value == int(value) and abs(value) < 1e6:
        return "-0" if value == 0 and math.copysign(1, value) < 0 else str(int(value))
    return repr(float(str(np.float32(value))) if is_single else value)


__all__ = ["print_message"]
