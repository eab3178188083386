"""Which array of a Caffe state is which history of the training graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from graphc.errors import fail
from graphc.ir.graph import Array, Graph, Node, Role, Value, typed
from graphc.ir.op import Kind
from graphc.ops.update.rule import UpdateRule
from graphc.records import record


@record(frozen=True)
class Slot:
    """One history blob of Caffe: of parameter `owner`; `value`, by which the training graph calls
    it, is None where nothing is learned, and the blob then zeros."""

    owner: Value
    value: Value | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return typed(self.owner).shape


def history_slots(net: Graph, trained: Graph, rule: type[UpdateRule]) -> list[Slot]:
    """The histories in Caffe's order: for each of the rule's, one for every parameter that `net`
    owns, frozen ones and statistics included.

    `net`: as loaded, shaped; `trained`: the graph with updates that was made of it, in which
    parameters have kept their names.
    """
    updates: dict[str, Node] = {
        node.params["w"].storage.name: node
        for node in trained.nodes
        if node.role is Role.UPDATE and "w" in node.params
    }
    owned = owners(net)
    slots: list[Slot] = []
    for role in rule.histories:
        for owner in owned:
            node = updates.get(owner.name)
            slots.append(Slot(owner, node.params[role] if node is not None else None))
    return slots


def saved_histories(slots: Sequence[Slot], array: Callable[[Value], Array]) -> list[Array]:
    """The blobs of a state; `array`: what a history holds now."""
    return [
        np.zeros(slot.shape, np.float32)
        if slot.value is None
        else np.asarray(array(slot.value), np.float32).reshape(slot.shape)
        for slot in slots
    ]


def loaded_histories(
    slots: Sequence[Slot], history: Sequence[Array], source: str = "the state"
) -> dict[Value, Array]:
    """History of the training graph -> its array, shaped as there.

    Legacy 4-D shapes fit right-aligned, as those of weights. Raises GC-K001 for another number of
    blobs (another solver type, or network) or another shape.
    """
    if len(history) != len(slots):
        told = f"{source} has {len(history)} histories, this solver {len(slots)}"
        fail("GC-K001", told, "it is of another network, or of another solver type")
    found: dict[Value, Array] = {}
    for index, (slot, array) in enumerate(zip(slots, history, strict=True)):
        legacy = (1,) * (4 - len(slot.shape)) + slot.shape
        if array.shape not in (slot.shape, legacy):
            told = f"history {index} (of {slot.owner.name!r}) has shape {array.shape} in {source}"
            fail("GC-K001", f"{told}, {slot.shape} in the net", "it is of another network")
        if slot.value is not None:
            found[slot.value] = array.reshape(typed(slot.value).shape)
    return found


def owners(net: Graph) -> list[Value]:
    """Storages of PARAM and STATE values, in the order of the layers that own them."""
    found: dict[Value, None] = {}
    for node in net.forward_nodes():
        for value in node.params.values():
            if value.kind in (Kind.PARAM, Kind.STATE):
                found.setdefault(value.storage)
    return list(found)


__all__ = ["Slot", "history_slots", "loaded_histories", "owners", "saved_histories"]
