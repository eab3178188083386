"""All checks of one declaration, by name."""

from __future__ import annotations

from graphc.check.consistency import cost, names, shapes, views
from graphc.check.gradients import gradient, reads
from graphc.check.robustness import hostile_numbers, purity, shape_fuzz
from graphc.check.traits import batch_separable, elementwise, linear, ties

__all__ = [
    "batch_separable",
    "cost",
    "elementwise",
    "gradient",
    "hostile_numbers",
    "linear",
    "names",
    "purity",
    "reads",
    "shape_fuzz",
    "shapes",
    "ties",
    "views",
]
