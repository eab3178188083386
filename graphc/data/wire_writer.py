"""The protobuf wire format, written without protobuf: tags, varints, length-prefixed fields.

Its reading side is `graphc.data.wire`. Source: the encoding page of the Protocol Buffers
documentation.
"""

from __future__ import annotations

from collections.abc import Iterable

from graphc.data.wire import BYTES, FIXED32, FIXED64, VARINT


def varint(value: int) -> bytes:
    """An unsigned integer, seven bits a byte, lowest first; negative ones as 64-bit complement."""
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def tag(number: int, kind: int) -> bytes:
    """What stands before a field."""
    return varint(number << 3 | kind)


def head(number: int, size: int) -> bytes:
    """Tag and length of a field of `size` bytes, which the caller writes next."""
    return tag(number, BYTES) + varint(size)


def chunk(number: int, data: bytes) -> bytes:
    """A length-prefixed field: a message, packed numbers, or bytes."""
    return head(number, len(data)) + data


def text(number: int, value: str) -> bytes:
    """A string field."""
    return chunk(number, value.encode("utf-8", "backslashreplace"))


def number_field(number: int, value: int) -> bytes:
    """An integer, bool or enum field."""
    return tag(number, VARINT) + varint(value)


def packed(values: Iterable[int]) -> bytes:
    """The content of a packed field of integers."""
    return b"".join(map(varint, values))


__all__ = ["BYTES", "FIXED32", "FIXED64", "VARINT", "chunk", "head", "number_field", "packed"]
__all__ += ["tag", "text", "varint"]
