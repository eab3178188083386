"""Snapshots in bad times: killed at any point, on full disks, with folders that refuse."""

from __future__ import annotations

import errno
import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from train.killed_writer import Run, versions

from graphc.errors import GraphError
from graphc.train.checkpoint.load import load_snapshot

WRITER = Path(__file__).with_name("killed_writer.py")


@pytest.fixture
def quick(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory, if the system has one: the tests wait for many fsyncs."""
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(
        dir=shared if os.access(shared, os.W_OK) else tmp_path
    ) as path:
        yield Path(path)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.parametrize(
    ("scenario", "format", "points"),
    [
        ("again", "BINARYPROTO", 240),
        ("again", "HDF5", 80),
        ("next", "BINARYPROTO", 80),
        ("caffe", "BINARYPROTO", 80),
    ],
)
def test_killed_at_any_point(scenario: str, format: str, points: int, quick: Path) -> None:
    """Each time a whole snapshot loads, the older or the newer one, and never a mixture.

    "next": iteration 20 is written beside 10; "again": 10 once more; "caffe": over a pair that has
    no `.gck`.
    """
    if format == "HDF5":
        pytest.importorskip("h5py")
    command = [sys.executable, str(WRITER), str(quick), scenario, format, str(points)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["killed"] >= points * 0.6 and told["old"] and told["new"]
    assert told["killed"] >= 200 or points < 200
    assert bool(told["pending"]) == (scenario != "next")


class Disk:
    """Files opened for writing share a number of bytes; then the disk is full."""

    def __init__(self, patch: pytest.MonkeyPatch, room: int) -> None:
        self.room = room
        plain = os.fdopen

        def fdopen(handle: int, mode: str = "r", *args: Any) -> Any:
            if mode != "w+b":
                return plain(handle, mode, *args)
            return io.BufferedRandom(_OnDisk(self, handle))

        patch.setattr("graphc.files.os.fdopen", fdopen)


class _OnDisk(io.FileIO):
    def __init__(self, disk: Disk, handle: int) -> None:
        super().__init__(handle, "w+b")
        self.disk = disk

    def write(self, data: Any) -> int:
        self.disk.room -= len(data)
        if self.disk.room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(data)


@pytest.mark.parametrize("format", ["BINARYPROTO", "HDF5"])
@pytest.mark.parametrize("iteration", [10, 20])
def test_full_disk(
    format: str, iteration: int, quick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much fits: nothing new is left, the old snapshot is whole, and the error says so."""
    if format == "HDF5":
        pytest.importorskip("h5py")
    run = Run(quick / "x", format)
    run.write(10, 1)
    before = {path: path.read_bytes() for path in quick.iterdir()}
    size = sum(map(len, before.values()))
    failed = 0
    for room in range(0, size, 1 + size // 60):
        with monkeypatch.context() as patch:
            Disk(patch, room)
            with pytest.raises(GraphError) as caught:
                run.write(iteration, 2)
        assert caught.value.code == "GC-F002"
        assert "No space left" in str(caught.value) and "free some space" in str(caught.value)
        assert f"{str(run.state(10))!r} is intact" in caught.value.hint
        assert {path: path.read_bytes() for path in quick.iterdir()} == before
        failed += 1
    assert failed >= 55
    run.write(iteration, 2)
    assert versions(load_snapshot(run.state(iteration))) == {2.0}


def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    """On a file system of 256 KiB, of which a snapshot may need the last page."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(place)]
    try:
        is_mounted = subprocess.run(mount, capture_output=True).returncode == 0
    except OSError:
        is_mounted = False
    if not is_mounted:
        pytest.skip("a file system can be mounted by root alone")
    try:
        run = Run(place / "x", "BINARYPROTO")
        run.write(10, 1)
        filler = place / "filler"
        for pages in range(1, 12):
            filler.write_bytes(b"")
            free = os.statvfs(place).f_bavail * os.statvfs(place).f_frsize
            filler.write_bytes(bytes(free - 4096 * (pages - 1)))
            try:
                run.write(20, 2)
            except GraphError as error:
                assert error.code == "GC-F002"
                assert sorted(p.name for p in place.iterdir() if "_20." in p.name) == []
            else:
                assert pages > 1
                break
            assert versions(load_snapshot(run.state(10))) == {1.0}
        else:
            pytest.fail("eleven pages are enough for a snapshot")
        assert versions(load_snapshot(run.state(20))) == {2.0}
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_order_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a power cut may undo: no name is given before the data and the names it needs last."""
    run = Run(tmp_path / "x", "BINARYPROTO")
    run.write(10, 1)
    log: list[str] = []

    def watch(name: str, tell: int) -> None:
        real = getattr(os, name)

        def call(*args: Any, **words: Any) -> Any:
            what = os.readlink(f"/proc/self/fd/{args[0]}") if tell < 0 else str(args[tell])
            is_file = name != "fsync" or not os.path.isdir(what)
            log.append(
                f"{name} {Path(what).name if is_file and tell >= 0 else 'folder' * (not is_file)}"
            )
            return real(*args, **words)

        monkeypatch.setattr(os, name, call)

    watch("fsync", -1)
    watch("replace", 1)
    watch("unlink", 0)
    run.write(10, 2)
    draft = [("fsync ", f"replace .pending-x_iter_10.{end}", "fsync folder")
             for end in ("caffemodel", "solverstate", "gck")]  # fmt: skip
    finish = [
        *("unlink x_iter_10.solverstate", "fsync folder"),
        *("replace x_iter_10.caffemodel", "replace x_iter_10.gck", "fsync folder"),
        *("replace x_iter_10.solverstate", "fsync folder"),
    ]
    assert log == [*(step for steps in draft for step in steps), *finish]


def test_folders_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match=r"GC-F002.*no earlier one|GC-F002") as caught:
        Run(tmp_path / "none/x", "BINARYPROTO").write(10, 1)
    assert "there is no earlier one" in caught.value.hint
    (tmp_path / "x_iter_10.solverstate").mkdir()
    with pytest.raises(GraphError, match="GC-F002"):
        Run(tmp_path / "x", "BINARYPROTO").write(10, 1)


def test_renames_that_fail_leave_what_can_be_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(tmp_path / "x", "BINARYPROTO")
    run.write(10, 1)
    real = os.replace

    def replace(source: Any, target: Any, **words: Any) -> None:
        if Path(target).name == "x_iter_10.gck":
            raise OSError(errno.EIO, "broken disk")
        real(source, target, **words)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", replace)
        with pytest.raises(GraphError, match="has not got its names: broken disk") as caught:
            run.write(10, 2)
    assert f"{str(run.state(10))!r} can be resumed from" in caught.value.hint
    assert not run.state(10).exists()
    assert versions(load_snapshot(run.state(10))) == {2.0}
    run.write(20, 3)
    assert versions(load_snapshot(run.state(10))) == {2.0} and run.state(10).exists()
