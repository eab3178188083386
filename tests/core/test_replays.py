"""Plans that no planner makes yet: what runs twice, and moves in between."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from plan.apart import plan_apart
from texts import feed, graph, layer

from graphc import driver
from graphc.plan import Plan
from graphc.program import Program
from graphc.runtime import _plans


def test_host_steps_go_where_a_replay_has_put_their_operands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """TanH's result is overwritten by AbsVal's; TanH runs again, to another place, from which a
    layer without a kernel reads."""

    def replayed(program: Program, budget: int | None = None) -> Plan:
        plan = plan_apart(program)
        tanh, other, host = plan.steps
        (source, first), (_, over) = tanh.operands, other.operands
        second = replace(first, offset=plan.work_bytes)
        moved = tuple(second if p.buffer == first.buffer else p for p in host.operands)
        steps = (
            tanh,
            replace(other, operands=(source, replace(over, offset=first.offset))),
            replace(tanh, operands=(source, second), instance=1),
            replace(host, operands=moved),
        )
        start, end = plan.entries["forward"]
        return replace(
            plan,
            steps=steps,
            entries=plan.entries | {"forward": (start, end + 1)},
            arenas=(plan.arenas[0], replace(plan.arenas[1], nbytes=plan.work_bytes + 64)),
            homes={**plan.homes, over.buffer: (1, first.offset)},
        )

    monkeypatch.setattr(_plans, "plan_program", replayed)
    net = graph(
        feed(data=(2, 3), s=(2,)),
        layer("TanH", "data", "t"),
        layer("AbsVal", "data", "u"),
        layer("Filter", "t s", "y"),
    )
    exe = driver.assemble(driver.shape(net), target="cpu")
    x = np.linspace(-2, 2, 6, dtype=np.float32).reshape(2, 3)
    for _ in range(2):
        found = exe.run({"data": x, "s": np.array([0, 1])})
        assert np.allclose(found["y"], np.tanh(x[1:]), rtol=0, atol=1e-6)
        assert np.array_equal(found["u"], np.abs(x))
        exe._executor.check = {"poison": True}
