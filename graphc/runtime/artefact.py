"""The artefact `.gcz`: a compiled network in one file, opened without protobuf, front or passes.

A ZIP of stored members: `meta.json`, `graph.txt` (the IR's text form), `weights.safetensors` (by
value name; CARRY values start from zero), `coded.json` and `coded.safetensors` with those that are
smaller coded, where there are any (`graphc.coding`), `provenance.json`, `recipe.toml` where a
recipe was used, and where the target plans memory `plan.json` and `choices.json`, the kernels it
is a plan of. The same graph gives the same bytes. See
`graphc.runtime.archive` for what is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO, Any, NoReturn

from graphc import _core
from graphc.budget import MAX_BYTES
from graphc.errors import GraphError, Loc, fail
from graphc.floats import Floats, Held
from graphc.ir.graph import Graph, typed
from graphc.ir.op import Kind, OpLookup
from graphc.ir.provenance import LayerChange, Record
from graphc.ir.text import parse_graph, print_graph
from graphc.ir.verify import verify
from graphc.ir.weights import Weights
from graphc.limits import Limits
from graphc.numpy_later import np
from graphc.plan.wish import Wish
from graphc.runtime.archive import Stream, read_members, write_members
from graphc.tensorfile import held_tensors, tensors_size, write_tensors

FORMAT = 1
GRAPH, WEIGHTS, META = "graph.txt", "weights.safetensors", "meta.json"
PROVENANCE, RECIPE = "provenance.json", "recipe.toml"
PLAN, CHOICES = "plan.json", "choices.json"
CODED, CODED_PARTS = "coded.json", "coded.safetensors"
REQUIRED = (META, GRAPH, WEIGHTS, PROVENANCE)
OPTIONAL = (RECIPE, PLAN, CHOICES, CODED, CODED_PARTS)
APART = {"recipe": RECIPE, "plan": PLAN, "choices": CHOICES}
SAVING = 0.1
"""The share of all weights' bytes that coding some must save."""
_SHAPED_LIKE_A_BREAK = ("GC-V001", "GC-V002", "GC-W003", "GC-S001", "GC-P002")


def write_artefact(path: str | Path, graph: Graph, meta: Mapping[str, Any] | None = None) -> None:
    """Write a compiled graph: all at once, or the old file stays.

    `meta`: JSON values; its texts "recipe", "plan" and "choices" become members of their own.
    Raises GC-F002, GC-S004 (a graph without shapes), GC-W002 (a parameter without an array).
    """
    if not graph.shaped:
        fail("GC-S004", "the network has no shapes yet", "infer shapes before writing an artefact")
    from graphc.coding import coded_block, encode

    tensors = {v.name: graph.weight(v) for v in graph.param_values() if v.kind is not Kind.CARRY}
    tried = {name: encode(array) for name, array in tensors.items()}
    coded = {name: found for name, found in tried.items() if found is not None}
    saved = sum(tensors[name].nbytes - found.nbytes for name, found in coded.items())
    if saved < SAVING * sum(array.nbytes for array in tensors.values()):
        coded = {}  # a weight that is no view of the file costs the others their mapping
    tensors = {name: array for name, array in tensors.items() if name not in coded}
    own = dict(meta or {})
    apart = {member: own.pop(key, None) for key, member in APART.items()}
    provenance = {"history": [asdict(r) for r in graph.history], "notes": graph.notes}
    texts = {
        META: _json({"format": FORMAT, **own}),
        GRAPH: print_graph(graph),
        PROVENANCE: _json(provenance),
    }
    texts |= {member: str(text) for member, text in apart.items() if text}
    streams: dict[str, Stream] = {
        WEIGHTS: (tensors_size(tensors), lambda file: write_tensors(file, tensors))
    }
    if coded:
        texts[CODED], block = coded_block(coded)

        def write_block(file: IO[bytes]) -> None:
            file.write(block)

        streams[CODED_PARTS] = len(block), write_block
    write_members(path, texts, streams)


def read_artefact(
    path: str | Path, limits: Limits | None = None, *, lookup: OpLookup | None = None
) -> tuple[Graph, dict[str, Any]]:
    """The graph and the meta data of an artefact.

    Weights are views of the mapped file where they lie aligned in it; what is written into them is
    this process's own. Paths within (data sources) are confined to the artefact's folder. `lookup`
    finds layer types (default: the registry). Raises GC-A001 (no artefact, or a broken one),
    GC-F001, GC-L001, GC-N001 (a layer type that is not declared here).
    """
    limits = limits or Limits()
    try:
        members = read_members(path, limits, REQUIRED, OPTIONAL)
        meta = _object(_text(members[META], META), META)
        if meta.pop("format", None) != FORMAT:
            fail("GC-A001", f"the artefact is not of format {FORMAT}", "compile the network again")
        graph = parse_graph(
            _text(members[GRAPH], GRAPH), lookup or _registered, file=GRAPH, limits=limits
        )
        graph.base, graph.limits = Path(path).parent, replace(limits, confined=True)
        tensors, coded = held_tensors(members[WEIGHTS], limits), _coded(graph, members)
        if not tensors.keys().isdisjoint(coded):
            fail("GC-A001", f"{WEIGHTS} and {CODED} hold the same weights")
        _take_weights(graph, tensors | coded)
        _take_provenance(graph, _object(_text(members[PROVENANCE], PROVENANCE), PROVENANCE))
        for key, member in APART.items():
            meta.pop(key, None)
            if member in members:
                meta[key] = _text(members[member], member)
        _check(graph)
        return graph, meta
    except GraphError as error:
        if error.code in _SHAPED_LIKE_A_BREAK:
            where = f"{error.loc}: " if error.loc else ""
            error = GraphError("GC-A001", f"{where}{error.message}", "compile the network again")
        elif error.code == "GC-N001":
            error.hint = "name the file that declares it with --ops f.py (ops.registry.load_file)"
            error.loc = Loc(str(path))
        raise error.at(loc=Loc(str(path))) from None


def settings(
    meta: Mapping[str, Any], path: str | Path
) -> tuple[str, bool, int, str | tuple[str, ...]]:
    """`target`, `train`, `seed` and `keep` of an artefact's meta data, which may say anything
    (GC-A001)."""
    target = meta.get("target", "reference")
    train, seed, keep = meta.get("train", False), meta.get("seed", 0), meta.get("keep", [])
    names = keep if isinstance(keep, list) else [keep]
    is_name = all(isinstance(name, str) for name in names)
    is_name &= isinstance(target, str)
    if not isinstance(train, bool) or type(seed) is not int or not is_name:
        broken = GraphError("GC-A001", f"{META} is not what graphc writes", "compile it again")
        raise broken.at(loc=Loc(str(path)))
    return target, train, seed, "all" if keep == "all" else tuple(names)


def wish_in(meta: Mapping[str, Any], path: str | Path, memory: int | None = None) -> Wish:
    """What plans of an artefact were asked for, by its meta data, which may say anything (GC-A001),
    but with `memory` bytes if that is given."""
    told = meta.get("wish", {})
    if isinstance(told, dict) and told.keys() <= {"memory", "policy", "keep", "replay", "host"}:
        budget, policy, host = told.get("memory"), told.get("policy", "ours"), told.get("host", 0)
        layers = [told.get(key, []) for key in ("keep", "replay")]
        are_sizes = budget is None or (type(budget) is int and 0 < budget <= MAX_BYTES)
        are_sizes &= type(host) is int and 0 <= host <= MAX_BYTES
        if are_sizes and isinstance(policy, str) and all(map(_are_names, layers)):
            budget = budget if memory is None else memory
            return Wish(budget, policy, tuple(layers[0]), tuple(layers[1]), host)
    broken = GraphError("GC-A001", f"{META} is not what graphc writes", "compile it again")
    raise broken.at(loc=Loc(str(path)))


def _are_names(told: Any) -> bool:
    return isinstance(told, list) and all(isinstance(name, str) for name in told)


def _check(graph: Graph) -> None:
    """Hold the graph against the declarations of its layers; it may have been written by hand."""
    try:
        verify(graph, 2)
    except GraphError:
        raise
    except Exception as error:  # what a declaration makes of attributes that no prototxt gives
        fail("GC-A001", f"{GRAPH} is inconsistent: {type(error).__name__}: {error}")


def _registered(name: str) -> Any:
    from graphc.ops.registry import find

    return find(name)


def _json(value: object) -> str:
    try:
        return json.dumps(value, indent=1, sort_keys=True) + "\n"
    except (TypeError, ValueError) as error:
        fail("GC-R002", f"the artefact's meta data cannot be written: {error}")


def _text(data: memoryview, name: str) -> str:
    try:
        return bytes(data).decode()
    except UnicodeDecodeError as error:
        fail("GC-A001", f"{name} is no UTF-8: {error}")


def _object(text: str, name: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        fail("GC-A001", f"{name} is no JSON: {error}")
    if not isinstance(found, dict):
        fail("GC-A001", f"{name} holds a {type(found).__name__}, expected an object")
    return found


def _coded(graph: Graph, members: Mapping[str, memoryview]) -> dict[str, Held]:
    """The tensors that are kept coded."""
    if CODED not in members and CODED_PARTS not in members:
        return {}
    if CODED not in members or CODED_PARTS not in members:
        fail("GC-A001", f"the archive has {CODED} or {CODED_PARTS}, but not both")
    from graphc.coding import parse_coded

    wanted = {v.name: typed(v).shape for v in graph.param_values()}
    text = _text(members[CODED], CODED)
    return dict(parse_coded(text, members[CODED_PARTS], wanted, graph.limits))


def _take_weights(graph: Graph, tensors: dict[str, Held]) -> None:
    """Put the tensors behind the graph's parameters; each must have its own, and no other."""
    weights = Weights()
    for value in graph.param_values():
        shape = typed(value).shape
        if value.kind is Kind.CARRY:
            weights[value.name] = np.zeros(shape, np.float32)
            continue
        held = tensors.pop(value.name, None)
        if held is None or held.shape != shape:
            found = "none" if held is None else str(held.shape)
            fail("GC-A001", f"weight {value.name!r} has shape {found}, the graph states {shape}")
        is_aligned = not isinstance(held, Floats) or _core.address_of(held.numbers) % 4 == 0
        weights.hold(value.name, held if is_aligned else np.array(held))
    if tensors:
        fail("GC-A001", f"weight {next(iter(tensors))!r} belongs to nothing in the graph")
    graph.weights = weights


def _take_provenance(graph: Graph, told: dict[str, Any]) -> None:
    history, notes = told.get("history", []), told.get("notes", [])
    if not isinstance(history, list) or not isinstance(notes, list):
        _strange()
    for entry in history:
        if not isinstance(entry, dict):
            _strange()
        detail, change = entry.get("detail", []), entry.get("max_change")
        if not isinstance(detail, list) or not isinstance(change, float | int | None):
            _strange()
        is_changed, layers = entry.get("changed") is True, entry.get("layers", [])
        if not isinstance(layers, list):
            _strange()
        record = Record(
            str(entry.get("name", "")),
            is_changed,
            tuple(map(str, detail)),
            change,
            tuple(map(_layer_change, layers)),
        )
        graph.history.append(record)
    graph.notes.extend(map(str, notes))


def _layer_change(told: Any) -> LayerChange:
    """What a pass did to a layer; fields that were not there then, or are no more, are left out."""
    if not isinstance(told, dict):
        _strange()
    fields: dict[str, Any] = {k: str(told.get(k, "")) for k in ("layer", "decision", "reason")}
    for key in LayerChange.PAIRS:
        if (pair := told.get(key)) is not None:
            if not isinstance(pair, list) or len(pair) != 2 or not all(map(_is_number, pair)):
                _strange()
            fields[key] = tuple(pair)
    for key in LayerChange.ERRORS:
        if (error := told.get(key)) is not None:
            if not _is_number(error):
                _strange()
            fields[key] = error
    return LayerChange(**fields)


def _is_number(told: Any) -> bool:
    return isinstance(told, float | int) and not isinstance(told, bool)


def _strange() -> NoReturn:
    fail("GC-A001", f"{PROVENANCE} is not what graphc writes")


__all__ = ["read_artefact", "settings", "wish_in", "write_artefact"]
