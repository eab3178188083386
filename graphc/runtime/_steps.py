"""Steps: what the C++ session is told of a Program and its Plan."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from graphc import _core
from graphc.errors import fail
from graphc.plan.data import Plan, Step, StepKind
from graphc.program import HOST, Buffer, BufferKind, Call, Program
from graphc.runtime._poison import Place, Ranges, poison_ranges

Locate = Callable[[int, int, int], tuple[int, int]]
"""(root buffer, arena, offset) of a plan -> (region, offset) in memory."""
LEARNED = (BufferKind.PARAM, BufferKind.STATE)
PREPARE = "prepare"
MAX_RANK = 8


def steps_of(
    program: Program, plan: Plan, entry: str, locate: Locate, *, poisoned: bool = False
) -> list[_core.Step]:
    """The steps of an entry, prepared; with what to poison only if told, since that takes a while
    to find. Raises GC-A001 for a step that this executor cannot do."""
    first, end = plan.entries[entry]
    steps = plan.steps[first:end]
    for step in steps:
        if (step.kind is StepKind.RUN) != (step.stream == 0):
            fail("GC-A001", f"the plan has a step that target {plan.target!r} cannot do")
    runs = [step for step in steps if step.kind is StepKind.RUN]
    places = [places_of(program, step, locate) for step in runs]
    poison: list[Ranges] = [([], [])] * len(runs)
    if poisoned:
        rest = [step for step in plan.steps[end:] if step.kind is StepKind.RUN]
        own, later = ([program.calls[s.call] for s in part] for part in (runs, rest))
        moved = {p.buffer for s in plan.steps if s.kind is not StepKind.RUN for p in s.operands}
        poison = poison_ranges(program, own, places, later, moved)
    spent = spent_after(program) if entry == PREPARE else {}
    events = {step.records: at for at, step in enumerate(steps) if step.records is not None}
    ready = zip(places, poison, strict=True)
    made = []
    for step in steps:
        waits = [events[event] for event in step.waits if event in events]  # others are over
        if step.kind is StepKind.RUN:
            made.append(_step(program, step, *next(ready), locate, spent.get(step.call, ()), waits))
        else:
            made.append(_copy(program, step, locate, waits))
    return made


def spent_after(program: Program) -> dict[int, list[int]]:
    """Call of "prepare" -> positions of its reads that are learned and that nothing reads later or
    ever writes: weights of which only the packed form is computed with."""
    last: dict[int, int] = {}
    for entry in sorted(program.entries, key=lambda name: name != PREPARE):
        for index in program.entries[entry]:
            call = program.calls[index]
            is_first = entry == PREPARE
            for operand in call.reads:
                last[program.root(operand.buffer).id] = index if is_first else -1
            for operand in call.writes:
                last[program.root(operand.buffer).id] = -1
    found: dict[int, list[int]] = {}
    for index in program.entries.get(PREPARE, ()):
        for at, operand in enumerate(program.calls[index].reads):
            root = program.root(operand.buffer)
            if root.kind in LEARNED and last[root.id] == index:
                found.setdefault(index, []).append(at)
    return found


def places_of(program: Program, step: Step, locate: Locate) -> list[Place]:
    """(region, offset, bytes) of a step's operands: reads, then writes."""
    call = program.calls[step.call]
    if len(step.operands) != len(call.reads) + len(call.writes):
        fail("GC-A001", f"a step of the plan has {len(step.operands)} operands, {call.name!r} not")
    found = []
    for place in step.operands:
        buffer = program.buffers[place.buffer]
        root, inner = (buffer.id, 0) if buffer.view_of is None else buffer.view_of
        region, start = locate(root, place.arena, place.offset - inner)
        at = start + inner if buffer.nbytes else 0  # a view of nothing may begin past the end
        found.append((region, at, buffer.nbytes))
    return found


def is_host(call: Call, step: Step) -> bool:
    return call.variants[step.variant].symbol == HOST


def _step(
    program: Program,
    step: Step,
    places: Sequence[Place],
    poison: Ranges,
    locate: Locate,
    spent: Sequence[int],
    waits: Sequence[int],
) -> _core.Step:
    call = program.calls[step.call]
    variant = call.variants[step.variant]
    workspace = (0, 0, 0)
    if variant.workspace_bytes:
        if step.workspace is None:
            fail("GC-A001", f"the plan has no workspace for {call.name!r}")
        region, offset = locate(-1, *step.workspace)
        workspace = (region, offset, variant.workspace_bytes)
    count = len(call.reads)
    return _core.Step(
        name=call.name,
        symbol="" if variant.symbol == HOST else variant.symbol,
        reads=[_spec(program.buffers[o.buffer]) for o in call.reads],
        writes=[_spec(program.buffers[o.buffer]) for o in call.writes],
        attrs=dict(call.attrs),
        read_places=places[:count],
        write_places=places[count:],
        workspace=workspace,
        poison_before=[*poison[0], workspace],
        poison_after=poison[1],
        spent=[places[at] for at in spent],
        waits=waits,
    )


def _copy(program: Program, step: Step, locate: Locate, waits: Sequence[int]) -> _core.Step:
    """A transfer: the bytes of a root buffer in a row."""
    buffer = program.buffers[step.operands[0].buffer]
    places = [(*locate(p.buffer, p.arena, p.offset), buffer.nbytes) for p in step.operands]
    row = "u8", (buffer.nbytes,), (1,)
    return _core.Step(
        name=buffer.name,
        symbol="",
        reads=[row],
        writes=[row],
        attrs={},
        read_places=places[:1],
        write_places=places[1:],
        workspace=(0, 0, 0),
        poison_before=[],
        poison_after=[],
        stream=step.stream,
        waits=waits,
    )


def _spec(buffer: Buffer) -> _core.Spec:
    """How the core sees a buffer; only host steps meet more axes than it knows, all dense."""
    if len(buffer.dims) > MAX_RANK:
        size = 1
        for dim in buffer.dims:
            size *= dim
        return buffer.dtype, (size,), (1,)
    return buffer.dtype, buffer.dims, buffer.strides


__all__ = ["LEARNED", "PREPARE", "Locate", "is_host", "places_of", "spent_after", "steps_of"]
