"""Crash-safe writing: the old file or the whole new one, never a part, never litter."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from graphc import files
from graphc.errors import GraphError
from graphc.files import map_file, replacing, write_file


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


@pytest.fixture(params=["nameless", "named"])
def draft(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways of making a draft: without a name, and as a hidden file."""
    if request.param == "named":
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    elif not hasattr(os, "O_TMPFILE"):
        pytest.skip("this system has no nameless files")
    return str(request.param)


def test_writes_and_replaces(tmp_path: Path, draft: str) -> None:
    target = tmp_path / "a.bin"
    write_file(target, b"old")
    write_file(target, "new \u00e9")
    assert target.read_bytes() == "new \u00e9".encode()
    assert names(tmp_path) == ["a.bin"]


def test_keeps_mode_bits(tmp_path: Path, draft: str) -> None:
    target = tmp_path / "a"
    target.write_bytes(b"old")
    target.chmod(0o640)
    write_file(target, b"new")
    assert target.stat().st_mode & 0o7777 == 0o640


def test_new_file_obeys_umask(tmp_path: Path, draft: str) -> None:
    before = os.umask(0o027)
    try:
        write_file(tmp_path / "a", b"x")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o7777 == 0o640


def test_follows_links(tmp_path: Path, draft: str) -> None:
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    write_file(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, GraphError])
def test_failure_in_the_block_leaves_the_old_file(
    tmp_path: Path, draft: str, error: type[BaseException]
) -> None:
    target = tmp_path / "a"
    target.write_bytes(b"old")
    raised = GraphError("GC-W003", "x") if error is GraphError else error()
    with pytest.raises(error), replacing(target) as file:
        file.write(b"half")
        raise raised
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("call", ["fsync", "replace", "link", "fchmod"])
def test_failing_calls(
    tmp_path: Path, draft: str, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if call == "link" and draft == "named":
        pytest.skip("a named draft is not linked")
    target = tmp_path / "a"
    target.write_bytes(b"old")

    def full(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, call, full)
    with pytest.raises(GraphError) as caught:
        write_file(target, b"new")
    monkeypatch.undo()
    assert caught.value.code == "GC-F002"
    assert "No space left" in caught.value.message and "'" in caught.value.message
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("size", [10, 1 << 20])
def test_full_disk_while_writing(tmp_path: Path, draft: str, size: int) -> None:
    """A file size limit stands for the full disk: write() fails in the middle."""
    script = f"""
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (8, 8))
from graphc.errors import GraphError
from graphc.files import write_file
import os
if {draft == "named"}: del os.O_TMPFILE
try:
    write_file(sys.argv[1], b"x" * {size})
except GraphError as error:
    print(error.code)
"""
    target = tmp_path / "a"
    target.write_bytes(b"old")
    done = subprocess.run(
        [sys.executable, "-c", script, str(target)], capture_output=True, text=True
    )
    assert done.stdout.strip() == "GC-F002" and done.stderr == ""
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="this system has no nameless files")
def test_a_killed_writer_leaves_nothing(tmp_path: Path) -> None:
    script = """
import sys, time
from graphc.files import replacing
with replacing(sys.argv[1]) as file:
    file.write(b"half"); file.flush()
    print("ready", flush=True)
    time.sleep(60)
"""
    target = tmp_path / "a"
    target.write_bytes(b"old")
    child = subprocess.Popen(
        [sys.executable, "-c", script, str(target)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


def test_devices_are_written_directly() -> None:
    write_file("/dev/null", b"x")
    assert Path("/dev/null").is_char_device()
    with pytest.raises(GraphError, match="GC-F002"):
        write_file("/dev/full", b"x")


@pytest.mark.parametrize("path", ["", "a\0b", "missing/folder/a", "."])
def test_bad_places(tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GraphError, match="GC-F002"):
        write_file(path, b"x")
    assert names(tmp_path) == []


def test_map_file(tmp_path: Path) -> None:
    target = tmp_path / "a"
    target.write_bytes(b"abc")
    view = map_file(target)
    write_file(target, b"other")
    assert bytes(view) == b"abc"
    target.write_bytes(b"")
    assert len(map_file(target)) == 0


@pytest.mark.parametrize("path", ["missing", ".", "a\0b", "fifo"])
def test_map_file_refuses(tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("fifo")
    with pytest.raises(GraphError, match="GC-F001"):
        map_file(path)
