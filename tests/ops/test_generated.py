"""Tests made from the declarations: every sample of every layer type, no layer named here."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.check import properties as checks
from graphc.check.case import (
    Case,
    all_cases,
    cases,
    computing_ops,
    is_expanded,
    touches_world,
)
from graphc.ir.op import Trait
from graphc.ops.registry import all_ops
from graphc.ops.spec import OpSpec

CASES = cases()
SKIPS = {"gradient": checks.gradient, "reads": lambda c: checks.reads([c]), "ties": checks.ties}


def each(found: list[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", found, ids=[c.id for c in found])


def with_trait(trait: Trait) -> pytest.MarkDecorator:
    return each([c for c in CASES if trait in c.op.traits_of(c.attrs, c.sig)])


def unless_limited(case: Case, what: str) -> None:
    for limitation in case.op.limitations:
        if limitation.skips == what:
            pytest.skip(limitation.why)


@pytest.mark.parametrize("op", all_ops().values(), ids=all_ops())
def test_declaration_is_complete(op: type[OpSpec]) -> None:
    assert (op.__doc__ or "").strip(), "no docstring"
    assert op.samples or touches_world(op), "no samples"
    assert {each.skips for each in op.limitations} <= {"", "roundtrip", *SKIPS}
    assert all(each.why for each in op.limitations), "a limitation without a reason"


def test_all_declared_layers_are_covered() -> None:
    covered = {case.op for case in all_cases()}
    assert covered == set(computing_ops())
    assert covered | {op for op in all_ops().values() if touches_world(op)} == set(
        all_ops().values()
    )


@each(all_cases())
def test_samples_are_small(case: Case) -> None:
    types = (*case.sig.ins.values(), *case.sig.outs.values(), *case.sig.params.values())
    assert max((t.size for t in types), default=0) <= 256


@each(CASES)
def test_declaration_is_consistent(case: Case) -> None:
    checks.names(case)


@each(CASES)
def test_shapes_and_writes(case: Case) -> None:
    checks.shapes(case)


@each([c for c in CASES if c.grads])
def test_gradient(case: Case) -> None:
    unless_limited(case, "gradient")
    checks.gradient(case)


@pytest.mark.parametrize("op", computing_ops(), ids=lambda op: op.type)
def test_reads_are_needed(op: type[OpSpec]) -> None:
    found = [c for c in CASES if c.op is op]
    if found:
        unless_limited(found[0], "reads")
    checks.reads(found)


@each(CASES)
def test_cost(case: Case) -> None:
    checks.cost(case)


@each(CASES)
def test_runs_are_pure(case: Case) -> None:
    checks.purity(case)


@each(CASES)
def test_nan_and_infinity_are_quiet(case: Case) -> None:
    checks.hostile_numbers(case)


@each([c for c in CASES if c.op.ties(c.attrs, c.sig)])
def test_ties(case: Case) -> None:
    unless_limited(case, "ties")
    checks.ties(case)


@each([c for c in CASES if c.op.views(c.attrs, c.sig) or any(g.view for g in c.grads)])
def test_views(case: Case) -> None:
    checks.views(case)


@with_trait(Trait.BATCH_SEPARABLE)
def test_batch_separable(case: Case) -> None:
    checks.batch_separable(case)


@with_trait(Trait.ELEMENTWISE)
def test_elementwise(case: Case) -> None:
    checks.elementwise(case)


@with_trait(Trait.LINEAR)
def test_linear(case: Case) -> None:
    checks.linear(case)


@pytest.mark.parametrize("op", computing_ops(), ids=lambda op: op.type)
def test_limitations_are_needed(op: type[OpSpec]) -> None:
    for what in {each.skips for each in op.limitations} & set(SKIPS):
        broken = 0
        for index in range(len(op.samples)):
            case = Case(op, index)
            if is_expanded(case):
                continue
            try:
                SKIPS[what](case)
            except Exception:
                broken += 1
        assert broken, f"{op.type} passes {what!r} without its limitation"


@pytest.mark.parametrize("op", computing_ops(), ids=lambda op: op.type)
def test_random_shapes_are_inferred_or_refused(op: type[OpSpec]) -> None:
    rng = np.random.default_rng(0)
    for case in (Case(op, i) for i in range(len(op.samples))):
        for _ in range(40):
            checks.shape_fuzz(case, rng)
