"""fuse_scale: a Scale layer behind a normalization, and a ReLU behind that, become part of its
kernel, forward and back.

What the normalization makes is kept for the gradients; what Scale makes under a ReLU, and the
gradients in between, never get there: of 19 passes over an image 10 are left.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from graphc.ir.graph import Value
from graphc.lower._draft import Draft
from graphc.lower._rows import Rows
from graphc.ops.relu import ReLU
from graphc.ops.scale import Scale
from graphc.records import record

SCALE = "scale"
"""What rows fuse that can do this."""

Told = dict[Draft, dict[str, bool | float]]


def fuse_scale(
    drafts: Sequence[Draft], rows: Rows, pinned: Collection[Value]
) -> tuple[list[Draft], Told]:
    """The drafts that are left, in order, and what kernels are told of the layers they take over.

    Only a value that nobody else touches and that is not `pinned` goes unmade.
    """
    search = _Search(drafts, rows, pinned)
    for at, draft in enumerate(drafts):
        if not draft.aliases and any(SCALE in row.fuses for row in rows.of(draft)):
            if draft.is_forward:
                search.forward(at)
            else:
                search.backward(at)
    return [d for at, d in enumerate(drafts) if at not in search.absorbed], search.told


@record
class _Search:
    drafts: Sequence[Draft]
    rows: Rows
    pinned: Collection[Value]

    def __post_init__(self) -> None:
        self.absorbed: set[int] = set()
        self.told: Told = {}
        self.makers: dict[Value, list[int]] = {}
        self.touched: dict[Value, list[int]] = {}
        for at, draft in enumerate(self.drafts):
            for _, value in draft.writes:
                self.makers.setdefault(value, []).append(at)
            made = () if draft.aliases else [value for _, value in draft.writes]
            for value in dict.fromkeys(v for v in draft.values() if v not in made):
                self.touched.setdefault(value, []).append(at)

    def forward(self, at: int) -> None:
        """y = normalize(x), s = scale(y), z = relu(s): y and z, or y and s."""
        draft = self.drafts[at]
        ((_, y),) = draft.writes
        readers = [i for i in self.touched.get(y, ()) if self._is_scale(i, "forward")]
        if len(readers) != 1:
            return
        scale = self.drafts[readers[0]]
        (_, z), given = scale.writes[0], dict(scale.reads)
        told: dict[str, bool | float] = {SCALE: True, "bias": "bias" in given}
        gone = [readers[0]]
        after = self.touched.get(z, ())
        if len(after) == 1 and z not in self.pinned and self._is_relu(after[0], "forward"):
            relu = self.drafts[after[0]]
            told |= {"relu": True, "slope": float(self.rows.node(relu).attrs.negative_slope)}
            gone.append(after[0])
            ((_, z),) = relu.writes
        more = [("weight", given["weight"]), *(("bias", b) for b in _of(given, "bias"))]
        self._take(draft, gone, told, [*draft.reads, *more], [*draft.writes, ("z", z)])

    def backward(self, at: int) -> None:
        """The gradients of a weight and a bias, and through both layers and a ReLU, in one."""
        draft = self.drafts[at]
        dy = dict(draft.reads)["dy"]
        makers = self.makers.get(dy, [])
        is_own = len(makers) == 1 and self.touched.get(dy) == [at] and dy not in self.pinned
        if not is_own or not self._is_scale(makers[0], "dx"):
            return
        dx = self.drafts[makers[0]]
        given = dict(dx.reads)
        gone = {"dx": makers[0]}
        for i in self.touched[given["dy"]]:
            if any(self._is_part(i, dx, part) for part in ("dweight", "dbias")):
                gone[self.drafts[i].part] = i
        weight = gone.get("dweight")
        y = dict(draft.reads)["y"]
        if weight is None or dict(self.drafts[weight].reads)["x"] is not y:
            return
        made = {part: self.drafts[i].writes[0][1] for part, i in gone.items() if part != "dx"}
        if any(i <= at for value in made.values() for i in self.touched.get(value, ())):
            return
        told: dict[str, bool | float] = {SCALE: True, "bias": "dbias" in gone}
        dz, more = given["dy"], [("weight", given["weight"])]
        above = self.makers.get(dz, [])
        is_alone = sorted(self.touched[dz]) == sorted(gone.values()) and dz not in self.pinned
        absorbed = [*gone.values()]
        if is_alone and len(above) == 1 and self._is_relu(above[0], "dx"):
            relu = self.drafts[above[0]]
            through = dict(relu.reads)
            if "y" in through:
                told |= {"relu": True, "slope": float(self.rows.node(relu).attrs.negative_slope)}
                absorbed.append(above[0])
                dz, more = through["dy"], [*more, ("z", through["y"])]
        reads = [(role, dz if role == "dy" else value) for role, value in draft.reads]
        writes = [*draft.writes, *made.items()]
        self._take(draft, absorbed, told, [*reads, *more], writes)

    def _take(
        self,
        draft: Draft,
        gone: Iterable[int],
        told: dict[str, bool | float],
        reads: list[tuple[str, Value]],
        writes: list[tuple[str, Value]],
    ) -> None:
        self.absorbed.update(gone)
        self.told[draft] = told
        draft.reads, draft.writes = reads, writes
        draft.tops |= {"z"}
        self.rows.keep(draft, {SCALE})

    def _is_scale(self, at: int, part: str) -> bool:
        """Is this the part of a Scale layer with a learned number per channel?"""
        draft = self.drafts[at]
        node, sig = self.rows.node(draft), self.rows.sig(draft)
        if node.op is not Scale or not self._is_call(at, part) or "factor" in sig.ins:
            return False
        is_row = Scale.starts(node.attrs, sig)["weight"] == 1 and sig["weight"].rank == 1
        return is_row and dict(draft.reads).get("weight") is not None

    def _is_relu(self, at: int, part: str) -> bool:
        return self.rows.node(self.drafts[at]).op is ReLU and self._is_call(at, part)

    def _is_part(self, at: int, other: Draft, part: str) -> bool:
        """Is this another part of the same layer?"""
        own = self.rows.node(self.drafts[at])
        return own is self.rows.node(other) and self._is_call(at, part)

    def _is_call(self, at: int, part: str) -> bool:
        draft = self.drafts[at]
        is_plain = not draft.aliases and not draft.adds and not draft.is_sum and not draft.mover
        is_new = at not in self.absorbed and len(draft.writes) == 1
        return is_plain and is_new and draft.part == part


def _of(given: dict[str, Value], role: str) -> list[Value]:
    return [given[role]] if role in given else []


__all__ = ["SCALE", "fuse_scale"]
