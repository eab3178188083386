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
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from graphc.data.files import check_file
from graphc.errors import GraphError, fail
from graphc.limits import Limits

_MAGIC, _VERSION = 0xBEEFC0DE, 1
_PAGE = struct.Struct("<QHHHH")  # page number, pad, flags, lower, upper
_META = struct.Struct("<IIQQ48s48sQQ")  # magic, version, address, map size, 2 x db, last page, txn
_DB = struct.Struct("<IHHQQQQQ")  # pad, flags, depth, branch, leaf, overflow pages, entries, root
_NODE = struct.Struct("<HHHH")  # low, high, flags, key size
_BRANCH, _LEAF, _OVERFLOW, _META_PAGE = 0x01, 0x02, 0x04, 0x08
_BIG, _SUB, _DUP = 0x01, 0x02, 0x04
_NONE = (1 << 64) - 1
_MAX_DEPTH = 32


@dataclass(frozen=True, slots=True)
class Tree:
    """Page size in bytes, number of pages in use, depth, entries and root page of the tree."""

    page_size: int
    pages: int
    depth: int
    entries: int
    root: int


class LmdbFile:
    """An LMDB folder (or its data.mdb), open for reading; no lock file is touched.

    Reads are positional, so that threads may share it. Raises GC-F001, GC-D001, GC-U001 (other
    format version), GC-L001 for a record over `binary_bytes`.
    """

    def __init__(self, path: Path, limits: Limits) -> None:
        self.path = path / "data.mdb" if path.is_dir() else path
        self.limits = limits
        if not self.path.exists():
            fail("GC-D001", f"{str(path)!r} is no LMDB: it has no file data.mdb")
        self.size = check_file(self.path, limits, "database_bytes")
        try:
            self._fd = os.open(self.path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        except OSError as error:
            fail("GC-F001", f"{str(self.path)!r} cannot be read: {error.strerror}")
        try:
            self.tree = self._newest_tree()
        except GraphError:
            self.close()
            raise

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __len__(self) -> int:
        return self.tree.entries

    def records(self, start: int = 0) -> Iterator[tuple[bytes, memoryview]]:
        """Yield (key, value) in key order, from the `start`-th record on."""
        if self.tree.root != _NONE:
            skip = [start]
            yield from self._walk(self.tree.root, 1, skip)
