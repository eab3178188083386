"""Kernel: one row of a declaration, an implementation of a part, and what it asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from graphc.floats import Array
from graphc.ir.op import Sig
from graphc.records import record


@record(frozen=True, slots=True)
class Cost:
    """`macs`: multiply-adds in sums of products; `read`, `write`: bytes of operands."""

    macs: int
    read: int
    write: int


@record(frozen=True, slots=True)
class Pack:
    """Role `of` goes to the kernel rearranged: as a flat f32 operand of `size` elements, which the
    kernel `symbol` (one read, one write; attributes of the row) makes whenever weights changed.
    `size` None: the kernel that reads it tells (`_core.Kernel.packed`)."""

    of: str
    symbol: str
    size: Callable[[Any, Sig], int] | None = None


PLAIN, BLOCKED = "plain", "blocked"
"""Formats of an image (N, C, H, W): as it is, or channels in blocks of B, (N, C/B, H, W, B), the
last block filled up with zeros."""
Sides: TypeAlias = tuple[str, str]
"""(format of the bottoms, of the tops) of a layer.

In a gradient part, too: x and dx have the first, dy, y and aux values the second. What is no image
(a parameter, its gradient, whatever has not four axes) goes to the kernel as it is.
"""


@record(frozen=True, slots=True)
class Kernel:
    """One implementation: backend "cpu" | "cuda", part (a Forward's or a Grad's; "dx*" stands for
    dx0, dx1 and so on), kernel symbol.

    `attrs` gives the kernel its parameters as plain numbers; `when` says whether it can do this
    use at all (None: always). `workspace` in bytes. Operands come in the part's order: its reads,
    then its writes, those left out that nobody asked for. Of several rows the first is the fastest.

    `packs`: operands prepared once, not in every run. `strided`: takes operands with any strides
    but of the last axis, which has 1 (else dense ones only). `fuses`: what may follow y in the same
    call: "relu" (attributes relu=True and slope, for negative y) and before it "residual"
    (attribute residual=True; the summand, shaped as y, is the last read, and may share y's bytes).
    Of a normalization "scale": attributes scale=True and bias, and relu and slope as above if there
    is one. Its forward then reads weight and perhaps bias, too, and writes y and, behind it, z. Its
    gradient takes dz in dy's place, reads weight and for a ReLU z, and writes dx and the gradients
    of weight and perhaps bias.

    `adds`: of a gradient, can add to what is there already: attribute accumulate=True, and the last
    read is the written operand itself.

    `formats`: what bottoms and tops may be; to a kernel of blocked ones attributes "block" (B) and
    "plain" (are x and dx plain?) are told. `whole`: blocked ones need a multiple of B channels.
    `dynamic`: makes a result of fixed extents from operands whose live extents depend on data; the
    kernel gets these at their planned extents and finds out itself how many rows live.
    `asks`: the kernel may refuse a use when it is made, and another row then does it. `cost`:
    what the kernel computes and moves, if that is not what the layer's definition says.
    `stores`: of a kernel whose packed weight depends on what the weight holds, how many numbers it
    keeps of one; as attribute "stored" it is told that it needs room for so many, or for all if it
    is 0. How long such a kernel takes cannot be measured on random weights.
    """

    backend: str
    part: str
    symbol: str
    deterministic: bool = True
    attrs: Callable[[Any, Sig], Mapping[str, Any]] | None = None
    when: Callable[[Any, Sig], bool] | None = None
    workspace: Callable[[Any, Sig], int] | None = None
    packs: tuple[Pack, ...] = ()
    strided: bool = False
    fuses: tuple[str, ...] = ()
    formats: tuple[Sides, ...] = ((PLAIN, PLAIN),)
    whole: bool = False
    dynamic: bool = False
    asks: bool = False
    adds: bool = False
    cost: Callable[[Any, Sig], Cost] | None = None
    stores: Callable[[Any, Array], int] | None = None

    def does(self, part: str) -> bool:
        """Is the row for this part?"""
        if not self.part.endswith("*"):
            return part == self.part
        return part.startswith(self.part[:-1]) and part[len(self.part) - 1 :].isdigit()


__all__ = ["BLOCKED", "PLAIN", "Cost", "Kernel", "Pack", "Sides"]
