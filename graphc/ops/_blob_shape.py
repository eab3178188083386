"""BlobShape: extents as a prototxt writes them, before anything checks them."""

from __future__ import annotations

from graphc.records import record


@record(frozen=True)
class BlobShape:
    """`dim`: what 0 and -1 stand for, and whether they are allowed, is the layer's business."""

    dim: tuple[int, ...] = ()


NO_SHAPE = BlobShape()
