"""LmdbFile: the records of an LMDB environment in key order, read without the lmdb library.

The library maps the file and trusts its page numbers and offsets: a truncated or hostile file ends
the process. Here every page is read with a bounds check. Format (data version 1, 64-bit little
endian, what LMDB 0.9 writes on all common machines): two meta pages, then the pages of a B+tree;
fields as in the structures MDB_meta, MDB_db, MDB_page and MDB_node of LMDB's mdb.c.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from graphc.data.files import file_size
from graphc.errors import GraphError, fail
from graphc.records import record

_MAGIC, _VERSION = 0xBEEFC0DE, 1
_PAGE = struct.Struct("<QHHHH")  # page number, pad, flags, lower, upper
_META = struct.Struct("<IIQQ48s48sQQ")  # magic, version, address, map size, 2 x db, last page, txn
_DB = struct.Struct("<IHHQQQQQ")  # pad, flags, depth, branch, leaf, overflow pages, entries, root
_NODE = struct.Struct("<HHHH")  # low, high, flags, key size
BRANCH, LEAF, OVERFLOW, _META_PAGE, DIRTY = 0x01, 0x02, 0x04, 0x08, 0x10  # kinds of pages
BIG, _SUB, _DUP = 0x01, 0x02, 0x04  # of values: on pages of their own; others are refused
NONE = (1 << 64) - 1  # the page number of no page
_MAX_DEPTH = 32


@record(frozen=True, slots=True)
class _Meta:
    """One meta page: page size in bytes, pages in use, depth, entries and root of the main tree."""

    page_size: int
    pages: int
    depth: int
    entries: int
    root: int
    transaction: int


@record(slots=True)
class _Walk:
    """`skip`: records to leave out yet; `pages`: how many a tree without loops may have left."""

    skip: int
    pages: int


class LmdbFile:
    """An LMDB folder (or its data file), open for reading; no lock file is touched.

    Reads are positional, so that threads may share it. Raises GC-F001, GC-D001 (broken), GC-U001
    (another format version, named or duplicate-key databases).
    """

    def __init__(self, path: Path) -> None:
        self.path = path / "data.mdb" if path.is_dir() else path
        if not self.path.exists():
            fail("GC-D001", f"{str(path)!r} is no LMDB: there is no data.mdb in it")
        self.size = file_size(self.path)
        try:
            self._fd = os.open(self.path, os.O_RDONLY)
        except OSError as error:
            fail("GC-F001", f"{str(self.path)!r} cannot be read: {error.strerror}")
        try:
            self._meta = self._newest_meta()
        except GraphError:
            self.close()
            raise

    def close(self) -> None:
        """Close the file; may be called twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    @property
    def page_size(self) -> int:
        """Bytes of a page."""
        return self._meta.page_size

    @property
    def pages(self) -> int:
        """How many pages are in use."""
        return self._meta.pages

    @property
    def root(self) -> int:
        """The page at which the tree begins, or NONE."""
        return self._meta.root

    @property
    def depth(self) -> int:
        """Levels of the tree, leaves included."""
        return self._meta.depth

    def __len__(self) -> int:
        """Number of records, as the file states it."""
        return self._meta.entries

    def records(self, start: int = 0) -> Iterator[tuple[bytes, memoryview]]:
        """Yield (key, value) in key order, from the `start`-th record on."""
        if self._meta.root != NONE:
            yield from self._walk(self._meta.root, 1, _Walk(start, self._meta.pages))

    def _walk(self, number: int, level: int, walk: _Walk) -> Iterator[tuple[bytes, memoryview]]:
        """The records below a page."""
        walk.pages -= 1
        if level > self._meta.depth or walk.pages < 0:
            self._broken(
                f"its tree has a loop, or is deeper than the {self._meta.depth} levels it states"
            )
        page = self._page(number)
        _, _, flags, lower, _ = _PAGE.unpack_from(page)
        count = (lower - _PAGE.size) // 2
        if count < 1 or lower > len(page) or flags & ~DIRTY not in (BRANCH, LEAF):
            self._broken(f"page {number} is no page of the tree (flags {flags:#x})")
        nodes = struct.unpack_from(f"<{count}H", page, _PAGE.size)
        if flags & BRANCH:
            for offset in nodes:
                low, high, top, _, _ = self._node(page, number, offset)
                yield from self._walk(low | high << 16 | top << 32, level + 1, walk)
            return
        first = min(walk.skip, count)
        walk.skip -= first
        view, unpack, end = memoryview(page), _NODE.unpack_from, len(page)
        for offset in nodes[first:]:
            if offset + _NODE.size <= end:  # the common case, which a batch meets often, in a row
                low, high, special, key_size = unpack(page, offset)
                at = offset + _NODE.size + key_size
                if not special and at + (low | high << 16) <= end:
                    yield page[at - key_size : at], view[at : at + (low | high << 16)]
                    continue
            yield self._leaf(page, number, offset)

    def _node(self, page: bytes, number: int, offset: int) -> tuple[int, int, int, int, int]:
        """Header fields low, high, flags, key size, and where the key begins."""
        at = offset + _NODE.size
        if at <= len(page):
            low, high, flags, key_size = _NODE.unpack_from(page, offset)
            if at + key_size <= len(page):
                return low, high, flags, key_size, at
        self._broken(f"a record of page {number} leaves the page")

    def _leaf(self, page: bytes, number: int, offset: int) -> tuple[bytes, memoryview]:
        low, high, flags, key_size, at = self._node(page, number, offset)
        size, key = low | high << 16, page[at : at + key_size]
        at += key_size
        if flags & (_SUB | _DUP):
            fail(
                "GC-U001",
                f"{str(self.path)!r} holds several databases, or several values of "
                f"key {key!r}; one plain database is expected",
            )
        if not flags & BIG:
            if at + size > len(page):
                self._broken(f"the value of key {key!r} leaves page {number}")
            return key, memoryview(page)[at : at + size]
        if at + 8 > len(page):
            self._broken(f"the value of key {key!r} leaves page {number}")
        return key, self._overflow(int.from_bytes(page[at : at + 8], "little"), size)

    def _overflow(self, number: int, size: int) -> memoryview:
        """A value of `size` bytes that begins on a page of its own."""
        data = self.read(number, _PAGE.size + size)
        if _PAGE.unpack_from(data)[2] & ~DIRTY != OVERFLOW:
            self._broken(f"page {number} holds no large value")
        return memoryview(data)[_PAGE.size :]

    def _page(self, number: int) -> bytes:
        return self.read(number, self._meta.page_size)

    def read(self, number: int, size: int) -> bytes:
        """`size` bytes from the start of page `number` on. Raises GC-D001 past the end."""
        start = number * self._meta.page_size
        if number >= self._meta.pages or start + size > self.size:
            self._broken(
                f"page {number} ({size:,} bytes) lies beyond the end; the file has {self.size:,} "
                f"bytes and states {self._meta.pages:,} pages of {self._meta.page_size}"
            )
        return self._pread(start, size)

    def _pread(self, start: int, size: int) -> bytes:
        if self._fd < 0:
            fail("GC-D001", f"{str(self.path)!r} has been closed")
        try:
            data = os.pread(self._fd, size, start)
        except OSError as error:
            fail("GC-D001", f"{str(self.path)!r} cannot be read: {error.strerror}")
        if len(data) < size:
            self._broken(f"it ends within {size:,} bytes from byte {start:,}")
        return data

    def _newest_meta(self) -> _Meta:
        """The meta page of the later transaction, of the two that alternate."""
        first = self._parse_meta(0)
        second = self._parse_meta(first.page_size)
        return max(first, second, key=lambda m: m.transaction)

    def _parse_meta(self, start: int) -> _Meta:
        data = self._pread(start, _PAGE.size + _META.size)
        _, _, flags, _, _ = _PAGE.unpack_from(data)
        magic, version, _, _, free, main, last, transaction = _META.unpack_from(data, _PAGE.size)
        if not flags & _META_PAGE or magic != _MAGIC:
            self._broken(f"byte {start} begins no meta page of a 64-bit little-endian LMDB")
        if version != _VERSION:
            fail("GC-U001", f"{str(self.path)!r} has LMDB format {version}, known is {_VERSION}")
        page_size = _DB.unpack(free)[0]
        _, _, depth, _, _, _, entries, root = _DB.unpack(main)
        bad_size = not 256 <= page_size <= 65536 or page_size & (page_size - 1)
        if bad_size or depth > _MAX_DEPTH or entries > self.size // _NODE.size:
            self._broken(
                f"it states pages of {page_size} bytes, depth {depth} and {entries:,} records in "
                f"{self.size:,} bytes"
            )
        return _Meta(page_size, last + 1, depth, entries, root, transaction)

    def _broken(self, what: str) -> NoReturn:
        fail("GC-D001", f"{str(self.path)!r} is a broken LMDB: {what}", "copy or make it again")
