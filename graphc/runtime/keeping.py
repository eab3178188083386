"""Keep: which blobs a caller wants beside the outputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeAlias

from graphc.errors import fail, near
from graphc.ir.graph import Value

Keep: TypeAlias = "Literal['all'] | Iterable[str]"


def kept_names(keep: Keep) -> Literal["all"] | tuple[str, ...]:
    """`keep` as "all" or a tuple of names; one name may come as it is. Raises GC-R002."""
    if keep == "all":
        return "all"
    given: Any = keep
    names = tuple(given) if isinstance(given, Iterable) and not isinstance(given, str) else (given,)
    for name in names:
        if not isinstance(name, str):
            fail("GC-R002", f"keep has {name!r}, which is no blob's name")
    return tuple(dict.fromkeys(names))


def check_kept(names: Iterable[str], tops: Mapping[str, Value]) -> None:
    """Raise GC-R002 for a name that no top has."""
    for name in names:
        if name not in tops:
            hint = near(name, tops) or "`graphc inspect` lists the tops of all layers"
            fail("GC-R002", f"no blob {name!r} to keep", hint)


__all__ = ["Keep", "check_kept", "kept_names"]
