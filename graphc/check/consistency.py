"""What a declaration says agrees with itself and with what its reference gives.

Each check takes a Case and raises CheckFailed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.check.case import (
    Case,
    bytes_of,
    same,
    state,
    uniform,
    vjp,
)
from graphc.check.require import require
from graphc.ir.op import Effect, Kind, Trait
from graphc.ops._contract import counting
from graphc.ops.spec import F64, Ctx, View

_INTEGERS: dict[str, Any] = {"u8": np.uint8, "i32": np.int32, "i64": np.int64}


def names(case: Case) -> None:
    """Roles in reads, writes, overs, views and parts exist; sizes of overs and views agree."""
    sig = case.sig
    known = {*sig.ins, *sig.outs, *sig.params}
    gradients = {f"d{top}" for top in sig.tops}
    made: set[str] = set()
    for part in case.forwards:
        reads, writes = case.forward_reads(part), case.forward_writes(part)
        require(set(reads) <= {*sig.ins, *sig.params, *made}, "reads what is not there yet")
        made |= set(writes)
        for role in set(writes) & set(sig.params):
            kind = next(p.kind for p in case.params if p.name == role)
            require(kind is not Kind.PARAM, f"writes the parameter {role!r}")
            require({Effect.STATE, Effect.CARRY} & part.effects, "writes state without the effect")
        for top, bottom in part.over:
            require(top in writes and bottom in reads, "top in writes and bottom in reads")
            require(sig[top].nbytes == sig[bottom].nbytes, f"{top} over {bottom}: sizes differ")
        require(part.effects <= case.op.effects, "the class does not list the part's effects")
    require(made >= set(sig.outs), "some top or aux is written by no part")
    inner, given = case.inner, set[str]()
    require(not set(inner) & known, "an inner role has the name of another")
    parts = [g.part for g in case.grads]
    require(len(set(parts)) == len(parts), "two parts have one name")
    for grad in case.grads:
        require(
            grad.out in {*sig.ins, *sig.params, *inner},
            f"{grad.part} is for no role of the layer",
        )
        require(set(grad.reads) <= known | gradients | given, f"{grad.part} reads an unknown role")
        if grad.out in inner:
            require(f"d{grad.out}" not in given, f"two parts for the inner role {grad.out!r}")
            given.add(f"d{grad.out}")
        require(len(set(grad.reads)) == len(grad.reads), f"{grad.part} reads a role twice")
        require(
            grad.over is None or grad.over in grad.reads,
            f"{grad.part}: over no read",
        )
        if grad.over is not None:
            require(
                case.type_of(grad.over).nbytes == case.type_of(grad.out).nbytes,
                f"{grad.part} over {grad.over}: sizes differ",
            )
        require(
            grad.view is None or grad.view.of in grad.reads,
            f"{grad.part}: view of no read",
        )
    read = {r for g in case.grads for r in g.reads} | {
        r for f in case.forwards for r in case.forward_reads(f)
    }
    require(set(sig.outs) - set(sig.tops) <= read, "an aux value is read by no part")
    require(given == {f"d{role}" for role in inner}, "an inner role has no part")
    require(given <= read, "the gradient of an inner role is read by no part")
    learned = {p.name for p in case.params if p.kind is Kind.PARAM}
    if case.grads:
        require(learned <= {g.out for g in case.grads}, "a parameter has no gradient part")
    for param in case.params:
        for axis in (param.out_axis, param.in_axis):
            require(
                axis is None or 0 <= axis < len(param.shape),
                f"{param.name} has no axis {axis}",
            )


def shapes(case: Case) -> None:
    """`infer`, `aux` and the parts give the same shapes; integer values fit their type."""
    values = state(case)
    for role, type_ in case.sig.outs.items():
        found = values[role].shape
        if Trait.DYNAMIC in case.op.traits and found:
            require(found[0] <= type_.shape[0], f"{role} is {found}, over its bound {type_}")
            found = (type_.shape[0], *found[1:])
        require(found == type_.shape, f"{role} is {found}, not {type_}")
        if type_.dtype != "f32" and type_.size:
            info = np.iinfo(_INTEGERS[type_.dtype])
            require((values[role] == np.round(values[role])).all(), f"{role} is not whole")
            require(
                info.min <= values[role].min() <= values[role].max() <= info.max,
                f"{role} does not fit its type",
            )
    for role in case.sig.params:
        if f"new {role}" in values:
            require(
                values[f"new {role}"].shape == case.sig[role].shape,
                f"the new {role} has another shape",
            )
    for grad in case.grads:
        shape = vjp(case, grad, values).shape
        require(shape == case.type_of(grad.out).shape, f"{grad.part} has shape {shape}")


def views(case: Case) -> None:
    """A declared view is the slice of its owner, element by element."""
    values = state(case)
    for role, view in case.op.views(case.attrs, case.sig).items():
        require(
            same(values[role], _viewed(values[view.of], view).reshape(values[role].shape)),
            f"{role} is not the view it is declared as",
        )
    for grad in case.grads:
        if grad.view is not None:
            found = vjp(case, grad, values)
            owner = _viewed(values[grad.view.of], grad.view)
            require(same(found, owner.reshape(found.shape)), str(grad.part))


def _viewed(array: F64, view: View) -> F64:
    if view.axis is None:
        return array
    stop = array.shape[view.axis] if view.stop is None else view.stop
    index = [slice(None)] * array.ndim
    index[view.axis] = slice(view.start, stop)
    return array[tuple(index)]


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
        require(declared.macs == counter[0], f"{part.name}: {declared.macs} != {counter[0]}")
        require(
            declared.read == sum(bytes_of(a, sig[r]) for r, a in operands.items()),
            f"{part.name}: bytes read",
        )
        writes = case.forward_writes(part)
        if Trait.DYNAMIC not in op.traits:
            require(
                declared.write == sum(bytes_of(np.asarray(found[w]), sig[w]) for w in writes),
                f"{part.name}: bytes written",
            )
    for grad in case.grads:
        with counting() as counter:
            result = vjp(case, grad, values)
        declared = op.cost(case.attrs, grad.part, sig)
        require(declared.macs == counter[0], f"{grad.part}: {declared.macs} != {counter[0]}")
        if Trait.DYNAMIC not in op.traits:
            read = sum(bytes_of(values[r], case.type_of(r)) for r in grad.reads)
            require(declared.read == read, f"{grad.part}: bytes read")
        require(
            declared.write == bytes_of(result, case.type_of(grad.out)),
            f"{grad.part}: bytes written",
        )
