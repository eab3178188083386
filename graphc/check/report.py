"""check: every property of one declaration, on every sample."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field

import numpy as np

from graphc.check import properties
from graphc.check.case import Case, is_expanded, touches_world
from graphc.errors import GraphError
from graphc.ir.op import Trait
from graphc.ops.spec import OpSpec
from graphc.records import record

SHAPE_TRIALS = 40
BY_TRAIT: dict[Trait, Callable[[Case], None]] = {
    Trait.BATCH_SEPARABLE: properties.batch_separable,
    Trait.ELEMENTWISE: properties.elementwise,
    Trait.LINEAR: properties.linear,
}


@record
class CheckReport:
    """`type_` of the layer, how many `samples` and `checks` ran, and what failed, in words."""

    type_: str
    samples: int = 0
    checks: int = 0
    failures: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Did everything hold, and was there anything to hold?"""
        return self.samples > 0 and not self.failures

    def __str__(self) -> str:
        if not self.samples:
            return f"{self.type_}: no samples, so nothing is proven"
        verdict = f"{len(self.failures)} failed" if self.failures else "all hold"
        lines = [f"{self.type_}: {self.checks} checks on {self.samples} samples, {verdict}"]
        return "\n  ".join(lines + self.failures)


def check(op: type[OpSpec]) -> CheckReport:
    """Check a declaration on all its samples.

    Compared are: shapes, gradients with finite differences, whether every read of every part is
    needed, costs, views, ties and traits; with NaN, odd layouts and random shapes on top. Sources,
    sinks and layers that only expand have nothing to check. A property that one of the layer's
    limitations names is skipped.
    """
    report = CheckReport(op.type)
    cases = [] if touches_world(op) else [Case(op, i) for i in range(len(op.samples))]
    skipped = {limitation.skips for limitation in op.limitations}
    for case in cases:
        report.samples += 1
        try:
            if is_expanded(case):
                continue
        except GraphError as error:
            report.failures.append(f"sample {case.index}: {error.headline}")
            continue
        for name, run in _properties(case).items():
            if name not in skipped:
                _try(report, f"sample {case.index}: {name}", run)
    primitive = [case for case in cases if not report.failures and not is_expanded(case)]
    if primitive and "reads" not in skipped:
        _try(report, "reads", lambda: properties.reads(primitive))
    return report


def _properties(case: Case) -> dict[str, Callable[[], None]]:
    each = {
        "declaration": properties.names,
        "shapes": properties.shapes,
        "gradient": properties.gradient,
        "cost": properties.cost,
        "purity": properties.purity,
        "odd numbers": properties.hostile_numbers,
        "views": properties.views,
        "ties": properties.ties,
    }
    held = {t.value: run for t, run in BY_TRAIT.items() if t in _traits(case)}
    rng = np.random.default_rng(0)

    def shapes() -> None:
        for _ in range(SHAPE_TRIALS):
            properties.shape_fuzz(case, rng)

    bound: dict[str, Callable[[], None]] = {
        name: _bind(run, case) for name, run in (each | held).items()
    }
    return bound | {"random shapes": shapes}


def _traits(case: Case) -> frozenset[Trait]:
    try:
        return case.op.traits_of(case.attrs, case.sig)
    except GraphError:
        return frozenset()


def _bind(run: Callable[[Case], None], case: Case) -> Callable[[], None]:
    return lambda: run(case)


def _try(report: CheckReport, title: str, run: Callable[[], None]) -> None:
    report.checks += 1
    try:
        run()
    except Exception as error:  # whatever the declaration raises is a finding
        kind = "" if isinstance(error, AssertionError) else f"{type(error).__name__}: "
        report.failures.append(f"{title}: {kind}{error}")
