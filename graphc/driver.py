"""The one file that knows the order of the stages: load, optimize, compile, open.

prototxt + weights -> Graph -> passes -> autodiff -> Executable.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, Union

from graphc.budget import checked_size
from graphc.errors import GraphError, Loc, fail
from graphc.ir.graph import Array, Graph
from graphc.ir.provenance import OptimizeReport
from graphc.ir.provenance import format_record as format_record
from graphc.ir.verify import verify
from graphc.limits import Limits
from graphc.loading import NO_WEIGHTS as NO_WEIGHTS
from graphc.loading import SEED as SEED
from graphc.loading import load as load
from graphc.loading import own as own
from graphc.loading import path_of
from graphc.loading import prepare as prepare
from graphc.loading import shape as shape
from graphc.ops.fillers import fill_weights
from graphc.plan.wish import Wish
from graphc.runtime.executable import Executable
from graphc.runtime.keeping import Keep, check_kept, kept_names
from graphc.runtime.targets import DEFAULT_TARGET as DEFAULT_TARGET
from graphc.runtime.targets import check_target as check_target
from graphc.runtime.targets import checked_wish as checked_wish

if TYPE_CHECKING:
    from graphc.front.overrides import Overrides
    from graphc.ir.infer import Shapes
    from graphc.passes.base import Pass

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
    train: bool = False,
    allow_extensions: bool = False,
) -> tuple[Graph, OptimizeReport]:
    """Run passes on a copy of `net`; returns the copy and what each pass did.

    A pass is a name, a Pass, a Pass class, or "file.py:Class"; "default" are the standard ones,
    until none finds anything more. `measure` compares the outputs around every pass on
    `calibration` or random inputs (None: when either of these is given, or the net is below 0.5
    GMAC and runs on arrays alone); an array "label" there that is no input holds the right class of
    each sample, for passes that look at accuracy. `max_error`: how much lossy passes may change an
    output together. `dump`: a folder for the text form after each pass. `train`: gradients are
    wanted, so that parameters stay what they are. `allow_extensions`: passes may put in layers that
    BVLC's Caffe lacks. Raises GC-T001, GC-T002, GC-V001, GC-R002 for an
    unknown blob in `keep`; `net` itself is never changed.
    """
    if not isinstance(net, Graph):
        fail("GC-R002", f"net is a {type(net).__name__}, expected a Graph", "graphc.load makes one")
    from graphc.passes.registry import resolve

    chosen, graph = resolve(passes), shape(own(net, set=()))
    report = _optimize(
        graph,
        chosen,
        keep,
        passes == "default",
        calibration,
        measure,
        max_error,
        dump,
        train,
        allow_extensions,
    )
    return graph, report


def _optimize(
    graph: Graph,
    chosen: Sequence[Pass],
    keep: Keep,
    until_stable: bool,
    calibration: Mapping[str, Array] | None = None,
    measure: bool | None = None,
    max_error: float | None = None,
    dump: str | Path | None = None,
    train: bool = False,
    allow_extensions: bool = False,
) -> OptimizeReport:
    """Expand `graph` and run passes on it, in place; `until_stable`: more than once, if need be."""
    from graphc.passes.expand import Expand
    from graphc.passes.pipeline import run_passes, run_until_stable
    from graphc.passes.recipe import print_recipe
    from graphc.services import Services, meter_for, without_labels

    kept = kept_names(keep)
    pinned = frozenset() if kept == "all" else frozenset(kept)
    check_kept(pinned, {v.name: v for n in graph.forward_nodes() for v in n.outs.values()})
    fill_weights(graph)
    samples, labels = without_labels(graph, calibration)
    ctx = Services(assemble, pinned, samples, train, labels, allow_extensions)
    # a user's layer may stand for others of the user's
    free = Services(assemble, pinned, allow_extensions=True)
    (expanded,) = run_passes(graph, [Expand()], free)
    if not expanded.changed:
        graph.history.pop()
    meter = meter_for(ctx, graph, measure, max_error) if chosen else None
    folder = path_of(dump) if dump is not None else None
    if until_stable:
        chosen, records = run_until_stable(graph, chosen, ctx, meter=meter, dump=folder)
    else:
        records = run_passes(graph, chosen, ctx, meter=meter, dump=folder)
    return OptimizeReport([expanded] * expanded.changed + records, print_recipe(chosen))


def compile(  # the name the API promises
    net: Graph | str | Path,
    *,
    target: str | None = None,
    train: bool = False,
    passes: Iterable[PassLike] | str = "default",
    keep: Keep = (),
    memory: str | int | None = None,
    batch: int | None = None,
    threads: int | None = None,
    deterministic: bool = False,
    pin_variants: bool = False,
    policy: str = "ours",
    overrides: Mapping[str, str] | None = None,
    calibration: Mapping[str, Array] | None = None,
    measure: bool | None = False,
    allow_extensions: bool = False,
    seed: int = 0,
    set: Overrides = (),
    host: str | int | None = None,
    mbs: str | int | None = None,
) -> Executable:
    """Compile a network into something that runs; a Graph given is not changed.

    `target` None: cpu. `train=True`: forward and backward, gradients of parameters and net inputs;
    the default passes are then off. `keep`: names of blobs to return beside the outputs and to
    protect from passes, or "all". `memory`: bytes, or a size as "6GiB", that no plan may exceed.
    `batch` replaces the batch size of all inputs. `seed`: of dropout, shuffles and crops. `threads`
    of target cpu: None, one for each CPU this process may use. `deterministic`: only kernels whose
    bits do not depend on the number of threads. `pin_variants`: every layer has the kernel that is
    fastest, whatever its workspace; else a budget may choose another, which may round differently.
    `policy`, `overrides`, `host`: of training within a budget, as in `graphc.plan`. `mbs`: bytes of
    a cache, or a size, that groups of layers run for on few samples at a time, see
    `graphc.mbs.serialize`; the batch is then fixed. `measure`, `allow_extensions`: as in
    `optimize`. `set`: as in `load`, for a path. Raises GC-R003 for no such groups, GC-M001 for a
    plan over `memory`, GC-U001 for one of target reference, GC-X001 for a target that is not built
    or cannot do this, and what `optimize` raises; unknown shapes open data sources (GC-D001,
    GC-F001).
    """
    from graphc.passes.registry import resolve

    target = DEFAULT_TARGET if target is None else target
    wish = checked_wish(target, memory, policy, overrides, host, train)
    kept = kept_names(keep)
    chosen = resolve(() if train and passes == "default" else passes)
    graph = own(net, set=set)
    shape(graph, batch=batch)
    report = _optimize(
        graph, chosen, kept, passes == "default", calibration, measure,
        train=train, allow_extensions=allow_extensions,
    )  # fmt: skip
    how: dict[str, Any] = {"target": target, "train": train, "keep": kept, "seed": seed}
    how |= {"threads": threads, "deterministic": deterministic, "pin_variants": pin_variants}
    how["mbs"] = None if mbs is None else checked_size(mbs)
    return assemble(graph, **how, wish=wish, meta={"recipe": report.recipe})


def assemble(
    graph: Graph,
    *,
    target: str = "reference",
    train: bool = False,
    keep: Keep = (),
    wish: Wish | None = None,
    verified: bool = False,
    mbs: int | None = None,
    **how: Any,
) -> Executable:
    """The executable of a graph on which all passes have run; the graph is then the executable's.

    `wish`: what `checked_wish` makes of a budget. `verified`: the graph has been, as it is. `mbs`:
    bytes, as in `compile`. `how`: more arguments of `Executable`; `meta` goes into the artefact.
    Raises GC-X001 for a target that cannot do this, GC-M001, GC-M002, and what `serialize` raises.
    """
    check_target(target, None if wish is None else wish.memory)
    kept = kept_names(keep)
    fill_weights(graph)
    if mbs is not None:
        from graphc.mbs import serialize

        serialize(graph, mbs, train, kept)
    if train:
        from graphc.autodiff import differentiate

        differentiate(graph, seeds=() if kept == "all" else kept)
    if not verified or train or mbs is not None:
        verify(graph, 1)
    return Executable(graph, target=target, train=train, keep=kept, wish=wish, **how)


def open(
    path: str | Path,
    *,
    target: str | None = None,
    keep: Keep = (),
    shapes: Shapes | None = None,
    batch: int | None = None,
    threads: int | None = None,
    memory: str | int | None = None,
    limits: Limits | None = None,
) -> Executable:
    """Open an artefact written by `Executable.save`.

    `target`, `memory` None: what it was compiled for. `keep` adds to what was kept then; `shapes`
    and `batch` as in `load`, `threads` as in `compile`. Raises GC-A001, GC-F001, GC-L001, GC-M001,
    GC-W001 (shapes).
    """
    from graphc.runtime.artefact import read_artefact, settings, wish_in

    graph, meta = read_artefact(path_of(path), limits or Limits())
    compiled_for, train, seed, before = settings(meta, path)
    now = kept_names(keep)
    kept: Keep = "all" if "all" in (now, before) else (*before, *now)
    shape(graph, shapes, batch)
    target = compiled_for if target is None else target
    budget = check_target(target, memory)
    wish = wish_in(meta, path, budget) if target != "reference" else Wish()
    try:
        how: dict[str, Any] = {"target": target, "train": train, "keep": kept, "seed": seed}
        how |= {"deterministic": meta.get("deterministic") is True, "threads": threads}
        how |= {"pin_variants": meta.get("pin_variants") is True, "wish": wish}
        return assemble(graph, **how, meta=meta, verified=shapes is None and batch is None)
    except GraphError as error:
        raise error.at(loc=Loc(str(path))) if error.code == "GC-A001" else error from None
