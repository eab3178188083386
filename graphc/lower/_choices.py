"""Choices: how the drafts of a graph were done, for a later lowering of it to do them likewise.

Finding the formats and kernels that take least time, and asking kernels what memory they need, is
most of lowering. No choice changes what is computed, so that an artefact may keep them: a kernel
that cannot do its draft is not taken, and a session refuses one that needs more memory than it was
given.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Collection, Sequence
from typing import Any, NoReturn, TypeAlias

from graphc import _core
from graphc.costs import Costs, cache_file
from graphc.errors import fail
from graphc.ir.graph import Value, typed
from graphc.lower._draft import Draft
from graphc.ops.kernel import BLOCKED, PLAIN, Sides
from graphc.program import Variant
from graphc.records import record

FORMAT = 1
MOST = 1 << 48
"""Bytes or elements that a kernel can be said to need."""


PackSizes: TypeAlias = dict[str, tuple[int, int]]
"""Role -> (elements of the packed operand, workspace of its packing in bytes)."""


@record(frozen=True, slots=True)
class Choice:
    """One draft's formats, its variants, the best first, and what their packed operands take."""

    sides: Sides
    variants: tuple[Variant, ...]
    packs: PackSizes


@record(frozen=True, slots=True)
class Choices:
    """Those of all drafts in order. `key`: what they rest on, see `key_of`."""

    key: str
    drafts: tuple[Choice, ...]


def key_of(drafts: Sequence[Draft], fixed: Collection[Value], costs: Costs, threads: int) -> str:
    """A checksum of what is to be chosen (for which shapes), among what (the kernels there are),
    by what (costs, threads), and for which processor."""
    asked = [
        (
            d.node,
            d.part,
            d.adds,
            [(r, typed(v).shape, v in fixed) for r, v in (*d.reads, *d.writes)],
        )
        for d in drafts
    ]
    machine = cache_file(costs.threads).name, _core.kernel_symbols()
    text = repr((FORMAT, machine, threads, costs.digest(), asked)).encode()
    return f"{len(text):x}-{zlib.crc32(text):08x}"


def choices_text(choices: Choices) -> str:
    """One line of JSON; the same choices give the same text."""
    drafts = [
        [
            *choice.sides,
            [[v.symbol, v.workspace_bytes, v.est_us, v.basis] for v in choice.variants],
            [[role, *sizes] for role, sizes in choice.packs.items()],
        ]
        for choice in choices.drafts
    ]
    return json.dumps({"key": choices.key, "drafts": drafts}, separators=(",", ":")) + "\n"


def read_choices(text: str) -> Choices:
    """The choices that `choices_text` wrote. Raises GC-A001 for anything else."""
    try:
        told = json.loads(text)
    except (ValueError, RecursionError) as error:
        _broken(f"is no JSON: {error}")
    if not isinstance(told, dict) or told.keys() != {"key", "drafts"}:
        _broken("has other members than graphc writes")
    if not isinstance(told["key"], str):
        _broken("has a key that is no text")
    return Choices(told["key"], tuple(map(_read, _list(told["drafts"]))))


def _read(told: Any) -> Choice:
    bottoms, tops, variants, packs = _list(told, 4)
    if not all(side in (PLAIN, BLOCKED) for side in (bottoms, tops)):
        _broken("has a format that there is not")
    return Choice(
        (bottoms, tops),
        tuple(map(_variant, _list(variants))),
        dict(map(_pack, _list(packs))),
    )


def _variant(told: Any) -> Variant:
    symbol, workspace, us, basis = _list(told, 4)
    if not _are_texts(symbol, basis) or type(us) is not float or not 0 <= us < 1e300:
        _broken("has a variant that is none")
    return Variant(symbol, _size(workspace), us, basis=basis)


def _pack(told: Any) -> tuple[str, tuple[int, int]]:
    role, elements, workspace = _list(told, 3)
    if not _are_texts(role):
        _broken("has a packed operand without a role")
    return role, (_size(elements), _size(workspace))


def _are_texts(*told: Any) -> bool:
    return all(isinstance(each, str) for each in told)


def _size(told: Any) -> int:
    if type(told) is not int or not 0 <= told <= MOST:
        _broken("has a size that is none")
    return told


def _list(told: Any, count: int | None = None) -> list[Any]:
    if not isinstance(told, list) or (count is not None and len(told) != count):
        _broken("has something else where a list is expected")
    return told


def _broken(message: str) -> NoReturn:
    fail("GC-A001", f"the list of chosen kernels {message}", "compile the network again")


__all__ = ["Choice", "Choices", "PackSizes", "choices_text", "key_of", "read_choices"]
