"""Plans that send to the host: the same bits in any order of streams, and every wait is needed."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from plan.transfer_mutants import all_waits, transfers, without_wait
from runtime.test_fake import NET, SOLVER, feeds
from runtime.test_host_pool import sending_all

import graphc
from graphc.cuda.on_cpu import unavailable
from graphc.errors import GraphError
from graphc.plan import Plan, StepKind, verify_plan
from graphc.runtime._loaded import Loaded
from graphc.runtime.fake import LATE, ORDERS, RANDOM, Order

pytestmark = pytest.mark.skipif(bool(unavailable()), reason=unavailable())
SCHEDULES = [*((order, 0) for order in ORDERS), *((RANDOM, seed) for seed in range(4))]


class Runs:
    """A training step from one start, by plans and in orders that are given."""

    def __init__(self, solver: graphc.Solver) -> None:
        self.solver, self.executor = solver, solver.net._executor
        self.plan, self.program = self.executor.plan, self.executor.program
        self.graph, self.given = solver.net.graph, feeds(solver.net.graph)
        rng = np.random.default_rng(1)  # what is equal could take each other's place unseen
        self.start = {
            v: np.float32(rng.random(v.type.shape) + 0.5) for v in self.graph.param_values()
        }

    def bits(self, plan: Plan, order: Order, seed: int = 0) -> bytes:
        """Of all that persists, after the step."""
        executor, device = self.executor, self.executor.device
        device.order = order
        device._random.seed(seed)
        executor.step = self.solver.iter = 0
        executor.prepared = Loaded(
            device, self.program, plan, executor.weights, executor._host_step
        )
        for value, array in self.start.items():
            self.graph.weight(value)[...] = array
        try:
            self.solver.net.step(self.given, self.solver._tune)
        except GraphError as error:
            assert error.code == "GC-R005", error  # the loss is no number
            return b""
        return b"".join(self.graph.weight(value).tobytes() for value in self.start)


def made(folder: Path) -> Runs:
    net, solver = folder / "net.prototxt", folder / "solver.prototxt"
    net.write_text(NET)
    told = SOLVER.format(net=net, type="SGD", prefix=folder / "s", clip=-1)
    solver.write_text(told.replace("iter_size: 2", ""))
    return Runs(graphc.Solver(solver, target="fake"))


REPLAYING = [True, False] if os.environ.get("GRAPHC_FAKE_NETS") == "all" else [True]


@pytest.fixture(scope="module", params=REPLAYING, ids=["replayed", "kept"][: len(REPLAYING)])
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """All that can be sent is, weights and their history, too."""
    with sending_all(1 << 40, request.param):
        found = made(tmp_path_factory.mktemp("waits"))
    for kind, least in ((StepKind.IN, 10), (StepKind.OUT, 5)):
        assert len(transfers(found.plan, kind)) > least
    return found


def test_any_order_gives_the_same_bits(runs: Runs, tmp_path: Path) -> None:
    plain = made(tmp_path)
    assert not transfers(plain.plan)
    wanted = plain.bits(plain.plan, LATE, 0)
    assert np.isfinite(np.frombuffer(wanted, np.float32)).all()
    assert all(runs.bits(runs.plan, *schedule) == wanted for schedule in SCHEDULES)


def test_no_wait_can_be_left_out(runs: Runs) -> None:
    """The verifier refuses the plan without it, and some order of streams gives other numbers."""
    plan, steps = runs.plan, runs.plan.steps
    wanted = runs.bits(plan, LATE)
    waits, unseen = all_waits(plan), []
    stream = {step.records: step.stream for step in steps if step.records is not None}
    for step, event in waits:
        impatient = without_wait(plan, step, event)
        with pytest.raises(GraphError, match="GC-V003"):
            verify_plan(runs.program, impatient)
        hasty, slow = steps[step].stream, stream[event]
        orders = sorted(ORDERS, key=lambda o: (o[-1] != slow, o[0] != hasty))  # likeliest first
        if all(runs.bits(impatient, order) == wanted for order in orders):
            unseen.append((step, event))
    assert len(waits) > 20 and not unseen
