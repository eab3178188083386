"""Kernels: those of launches, each built once on a machine, many by one call of g++."""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from graphc.cuda.launch import Launch
from graphc.cuda.on_cpu.module import HERE, Module, cache_folder
from graphc.cuda.sources import kernel_folder, text_of

Call = Callable[..., None]
_MODULES: dict[str, Module] = {}


class Kernels:
    """What launches call. Raises KernelError for what does not compile or gets stuck."""

    def __init__(self) -> None:
        self._calls: dict[tuple[str, str], Call] = {}

    def load(self, launches: Iterable[Launch]) -> None:
        """Make the kernels of these ready; those that no library has yet are built as one."""
        wanted = dict.fromkeys((launch.source, launch.kernel) for launch in launches)
        missing = [key for key in wanted if key not in self._calls]
        unbuilt = [key for key in missing if not _note(*key).is_file()]
        if unbuilt:
            texts = "".join(dict.fromkeys(text_of(source) for source, _ in unbuilt))
            names = list(dict.fromkeys(name for _, name in unbuilt))
            _module(texts, names)
            for key in unbuilt:
                _write(_note(*key), {"text": texts, "names": names})
        for source, name in missing:
            told = json.loads(_note(source, name).read_text(encoding="utf-8"))
            module = _module(told["text"], told["names"])
            self._calls[source, name] = module.get_function(name)

    def launch(self, launch: Launch, args: Sequence[Any]) -> None:
        """Run one, with numbers, arrays or addresses for its arguments, to its end."""
        call = self._calls[launch.source, launch.kernel]
        call(launch.grid, launch.block, args, shared_mem=launch.shared)


def _module(text: str, names: Sequence[str]) -> Module:
    """Of a process one: a library that is loaded twice is still one."""
    key = "\0".join((text, *names))
    if key not in _MODULES:
        _MODULES[key] = Module(text, names, include=[kernel_folder()])
    return _MODULES[key]


def _note(source: str, name: str) -> Path:
    """The file that says which library has a kernel."""
    told = "\0".join((_headers(), source, name))
    return cache_folder() / f"{hashlib.sha256(told.encode()).hexdigest()[:24]}.json"


@functools.cache
def _headers() -> str:
    """A digest of all that kernels may include, and of what runs them."""
    files = [p for folder in (HERE, kernel_folder()) for p in sorted(folder.glob("*.[hc]*"))]
    return hashlib.sha256(b"\0".join(p.read_bytes() for p in files)).hexdigest()


def _write(path: Path, told: object) -> None:
    aside = path.with_suffix(f".{os.getpid()}")
    aside.write_text(json.dumps(told), encoding="utf-8")
    aside.replace(path)


__all__ = ["Kernels"]
