"""A layer whose attributes are of every kind that attributes may be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from graphc.ir.op import Filler, Op


@dataclass(frozen=True)
class Inner:
    a: int = 1
    b: tuple[float, ...] = ()


@dataclass(frozen=True)
class OddAttrs:
    count: int = 0
    ratio: float = 1.0
    flag: bool = False
    text: str = "x"
    mode: Literal["MAX", "AVE"] = "MAX"
    maybe: int | None = None
    pair: tuple[int, str] = (0, "")
    inner: Inner = Inner()
    inners: tuple[Inner, ...] = ()
    nested: tuple[tuple[int, ...], ...] = ()
    filler: Filler | None = None


class Odd(Op):
    type = "Odd type"
    Attrs = OddAttrs
    bottoms, tops = (), ("y",)
