"""What layers that only rename axes share: channel ties, and the way back for gradients."""

from __future__ import annotations

import math
from collections.abc import Iterator

from graphc.ir.types import Type
from graphc.ops.spec import F64
from graphc.ops.ties import Algebra, Tie


def like(dy: F64, x: Type) -> F64:
    """`dy` in the shape of x, whose first extent may be smaller at run than in its type."""
    if dy.size == x.size:
        return dy.reshape(x.shape)
    return dy.reshape(dy.size // max(1, x.count(1)), *x.shape[1:])


def reshape_ties(x: Type, y: Type) -> Algebra:
    """Channel ties of y = x in another shape.

    An axis kept as it is ties index by index. Where axes merge, the channel axis 1 ties to the
    merged one (each channel repeats); where one splits, it ties to the first part. What
    is left is pinned.
    """
    ties: list[Tie] = []
    for xs, ys in _groups(x.shape, y.shape):
        if len(xs) == len(ys) == 1:
            if xs[0] > 0:
                ties.append(Tie(f"x.{xs[0]}", f"y.{ys[0]}"))
        elif len(ys) == 1 and 1 in xs:
            at = xs.index(1)
            tile = math.prod(x.shape[i] for i in xs[:at])
            repeat = math.prod(x.shape[i] for i in xs[at + 1 :])
            ties.append(Tie("x.1", f"y.{ys[0]}", repeat=repeat, tile=tile))
        elif len(xs) == 1 and xs[0] > 0:
            repeat = math.prod(y.shape[i] for i in ys[1:])
            ties.append(Tie(f"y.{ys[0]}", f"x.{xs[0]}", repeat=repeat))
    return tuple(ties)


def _groups(
    x: tuple[int, ...], y: tuple[int, ...]
) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Smallest runs of axes of x and y with equal element counts; axes of extent 1 left out."""
    if 0 in x or 0 in y:
        return
    left = [i for i, d in enumerate(x) if d != 1]
    right = [i for i, d in enumerate(y) if d != 1]
    while left:
        xs, ys = [left.pop(0)], [right.pop(0)]
        while (gap := math.prod(x[i] for i in xs) - math.prod(y[i] for i in ys)) != 0:
            if gap < 0:
                xs.append(left.pop(0))
            else:
                ys.append(right.pop(0))
        yield tuple(xs), tuple(ys)
