"""A lowered network, for people and programs: calls in order, views, buffers."""

from __future__ import annotations

from typing import Any

from graphc.cli.output import count_text, say, shape_text, size_text, table
from graphc.lowering import REORDER, LayerViews, Lowering
from graphc.plan import Step
from graphc.program import HOST, Buffer, BufferKind, Operand, Program

FORWARD = "forward"


def describe(low: Lowering) -> dict[str, Any]:
    """The Program, and what the plan makes of its calls, as one JSON-ready object."""
    program = low.program
    return {
        "name": low.graph.name,
        "target": program.target,
        "peak_bytes": low.plan.peak_bytes,
        "inputs": {name: program.buffers[id_].name for name, id_ in program.inputs.items()},
        "outputs": {name: program.buffers[id_].name for name, id_ in program.outputs.items()},
        "entries": {
            name: [_call(low, step) for step in low.steps(name)] for name in program.entries
        },
        "views": [_views(views) for views in low.views()],
        "buffers": [_buffer(buffer, program) for buffer in program.buffers],
    }


def _call(low: Lowering, step: Step) -> dict[str, Any]:
    call = low.call(step)
    return {
        "name": call.name,
        "type": low.type(call),
        "part": call.part,
        "kernel": low.variant(step).symbol,
        "workspace_bytes": low.variant(step).workspace_bytes,
        "variants": [v.symbol for v in call.variants],
        "estimate": {"us": low.variant(step).est_us, "from": low.variant(step).basis},
        "fused": [{"name": n.name, "type": n.op.type} for n in low.fused_layers(call)],
        "reads": [_operand(low, operand) for operand in call.reads],
        "writes": [_operand(low, operand) for operand in call.writes],
        "in_place": [{"write": w.role, "over": r.role} for w, r in low.in_place(step)],
        "attrs": {k: list(v) if isinstance(v, tuple) else v for k, v in call.attrs.items()},
        "effects": sorted(effect.value for effect in call.effects),
        "macs": low.macs(call),
        "bytes": low.moved(call),
    }


def _operand(low: Lowering, operand: Operand) -> dict[str, Any]:
    buffer = low.program.buffers[operand.buffer]
    packed = buffer.kind is BufferKind.PACKED
    return {"role": operand.role, "buffer": buffer.name, "id": buffer.id, "packed": packed}


def _views(views: LayerViews) -> dict[str, Any]:
    return {
        "name": views.node.name,
        "type": views.node.op.type,
        "root": views.root,
        "members": dict(views.members),
    }


def _buffer(buffer: Buffer, program: Program) -> dict[str, Any]:
    root = program.root(buffer.id)
    view = None
    if buffer.view_of is not None:
        view = {"buffer": root.name, "id": root.id, "offset": buffer.view_of[1]}
    return {
        "id": buffer.id,
        "name": buffer.name,
        "kind": buffer.kind.value,
        "dtype": buffer.dtype,
        "dims": list(buffer.dims),
        "strides": list(buffer.strides),
        "bytes": buffer.nbytes,
        "view_of": view,
    }


def show(low: Lowering) -> None:
    """Print it."""
    program, plan = low.program, low.plan
    calls = sum(len(ids) for ids in program.entries.values())
    say(
        f"{low.graph.name or 'a net without a name'} lowered for target {program.target}: "
        f"{count_text(calls, 'call')}, {count_text(len(program.buffers), 'buffer')}, "
        f"peak {size_text(plan.peak_bytes)}"
    )
    for entry in program.entries:
        _show_calls(low, entry)
    views = list(low.views())
    if views:
        say(f"\nno call at all: {count_text(len(views), 'layer')}")
        table(
            ("layer", "type", "instead"),
            [(v.node.name, v.node.op.type, _instead(v)) for v in views],
        )
    say("\nbuffers")
    rows = [
        (
            b.id,
            b.name,
            b.kind.value,
            b.dtype,
            shape_text(b.dims),
            size_text(b.nbytes),
            _lies_in(b, program),
        )
        for b in program.buffers
    ]
    columns = ("id", "name", "kind", "dtype", "dims", "bytes", "lies in")
    table(columns, rows, right="id,bytes")


def _show_calls(low: Lowering, entry: str) -> None:
    first, past = low.plan.entries[entry]
    if entry == "prepare":
        say(f"\nprepare, whenever weights have changed: {count_text(past - first, 'call')}")
    else:
        say(f"\n{entry}: {count_text(past - first, 'call')}")
    if first == past:
        return
    steps = zip(range(first, past), low.steps(entry), strict=True)
    table(
        ("step", "layer", "type", "kernel", "reads", "writes", "with"),
        [_row(low, at, step) for at, step in steps],
        right="step",
    )


def _row(low: Lowering, at: int, step: Step) -> tuple[str, ...]:
    call, node = low.call(step), low.node(low.call(step))
    kernel = low.variant(step).symbol
    part = "" if call.part in (FORWARD, REORDER, "pack") else f" ({call.part})"
    data = call.reads if node is None else [o for o in call.reads if not low.is_learned(o)]
    names = [low.program.buffers[o.buffer].name for o in data]
    written = [low.program.buffers[o.buffer].name for o in call.writes]
    return (
        str(at),
        f"{call.name}{part}",
        low.type(call),
        f"{kernel} (slow)" if kernel == HOST and low.program.target == "cpu" else kernel,
        ", ".join(names),
        ", ".join(written),
        "; ".join(_told(low, step)),
    )


def _told(low: Lowering, step: Step) -> list[str]:
    """What else there is to a call: weights, fused layers, bytes shared, scratch memory."""
    call, variant, buffers = low.call(step), low.variant(step), low.program.buffers
    told = []
    if low.node(call) is not None:
        learned = [o for o in call.reads if low.is_learned(o)]
        told += [
            f"packed {o.role}" if buffers[o.buffer].kind is BufferKind.PACKED else o.role
            for o in learned
        ]
    told += [f"then {node.op.type} {node.name}" for node in low.fused_layers(call)]
    data = [o for o in call.reads if not low.is_learned(o)]
    told += [
        f"over {buffers[read.buffer].name}" if len(data) > 1 else "in place"
        for write, read in low.in_place(step)
        if not low.is_learned(write)
    ]
    told += [f"updates {o.role}" for o in call.writes if low.node(call) and low.is_learned(o)]
    others = [v.symbol for v in call.variants if v is not variant]
    if others:
        told.append(f"or {', '.join(others)}")
    if variant.workspace_bytes:
        told.append(f"workspace {size_text(variant.workspace_bytes)}")
    return told


def _instead(views: LayerViews) -> str:
    """`a, b + 3,136 B lie in y`."""
    if not views.members:
        return "nothing to do"
    names = [f"{name} + {at:,} B" if at else name for name, at in views.members]
    return f"{', '.join(names)} {'lie' if len(names) > 1 else 'lies'} in {views.root}"


def _lies_in(buffer: Buffer, program: Program) -> str:
    if buffer.view_of is None:
        return ""
    root, offset = buffer.view_of
    return program.buffers[root].name + (f" + {offset:,} B" if offset else "")


__all__ = ["describe", "show"]
