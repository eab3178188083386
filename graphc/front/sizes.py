"""What a weight file says about sizes, held against what is there, before anything is allocated."""

from __future__ import annotations

import math
from collections.abc import Sequence

from graphc.errors import fail
from graphc.ir.types import MAX_DIM, MAX_RANK, MAX_SIZE
from graphc.limits import MIB, Limits

STRICT_SLACK = 256 * MIB  # what a confined import may unpack beyond the file's size


def check_shape(shape: Sequence[int], nbytes: int, itemsize: int) -> None:
    """Raise GC-W003 unless `nbytes` bytes are exactly the elements of a tensor of `shape`."""
    if len(shape) > MAX_RANK:
        fail("GC-W003", f"the shape has {len(shape)} axes; at most {MAX_RANK} are possible")
    if any(not 0 <= dim <= MAX_DIM for dim in shape):
        fail("GC-W003", f"shape {tuple(shape)} has a dimension outside 0 to 2^31-1")
    if math.prod(max(dim, 1) for dim in shape) > MAX_SIZE:
        fail("GC-W003", f"shape {tuple(shape)} is too large for any tensor")
    if math.prod(shape) * itemsize != nbytes:
        fail(
            "GC-W003",
            f"shape {tuple(shape)} means {math.prod(shape):,} elements of {itemsize} bytes, "
            f"but there are {nbytes:,} bytes",
        )


def check_unpacked(nbytes: int, file_bytes: int, limits: Limits) -> None:
    """Raise GC-L001 if a file of `file_bytes` unpacks to more than it may."""
    limits.check("tensor_bytes", nbytes, "the size of all blobs in bytes")
    if limits.confined and nbytes > file_bytes + STRICT_SLACK:
        told = f"{file_bytes:,} bytes unpack to {nbytes:,}, over {STRICT_SLACK:,} more"
        fail("GC-L001", told, "drop --strict if you trust the file")


__all__ = ["check_shape", "check_unpacked"]
