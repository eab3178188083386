"""train_net, nets_to_test: the networks that a solver prototxt names, in Caffe's order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from graphc.errors import fail
from graphc.records import record


@record(frozen=True)
class NetSettings:
    """A network by its file, of which `level` and `stages` choose the layers; or `inline`, the
    NetParameter message inside the solver, whose files lie beside `net`, the solver."""

    net: Path = Path()
    level: int = 0
    stages: tuple[str, ...] = ()
    inline: Any = None


@record(frozen=True)
class NetTest:
    """A network to test with, and on how many batches."""

    net: NetSettings
    batches: int


def train_net(message: Any, path: Path) -> NetSettings:
    """The network to train. Raises GC-P005 unless there is just one."""
    given = [name for name in ("net", "train_net") if message.HasField(name)]
    inline = [name for name in ("net_param", "train_net_param") if message.HasField(name)]
    if len(given) + len(inline) != 1:
        told = " and ".join((*given, *inline)) or "neither net nor train_net"
        fail("GC-P005", f"the solver has {told}", "name the training network once, as net")
    state = message.train_state
    if inline:
        return _net(path, state, getattr(message, inline[0]))
    return _net(_found(getattr(message, given[0]), path), state)


def nets_to_test(message: Any, path: Path) -> tuple[NetTest, ...]:
    """Those of test_net_param, then of test_net, then the training net in phase TEST as often as
    there are more test_iter. Raises GC-P005 where the counts do not fit."""
    nets: list[tuple[Path, Any]] = [(path, inline) for inline in message.test_net_param]
    nets += [(_found(name, path), None) for name in message.test_net]
    own = len(nets)
    batches = list(message.test_iter)
    if message.HasField("net"):
        nets += [(_found(message.net, path), None)] * (len(batches) - own)
    elif message.HasField("net_param"):
        nets += [(path, message.net_param)] * (len(batches) - own)
    if len(batches) != len(nets):
        told = f"there are {own} test networks, and {len(batches)} test_iter"
        fail("GC-P005", told, "give one test_iter for each")
    if nets and not message.test_interval:
        fail("GC-P005", "there is test_iter, but no test_interval", "add test_interval: 500")
    if message.test_interval and not nets:
        fail("GC-P005", "there is test_interval, but no test_iter", "add test_iter: 100")
    if message.test_state and len(message.test_state) != len(nets):
        told = f"there are {len(message.test_state)} test_state, and {len(nets)} test networks"
        fail("GC-P005", told, "give one for each, or none")
    for count in batches:
        if count < 1:
            fail("GC-P005", f"test_iter is {count}", "it is at least 1")
    states = list(message.test_state) or [None] * len(nets)
    return tuple(
        NetTest(_net(file, state, inline), count)
        for (file, inline), state, count in zip(nets, states, batches, strict=True)
    )


def _net(file: Path, state: Any, inline: Any = None) -> NetSettings:
    if state is None:
        return NetSettings(file, inline=inline)
    return NetSettings(file, state.level, tuple(state.stage), inline)


def _found(name: str, path: Path) -> Path:
    """A file from the current folder, or beside the solver."""
    named = Path(name)
    beside = (path.parent / named, path.parent / named.name)
    return next((file for file in (named, *beside) if file.is_file()), named)


__all__ = ["NetSettings", "NetTest", "nets_to_test", "train_net"]
