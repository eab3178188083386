"""Training with a host pool: transfers run beside the calls, and nothing comes out otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from train.test_same_bits import MODELS, SOLVER, Weights, differ, feeds

import graphc
from graphc.plan import Plan, StepKind
from graphc.plan.facts import Facts
from graphc.plan.hosted import plan_hosted
from graphc.plan.replays import unrolled
from graphc.plan.segments import Segments
from graphc.plan.sends import sendable, streamable
from graphc.program import Program
from graphc.runtime import _plans

NETS = ("lenet", "cifar10_quick", "resnet20")


@contextmanager
def sending_all(ahead: int, is_replaying: bool) -> Iterator[list[Plan]]:
    """What is compiled meanwhile sends all it can, weights and their history too."""
    made: list[Plan] = []

    def plan(program: Program) -> Plan:
        facts = Facts(program)
        choice = Segments(facts).speed_centric() if is_replaying else {}
        roots = sendable(unrolled(facts, choice).program) | streamable(program)
        made.append(plan_hosted(facts, choice, sorted(roots), ahead))
        return made[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_plans, "plan_program", plan)
        yield made


def learned(folder: Path, name: str, check: tuple[str, ...] = ()) -> Weights:
    """The weights after three steps on four samples."""
    path = folder / f"{name}.solver.prototxt"
    path.write_text(SOLVER.format(MODELS / name / "train.prototxt"))
    solver = graphc.Solver(path, batch=4)
    solver.net._executor.check = dict.fromkeys(check, True)
    solver.step(3, feeds(solver.net.graph))
    blobs = solver.net.params.items()
    return {f"{layer}/{i}": a.copy() for layer, own in blobs for i, a in enumerate(own)}


@pytest.mark.parametrize("is_replaying", [False, True], ids=["kept", "replayed"])
@pytest.mark.parametrize("name", NETS)
def test_networks_learn_the_same(name: str, is_replaying: bool, tmp_path: Path) -> None:
    plain = learned(tmp_path, name)
    assert all(np.isfinite(blob).all() for blob in plain.values())
    for ahead in (1, 1000):
        with sending_all(ahead, is_replaying) as plans:
            assert not differ(plain, learned(tmp_path, name))
            assert not differ(plain, learned(tmp_path, name, ("poison",)))
            assert not differ(plain, learned(tmp_path, name, ("audit",)))
        kinds = [step.kind for plan in plans for step in plan.steps]
        assert kinds.count(StepKind.IN) > 10
        assert kinds.count(StepKind.OUT) > 5
