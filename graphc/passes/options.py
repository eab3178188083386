"""Options of a pass: its dataclass fields, converted from text and TOML and checked."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import MISSING, replace
from pathlib import Path
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from graphc.errors import GraphError, fail, near
from graphc.passes.base import Pass

_KINDS = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a text",
    Path: "a path",
}
_BOOLS = {"true": True, "1": True, "false": False, "0": False}


def build(cls: type[Pass], options: Mapping[str, Any]) -> Pass:
    """Instantiate a pass class from options by name; text is converted to the options' types.

    Raises GC-T001 for an unknown, missing or wrong option, and for a class without a name.
    """
    check_name(cls)
    known = cls.defaults()
    for key in options:
        if key not in known:
            hint = near(key, known) or f"its options: {', '.join(sorted(known)) or 'none'}"
            fail("GC-T001", f"pass {cls.name!r} has no option {key!r}", hint)
    missing = [key for key, value in known.items() if value is MISSING and key not in options]
    if missing:
        fail("GC-T001", f"pass {cls.name!r} needs {', '.join(missing)}")
    try:
        hints = get_type_hints(cls) if options else {}
        return cls(**{key: _option(cls, key, hints[key], v) for key, v in options.items()})
    except GraphError:
        raise
    except Exception as error:  # the user's class may check its fields
        told = f"pass {cls.name!r} cannot be made: {type(error).__name__}: {error}"
        raise GraphError("GC-T001", told) from error


def checked(each: Pass) -> Pass:
    """The pass with options of the types that its class states, converted as `build` does.

    Raises GC-T001 for one that cannot be. A class whose annotations do not say is left alone.
    """
    told = each.options()
    try:
        hints = get_type_hints(type(each)) if told else {}
    except Exception:  # names that only the user's own function knows
        return each
    found = {k: _option(type(each), k, hints[k], v) for k, v in told.items() if k in hints}
    changed = {k: v for k, v in found.items() if v != told[k]}
    return replace(cast(Any, each), **changed) if changed else each


def check_name(cls: type[Pass]) -> None:
    """Raise GC-T001 for a pass class without a name, by which recipes and provenance call it."""
    if not cls.name:
        fail("GC-T001", f"pass class {cls.__name__} has no name", 'give it a line name = "..."')


def _option(cls: type[Pass], key: str, hint: Any, value: Any) -> Any:
    try:
        return convert(hint, value)
    except (ValueError, TypeError):
        told = f"pass {cls.name!r}: {key} is {value!r}, expected {_kind(hint)}"
        choices = get_args(hint) if get_origin(hint) is Literal else ()
        fail("GC-T001", told, near(str(value), map(str, choices)))


def _kind(hint: Any) -> str:
    """What a value of this type is called; the name of a type that is none of the usual."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        return "one of " + ", ".join(map(str, args))
    if origin in (Union, types.UnionType):
        return " or ".join(_kind(each) for each in args)
    if origin in (tuple, list):
        return f"values, each {_kind(args[0])}" if args else "values"
    if hint is type(None):
        return "none"
    return _KINDS.get(hint) or str(getattr(hint, "__name__", hint))


def convert(hint: Any, value: Any) -> Any:
    """`value` (text, or what TOML gives) as the type that `hint` states, else ValueError.

    One text for a tuple is a tuple of one; "none" is None where that is allowed. A hint of another
    kind accepts anything.
    """
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _first_fitting(args, value)
    if origin is Literal:
        if value not in args:
            raise ValueError(value)
        return value
    if origin in (tuple, list):
        items = value if isinstance(value, (list, tuple)) else [value]
        return origin(convert(args[0] if args else Any, item) for item in items)
    if hint is bool:
        return _boolean(value)
    if hint in (int, float):
        return _number(hint, value)
    if hint is Path:
        return Path(value)
    if hint is str and not isinstance(value, str):
        raise ValueError(value)
    return value


def _first_fitting(hints: tuple[Any, ...], value: Any) -> Any:
    if type(None) in hints and (value is None or value == "none"):
        return None
    for hint in (h for h in hints if h is not type(None)):
        try:
            return convert(hint, value)
        except (ValueError, TypeError):
            continue
    raise ValueError(value)


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if not isinstance(value, str) or value.lower() not in _BOOLS:
        raise ValueError(value)
    return _BOOLS[value.lower()]


def _number(hint: type[int] | type[float], value: Any) -> Any:
    if isinstance(value, str):
        return hint(value)
    is_whole = isinstance(value, int)
    if isinstance(value, bool) or not (is_whole or (hint is float and isinstance(value, float))):
        raise ValueError(value)
    return hint(value)
