"""Jobs: every kernel row of every sample of every layer that CUDA kernels are there for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from cuda.bench import DTYPES, SEED, STEP

from graphc.check.case import Case, cases, draw
from graphc.cuda import CHANNELS_LAST, Spec, Work, symbols, work
from graphc.cuda.launch import channels_last
from graphc.cuda.products import TAKE_ANY_ORDER
from graphc.errors import GraphError
from graphc.ops.kernel import PLAIN, Kernel
from graphc.ops.spec import Ctx
from graphc.rng import uniform

SPARSE = {"conv_compact", "conv_sparse", "inner_product_panels", "inner_product_sparse"}
DENSE = {*symbols()} - SPARSE
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Job:
    """What a row makes of float32 operands, and the float64 reference of that.

    `over`: pairs (result, operand) where the first may overwrite the second.
    """

    id: str
    symbol: str
    told: Mapping[str, Any]
    reads: Arrays
    wanted: Arrays
    dtypes: Mapping[str, str]
    over: tuple[tuple[str, str], ...] = ()
    adds: bool = False

    @property
    def work(self) -> Work:
        return work(self.symbol, self.told, self._specs(self.reads), self.written)

    @property
    def adding(self) -> Work:
        """The same, added to what is there."""
        reads = (*self._specs(self.reads), *self.written)
        return work(self.symbol, {**self.told, "accumulate": True}, reads, self.written)

    @property
    def turned(self) -> Work:
        """The same of images with channels last in memory."""
        reads, writes = self.last(self.reads), self.last(self.wanted)
        return work(self.symbol, self.told, reads, writes)

    def last(self, arrays: Arrays) -> list[Spec]:
        """What they are with channels last; of labels, which have none, as they are."""
        specs = zip(arrays, self._specs(arrays), strict=True)
        return [each if role == "label" else last(each) for role, each in specs]

    @property
    def written(self) -> tuple[Spec, ...]:
        return self._specs(self.wanted)

    def results(self) -> Arrays:
        """Places for the results, of what no kernel makes."""
        return {
            role: np.full(a.shape, np.nan if self.dtypes[role] == "f32" else 77, self._dtype(role))
            for role, a in self.wanted.items()
        }

    def _specs(self, arrays: Arrays) -> tuple[Spec, ...]:
        return tuple(Spec(self.dtypes[r], a.shape) for r, a in arrays.items())

    def _dtype(self, role: str) -> Any:
        return DTYPES[self.dtypes[role]]


def last(spec: Spec) -> Spec:
    """The operand with channels last in memory."""
    return Spec(spec.dtype, spec.shape, channels_last(spec.shape))


class Sample:
    """A sample's values, rounded to what kernels get; those of the forward are the reference's."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.values = {r: self._rounded(r, v) for r, v in draw(case).items()}
        self.forwards: list[tuple[Any, Arrays, Arrays]] = []
        for part in case.forwards:
            reads = {r: self.values[r] for r in case.forward_reads(part)}
            made = case.op.reference(case.attrs, self._exact(reads), self._context(part.name))
            wanted = {r: made[r] for r in case.forward_writes(part)}
            self.forwards.append((part, reads, wanted))
            fresh = {r: v for r, v in wanted.items() if r not in case.sig.params}
            self.values |= {r: self._rounded(r, v) for r, v in fresh.items()}
        rng = np.random.default_rng(9)
        for top in case.sig.tops:
            noise = rng.standard_normal(self.values[top].shape)
            self.values[f"d{top}"] = self._rounded(f"d{top}", noise)

    def jobs(self) -> Iterator[Job]:
        case = self.case
        for part, reads, wanted in self.forwards:
            if wanted:
                state = tuple((r, r) for r in wanted if r in reads)
                yield from self._jobs(part.name, reads, wanted, (*part.over, *state))
        for part in case.grads:
            reads = {r: self.values[r] for r in part.reads}
            if part.view is None:
                found = case.op.vjp(
                    case.attrs, part.part, self._exact(reads), self._context(part.part)
                )
                if part.out in case.inner:
                    self.values[f"d{part.out}"] = self._rounded(part.out, found)
                over = ((f"d{part.out}", part.over),) if part.over else ()
                yield from self._jobs(part.part, reads, {f"d{part.out}": found}, over)

    def _jobs(self, part: str, reads: Arrays, wanted: Arrays, over: Any) -> Iterator[Job]:
        seen: set[str] = set()
        for row in self.case.op.kernels_of(self.case.attrs, self.case.sig):
            if self._is_usable(row, part) and row.symbol not in seen:
                seen.add(row.symbol)
                told = row.attrs(self.case.attrs, self.case.sig) if row.attrs else {}
                name = f"{self.case.id}-{part}-{row.symbol}"
                dtypes = {r: self._type(r) for r in (*reads, *wanted)}
                yield Job(name, row.symbol, told, reads, wanted, dtypes, tuple(over), row.adds)

    def _is_usable(self, row: Kernel, part: str) -> bool:
        """Sparse weights are several operands: tests/cuda/test_sparse.py."""
        is_ours = row.backend == "cpu" and row.does(part) and (PLAIN, PLAIN) in row.formats
        is_meant = row.when is None or row.when(self.case.attrs, self.case.sig)
        return is_ours and is_meant and row.symbol in DENSE

    def _context(self, part: str) -> Ctx:
        name = self.case.sig.name
        return Ctx(
            self.case.sig,
            part,
            lambda shape, tag: uniform(shape, seed=SEED, step=STEP, layer=name, tag=tag),
        )

    def _type(self, role: str) -> str:
        return self.case.sig.outs[role].dtype if role in self.case.sig.outs else "f32"

    def _rounded(self, role: str, value: Any) -> np.ndarray:
        return np.asarray(value).astype(DTYPES[self._type(role)])

    @staticmethod
    def _exact(values: Arrays) -> Arrays:
        return {r: v.astype(np.float64) for r, v in values.items()}


def turned_jobs(jobs: list[Job]) -> tuple[list[Job], dict[str, str]]:
    """Those whose images may have channels last; and why others that do so elsewhere may not."""
    found, refused = [], {}
    for job in jobs:
        has_images = any(not s.is_dense for s in (*job.last(job.reads), *job.last(job.wanted)))
        if has_images and job.symbol in CHANNELS_LAST | TAKE_ANY_ORDER:
            try:
                found += [job] if job.turned else []
            except GraphError as error:
                refused[job.id] = error.message
    return found, refused


def all_jobs() -> tuple[list[Job], dict[str, str]]:
    """Those that kernels are for; and why there are none for others, by their names."""
    found, refused = [], {}
    for case in cases():
        for job in Sample(case).jobs():
            try:
                found += [job] if job.work else []
            except GraphError as error:
                refused[job.id] = error.message
    return found, refused
