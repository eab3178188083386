"""Every sample of every layer as a graph of its own: lowered, planned, run, compared."""

from __future__ import annotations

import numpy as np
import pytest
from lower.run_graph import lowered
from ops.test_in_a_graph import CASES, execute, expanded

from graphc.autodiff import differentiate
from graphc.check.case import Case, draw
from graphc.ir.op import Effect, Trait

WORLD = {Effect.SOURCE, Effect.SINK}
RUN = [c for c in CASES if Trait.DYNAMIC not in c.op.traits and not WORLD & c.op.effects]


@pytest.mark.parametrize("case", RUN, ids=[case.id for case in RUN])
def test_planned_is_unplanned_and_as_the_reference_says(case: Case) -> None:
    graph, values = expanded(case), draw(case)
    feeds = {f"b_{role}": values[role] for role in case.sig.ins}
    expected = execute(graph, values)
    if case.grads:
        differentiate(graph)
    made = lowered(graph, {*graph.grads.values()})
    planned, separate = (made.run(planned=p, feeds=feeds) for p in (True, False))
    assert planned.keys() == separate.keys()
    for name, array in separate.items():
        assert planned[name].tobytes() == array.tobytes(), name
    for value in graph.outputs:
        np.testing.assert_allclose(
            planned[value.name], expected[value.name], rtol=1e-4, atol=1e-4, err_msg=value.name
        )
