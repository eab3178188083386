#!/usr/bin/env python3
"""Pack the reference data of real Caffe into tests/golden/caffe.tar.xz, for a clone to test by.

usage: tools/pack_golden.py [FOLDER]     FOLDER: default $GRAPHC_SHARED/golden or ../shared/golden

The archive depends on names and contents alone: sorted, no times, owners or permissions.
"""

from __future__ import annotations

import io
import lzma
import os
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ARCHIVE = ROOT / "tests" / "golden" / "caffe.tar.xz"
FOLDERS = ("extras", "layers", "nets", "solvers")


def packed_files(source: Path) -> list[Path]:
    """The files that belong in the archive, in its order; lock files of LMDB are made anew."""
    found = [p for folder in FOLDERS for p in (source / folder).rglob("*") if p.is_file()]
    return sorted(p for p in found if p.name != "lock.mdb")


def pack(source: Path) -> bytes:
    """The archive as bytes."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path in packed_files(source):
            data = path.read_bytes()
            member = tarfile.TarInfo(path.relative_to(source).as_posix())
            member.size, member.mode = len(data), 0o644
            tar.addfile(member, io.BytesIO(data))
    return lzma.compress(raw.getvalue(), preset=9 | lzma.PRESET_EXTREME)


def main() -> None:
    default = Path(os.environ.get("GRAPHC_SHARED") or ROOT.parent / "shared") / "golden"
    source = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    if not (source / "layers").is_dir():
        sys.exit(f"no reference data in {source}")
    archive = pack(source)
    aside = ARCHIVE.with_suffix(".tmp")
    aside.write_bytes(archive)
    aside.replace(ARCHIVE)
    print(f"{ARCHIVE}: {len(packed_files(source))} files, {len(archive):,} bytes")


if __name__ == "__main__":
    main()
