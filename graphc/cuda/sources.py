"""kernel_folder: where the CUDA sources and their headers lie; text_of: the text of one."""

from __future__ import annotations

import functools
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]


@functools.cache
def kernel_folder() -> Path:
    """Of an installed package inside of it, of a checkout beside it."""
    inside = PACKAGE / "kernels"
    return inside if inside.is_dir() else PACKAGE.parent / "kernels"


def text_of(source: str) -> str:
    """What is compiled for the `source` of a launch: a file of the folder by an include, what was
    generated as it is."""
    return f'#include "{source}"\n' if source.endswith(".cu") else source


__all__ = ["kernel_folder", "text_of"]
