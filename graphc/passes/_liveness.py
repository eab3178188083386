"""Liveness: channels that nobody reads, or that are constant, so that nothing is lost with them."""

from __future__ import annotations

import numpy as np

from graphc.channels import Channels, split
from graphc.ir.graph import Graph, Node
from graphc.passes._constants import Constants
from graphc.passes._masked import Local, Masked, axes
from graphc.passes._removal import Mask


def dead(graph: Graph, channels: Channels, candidates: Mask) -> Mask:
    """Which of the classes may go without any output changing, if constants are absorbed?

    Those of which all channels are constant, and those that every layer multiplies by zeros, or by
    filters that are dead themselves; found again until there are no more.
    """
    constants = Constants(graph, channels, candidates, masked=False)
    found = candidates & ~_varying(constants)
    while True:
        unread = candidates & ~found & ~_read(Masked(graph, channels, found))
        if not unread.any():
            return found
        found |= unread


def _varying(constants: Constants) -> Mask:
    """Classes of which some channel is not constant."""
    varies = np.zeros(constants.channels.count, bool)
    for node in constants.graph.forward_nodes():
        for value in node.outs.values():
            for at in axes(value):
                labels = constants.channels.labels[value, at]
                for index in np.flatnonzero(constants.zeroed[labels]).tolist():
                    if (value, at, index) not in constants.maps:
                        varies[labels[index]] = True
    return varies


def _read(view: Masked) -> Mask:
    """Classes that a layer makes something of other than more of the same class."""
    read = np.zeros(view.channels.count, bool)
    for node in view.graph.forward_nodes():
        local = view.local(node)
        own = np.zeros(local.count, bool)
        for end in local.ends(node.tops):
            own[local.of(end)] = True
        for end in local.ends(node.ins) if node.tops else ():
            role, at = split(end)
            labels = view.channels.labels[node.ins[role], at]
            if end in local.ordered:
                read[labels] = True
            taken = ~own[local.of(end)]
            if taken.any():
                used = _used(view, node, local)
                is_used = taken if used is None else taken & used[local.of(end)]
                read[labels[is_used]] = True
    return read


def _used(view: Masked, node: Node, local: Local) -> Mask | None:
    """The node's own classes that its weights multiply by more than zeros; None: it has none."""
    if not local.takers:
        return None
    found = np.zeros(local.count, bool)
    for role in local.takers:
        found |= view.taken_in(node, role)
    return found


__all__ = ["dead"]
