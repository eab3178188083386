"""parse_graph: the text form of a graph (see `graphc.ir.text`), read line by line."""

from __future__ import annotations

from dataclasses import field
from typing import Any, NoReturn

from graphc.errors import GraphError, Loc, fail
from graphc.ir.graph import Graph, Node, ParamSpec, Role, Value
from graphc.ir.literals import build, hints_of
from graphc.ir.op import Kind, Op, OpLookup
from graphc.ir.text_values import ValueTable, words_of
from graphc.ir.tokens import Tokens
from graphc.ir.types import Phase
from graphc.limits import Limits
from graphc.records import record

VERSION = 1
HEADERS = {Role.FWD: "layer", Role.GRAD: "grad", Role.UPDATE: "update"}
_ROLES = {text: role for role, text in HEADERS.items()}

_NET_WORDS = {
    "phase": Phase,
    "level": int,
    "stages": tuple[str, ...],
    "force_backward": bool,
    "fixed_size": bool,
    "file": str,
}
_NODE_WORDS = {
    "of": int,
    "part": str,
    "samples": tuple[int, int],
    "phase": Phase,
    "file": str,
    "line": int,
}


def parse_graph(
    text: str,
    lookup: OpLookup,
    *,
    updates: OpLookup | None = None,
    file: str = "graph.txt",
    limits: Limits | None = None,
) -> Graph:
    """The graph that `print_graph` printed; `lookup` finds layer types by name.

    `updates` finds types of update nodes; None: there must be none. `file` names the text in
    errors. Raises GC-V002 with the line, GC-S001 for impossible shapes, GC-L001, and what the
    look-ups raise (GC-N001).
    """
    limits = limits or Limits()
    limits.check("text_bytes", len(text), "the length of the graph's text")
    parser = _Parser(lookup, updates or _no_updates, limits)
    number = 0
    try:
        for number, line in enumerate(text.split("\n"), 1):
            parser.line(line, number)
        return parser.finish()
    except GraphError as error:
        raise error.at(loc=Loc(file, parser.failed_at or number)) from None


def tables_of(graph: Graph) -> dict[str, dict[str, Value]]:
    """The graph's values by keyword, then by another name than their own."""
    return {"seed": graph.seeds, "gradient": graph.grads, "step": graph.step_params}


def _no_updates(type_: str) -> NoReturn:
    fail("GC-V002", f"an update node ({type_}) in a graph that is not being trained")


@record
class _Draft:
    """A node whose lines are being read; `line` is that of its header."""

    op: type[Op]
    name: str
    role: Role
    words: dict[str, Any]
    line: int
    attrs: dict[str, Any] = field(default_factory=dict)
    ins: dict[str, Value] = field(default_factory=dict)
    params: dict[str, Value] = field(default_factory=dict)
    outs: dict[str, Value] = field(default_factory=dict)
    tops: list[str] = field(default_factory=list)
    specs: list[ParamSpec] = field(default_factory=list)
    loss: dict[str, float] = field(default_factory=dict)
    propagate: tuple[bool, ...] = ()


class _Parser:
    def __init__(self, lookup: OpLookup, updates: OpLookup, limits: Limits) -> None:
        self.lookups = {role: updates if role is Role.UPDATE else lookup for role in Role}
        self.limits = limits
        self.graph: Graph | None = None
        self.version = 0
        self.values = ValueTable()
        self.forward: list[Node] = []
        self.draft: _Draft | None = None
        self.tokens = 0
        self.attrs: dict[tuple[type[Op], str], tuple[dict[str, Any], int]] = {}
        self.failed_at = 0

    def line(self, line: str, number: int) -> None:
        """Read one line; blank ones and comments (#) say nothing."""
        line = line.strip()
        if not line or line[0] == "#":
            return
        if line.startswith("attr ") and self.draft is not None:
            self._attr(self.draft, line)
            return
        tokens = self._tokens(line)
        keyword = tokens.name()
        if not self.version:
            self._version(keyword, tokens)
        elif self.graph is None:
            self._net(keyword, tokens)
        elif keyword in _ROLES:
            self._close()
            self._open(keyword, tokens, number)
        elif self.draft is not None and keyword in _NODE_LINES:
            _NODE_LINES[keyword](self, self.draft, tokens)
        elif keyword in ("free", "output", *tables_of(self.graph)):
            self._close()
            self._net_line(keyword, tokens, self.graph)
        else:
            fail("GC-V002", f"{keyword!r} means nothing here")
        tokens.end()

    def _tokens(self, line: str) -> Tokens:
        tokens = Tokens(line)
        self._count(tokens.count)
        return tokens

    def _count(self, tokens: int) -> None:
        self.tokens += tokens
        self.limits.check("text_tokens", self.tokens, "the number of tokens")

    def finish(self) -> Graph:
        if self.graph is None:
            fail("GC-V002", "the text ends before its 'net' line")
        self._close()
        return self.graph

    def _version(self, keyword: str, tokens: Tokens) -> None:
        if keyword != "graphc":
            fail("GC-V002", "the text does not begin with 'graphc' and a version")
        self.version = tokens.integer()
        if self.version != VERSION:
            fail("GC-V002", f"version {self.version} of the text form; this graphc reads {VERSION}")

    def _net(self, keyword: str, tokens: Tokens) -> None:
        if keyword != "net":
            fail("GC-V002", f"found {keyword!r}, expected 'net'")
        name = tokens.name()
        self.graph = Graph(name=name, **words_of(tokens, _NET_WORDS))

    def _net_line(self, keyword: str, tokens: Tokens, graph: Graph) -> None:
        if keyword == "free":
            self.values.state(tokens, Kind.ACT, "")
        elif keyword == "output":
            graph.outputs.append(self.values.known(tokens))
        else:
            name = tokens.name()
            _put(tables_of(graph)[keyword], name, self.values.known(tokens))

    def _open(self, keyword: str, tokens: Tokens, number: int) -> None:
        name, type_, role = tokens.name(), tokens.name(), _ROLES[keyword]
        words = words_of(tokens, _NODE_WORDS)
        self.draft = _Draft(self.lookups[role](type_), name, role, words, number)

    def _close(self) -> None:
        """Make the node whose lines have ended."""
        draft, graph = self.draft, self.graph
        if draft is None or graph is None:
            return
        try:
            node = self._made(draft, graph)
        except GraphError:
            self.failed_at = draft.line
            raise
        graph.nodes.append(node)
        if node.role is Role.FWD:
            self.forward.append(node)
        self.draft = None
        self.limits.check("layers", len(self.forward), "the number of layers")

    def _made(self, draft: _Draft, graph: Graph) -> Node:
        words, of = draft.words, None
        if "of" in words:
            if not 0 <= words["of"] < len(self.forward):
                fail("GC-V002", f"of={words['of']}, but {len(self.forward)} layers stand before")
            of = self.forward[words["of"]]
        loc = Loc(words.get("file", graph.file), words["line"]) if "line" in words else None
        return Node(
            draft.op,
            draft.name,
            build(draft.op.Attrs, draft.attrs),
            ins=draft.ins,
            outs=draft.outs,
            params=draft.params,
            phase=words.get("phase", graph.phase),
            role=draft.role,
            of=of,
            part=words.get("part", ""),
            specs=tuple(draft.specs),
            loss=draft.loss,
            propagate=draft.propagate,
            loc=loc,
            tops=tuple(draft.tops),
            samples=words.get("samples"),
        )

    def _attr(self, draft: _Draft, line: str) -> None:
        """An attribute; networks repeat a few of them in most of their layers."""
        key = draft.op, line
        if key in self.attrs:
            found, count = self.attrs[key]
            self._count(count)
        else:
            tokens = self._tokens(line)
            tokens.name()
            found = tokens.pair(hints_of(draft.op.Attrs), ())
            tokens.end()
            self.attrs[key] = found, tokens.count
        for name, value in found.items():
            _put(draft.attrs, name, value)

    def in_(self, draft: _Draft, tokens: Tokens) -> None:
        _put(draft.ins, tokens.name(), self.values.known(tokens))

    def param(self, draft: _Draft, tokens: Tokens) -> None:
        role = tokens.name()
        _put(draft.params, role, self.values.state(tokens, Kind.PARAM, role, again=True))

    def top(self, draft: _Draft, tokens: Tokens) -> None:
        role = tokens.name()
        _put(draft.outs, role, self.values.state(tokens, Kind.ACT, role))
        draft.tops.append(role)

    def aux(self, draft: _Draft, tokens: Tokens) -> None:
        role = tokens.name()
        _put(draft.outs, role, self.values.state(tokens, Kind.ACT, role))

    def spec(self, draft: _Draft, tokens: Tokens) -> None:
        draft.specs.append(ParamSpec(**words_of(tokens, hints_of(ParamSpec))))

    def loss(self, draft: _Draft, tokens: Tokens) -> None:
        role = tokens.name()
        _put(draft.loss, role, tokens.value(float))

    def propagate(self, draft: _Draft, tokens: Tokens) -> None:
        draft.propagate = tokens.value(tuple[bool, ...])


_NODE_LINES = {
    "in": _Parser.in_,
    "param": _Parser.param,
    "top": _Parser.top,
    "aux": _Parser.aux,
    "spec": _Parser.spec,
    "loss": _Parser.loss,
    "propagate": _Parser.propagate,
}


def _put(table: dict[str, Any], name: str, value: object) -> None:
    if name in table:
        fail("GC-V002", f"{name!r} stands there twice")
    table[name] = value


__all__ = ["HEADERS", "VERSION", "parse_graph", "tables_of"]
