"""Walk: the launches of an LSTM or RNN, put together step by step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import field, replace

from graphc.cuda.expressions import ALL, elementwise
from graphc.cuda.launch import (
    ITEM_BYTES,
    NULL,
    Launch,
    Memory,
    Operand,
    Place,
    Scratch,
    Spec,
    Told,
    Work,
    long,
    over,
)
from graphc.cuda.moving import walk
from graphc.cuda.products import matrix_product
from graphc.ops.scalar import Var
from graphc.records import record

SOURCE = "recurrent.cu"


@record
class Walk:
    """A walk through time: operands by role, `rows` numbers of a unit's sums; launches so far."""

    told: Told
    reads: Sequence[Spec]
    writes: Sequence[Spec]
    shape: tuple[int, ...]
    rows: int
    launches: list[Launch] = field(default_factory=list)
    workspace: int = 0

    def __post_init__(self) -> None:
        roles = (self.told.get("reads", "").split(), self.told.get("writes", "").split())
        self.read: dict[str, Memory] = {role: Operand(k) for k, role in enumerate(roles[0])}
        self.specs = dict(zip(roles[0], self.reads, strict=True)) if roles[0] else {}
        places = map(Operand, range(len(self.reads), len(self.reads) + len(roles[1])))
        self.written: dict[str, Memory] = dict(zip(roles[1], places, strict=True))
        self.dtype = self.reads[0].dtype
        self.item = self.reads[0].item

    @property
    def steps(self) -> int:
        return self.shape[0]

    @property
    def state(self) -> int:
        """Elements of a state."""
        return self.shape[1] * self.shape[2]

    def room(self, count: int) -> Memory:
        """So many elements of the workspace, of which no other has any."""
        start = self.workspace
        self.workspace += -(-count * ITEM_BYTES[self.dtype] // 16) * 16
        return Scratch(start, self.dtype)

    def at(self, place: Memory, elements: int) -> Memory:
        """The address so many elements behind another."""
        return replace(place, offset=place.offset + elements * ITEM_BYTES[self.dtype])

    def cont(self, step: int) -> Memory:
        return self.at(self.read["cont"], step * self.shape[1])

    def multiply(
        self,
        extents: tuple[int, int, int],
        places: tuple[Place, Place, Place],
        *,
        turned: bool = True,
        bias: Place = NULL,
        adds: bool = False,
    ) -> None:
        """c (m, n) = a (m, k) b + bias, (m, n, k) = `extents`, (a, b, c) = `places`.

        b is (k, n), or if `turned` (n, k)."""
        (m, n, k), (a, b, c) = extents, places
        sides = (a, k, 1), (b, *((1, k) if turned else (n, 1)))
        items = self.item, self.item
        if m and n:
            self.launches.append(matrix_product(extents, items, *sides, c, bias=bias, adds=adds))

    def run(self, kernel: str, *places: Place) -> None:
        """A pointwise kernel over a state."""
        args = (*map(long, self.shape[1:]), *places)
        name = f"graphc::{kernel}<{self.item}>"
        if self.state:
            self.launches.append(Launch(SOURCE, name, *over(self.state), args))

    def mask(self, state: Place, cont: Place, steps: int, target: Place) -> None:
        """target = state * cont, of so many steps."""
        lines, units = steps * self.shape[1], self.shape[2]
        whole = Spec(self.dtype, (lines, units))
        inputs = {"h": (whole, ALL, state), "cont": (Spec(self.dtype, (lines,)), 0, cont)}
        found = elementwise(Var("h") * Var("cont"), inputs, (whole, target))
        self.launches += found.launches

    def keep(self, role: str, state: Place) -> None:
        """Copy a state to the result of that role, if there is one."""
        if role in self.written and self.state:
            sides = (state, 0, (1,)), (self.written[role], 0, (1,))
            self.launches.append(walk((self.state,), self.item, *sides))

    def project(self, names: tuple[str, str, str], sums: Place) -> None:
        """sums = W_x x + b + W_x_static x_static, of all steps."""
        weight, bias, fixed = names
        lines = self.steps * self.shape[1]
        inputs = math.prod(self.specs["x"].shape[2:])
        places = (self.read["x"], self.read[weight], sums)
        self.multiply((lines, self.rows, inputs), places, bias=self.read[bias])
        if "x_static" not in self.read:
            return
        size = math.prod(self.specs["x_static"].shape[1:])
        room, block = self.room(self.shape[1] * self.rows), (self.shape[1], self.rows)
        self.multiply((*block, size), (self.read["x_static"], self.read[fixed], room))
        whole = Spec(self.dtype, (self.steps, *block))
        added = {"each": (Spec(self.dtype, block), 1, room), "sums": (whole, ALL, sums)}
        found = elementwise(Var("sums") + Var("each"), added, (whole, sums))
        self.launches += found.launches

    def carry(self, masked: Place, weight: str, sums: Place) -> None:
        """sums += W_h masked, of one step."""
        extents = (self.shape[1], self.rows, self.shape[2])
        self.multiply(extents, (masked, self.read[weight], sums), adds=True)

    def back(self, dsums: Place, weight: str, carried: Place) -> None:
        """carried = dsums W_h, of one step."""
        extents = (self.shape[1], self.shape[2], self.rows)
        self.multiply(extents, (dsums, self.read[weight], carried), turned=False)

    @property
    def work(self) -> Work:
        return Work(tuple(self.launches), self.workspace)


__all__ = ["Walk"]
