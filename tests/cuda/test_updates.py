"""Rules of solvers as CUDA kernels, a parameter alone and many in one launch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from core.rows import close
from core.test_update_kernels import RULES
from cuda.bench import ORDERS, Bench, spec

from graphc.cuda import Spec, Work, work
from graphc.cuda.expressions import CHUNK, tables
from graphc.cuda.on_cpu import unavailable
from graphc.ir.op import Sig
from graphc.ir.types import Type
from graphc.ops.spec import Ctx
from graphc.ops.update.clip_gradients import ClipGradients, ClipGradientsAttrs
from graphc.ops.update.rule import UpdateRule

pytestmark = pytest.mark.skipif(bool(unavailable()), reason=unavailable())

SIZES = (7, 2 * CHUNK + 300, CHUNK, 1)
NUMBERS = {"rate": 0.1, "correction": 0.7}


class Update:
    """A rule's "expr" row for a parameter of `size` elements, its operands and what they become."""

    def __init__(self, rule: type[UpdateRule], size: int) -> None:
        attrs, kept = RULES[rule], rule.kept
        numbers = rule.step_params
        ins = {**{r: Type(()) for r in numbers}, "dw0": Type((size,))}
        sig = Sig(ins, (), "TRAIN", params={r: Type((size,)) for r in kept}, name="sample")
        (part,) = rule.forwards(attrs, sig)
        rng = np.random.default_rng(size)
        drawn = {r: np.abs(rng.standard_normal(size)) for r in part.reads}
        drawn |= {r: np.array(NUMBERS[r]) for r in numbers}
        self.reads = {r: np.float32(drawn[r]) for r in part.reads}
        exact = {r: np.asarray(v, np.float64) for r, v in self.reads.items()}
        made = rule.reference(attrs, exact, Ctx(sig, part.name))
        self.wanted = {r: made[r] for r in part.writes}
        row = next(r for r in rule.kernels if r.symbol == "expr")
        self.told: Any = row.attrs(attrs, sig)
        self.numbers = [np.float32([v]) for r, v in self.reads.items() if r in numbers]
        self.arrays = {r: np.array(v) for r, v in self.reads.items() if r not in numbers}

    @property
    def work(self) -> Work:
        reads = [spec(np.asarray(a)) for a in self.reads.values()]
        return work("expr", self.told, reads, [spec(self.arrays[r]) for r in self.wanted])

    def close(self, found: dict[str, np.ndarray]) -> None:
        for role, wanted in self.wanted.items():
            close(found[role], wanted, role)


ALONE = {rule: Update(rule, 1000) for rule in RULES}
MANY = {rule: [Update(rule, size) for size in SIZES] for rule in RULES}
TABLES = {rule: tables(all_[0].told, SIZES) for rule, all_ in MANY.items()}


GRADIENTS = [np.float32(np.random.default_rng(n).standard_normal(n)) for n in (5, 0, 9000, 700)]
LONGEST = {"shortened": 3.0, "as it is": 300.0}
CLIPPED = {
    name: work("clip_factor", {"longest": longest}, [*map(spec, GRADIENTS)], [Spec("f32", ())])
    for name, longest in LONGEST.items()
}


@pytest.fixture(scope="module")
def bench() -> Bench:
    works = [*(each.work for each in ALONE.values()), *CLIPPED.values()]
    return Bench([*works, *(Work((launch,)) for _, launch in TABLES.values())])


@pytest.mark.parametrize("name", CLIPPED)
def test_gradients_are_not_too_long_together(bench: Bench, name: str) -> None:
    attrs = ClipGradientsAttrs(LONGEST[name])
    exact = {f"dw{i}": each.astype(np.float64) for i, each in enumerate(GRADIENTS)}
    wanted = ClipGradients.reference(attrs, exact, Ctx(Sig({}, (), "TRAIN"), "update"))["factor"]
    assert (wanted < 1) == (name == "shortened")
    found = []
    for order in ORDERS:
        bench.module.order(order)
        factor = np.full((), np.nan, np.float32)
        bench.run(CLIPPED[name], [*GRADIENTS, factor])
        close(factor, wanted)
        found.append(factor.tobytes())
    assert len({*found}) == 1


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.type)
def test_one_parameter_in_place(bench: Bench, rule: type[UpdateRule]) -> None:
    update = ALONE[rule]
    for order in ORDERS:
        bench.module.order(order)
        arrays = {r: np.array(a, ndmin=1) for r, a in update.reads.items()}
        bench.run(update.work, [*arrays.values(), *(arrays[r] for r in update.wanted)])
        update.close(arrays)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.type)
def test_many_parameters_in_one_launch(bench: Bench, rule: type[UpdateRule]) -> None:
    table, launch = TABLES[rule]
    for order in ORDERS:
        bench.module.order(order)
        rows, arrays = (
            table.copy(),
            [{r: np.array(a) for r, a in u.arrays.items()} for u in MANY[rule]],
        )
        for row, own, update in zip(rows, arrays, MANY[rule], strict=True):
            places = [*own.values(), *(own[r] for r in update.wanted)]
            row["at"] = [a.ctypes.data for a in places]
        bench.run(Work((launch,)), [rows, *MANY[rule][0].numbers])
        for own, update in zip(arrays, MANY[rule], strict=True):
            update.close(own)
