"""The values of a graph's text form: each is stated once, then known by name."""

from __future__ import annotations

from typing import Any, Literal, cast

from graphc.errors import fail
from graphc.ir.graph import Value
from graphc.ir.op import Filler, Kind, Param
from graphc.ir.tokens import Tokens
from graphc.ir.types import ITEM_BYTES, DType, Type

_KIND = Literal["ACT", "PARAM", "STATE", "CARRY", "HISTORY"]
_SPEC_WORDS = frozenset({"name", "shape", "filler", "out_axis", "in_axis"})
_VALUE_WORDS: dict[str, Any] = {
    "kind": _KIND,
    "view_of": str,
    "lr_mult": float,
    "decay_mult": float,
    "spec": None,
    "name": str,
    "shape": tuple[int, ...],
    "filler": Filler,
    "out_axis": int | None,
    "in_axis": int | None,
}


class ValueTable:
    """What has been stated so far."""

    def __init__(self) -> None:
        self.values: dict[str, Value] = {}

    def known(self, tokens: Tokens) -> Value:
        """The value of the name that stands next."""
        name = tokens.name()
        if name not in self.values:
            fail("GC-V002", f"value {name!r} is not stated before it is used")
        return self.values[name]

    def state(self, tokens: Tokens, usual: Kind, role: str, *, again: bool = False) -> Value:
        """A value and what is said of it; with `again`, a name known already stands for itself."""
        name = tokens.name()
        if name in self.values:
            if again:
                return self.values[name]
            fail("GC-V002", f"value {name!r} is stated twice")
        value = Value(name, _type(tokens), usual)
        words = words_of(tokens, _VALUE_WORDS)
        value.kind = Kind[words.get("kind", usual.name)]
        if value.kind is not Kind.ACT:
            self._describe(value, words, role)
        elif words.keys() - {"kind"}:
            fail("GC-V002", f"value {name!r} is no parameter, but has {', '.join(words)}")
        self.values[name] = value
        return value

    def _describe(self, value: Value, words: dict[str, Any], role: str) -> None:
        value.lr_mult = words.get("lr_mult", 1.0)
        value.decay_mult = words.get("decay_mult", 1.0)
        if "view_of" in words:
            if words["view_of"] not in self.values:
                fail("GC-V002", f"view_of={words['view_of']!r} is not stated before it is used")
            value.view_of = self.values[words["view_of"]]
        if "spec" not in words:
            told = {k: v for k, v in words.items() if k in _SPEC_WORDS}
            value.spec = Param(**{**_usual(value, role), "kind": value.kind, **told})


def default_spec(value: Value, role: str) -> Param:
    """The declaration of a parameter of which nothing special is told."""
    return Param(**_usual(value, role))


def _usual(value: Value, role: str) -> dict[str, Any]:
    return {"name": role, "shape": value.type.shape if value.type is not None else ()}


def words_of(tokens: Tokens, hints: dict[str, Any]) -> dict[str, Any]:
    """`name=value` up to the end of the line."""
    found: dict[str, Any] = {}
    while tokens:
        found |= tokens.pair(hints, found)
    return found


def _type(tokens: Tokens) -> Type | None:
    dtype = tokens.accept_word(ITEM_BYTES)
    return None if dtype is None else Type(tokens.integers("[", "]"), cast(DType, dtype))


__all__ = ["ValueTable", "default_spec", "words_of"]
