"""Artefacts that were cut, edited or planned in bad faith: refused with the reason, or harmless."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc
from graphc.errors import GraphError

NET = """
layer { name: "data" type: "Input" top: "data"
        input_param { shape { dim: 2 dim: 3 dim: 6 dim: 6 } } }
layer { name: "a" type: "Convolution" bottom: "data" top: "a"
        convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "b" type: "InnerProduct" bottom: "a" top: "b"
        inner_product_param { num_output: 40 weight_filler { type: "xavier" } } }
layer { name: "c" type: "TanH" bottom: "b" top: "c" }
layer { name: "d" type: "Eltwise" bottom: "b" bottom: "c" top: "d"
        eltwise_param { operation: MAX } }
layer { name: "e" type: "Softmax" bottom: "d" top: "e" }
"""
X = {"data": np.random.default_rng(0).standard_normal((2, 3, 6, 6)).astype(np.float32)}
MEANT = {"arenas", "entries", "homes", "steps"}
"""What of a plan is more than a report."""
Table = dict[str, Any]


class Artefact:
    """The members of one, its plan, and what it computes."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "n.gcz"
        (folder / "n.prototxt").write_text(NET)
        exe = graphc.compile(folder / "n.prototxt", target="cpu", threads=1)
        exe.save(self.path)
        self.wanted = exe.run(X)["e"]
        self.raw = self.path.read_bytes()
        with zipfile.ZipFile(self.path) as archive:
            self.members = {name: archive.read(name) for name in archive.namelist()}
        self.told: Table = json.loads(self.members["plan.json"])

    @property
    def plan(self) -> Table:
        """A copy, to be edited."""
        return deepcopy(self.told["plan"])

    def with_plan(self, plan: object) -> Path:
        other = self.path.with_name("edited.gcz")
        with zipfile.ZipFile(other, "w") as archive:
            for name, data in self.members.items():
                told = json.dumps(self.told | {"plan": plan}).encode()
                archive.writestr(name, told if name == "plan.json" else data)
        return other

    def is_refused(self, path: Path) -> bool:
        """Else it must compute what it did, bit for bit."""
        try:
            found = graphc.open(path, threads=1).run(X)["e"]
        except GraphError as error:
            assert error.code == "GC-A001" and str(error.loc) == str(path), error
            return True
        assert found.tobytes() == self.wanted.tobytes()
        return False


@pytest.fixture(scope="module")
def artefact(tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    return Artefact(tmp_path_factory.mktemp("hostile"))


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of all that is no list and no object."""
    if isinstance(value, dict | list):
        for key, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(each, (*path, key))
    else:
        yield path


def test_every_number_replaced(artefact: Artefact) -> None:
    plan, refused, meant = artefact.plan, 0, 0
    for *path, last in places(plan):
        at: Any = plan
        for key in path:
            at = at[key]
        good = at[last]
        others: list[object] = [-1, "0", None]
        if (*path, last)[0] in MEANT:
            others += [0, 1 << 61, 1 << 70, True, 1.5, []]
        if type(good) is int:
            others += [good + 1, good + 64, good - 64, str(good)]
        for bad in others:
            if type(bad) is type(good) and bad == good:
                continue
            at[last] = bad
            was_refused = artefact.is_refused(artefact.with_plan(plan))
            refused += was_refused
            meant += not was_refused and (*path, last)[0] in MEANT
        at[last] = good
    assert refused > 1000 and meant <= 2, (refused, meant)


def first_run(plan: Table, *, workspace: bool = False) -> Table:
    """The first step of "forward", or the first that has a workspace."""
    steps: list[Table] = plan["steps"][plan["entries"]["forward"][0] :]
    return next(step for step in steps if not workspace or "workspace" in step)


def grow(plan: Table, arena: int, nbytes: int) -> int:
    """Make an arena larger; returns its old end."""
    start: int = plan["arenas"][arena][1]
    plan["arenas"][arena][1] += nbytes
    plan["peak_bytes"] += nbytes
    return start


def move(plan: Table, buffer: int, arena: int, offset: int) -> None:
    """A whole root buffer, in all steps."""
    for step in plan["steps"]:
        step["operands"] = [
            [b, v, arena, offset] if b == buffer else [b, v, *place]
            for b, v, *place in step["operands"]
        ]
    plan["homes"] = [[b, arena, offset] if b == buffer else [b, *p] for b, *p in plan["homes"]]


def renamed(plan: Table) -> None:
    plan["arenas"][0][0] = "work"


def exchanged(plan: Table) -> None:
    plan["arenas"][0][0], plan["arenas"][1][0] = "work", "weights"


def activation_among_weights(plan: Table) -> None:
    move(plan, first_run(plan)["operands"][-1][0], 0, grow(plan, 0, 4096))


def weights_among_activations(plan: Table) -> None:
    buffer = plan["steps"][0]["operands"][0][0]
    assert [buffer, 0, 0] in plan["homes"]
    move(plan, buffer, 1, grow(plan, 1, 448))


def workspace_among_weights(plan: Table) -> None:
    first_run(plan, workspace=True)["workspace"] = [0, grow(plan, 0, 4096)]


def another_arena(plan: Table) -> None:
    plan["arenas"].append(["more", 64, False])
    plan["peak_bytes"] += 64


def far_away(plan: Table) -> None:
    step = first_run(plan, workspace=True)
    step["workspace"] = [1, grow(plan, 1, 1 << 45)]


def home_of_what_has_none(plan: Table) -> None:
    homes = {home[0] for home in plan["homes"]}
    buffer = next(p[0] for s in plan["steps"] for p in s["operands"] if p[0] not in homes)
    plan["homes"].append([buffer, 1, 0])


def home_of_nothing(plan: Table) -> None:
    plan["homes"].append([10_000, 0, 0])


def home_nowhere(plan: Table) -> None:
    plan["homes"][0][1] = 9


def waits_for_itself(plan: Table) -> None:
    plan["steps"][1] |= {"waits": [1], "records": 1}


def waits_in_a_circle(plan: Table) -> None:
    plan["steps"][0] |= {"waits": [2], "records": 1}
    plan["steps"][1] |= {"waits": [1], "records": 2}


def waits_for_nothing(plan: Table) -> None:
    plan["steps"][2]["waits"] = [5]


def one_event_twice(plan: Table) -> None:
    for step in plan["steps"][:2]:
        step["records"] = 1


def part_of_the_batch(plan: Table) -> None:
    first_run(plan)["samples"] = [0, 1]


def another_stream(plan: Table) -> None:
    first_run(plan)["stream"] = 1


def a_transfer(plan: Table) -> None:
    """To the host, which this target has no arena on."""
    buffer, version, arena, offset = first_run(plan)["operands"][-1]
    plan["arenas"].append(["host", 4096, True])
    plan["host_bytes"] = 4096
    places = [[buffer, version, arena, offset], [buffer, version, 2, 0]]
    plan["steps"].insert(2, {"kind": "out", "call": -1, "operands": places})
    plan["entries"]["forward"][1] += 1


def no_steps(plan: Table) -> None:
    plan["steps"], plan["entries"] = [], {name: [0, 0] for name in plan["entries"]}


EDITS = (
    renamed,
    exchanged,
    activation_among_weights,
    weights_among_activations,
    workspace_among_weights,
    another_arena,
    far_away,
    home_of_what_has_none,
    home_of_nothing,
    home_nowhere,
    waits_for_itself,
    waits_in_a_circle,
    waits_for_nothing,
    one_event_twice,
    part_of_the_batch,
    another_stream,
    a_transfer,
    no_steps,
)


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.__name__)
def test_bad_faith_is_refused(artefact: Artefact, edit: Callable[[Table], None]) -> None:
    plan = artefact.plan
    edit(plan)
    assert artefact.is_refused(artefact.with_plan(plan))


def test_what_is_strange_but_right_runs(artefact: Artefact) -> None:
    """A wait for what is over, and a call that runs twice."""
    plan = artefact.plan
    plan["steps"][0]["records"] = 3
    plan["steps"][-1]["waits"] = [3]
    again = plan["entries"]["forward"][0] + 1
    plan["steps"].insert(again, plan["steps"][again - 1] | {"instance": 1})
    plan["entries"]["forward"][1] += 1
    assert not artefact.is_refused(artefact.with_plan(plan))


def test_truncated_anywhere(artefact: Artefact) -> None:
    other = artefact.path.with_name("cut.gcz")
    for part in range(50):
        other.write_bytes(artefact.raw[: len(artefact.raw) * part // 50])
        assert artefact.is_refused(other), part


def test_a_byte_edited_anywhere(artefact: Artefact) -> None:
    other, refused = artefact.path.with_name("edited.gcz"), 0
    spots = range(0, len(artefact.raw), len(artefact.raw) // 400)
    for number, at in enumerate(spots):
        raw = bytearray(artefact.raw)
        raw[at] ^= 1 << number % 8
        other.write_bytes(raw)
        refused += artefact.is_refused(other)
    assert refused > 0.97 * len(spots)
