"""Which layers of a definition are in the net, given phase, level and stages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from graphc.errors import GraphError, fail
from graphc.front.definition import Definition
from graphc.ir.types import Phase


def filter_layers(
    source: Definition, phase: Phase, level: int, stages: Iterable[str]
) -> list[tuple[int, Any]]:
    """(index, message) of the layers whose include and exclude rules let them in, in order.

    A layer with include rules is in when one of them is met; one with exclude rules is out when
    one of them is. Raises GC-N005 for a layer that has both kinds.
    """
    given = frozenset(stages)
    kept: list[tuple[int, Any]] = []
    for index, layer in enumerate(source.net.layer):
        if not layer.include and not layer.exclude:
            kept.append((index, layer))
            continue
        try:
            if is_included(layer, phase, level, given):
                kept.append((index, layer))
        except GraphError as error:
            raise source.located(error, index, layer) from None
    return kept


def is_included(layer: Any, phase: Phase, level: int, stages: frozenset[str]) -> bool:
    """Do the layer's own rules let it in? Raises GC-N005."""
    if layer.include and layer.exclude:
        fail("GC-N005", "the layer has include and exclude rules", "keep one kind")
    if layer.include:
        return any(_met(rule, phase, level, stages) for rule in layer.include)
    return not any(_met(rule, phase, level, stages) for rule in layer.exclude)


def _met(rule: Any, phase: Phase, level: int, stages: frozenset[str]) -> bool:
    """Does everything that the rule says hold?"""
    if rule.HasField("phase") and phase_of(rule) != phase:
        return False
    if rule.HasField("min_level") and level < rule.min_level:
        return False
    if rule.HasField("max_level") and level > rule.max_level:
        return False
    return stages.issuperset(rule.stage) and stages.isdisjoint(rule.not_stage)


def phase_of(message: Any) -> Phase:
    """The `phase` field of a layer or rule."""
    return "TRAIN" if message.phase == 0 else "TEST"


__all__ = ["filter_layers", "is_included", "phase_of"]
