"""What `--set path=value` puts into a field: text, or Python's own values, checked against it."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from typing import Any, NoReturn

from google.protobuf.descriptor import FieldDescriptor

from graphc.errors import fail, near

F = FieldDescriptor
_RANGES = {
    F.CPPTYPE_INT32: (-(1 << 31), (1 << 31) - 1),
    F.CPPTYPE_UINT32: (0, (1 << 32) - 1),
    F.CPPTYPE_INT64: (-(1 << 63), (1 << 63) - 1),
    F.CPPTYPE_UINT64: (0, (1 << 64) - 1),
}
_BOOLS = {"true": True, "false": False, "1": True, "0": False}
_INTEGER = re.compile(r"[+-]?\d{1,40}")
_ITEM = re.compile(r"""(\s*"[^"]*"\s*|\s*'[^']*'\s*|[^,]*)(,|\Z)""")
_MAX_FLOAT = 3.4028235677973366e38  # what float32 would round to infinity begins here
_SHOWN = 60


def scalar(field: FieldDescriptor, value: Any) -> Any:
    """`value` as a number, bool, text or enum number of `field`. Raises GC-R004."""
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if isinstance(value, str) and field.cpp_type != F.CPPTYPE_STRING:
        value = value.strip()
    kind = field.cpp_type
    if kind == F.CPPTYPE_STRING:
        return _text(field, value)
    if kind == F.CPPTYPE_BOOL:
        return _bool(field, value)
    if kind == F.CPPTYPE_ENUM:
        return _enum(field, value)
    if kind in _RANGES:
        return _integer(field, value)
    return _number(field, value)


def items(value: Any) -> Sequence[Any]:
    """The elements of a whole list: of Python, or of text `1, 2` or `["a,b", c]`; "" has none."""
    if isinstance(value, list | tuple):
        return value
    if not isinstance(value, str):
        return [value]
    text = value.strip()
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1].strip()
    found: list[str] = []
    for match in _ITEM.finditer(text) if text else ():
        found.append(match[1].strip())
        if not match[2]:
            break
    return found


def message_text(field: FieldDescriptor, value: Any) -> str:
    """What stands within the braces. Raises GC-R004 for anything else than `{ ... }`."""
    text = value.strip() if isinstance(value, str) else ""
    if len(text) < 2 or text[0] != "{" or text[-1] != "}":
        names = ", ".join(list(field.message_type.fields_by_name)[:6])
        told = f"{field.name!r} has fields of its own, and is no {_shown(value)}"
        fail("GC-R004", told, f"name one of them ({names}, ..), or write {{ field: value }}")
    return text[1:-1]


def _text(field: FieldDescriptor, value: Any) -> str | bytes:
    if not isinstance(value, str):
        _wrong(field, value, "text")
    text = value
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1]
    try:
        data = text.encode()
    except UnicodeEncodeError:
        _wrong(field, value, "UTF-8 text")
    return data if field.type == F.TYPE_BYTES else text


def _bool(field: FieldDescriptor, value: Any) -> bool:
    found = _BOOLS.get(str(value).lower()) if isinstance(value, str | int) else None
    if found is None:
        _wrong(field, value, "true or false")
    return found


def _enum(field: FieldDescriptor, value: Any) -> int:
    values = field.enum_type.values_by_name
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, str):
        folded = {name.casefold(): entry.number for name, entry in values.items()}
        if value.casefold() in folded:
            return int(folded[value.casefold()])
        if value.isdecimal() and len(value) < 10 and int(value) in field.enum_type.values_by_number:
            return int(value)
    hint = near(str(value)[:_SHOWN], values) or f"one of {', '.join(values)}"
    fail("GC-R004", f"{field.name!r} cannot be {_shown(value)}", hint)


def _integer(field: FieldDescriptor, value: Any) -> int:
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        value = int(value)
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        _wrong(field, value, "a whole number")
    low, high = _RANGES[field.cpp_type]
    number = int(value)
    if not low <= number <= high:
        fail("GC-R004", f"{field.name!r} cannot be {_shown(number)}", f"from {low} to {high}")
    return number


def _number(field: FieldDescriptor, value: Any) -> float:
    if isinstance(value, bool) or not (isinstance(value, str) or hasattr(value, "__float__")):
        _wrong(field, value, "a number")
    try:
        number = float(value)
    except (ValueError, OverflowError):
        _wrong(field, value, "a number")
    is_single = field.cpp_type == F.CPPTYPE_FLOAT
    if is_single and math.isfinite(number) and abs(number) >= _MAX_FLOAT:
        fail("GC-R004", f"{field.name!r} cannot be {_shown(value)}", "float32 ends at 3.4e38")
    return number


def _wrong(field: FieldDescriptor, value: Any, expected: str) -> NoReturn:
    fail("GC-R004", f"{field.name!r} is {expected}, and not {_shown(value)}")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


__all__ = ["items", "message_text", "scalar"]
