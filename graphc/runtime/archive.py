"""A ZIP of a few stored members with known names: written reproducibly, read as views.

Anything else that a ZIP can be is refused with GC-A001: other names, names twice, compression,
encryption, comments, members that overlap or run past the end, wrong checksums.
Source: PKWARE's APPNOTE.TXT, sections 4.3 and 4.5.3.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from graphc import _core
from graphc.errors import fail
from graphc.files import map_open, open_file, replacing
from graphc.limits import Limits
from graphc.records import record
from graphc.tensorfile import ALIGN

if TYPE_CHECKING:
    import zipfile

_WHEN = (1980, 1, 1, 0, 0, 0)  # the first date a ZIP can hold
_LOCAL = struct.Struct("<4s5H3L2H")  # before each member
_ENTRY = struct.Struct("<4s6H3L5H2L")  # of the central directory, for each member
_END = struct.Struct("<4s4H2LH")  # of the central directory
_LOCATOR = struct.Struct("<4sLQL")  # before that, in large archives: where their end is told
_LOCATOR_MARK = b"PK\x06\x07"
_LARGE_END = struct.Struct("<4sQ2H2L4Q")
_MAX_DIRECTORY = 4096  # bytes
_IN_ZIP64 = 0xFFFFFFFF  # the number stands in an extra field of 64 bits
_ZIP64 = 1
_ALIGNMENT, _SPACE = 0xD935, struct.Struct("<3H")  # the extra field that zipalign fills with zeros
_UTF8 = 0x800
Stream = tuple[int, Callable[[IO[bytes]], None]]


def write_members(
    path: str | Path, texts: Mapping[str, str], streams: Mapping[str, Stream]
) -> None:
    """Write text members, then streamed ones (size in bytes, and a function that writes them),
    which begin at a multiple of `ALIGN` bytes of the file.

    The same content gives the same bytes. Raises GC-F002; the old file then stays.
    """
    import zipfile

    with replacing(path) as draft, zipfile.ZipFile(draft, "w", zipfile.ZIP_STORED) as archive:
        for name, text in texts.items():
            data = text.encode("utf-8", "backslashreplace")
            with archive.open(_info(name, len(data)), "w") as member:
                member.write(data)
        for name, (size, write) in streams.items():
            info = _info(name, size)
            before = draft.tell() + _LOCAL.size + len(name) + 4 + 16 + _SPACE.size
            pad = -before % ALIGN
            info.extra = _SPACE.pack(_ALIGNMENT, 2 + pad, ALIGN) + bytes(pad)
            with archive.open(info, "w", force_zip64=True) as member:
                write(member)


def _info(name: str, size: int) -> zipfile.ZipInfo:
    import zipfile

    info = zipfile.ZipInfo(name, _WHEN)
    info.create_system = 3  # Unix, wherever it was written
    info.external_attr = 0o644 << 16
    info.file_size = size
    return info


def read_members(
    path: str | Path, limits: Limits, required: Iterable[str], optional: Iterable[str]
) -> dict[str, memoryview]:
    """Views of the members of a mapped archive, by name; writing there never reaches the file.

    All of `required` must be there, nothing but these and `optional` may. Members other than
    `.safetensors` are limited by `text_bytes`. Raises GC-A001, GC-F001, GC-L001.
    """
    with open_file(path) as file:
        data = map_open(file, writable=True)
        limits.check("tensor_bytes", len(data), "the size of the artefact in bytes")
        needed = set(required)
        found: dict[str, memoryview] = {}
        spans: list[tuple[int, int, _Member]] = []
        for member in _directory(data):
            name = member.name
            if name in found or name not in needed | set(optional):
                fail("GC-A001", f"the archive has a surplus member {name[:80]!r}")
            start, stop = _span(data, member)
            if not name.endswith(".safetensors"):
                limits.check("text_bytes", stop - start, f"the size of member {name!r} in bytes")
            spans.append((start, stop, member))
            found[name] = data[start:stop]
        if needed - found.keys():
            fail("GC-A001", f"the archive lacks {', '.join(sorted(needed - found.keys()))}")
        spans.sort(key=lambda span: span[2].at)
        for (_, stop, _), (_, _, after) in pairwise(spans):
            if after.at < stop:
                fail("GC-A001", "members of the archive overlap")
        for start, stop, member in spans:
            if _core.crc32_of_file(file.fileno(), start, stop - start) != member.crc:
                fail("GC-A001", f"member {member.name!r} has a wrong checksum")
        return found


@record(frozen=True, slots=True)
class _Member:
    """A member as the directory tells it; `at`: where its own header begins."""

    name: str
    crc: int
    size: int
    at: int


def _directory(data: memoryview) -> list[_Member]:
    """The members, each stored plainly; the directory's size is checked before it is read."""
    if len(data) < _END.size or bytes(data[:4]) != b"PK\x03\x04":
        fail("GC-A001", "the file is no archive", "an artefact is made by `graphc compile`")
    end = len(data) - _END.size
    signature, _, _, _, count, size, start, comment = _END.unpack(data[end:])
    if signature != b"PK\x05\x06" or comment:
        fail("GC-A001", "the archive's end is missing; the file is cut short or edited")
    if size > _MAX_DIRECTORY:
        fail("GC-A001", f"the archive's directory has {size:,} bytes; {_MAX_DIRECTORY} are enough")
    if data[max(0, end - _LOCATOR.size) : end][:4] == _LOCATOR_MARK:
        end, start = _large_end(data, end)
    if start + size != end:
        fail("GC-A001", "the archive's directory is not where its end says")
    members: list[_Member] = []
    at = start
    while at < end:
        member, at = _entry(data, at, end)
        members.append(member)
    if len(members) != count:
        fail("GC-A001", f"the archive's directory has {len(members)} members, its end says {count}")
    return members


def _large_end(data: memoryview, end: int) -> tuple[int, int]:
    """Where the directory of an archive over 2 GiB ends and begins."""
    at = end - _LOCATOR.size - _LARGE_END.size
    if at >= 0:
        signature, *_, start = _LARGE_END.unpack(data[at : at + _LARGE_END.size])
        _, _, told, _ = _LOCATOR.unpack(data[end - _LOCATOR.size : end])
        if (signature, told) == (b"PK\x06\x06", at) and start <= at:
            return at, start
    fail("GC-A001", "the archive's end is broken")


def _entry(data: memoryview, at: int, end: int) -> tuple[_Member, int]:
    """One entry of the directory, and where the next begins."""
    begin = at + _ENTRY.size
    if begin > end:
        fail("GC-A001", "the archive's directory is broken")
    fields: tuple[Any, ...] = _ENTRY.unpack(data[at:begin])
    signature, _, _, flags, method, _, _, crc, packed, size, *lengths = fields
    extra_at = begin + lengths[0]
    comment_at = extra_at + lengths[1]
    past = comment_at + lengths[2]
    if signature != b"PK\x01\x02" or past > end:
        fail("GC-A001", "the archive's directory is broken")
    name = bytes(data[begin:extra_at]).decode("utf-8", "backslashreplace")
    size, packed, start = _wide(bytes(data[extra_at:comment_at]), (size, packed, fields[-1]))
    if method or packed != size:
        fail("GC-A001", f"member {name!r} is compressed")
    if flags & ~_UTF8 or lengths[2]:
        fail("GC-A001", f"member {name!r} is encrypted, streamed or commented")
    return _Member(name, crc, size, start), past


def _wide(extra: bytes, numbers: tuple[int, ...]) -> tuple[int, ...]:
    """The numbers, those that do not fit 32 bits taken from the extra field that has them."""
    wide = b""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        if kind == _ZIP64:
            wide = extra[at + 4 : at + 4 + length]
        at += 4 + length
    words = [word for (word,) in struct.iter_unpack("<Q", wide[: len(wide) // 8 * 8])]
    found = tuple(words.pop(0) if n == _IN_ZIP64 and words else n for n in numbers)
    if _IN_ZIP64 in found:
        fail("GC-A001", "the archive's directory lacks a size")
    return found


def _span(data: memoryview, member: _Member) -> tuple[int, int]:
    """First and last byte (exclusive) of a member's data; its own header must agree."""
    name, at = member.name, member.at
    if not 0 <= at <= len(data) - _LOCAL.size:
        fail("GC-A001", f"member {name!r} lies outside the file")
    fields: tuple[Any, ...] = _LOCAL.unpack(data[at : at + _LOCAL.size])
    begin = at + _LOCAL.size
    start = begin + fields[9] + fields[10]
    is_same = fields[0] == b"PK\x03\x04" and bytes(data[begin : begin + fields[9]]) == name.encode()
    is_same &= fields[6] == member.crc and fields[7] == fields[8]
    is_same &= fields[8] in (member.size, _IN_ZIP64)
    if not is_same or fields[3] or fields[2] & ~_UTF8:
        fail("GC-A001", f"member {name!r} has another header than the directory tells")
    if member.size > len(data) - start:
        fail("GC-A001", f"member {name!r} runs past the end of the file")
    return start, start + member.size


__all__ = ["read_members", "write_members"]
