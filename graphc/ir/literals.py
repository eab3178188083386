"""Attribute values as text: what may stand after `=` in the IR's text form.

    3   0.5   0.1f   -inf   true   none   "text"   (1, 2)   Filler(type="xavier", std=0.01f)

A number with an `f` is the float32 next to it. A dataclass shows the fields that differ from their
defaults, these rounded to float32, as Caffe's files have them. `graphc.ir.tokens` reads it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields, is_dataclass, replace
from functools import lru_cache
from typing import Any, get_type_hints

from graphc.errors import GraphError, fail
from graphc.ir.types import to_f32
from graphc.numpy_later import np

_WORD = re.compile(r"[A-Za-z_]\w*", re.ASCII)


def quoted(text: str) -> str:
    """A string in double quotes, all but plain ASCII escaped as in JSON."""
    return json.dumps(text)


def word(text: str) -> str:
    """`text` as it is if it looks like a name, else quoted."""
    return text if _WORD.fullmatch(text) and text not in ("inf", "nan") else quoted(text)


def literal(value: Any) -> str:
    """The text of an attribute value. Raises GC-V001 for a kind of value that attributes lack."""
    if value is None:
        return "none"
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, int | np.integer):
        return str(int(value))
    if isinstance(value, float | np.floating):
        return _float(float(value))
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, tuple):
        return "(" + ", ".join(map(literal, value)) + ")"
    if is_dataclass(value) and not isinstance(value, type):
        return f"{type(value).__name__}({', '.join(f'{k}={v}' for k, v in shown_fields(value))})"
    fail("GC-V001", f"an attribute is a {type(value).__name__}, which has no text form")


def _float(value: float) -> str:
    """The shorter of the exact decimal of a float64, and of a float32 with an `f`."""
    exact = repr(value)
    if to_f32(value) != value:
        return exact
    short = repr(float(str(np.float32(value))))
    is_same = len(short) + 1 < len(exact) and to_f32(float(short)) == value
    return short + "f" if is_same else exact


def default_of(field: Field[Any]) -> Any:
    """The default of a dataclass field with floats rounded to float32; MISSING if it has none."""
    if field.default_factory is not MISSING:
        return _rounded(field.default_factory())
    return _rounded(field.default)


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return to_f32(value)
    if isinstance(value, tuple):
        return tuple(map(_rounded, value))
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{f.name: _rounded(getattr(value, f.name)) for f in fields(value)})
    return value


def shown_fields(instance: Any) -> Iterator[tuple[str, str]]:
    """(name, literal) of each field of a dataclass that differs from its default."""
    for field in fields(instance):
        text, default = literal(getattr(instance, field.name)), default_of(field)
        if default is MISSING or literal(default) != text:
            yield field.name, text


@lru_cache(maxsize=1024)
def hints_of(cls: type) -> dict[str, Any]:
    """Field name -> type hint of a dataclass. Raises GC-O001 if the hints cannot be read."""
    if not is_dataclass(cls):
        fail("GC-O001", f"{cls.__qualname__} is no dataclass")
    try:
        hints = get_type_hints(cls)
    except Exception as error:  # hints are expressions of whoever wrote the class
        fail("GC-O001", f"the type hints of {cls.__qualname__} cannot be read: {error}")
    return {field.name: hints[field.name] for field in fields(cls)}


@lru_cache(maxsize=1024)
def _coarse_defaults(cls: type) -> dict[str, Any]:
    """The defaults that are no float32, rounded, by field name."""
    rounded = {f.name: default_of(f) for f in fields(cls)}
    exact = {f.name: f.default for f in fields(cls) if f.default is not MISSING}
    return {k: v for k, v in rounded.items() if v is not MISSING and exact.get(k, MISSING) != v}


def build(cls: type, given: dict[str, Any]) -> Any:
    """An instance of a dataclass from some of its fields; GC-V002 if one without default lacks."""
    try:
        return cls(**_coarse_defaults(cls) | given)
    except GraphError:
        raise
    except Exception as error:  # the class may check its fields
        fail("GC-V002", f"{cls.__name__} cannot be made: {error}")


__all__ = ["build", "hints_of", "literal", "quoted", "shown_fields", "word"]
