"""Against the optimum: small graphs solved by mixed-integer programming (tools/oracle/solve.py)."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from graphc.plan import verify_plan
from graphc.plan.facts import Facts
from graphc.plan.front import Front
from graphc.plan.recompute import plan_replayed
from graphc.program import Buffer, BufferKind, Call, Operand, Program, Variant

GRAPHS: list[dict[str, Any]] = json.loads((Path(__file__).parent / "oracle.json").read_text())
UNIT = 64


def program_of(graph: dict[str, Any]) -> Program:
    """Each node a call that writes a buffer; units of memory are 64 bytes, of time microseconds."""
    buffers, calls = [], []
    for node, reads in enumerate(graph["reads"]):
        nbytes = UNIT * graph["sizes"][node]
        dims = (nbytes // 4,)
        buffers.append(Buffer(node, f"b{node}", BufferKind.ACT, "f32", dims, (1,), nbytes, UNIT))
        read = tuple(Operand(f"r{at}", each, 1) for at, each in enumerate(reads))
        variants = (Variant("made up", est_us=float(graph["costs"][node])),)
        write = (Operand("w", node, 1),)
        calls.append(Call(node, f"node{node}", node, "part", variants, read, write))
    turn, nodes = graph["count"], len(calls)
    entries = {"forward": tuple(range(turn)), "backward": tuple(range(turn, nodes))}
    return Program("test", tuple(buffers), tuple(calls), entries)


def gaps(graph: dict[str, Any]) -> Iterator[tuple[bool, float]]:
    """(at the smallest budget?, how much slower than the optimum) of each budget; infinitely much
    where there is no plan."""
    program = program_of(graph)
    front = Front(Facts(program), "ours")
    once = sum(graph["costs"])
    for budget, best in graph["times"]:
        fitting = [t for t in front.trials if t.peak <= UNIT * budget]
        if not fitting:
            yield budget == graph["least"], math.inf
            continue
        plan = plan_replayed(front.facts, front.script(fitting[0]))
        verify_plan(program, plan)
        assert plan.est_us == pytest.approx(once + fitting[0].us)
        yield budget == graph["least"], plan.est_us / best - 1


def test_enough_graphs_of_all_kinds() -> None:
    assert len(GRAPHS) >= 200
    assert all(len(graph["reads"]) <= 20 for graph in GRAPHS)
    assert {graph["kind"] for graph in GRAPHS} == {"chain", "residual", "dag"}


def test_plans_are_close_to_the_optimum() -> None:
    found = [gap for graph in GRAPHS for gap in gaps(graph)]
    middle = [gap for is_least, gap in found if not is_least]
    smallest = [gap for is_least, gap in found if is_least]
    assert min(middle + smallest) >= -1e-9
    assert sum(middle) / len(middle) <= 0.005
    assert max(middle) <= 0.03
    assert max(smallest) <= 0.01
