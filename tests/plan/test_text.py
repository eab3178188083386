"""Plans as JSON: there and back, and whatever a hostile file may say."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from plan.programs import random_program

from graphc.errors import GraphError
from graphc.plan import Arena, Place, Plan, Step, StepKind, plan_program, verify_plan
from graphc.plan.text import from_json, to_json


def full() -> Plan:
    """A plan with every field in use."""
    place = Place(3, 1, 1, 64)
    steps = (
        Step(StepKind.RUN, 0, (place, place), 2, 1, (1, 128), (0, 4), 1, (5,), 6),
        Step(StepKind.OUT, -1, (place, Place(3, 1, 2, 0))),
    )
    arenas = (Arena("weights", 64), Arena("work", 256), Arena("host", 64, is_host=True))
    homes = {0: (0, 0), 3: (1, 64)}
    return Plan("cpu", steps, {"forward": (0, 2)}, arenas, homes, {"io": 64}, (3, 4), 7, 0.5)


@pytest.mark.parametrize("plan", [full(), plan_program(random_program(7))], ids=["full", "random"])
def test_there_and_back(plan: Plan) -> None:
    text = to_json(plan)
    assert from_json(text) == plan
    assert to_json(from_json(text.encode())) == text


def test_figures_stand_at_the_top() -> None:
    told = json.loads(to_json(full()))
    assert (told["peak_bytes"], told["host_bytes"]) == (320, 64)


def set_step(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda told: told["steps"][0].update(fields)


def set_top(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda told: told.update(fields)


HOSTILE: dict[str, Callable[[dict[str, Any]], object]] = {
    "another format": set_top(format=2),
    "lacks steps": lambda told: told.pop("steps"),
    "steps no list": set_top(steps={}),
    "a step no object": set_top(steps=[1]),
    "kind": set_step(kind="jump"),
    "kind no text": set_step(kind=[]),
    "unknown field": set_step(colour=1),
    "call as text": set_step(call="0"),
    "call as bool": set_step(call=True),
    "call as real": set_step(call=0.0),
    "call too low": set_step(call=-2),
    "call too large": set_step(call=1 << 70),
    "operand short": set_step(operands=[[1, 2, 3]]),
    "operand long": set_step(operands=[[1, 2, 3, 4, 5]]),
    "operand negative": set_step(operands=[[1, 2, 3, -4]]),
    "operands a number": set_step(operands=4),
    "workspace": set_step(workspace=[1]),
    "samples": set_step(samples="01"),
    "waits": set_step(waits=[None]),
    "records": set_step(records=-1),
    "arenas": set_top(arenas=[["work", 1]]),
    "many arenas": set_top(arenas=[["work", 1, False]] * 17),
    "arena whose": set_top(arenas=[["work", 320, 0]]),
    "arena name": set_top(arenas=[[None, 320, False]]),
    "homes": set_top(homes=[[1, 2]]),
    "homes a table": set_top(homes={"1": [2, 3]}),
    "entries": set_top(entries={"forward": [0]}),
    "entries a list": set_top(entries=[]),
    "breakdown": set_top(breakdown={"io": -1}),
    "live": set_top(live=[1.5]),
    "bound": set_top(op_bound=None),
    "time": set_top(est_us="fast"),
    "time negative": set_top(est_us=-1),
    "owner": set_top(owner=[1, "x", "y"]),
    "owner's buffers": set_top(owner=[1, "x", "y", [["a", "b"]]]),
    "target": set_top(target=7),
    "peak disagrees": set_top(peak_bytes=1),
    "host disagrees": set_top(host_bytes=0),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_fields_are_refused(name: str) -> None:
    told = json.loads(to_json(full()))
    HOSTILE[name](told)
    with pytest.raises(GraphError, match="GC-A001"):
        from_json(json.dumps(told))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "7",
        "{",
        b"\xff\xfe\x00",
        "[" * 200_000,
        '{"format": NaN}',
        '{"format": 1e999}',
    ],
    ids=str,
)
def test_what_is_no_plan_is_refused(text: str | bytes) -> None:
    with pytest.raises(GraphError, match="GC-A001"):
        from_json(text)


def test_damaged_texts_never_surprise() -> None:
    program = random_program(11)
    text, rng = to_json(plan_program(program)), random.Random(0)
    for _ in range(500):
        at = rng.randrange(len(text))
        damaged = text[:at] + rng.choice('0123456789[]{},:"-') + text[at + rng.randint(0, 3) :]
        try:
            verify_plan(program, from_json(damaged))
        except GraphError as error:
            assert error.code in ("GC-A001", "GC-V003")
