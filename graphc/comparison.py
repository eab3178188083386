"""compare: what two networks make of the same input, blob by blob, and where they part."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NoReturn, TypeAlias, cast

import numpy.typing as npt

from graphc import driver
from graphc.data.arrays import read_arrays
from graphc.difference import TOLERANCE, BlobDifference, Made, difference
from graphc.errors import fail
from graphc.ir.graph import Array, Graph
from graphc.ir.op import Trait
from graphc.ir.versions import blob_of
from graphc.limits import Limits
from graphc.memory import lowered
from graphc.records import record
from graphc.runtime.artefact import read_artefact, settings
from graphc.runtime.executable import Executable
from graphc.runtime.feeds import numeric
from graphc.services import sample_inputs

Net: TypeAlias = Executable | Graph | str | Path
Blobs: TypeAlias = Mapping[str, npt.ArrayLike]
FEW = 3


@record(frozen=True)
class CompareReport:
    """`a`, `b`: what was compared, in words; `fed`: where the inputs came from: "given", "random",
    "b" (an array file that has them) or "source" (data layers); `blobs`: those both have, in A's
    order; `only_a`, `only_b`: the others."""

    a: str
    b: str
    fed: str
    tolerance: float
    blobs: tuple[BlobDifference, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]

    @property
    def ok(self) -> bool:
        return self.first is None

    @property
    def first(self) -> BlobDifference | None:
        """The first blob in A's order that is beyond the tolerance."""
        return next((blob for blob in self.blobs if not blob.ok), None)

    @property
    def worst(self) -> BlobDifference | None:
        """The blob that differs most, relative to B's; None if none can be compared."""
        found = [blob for blob in self.blobs if blob.relative >= 0]
        return max(found, key=lambda blob: blob.relative, default=None)


def compare(
    a: Net,
    b: Net | Blobs | None = None,
    *,
    inputs: Blobs | None = None,
    target_a: str | None = None,
    target_b: str | None = None,
    tolerance: float = TOLERANCE,
    fused: bool = True,
) -> CompareReport:
    """Run A and B on the same input and compare every blob both have.

    `a`, `b`: networks as `graphc.compile` takes them, run without passes; artefacts (.gcz);
    Executables, whose outputs and kept blobs count; `b` also blobs by name, or an .npz of these.
    `b` None: A's graph, on "reference". `inputs` None: what an .npz `b` has by the inputs' names,
    else random numbers. A blob's value is the one its last in-place layer leaves. It differs if
    max|a - b| > tolerance x max(max|b|, 0.001), or if shapes or NaNs do. `fused`: compare blobs
    that are made when layers are fused; else keep all of them, which fuses none.
    Raises GC-R002 for no blob in common, GC-R001 for inputs that do not fit, and what loading and
    running raise.
    """
    if not 0 <= tolerance < float("inf"):
        fail("GC-R002", f"tolerance is {tolerance}; it is 0 or more")
    if b is None:
        b, target_b = a.graph if isinstance(a, Executable) else a, target_b or "reference"
    stored = _stored(b)
    if stored is not None and target_b is not None:
        fail("GC-R002", "blobs that are given run on no target", "leave target_b out")
    first = _Net(a, target_a, fused)
    feeds, fed = _feeds(first, inputs, stored)
    if stored is None:
        second = _Net(cast("Net", b), target_b, fused)
        theirs, label = second.run(_renamed(feeds, second)), second.label
    else:
        theirs = stored
        label = "the blobs given" if isinstance(b, Mapping) else str(b)
    ours = first.run(feeds)
    common = [blob for blob in ours if blob in theirs]
    if not common:
        _fail_apart(ours, theirs)
    return CompareReport(
        first.label,
        label,
        fed,
        tolerance,
        tuple(difference(first.made[blob], ours[blob], theirs[blob], tolerance) for blob in common),
        tuple(name for name in ours if name not in theirs),
        tuple(name for name in theirs if name not in ours and name not in first.other),
    )


class _Net:
    """A network that can be run for its blobs; one made here is closed after it has run."""

    def __init__(self, net: Net, target: str | None, fused: bool) -> None:
        self.is_own = not isinstance(net, Executable)
        self.bare: Executable | None = None
        if isinstance(net, Executable):
            if target is not None:
                fail("GC-R002", "an Executable has its target", "leave target_a and target_b out")
            graph, self.exe = net.graph, net
        else:
            graph, usual = _read(net)
            self.exe = _compiled(graph, target or usual, fused)
            if fused and self.exe.target == "cpu":
                self.bare = driver.compile(graph, target="cpu", passes=())
        self.label = f"{graph.name or 'a net without a name'} on {self.exe.target}"
        self.made = {made.blob: made for made in _made(graph)}
        tops = {node.outs[role].name for node in graph.forward_nodes() for role in node.tops}
        self.other = tops - self.made.keys()  # inputs, and what layers in place overwrite

    def run(self, feeds: Mapping[str, npt.ArrayLike]) -> dict[str, Array]:
        """The blobs that layers make, by name. What is kept is plain, which other kernels may do
        best; so the outputs are those of a run that keeps nothing."""
        results: dict[str, Array] = {}
        for exe in [self.exe] if self.bare is None else [self.exe, self.bare]:
            try:
                results |= exe.run(feeds)
            finally:
                if self.is_own:
                    exe.close()
        return {blob: results[blob] for blob in self.made if blob in results}


def _read(net: Graph | str | Path) -> tuple[Graph, str]:
    """A network, and the target it runs on unless told."""
    if isinstance(net, (str, Path)) and str(net).endswith(".gcz"):
        graph, meta = read_artefact(Path(net), Limits())
        return graph, settings(meta, net)[0]
    return net if isinstance(net, Graph) else driver.load(net), driver.DEFAULT_TARGET


def _made(graph: Graph) -> Iterator[Made]:
    """The blobs that layers make, at the last layer of each, in order."""
    layers: dict[str, list[str]] = {}
    for node in graph.forward_nodes():
        for role in node.tops if not node.has(Trait.FEED) else ():
            blob = blob_of(node.outs[role])
            layers.setdefault(blob, []).append(node.name)
            if blob == node.outs[role].name:
                yield Made(blob, node.name, node.op.type, tuple(layers[blob]))


def _compiled(graph: Graph, target: str, fused: bool) -> Executable:
    """The graph as it is on a target, with all blobs kept that this leaves as they are."""
    if not fused or target != "cpu":
        return driver.compile(graph, target=target, passes=(), keep="all")
    low = lowered(graph, target=target, passes=())
    written = {made.blob for made in _made(graph)}  # without those that expanding a layer adds
    keep = [name for name in low.program.values if name in written]
    return driver.compile(graph, target=target, passes=(), keep=keep)


def _stored(b: Net | Blobs | None) -> dict[str, Array] | None:
    """B's blobs, if these are given rather than a network."""
    if isinstance(b, Mapping):
        return {str(name): numeric(str(name), array) for name, array in b.items()}
    if isinstance(b, (str, Path)) and str(b).endswith(".npz"):
        return dict(read_arrays(Path(b), Limits()))
    return None


def _feeds(
    net: _Net, inputs: Blobs | None, stored: Mapping[str, Array] | None
) -> tuple[dict[str, npt.ArrayLike], str]:
    wanted = net.exe.inputs
    if inputs is not None:
        return dict(inputs), "given"
    if not wanted:
        return {}, "source"
    if stored is None:
        return dict(sample_inputs(net.exe.graph)), "random"
    missing = [name for name in wanted if name not in stored]
    if missing:
        told = f"the blobs given were made from some input {missing[0]!r}, which is not among them"
        fail("GC-R001", told, "give the inputs")
    return {name: stored[name] for name in wanted}, "b"


def _renamed(feeds: dict[str, npt.ArrayLike], net: _Net) -> dict[str, npt.ArrayLike]:
    """A's feeds under B's input names: by name, or in order where the names are others."""
    wanted = list(net.exe.inputs)
    if set(wanted) == set(feeds):
        return feeds
    if len(wanted) != len(feeds):
        told = f"A has inputs {', '.join(feeds) or 'none'}, B {', '.join(wanted) or 'none'}"
        fail("GC-R001", told, "both must take the same input")
    return dict(zip(wanted, feeds.values(), strict=True))


def _fail_apart(ours: Mapping[str, Array], theirs: Mapping[str, Array]) -> NoReturn:
    def told(names: Iterable[str]) -> str:
        listed = list(names)
        more = ", ..." if len(listed) > FEW else ""
        return (", ".join(listed[:FEW]) + more) if listed else "nothing"

    message = f"the two have no blob in common: A makes {told(ours)}, B {told(theirs)}"
    fail("GC-R002", message, "blobs are compared by name")


__all__ = ["TOLERANCE", "CompareReport", "compare"]
