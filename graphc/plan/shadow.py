"""Shadow: the arenas of a plan as the verifier sees them: who claims which bytes, holding what."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import NoReturn

from graphc.errors import fail
from graphc.plan.atoms import Atoms
from graphc.plan.data import Arena, Step, StepKind
from graphc.plan.order import Touch
from graphc.plan.prescription import NOTHING, Prescription
from graphc.program import Buffer, Program
from graphc.records import record


@record(slots=True)
class Claim:
    """Bytes `start` to `end` are those of buffer `root`; `tags`: what each of its atoms holds."""

    start: int
    end: int
    root: int
    tags: list[int]


class Shadow:
    """One arena: claims that do not overlap. `touched`: the highest byte ever used, plus 1."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._claims: list[Claim] = []
        self.touched = 0

    def find(self, root: int, start: int) -> Claim | None:
        """The claim of `root` that starts there, if its bytes are still its own."""
        at = bisect_left(self._starts, start)
        if at < len(self._starts) and self._starts[at] == start and self._claims[at].root == root:
            return self._claims[at]
        return None

    def overlapping(self, start: int, end: int) -> Sequence[Claim]:
        return self._claims[slice(*self._range(start, end))]

    def clear(self, start: int, end: int) -> None:
        """End every claim on bytes in the range: something else is written there."""
        self.touched = max(self.touched, end)
        first, past = self._range(start, end)
        del self._starts[first:past]
        del self._claims[first:past]

    def claim(self, root: int, start: int, end: int, atoms: int) -> Claim:
        """The claim of `root` on all its bytes; a new one ends others, and holds nothing yet."""
        found = self.find(root, start)
        if found is None:
            self.clear(start, end)
            found = Claim(start, end, root, [NOTHING] * atoms)
            at = bisect_left(self._starts, start)
            self._starts.insert(at, start)
            self._claims.insert(at, found)
        return found

    def _range(self, start: int, end: int) -> tuple[int, int]:
        if start >= end:
            return 0, 0
        first = bisect_right(self._starts, start)
        if first and self._claims[first - 1].end > start:
            first -= 1
        return first, max(first, bisect_left(self._starts, end))


class Memory:
    """All arenas of a plan. `where` is what messages begin with: the step at work."""

    def __init__(self, program: Program, atoms: Atoms, arenas: Sequence[Arena]) -> None:
        self.program, self.atoms, self.arenas = program, atoms, arenas
        self.shadows = [Shadow() for _ in arenas]
        self.where = "the plan"

    def refuse(self, message: str) -> NoReturn:
        fail("GC-V003", f"{self.where}: {message}")

    def base(self, buffer: Buffer, arena: int, offset: int, *, on_host: bool = False) -> int:
        """Where the root of a buffer at `offset` begins; it must be in its arena, and aligned."""
        self.check_arena(arena, f"{buffer.name!r}", on_host=on_host)
        root = self.program.root(buffer.id)
        start = offset - (buffer.view_of[1] if buffer.view_of is not None else 0)
        size = self.arenas[arena].nbytes
        if start < 0 or start + root.nbytes > size:
            place = f"bytes {start} to {start + root.nbytes} of the {size}"
            self.refuse(f"{buffer.name!r} lies outside arena {self.arenas[arena].name!r}: {place}")
        if start % root.align:
            self.refuse(f"{buffer.name!r} lies at {offset}, not aligned to {root.align} bytes")
        return start

    def check_arena(self, arena: int, what: str, *, on_host: bool = False) -> None:
        if not 0 <= arena < len(self.arenas):
            self.refuse(f"{what} is in arena {arena} of {len(self.arenas)}")
        if self.arenas[arena].is_host != on_host:
            self.refuse(f"{what} is in arena {self.arenas[arena].name!r}, on the wrong side")

    def tags(self, buffer: Buffer, arena: int, start: int) -> tuple[int, ...]:
        """What the bytes of a buffer hold whose root begins at `start`."""
        root = self.program.root(buffer.id)
        if not root.nbytes:
            return ()
        claim = self.shadows[arena].find(root.id, start)
        atoms = self.atoms.of[buffer.id]
        return (NOTHING,) * len(atoms) if claim is None else tuple(claim.tags[a] for a in atoms)

    def write(self, buffer: Buffer, arena: int, start: int, tags: Sequence[int]) -> None:
        root, shadow = self.program.root(buffer.id), self.shadows[arena]
        end = start + root.nbytes
        if root.nbytes:
            claim = shadow.claim(root.id, start, end, self.atoms.count[root.id])
            for atom, tag in zip(self.atoms.of[buffer.id], tags, strict=True):
                claim.tags[atom] = tag

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
        start = self.base(buffer, source.arena, source.offset, on_host=not is_out)
        tags = self.tags(buffer, source.arena, start)
        if tags not in (told.content.get((number, version)), told.whole.get((number, version))):
            self.refuse(f"{buffer.name!r} version {version} is not at {source.offset}")
        end = self.base(buffer, target.arena, target.offset, on_host=is_out)
        self.write(buffer, target.arena, end, tags)
        nbytes = buffer.nbytes
        return [
            (source.arena, start, start + nbytes, False),
            (target.arena, end, end + nbytes, True),
        ]

    def holders(self, buffer: Buffer, arena: int, start: int) -> str:
        """Names of what claims the bytes of a buffer, for messages."""
        root = self.program.root(buffer.id)
        claims = self.shadows[arena].overlapping(start, start + root.nbytes)
        names = [repr(self.program.buffers[claim.root].name) for claim in claims[:3]]
        return " and ".join(names) or "nothing"


__all__ = ["Claim", "Memory", "Shadow"]
