"""Plans kept in artefacts: used for the very Program they were made for, else made anew."""

from __future__ import annotations

import json
import zlib

from graphc.errors import GraphError, fail
from graphc.plan import Plan, verify_plan
from graphc.plan.text import from_table, to_json
from graphc.program import Call, Program


def plan_for(
    program: Program, kept: str | None = None, memory: int | None = None, host: int = 0
) -> Plan:
    """A verified plan: the kept one, if it is for this Program.

    Of a Program with a backward, one that replays what it must to stay within `memory` bytes, or
    sends it to the host, which has `host` bytes for that.

    A Program tells of target, ISA, library, threads and batch by its kernels and their workspaces.
    Raises GC-A001 for a kept plan that was tampered with, GC-M001 where replays do not help,
    GC-M002.
    """
    plan = _read(program, kept) if kept is not None else None
    if plan is None and memory is not None and "backward" in program.entries:
        from graphc.plan.within import plan_within

        return plan_within(program, memory, host_bytes=host)
    if plan is None:
        plan = plan_program(program)
        verify_plan(program, plan)
        return plan
    try:
        verify_plan(program, plan)
    except GraphError as error:
        fail("GC-A001", f"the artefact's plan is wrong: {error.message}", "compile it again")
    return plan


def plan_program(program: Program) -> Plan:
    """As `graphc.plan.planner.plan_program`, which kept plans do without."""
    from graphc.plan.planner import plan_program

    return plan_program(program)


def plan_text(program: Program, plan: Plan) -> str:
    """What `plan_for` reads."""
    return f'{{"program": "{fingerprint(program)}", "plan": {to_json(plan)}}}\n'


def fingerprint(program: Program) -> str:
    """A checksum of all that a plan depends on. A plan that has it by chance is refused."""
    facts = (
        program.target,
        [
            (b.kind.value, b.dtype, b.dims, b.strides, b.nbytes, b.align, b.view_of)
            for b in program.buffers
        ],
        [_facts(call) for call in program.calls],
        sorted(program.entries.items()),
        sorted(program.inputs.values()),
        sorted(program.seeds.values()),
        sorted(program.kept),
        sorted(program.lasting),
    )
    text = repr(facts).encode()
    return f"{len(text):x}-{zlib.crc32(text):08x}"


def _facts(call: Call) -> tuple[object, ...]:
    return (
        [(v.symbol, v.workspace_bytes) for v in call.variants],
        [(o.buffer, o.version) for o in (*call.reads, *call.writes)],
        call.may_overwrite,
        sorted(effect.value for effect in call.effects),
    )


def _read(program: Program, kept: str) -> Plan | None:
    try:
        told = json.loads(kept)
    except (ValueError, RecursionError) as error:
        fail("GC-A001", f"the artefact's plan is no JSON: {error}", "compile it again")
    if not isinstance(told, dict) or told.keys() != {"program", "plan"}:
        fail("GC-A001", "the artefact's plan is not what graphc writes", "compile it again")
    if told["program"] != fingerprint(program):
        return None
    return from_table(told["plan"])


__all__ = ["fingerprint", "plan_for", "plan_text"]
