"""The folder of images that both record layers are tested on."""

from __future__ import annotations

from pathlib import Path

import pytest
from data.makers import datum, png, write_lmdb
from data.record_layers import IMAGES, planes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """db: five records with labels 0 to 4; list.txt: the same images as files."""
    write_lmdb(tmp_path / "db", [datum(planes(i), i) for i in range(5)])
    for index, image in enumerate(IMAGES):
        (tmp_path / f"im {index}.png").write_bytes(png(image))
    (tmp_path / "list.txt").write_text("".join(f"im {i}.png {i}\n" for i in range(5)))
    return tmp_path
