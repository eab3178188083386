"""GraphError: the one exception a user sees, with code, place, layer and hint.

Reads nothing. Every code is listed in `graphc.codes` with its exit status and its `explain` page.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NoReturn

from graphc.records import record


@record(frozen=True, slots=True)
class Loc:
    """A place in a source file: `file` as the user wrote it, `line` from 1 (0: no line known)."""

    file: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


class GraphError(Exception):
    """What went wrong, where, and what to do about it.

    `code` is a key of `graphc.codes.CODES`; an unknown one is a programming error (KeyError).
    `hint` is one line of advice, `layer` and `type_` name the layer at fault.
    """

    def __init__(
        self,
        code: str,
        message: str,
        hint: str = "",
        *,
        loc: Loc | None = None,
        layer: str = "",
        type_: str = "",
    ) -> None:
        from graphc.codes import CODES  # the texts, which few processes need

        self.code = code
        self.exit_code = CODES[code].exit_code
        self.message = message
        self.hint = hint
        self.loc = loc
        self.layer = layer
        self.type_ = type_
        super().__init__(code, message)

    def at(self, *, loc: Loc | None = None, layer: str = "", type_: str = "") -> GraphError:
        """Fill in the place, where the raiser did not know it; returns self."""
        self.loc = self.loc or loc
        self.layer = self.layer or layer
        self.type_ = self.type_ or type_
        return self

    @property
    def headline(self) -> str:
        """`file:line: CODE: layer 'name' (Type): message`, each part only where known."""
        place = f"{self.loc}: " if self.loc else ""
        of_type = f" ({self.type_})" if self.type_ else ""
        layer = f"layer {self.layer!r}{of_type}: " if self.layer else ""
        return f"{place}{self.code}: {layer}{self.message}"

    def __str__(self) -> str:
        return self.headline + (f"\n  hint: {self.hint}" if self.hint else "")


def fail(code: str, message: str, hint: str = "") -> NoReturn:
    """Raise a GraphError whose place the caller's caller fills in with `at`."""
    raise GraphError(code, message, hint)


def near(name: str, names: Iterable[str]) -> str:
    """A "did you mean" hint, case-folded; empty when nothing is close."""
    import difflib

    folded = {n.casefold(): n for n in names}
    found = difflib.get_close_matches(name.casefold(), folded, n=3, cutoff=0.6)
    return "did you mean " + " or ".join(repr(folded[f]) for f in found) + "?" if found else ""


__all__ = ["GraphError", "Loc", "fail", "near"]
