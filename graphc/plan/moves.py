"""Moves: from one choice of replays to a smaller or a faster one, by what the last trial showed.

Each move is judged on the trial's profile; many are made at once, and then the result is tried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from graphc.plan.facts import Facts
from graphc.plan.replays import Choice
from graphc.plan.segments import Segments
from graphc.plan.trials import Profile, Trial
from graphc.records import record

Try = Callable[[Choice], Trial]
ROUNDS = 6


@record(frozen=True, slots=True)
class _Move:
    """Drop what a call makes and keep other roots: so many bytes less from position `first` to
    `last`, both included, for so many microseconds."""

    call: int
    drop: tuple[int, ...]
    keep: tuple[int, ...]
    first: int
    last: int
    nbytes: int
    us: float


class Moves:
    """`smaller` and `faster`, of trials of one Program."""

    def __init__(self, facts: Facts, segments: Segments, tries: Try) -> None:
        self.facts, self.segments, self.tries = facts, segments, tries
        self.nbytes = [buffer.nbytes for buffer in facts.program.buffers]
        self.readers: dict[int, list[int]] = {}
        for index in facts.forward:
            for root in facts.reads[index]:
                self.readers.setdefault(root, []).append(index)

    def smaller(self, trial: Trial, most: int) -> Trial:
        """Drop, where too much is alive, what frees the most bytes per microsecond of replay, until
        no more than `most` bytes are needed, or nothing helps."""
        for _ in range(ROUNDS):
            if trial.peak <= most:
                break
            choice = dict(trial.choice)
            if not self._drop(choice, trial, most):
                break
            found = self.tries(choice)
            if found.peak >= trial.peak and found.profile.sum() >= trial.profile.sum():
                break
            trial = found
        return trial

    def _drop(self, choice: dict[int, int], trial: Trial, most: int) -> bool:
        """Make moves until the profile, as they change it, is under `most`; False: none helps."""
        moves, profile = list(self._drops(trial)), trial.profile.copy()
        first, last, call = (
            np.array([getattr(m, name) for m in moves], np.int64)
            for name in ("first", "last", "call")
        )
        worth = np.array([m.nbytes / (m.us + 1e-3) for m in moves])
        is_changed = False
        while moves and profile.max() > most:
            at = profile.argmax()
            here = np.where((first <= at) & (last >= at), worth, 0.0)
            number = int(here.argmax())
            if here[number] <= 0:
                break
            best, is_changed = moves[number], True
            profile[best.first : best.last + 1] -= best.nbytes
            for root in best.keep:
                choice.pop(root, None)
            choice.update(dict.fromkeys(best.drop, 0))
            worth[call == best.call] = 0.0
        return is_changed

    def _drops(self, trial: Trial) -> Iterator[_Move]:
        """For each call: drop what it makes; or drop that, but keep what it reads instead."""
        facts, large = self.facts, self.segments.large
        for index in facts.forward:
            made = [r for r in facts.writes[index] if r in large and r not in trial.choice]
            made = [r for r in made if r in trial.spans]
            if not made:
                continue
            first = min(trial.spans[r][0] for r in made) + 1
            last = max(trial.spans[r][1] for r in made) - 1
            nbytes = sum(self.nbytes[r] for r in made)
            lost = self._lost(trial, made)
            if last >= first:
                us = sum(facts.us[c] for c in lost)
                yield _Move(index, tuple(made), (), first, last, nbytes, us)
            reads = [r for r in facts.reads[index] if r in trial.choice and r in large]
            reads = [r for r in reads if r not in self.segments.packs]
            kept = sum(self.nbytes[r] for r in reads)
            if reads and kept < nbytes and len(facts.writers[made[0]]) == 1 and last >= first:
                yield _Move(
                    index, tuple(made), tuple(reads), first, last, nbytes - kept, facts.us[index]
                )

    def _lost(self, trial: Trial, roots: list[int]) -> set[int]:
        """Calls that have to be replayed, and are not yet, to bring some roots back."""
        asked, found = list(roots), set[int]()
        while asked:
            for index in self.facts.writers[asked.pop()]:
                if index not in found and index not in trial.runs:
                    found.add(index)
                    asked += [r for r in self.facts.reads[index] if r in trial.choice]
        return found

    def faster(self, trial: Trial, most: int) -> Trial:
        """Keep, where there is room, what saves the most microseconds of replay per byte."""
        for _ in range(ROUNDS):
            keep = self._kept(trial, most)
            found = None
            while keep:
                again = self.tries({r: g for r, g in trial.choice.items() if r not in keep})
                if again.peak <= most and again.us < trial.us:
                    found = again
                    break
                keep = dict(list(keep.items())[: len(keep) // 2])
            if found is None:
                break
            trial = found
        return trial

    def _kept(self, trial: Trial, most: int) -> dict[int, None]:
        """Roots to keep, the best first, as far as the profile has room for them."""
        facts, profile = self.facts, trial.profile.copy()
        ranked = []
        for index, times in trial.runs.items():
            made = [r for r in facts.writes[index] if r in trial.choice and r in trial.returns]
            nbytes = sum(self.nbytes[r] for r in made)
            if made and nbytes and self.segments.packs.isdisjoint(made):
                ranked.append((self._saved(trial, index, times) / nbytes, index, made))
        found: dict[int, None] = {}
        for _, _, made in sorted(ranked, reverse=True):
            first = self.segments.first.get(made[0], 0) + 1
            last = min(trial.returns[r] for r in made) - 1
            nbytes = sum(self.nbytes[r] for r in made)
            if self._fits(profile, first, last, nbytes, most):
                profile[first : last + 1] += nbytes
                found.update(dict.fromkeys(made))
        return found

    @staticmethod
    def _fits(profile: Profile, first: int, last: int, nbytes: int, most: int) -> bool:
        return last < first or int(np.max(profile[first : last + 1])) + nbytes <= most

    def _saved(self, trial: Trial, index: int, times: int) -> float:
        """Microseconds of replays of a call and of those that only it needs."""
        facts, gone = self.facts, {index}
        total, asked = facts.us[index] * times, [index]
        while asked:
            for root in facts.reads[asked.pop()]:
                if root not in trial.choice or root in facts.wanted:
                    continue
                if any(r in trial.runs and r not in gone for r in self.readers[root]):
                    continue
                for writer in facts.writers[root]:
                    if writer in trial.runs and writer not in gone:
                        gone.add(writer)
                        asked.append(writer)
                        total += facts.us[writer] * trial.runs[writer]
        return total


__all__ = ["Moves"]
