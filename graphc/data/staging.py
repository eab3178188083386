"""staged: a file or folder made aside and moved to its name when it is complete."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from graphc.errors import GraphError, fail


@contextmanager
def staged(target: Path, *, replace: bool = False) -> Iterator[Path]:
    """Give a place beside `target` to write a file or folder to; it gets the name `target` at the
    end of the block, synced to disk before.

    If the block fails, nothing is left, and what was there before is untouched. Raises GC-F002 if
    something is there and `replace` is not set, or if writing fails.
    """
    if target.name in ("", ".", ".."):
        fail("GC-F002", f"{str(target)!r} is no name for something new")
    check_free(target, replace)
    aside = target.parent / f".{target.name[:200]}.{os.urandom(4).hex()}.tmp"
    draft = aside / target.name
    try:
        aside.mkdir()
        yield draft
        _sync_tree(draft)
        _exchange(draft, target, aside / "before", replace)
    except OSError as error:
        told = f"cannot write {str(target)!r}: {error.strerror or error}"
        raise GraphError("GC-F002", told) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def check_free(target: Path, replace: bool) -> None:
    """Raise GC-F002 if `target` is there and not to be replaced, or if its folder is missing."""
    if not target.parent.is_dir():
        fail("GC-F002", f"cannot write {str(target)!r}: no folder {str(target.parent)!r}")
    if os.path.lexists(target) and not replace:
        fail("GC-F002", f"{str(target)!r} is there already", "--force replaces it")


def _exchange(draft: Path, target: Path, before: Path, replace: bool) -> None:
    """Move `draft` to `target`, and what was there out of the way first."""
    check_free(target, replace)  # somebody may have been quicker
    if not target.is_dir() or target.is_symlink():
        os.replace(draft, target)
    else:
        os.rename(target, before)
        try:
            os.rename(draft, target)
        except OSError:
            os.rename(before, target)
            raise
    _sync(target.parent)


def _sync_tree(path: Path) -> None:
    if path.is_dir():
        for inner in path.iterdir():
            _sync(inner)
    _sync(path)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # file systems that cannot sync
            raise
    finally:
        os.close(handle)


__all__ = ["check_free", "staged"]
