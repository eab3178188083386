"""Every sample of every layer on the C++ core: beside the reference, unplanned, watched."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from core.rows import Array, close
from ops.test_in_a_graph import CASES, expanded
from plan.apart import unplanned

from graphc import driver
from graphc.check.case import Case, draw
from graphc.ir.op import Trait
from graphc.runtime.executable import Executable

RUNS = 2
each_case = pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
each_way = pytest.mark.parametrize("train", [False, True], ids=["forward", "train"])


def results(
    case: Case, target: str = "cpu", check: tuple[str, ...] = (), **how: Any
) -> tuple[Executable, dict[str, Array]]:
    """What was compiled; outputs, and with train=True gradients, of each run, then parameters and
    statistics, by name."""
    exe = driver.assemble(expanded(case), target=target, **how)
    if check:
        exe._executor.check = dict.fromkeys(check, True)
    values = draw(case)
    feeds = {f"b_{role}": values[role] for role in case.sig.ins}
    found: dict[str, Array] = {}
    for run in range(RUNS):
        made = exe.run(feeds)
        if exe.train:
            made |= gradients(exe, made, run)
        found |= {f"{name} of run {run}": array for name, array in made.items()}
    for layer, arrays in exe.params.items():
        found |= {f"{layer} {index}": array for index, array in enumerate(arrays)}
    return exe, found


def gradients(exe: Executable, tops: dict[str, Array], seed: int) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    seeds = {v.name: rng.standard_normal(tops[v.name].shape) for v in exe.graph.outputs}
    told = exe.backward(seeds)
    found = {f"gradient of {name}": array for name, array in told.blobs.items()}
    for layer, arrays in told.params.items():
        found |= {f"gradient of {layer} {i}": array for i, array in enumerate(arrays)}
    return found


def same_bits(case: Case, wanted: dict[str, Array], **how: Any) -> None:
    _, found = results(case, **how)
    assert found.keys() == wanted.keys()
    for name, array in wanted.items():
        assert found[name].tobytes() == array.tobytes(), name


@each_way
@each_case
def test_as_the_reference_says(case: Case, train: bool) -> None:
    """Within 1e-5 max(1, max|reference|); by kernels alone where extents are fixed."""
    exe, found = results(case, keep="all", train=train)
    _, wanted = results(case, "reference", keep="all", train=train)
    assert found.keys() == wanted.keys()
    for name, array in wanted.items():
        close(found[name], array, name)
    program = exe._executor.prepared.program
    calls = [call for entry in program.entries.values() for call in entry]
    symbols = {program.calls[call].variants[0].symbol for call in calls}
    assert "host" not in symbols or Trait.DYNAMIC in case.op.traits


@each_way
@each_case
def test_planned_is_unplanned(case: Case, train: bool) -> None:
    _, planned = results(case, threads=1, train=train)
    with unplanned():
        for threads in (1, 2):
            same_bits(case, planned, threads=threads, train=train)


@each_way
@each_case
def test_poison_and_audit_change_nothing(case: Case, train: bool) -> None:
    _, plain = results(case, threads=2, train=train)
    for check in (("poison",), ("audit",), ("poison", "audit")):
        same_bits(case, plain, check=check, threads=2, train=train)
    with unplanned():
        same_bits(case, plain, check=("poison", "audit"), threads=2, train=train)
