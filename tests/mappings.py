"""What the system says of memory that is mapped from a file (Linux)."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

SMAPS = Path("/proc/self/smaps")
_HEADER = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (\S{4}) \S+ \S+ \d+ *(.*)")


def needs_smaps() -> None:
    if not SMAPS.exists():
        pytest.skip(f"no {SMAPS}: only Linux says what is mapped")


def address(array: np.ndarray) -> int:
    return int(array.__array_interface__["data"][0])


def mapping_at(where: int) -> tuple[str, str]:
    """(file, permissions) of the mapping that holds an address."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        low, high, permissions, file = _HEADER.match(line).groups()
        if int(low, 16) <= where < int(high, 16):
            return file, permissions
    raise AssertionError(f"nothing is mapped at {where:x}")


def kib_of(file: Path, field: str) -> int:
    """A field of smaps ("Rss", "Private_Dirty"), over all mappings of a file, in KiB."""
    total, is_wanted = 0, False
    for line in SMAPS.read_text().splitlines():
        header = _HEADER.match(line)
        if header:
            is_wanted = header[4] == str(file)
        elif is_wanted and line.startswith(f"{field}:"):
            total += int(line.split()[1])
    return total
