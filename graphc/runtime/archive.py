"""A ZIP of a few stored members with known names: written reproducibly, read as views.

Anything else that a ZIP can be is refused with GC-A001: other names, names twice, compression,
encryption, comments, members that overlap or run past the end, wrong checksums.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

from graphc.errors import fail
from graphc.files import map_file, replacing
from graphc.limits import Limits

_WHEN = (1980, 1, 1, 0, 0, 0)  # the first date a ZIP can hold
_END = struct.Struct("<4s4H2LH")  # end of the central directory
_LOCAL = struct.Struct("<4s5H3L2H")  # before each member
_MAX_DIRECTORY = 4096  # bytes
_IN_ZIP64 = 0xFFFFFFFF  # the size stands in an extra field
Stream = tuple[int, Callable[[IO[bytes]], None]]


def write_members(
    path: str | Path, texts: Mapping[str, str], streams: Mapping[str, Stream]
) -> None:
    """Write text members, then streamed ones (size in bytes, and a function that writes them).

    The same content gives the same bytes. Raises GC-F002; the old file then stays.
    """
    with replacing(path) as draft, zipfile.ZipFile(draft, "w", zipfile.ZIP_STORED) as archive:
        for name, text in texts.items():
            data = text.encode("utf-8", "backslashreplace")
            with archive.open(_info(name, len(data)), "w") as member:
                member.write(data)
        for name, (size, write) in streams.items():
            with archive.open(_info(name, size), "w") as member:
                write(member)


def _info(name: str, size: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _WHEN)
    info.create_system = 3  # Unix, wherever it was written
    info.external_attr = 0o644 << 16
    info.file_size = size
    return info


def read_members(
    path: str | Path, limits: Limits, required: Iterable[str], optional: Iterable[str]
) -> dict[str, memoryview]:
    """Views of the members of a mapped archive, by name.

    All of `required` must be there, nothing but these and `optional` may. Members other than
    `.safetensors` are limited by `text_bytes`. Raises GC-A001, GC-F001, GC-L001.
    """
    data = map_file(path)
    limits.check("tensor_bytes", len(data), "the size of the artefact in bytes")
    needed = set(required)
    infos = _directory(path, data)
    found: dict[str, memoryview] = {}
    spans: list[tuple[int, int]] = []
    for info in infos:
        name = info.filename
        if name in found or name not in needed | set(optional):
            fail("GC-A001", f"the archive has a surplus member {name[:80]!r}")
        start, stop = _span(data, info)
        if not name.endswith(".safetensors"):
            limits.check("text_bytes", stop - start, f"the size of member {name!r} in bytes")
        spans.append((info.header_offset, stop))
        found[name] = data[start:stop]
    if needed - found.keys():
        fail("GC-A001", f"the archive lacks {', '.join(sorted(needed - found.keys()))}")
    spans.sort()
    for (_, stop), (start, _) in pairwise(spans):
        if start < stop:
            fail("GC-A001", "members of the archive overlap")
    for info in infos:
        if zlib.crc32(found[info.filename]) != info.CRC:
            fail("GC-A001", f"member {info.filename!r} has a wrong checksum")
    return found


def _directory(path: str | Path, data: memoryview) -> list[zipfile.ZipInfo]:
    """The central directory; its size is checked before it is read."""
    if len(data) < _END.size or bytes(data[:4]) != b"PK\x03\x04":
        fail("GC-A001", "the file is no archive", "an artefact is made by `graphc compile`")
    signature, *_, size, _, comment = _END.unpack(data[-_END.size :])
    if signature != b"PK\x05\x06" or comment:
        fail("GC-A001", "the archive's end is missing; the file is cut short or edited")
    if size > _MAX_DIRECTORY:
        fail("GC-A001", f"the archive's directory has {size:,} bytes; {_MAX_DIRECTORY} are enough")
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.infolist()
    except Exception as error:  # on junk zipfile raises a dozen kinds
        fail("GC-A001", f"the archive's directory is broken: {error}")


def _span(data: memoryview, info: zipfile.ZipInfo) -> tuple[int, int]:
    """First and last byte (exclusive) of a member's data, which must be stored plainly."""
    name, at = info.filename, info.header_offset
    if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
        fail("GC-A001", f"member {name!r} is compressed")
    if info.flag_bits & ~0x800 or info.comment:
        fail("GC-A001", f"member {name!r} is encrypted, streamed or commented")
    if not 0 <= at <= len(data) - _LOCAL.size:
        fail("GC-A001", f"member {name!r} lies outside the file")
    fields: tuple[Any, ...] = _LOCAL.unpack(data[at : at + _LOCAL.size])
    begin = at + _LOCAL.size
    start = begin + fields[9] + fields[10]
    is_same = fields[0] == b"PK\x03\x04" and bytes(data[begin : begin + fields[9]]) == name.encode()
    is_same &= fields[6] == info.CRC and fields[7] == fields[8]
    is_same &= fields[8] in (info.file_size, _IN_ZIP64)
    if not is_same or fields[3] != zipfile.ZIP_STORED or fields[2] & ~0x800:
        fail("GC-A001", f"member {name!r} has another header than the directory tells")
    if not 0 <= info.file_size <= len(data) - start:
        fail("GC-A001", f"member {name!r} runs past the end of the file")
    return start, start + info.file_size


__all__ = ["read_members", "write_members"]
