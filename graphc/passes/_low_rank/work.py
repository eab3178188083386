"""Work: which layers are decomposed, how far, and whether that pays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from graphc.errors import GraphError
from graphc.factor.decomposition import Decomposition, Paths, paths_macs, weight_error
from graphc.factor.response import Response
from graphc.ir.graph import Array, Graph, Node, Value
from graphc.ir.provenance import LayerChange
from graphc.ops.relu import ReLU
from graphc.passes._low_rank.budget import Allocator, Budget
from graphc.passes._low_rank.chain import put_chains
from graphc.passes._low_rank.choice import AUTO
from graphc.passes._low_rank.choosing import FLOAT, staying
from graphc.passes._low_rank.job import Job
from graphc.passes._low_rank.layers import top
from graphc.passes._low_rank.responses import change, responses, rows
from graphc.passes._low_rank.timing import alone, fastest_us
from graphc.passes.base import PassContext
from graphc.records import record

TRIED = ("pca", "tai", "tucker", "decouple")
"""What method auto chooses from."""


@record(frozen=True)
class Terms:
    """When a layer is replaced: `when` "always", "smaller" (fewer multiply-adds), or "faster" (the
    measured time falls, too, by the share `gain` and by more than it varies). `response`,
    `measure`: see LowRank."""

    when: str
    gain: float
    response: str
    measure: bool


@record(frozen=True)
class Verdict:
    """`paths` for a layer, None where it stays; and what the table says."""

    job: Job
    change: LayerChange
    paths: Paths | None = None


class Work:
    """Decomposes jobs of one graph, in place; `changes` says what became of each."""

    def __init__(self, graph: Graph, ctx: PassContext, terms: Terms) -> None:
        self.graph, self.ctx, self.terms = graph, ctx, terms
        self.replaced: dict[str, list[str]] = {}
        self._users = graph.users()

    def run(self, jobs: Sequence[Job], budget: Budget | None = None) -> list[LayerChange]:
        """Decide on every job and replace what pays."""
        inputs, found = self._before(jobs)
        old = {job.node: array for job, array in zip(jobs, found, strict=False)}
        tops = {job.node: top(job.node) for job in jobs}
        if budget is not None:
            verdicts = self._within(jobs, budget)
        elif self.terms.response in ("asymmetric", "relu"):
            verdicts = []
            for job in jobs:
                verdicts.append(self.verdict(job, self._fitted(job, old, inputs)))
                self._put(verdicts[-1:])
        else:
            verdicts = [self.verdict(job, self._fitted(job, old, inputs)) for job in jobs]
        self._put([v for v in verdicts if v.job.node.name not in self.replaced])
        return self._told(verdicts, tops, old, inputs)

    def _within(self, jobs: Sequence[Job], budget: Budget) -> list[Verdict]:
        """Verdicts at ranks that share a budget. Where a layer does not pay at its rank, it stays,
        and the others have to do."""
        stay: dict[Job, Verdict] = {}
        while True:
            allocator = Allocator(self.graph, self.ctx, [j for j in jobs if j not in stay], budget)
            ranks = allocator.ranks()
            verdicts = dict(stay)
            for job, rank in ranks.items():
                found = allocator.found[job]
                job.choice = replace(job.choice, rank=rank * found.width)
                verdicts[job] = self.verdict(job, [found])
            refused = {job: v for job, v in verdicts.items() if v.paths is None}
            if refused.keys() == stay.keys():
                break
            stay = refused
        reason = "the budget is met without it"
        return [verdicts.get(j) or Verdict(j, _stays(j, reason)) for j in jobs]

    def _put(self, verdicts: Sequence[Verdict]) -> None:
        wanted = {v.job.node: v.paths for v in verdicts if v.paths is not None}
        if not wanted:
            return
        made = put_chains(self.graph, wanted, self.ctx.pinned)
        self.replaced |= {node.name: [n.name for n in nodes] for node, nodes in made.items()}

    def _before(self, jobs: Sequence[Job]) -> tuple[Mapping[str, Array] | None, list[Array]]:
        """Inputs, and what the jobs' layers compute on them; None where that is not measured."""
        is_needed = self.terms.measure or self.terms.response != "none"
        inputs = self.ctx.samples(self.graph) if jobs and is_needed else None
        if inputs is None:
            return None, []
        names = [top(job.node).name for job in jobs]
        try:
            found = responses(self.ctx, self.graph, inputs, names)
        except GraphError:
            if self.ctx.calibration is not None:
                raise
            return None, []  # this net does not accept random numbers
        return inputs, [found[name] for name in names]

    def _fitted(
        self, job: Job, old: Mapping[Node, Array], inputs: Mapping[str, Array] | None
    ) -> list[Decomposition]:
        """The decompositions that come into question."""
        if self.terms.response != "none":
            return [self._by_response(job, old, inputs)]
        if job.choice.method != AUTO:
            return [job.decomposed(job.choice.method)]
        return [job.decomposed(name) for name in TRIED if not job.why_not(name)]

    def _by_response(
        self, job: Job, old: Mapping[Node, Array], inputs: Mapping[str, Array] | None
    ) -> Decomposition:
        node = job.node
        y, seen = rows(node, old[node]), None
        if self.terms.response != "symmetric":
            assert inputs is not None
            name = top(node).name
            seen = rows(node, responses(self.ctx, self.graph, inputs, [name])[name])
        readers = [reader for reader, _ in self._users.get(top(node), [])]
        is_rectified = bool(readers) and all(
            reader.op is ReLU and not reader.attrs.negative_slope for reader in readers
        )
        return Response(job.conv, y, seen, self.terms.response == "relu" and is_rectified)

    def verdict(self, job: Job, founds: Sequence[Decomposition]) -> Verdict:
        """Is the layer replaced, and by which of some decompositions?"""
        best: Verdict | None = None
        for found in founds:
            each = self._judged(job, found, job.rank(found))
            if best is None or _worth(each) < _worth(best):
                best = each
        assert best is not None
        return best

    def _judged(self, job: Job, found: Decomposition, rank: int) -> Verdict:
        conv, when = job.conv, self.terms.when
        layout = found.layout(rank)
        after = paths_macs(layout, job.sizes) * job.samples
        told = job.told(found, rank, layout)
        figures: dict[str, object] = {}
        if when != "always" and after >= job.macs:
            reason = f"{told} takes {after:,} multiply-adds, no fewer"
            return Verdict(job, _stays(job, reason))
        if when == "faster":
            us, spread = self.times(job, layout)
            if us[1] > us[0] * (1 - max(self.terms.gain, spread)):
                reason = f"{told} does not pay, {us[0]:.0f} us before, {us[1]:.0f} us after"
                return Verdict(job, _stays(job, reason, us))
            figures["us"] = us
        paths = found.factor(rank)
        params = conv.params, sum(f.conv.params for path in paths for f in path)
        record_ = LayerChange(
            job.node.name,
            told,
            _gain(figures.get("us")),
            macs=(job.macs, after),
            params=params,
            nbytes=(FLOAT * params[0], FLOAT * params[1]),
            weight_error=weight_error(conv, paths),
            **figures,  # type: ignore[arg-type]
        )
        return Verdict(job, record_, paths)

    def times(self, job: Job, layout: Paths) -> tuple[tuple[float, float], float]:
        """Measured microseconds of a layer alone and of what would stand in its place, and by what
        share two such measurements of the layer itself differ."""
        layer = alone(self.graph, job.node)
        before, after, again = fastest_us(
            self.ctx, [layer, alone(self.graph, job.node, layout), layer]
        )
        least = min(before, again)
        return (least, after), abs(before - again) / least

    def _told(
        self,
        verdicts: Sequence[Verdict],
        tops: Mapping[Node, Value],
        old: Mapping[Node, Array],
        inputs: Mapping[str, Array] | None,
    ) -> list[LayerChange]:
        changed = [v for v in verdicts if v.paths is not None]
        if not changed or inputs is None or not self.terms.measure:
            return [v.change for v in verdicts]
        names = [tops[v.job.node].name for v in changed]
        new = responses(self.ctx, self.graph, inputs, names)
        errors = {
            v.job.node: change(old[v.job.node], new[name])
            for v, name in zip(changed, names, strict=True)
        }
        return [replace(v.change, response_error=errors.get(v.job.node)) for v in verdicts]


def _worth(verdict: Verdict) -> tuple[bool, float]:
    """Replaced before stays, then the faster, or the smaller where nothing was timed."""
    found = verdict.change
    if verdict.paths is None or found.macs is None:
        return True, 0.0
    return False, found.us[1] if found.us is not None else float(found.macs[1])


def _stays(job: Job, reason: str, us: tuple[float, float] | None = None) -> LayerChange:
    return replace(staying(job.node, reason), us=None if us is None else (us[0], us[0]))


def _gain(us: object) -> str:
    if not isinstance(us, tuple):
        return ""
    return f"{us[0] / us[1]:.2f} times as fast"
