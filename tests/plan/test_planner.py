"""What the planner decides on programs small enough to see what is right."""

from __future__ import annotations

from dataclasses import replace

import pytest
from plan.programs import Maker, long_chain

from graphc.ir.op import Effect
from graphc.plan import Plan, plan_program, verify_plan
from graphc.plan.timeline import timeline
from graphc.program import BufferKind, Program, Variant

DIMS = (4, 4, 16)
SIZE = 1024


def planned(m: Maker) -> tuple[Program, Plan]:
    program = m.done()
    plan = plan_program(program)
    verify_plan(program, plan)
    return program, plan


def chain(*over: bool, keep: tuple[int, ...] = ()) -> Plan:
    """x -> b1 -> b2 ..., one call each, in place where told; the last is kept."""
    m = Maker()
    m.input(*DIMS)
    for number, in_place in enumerate(over):
        m.call([number], [m.buffer(*DIMS)], [(0, 0)] if in_place else ())
    m.kept |= {len(over), *keep}
    return planned(m)[1]


def test_a_chain_needs_two_buffers() -> None:
    assert chain(False, False, False, False).peak_bytes == 2 * SIZE


def test_a_chain_in_place_needs_its_input_and_one_more() -> None:
    plan = chain(True, True, True)
    assert plan.peak_bytes == 2 * SIZE  # the input is the caller's
    assert plan.live[1:] == (SIZE, SIZE)


def test_what_is_kept_is_not_overwritten() -> None:
    assert chain(True, True, True, keep=(1,)).peak_bytes == 2 * SIZE
    assert chain(True, True, True, keep=(1,)).live == (2 * SIZE, 2 * SIZE, 2 * SIZE)


def test_a_later_reader_forbids_overwriting() -> None:
    m = Maker()
    x, a, b = m.input(*DIMS), m.buffer(*DIMS), m.buffer(*DIMS)
    m.call([x], [a])
    m.call([a], [b], [(0, 0)])
    m.call([a, b], [m.buffer(*DIMS)])
    assert planned(m)[1].live == (2 * SIZE, 2 * SIZE, 3 * SIZE)


def test_one_buffer_is_overwritten_by_one_result() -> None:
    m = Maker()
    x, a = m.input(*DIMS), m.buffer(*DIMS)
    m.call([x], [a])
    m.call([a], [m.buffer(*DIMS), m.buffer(*DIMS)], [(0, 0), (1, 0)])
    assert planned(m)[1].live[1] == 2 * SIZE


def test_an_operand_read_in_two_roles_needs_both_pairs() -> None:
    for pairs, need in (([(0, 0)], 2 * SIZE), ([(0, 0), (0, 1)], SIZE)):
        m = Maker()
        x, a = m.input(*DIMS), m.buffer(*DIMS)
        m.call([x], [a])
        m.call([a, a], [m.buffer(*DIMS)], pairs)
        assert planned(m)[1].live[1] == need


def test_a_view_of_the_whole_may_be_overwritten_a_slice_may_not() -> None:
    for whole in (True, False):
        m = Maker()
        x, a = m.input(*DIMS), m.buffer(*DIMS)
        m.call([x], [a])
        part = m.view(a, (256,), (1,)) if whole else m.channels(a, 0, 3)
        m.call([part], [m.buffer(*m.buffers[part].dims)], [(0, 0)])
        assert planned(m)[1].live[1] == (SIZE if whole else SIZE + 768)


def test_other_strides_forbid_overwriting() -> None:
    m = Maker()
    x, a = m.input(4, 4), m.buffer(4, 4)
    m.call([x], [a])
    turned = m.view(m.buffer(4, 4), (4, 4), (1, 4))
    m.call([a], [turned], [(0, 0)])
    assert planned(m)[1].live[1] == 128


def test_inputs_live_from_the_start_of_their_entry() -> None:
    m = Maker()
    x, late, a = m.input(*DIMS), m.input(*DIMS), m.buffer(*DIMS)
    m.call([x], [a])
    m.entry = "backward"
    seed = m.seed(*DIMS)
    b = m.buffer(*DIMS)
    m.call([a], [b])
    m.call([b, seed, late], [m.buffer(*DIMS)])
    assert planned(m)[1].live == (3 * SIZE, 4 * SIZE, 4 * SIZE)


def test_an_input_nobody_reads_has_a_place_to_be_copied_to() -> None:
    m = Maker()
    x, unread = m.input(*DIMS), m.input(*DIMS)
    m.call([x], [m.buffer(*DIMS)])
    plan = planned(m)[1]
    assert unread in plan.homes
    assert plan.live[0] == 3 * SIZE


def test_forward_results_are_kept_until_forward_ends() -> None:
    m = Maker()
    x, a = m.input(*DIMS), m.buffer(*DIMS)
    m.call([x], [a])
    m.call([x], [m.buffer(*DIMS)])
    m.kept.add(a)
    m.entry = "backward"
    m.call([2], [m.buffer(*DIMS)])
    assert planned(m)[1].live == (2 * SIZE, 3 * SIZE, 2 * SIZE)


def test_what_persists_has_an_arena_of_its_own() -> None:
    m = Maker()
    w = m.buffer(100, kind=BufferKind.PARAM)
    packed = m.buffer(200, kind=BufferKind.PACKED)
    state = m.buffer(10, kind=BufferKind.STATE)
    m.entries = {"forward": [], "prepare": []}
    m.entry = "prepare"
    m.call([w], [packed])
    m.entry = "forward"
    m.call([m.input(4), packed, state], [state], [(0, 2)], effects=frozenset({Effect.STATE}))
    plan = planned(m)[1]
    assert [a.name for a in plan.arenas] == ["weights", "work"]
    assert plan.arenas[0].nbytes == 448 + 832 + 64
    parts = {"weights": 448, "packed": 832, "state": 64, "io": 64}
    assert {k: v for k, v in plan.breakdown.items() if v} == parts
    assert plan.peak_bytes == sum(parts.values())
    assert plan.entries == {"prepare": (0, 1), "forward": (1, 2)}


def test_the_fastest_variant_runs_and_its_workspace_is_charged_to_its_step() -> None:
    m = Maker()
    x, a = m.input(*DIMS), m.buffer(*DIMS)
    m.call([x], [a])
    program = m.done()
    slow, fast = Variant("slow", 64, 9.0), Variant("fast", 4096, 2.0)
    program = replace(program, calls=(replace(program.calls[0], variants=(slow, fast)),))
    plan = plan_program(program)
    verify_plan(program, plan)
    assert plan.steps[0].variant == 1
    assert plan.est_us == 2.0
    assert plan.breakdown["workspace"] == 4096
    assert plan.peak_bytes == 2 * SIZE + 4096
    assert plan.op_bound == 2 * SIZE + 64


def test_the_owner_is_the_step_that_needs_most() -> None:
    m = Maker()
    x = m.input(4)
    a, b = m.buffer(*DIMS, name="large"), m.buffer(4)
    m.call([x], [b])
    m.call([b], [a])
    m.call([a], [m.buffer(4)])
    owner = planned(m)[1].owner
    assert owner is not None
    assert (owner.step, owner.name, owner.part) == (1, "call1", "part")
    assert owner.buffers[0] == ("large", "activations", SIZE)


def test_a_program_without_calls_is_planned() -> None:
    m = Maker()
    m.kept.add(m.input(4))
    plan = planned(m)[1]
    assert (plan.peak_bytes, plan.steps, plan.owner) == (64, (), None)
    assert plan_program(Maker().done()).peak_bytes == 0


def test_alignment_is_kept() -> None:
    m = Maker()
    x = m.input(1)
    for align in (64, 256, 64, 256):
        m.call([x], [m.buffer(1, align=align)])
    m.kept |= {1, 2, 3, 4}
    program, plan = planned(m)
    assert all(plan.homes[b][1] % program.buffers[b].align == 0 for b in range(5))
    assert plan.work_bytes == 64 * 3 + 256 * 2


def test_the_timeline_tells_what_each_step_needs() -> None:
    m = Maker()
    x, a = m.input(*DIMS), m.buffer(*DIMS)
    m.call([x], [a])
    m.call([a], [m.buffer(*DIMS, kind=BufferKind.GRAD)], [(0, 0)])
    m.call([2], [m.buffer(*DIMS)])
    program, plan = planned(m)
    found = timeline(program)
    assert found.bytes_of == {
        BufferKind.IO: [SIZE, 0, 0],
        BufferKind.ACT: [SIZE, 0, SIZE],
        BufferKind.GRAD: [0, SIZE, SIZE],
    }
    assert [sum(column) for column in zip(*found.bytes_of.values(), strict=True)] == list(plan.live)
    assert found.most(BufferKind.ACT, BufferKind.IO) == 2 * SIZE
    assert found.most(BufferKind.HISTORY) == 0


@pytest.mark.parametrize("length", [10, 5_000])
def test_a_chain_is_packed_with_next_to_no_loss(length: int) -> None:
    program = long_chain(length)
    plan = plan_program(program)
    assert plan.work_bytes <= 1.0002 * plan.live_bound
