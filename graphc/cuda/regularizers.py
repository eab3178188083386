"""Work of regularizers that see a weight's groups: what they add to its gradient, all of it f32.

No declaration of this package has a row for these: one that a user passes to the Solver may.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from graphc.cuda.launch import (
    THREADS,
    Launch,
    Operand,
    Scratch,
    Spec,
    Told,
    Work,
    long,
    over,
    per_warp,
)
from graphc.cuda.products import matrix_product
from graphc.cuda.sums import column_sums
from graphc.numpy_later import np

SOURCE = "regularizers.cu"


def group_lasso(symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Work:
    """w -> term = strength * w / |w of the group|; groups are the indices along `axis`.

    Attributes: axis, strength.
    """
    w, axis, squares = reads[0], told["axis"], Scratch(0)
    groups, inner = w.shape[axis], math.prod(w.shape[axis + 1 :])
    if not w.size:
        return Work(())
    extents = (w.size, groups, inner)
    args = (*map(long, extents), np.float32(told["strength"]), Operand(0), squares, Operand(1))
    last = Launch(SOURCE, "graphc::group_lasso", *over(w.size), args)
    return Work((_squares(w, axis, squares), last), 4 * groups)


def _squares(w: Spec, axis: int, squares: Scratch) -> Launch:
    """The squared norm of each index along an axis."""
    groups = w.shape[axis]
    extents = (math.prod(w.shape[:axis]), groups, math.prod(w.shape[axis + 1 :]))
    args = (*map(long, extents), Operand(0), squares)
    return Launch(SOURCE, "graphc::group_squares", (groups,), (THREADS,), args, per_warp())


def force(symbol: str, told: Told, reads: Sequence[Spec], writes: Sequence[Spec]) -> Work:
    """w (filters, ...) -> term = -strength |w_i| (f_i - (f_i u_i) u_i), u_i = w_i / |w_i|, f_i =
    sum over j of (u_j - u_i) / |u_j - u_i|^power.

    Attributes: strength; power 0 ("Degradation" of the force solvers), 1 ("Constant"), 2 ("Linear")
    or 3 ("Gravity"). Filters or distances below 1e-4 pull and are pulled nowhere. What f_i has of
    u_i falls out, so that for power 0 it is one sum for all.
    """
    w = reads[0]
    if not w.size:
        return Work(())
    rows, size, power = w.shape[0], w.size // w.shape[0], told["power"]
    squares, units = Scratch(0), Scratch(4 * rows)
    pulls = Scratch(units.offset + 4 * w.size)
    start = (long(rows), long(size), Operand(0), squares, units)
    launches = [
        _squares(w, 0, squares),
        Launch(SOURCE, "graphc::unit_rows", *over(w.size), start),
    ]
    if power:
        forces = Scratch(pulls.offset + 4 * w.size)
        items, turned = ("float", "float"), (units, 1, size)
        launches.append(matrix_product((rows, rows, size), items, (units, size, 1), turned, forces))
        pairs = (long(rows), long(size), np.int32(power), squares, units, forces)
        launches.append(Launch(SOURCE, "graphc::pair_forces", *over(rows * rows), pairs))
        sums = (long(rows), long(size), units, forces, pulls)
        launches.append(Launch(SOURCE, "graphc::pull_rows", *over(w.size), sums))
        workspace = forces.offset + 4 * rows * rows
    else:
        found = column_sums((rows, size), "float", units, pulls, at=pulls.offset + 4 * size)
        launches += found.launches
        workspace = max(pulls.offset + 4 * size, found.workspace)
    numbers = (long(size), long(size if power else 0), np.float32(told["strength"]))
    args = (*numbers, squares, units, pulls, Operand(1))
    term = Launch(SOURCE, "graphc::force_term", (rows,), (THREADS,), args, per_warp())
    return Work((*launches, term), workspace)
