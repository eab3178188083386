"""Plans kept in artefacts: used for the very Program they were made for, else made anew."""

from __future__ import annotations

import json
import threading
import zlib
from collections import OrderedDict

from graphc.budget import check_budget
from graphc.errors import GraphError, fail
from graphc.plan import Plan, verify_plan
from graphc.plan.text import from_table, to_json
from graphc.plan.wish import NOTHING, Forced, Wish
from graphc.program import Call, Program

ANY = 1 << 62
"""A budget that everything is within."""
MOST = 16
"""Plans that a process remembers."""


class _Known:
    """Plans that were searched for, the last ones used: so that training a network again, or
    another solver's, does not search again."""

    def __init__(self) -> None:
        self._lock, self._plans = threading.Lock(), OrderedDict[object, Plan]()

    def get(self, key: object) -> Plan | None:
        with self._lock:
            if key in self._plans:
                self._plans.move_to_end(key)
            return self._plans.get(key)

    def put(self, key: object, plan: Plan) -> None:
        with self._lock:
            self._plans[key] = plan
            while len(self._plans) > MOST:
                self._plans.popitem(last=False)


_KNOWN = _Known()


def plan_for(
    program: Program, kept: str | None = None, wish: Wish | None = None, forced: Forced = NOTHING
) -> Plan:
    """A verified plan: the kept one, if it is for this Program and within the wish's memory.

    Of a Program with a backward, one that replays what it must for the wish, and what is `forced`;
    such plans are searched for once in a process.

    A Program tells of target, ISA, library, threads and batch by its kernels and their workspaces.
    Raises GC-A001 for a kept plan that was tampered with, GC-M001 where nothing helps, GC-M002.
    """
    wish = wish or Wish()
    memory = wish.memory
    plan = _read(program, kept) if kept is not None else None
    if plan is not None and memory is not None and plan.peak_bytes > memory:
        plan = None
    if plan is None and "backward" in program.entries and (memory is not None or forced.dropped):
        return _searched(program, wish, forced)
    if plan is None:
        plan = plan_program(program, memory)
        check_budget(plan, memory)
        verify_plan(program, plan)
        return plan
    try:
        verify_plan(program, plan)
    except GraphError as error:
        fail("GC-A001", f"the artefact's plan is wrong: {error.message}", "compile it again")
    return plan


def _searched(program: Program, wish: Wish, forced: Forced) -> Plan:
    us = tuple(variant.est_us for call in program.calls for variant in call.variants)
    key = fingerprint(program), wish, forced, hash(us)
    plan = _KNOWN.get(key)
    if plan is None:
        from graphc.plan.within import plan_within

        budget = ANY if wish.memory is None else wish.memory
        plan = plan_within(program, budget, wish.policy, wish.host, forced)
        _KNOWN.put(key, plan)
    else:
        verify_plan(program, plan)
    return plan


def plan_program(program: Program, budget: int | None = None) -> Plan:
    """As `graphc.plan.planner.plan_program`, which kept plans do without."""
    from graphc.plan.planner import plan_program

    return plan_program(program, budget)


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
        call.samples,
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
