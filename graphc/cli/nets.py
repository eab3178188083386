"""The network a verb is about: a prototxt or an artefact, as a graph or ready to run."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphc.cli.options import FIXED, given, parse_shapes, spelled
from graphc.cli.output import note
from graphc.errors import GraphError, fail, near
from graphc.ir.graph import Graph
from graphc.ir.op import Effect
from graphc.limits import Limits
from graphc.runtime.executable import Executable
from graphc.runtime.keeping import Keep

if TYPE_CHECKING:
    from graphc.lowering import Lowering

NET_SUFFIXES = (".prototxt", ".pbtxt", ".caffemodel", ".binaryproto")
ZIP_MAGIC = b"PK\x03\x04"


def is_artefact(path: str) -> bool:
    """Is the file called .gcz, or does it start like a ZIP archive?"""
    if path.endswith(".gcz"):
        return True
    try:
        with Path(path).open("rb") as file:
            return file.read(len(ZIP_MAGIC)) == ZIP_MAGIC
    except (OSError, ValueError):
        return False


def existing(path: str) -> str:
    """`path`, unless there is certainly no such file; then GC-F001 says what is there instead."""
    try:
        here = Path(path)
        if here.is_dir():
            nets = sorted(p.name for p in here.iterdir() if p.suffix in (".gcz", *NET_SUFFIXES))
            inside = f"it holds {', '.join(nets[:5])}" if nets else "name a file"
            fail("GC-F001", f"{path!r} is a folder, not a file", inside)
        if not os.path.lexists(here):
            beside = [p.name for p in here.parent.iterdir()] if here.parent.is_dir() else []
            hint = near(here.name, beside[:1_000])
            fail("GC-F001", f"no such file: {path!r}", hint)
    except (OSError, ValueError):  # whoever opens it tells it better
        pass
    return path


def load_net(net: str, options: dict[str, Any]) -> Graph:
    """A prototxt by the values of `net_options`; shapes stay open where sources are needed."""
    from graphc import driver

    use_ops(options["ops_files"])
    weights = options["weights"]
    graph = driver.load(
        existing(net),
        existing(weights) if weights is not None else None,
        phase=options["phase"].upper(),
        level=options["level"],
        stages=options["stages"],
        shapes=parse_shapes(options["shapes"]),
        batch=options["batch"],
        strict=options["strict_weights"],
        limits=Limits.of(options["strict"]),
        dialect=options["dialect"],
        seed=options["seed"],
        set=options["set"],
    )
    if not isinstance(options["set"], tuple):  # a solver's, of which all must be met
        options["set"].check()
    return graph


def open_graph(
    net: str, options: dict[str, Any], *, checked: bool = False
) -> tuple[Graph, dict[str, Any]]:
    """The shaped graph of a prototxt or artefact, and the artefact's meta data. Options that an
    artefact cannot obey are refused, unless that is `checked`."""
    from graphc import driver

    shapes = parse_shapes(options["shapes"])
    if not is_artefact(net):
        with shape_hint():
            return driver.shape(load_net(net, options)), {}
    from graphc.runtime.artefact import read_artefact

    if not checked:
        refuse_fixed(net)
    use_ops(options["ops_files"])
    with shape_hint():
        graph, meta = read_artefact(existing(net), Limits.of(options["strict"]))
        return driver.shape(graph, shapes, options["batch"]), meta


def open_lowering(
    net: str,
    options: dict[str, Any],
    train: bool,
    target: str,
    keep: Keep,
    **update: Any,
) -> Lowering:
    """What a prototxt or artefact is lowered to; see `open_planned`."""
    from graphc.memory import lowered

    graph, how = open_planned(net, options, train, target, keep, **update)
    return lowered(graph, **how)


def open_planned(
    net: str,
    options: dict[str, Any],
    train: bool,
    target: str,
    keep: Keep,
    **update: Any,
) -> tuple[Graph, dict[str, Any]]:
    """The graph of a prototxt or artefact, and how `graphc.lowered` is to lower it: an artefact as
    it is, with what it keeps, a prototxt after the default passes. Training is in phase TRAIN
    unless told; `update`: `solver` and `fused_update` of `graphc.plan`."""
    from graphc.runtime.artefact import settings

    if train and not given("phase"):
        options["phase"] = "TRAIN"
    if update.get("solver") is not None and options["set"]:
        from graphc.front.overrides import split_overrides

        update["set"], options["set"] = split_overrides(options["set"])
    graph, meta = open_graph(net, options)
    kept = settings(meta, net)[3] if meta else ()
    both: Keep = "all" if "all" in (keep, kept) else (*kept, *keep)
    how = {"train": train, "target": target, "keep": both, "threads": options["threads"]}
    return graph, how | {"passes": () if meta else None} | update


def open_training(net: str, options: dict[str, Any]) -> Executable:
    """A prototxt or artefact, ready to be trained on the CPU; in phase TRAIN unless told."""
    from graphc.train.build import compile_training

    if not given("phase"):
        options["phase"] = "TRAIN"
    graph, _ = open_graph(net, options)
    return compile_training(graph, target=options["target"], threads=options["threads"])


def open_executable(
    net: str, options: dict[str, Any], keep: Keep = (), *, is_plain: bool = False
) -> Executable:
    """A prototxt or artefact, ready to run; an artefact where it was compiled for, unless told.
    Options "threads" may be left out. `is_plain`: the command line had none of `FIXED`."""
    from graphc import driver

    target, threads = options["target"], options.get("threads")
    if target is not None:
        driver.check_target(target)
    if not is_artefact(net):
        graph = load_net(net, options)
        mbs = options.get("mbs")
        return driver.compile(graph, keep=keep, target=target, threads=threads, mbs=mbs)
    if not is_plain:
        refuse_fixed(net)
    use_ops(options["ops_files"])
    exe = driver.open(
        existing(net),
        target=target,
        keep=keep,
        shapes=parse_shapes(options["shapes"]),
        batch=options["batch"],
        threads=threads,
        limits=Limits.of(options["strict"]),
    )
    before = exe.meta.get("target")
    if exe.target != "reference" and before not in (None, exe.target.partition(":")[0]):
        note(f"{net!r} was compiled for target {before}, and is planned anew for {exe.target}")
    return exe


def parse_overrides(specs: Iterable[str], recipe: str | None = None) -> dict[str, str]:
    """Layer -> "keep" or "replay" of a recipe's [[memory]], then of LAYER=HOW. Raises GC-C001 for
    what is not of this form, and what the recipe raises."""
    found: dict[str, str] = {}
    if recipe is not None:
        from graphc.passes.recipe import read_overrides

        found = read_overrides(Path(existing(recipe)))
    for spec in specs:
        layer, _, how = spec.rpartition("=")
        if not layer or how not in ("keep", "replay"):
            fail(
                "GC-C001", f"--override {spec!r} is not LAYER=HOW", "write conv1=keep or r1=replay"
            )
        found[layer] = how
    return found


def keep_option(names: tuple[str, ...]) -> Keep:
    """--keep a --keep b, or --keep all."""
    return "all" if "all" in names else names


def use_ops(files: tuple[str, ...]) -> None:
    """Load layers of the user's."""
    if files:
        from graphc.ops.registry import load_file

        for path in files:
            load_file(existing(path))


def refuse_fixed(net: str) -> None:
    """Raise GC-R003 for an option given that an artefact cannot obey."""
    for name in FIXED:
        if given(name):
            fail(
                "GC-R003",
                f"{net!r} is an artefact; {spelled(name)} was settled when it was compiled",
                f"leave {spelled(name)} out, or name the prototxt instead",
            )


@contextmanager
def shape_hint() -> Iterator[None]:
    """Say, where a data layer's source is missing, that shapes can stand in for it."""
    try:
        yield
    except GraphError as error:
        if _is_missing_file(error) and _is_source(error.type_):
            error.hint = "without the data, give its shape: --shape BLOB=64x1x28x28 for each top"
        raise


@contextmanager
def folder_hint(net: str) -> Iterator[None]:
    """Say, where a layer of an artefact misses a file, where such files are looked for."""
    try:
        yield
    except GraphError as error:
        if _is_missing_file(error) and is_artefact(net):
            error.hint = "an artefact finds files below its own folder only; or run the prototxt"
        raise


def _is_missing_file(error: GraphError) -> bool:
    return error.code in ("GC-F001", "GC-D001") and bool(error.layer) and not error.hint


def _is_source(layer_type: str) -> bool:
    from graphc.ops.registry import all_ops

    op = all_ops().get(layer_type)
    return op is not None and Effect.SOURCE in op.effects
