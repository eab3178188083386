"""Formats: which values are channel-blocked, and what dims and slices that means in memory."""

from __future__ import annotations

from collections.abc import Collection

from graphc.ir.graph import Value, typed
from graphc.ir.op import Kind
from graphc.lower._layout import Layout, sliced
from graphc.ops.spec import View

CHANNELS = 1
"""The axis that is cut into blocks."""


class Formats:
    """`block`: channels in a block, 0 where nothing is ever blocked; `never`: values that are not,
    though they look like images (gradients of weights).

    A blocked value (N, C, H, W) has dims (N, C/block, H, W, block) in memory.
    """

    def __init__(self, block: int = 0, never: Collection[Value] = ()) -> None:
        self.block, self.never = block, never
        self._blocked: set[Value] = set()

    def is_image(self, value: Value) -> bool:
        """Is it one (N, C, H, W)? What is not has but one format."""
        is_one = value.kind is Kind.ACT and value not in self.never
        return is_one and value.type is not None and value.type.rank == 4

    def can_block(self, value: Value) -> bool:
        """Is it an image that may be blocked at all?"""
        return bool(self.block) and self.is_image(value) and typed(value).size > 0

    def can_reorder(self, value: Value) -> bool:
        """Is there a kernel that copies it to its other format?"""
        return typed(value).dtype == "f32"

    def is_whole(self, value: Value) -> bool:
        """Do its channels fill their blocks?"""
        return typed(value).shape[CHANNELS] % self.block == 0

    def padding(self, value: Value) -> float:
        """Channels of its whole blocks for each that it has."""
        channels = typed(value).shape[CHANNELS]
        return -(-channels // self.block) * self.block / channels

    def is_neutral(self, value: Value) -> bool:
        """Does it look the same in both formats?"""
        return typed(value).shape[2:] == (1, 1) and self.is_whole(value)

    def is_blocked(self, value: Value) -> bool:
        return value in self._blocked

    def set_blocked(self, value: Value) -> None:
        self._blocked.add(value)

    def adopt(self, value: Value, like: Value) -> None:
        """A value that is new gets the format of another."""
        if like in self._blocked:
            self._blocked.add(value)

    def dims(self, value: Value, blocked: bool | None = None) -> tuple[int, ...]:
        """Axes in memory; `blocked`: as if it were (None: as it is)."""
        shape = typed(value).shape
        if not (value in self._blocked if blocked is None else blocked):
            return shape
        n, channels, *plane = shape
        return (n, -(-channels // self.block), *plane, self.block)

    def can_slice(self, view: View) -> bool:
        """Is the slice of a blocked value one too?"""
        if view.axis is None:
            return True
        ends = view.start, view.stop or 0
        return view.axis == 0 or (view.axis == CHANNELS and not any(e % self.block for e in ends))

    def sliced(self, value: Value, layout: Layout, view: View) -> Layout:
        """The layout of the slice `view` of a value that has `layout`."""
        if view.axis is None:
            return layout
        is_cut = view.axis == CHANNELS and self.is_blocked(value)
        scale = self.block if is_cut else 1
        stop = layout.dims[view.axis] if view.stop is None else view.stop // scale
        return sliced(layout, view.axis, view.start // scale, stop)


__all__ = ["Formats"]
