"""The checks behind the generated tests: each takes a Case and raises AssertionError."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from ops.harness import (
    Case,
    bytes_of,
    draw,
    forward,
    frozen,
    numeric_gradient,
    same,
    signature,
    state,
    top_gradients,
    uniform,
    vjp,
    with_inner,
)

from graphc.errors import GraphError
from graphc.ir.op import Effect, Kind, Trait
from graphc.ops._contract import counting
from graphc.ops.spec import F64, Ctx, Forward, Grad, View


def names(case: Case) -> None:
    """Roles in reads, writes, overs, views and parts exist; sizes of overs and views agree."""
    sig = case.sig
    known = {*sig.ins, *sig.outs, *sig.params}
    gradients = {f"d{top}" for top in sig.tops}
    made: set[str] = set()
    for part in case.forwards:
        reads, writes = case.forward_reads(part), case.forward_writes(part)
        assert set(reads) <= {*sig.ins, *sig.params, *made}, "reads what is not there yet"
        made |= set(writes)
        for role in set(writes) & set(sig.params):
            kind = next(p.kind for p in case.params if p.name == role)
            assert kind is not Kind.PARAM, f"writes the parameter {role!r}"
            assert {Effect.STATE, Effect.CARRY} & part.effects, "writes state without the effect"
        for top, bottom in part.over:
            assert top in writes and bottom in reads
            assert sig[top].nbytes == sig[bottom].nbytes, f"{top} over {bottom}: sizes differ"
        assert part.effects <= case.op.effects, "the class does not list the part's effects"
    assert made >= set(sig.outs), "some top or aux is written by no part"
    inner, given = case.inner, set[str]()
    assert not set(inner) & known, "an inner role has the name of another"
    parts = [g.part for g in case.grads]
    assert len(set(parts)) == len(parts), "two parts have one name"
    for grad in case.grads:
        assert grad.out in {*sig.ins, *sig.params, *inner}
        assert set(grad.reads) <= known | gradients | given, f"{grad.part} reads an unknown role"
        if grad.out in inner:
            assert f"d{grad.out}" not in given, f"two parts for the inner role {grad.out!r}"
            given.add(f"d{grad.out}")
        assert len(set(grad.reads)) == len(grad.reads)
        assert grad.over is None or grad.over in grad.reads
        if grad.over is not None:
            assert case.type_of(grad.over).nbytes == case.type_of(grad.out).nbytes
        assert grad.view is None or grad.view.of in grad.reads
    read = {r for g in case.grads for r in g.reads} | {
        r for f in case.forwards for r in case.forward_reads(f)
    }
    assert set(sig.outs) - set(sig.tops) <= read, "an aux value is read by no part"
    assert given == {f"d{role}" for role in inner}, "an inner role has no part"
    assert given <= read, "the gradient of an inner role is read by no part"
    learned = {p.name for p in case.params if p.kind is Kind.PARAM}
    if case.grads:
        assert learned <= {g.out for g in case.grads}, "a parameter has no gradient part"
    for param in case.params:
        for axis in (param.out_axis, param.in_axis):
            assert axis is None or 0 <= axis < len(param.shape)


def shapes(case: Case) -> None:
    """`infer`, `aux` and the parts give the same shapes; integer values fit their type."""
    values = state(case)
    for role, type_ in case.sig.outs.items():
        found = values[role].shape
        if Trait.DYNAMIC in case.op.traits and found:
            assert found[0] <= type_.shape[0], f"{role} is {found}, over its bound {type_}"
            found = (type_.shape[0], *found[1:])
        assert found == type_.shape, f"{role} is {found}, not {type_}"
        if type_.dtype != "f32" and type_.size:
            info = np.iinfo({"u8": np.uint8, "i32": np.int32, "i64": np.int64}[type_.dtype])
            assert (values[role] == np.round(values[role])).all(), f"{role} is not whole"
            assert info.min <= values[role].min() <= values[role].max() <= info.max
    for role in case.sig.params:
        if f"new {role}" in values:
            assert values[f"new {role}"].shape == case.sig[role].shape
    for grad in case.grads:
        found = vjp(case, grad, values)
        assert found.shape == case.type_of(grad.out).shape, f"{grad.part} has shape {found.shape}"


def gradient(case: Case) -> None:
    """The sum of the parts for one role equals central differences; parts see only their reads."""
    values = state(case)
    dtops = top_gradients(case, values)
    inputs = draw(case)
    for role in dict.fromkeys(g.out for g in case.grads if g.out not in case.inner):
        found = sum(vjp(case, g, values) for g in case.grads if g.out == role)
        expected = numeric_gradient(case, role, inputs, dtops)
        worst = float(np.abs(found - expected).max(initial=0))
        bound = 1e-6 * max(1.0, float(np.abs(expected).max(initial=0)))
        assert worst <= bound, f"gradient of {role!r} is off by {worst:.3g}, allowed {bound:.3g}"


def reads(cases: list[Case]) -> None:
    """Every declared read matters in one of the samples that declare it: exchanging the value for
    another changes what the part computes."""
    doubtful: set[tuple[str, str]] = set()
    proven: set[tuple[str, str]] = set()
    for case in cases:
        if any(t.size == 0 for t in case.sig.ins.values()):
            continue
        parts = [(g.part, g.reads, _part_of(case, g)) for g in case.grads]
        parts += [(f.name, case.forward_reads(f), _forward_of(case, f)) for f in case.forwards]
        for name, roles, run in parts:
            for role in roles:
                key = (name, role)
                if key not in proven:
                    (proven if _matters(case, role, run) else doubtful).add(key)
    unneeded = sorted(doubtful - proven)
    assert not unneeded, f"reads that never matter: {unneeded}"


def _part_of(case: Case, grad: Grad) -> Any:
    return lambda values: vjp(case, grad, values)


def _forward_of(case: Case, part: Forward) -> Any:
    stream = uniform(0) if Effect.RNG in case.op.effects else None

    def run(values: dict[str, F64]) -> F64:
        operands = {r: values[r] for r in case.forward_reads(part)}
        found = case.op.reference(case.attrs, operands, Ctx(case.sig, part.name, stream))
        return np.concatenate([np.ravel(found[w]) for w in case.forward_writes(part)] or [[0.0]])

    return run


def _matters(case: Case, role: str, run: Any) -> bool:
    for seed in range(4):
        values = state(case, seed)
        plain = run(values)
        for other in _alternatives(case, role, values[role], seed):
            try:
                changed = run({**values, role: frozen(other)})
            except GraphError:
                continue
            if not same(changed, plain):
                return True
    return False


def _alternatives(case: Case, role: str, value: F64, seed: int) -> Iterator[F64]:
    """Other legal values of a role: from other draws, then shuffled, then disturbed."""
    rng = np.random.default_rng(5)
    for other in range(seed + 1, seed + 4):
        drawn = state(case, other)[role]
        if drawn.shape == value.shape:
            yield drawn
    yield rng.permutation(np.array(value).ravel()).reshape(value.shape)
    is_float = role not in case.sig.outs or case.sig[role].dtype == "f32"
    if is_float:
        yield value * 1.5 + 0.25
        yield value * 0


def cost(case: Case) -> None:
    """Multiply-adds equal those counted; bytes equal those of the operands handed over."""
    values = state(case)
    op, sig = case.op, case.sig
    stream = uniform(0) if Effect.RNG in op.effects else None
    for part in case.forwards:
        operands = {r: values[r] for r in case.forward_reads(part)}
        with counting() as counter:
            found = op.reference(case.attrs, operands, Ctx(sig, part.name, stream))
        declared = op.cost(case.attrs, part.name, sig)
        assert declared.macs == counter[0], f"{part.name}: {declared.macs} != {counter[0]}"
        assert declared.read == sum(bytes_of(a, sig[r]) for r, a in operands.items())
        writes = case.forward_writes(part)
        if Trait.DYNAMIC not in op.traits:
            assert declared.write == sum(bytes_of(np.asarray(found[w]), sig[w]) for w in writes)
    for grad in case.grads:
        with counting() as counter:
            result = vjp(case, grad, values)
        declared = op.cost(case.attrs, grad.part, sig)
        assert declared.macs == counter[0], f"{grad.part}: {declared.macs} != {counter[0]}"
        if Trait.DYNAMIC not in op.traits:
            read = sum(bytes_of(values[r], case.type_of(r)) for r in grad.reads)
            assert declared.read == read
        assert declared.write == bytes_of(result, case.type_of(grad.out))


def purity(case: Case) -> None:
    """Runs repeat exactly, write into nothing they read, and take arrays of any layout."""
    values = state(case)
    again = state(case)
    for role in case.sig.outs:
        assert np.array_equal(values[role], again[role], equal_nan=True), f"{role} varies"
    awkward = {role: _awkward(a) for role, a in draw(case).items()}
    for role, array in forward(case, awkward).items():
        assert same(array, values[role]), f"{role} depends on the memory layout"
    scattered = {role: _awkward(a) for role, a in values.items()}
    for grad in case.grads:
        assert same(vjp(case, grad, scattered), vjp(case, grad, values)), grad.part


def _awkward(array: F64) -> F64:
    """The same numbers with a negative stride on the last axis and gaps on the first."""
    if array.ndim == 0:
        return array
    wide = np.full((array.shape[0] * 2, *array.shape[1:]), 7.7)
    view = wide[::2][..., ::-1]
    view[...] = array
    view.flags.writeable = False
    return view


def hostile_numbers(case: Case) -> None:
    """NaN, infinities and huge numbers raise GraphError or pass; no warning escapes."""
    rng = np.random.default_rng(3)
    base = draw(case)
    for role, array in base.items():
        for bad in (np.nan, np.inf, -np.inf, 1e300, -1.0, 3e38, 0.0):
            if not array.size:
                continue
            spoilt = np.array(array)
            spoilt.ravel()[rng.integers(array.size)] = bad
            try:
                values = forward(case, {**base, role: frozen(spoilt)})
                values = with_inner(case, values | top_gradients(case, values))
                for grad in case.grads:
                    vjp(case, grad, values)
            except GraphError:
                continue


def views(case: Case) -> None:
    """A declared view is the slice of its owner, element by element."""
    values = state(case)
    for role, view in case.op.views(case.attrs, case.sig).items():
        assert same(values[role], _viewed(values[view.of], view).reshape(values[role].shape)), role
    for grad in case.grads:
        if grad.view is not None:
            found = vjp(case, grad, values)
            owner = _viewed(values[grad.view.of], grad.view)
            assert same(found, owner.reshape(found.shape)), grad.part


def _viewed(array: F64, view: View) -> F64:
    if view.axis is None:
        return array
    stop = array.shape[view.axis] if view.stop is None else view.stop
    index = [slice(None)] * array.ndim
    index[view.axis] = slice(view.start, stop)
    return array[tuple(index)]


def batch_separable(case: Case) -> None:
    """Two halves of the batch give the halves of the tops, and gradients that stack or add up."""
    batches = {r: t.shape[0] for r, t in case.sig.ins.items() if t.rank}
    batch = next(iter(batches.values()))
    cut = {r for r in case.sig.ins if batches.get(r) == batch}
    seen = {r for f in case.forwards for r in case.forward_reads(f)} & set(case.sig.ins)
    assert seen <= cut, "bottoms have different batch sizes"
    if batch < 2:
        return
    whole = state(case)
    cuts = [(0, 1), (1, batch)]
    partial = []
    for start, stop in cuts:
        shapes = {r: (stop - start, *t.shape[1:]) for r, t in case.sig.ins.items() if r in cut}
        ins = tuple(shapes.get(r, t.shape) for r, t in case.sig.ins.items())
        sig = signature(case.op, case.attrs, ins, len(case.sig.tops), case.sig.phase)
        part = _with_sig(case, sig)
        bottoms = {r: frozen(whole[r][start:stop] if r in cut else whole[r]) for r in sig.ins}
        found = forward(part, {**bottoms, **{r: whole[r] for r in sig.params}}, sig=sig)
        found |= {f"d{t}": frozen(whole[f"d{t}"][start:stop]) for t in sig.tops}
        partial.append((part, with_inner(part, found)))
    if Effect.RNG in case.op.effects:
        return
    for top in case.sig.tops:
        assert same(np.concatenate([f[top] for _, f in partial]), whole[top]), top
    for grad in case.grads:
        pieces = [vjp(part, grad, found) for part, found in partial]
        expected = vjp(case, grad, whole)
        joined = sum(pieces) if grad.out in case.sig.params else np.concatenate(pieces)
        assert np.allclose(joined, expected, rtol=1e-9, atol=1e-10), grad.part


def _with_sig(case: Case, sig: Any) -> Case:
    other = Case(case.op, case.index)
    other.__dict__["sig"] = sig
    return other


def elementwise(case: Case) -> None:
    """Changing some elements of the bottoms changes those elements of the top alone."""
    values = state(case)
    shape = next(iter(case.sig.ins.values())).shape
    chosen = np.random.default_rng(1).random(shape) < 0.5
    other = draw(case, 1)
    mixed = dict(draw(case))
    for role in case.sig.ins:
        assert values[role].shape == shape, f"{role} has another shape"
        mixed[role] = frozen(np.where(chosen, other[role], values[role]))
    found = forward(case, mixed)
    for top in case.sig.tops:
        assert same(found[top][~chosen], values[top][~chosen]), top


def linear(case: Case) -> None:
    """y(a x + b z) - y(0) = a (y(x) - y(0)) + b (y(z) - y(0)), all bottoms taken together."""
    one, two = draw(case), draw(case, 1)
    params = {r: one[r] for r in case.sig.params}

    def at(p: float, q: float) -> dict[str, F64]:
        mixed = {r: frozen(p * one[r] + q * two[r]) for r in case.sig.ins}
        return forward(case, {**params, **mixed})  # type: ignore[no-any-return]

    zero, left, right, both = at(0, 0), at(1, 0), at(0, 1), at(2, -3)
    for top in case.sig.tops:
        expected = 2 * (left[top] - zero[top]) - 3 * (right[top] - zero[top])
        assert np.allclose(both[top] - zero[top], expected, rtol=1e-9, atol=1e-9), top


def ties(case: Case) -> None:
    """Tied channels may be exchanged together, and depend on nothing but each other."""
    from ops.channel_classes import check_exchange, check_independence, classes_of

    classes = classes_of(case)
    check_exchange(case, classes)
    check_independence(case, classes)


def shape_fuzz(case: Case, rng: np.random.Generator) -> None:
    """Random bottoms are inferred, or refused with a GraphError; so are parts, ties and costs."""
    sizes = [0, 1, 2, 3, 5, 2**31 - 1]
    ins = tuple(_mutated(rng, shape, sizes) for shape in case.sample.ins)
    for phase in ("TRAIN", "TEST"):
        try:
            sig = signature(case.op, case.attrs, ins, case.sample.tops, phase)
        except GraphError:
            continue
        op, attrs = case.op, case.attrs
        op.ties(attrs, sig)
        op.views(attrs, sig)
        op.traits_of(attrs, sig)
        for name in [f.name for f in op.forwards(attrs, sig)]:
            assert op.cost(attrs, name, sig).macs >= 0
        for grad in op.grads(attrs, sig):
            assert op.cost(attrs, grad.part, sig).macs >= 0


def _mutated(rng: np.random.Generator, shape: tuple[int, ...], sizes: list[int]) -> tuple[int, ...]:
    dims = list(shape)
    kind = rng.integers(4)
    if kind == 0:
        dims = [int(rng.choice(sizes)) for _ in range(rng.integers(0, 6))]
    elif kind == 1 and dims:
        dims[rng.integers(len(dims))] = int(rng.choice(sizes))
    elif kind == 2:
        dims.insert(int(rng.integers(len(dims) + 1)), int(rng.choice(sizes[:4])))
    elif dims:
        dims.pop(int(rng.integers(len(dims))))
    return tuple(dims)
