"""The one file that knows the order of the stages: load, optimize, compile, open.

prototxt + weights -> Graph -> passes -> autodiff -> Executable.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import numpy as np

from graphc.errors import fail
from graphc.ir.clone import clone
from graphc.ir.graph import Array, Graph, Value, typed
from graphc.ir.infer import Shapes, infer
from graphc.ir.op import Kind
from graphc.ir.provenance import Record
from graphc.ir.types import Phase
from graphc.ir.verify import verify
from graphc.limits import Limits
from graphc.ops.fillers import fill
from graphc.runtime.executable import Executable, Keep
from graphc.services import Services, needs_source, sample_inputs, should_measure

if TYPE_CHECKING:
    from graphc.passes.base import Pass

TARGETS = ("reference", "cpu", "cuda", "fake")
SEED = 1
NO_WEIGHTS = "no weights given"


def load(
    net: str | Path,
    weights: str | Path | None = None,
    *,
    phase: Phase = "TEST",
    level: int = 0,
    stages: Sequence[str] = (),
    shapes: Shapes | None = None,
    batch: int | None = None,
    strict: bool = True,
    limits: Limits | None = None,
    dialect: str = "auto",
    seed: int = SEED,
) -> Graph:
    """Read a network and, if given, its weights.

    `net`: path of a prototxt (or binary NetParameter). `shapes` maps net inputs and tops of data
    layers to shapes; data sources are never opened here, so a net that needs one to know its
    shapes stays unshaped until compiled or inspected. Without `weights`, parameters start from
    the fillers with `seed`. `strict`: every layer with parameters must be in the weight file.
    Raises GraphError: GC-F001, GC-P00x, GC-N00x, GC-S00x, GC-W00x, GC-L001.
    """
    from graphc.front import read_net
    from graphc.front.weights import load_weights

    if phase not in ("TRAIN", "TEST"):
        fail("GC-R002", f"phase is {phase!r}, expected 'TRAIN' or 'TEST'")
    graph = read_net(
        Path(net),
        phase=phase,
        level=level,
        stages=tuple(stages),
        limits=limits or Limits(),
        dialect=dialect,
    )
    prepare(graph, shapes, batch, seed)
    if weights is not None:
        report = load_weights(graph, Path(weights), strict=strict)
        graph.notes.append(str(report))
    elif not graph.pending and not graph.weights and (graph.param_values() or not graph.shaped):
        graph.notes.append(f"{NO_WEIGHTS}: parameters come from the fillers, seed {seed}")
    return graph


def prepare(
    graph: Graph, shapes: Shapes | None = None, batch: int | None = None, seed: int = SEED
) -> Graph:
    """Give a graph fresh from the front end its fillers, and, where none needs a source, shapes."""
    graph.fill = _filler(seed)
    if shapes or batch is not None or not needs_source(graph):
        infer(graph, shapes, batch)
    return graph


def shape(graph: Graph, shapes: Shapes | None = None, batch: int | None = None) -> Graph:
    """Infer what is still unknown, opening data sources where needed; returns the graph."""
    if shapes or batch is not None or not graph.shaped:
        infer(graph, shapes, batch)
    return graph


def _filler(seed: int) -> Any:
    """The hook that makes a missing parameter from its layer's filler."""

    def make(value: Value) -> Array:
        if value.spec is None or value.kind is not Kind.PARAM:
            return np.zeros(typed(value).shape, np.float32)
        layer, _, name = value.name.rpartition(":")
        return fill(value.spec, seed=seed, layer=layer, index=zlib.crc32(name.encode()) & 0xFFFF)

    return make


@dataclass
class OptimizeReport:
    """One Record per pass, in order; `recipe`: the passes asked for and their options, as TOML."""

    passes: list[Record] = field(default_factory=list)
    recipe: str = ""

    def __str__(self) -> str:
        return "\n".join(format_record(r) for r in self.passes)


def format_record(record: Record) -> str:
    """`name: what it did (largest output change, where measured)`."""
    what = "; ".join(record.detail) or ("done" if record.changed else "nothing to do")
    measured = record.changed and record.max_change is not None
    return f"{record.name}: {what}" + (
        f" (largest output change: {record.max_change:.3g})" if measured else ""
    )


PassLike: TypeAlias = Union[str, "Pass", "type[Pass]"]


def optimize(
    net: Graph,
    passes: Iterable[PassLike] | str = "default",
    *,
    keep: Keep = (),
    calibration: Mapping[str, Array] | None = None,
    measure: bool | None = None,
    max_error: float | None = None,
    dump: str | Path | None = None,
) -> tuple[Graph, OptimizeReport]:
    """Run passes on a copy of `net`; returns the copy and what each pass did.

    A pass is a name, a Pass, a Pass class, or "file.py:Class". `measure` compares the outputs
    around every pass on `calibration` or random inputs (None: when the net is below 0.5 GMAC and
    runs on arrays alone). Raises GC-T001, GC-T002, GC-V001; `net` itself is never changed.
    """
    from graphc.passes.expand import Expand
    from graphc.passes.pipeline import run_passes
    from graphc.passes.recipe import print_recipe

    chosen = resolve_passes(passes)
    graph = clone(shape(net))
    pinned = frozenset() if keep == "all" else frozenset(_names(keep))
    ctx = Services(assemble, pinned, calibration)
    expanded = run_passes(graph, [Expand()], ctx)
    sample = sample_inputs(graph, calibration) if should_measure(graph, measure) else None
    records = run_passes(
        graph,
        chosen,
        ctx,
        sample=sample,
        max_error=max_error,
        dump=Path(dump) if dump is not None else None,
    )
    told = [r for r in expanded if r.changed] + records
    return graph, OptimizeReport(told, print_recipe(chosen))


def resolve_passes(passes: Iterable[PassLike] | str) -> list[Pass]:
    """Pass objects from names, classes and objects; "default" is the standard list."""
    from graphc.passes.registry import DEFAULT

    names: Iterable[PassLike] = DEFAULT if passes == "default" else passes
    if isinstance(names, str):
        fail("GC-T001", f"passes is {names!r}", 'give "default" or a list')
    return [_resolve(each) for each in names]


def _resolve(each: PassLike) -> Pass:
    from graphc.passes.base import Pass
    from graphc.passes.registry import build, load_user_pass, make_pass

    if isinstance(each, Pass):
        return each
    if isinstance(each, type):
        return build(each, {})
    return build(load_user_pass(each), {}) if ".py:" in each else make_pass(each)


def compile(  # the name the API promises
    net: Graph | str | Path,
    *,
    target: str = "reference",
    train: bool = False,
    passes: Iterable[PassLike] | str = "default",
    keep: Keep = (),
    memory: str | int | None = None,
    batch: int | None = None,
    threads: int | None = None,
    deterministic: bool = False,
    pin_variants: bool = False,
    calibration: Mapping[str, Array] | None = None,
    measure: bool | None = False,
    seed: int = 0,
) -> Executable:
    """Compile a network into something that runs.

    `train=True`: forward and backward, gradients of parameters and net inputs; the default passes
    are then off. `keep`: names of blobs to return beside the outputs and to protect from passes,
    or "all". `batch` replaces the batch size of all inputs. `threads`, `deterministic` and
    `pin_variants` make no difference to the reference target: one thread, always deterministic.
    `measure`: as in `optimize`. Raises GC-X001 for a target that is not built, GC-U001 for
    `memory`, which needs a planned target.
    """
    check_target(target, memory)
    graph = net if isinstance(net, Graph) else load(net)
    if batch is not None:
        graph = shape(clone(graph), batch=batch)
    if train and passes == "default":
        passes = ()
    optimized, report = optimize(graph, passes, keep=keep, calibration=calibration, measure=measure)
    return assemble(optimized, train=train, keep=keep, seed=seed, meta={"recipe": report.recipe})


def limits_for(strict: bool) -> Limits:
    """The limits of --strict, or the ordinary ones."""
    return Limits.strict() if strict else Limits()


def check_target(target: str, memory: str | int | None = None) -> None:
    """Raise GC-R002 for an unknown target, GC-X001 for one not built, GC-U001 for a budget."""
    if target not in TARGETS:
        fail("GC-R002", f"no target {target!r}", f"targets: {', '.join(TARGETS)}")
    if target != "reference":
        fail("GC-X001", f"target {target!r} is not built yet", "'reference' is the only one so far")
    if memory is not None:
        fail("GC-U001", "the reference target plans no memory", "leave the memory budget out")


def assemble(
    graph: Graph,
    *,
    train: bool = False,
    keep: Keep = (),
    seed: int = 0,
    meta: Mapping[str, Any] | None = None,
) -> Executable:
    """The executable of a graph on which all passes have run; `meta` goes into the artefact."""
    from graphc.autodiff import differentiate

    for value in graph.param_values():
        graph.weight(value)
    if train:
        differentiate(graph)
    verify(graph, 1)
    return Executable(graph, train=train, keep=keep, seed=seed, meta=meta)


def open(
    path: str | Path,
    *,
    keep: Keep = (),
    shapes: Shapes | None = None,
    batch: int | None = None,
    limits: Limits | None = None,
) -> Executable:
    """Open an artefact written by `Executable.save`.

    `keep` adds to the blobs kept when it was compiled; `shapes` and `batch` as in `load`. Raises
    GC-A001, GC-F001, GC-L001, and GC-W001 for shapes that do not fit the weights.
    """
    from graphc.runtime.artefact import read_artefact, settings

    graph, meta = read_artefact(Path(path), limits or Limits())
    train, seed, kept = settings(meta, path)
    names = "all" if "all" in (keep, kept) else tuple(dict.fromkeys([*kept, *_names(keep)]))
    shape(graph, shapes, batch)
    return assemble(graph, train=train, keep=names, seed=seed, meta=meta)


def _names(keep: Keep) -> tuple[str, ...]:
    return (keep,) if isinstance(keep, str) else tuple(keep)
