"""Tokens: one line of the IR's text form, and the values it spells (see `graphc.ir.literals`).

Reading follows the type hints of a field, so a value of the wrong type is refused, and nesting is
no deeper than the hints.
"""

from __future__ import annotations

import json
import math
import re
import types
from collections.abc import Container
from dataclasses import is_dataclass
from typing import Any, Literal, NoReturn, Union, get_args, get_origin

from graphc.errors import GraphError, fail, near
from graphc.ir.literals import build, hints_of
from graphc.ir.types import to_f32

_TOKEN = re.compile(
    r"""\s*(?:(?P<string>"[^"\\]*(?:\\.[^"\\]*)*")
           |(?P<number>[-+]?(?:\d[\d.]*(?:[eE][-+]?\d+)?f?|inf\b|nan\b))
           |(?P<word>[A-Za-z_]\w*)
           |(?P<mark>[=,()\[\]])
           |(?P<other>\S))""",
    re.VERBOSE | re.ASCII,
)
_MAX_NESTING = 16  # of dataclass hints: only one that contains itself goes deeper
_MAX_DIGITS = 24


class Tokens:
    """The tokens of one line, and the values they spell. Raises GC-V002 for any surprise."""

    def __init__(self, line: str) -> None:
        self.items: list[tuple[str, str]] = []  # (kind, text), and an end without text
        self.at = 0
        for match in _TOKEN.finditer(line):
            kind = match.lastgroup or ""
            if kind == "other":
                at = match.start(kind)
                fail("GC-V002", f"unexpected {line[at : at + 12]!r}")
            self.items.append((kind, match[kind]))
        self.count = len(self.items)
        self.items.append(("end", ""))

    def __bool__(self) -> bool:
        return self.at < self.count

    def next(self) -> tuple[str, str]:
        """The next token as (kind, text)."""
        if self.at == self.count:
            fail("GC-V002", "the line ends too early")
        self.at += 1
        return self.items[self.at - 1]

    def accept(self, mark: str) -> bool:
        """Take the next token if it is `mark`."""
        if self.items[self.at][1] != mark:
            return False
        self.at += 1
        return True

    def expect(self, mark: str) -> None:
        if not self.accept(mark):
            self._wrong(f"{mark!r}")

    def end(self) -> None:
        if self:
            self._wrong("the end of the line")

    def _wrong(self, expected: str) -> NoReturn:
        found = repr(self.items[self.at][1][:40]) if self else "the end of the line"
        fail("GC-V002", f"found {found}, expected {expected}")

    def name(self) -> str:
        """A word, or any string in quotes."""
        kind, text = self.next()
        if kind == "string":
            return _unquoted(text)
        if kind != "word":
            self.at -= 1
            self._wrong("a name")
        return text

    def accept_word(self, words: Container[str]) -> str | None:
        """Take the next token if it is one of these words."""
        kind, text = self.items[self.at]
        if kind != "word" or text not in words:
            return None
        self.at += 1
        return text

    def integer(self) -> int:
        kind, text = self.next()
        if kind != "number" or not text.lstrip("+-").isdigit() or len(text) > _MAX_DIGITS:
            self.at -= 1
            self._wrong("an integer")
        return int(text)

    def integers(self, opening: str, closing: str) -> tuple[int, ...]:
        """Integers between brackets, separated by commas."""
        self.expect(opening)
        found: list[int] = []
        while not self.accept(closing):
            if found:
                self.expect(",")
            found.append(self.integer())
        return tuple(found)

    def value(self, hint: Any, depth: int = 0) -> Any:
        """One literal of the type that `hint` states."""
        origin, args = get_origin(hint), get_args(hint)
        if origin in (Union, types.UnionType):
            if type(None) in args and self._is_word("none"):
                self.at += 1
                return None
            return self._first_fitting([a for a in args if a is not type(None)], depth)
        if origin is tuple:
            return self._tuple(args, depth)
        if origin is Literal:
            return self._choice(args)
        if isinstance(hint, type) and is_dataclass(hint):
            return self._dataclass(hint, depth)
        return self._scalar(hint)

    def _is_word(self, text: str) -> bool:
        return self.items[self.at] == ("word", text)

    def _first_fitting(self, hints: list[Any], depth: int) -> Any:
        start = self.at
        for hint in hints[:-1]:
            try:
                return self.value(hint, depth)
            except GraphError:
                self.at = start
        return self.value(hints[-1], depth)

    def _tuple(self, args: tuple[Any, ...], depth: int) -> tuple[Any, ...]:
        is_list = len(args) == 2 and args[1] is Ellipsis
        self.expect("(")
        found: list[Any] = []
        while not self.accept(")"):
            if found:
                self.expect(",")
            if not is_list and len(found) == len(args):
                self._wrong(f"{len(args)} values")
            found.append(self.value(args[0] if is_list else args[len(found)], depth))
        if not is_list and len(found) != len(args):
            fail("GC-V002", f"found {len(found)} values, expected {len(args)}")
        return tuple(found)

    def _choice(self, choices: tuple[Any, ...]) -> Any:
        """One of a Literal's strings, which may do without quotes."""
        kind, text = self.next()
        found = _unquoted(text) if kind == "string" else text
        if found not in choices:
            self.at -= 1
            self._wrong("one of " + ", ".join(map(repr, choices)))
        return found

    def _dataclass(self, cls: type, depth: int) -> Any:
        if depth >= _MAX_NESTING:
            fail("GC-V002", f"values are nested over {_MAX_NESTING} deep")
        if not self._is_word(cls.__name__):
            self._wrong(f"{cls.__name__}(...)")
        self.at += 1
        self.expect("(")
        given: dict[str, Any] = {}
        while not self.accept(")"):
            if given:
                self.expect(",")
            given |= self.pair(hints_of(cls), given, depth + 1)
        return build(cls, given)

    def pair(self, hints: dict[str, Any], taken: Container[str], depth: int = 0) -> dict[str, Any]:
        """`name=value`, the name among `hints` and not yet taken."""
        name = self.name()
        if name not in hints:
            fail("GC-V002", f"no field {name[:40]!r} here", near(name[:40], hints))
        if name in taken:
            fail("GC-V002", f"field {name!r} stands there twice")
        self.expect("=")
        return {name: self.value(hints[name], depth)}

    def _scalar(self, hint: Any) -> Any:
        kind, text = self.next()
        if kind == "string" and hint in (str, Any):
            return _unquoted(text)
        if kind == "word" and text in ("true", "false") and hint in (bool, Any):
            return text == "true"
        if kind == "word" and text == "none" and hint in (None, type(None), Any):
            return None
        if kind == "number" and hint in (int, float, Any):
            number = _number(text)
            if hint is not int or isinstance(number, int):
                return number
        self.at -= 1
        self._wrong(f"a value of type {getattr(hint, '__name__', hint)}")


def _unquoted(text: str) -> str:
    if "\\" not in text and text.isprintable():
        return text[1:-1]
    try:
        found = json.loads(text)
    except ValueError:
        fail("GC-V002", f"{text[:40]} is no string")
    return str(found)


def _number(text: str) -> int | float:
    """An int if written like one, else a float."""
    try:
        if text.lstrip("+-").isdigit():
            if len(text) > _MAX_DIGITS:
                raise ValueError
            return int(text)
        is_single = text[-1] == "f" and "inf" not in text
        number = to_f32(float(text[:-1])) if is_single else float(text)
        if math.isinf(number) and "inf" not in text:
            raise ValueError
        return number
    except ValueError:
        fail("GC-V002", f"{text[:40]!r} is no number, or too large")


__all__ = ["Tokens"]
