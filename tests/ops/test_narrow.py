"""Attributes after removal: every layer then infers the shapes that its ties leave."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from graphc.check.case import Case, cases
from graphc.check.channel_classes import classes_of, split
from graphc.ops.ties import Balance, Grouped

FOUND = [c for c in cases() if c.op.ties(c.attrs, c.sig)]


def removals(case: Case) -> list[list[dict[str, list[int]]]]:
    """Lists of classes that may go together: one alone, or one of each block."""
    algebra = case.op.ties(case.attrs, case.sig)
    balances = [item for item in algebra if isinstance(item, Balance)]
    found: list[list[dict[str, list[int]]]] = []
    for each in classes_of(case):
        held = [item for item in balances if item.endpoint in each]
        inner = any(isinstance(i, Grouped) and i.dst in each for i in algebra)
        if not held and not inner:
            found.append([each])
    for item in balances:
        size = case.sig[split(item.endpoint)[0]].shape[split(item.endpoint)[1]] // item.groups
        heads = [block * size for block in range(item.groups)]
        found.append([c for c in classes_of(case) if set(c.get(item.endpoint, ())) & set(heads)])
    return found


@pytest.mark.parametrize("case", FOUND, ids=[c.id for c in FOUND])
def test_shapes_follow_from_narrowed_attributes(case: Case) -> None:
    algebra = case.op.ties(case.attrs, case.sig)
    grouped = {item.dst: item for item in algebra if isinstance(item, Grouped)}
    for classes in removals(case):
        kept = {}
        for end in {end for found in classes for end in found} - set(grouped):
            role, at = split(end)
            gone = [i for found in classes for i in found.get(end, ())]
            kept[end] = np.delete(np.arange(case.sig[role].shape[at]), gone)
        if any(left.size == 0 for left in kept.values()):
            continue
        attrs = case.op.narrow(case.attrs, case.sig, kept)
        left = {
            role: type_.with_shape(
                *(len(kept.get(f"{role}.{at}", range(d))) for at, d in enumerate(type_.shape))
            )
            for role, type_ in (*case.sig.ins.items(), *case.sig.outs.items(),
                                *case.sig.params.items())
        }  # fmt: skip
        ins = {role: left[role] for role in case.sig.ins}
        sig = replace(case.sig, ins=ins, outs={}, params={})
        assert case.op.infer(attrs, sig) == {role: left[role] for role in case.sig.tops}
        for param in case.op.params(attrs, sig):
            shape = list(left[param.name].shape)
            for end, item in grouped.items():
                role, at = split(end)
                if role == param.name and item.src in kept:
                    shape[at] = len(kept[item.src]) // item.groups
            assert param.shape == tuple(shape)
