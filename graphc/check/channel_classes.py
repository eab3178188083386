"""Classes of tied channels of one sample, and what must hold for them.

An atom is (endpoint, index), such as ("x.1", 4). Ties join atoms to classes, which live and die
together.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np

from graphc.check.case import Case, draw, forward, frozen, same
from graphc.check.require import require
from graphc.ops.spec import F64
from graphc.ops.ties import Balance, Free, Grouped, Ordered, Tie

Atom = tuple[str, int]
Class = dict[str, list[int]]


class _Union:
    def __init__(self) -> None:
        self.parent: dict[Atom, Atom] = {}

    def find(self, atom: Atom) -> Atom:
        self.parent.setdefault(atom, atom)
        while self.parent[atom] != atom:
            self.parent[atom] = self.parent[self.parent[atom]]
            atom = self.parent[atom]
        return atom

    def join(self, left: Atom, right: Atom) -> None:
        self.parent[self.find(left)] = self.find(right)


def split(endpoint: str) -> tuple[str, int]:
    role, _, axis = endpoint.rpartition(".")
    return role, int(axis)


def extent(case: Case, endpoint: str) -> int:
    role, axis = split(endpoint)
    type_ = case.sig[role]
    require(0 <= axis < type_.rank, f"{endpoint}: {role} has shape {type_.shape}")
    return type_.shape[axis]


def classes_of(case: Case) -> list[Class]:
    """All classes, as index lists by endpoint; raises AssertionError for ties out of range."""
    union = _Union()
    for item in case.op.ties(case.attrs, case.sig):
        if isinstance(item, Tie):
            sources, targets = item.pairs(extent(case, item.src))
            require(sources.size == 0 or sources.max() < extent(case, item.src), str(item))
            require(targets.size == 0 or targets.max() < extent(case, item.dst), str(item))
            for s, t in zip(sources.tolist(), targets.tolist(), strict=True):
                union.join((item.src, s), (item.dst, t))
        elif isinstance(item, Grouped):
            size = extent(case, item.dst)
            require(extent(case, item.src) == size * item.groups, str(item))
            for index in range(size * item.groups):
                union.join((item.src, index), (item.dst, index % size))
        else:
            for index in range(extent(case, item.endpoint)):
                union.find((item.endpoint, index))
            if isinstance(item, Balance):
                require(extent(case, item.endpoint) % item.groups == 0, str(item))
    classes: dict[Atom, Class] = defaultdict(lambda: defaultdict(list))
    for atom in list(union.parent):
        classes[union.find(atom)][atom[0]].append(atom[1])
    return [{e: sorted(i) for e, i in found.items()} for found in classes.values()]


def _pattern(case: Case, found: Class) -> tuple[object, ...]:
    """Classes with one pattern may be exchanged: as many indices at every endpoint, and those at
    a balanced endpoint in the same blocks."""
    blocks = []
    for item in case.op.ties(case.attrs, case.sig):
        if isinstance(item, Balance) and item.endpoint in found:
            size = extent(case, item.endpoint) // item.groups
            blocks.append((item.endpoint, tuple(i // size for i in found[item.endpoint])))
    return (tuple(sorted((e, len(i)) for e, i in found.items())), tuple(blocks))


def _is_ordered(case: Case, found: Class) -> bool:
    algebra = case.op.ties(case.attrs, case.sig)
    return any(isinstance(item, Ordered) and item.endpoint in found for item in algebra)


def check_exchange(case: Case, classes: list[Class]) -> None:
    """Permuting alike classes in bottoms and params permutes tops (and new state) the same way."""
    alike: dict[tuple[object, ...], list[Class]] = defaultdict(list)
    for found in classes:
        if not _is_ordered(case, found):
            alike[_pattern(case, found)].append(found)
    rng = np.random.default_rng(2)
    order: dict[str, np.ndarray] = {}
    for group in alike.values():
        shuffled = [group[i] for i in rng.permutation(len(group))]
        for target, source in zip(group, shuffled, strict=True):
            for endpoint, indices in target.items():
                fresh = np.arange(extent(case, endpoint))
                order.setdefault(endpoint, fresh)[indices] = source[endpoint]

    def permuted(role: str, array: F64) -> F64:
        for endpoint, index in order.items():
            if split(endpoint)[0] == role:
                array = np.take(array, index, axis=split(endpoint)[1])
        return frozen(array)

    inputs = draw(case)
    plain = forward(case, inputs)
    moved = forward(case, {role: permuted(role, a) for role, a in inputs.items()})
    for role in (*case.sig.outs, *(f"new {p}" for p in case.sig.params)):
        if role in plain:
            expected = permuted(role.removeprefix("new "), plain[role])
            require(same(moved[role], expected), f"{role} is not permuted as its ties say")


def check_independence(case: Case, classes: list[Class]) -> None:
    """What a class reaches in the tops, it reaches nowhere else: other elements stay as they are
    when its bottoms and params change. Where a parameter takes the class in (its `in_axis`, as in
    a recurrent matrix) it is zero meanwhile. Classes without a top are consumed, and may reach all.
    """
    entries = {f"{p.name}.{p.in_axis}" for p in case.params}
    free = {item.endpoint for item in case.op.ties(case.attrs, case.sig) if isinstance(item, Free)}
    inputs, others = draw(case), draw(case, 1)
    for found in classes:
        tops = [(*split(e), i) for e, i in found.items() if split(e)[0] in case.sig.tops]
        if not tops or _is_ordered(case, found):
            continue
        slices = {e: _index(e, i) for e, i in found.items() if split(e)[0] in inputs}
        before = {r: np.array(a) for r, a in inputs.items()}
        after = {r: np.array(a) for r, a in inputs.items()}
        for endpoint, index in slices.items():
            if endpoint not in free | entries:
                role = split(endpoint)[0]
                after[role][index] = others[role][index]
        for endpoint in slices.keys() & entries:
            for values in (before, after):
                values[split(endpoint)[0]][slices[endpoint]] = 0
        plain = forward(case, {r: frozen(a) for r, a in before.items()})
        moved = forward(case, {r: frozen(a) for r, a in after.items()})
        for top in case.sig.tops:
            hit = np.zeros(plain[top].shape, bool)
            for role, axis, indices in tops:
                if role == top:
                    hit[(slice(None),) * axis + (indices,)] = True
            require(same(moved[top][~hit], plain[top][~hit]), f"{found} reaches more of {top}")


def _index(endpoint: str, indices: list[int]) -> Any:
    return (*(slice(None),) * split(endpoint)[1], indices)
