"""Names: value names are unique in a graph; a taken one gets `#2`, `#3`, ... at its end."""

from __future__ import annotations

from collections.abc import Iterable

from graphc.ir.graph import Graph


class Names:
    """The names in use. `fresh` takes constant time on average, however many share a stem."""

    def __init__(self, taken: Iterable[str]) -> None:
        self.taken = set(taken)
        self._last: dict[str, int] = {}

    @staticmethod
    def of(graph: Graph) -> Names:
        """All names that values, seeds and parameter storages of `graph` have."""
        values = (*graph.values(), *graph.seeds.values(), *graph.step_params.values())
        owners = (v.storage.name for v in values)
        return Names({*(v.name for v in values), *owners, *graph.weights})

    def fresh(self, name: str) -> str:
        """`name`, or `name#k` with the next free k; taken from now on."""
        unique = name
        while unique in self.taken:
            self._last[name] = self._last.get(name, 1) + 1
            unique = f"{name}#{self._last[name]}"
        self.taken.add(unique)
        return unique
