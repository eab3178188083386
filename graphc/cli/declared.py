"""Options as data, from which click's are made, and plain command lines are read without click.

Importing click takes as long as a small network's run. A command line is plain if it consists of
arguments, flags, and options that take any text; click reads all others, and alone knows of help
and errors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from graphc.records import record

F = TypeVar("F", bound=Callable[..., Any])


@record(frozen=True, eq=False)
class Option:
    """What `click.option` is told: names, and words. `kind` makes click's type of its values, where
    these are more than text. As a decorator it is click's."""

    names: tuple[str, ...]
    words: Mapping[str, Any]
    kind: Callable[[], Any] | None = None

    def __call__(self, function: F) -> F:
        import click

        told = {"type": self.kind()} if self.kind is not None else {}
        return click.option(*self.names, **told, **self.words)(function)

    @property
    def flags(self) -> list[str]:
        """The names as they are written, without those that only switch something off."""
        return [name.partition("/")[0] for name in self.names if name.startswith("-")]

    @property
    def name(self) -> str:
        """What its value is called."""
        called = [name for name in self.names if not name.startswith("-")]
        longest = max(self.flags, key=len)
        return called[0] if called else longest.lstrip("-").replace("-", "_")

    @property
    def is_flag(self) -> bool:
        return bool(self.words.get("is_flag")) or any("/" in name for name in self.names)

    @property
    def usual(self) -> Any:
        """The value where it is not on the command line."""
        if self.words.get("multiple"):
            return ()
        return self.words.get("default", False if self.is_flag else None)


def option(*names: str, kind: Callable[[], Any] | None = None, **words: Any) -> Option:
    """As `click.option`."""
    return Option(names, words, kind)


def decorated(function: F, options: Iterable[Option]) -> F:
    """A command's function with some options, in this order."""
    for each in reversed(list(options)):
        function = each(function)
    return function


def at_least(least: int, most: int | None = None) -> Callable[[], Any]:
    """The type of whole numbers from `least` on."""

    def kind() -> Any:
        import click

        return click.IntRange(min=least, max=most)

    return kind


def one_of(*choices: str) -> Callable[[], Any]:
    """The type of a few words, in upper or lower case."""

    def kind() -> Any:
        import click

        return click.Choice(choices, case_sensitive=False)

    return kind


def read_plain(
    words: Sequence[str], options: Iterable[Option], but: Iterable[str] = ()
) -> tuple[list[str], dict[str, Any]] | None:
    """The arguments and the options' values of a plain command line; None for any other.

    One is plain, too, only if none of the options called `but` is on it.
    """
    values = {each.name: each.usual for each in options}
    known = {flag: each for each in options for flag in each.flags if each.name not in but}
    arguments: list[str] = []
    rest = iter(words)
    for word in rest:
        if not word.startswith("-"):
            arguments.append(word)
            continue
        found = known.get(word)
        if found is None or found.kind is not None or "type" in found.words:
            return None
        if found.is_flag:
            values[found.name] = True
            continue
        text = next(rest, "-")
        if text.startswith("-") or isinstance(found.usual, int | float):
            return None
        many = found.words.get("multiple")
        values[found.name] = (*values[found.name], text) if many else text
    return arguments, values


__all__ = ["Option", "at_least", "decorated", "one_of", "option", "read_plain"]
