"""Budgets choose among the kernels of libraries, by the committed tables: no GPU, no cuDNN."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphc.budget import wish_of
from graphc.cuda import library as libraries
from graphc.cuda.dense import offers_of
from graphc.cuda.library import Library
from graphc.cuda.plans import Plan as Known
from graphc.lower import cuda
from graphc.lowering import Lowering
from graphc.memory import lowered, prepared
from graphc.plan import plan_program, verify_plan
from graphc.plan.data import Plan
from graphc.plan.explain import Taken, taken
from graphc.program import Program

MODELS = Path(__file__).resolve().parents[2] / "models"
TABLES = Library(version="9.19.0", tf32=True, has_cublas=True)
MB = 10**6


def program_of(net: str, library: Library = TABLES) -> Program:
    graph = prepared(MODELS / net / "train.prototxt", True, None, ())
    return cuda.lower(graph, variants=offers_of(library))


def smaller(rows: tuple[Taken, ...]) -> list[Taken]:
    return [row for row in rows if row.workspace < row.fastest_workspace]


def spaces(rows: tuple[Taken, ...]) -> int:
    return sum(row.workspace for row in rows)


@pytest.mark.parametrize("net", ["alexnet", "vgg16", "resnet50"])
def test_convolutions_of_all_directions_have_cudnns_plans(net: str) -> None:
    program = program_of(net)
    rows = [row for row in taken(program, plan_program(program)) if row.symbol.startswith("cudnn")]
    parts = {row.part.rstrip("0123456789") for row in rows}
    assert parts == {"forward", "dx", "dweight"}
    assert not smaller(tuple(rows)), "without a budget each has its fastest"
    convolutions = {call.name for call in program.calls if "group" in call.attrs}
    assert {row.layer for row in rows} == convolutions
    tight = plan_program(program, 1)
    verify_plan(program, tight)
    least = {row.layer: row for row in smaller(taken(program, tight))}
    assert len(least) >= 2 and all(row.us > row.fastest_us for row in least.values())


def test_the_smaller_the_budget_the_smaller_the_workspaces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHC_TF32", "1")
    found = [taken(low.program, low.plan) for low in map(alexnet, (None, 1620, 1500, 1400, 1292))]
    assert [spaces(rows) for rows in found] == sorted(map(spaces, found), reverse=True)
    counts = [len(smaller(rows)) for rows in found]
    assert counts[0] == 0 and counts == sorted(counts) and counts[-1] > counts[1] > 0
    layers = {row.layer for row in smaller(found[-1])}
    assert {"conv1", "conv2", "conv4", "conv5"} <= layers


def alexnet(megabytes: int | None) -> Lowering:
    memory = None if megabytes is None else megabytes * MB
    net = MODELS / "alexnet" / "train.prototxt"
    low = lowered(net, train=True, target="cuda", wish=wish_of(memory))
    assert memory is None or low.plan.peak_bytes <= memory
    return low


@pytest.mark.parametrize(("second", "taken_then"), [(100, "cudnn eng2"), (800, "cudnn eng1")])
def test_another_version_of_cudnn_takes_its_first_plan_that_fits(
    second: int, taken_then: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans = Known("eng3", 900 * MB), Known("eng2", second * MB), Known("eng1", 0)
    monkeypatch.setattr(libraries, "_listed", lambda product, gpu: plans)
    program = program_of("alexnet", Library(version="9.99.0", is_live=True))

    def of_conv2(plan: Plan) -> str:
        rows = taken(program, plan)
        return next(r.symbol for r in rows if (r.layer, r.part) == ("conv2", "forward"))

    assert of_conv2(plan_program(program)) == "cudnn eng3"
    assert of_conv2(plan_program(program, 1)) == taken_then
