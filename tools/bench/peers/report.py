"""The tables: times, ratios, memory and errors of the cells; cold starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from statistics import median
from typing import Any

from bench.peers.cold import CLI, FLOOR, least
from bench.peers.engines import AGAIN, ENGINES, OURS
from bench.peers.ratios import TOLERANCE, Ratio, flat, is_noise, noise, ratio, samples
from bench.peers.rounds import threads

Doc = Mapping[str, Any]
Row = Sequence[str]
NONE = "-"
BEST = "best peer"


def report(doc: Doc, kind: str) -> str:
    """Every table that `doc` has something for; `kind` of time: "wall" or "cpu"."""
    parts = [header(doc)]
    for batch, count in dict.fromkeys((c["batch"], c["threads"]) for c in doc["cells"]):
        cells = [c for c in doc["cells"] if (c["batch"], c["threads"]) == (batch, count)]
        parts.append(_cells(cells, f"batch {batch}, {threads(count)}", kind))
    if doc["cold"]:
        parts.append(_cold(doc["cold"]))
    return "\n\n".join(parts)


def header(doc: Doc) -> str:
    machine, settings = doc["machine"], doc["settings"]
    lines = [
        f"{machine['cpu']}, {machine['cores']} cores ({' '.join(machine['isa'])}); "
        f"commit {doc['commit'] or 'unknown'}",
        f"started {doc['started']}, load average then {_number(doc['load_at_start'], 2)}; "
        f"{settings['rounds']} rounds; OpenMP waits "
        + ("passively" if settings["passive"] else "as it does by default"),
    ]
    lines += [
        f"  {name:12} {entry.get('version') or entry['missing']}"
        for name, entry in doc["engines"].items()
    ]
    return "\n".join(lines)


def _cells(cells: Sequence[Doc], title: str, kind: str) -> str:
    names = [n for n in cells[0]["engines"] if n != AGAIN]
    peers = [n for n in names if n != OURS]
    told = "wall" if kind == "wall" else "CPU"
    parts = [
        f"== {title}",
        f"ms per image, {told} time: median (minimum); `other`: cores that others kept busy",
        table(["", *names, "other"], [_times(cell, names, kind) for cell in cells]),
        f"{OURS} / peer: medians / minima; ~: within the noise, or of two minds",
        table(
            ["", "noise", BEST, *variants(peers)], [_ratios(cell, peers, kind) for cell in cells]
        ),
        "peak memory of the process, MiB",
        table(["", *names], [_each(cell, names, _peak) for cell in cells]),
        "greatest error of an output over the greatest output, against the float64 reference",
        table(["", *names], [_each(cell, names, _error) for cell in cells]),
    ]
    return "\n".join([*parts, *_left_out(cells)])


def _times(cell: Doc, names: Sequence[str], kind: str) -> Row:
    def told(entry: Doc) -> str:
        rounds = entry.get(kind)
        if not rounds or not all(rounds):
            return NONE
        every = [1e3 * second / cell["batch"] for second in flat(rounds)]
        return f"{_ms(median(every))} ({_ms(min(every))})"

    return [*_each(cell, names, told), _number(cell["other_cores"], 2)]


def _ratios(cell: Doc, peers: Sequence[str], kind: str) -> Row:
    ours, floor = samples(cell, OURS, kind), noise(cell, kind)
    found = {name: samples(cell, name, kind) for name in peers}
    told = {name: ratio(ours, theirs) for name, theirs in found.items() if ours and theirs}
    groups = variants(peers).values()
    columns = [best([told[name] for name in group if name in told]) for group in groups]
    row = [_ratio(floor, None), _ratio(best(list(told.values())), floor)]
    return [cell["net"], *row, *(_ratio(column, floor) for column in columns)]


def variants(peers: Sequence[str]) -> dict[str, list[str]]:
    """Peers that are one library used in several ways, under the first one's name."""
    groups: dict[str, list[str]] = {}
    for name in peers:
        groups.setdefault(ENGINES[name].module, []).append(name)
    return {group[0]: group for group in groups.values()}


def best(ratios: Sequence[Ratio]) -> Ratio | None:
    """Against the best of several peers, which may be another one for each figure."""
    if not ratios:
        return None
    return Ratio(*(max(getattr(r, f.name) for r in ratios) for f in fields(Ratio)))


def _ratio(found: Ratio | None, floor: Ratio | None) -> str:
    if found is None:
        return NONE
    mark = "~" if floor is not None and is_noise(found, floor) else ""
    return f"{found.medians:.2f} / {found.minima:.2f}{mark}"


def _each(cell: Doc, names: Sequence[str], told: Callable[[Doc], str]) -> Row:
    return [cell["net"], *(told(cell["engines"].get(name, {})) for name in names)]


def _peak(entry: Doc) -> str:
    return _mib(entry.get("peak_bytes"))


def _error(entry: Doc) -> str:
    error = entry.get("error")
    if error is None:
        return NONE
    return f"{error:.1e}" if error <= TOLERANCE else f"WRONG {error:.1e}"


def _cold(cold: Sequence[Doc]) -> str:
    title = "== cold start: a whole process, batch 1, 1 thread, one CPU, warm file cache"
    told = "ms to the first result, to the end / of CPU, least of the starts; peak MiB"
    names = dict.fromkeys(name for one in cold for name in one["engines"])
    rows = []
    for name in names:
        found = [least(one["engines"].get(name, {})) for one in cold]
        rows.append([name, *(text for entry in found for text in _start(entry))])
    last = [text for one in cold for text in _start_ratio(one)]
    heads = [head for one in cold for head in (one["net"], "end / CPU", "MiB")]
    parts = [title, told, table(["", *heads], [*rows, [f"{CLI} / {BEST}", *last]])]
    return "\n".join([*parts, *_left_out(cold)])


def _start(found: Mapping[str, float] | None) -> Row:
    if found is None:
        return [NONE] * 3
    first, wall, cpu = (_ms(1e3 * found[key]) for key in ("first_s", "wall_s", "cpu_s"))
    return [first, f"{wall} / {cpu}", _mib(found["peak_bytes"])]


def _start_ratio(one: Doc) -> Row:
    """The command line against the best peer of each column."""
    found = {name: least(entry) for name, entry in one["engines"].items()}
    ours = found.get(CLI)
    peers = [entry for name, entry in found.items() if entry and name not in (CLI, FLOOR, OURS)]
    if ours is None or not peers:
        return [NONE] * 3
    r = {key: f"{value / min(p[key] for p in peers):.2f}" for key, value in ours.items()}
    return [r["first_s"], f"{r['wall_s']} / {r['cpu_s']}", r["peak_bytes"]]


def _left_out(parts: Sequence[Doc]) -> list[str]:
    """Which engines failed, and why."""
    failed = [
        f"  {part['net']}: {entry['failed']}"
        for part in parts
        for entry in part["engines"].values()
        if "failed" in entry
    ]
    return ["left out:", *failed] if failed else []


def table(head: Row, rows: Sequence[Row]) -> str:
    """Aligned columns: the first to the left, all others to the right."""
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    return "\n".join(
        "  ".join(
            text.ljust(width) if i == 0 else text.rjust(width)
            for i, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (head, *rows)
    )


def _ms(value: float) -> str:
    """Three digits, or all before the point."""
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f}"


def _mib(value: float | None) -> str:
    return NONE if value is None else f"{value / (1 << 20):.0f}"


def _number(value: float | None, digits: int) -> str:
    return NONE if value is None else f"{value:.{digits}f}"
