"""Facts: what of a Program's forward can be thrown away and computed once more in the backward."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from graphc.ir.op import Effect
from graphc.plan.lifetimes import ORDER, given_roots, roots_of
from graphc.plan.wish import NOTHING, Forced
from graphc.plan.workspaces import smallest_bytes
from graphc.program import PERSISTENT, Operand, Program

REPEATABLE = frozenset({Effect.RNG})
"""Draws are counter-based: a replay makes the same."""


class Facts:
    """`root_of[buffer]`; `reads[call]`, `writes[call]`: root buffers, each once; `forward`,
    `later`: calls in the order they run, without "prepare"; `later_entries`: those of `later`;
    `writers[root]`: calls of the forward that write it; `droppable`: roots that can be replayed;
    `wanted`: those of them that a later entry reads; `us[call]`: time of its fastest variant;
    `space[call]`: the workspace it cannot do without; `always`: roots that every plan replays;
    `again`: roots of the backward that one pure call makes whole, which small Programs may replay.

    A root is droppable if nobody but pure calls of the forward writes it, and if it is neither the
    caller's nor kept. Such calls may read only what the forward does not overwrite later. Calls
    that fill one root together, or overwrite parts of it in place, are replayed together. What
    lasts for the backward to run again may be replayed in each. `forced`: what is not droppable, or
    always dropped, for somebody said so.
    """

    def __init__(self, program: Program, forced: Forced = NOTHING) -> None:
        self.program = program
        self.root_of = roots_of(program)
        self.reads = [self._roots(call.reads) for call in program.calls]
        self.writes = [self._roots(call.writes) for call in program.calls]
        entries = sorted(program.entries, key=_position)
        self.forward = list(program.entries.get("forward", ()))
        self.later_entries = [e for e in entries if e not in ("prepare", "forward")]
        self.later = [index for entry in self.later_entries for index in program.entries[entry]]
        self.us = [min(v.est_us for v in call.variants) for call in program.calls]
        self.space = [smallest_bytes(call) for call in program.calls]
        self.writers: dict[int, list[int]] = {}
        self._changed: dict[int, int] = {}  # root -> where the forward last overwrites it
        given = {root for root, _ in given_roots(program)}
        for at, index in enumerate(self.forward):
            for operand in program.calls[index].writes:
                root = self.root_of[operand.buffer]
                found = self.writers.setdefault(root, [])
                if not found or found[-1] != index:
                    found.append(index)
                is_there = root in given or program.buffers[root].kind in PERSISTENT
                if operand.version != 1 or is_there:
                    self._changed[root] = at
        self._place = {index: at for at, index in enumerate(self.forward)}
        self.droppable = frozenset(self._find()) - forced.kept
        self.wanted = frozenset(
            root for index in self.later for root in self.reads[index] if root in self.droppable
        )
        self.always = forced.dropped & self.wanted
        self.again = frozenset(self._made_once())

    def _roots(self, operands: Sequence[Operand]) -> tuple[int, ...]:
        return tuple(dict.fromkeys([self.root_of[operand.buffer] for operand in operands]))

    def _find(self) -> Iterator[int]:
        program = self.program
        taken = {self.root_of[buffer] for buffer in program.kept}
        taken |= {root for root, _ in given_roots(program)}
        taken |= {r for r in self.writers if program.buffers[r].kind in PERSISTENT}
        taken |= {
            root
            for entry, calls in program.entries.items()
            for index in calls
            if entry != "forward"
            for root in self.writes[index]
        }
        for root, writers in self.writers.items():
            is_one = root not in self._changed or all(len(self.writes[w]) == 1 for w in writers)
            if root not in taken and is_one and all(self._is_pure(w, root) for w in writers):
                yield root

    def _made_once(self) -> Iterator[int]:
        program = self.program
        calls = [index for entry in program.entries.values() for index in entry]
        count = Counter(root for index in calls for root in self.writes[index])
        taken = {self.root_of[buffer] for buffer in program.kept | program.lasting}
        taken |= {root for root, _ in given_roots(program)}
        for index in program.entries.get("backward", ()):
            call = program.calls[index]
            roots = [program.buffers[root] for root in self.writes[index]]
            is_open = all(
                b.id not in taken and count[b.id] == 1 and b.kind not in PERSISTENT for b in roots
            )
            is_whole = all(operand.version == 1 for operand in call.writes)
            if is_open and is_whole and call.effects <= REPEATABLE:
                yield from self.writes[index]

    def _is_pure(self, index: int, root: int) -> bool:
        """Can a call that writes a root run again? Not if it reads what is overwritten later, but
        for the root itself, all of whose writers run again."""
        at = self._place[index]
        is_late = all(self._changed.get(r, -1) <= at for r in self.reads[index] if r != root)
        return is_late and self.program.calls[index].effects <= REPEATABLE


def _position(entry: str) -> int:
    return ORDER.index(entry) if entry in ORDER else len(ORDER)


__all__ = ["Facts"]
