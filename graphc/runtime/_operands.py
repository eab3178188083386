"""read, write: a buffer on a device, perhaps with gaps, as an array on the host."""

from __future__ import annotations

from typing import Any

from graphc.ir.types import ITEM_BYTES
from graphc.numpy_later import np, npt
from graphc.program import Buffer
from graphc.runtime.device import Bytes, Device

DTYPES = {"f32": "float32", "i64": "int64", "i32": "int32", "u8": "uint8"}


def read(device: Device, buffer: Buffer, address: int) -> npt.NDArray[Any]:
    """A new array of what lies there."""
    array, whole = _around(buffer)
    if whole.size:
        device.read(whole, address)
    return array


def write(device: Device, array: npt.NDArray[Any], buffer: Buffer, address: int) -> None:
    """Put an array there; what lies in gaps stays as it is."""
    target, whole = _around(buffer)
    if whole.size:
        if not buffer.is_dense:
            device.read(whole, address)
        target[...] = array
        device.write(address, whole)


def _around(buffer: Buffer) -> tuple[npt.NDArray[Any], Bytes]:
    """A new array with a buffer's strides, and the bytes from its first element to its last."""
    item, dtype = ITEM_BYTES[buffer.dtype], np.dtype(DTYPES[buffer.dtype])
    if 0 in buffer.dims:
        return np.empty(buffer.dims, dtype), np.empty(0, np.uint8)
    span = 1 + sum((n - 1) * s for n, s in zip(buffer.dims, buffer.strides, strict=True))
    whole = np.zeros(span * item, np.uint8)
    strides = tuple(stride * item for stride in buffer.strides)
    return np.ndarray(buffer.dims, dtype, whole.data, 0, strides), whole


__all__ = ["DTYPES", "read", "write"]
