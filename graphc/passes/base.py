"""Pass: Graph -> Graph + Report. What a pass owes, and what it is given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, TypeAlias

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

    def run(self, graph: Graph, inputs: Mapping[str, npt.ArrayLike]) -> dict[str, Array]:
        """Outputs of `graph` on `inputs`, by the reference executor."""

    def time_us(self, graph: Graph) -> float:
        """Measured time of one forward of `graph`, microseconds."""

    def rng(self, tag: str) -> np.random.Generator:
        """A random stream of this tag's own, the same in every run."""


class Pass:
    """One rewrite. Subclasses are dataclasses whose fields are the pass's options.

    `name` is what the command line calls it. `exact`: outputs keep their values within rounding.
    """

    name: ClassVar[str] = ""
    exact: ClassVar[bool] = True

    def requires(self, graph: Graph) -> str:
        """Why the pass cannot run on `graph`; empty if it can."""
        return ""

    def ensures(self, graph: Graph) -> str:
        """What the pass failed to establish; empty if nothing."""
        return ""

    def run(self, graph: Graph, ctx: PassContext) -> Report:
        """Rewrite `graph` in place and say what was done."""
        raise NotImplementedError

    def options(self) -> dict[str, Any]:
        """The options that differ from their defaults, for recipes and provenance."""
        fields = getattr(self, "__dataclass_fields__", {})
        return {k: getattr(self, k) for k, f in fields.items() if getattr(self, k) != f.default}
