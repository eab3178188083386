"""Shadow: the arenas of a plan as the verifier sees them: who claims which bytes, holding what."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import NoReturn

from graphc.errors import fail
from graphc.plan.atoms import Atoms
from graphc.plan.data import Arena, Step, StepKind
from graphc.plan.order import Touch
from graphc.plan.prescription import NOTHING, Prescription, Tags, written
from graphc.program import Buffer, Call, Program
from graphc.records import record


@record(slots=True)
class Claim:
    """Bytes `start` to `end` are those of buffer `root`; `tags`: what each of its atoms holds."""

    start: int
    end: int
    root: int
    tags: tuple[int, ...]


@record(slots=True)
class Placed:
    """An operand in memory: its root begins at `base`, its bytes lie within `start` to `end`."""

    buffer: Buffer
    arena: int
    base: int
    start: int
    end: int


class Shadow:
    """One arena. `claims`: by where they start; they do not overlap. `touched`: the highest byte
    ever used, plus 1."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self.claims: dict[int, Claim] = {}
        self.touched = 0

    def overlapping(self, start: int, end: int) -> Sequence[Claim]:
        return [self.claims[at] for at in self._starts[slice(*self._range(start, end))]]

    def clear(self, start: int, end: int) -> None:
        """End every claim on bytes in the range: something else is written there."""
        self._replace(start, end, [])

    def claim(self, root: int, start: int, end: int, atoms: int) -> Claim:
        """The claim of `root` on all its bytes; a new one ends others, and holds nothing yet."""
        found = self.claims.get(start)
        if found is None or found.root != root:
            self._replace(start, end, [start])
            found = self.claims[start] = Claim(start, end, root, (NOTHING,) * atoms)
        return found

    def _replace(self, start: int, end: int, starts: list[int]) -> None:
        """Put claims that start at `starts` in the place of all in a range."""
        if end > self.touched:
            self.touched = end
        first, past = self._range(start, end)
        for at in self._starts[first:past]:
            del self.claims[at]
        self._starts[first:past] = starts

    def _range(self, start: int, end: int) -> tuple[int, int]:
        if start >= end:
            return 0, 0
        first = bisect_right(self._starts, start)
        if first and self.claims[self._starts[first - 1]].end > start:
            first -= 1
        return first, max(first, bisect_left(self._starts, end))


class Memory:
    """All arenas of a plan. Messages begin with `where`, or `step`, by its number and its call."""

    def __init__(self, program: Program, atoms: Atoms, arenas: Sequence[Arena]) -> None:
        self.program, self.atoms, self.arenas = program, atoms, arenas
        self.shadows = [Shadow() for _ in arenas]
        self.where = "the plan"
        self.step: tuple[int, Call | None] | None = None
        views = [b.view_of or (b.id, 0) for b in program.buffers]
        self.root_of = [root for root, _ in views]
        self._inner = [start for _, start in views]
        self._nbytes = [b.nbytes for b in program.buffers]
        self._align = [b.align for b in program.buffers]

    def refuse(self, message: str) -> NoReturn:
        where = self.where
        if self.step is not None:
            number, call = self.step
            where = f"step {number}" if call is None else f"step {number}, {name_of(call)}"
        fail("GC-V003", f"{where}: {message}")

    def base(self, buffer: int, arena: int, offset: int, *, on_host: bool = False) -> int:
        """Where the root of a buffer at `offset` begins; it must be in its arena, and aligned."""
        if not 0 <= arena < len(self.arenas) or self.arenas[arena].is_host != on_host:
            self.check_arena(arena, f"{self._name(buffer)!r}", on_host=on_host)
        root, start = self.root_of[buffer], offset - self._inner[buffer]
        size, end = self.arenas[arena].nbytes, start + self._nbytes[root]
        if start < 0 or end > size:
            place = f"bytes {start} to {end} of the {size}"
            name = self.arenas[arena].name
            self.refuse(f"{self._name(buffer)!r} lies outside arena {name!r}: {place}")
        if start % self._align[root]:
            told = f"lies at {offset}, not aligned to {self._align[root]} bytes"
            self.refuse(f"{self._name(buffer)!r} {told}")
        return start

    def _name(self, buffer: int) -> str:
        return self.program.buffers[buffer].name

    def check_arena(self, arena: int, what: str, *, on_host: bool = False) -> None:
        if not 0 <= arena < len(self.arenas):
            self.refuse(f"{what} is in arena {arena} of {len(self.arenas)}")
        if self.arenas[arena].is_host != on_host:
            self.refuse(f"{what} is in arena {self.arenas[arena].name!r}, on the wrong side")

    def tags(self, buffer: int, arena: int, start: int) -> Tags:
        """What the bytes of a buffer hold whose root begins at `start`."""
        root, atoms = self.root_of[buffer], self.atoms.of[buffer]
        if not self._nbytes[root]:
            return ()
        claim = self.shadows[arena].claims.get(start)
        if claim is None or claim.root != root:
            return (NOTHING,) * len(atoms)
        held = claim.tags
        return held if len(atoms) == len(held) else tuple([held[atom] for atom in atoms])

    def write(self, buffer: int, arena: int, start: int, tag: int) -> None:
        """All bytes of a buffer get one tag; its root begins at `start`."""
        claim = self._claimed(self.root_of[buffer], arena, start)
        if claim is not None:
            claim.tags = written(claim.tags, self.atoms.of[buffer], tag)

    def fill(self, root: int, arena: int, start: int, tags: Tags) -> None:
        """The bytes of a root, which begins at `start`, get these tags."""
        claim = self._claimed(root, arena, start)
        if claim is not None:
            claim.tags = tags

    def _claimed(self, root: int, arena: int, start: int) -> Claim | None:
        nbytes = self._nbytes[root]
        if not nbytes:
            return None
        return self.shadows[arena].claim(root, start, start + nbytes, self.atoms.count[root])

    def transfer(self, step: Step, told: Prescription) -> list[Touch]:
        """OUT and IN: the bytes of a root buffer, as they are, to another arena."""
        if step.call != -1 or len(step.operands) != 2 or step.workspace is not None:
            self.refuse("a transfer has no call, and two operands")
        source, target = step.operands
        number, version = source.buffer, source.version
        if (number, version) != (target.buffer, target.version):
            self.refuse("a transfer's operands are two buffers or versions")
        is_known = 0 <= number < len(self.program.buffers)
        if not is_known or self.program.buffers[number].view_of is not None:
            self.refuse(f"buffer {number} version {version} cannot be transferred")
        buffer, is_out = self.program.buffers[number], step.kind is StepKind.OUT
        start = self.base(number, source.arena, source.offset, on_host=not is_out)
        tags = self.tags(number, source.arena, start)
        if tags not in (told.content.get((number, version)), told.whole.get((number, version))):
            self.refuse(f"{buffer.name!r} version {version} is not at {source.offset}")
        end = self.base(number, target.arena, target.offset, on_host=is_out)
        self.fill(number, target.arena, end, tags)
        nbytes = buffer.nbytes
        return [
            (source.arena, start, start + nbytes, False),
            (target.arena, end, end + nbytes, True),
        ]

    def holders(self, buffer: int, arena: int, start: int) -> str:
        """Names of what claims the bytes of a buffer, for messages."""
        end = start + self._nbytes[self.root_of[buffer]]
        claims = self.shadows[arena].overlapping(start, end)
        names = [repr(self._name(claim.root)) for claim in claims[:3]]
        return " and ".join(names) or "nothing"


def name_of(call: Call) -> str:
    return f"{call.name!r} ({call.part})"


__all__ = ["Claim", "Memory", "Placed", "Shadow", "name_of"]
