"""What the generated layer tests share: a sample of a layer, its values, one run of its parts."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from graphc.check.require import require
from graphc.errors import GraphError
from graphc.ir.op import Effect, Kind, Param, Sig, Trait
from graphc.ir.types import ITEM_BYTES, Type
from graphc.ops.registry import all_ops
from graphc.ops.spec import F64, Ctx, Forward, Grad, OpSpec, Sample
from graphc.records import record

FLOAT32_MAX = float(np.finfo(np.float32).max)


@record(frozen=True)
class Case:
    """Sample number `index` of a layer type."""

    op: type[OpSpec]
    index: int

    @property
    def id(self) -> str:
        return f"{self.op.type}-{self.index}"

    @property
    def sample(self) -> Sample:
        return self.op.samples[self.index]

    @property
    def attrs(self) -> Any:
        return self.op.Attrs() if self.sample.attrs is None else self.sample.attrs

    @cached_property
    def sig(self) -> Sig:
        return signature(self.op, self.attrs, self.sample.ins, self.sample.tops, self.sample.phase)

    @cached_property
    def params(self) -> tuple[Param, ...]:
        return self.op.params(self.attrs, replace(self.sig, params={}))

    @property
    def forwards(self) -> tuple[Forward, ...]:
        return self.op.forwards(self.attrs, self.sig)

    @property
    def grads(self) -> tuple[Grad, ...]:
        return self.op.grads(self.attrs, self.sig)

    def forward_reads(self, part: Forward) -> tuple[str, ...]:
        return (*self.sig.ins, *self.sig.params) if part.reads is None else part.reads

    def forward_writes(self, part: Forward) -> tuple[str, ...]:
        return tuple(self.sig.outs) if part.writes is None else part.writes

    @property
    def inner(self) -> dict[str, Type]:
        return self.op.inner(self.attrs, self.sig)

    def type_of(self, role: str) -> Type:
        """Of any role or gradient, those of inner roles included."""
        inner = self.inner
        return inner.get(role) or inner.get(role.removeprefix("d")) or self.sig[role]

    @property
    def limits(self) -> set[str]:
        return {each.skips for each in self.op.limitations if each.skips}


def signature(
    op: type[OpSpec], attrs: Any, ins: tuple[tuple[int, ...], ...], tops: int, phase: str
) -> Sig:
    """The types of one use of a layer, as inference fills them in; aux values included."""
    in_roles, top_roles = op.roles(attrs, len(ins), tops)
    types = {role: Type(shape) for role, shape in zip(in_roles, ins, strict=True)}
    sig = Sig(types, top_roles, phase, name="sample")  # type: ignore[arg-type]
    found = op.infer(attrs, sig)
    sig = replace(sig, outs={role: found[role] for role in top_roles})
    params = {p.name: Type(p.shape) for p in op.params(attrs, sig)}
    sig = replace(sig, params=params)
    return replace(sig, outs={**sig.outs, **op.aux(attrs, sig)})


def touches_world(op: type[OpSpec]) -> bool:
    """Sources, sinks and feeds: what they give depends on files or on the caller."""
    return bool(op.effects & {Effect.SOURCE, Effect.SINK}) or Trait.FEED in op.traits


def computing_ops() -> list[type[OpSpec]]:
    return [op for op in all_ops().values() if not touches_world(op)]


def is_expanded(case: Case) -> bool:
    """Does the layer stand for stock layers, which have parts of their own?"""
    return case.op.expand(case.attrs, case.sig) is not None


def all_cases() -> list[Case]:
    return [Case(op, i) for op in computing_ops() for i in range(len(op.samples))]


def cases() -> list[Case]:
    """Samples of the primitive layers."""
    return [case for case in all_cases() if not is_expanded(case)]


def uniform(seed: int) -> Any:
    """A stand-in for the counter-based stream: the same numbers for the same tag and shape."""
    return lambda shape, tag: np.random.default_rng([seed, tag]).random(shape)


def draw(case: Case, seed: int = 0) -> dict[str, F64]:
    """Values of bottoms and parameters; frozen, so that writing into them fails."""
    rng = np.random.default_rng([seed, zlib.crc32(case.id.encode())])
    values = {}
    for role, type_ in (*case.sig.ins.items(), *case.sig.params.items()):
        make = case.sample.draw.get(role)
        array = make(rng, type_.shape) if make else rng.standard_normal(type_.shape)
        values[role] = frozen(array)
        require(values[role].shape == type_.shape, f"draw of {role!r} gives the wrong shape")
    return values


def frozen(array: Any) -> F64:
    copy: F64 = np.array(array, np.float64)
    copy.flags.writeable = False
    return copy


def forward(case: Case, values: Mapping[str, F64], seed: int = 0, sig: Sig | None = None) -> Any:
    """Run every forward part on its reads alone; returns bottoms, params, tops and aux by role.

    New STATE and CARRY values come under "new " + role.
    """
    sig = sig or case.sig
    stream = uniform(seed) if Effect.RNG in case.op.effects else None
    inner: dict[str, F64] = {}
    for part in case.forwards:
        reads = case.forward_reads(part)
        operands = {r: inner[r] if r in inner else values[r] for r in reads}
        results = case.op.reference(case.attrs, operands, Ctx(sig, part.name, stream))
        for role in case.forward_writes(part):
            require(role in results, f"forward part {part.name!r} does not write {role!r}")
            name = f"new {role}" if role in sig.params else role
            inner[name] = frozen(results[role])
    return {**values, **inner}


def top_gradients(case: Case, values: Mapping[str, F64], seed: int = 0) -> dict[str, F64]:
    """A gradient for each top; zero where no part reads it, for nothing can flow there."""
    rng = np.random.default_rng([seed, 99])
    read = {role for grad in case.grads for role in grad.reads}
    table = {}
    for top in case.sig.tops:
        noise = rng.standard_normal(values[top].shape)
        table[f"d{top}"] = frozen(noise if f"d{top}" in read else noise * 0)
    return table


def state(case: Case, seed: int = 0) -> dict[str, F64]:
    """Everything a backward part could read: values, tops, aux and top gradients."""
    values = forward(case, draw(case, seed), seed)
    return with_inner(case, {**values, **top_gradients(case, values, seed)}, seed)


def with_inner(case: Case, values: Mapping[str, F64], seed: int = 0) -> dict[str, F64]:
    """The values with the gradients of inner roles, which some parts pass to others."""
    found = dict(values)
    inner = case.inner
    for grad in case.grads:
        if grad.out in inner:
            found[f"d{grad.out}"] = frozen(vjp(case, grad, found, seed))
    return found


def live(case: Case, values: Mapping[str, F64]) -> Sig:
    """The types with the extents found at run time; they differ for dynamic layers alone."""
    if Trait.DYNAMIC not in case.op.traits:
        return case.sig
    outs = {r: Type(values[r].shape) if r in values else t for r, t in case.sig.outs.items()}
    return replace(case.sig, outs=outs)


def vjp(case: Case, grad: Grad, values: Mapping[str, F64], seed: int = 0) -> F64:
    """Run one backward part on its reads alone."""
    stream = uniform(seed) if Effect.RNG in case.op.effects else None
    reads = {role: values[role] for role in grad.reads}
    sig = live(case, values)
    result = case.op.vjp(case.attrs, grad.part, reads, Ctx(sig, grad.part, stream))
    return np.asarray(result, np.float64)


def objective(case: Case, values: Mapping[str, F64], dtops: Mapping[str, F64]) -> float:
    """Sum over all tops of <top, its gradient>."""
    found = forward(case, values)
    return float(sum((found[t] * dtops[f"d{t}"]).sum() for t in case.sig.tops))


def numeric_gradient(
    case: Case, role: str, values: Mapping[str, F64], dtops: Mapping[str, F64]
) -> F64:
    """Central differences of `objective` with respect to every element of `role`."""
    base = values[role]
    slopes = np.zeros(base.shape)
    for index in np.ndindex(base.shape):
        step = 1e-5 * max(1.0, abs(float(base[index])))
        ends = []
        for sign in (1, -1):
            moved = np.array(base)
            moved[index] += sign * step
            ends.append(objective(case, {**values, role: frozen(moved)}, dtops))
        slopes[index] = (ends[0] - ends[1]) / (2 * step)
    return slopes


def kinds(case: Case) -> dict[str, Kind]:
    return {p.name: p.kind for p in case.params}


def bytes_of(array: F64, type_: Type) -> int:
    return array.size * ITEM_BYTES[type_.dtype]


def same(left: Any, right: Any) -> bool:
    """Equal element by element, up to rounding of sums taken in another order; NaN equals NaN."""
    if np.shape(left) != np.shape(right):
        return False
    return bool(np.allclose(left, right, rtol=1e-10, atol=1e-12, equal_nan=True))


def refused(error: BaseException) -> bool:
    return isinstance(error, GraphError)
