"""Prescription: what each call of a Program must see, from running it on separate buffers.

What a byte holds is told by a tag: the number of the write that put it there, `GIVEN`, or
`NOTHING`. Bytes of one atom always have one tag.
"""

from __future__ import annotations

from collections.abc import Iterator

from graphc.errors import fail
from graphc.plan.atoms import Atoms
from graphc.program import PERSISTENT, Call, Operand, Program

ENTRIES = ("prepare", "forward", "backward", "update")
GIVEN, NOTHING = 0, -1
Tags = tuple[int, ...]


class Prescription:
    """`reads[call]`, `writes[call]`: the tags that a call's operands must have, the tag each of its
    writes leaves. `kept[entry]`: (buffer, tags) at the entry's end. `content`: what a version of a
    buffer is; `whole`: the same of roots, however they were written. Raises GC-V003 for a Program
    that reads what nobody wrote, or contradicts itself."""

    def __init__(self, program: Program, atoms: Atoms) -> None:
        self.program, self.atoms = program, atoms
        self.entries = sorted(program.entries, key=entry_position)
        self.reads: dict[int, list[Tags]] = {}
        self.writes: dict[int, list[int]] = {}
        self.kept: dict[str, list[tuple[int, Tags]]] = {}
        self.content: dict[tuple[int, int], Tags] = {}
        self.whole: dict[tuple[int, int], Tags] = {}
        self._written: dict[int, int] = {}
        self._tags: dict[int, Tags] = {r: (NOTHING,) * count for r, count in atoms.count.items()}
        self._count = 0
        self._root_of = [b.id if b.view_of is None else b.view_of[0] for b in program.buffers]
        self._walk()
        self.final = self._tags

    def _walk(self) -> None:
        home: dict[int, str] = {}  # the entry that wrote a root last
        for buffer in self.program.buffers:
            if buffer.kind in PERSISTENT and buffer.view_of is None:
                self._give(buffer.id)
        for entry in self.entries:
            for root in given(self.program, entry):
                self._give(root)
                home[root] = entry
            for index in self.program.entries[entry]:
                self._call(index)
                for operand in self.program.calls[index].writes:
                    home[self._root_of[operand.buffer]] = entry
            self.kept[entry] = []
            for buffer_id in sorted(self.program.kept):
                if home.get(self.program.root(buffer_id).id) == entry:
                    self.kept[entry].append((buffer_id, self._of(buffer_id)))

    def _give(self, root: int) -> None:
        self._tags[root] = self.whole[root, 0] = (GIVEN,) * len(self._tags[root])

    def _of(self, buffer: int) -> Tags:
        tags, atoms = self._tags[self._root_of[buffer]], self.atoms.of[buffer]
        return tags if len(atoms) == len(tags) else tuple([tags[atom] for atom in atoms])

    def _call(self, index: int) -> None:
        call = self.program.calls[index]
        if index in self.reads:
            fail("GC-V003", f"{_what(call)} stands twice in its entries")
        reads = self.reads[index] = []
        for operand in call.reads:
            tags = self._of(operand.buffer)
            self._label(operand, tags, call)
            if NOTHING in tags:
                name = self.program.buffers[operand.buffer].name
                told = f"reads {name!r} as {operand.role}, which nobody wrote"
                fail("GC-V003", f"{_what(call)} {told}")
            reads.append(tags)
        writes = self.writes[index] = []
        for operand in call.writes:
            self._count += 1
            root, atoms = self._root_of[operand.buffer], self.atoms.of[operand.buffer]
            tags = self._tags[root] = written(self._tags[root], atoms, self._count)
            count = self._written[root] = self._written.get(root, 0) + 1
            self.whole[root, count] = tags
            writes.append(self._count)
        for operand in call.writes:
            self._label(operand, self._of(operand.buffer), call)

    def _label(self, operand: Operand, tags: Tags, call: Call) -> None:
        """See that a version of a buffer always means the same."""
        known = self.content.setdefault((operand.buffer, operand.version), tags)
        if known is not tags and known != tags:
            name = self.program.buffers[operand.buffer].name
            told = f"calls {name!r} version {operand.version}, which was another"
            fail("GC-V003", f"{_what(call)} {told}")


def written(tags: Tags, atoms: Tags, tag: int) -> Tags:
    """Tags of a root of which some atoms, rising, have been written."""
    if len(atoms) == len(tags):
        return (tag,) * len(tags)
    changed = list(tags)
    for atom in atoms:
        changed[atom] = tag
    return tuple(changed)


def _what(call: Call) -> str:
    return f"the Program's call {call.name!r} ({call.part})"


def entry_position(entry: str) -> int:
    return ENTRIES.index(entry) if entry in ENTRIES else len(ENTRIES)


def given(program: Program, entry: str) -> Iterator[int]:
    """Root buffers that are filled from outside before an entry starts."""
    tables = {"forward": program.inputs, "backward": program.seeds}
    for buffer in tables.get(entry, {}).values():
        yield program.root(buffer).id


__all__ = [
    "ENTRIES",
    "GIVEN",
    "NOTHING",
    "Prescription",
    "Tags",
    "entry_position",
    "given",
    "written",
]
