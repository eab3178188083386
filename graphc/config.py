"""The environment variables graphc obeys, typed. Reads nothing but the environment it is given."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import field, fields
from pathlib import Path

from graphc.errors import fail
from graphc.records import record

PREFIX = "GRAPHC_"
MODES = ("graph", "eager", "trace")
TRUE, FALSE = ("1", "true", "yes", "on"), ("", "0", "false", "no", "off")


@record(frozen=True, slots=True)
class Config:
    """One field per variable; field `debug` is GRAPHC_DEBUG. An empty value means unset."""

    debug: bool = field(default=False, metadata={"help": "show Python tracebacks with errors"})
    cache: Path = field(
        default=Path("~/.cache/graphc"), metadata={"help": "folder of measured kernel times"}
    )

    host: Path | None = field(
        default=None, metadata={"help": "folder of the host pool's file; unset: it is in memory"}
    )
    tf32: bool = field(
        default=False, metadata={"help": "a GPU may round products of float32 to TF32: faster"}
    )

    gpu: str = field(
        default="graph",
        metadata={"help": "steps on a GPU: graph, or eager, or trace, which names what fails"},
    )

    @staticmethod
    def load(environment: Mapping[str, str] | None = None) -> Config:
        """The settings of `environment` (default: the process's). Raises GC-R004 for bad values.

        Other GRAPHC_ variables are left alone: tests and users' own tools have theirs.
        """
        table = os.environ if environment is None else environment
        read = {f.name: table.get(PREFIX + f.name.upper(), "").strip() for f in fields(Config)}
        debug = _flag("debug", read["debug"])
        cache = _folder("cache", Path(read["cache"] or Config().cache))
        host = _folder("host", Path(read["host"])) if read["host"] else None
        return Config(debug, cache, host, _flag("tf32", read["tf32"]), _mode(read["gpu"]))


def _folder(name: str, told: Path) -> Path:
    try:
        return told.expanduser()
    except RuntimeError:  # the home folder is unknown
        fail("GC-R004", f"{PREFIX}{name.upper()}={str(told)!r}: no home folder", "give a full path")


def _flag(name: str, text: str) -> bool:
    if text.lower() not in TRUE + FALSE:
        fail("GC-R004", f"{PREFIX}{name.upper()}={text!r} is neither on nor off", "use 0 or 1")
    return text.lower() in TRUE


def _mode(text: str) -> str:
    if text not in ("", *MODES):
        told = f"{PREFIX}GPU={text!r} is no way to run steps"
        fail("GC-R004", told, f"use one of {', '.join(MODES)}; --gpu=N chooses a GPU")
    return text or MODES[0]


def describe(config: Config) -> list[tuple[str, str, str]]:
    """Rows (variable, value, meaning), for `graphc doctor`."""
    return [
        (PREFIX + f.name.upper(), _told(getattr(config, f.name)), f.metadata["help"])
        for f in fields(config)
    ]


def _told(value: object) -> str:
    return "" if value is None else str(value)


__all__ = ["Config", "describe"]
