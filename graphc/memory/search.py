"""largest, powers: which batches stay within a budget, by making their plans."""

from __future__ import annotations

from collections.abc import Callable

from graphc.errors import fail
from graphc.records import record

MAX_BATCH = (1 << 31) - 1
MAX_PLANS = 60
PATIENCE = 12  # 31 halvings more settle any search
MAX_STEPS = 500_000
"""Steps of all plans of one search together: a minute or two for each 100,000."""
Peak = Callable[[int], int | None]
"""Batch -> peak bytes of its plan; None for one that is beyond the limits on tensors."""


@record(frozen=True, slots=True)
class LargestBatch:
    """`batch` fits in `memory` bytes: its plan needs `peak_bytes`. The next one does not: it needs
    `next_bytes`, None if it is beyond the limits on tensors. `plans`: how many were made."""

    batch: int
    peak_bytes: int
    memory: int
    next_bytes: int | None
    plans: int


@record(frozen=True, slots=True)
class BatchPeak:
    """What the plan for a batch needs; `fits`: no more than the budget."""

    batch: int
    peak_bytes: int
    fits: bool


def allowed_plans(steps: int) -> int:
    """How many plans of so many steps a search may make."""
    return max(4, min(MAX_PLANS, MAX_STEPS // max(1, steps)))


class Search:
    """Plans of batches, each made once; `plans` have been made, at most `allowed` will be. `below`:
    the search among some of these plans, what fits there fits here; given where peaks do not grow
    by the same for each sample."""

    def __init__(self, peak: Peak, memory: int, allowed: int, below: Search | None = None) -> None:
        self._peak, self.memory, self._allowed, self._below = peak, memory, allowed, below
        self.known: dict[int, int | None] = {}

    @property
    def plans(self) -> int:
        return len(self.known) + (self._below.plans if self._below is not None else 0)

    def largest(self) -> LargestBatch:
        """The batch that fits, while the next one does not; both have been planned.

        Peaks grow with the batch by nearly the same for each sample, and weights are a fixed part:
        the budget over batch 1's peak is the first guess, and from there the next one is where the
        line through the two ends reaches the budget, or, if that leads nowhere soon, the middle.
        Raises GC-M001 if batch 1 does not fit, GC-L001 if too many plans were needed.
        """
        if not self.fits(1):
            told = f"batch 1 needs {self.known[1]:,} B" if self.known[1] else "batch 1 is too large"
            fail("GC-M001", f"no batch fits in {self.memory:,} B: {told}")
        before, low, high = 1, 1, MAX_BATCH + 1
        if self._below is not None:
            return self._from(self._below.largest().batch if self._below.fits(1) else 1)
        guess = max(2, min(self.memory // max(1, self.known[1] or 0), MAX_BATCH))
        is_aimed = False
        while high - low > 1:
            if self.plans >= self._allowed and guess not in self.known:
                self._give_up(low, high)
            if self.fits(guess):
                before, low = low, guess
            else:
                high = guess
            if is_aimed and low == guess:  # on a line the next one is too large
                guess, is_aimed = low + 1, False
            elif high <= MAX_BATCH and self.plans > PATIENCE:
                guess, is_aimed = (low + high) // 2, False
            else:
                guess, is_aimed = self._on_line(before, low, high)
        peak, after = self.known[low] or 0, self.known.get(high)
        return LargestBatch(low, peak, self.memory, after, self.plans)

    def _from(self, low: int) -> LargestBatch:
        """As `largest`, from a batch that fits, by doubling and halving."""
        high = MAX_BATCH + 1 if self.fits(low) else low
        low = low if low < high else 1
        while high - low > 1:
            guess = min(2 * low, MAX_BATCH) if high > MAX_BATCH else (low + high) // 2
            if self.plans >= self._allowed and guess not in self.known:
                self._give_up(low, high)
            low, high = (guess, high) if self.fits(guess) else (low, guess)
        return LargestBatch(
            low, self.known[low] or 0, self.memory, self.known.get(high), self.plans
        )

    def fits(self, batch: int) -> bool:
        if batch not in self.known:
            self.known[batch] = self._peak(batch)
        peak = self.known[batch]
        return peak is not None and peak <= self.memory

    def powers(self) -> list[BatchPeak]:
        """Batches 1, 2, 4, ... up to the first that does not fit."""
        found, batch = [], 1
        while batch <= MAX_BATCH:
            if self.plans >= self._allowed and batch not in self.known:
                self._give_up(batch // 2, MAX_BATCH + 1)
            fits, peak = self.fits(batch), self.known[batch]
            if peak is not None:
                found.append(BatchPeak(batch, peak, fits))
            if not fits:
                break
            batch *= 2
        return found

    def _on_line(self, before: int, low: int, high: int) -> tuple[int, bool]:
        """Between `low` and `high`, where the line through two known peaks meets the budget, and
        True; without such a line the middle, or twice `low`, and False."""
        a, b = (low, high) if self.known.get(high) is not None else (before, low)
        first, second = self.known.get(a), self.known.get(b)
        is_open = high > MAX_BATCH
        if first is not None and second is not None and second > first:
            found = a + (self.memory - first) * (b - a) // (second - first)
            if found < high or is_open:
                return max(low + 1, min(found, high - 1)), True
        return min(2 * low, MAX_BATCH) if is_open else (low + high) // 2, False

    def _give_up(self, low: int, high: int) -> None:
        above = f" and under {high:,}" if high <= MAX_BATCH else ""
        told = f"after {self.plans} plans the largest batch is known to be at least {low:,}{above}"
        fail("GC-L001", told, "plan one of these with --batch")


__all__ = ["BatchPeak", "LargestBatch", "Search", "allowed_plans"]
