"""Writes tests/plan/oracle.json: small graphs, and the least time for each of three budgets.

usage: python tools/oracle/solve.py [--graphs N] [--seconds S] [--first SEED] -o FILE

Needs SciPy, whose HiGHS solves the programs. A graph is left out where the seconds do not do for a
proof. `least`: the smallest budget there is a schedule for; `times`: budget -> the least cost.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from oracle.graphs import Small, small_graph
from oracle.milp import Checkmate


def store_all(graph: Small) -> int:
    """Memory that computing every node once takes, in their order."""
    reads, sizes = graph["reads"], graph["sizes"]
    last = {i: k for k, each in enumerate(reads) for i in (*each, k)}
    return max(sum(sizes[i] for i in range(k + 1) if last[i] >= k) for k in range(len(reads)))


def solved(graph: Small, seconds: float) -> dict[str, object] | None:
    program = Checkmate(graph, seconds)
    least, full = program.least_memory(), store_all(graph)
    if least is None or least >= full:
        return None
    budgets = dict.fromkeys(
        (least, least + (full - least + 1) // 2, least + (full - least) * 3 // 4)
    )
    times = {budget: program.least_time(budget) for budget in budgets}
    if None in times.values():
        return None
    return {**graph, "least": least, "full": full, "times": list(times.items())}


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Solve small graphs to the optimum.")
    parser.add_argument("--graphs", type=int, default=210)
    parser.add_argument("--seconds", type=float, default=60.0, help="for each program")
    parser.add_argument("--first", type=int, default=0, help="the first graph's seed")
    parser.add_argument("-o", dest="file", type=Path, required=True)
    told = parser.parse_args(words)
    found: list[dict[str, object]] = []
    for seed in itertools.count(told.first):
        if len(found) == told.graphs:
            break
        row = solved(small_graph(seed), told.seconds)
        if row is not None:
            found.append({"seed": seed, **row})
            told.file.write_text("[\n" + ",\n".join(map(json.dumps, found)) + "\n]\n")
        print(f"seed {seed}: {'left out' if row is None else row['times']}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
