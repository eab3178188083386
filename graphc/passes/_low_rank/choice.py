"""Choice: method and rank rule of a layer, from the pass's options and a JSON file."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NoReturn

from graphc.errors import GraphError, fail, near
from graphc.factor.methods import METHODS
from graphc.factor.ranks import RULES
from graphc.files import map_file
from graphc.records import record

MIXED, AUTO = "mixed", "auto"
NAMES = (*METHODS, MIXED, AUTO)
_SHARES = {"error": (0, 1), "energy": (0, 1), "amplitude": (0, 1)}
DEFAULTS, LAYERS = "defaults", "layers"


@record(frozen=True)
class Choice:
    """How one layer is decomposed. `rank`, of all groups together, or `rule` and its `value`;
    neither where a budget decides. `inner`: the rank of a Tucker core's inputs. `named`: the layer
    was asked for, so that what cannot be done is an error."""

    method: str
    rule: str = ""
    value: float = 0.0
    rank: int | None = None
    inner: int | None = None
    round: int = 1
    skip: bool = False
    named: bool = False


def checked_rule(rule: str, value: float, where: str = "low_rank") -> tuple[str, float]:
    """The rule and its value, found at `where`. Raises GC-T001 for a value that it cannot have."""
    low, high = _SHARES.get(rule, (0, float("inf")))
    is_open = rule in ("threshold", "speedup")
    if not low <= value <= high or (is_open and not 0 < value < high):
        expected = f"{low} to {high}" if rule in _SHARES else "a number above 0"
        fail("GC-T001", f"{where}: {rule} is {value:g}, expected {expected}")
    return rule, value


class Config:
    """Choices by layer: {"conv3": 150}, or {"defaults": {...}, "layers": {pattern: {...}}}.

    Each table may have method, rank (a number, or outputs' and inputs' for tucker), error, energy,
    amplitude, threshold, speedup, evbmf, round, skip. Patterns match whole names; of several the
    longest counts, and a plain name before all. Without defaults, layers that are not named stay.
    """

    def __init__(self, path: str, usual: Choice, names: Sequence[str]) -> None:
        self.path = path
        self.usual = usual
        found = self._read()
        is_rich = bool(found.keys() & {DEFAULTS, LAYERS})
        if is_rich:
            for key in found.keys() - {DEFAULTS, LAYERS}:
                self._wrong(f"{key!r} means nothing here", near(key, (DEFAULTS, LAYERS)))
        layers = found.get(LAYERS, {}) if is_rich else found
        self.default: Choice | None = None
        base = usual
        if DEFAULTS in found:
            base = self.default = self._choice(DEFAULTS, found[DEFAULTS], usual)
        if not isinstance(layers, dict):
            self._wrong(f"{LAYERS!r} must be a table of layers")
        self.entries = [
            (
                key,
                self._pattern(key, names),
                replace(self._choice(key, entry, base), named=key in names),
            )
            for key, entry in layers.items()
        ]

    def of(self, name: str) -> Choice | None:
        """The choice for a layer; None where the file says nothing of it."""
        fitting = [(len(key), choice) for key, p, choice in self.entries if p(name)]
        plain = [c for key, _, c in self.entries if key == name]
        if plain:
            return plain[0]
        return max(fitting, key=lambda pair: pair[0])[1] if fitting else self.default

    def _read(self) -> dict[str, Any]:
        try:
            found = json.loads(bytes(map_file(self.path)))
        except (ValueError, RecursionError) as error:
            raise GraphError("GC-T001", f"{self.path} is no JSON: {error}") from None
        if not isinstance(found, dict):
            self._wrong("it must be a table of layers")
        return found

    def _pattern(self, key: str, names: Sequence[str]) -> Any:
        found = pattern(key, f"{self.path}: ")
        if not any(map(found, names)):
            hint = near(key, names) or f"there are {', '.join(names) or 'none'}"
            self._wrong(f"{key!r} names no layer that can be decomposed", hint)
        return found

    def _choice(self, key: str, entry: Any, base: Choice) -> Choice:
        if not isinstance(entry, dict):
            entry = {"rank": entry}
        known = ("method", "rank", *RULES, "round", "skip")
        for name in entry.keys() - set(known):
            self._wrong(f"{key!r} has no option {name!r}", near(name, known))
        rules = [n for n in ("rank", *RULES) if n in entry and entry[n] is not None]
        rules = [n for n in rules if n != "evbmf" or entry[n] is not False]
        if len(rules) > 1:
            self._wrong(f"{key!r} has both {rules[0]} and {rules[1]}", "keep one")
        found = self._plain(key, entry, base)
        if not rules:
            return found
        rule, value = rules[0], entry[rules[0]]
        if rule == "rank":
            pair = value if isinstance(value, list) else [value]
            if not 1 <= len(pair) <= 2 or not all(type(each) is int for each in pair):
                self._wrong(f"{key!r}: rank is {value!r}, expected a whole number, or two")
            inner = pair[1] if len(pair) == 2 else None
            return replace(found, rank=pair[0], inner=inner, rule="", value=0.0)
        if rule == "evbmf":
            return replace(found, rule=rule, rank=None)
        if isinstance(value, bool) or not isinstance(value, int | float):
            self._wrong(f"{key!r}: {rule} is {value!r}, expected a number")
        rule, value = checked_rule(rule, float(value), f"{self.path}: {key!r}")
        return replace(found, rule=rule, value=value, rank=None)

    def _plain(self, key: str, entry: Mapping[str, Any], base: Choice) -> Choice:
        method = entry.get("method", base.method)
        if method not in NAMES:
            self._wrong(f"{key!r}: no method {method!r}", near(str(method), NAMES))
        step, skip = entry.get("round", base.round), entry.get("skip", base.skip)
        if type(step) is not int or step < 1:
            self._wrong(f"{key!r}: round is {step!r}, expected a whole number from 1 on")
        if not isinstance(skip, bool):
            self._wrong(f"{key!r}: skip is {skip!r}, expected true or false")
        return replace(base, method=method, round=step, skip=skip)

    def _wrong(self, told: str, hint: str = "") -> NoReturn:
        fail("GC-T001", f"{self.path}: {told}", hint)


def pattern(text: str, where: str = "") -> Any:
    """Does the pattern, or plain name, match a whole name? Raises GC-T001 for what is neither."""
    try:
        found = re.compile(text)
    except re.error as error:
        raise GraphError("GC-T001", f"{where}{text!r} is no pattern: {error}") from None
    return lambda name: name == text or found.fullmatch(name) is not None


__all__ = ["AUTO", "MIXED", "NAMES", "Choice", "Config", "checked_rule", "pattern"]
