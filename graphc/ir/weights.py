"""Weights: a graph's parameter arrays, of which those of a mapped file wait to be asked for."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping

from graphc.floats import Array, Held, as_array


class Weights(MutableMapping[str, Array]):
    """Arrays by name. What is held as `Floats` becomes NumPy's array when first asked for."""

    def __init__(self) -> None:
        self._held: dict[str, Held] = {}

    def held(self, name: str) -> Held:
        """What is there, as it is."""
        return self._held[name]

    def __getitem__(self, name: str) -> Array:
        self._held[name] = found = as_array(self._held[name])
        return found

    def __setitem__(self, name: str, array: Array) -> None:
        self._held[name] = array

    def hold(self, name: str, held: Held) -> None:
        """As `weights[name] = held`, which takes arrays alone."""
        self._held[name] = held

    def __delitem__(self, name: str) -> None:
        del self._held[name]

    def __contains__(self, name: object) -> bool:
        return name in self._held

    def __iter__(self) -> Iterator[str]:
        return iter(self._held)

    def __len__(self) -> int:
        return len(self._held)


__all__ = ["Weights"]
