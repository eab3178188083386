"""Memory page: where every buffer of a plan lies, step by step, as one self-contained HTML file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path

from graphc.files import write_file
from graphc.lowering import Lowering
from graphc.plan import Plan
from graphc.plan.data import WORK
from graphc.program import BufferKind
from graphc.report._memory_page import SCRIPT, STYLE
from graphc.report.residents import WORKSPACE, Resident, persistent, residents, step_name
from graphc.report.text import plain, size_text

KINDS = [*(kind.value for kind in BufferKind), WORKSPACE]
LEFT, WIDTH = 90, 900
LIVE, MAP, STRIP = 120, 460, 40  # heights
DRAWN = 20_000  # more rectangles make a page that no browser likes
NAMED = 25
BAR = 18  # pixels
Batches = Sequence[tuple[int, int]]
Times = Sequence[tuple[int, float]]


def write(
    path: str | Path,
    low: Lowering,
    *,
    title: str = "",
    batches: Batches = (),
    memory: int = 0,
    times: Times = (),
) -> None:
    """Write the page, all or nothing. Raises GC-F002."""
    name = title or low.graph.name
    write_file(path, page(low, title=name, batches=batches, memory=memory, times=times))


def page(
    low: Lowering, *, title: str, batches: Batches = (), memory: int = 0, times: Times = ()
) -> str:
    """The bytes that are alive over the plan's steps; below, each buffer as a rectangle, its life
    by its addresses; what persists; and what the peak is made of. At most `DRAWN` rectangles, those
    of the largest area. `batches`: (batch, peak bytes) to compare with `memory` bytes. `times`:
    (budget, the part by which training within it takes longer)."""
    plan = low.plan
    found = [each for each in residents(low) if plan.arenas[each.arena].name == WORK]
    drawn = sorted(found, key=lambda r: -r.nbytes * (r.last - r.first + 1))[:DRAWN]
    left = len(found) - len(drawn)
    kept = persistent(low)
    steps = max(1, len(plan.live))
    names = list(dict.fromkeys(step_name(low, step)[0] for step in plan.steps))
    told = {
        "kinds": KINDS,
        "peak_bytes": plan.peak_bytes,
        "arenas": {arena.name: arena.nbytes for arena in plan.arenas},
        "bound": plan.live_bound,
        "live": plan.live,
        "layers": [plain(name) for name in names],
        "step": _layers(low, names),
        "rects": [_row(each) for each in drawn],
        "kept": [_row(each) for each in kept[:DRAWN]],
    }
    data = json.dumps(told, separators=(",", ":")).replace("<", "\\u003c")
    more = f"<p>{left:,} small or short-lived buffers are not drawn.</p>" if left else ""
    body = (
        f"<h1>{_text(title)}</h1>{_legend()}"
        f"{_live(plan, steps)}{_map(plan, drawn, steps)}{more}{_strip(plan, kept[:DRAWN])}"
        f"{_sweep(batches, memory)}{_times(times)}"
        f"<section>{_table('Plan', _figures(low))}{_at_peak(plan, found)}{_largest(kept)}</section>"
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_text(title)}</title><style>{STYLE}</style></head><body>{body}"
        f'<script type="application/json" id="data">{data}</script>'
        f"<script>{SCRIPT}</script></body></html>\n"
    )


def _layers(low: Lowering, names: Sequence[str]) -> list[list[int | str]]:
    """Of each step its layer, by number, and the part of it."""
    number = {name: at for at, name in enumerate(names)}
    told = (step_name(low, step) for step in low.plan.steps)
    return [[number[name], part] for name, part in told]


def _row(each: Resident) -> list[str | int]:
    where = (each.offset, each.nbytes, each.first, each.last)
    return [plain(each.name), KINDS.index(each.kind), plain(each.layer), *where]


def _legend() -> str:
    keys = (f'<span class="key k{at}">{kind}</span>' for at, kind in enumerate(KINDS))
    return f'<p class="legend">{"".join(keys)}<span>wheel: zoom, double click: all</span></p>'


def _live(plan: Plan, steps: int) -> str:
    """The curve of live bytes; of many steps the fullest of each pixel."""
    most = max(1, plan.work_bytes)
    columns = min(steps, 2 * WIDTH)
    points = []
    for column in range(columns):
        low, high = column * steps // columns, (column + 1) * steps // columns
        top = LIVE - max(plan.live[low:high], default=0) / most * LIVE
        points.append(f"L{_px(low / steps)} {top:.2f}H{_px(high / steps)}")
    inner = f'<path class="area" d="M0 {LIVE}{"".join(points)}V{LIVE}Z"/>'
    return _figure("Bytes that are alive", LIVE, most, inner, plan, steps, "live")


def _map(plan: Plan, drawn: Sequence[Resident], steps: int) -> str:
    most = max(1, plan.work_bytes)
    inner = "".join(_rects(drawn, lambda r: _box(r, steps, most)))
    at = f"{MAP - plan.live_bound / most * MAP:.2f}"
    inner += f'<path class="bound" d="M0 {at}H{WIDTH}"/>'
    return _figure("Addresses in the work arena", MAP, most, inner, plan, steps, "map")


def _box(each: Resident, steps: int, most: int) -> str:
    wide = (each.last - each.first + 1) / steps * WIDTH
    top = MAP - (each.offset + each.nbytes) / most * MAP
    tall = each.nbytes / most * MAP
    return f"M{_px(each.first / steps)} {top:.2f}h{wide:.2f}v{tall:.2f}h-{wide:.2f}z"


def _strip(plan: Plan, kept: Sequence[Resident]) -> str:
    """The arena of what persists, its addresses from left to right."""
    nbytes = plan.peak_bytes - plan.work_bytes
    if not nbytes:
        return ""

    def box(each: Resident) -> str:
        wide = each.nbytes / nbytes * WIDTH
        return f"M{_px(each.offset / nbytes)} 0h{wide:.2f}v{STRIP}h-{wide:.2f}z"

    return (
        f"<figure><figcaption><b>What persists</b> {size_text(nbytes)}</figcaption>"
        f'<svg viewBox="0 0 {LEFT + WIDTH} {STRIP}" data-name="kept"><svg class="plot" x="{LEFT}" '
        f'width="{WIDTH}" height="{STRIP}" viewBox="0 0 {WIDTH} {STRIP}" '
        f'preserveAspectRatio="none">{"".join(_rects(kept, box))}</svg></svg>'
        '<div class="tip" hidden></div></figure>'
    )


def _sweep(batches: Batches, memory: int) -> str:
    """A bar for each batch, as long as its peak; the dashed line is the budget."""
    if not batches:
        return ""
    most = max(1, memory, *(peak for _, peak in batches))
    rows = [(f"batch {batch:,}", peak / most, size_text(peak)) for batch, peak in batches]
    return _bars(f"<b>Peak by batch</b>, budget {size_text(memory)}", rows, memory / most)


def _times(times: Times) -> str:
    """A bar for each budget, as long as training within it takes; the dashed line is the time
    without one."""
    if not times:
        return ""
    most = 1 + max(over for _, over in times)
    rows = [(size_text(n), (1 + over) / most, f"+{100 * over:.1f} %") for n, over in times]
    return _bars("<b>Time by memory</b>, estimated", rows, 1 / most)


def _bars(caption: str, rows: Sequence[tuple[str, float, str]], mark: float) -> str:
    """(name, share of the width, what stands on it) of each bar; a line at a share."""
    tall = BAR * len(rows)
    bars = "".join(
        f'<text x="{LEFT - 6}" y="{at * BAR + 13}" text-anchor="end">{name}</text>'
        f'<path class="rect k0" d="M{LEFT} {at * BAR + 2}h{_px(share)}v{BAR - 4}H{LEFT}z"/>'
        f'<text x="{LEFT + 6}" y="{at * BAR + 13}">{told}</text>'
        for at, (name, share, told) in enumerate(rows)
    )
    line = f'<path class="bound" d="M{LEFT + mark * WIDTH:.2f} 0V{tall}"/>'
    return (
        f"<section><div>{caption}"
        f'<svg class="bars" viewBox="0 0 {LEFT + WIDTH} {tall}">{bars}{line}</svg></div></section>'
    )


def _rects(found: Sequence[Resident], box: Callable[[Resident], str]) -> Iterator[str]:
    """Two paths per kind, of a rectangle for each: neighbours differ in shade."""
    placed = sorted(found, key=lambda each: (each.offset, each.first))
    for at, kind in enumerate(KINDS):
        same = [box(each) for each in placed if each.kind == kind]
        for boxes, shade in ((same[::2], ""), (same[1::2], " other")):
            if boxes:
                yield f'<path class="rect k{at}{shade}" d="{"".join(boxes)}"/>'


def _figure(name: str, height: int, most: int, inner: str, plan: Plan, steps: int, key: str) -> str:
    """A chart over the plan's steps with its axis of bytes, entries and peak."""
    bands = [(entry, lo) for entry, (lo, hi) in plan.entries.items() if hi > lo]
    lines = "".join(f'<path class="entry" d="M{_px(lo / steps)} 0V{height}"/>' for _, lo in bands)
    labels = "".join(
        f'<text class="at" data-step="{lo}" x="{LEFT + lo / steps * WIDTH + 3:.1f}" y="11">'
        f"{escape(entry)}</text>"
        for entry, lo in bands
    )
    if plan.owner is not None:
        middle = _px((plan.owner.step + 0.5) / steps)
        lines += f'<path class="peak" d="M{middle} 0V{height}"/>'
    return (
        f"<figure><figcaption><b>{name}</b></figcaption>"
        f'<svg viewBox="0 0 {LEFT + WIDTH} {height + 18}" role="img" aria-label="{name}" '
        f'data-name="{key}" data-steps="{steps}" data-most="{most}">'
        f'<g transform="translate(0 14)">{"".join(_ticks(most, height))}'
        f'<svg class="plot" x="{LEFT}" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}" preserveAspectRatio="none">{inner}{lines}</svg></g>'
        f'{labels}</svg><div class="tip" hidden></div></figure>'
    )


def _ticks(most: int, height: int) -> Iterator[str]:
    """About five round sizes up the axis."""
    step = 1 << max(0, (most // 5).bit_length() - 1)
    step = step if most // step <= 7 else 2 * step
    for size in range(0, most + 1, step):
        at = height - size / most * height
        yield f'<text x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{size_text(size)}</text>'


def _figures(low: Lowering) -> dict[str, object]:
    plan = low.plan
    parts = {kind: size_text(nbytes) for kind, nbytes in plan.breakdown.items() if nbytes}
    peak = {"peak": f"{size_text(plan.peak_bytes)} ({plan.peak_bytes:,} B)"}
    if plan.owner is not None:
        owner = plan.owner
        peak["at"] = f"step {owner.step}, {owner.name} ({owner.part})"
    return {
        **peak,
        "target": plan.target,
        "work arena": f"{size_text(plan.work_bytes)} ({plan.work_bytes:,} B)",
        "alive at the peak": f"{size_text(plan.live_bound)} ({plan.live_bound:,} B)",
        "neediest call": size_text(plan.op_bound),
        "steps": f"{len(plan.steps):,}",
        **parts,
    }


def _at_peak(plan: Plan, found: Sequence[Resident]) -> str:
    """The largest residents of the fullest step."""
    if plan.owner is None:
        return ""
    step = plan.owner.step
    alive = sorted((r for r in found if r.first <= step <= r.last), key=lambda r: -r.nbytes)
    share = 100 / max(1, plan.live_bound)
    rows = [
        (r.name, r.layer, r.kind, size_text(r.nbytes), f"{r.nbytes * share:.1f} %")
        for r in alive[:NAMED]
    ]
    return _grid(f"At the peak: {len(alive):,} buffers", rows, "share")


def _largest(kept: Sequence[Resident]) -> str:
    total = max(1, sum(r.nbytes for r in kept))
    rows = [
        (r.name, r.layer, r.kind, size_text(r.nbytes), f"{100 * r.nbytes / total:.1f} %")
        for r in sorted(kept, key=lambda r: -r.nbytes)[:NAMED]
    ]
    return _grid(f"What persists: {len(kept):,} buffers", rows, "share") if rows else ""


def _grid(caption: str, rows: Sequence[Sequence[str]], last: str) -> str:
    head = "".join(f"<th>{name}</th>" for name in ("buffer", "layer", "kind", "bytes", last))
    cells = "".join(f"<tr>{''.join(f'<td>{_text(c)}</td>' for c in row)}</tr>" for row in rows)
    return f"<table><caption>{caption}</caption><tr>{head}</tr>{cells}</table>"


def _table(caption: str, rows: Mapping[str, object]) -> str:
    cells = "".join(
        f"<tr><th>{_text(name)}</th><td>{_text(value)}</td></tr>" for name, value in rows.items()
    )
    return f"<table><caption>{caption}</caption>{cells}</table>"


def _px(share: float) -> str:
    return f"{share * WIDTH:.2f}"


def _text(value: object) -> str:
    return escape(plain(str(value)))


__all__ = ["DRAWN", "KINDS", "page", "write"]
