"""Pass: Graph -> Graph + Report. What a pass owes, and what it is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Any, ClassVar, Protocol, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from graphc.ir.graph import Array, Graph
from graphc.ir.provenance import Record

Report: TypeAlias = Record


class PassContext(Protocol):
    """Services the driver hands to a pass; a pass imports nothing of plan or runtime."""

    pinned: frozenset[str]
    """Names of blobs that must survive with their values."""

    calibration: Mapping[str, Array] | None
    """Inputs to measure on, where the user gave some."""

    labels: Array | None
    """The right class of each calibration sample, where the user gave them."""

    train: bool
    """Are gradients wanted of the network? Then its parameters must stay what they are."""

    allow_extensions: bool
    """May a pass put in layers of types that BVLC's Caffe lacks?"""

    def run(self, graph: Graph, inputs: Mapping[str, npt.ArrayLike]) -> dict[str, Array]:
        """Outputs of `graph` on `inputs`, by the reference executor."""

    def gradients(self, graph: Graph, inputs: Mapping[str, npt.ArrayLike]) -> dict[str, Array]:
        """Gradients of the loss of `graph` on `inputs`, by the name of each parameter's storage."""

    def samples(self, graph: Graph) -> Mapping[str, Array] | None:
        """Calibration inputs, else random ones; None without either, where a run would take long or
        needs files."""

    def time_us(self, graph: Graph) -> float:
        """Measured time of one forward of `graph`, microseconds."""

    def times_us(self, graphs: Sequence[Graph]) -> list[float]:
        """The same of several graphs, measured by turns."""

    def rng(self, tag: str) -> np.random.Generator:
        """A random stream of this tag's own, the same in every run."""


class Pass:
    """One rewrite. Subclasses are dataclasses whose fields are the pass's options.

    `name` is what the command line calls it. `exact`: outputs keep their values within rounding.
    `strength`: the option that says how much is taken from a layer, of a pass that has one, and an
    option `layers`, patterns of names; `graphc sensitivity` tries its values.
    `origin`: the "file.py:Class" it was loaded from, for recipes; empty if it has a place of its
    own by name.
    """

    name: ClassVar[str] = ""
    origin: ClassVar[str] = ""
    exact: ClassVar[bool] = True
    strength: ClassVar[str] = ""

    def strengths(self, graph: Graph, count: int) -> dict[str, list[Any]]:
        """About `count` values of `strength` to try, the mildest first, by layer."""
        raise NotImplementedError

    def at(self, layer: str, value: Any) -> Pass:
        """This pass on one layer only, at one value of `strength`."""
        raise NotImplementedError

    def requires(self, graph: Graph) -> str:
        """Why the pass cannot run on `graph`; empty if it can."""
        return ""

    def ensures(self, graph: Graph) -> str:
        """What the pass failed to establish; empty if nothing."""
        return ""

    def run(self, graph: Graph, ctx: PassContext) -> Report:
        """Rewrite `graph` in place and say what was done."""
        raise NotImplementedError

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """The options by name with their defaults (dataclasses.MISSING: none)."""
        declared = fields(cast(Any, cls)) if hasattr(cls, "__dataclass_fields__") else ()
        return {
            f.name: f.default if f.default_factory is MISSING else f.default_factory()
            for f in declared
            if f.init
        }

    def options(self) -> dict[str, Any]:
        """The options that differ from their defaults, for recipes and provenance."""
        return {k: getattr(self, k) for k, d in self.defaults().items() if getattr(self, k) != d}
