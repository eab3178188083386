"""op_bound: what one call alone needs, whatever the order of calls and wherever buffers lie."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from graphc.plan.lifetimes import given_roots, roots_of
from graphc.plan.workspaces import smallest_bytes
from graphc.program import PERSISTENT, Call, Program


def op_bound(program: Program, calls: Sequence[Call]) -> int:
    """The largest, over the calls, of distinct operand bytes and smallest workspace.

    Operands that persist are not counted, and a result that may overwrite an operand of its size
    counts once: no plan that runs each call as a whole has a smaller work arena.
    """
    held = {program.root(buffer).id for buffer in program.kept}
    held |= {root for root, _ in given_roots(program)}
    most = _sums(program, calls)
    found = 0
    for at in sorted(range(len(most)), key=most.__getitem__, reverse=True):
        if most[at] <= found:
            break
        found = max(found, _need(program, calls[at], held))
    return found


def _sums(program: Program, calls: Iterable[Call]) -> list[int]:
    """Of each call, what all its operands and its workspace take: no less than it needs."""
    buffers = program.buffers
    sizes = [
        0 if buffers[r].kind in PERSISTENT else b.nbytes
        for r, b in zip(roots_of(program), buffers, strict=True)
    ]
    return [
        sum([sizes[operand.buffer] for operand in (*call.reads, *call.writes)])
        + smallest_bytes(call)
        for call in calls
    ]


def _need(program: Program, call: Call, held: Collection[int]) -> int:
    need = smallest_bytes(call)
    parts: dict[int, dict[tuple[object, ...], int]] = {}
    for operand in (*call.reads, *call.writes):
        buffer, root = program.buffers[operand.buffer], program.root(operand.buffer)
        if root.kind not in PERSISTENT:
            where = (buffer.view_of, buffer.dims, buffer.strides)
            parts.setdefault(root.id, {})[where] = buffer.nbytes
    for root_id, sizes in parts.items():
        need += min(program.buffers[root_id].nbytes, sum(sizes.values()))
    return need - _saved(program, call, held)


def _saved(program: Program, call: Call, held: Collection[int]) -> int:
    """Bytes of results that may lie where operands were."""
    reads = {operand.role: operand.buffer for operand in call.reads}
    writes = {operand.role: operand.buffer for operand in call.writes}
    saved: dict[str, int] = {}
    for made, read in call.may_overwrite:
        if made not in writes or read not in reads:
            continue
        new, old = program.root(writes[made]), program.root(reads[read])
        if new is old or old.kind in PERSISTENT or old.id in held:
            continue
        saved[made] = max(saved.get(made, 0), min(new.nbytes, old.nbytes))
    return sum(saved.values())


__all__ = ["op_bound"]
