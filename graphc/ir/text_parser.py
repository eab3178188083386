"""parse_graph: the text form of a graph (see `graphc.ir.text`), read line by line."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast

from graphc.errors import GraphError, Loc, fail
from graphc.ir.graph import Graph, Node, ParamSpec, Role, Value
from graphc.ir.literals import Tokens, build, hints_of
from graphc.ir.op import Filler, Kind, Op, OpLookup, Param
from graphc.ir.types import ITEM_BYTES, DType, Phase, Type
from graphc.limits import Limits

VERSION = 1
HEADERS = {Role.FWD: "layer", Role.GRAD: "grad", Role.UPDATE: "update"}
_ROLES = {text: role for role, text in HEADERS.items()}
_KIND = Literal["ACT", "PARAM", "STATE", "CARRY"]

_NET_WORDS = {
    "phase": Phase,
    "level": int,
    "stages": tuple[str, ...],
    "force_backward": bool,
    "file": str,
}
_NODE_WORDS = {"of": int, "part": str, "phase": Phase, "file": str, "line": int}
_VALUE_WORDS: dict[str, Any] = {
    "kind": _KIND,
    "view_of": str,
    "lr_mult": float,
    "decay_mult": float,
    "spec": None,
    "name": str,
    "shape": tuple[int, ...],
    "filler": Filler,
    "out_axis": int | None,
    "in_axis": int | None,
}


def parse_graph(
    text: str, lookup: OpLookup, *, file: str = "graph.txt", limits: Limits | None = None
) -> Graph:
    """The graph that `print_graph` printed; `lookup` finds layer types by name.

    `file` names the text in errors. Raises GC-V002 with the line, GC-S001 for impossible shapes,
    GC-L001, and what `lookup` raises (GC-N001).
    """
    limits = limits or Limits()
    limits.check("text_bytes", len(text), "the length of the graph's text")
    parser = _Parser(lookup, limits)
    number = 0
    try:
        for number, line in enumerate(text.split("\n"), 1):
            parser.line(line, number)
        return parser.finish()
    except GraphError as error:
        raise error.at(loc=Loc(file, parser.failed_at or number)) from None


def default_spec(value: Value, role: str) -> Param:
    """The declaration of a parameter of which nothing special is told."""
    return Param(role, value.type.shape if value.type is not None else ())


@dataclass
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
    def __init__(self, lookup: OpLookup, limits: Limits) -> None:
        self.lookup = lookup
        self.limits = limits
        self.graph: Graph | None = None
        self.version = 0
        self.values: dict[str, Value] = {}
        self.forward: list[Node] = []
        self.draft: _Draft | None = None
        self.tokens = 0
        self.failed_at = 0

    def line(self, line: str, number: int) -> None:
        """Read one line; blank ones and comments (#) say nothing."""
        if not line.strip() or line.lstrip().startswith("#"):
            return
        tokens = Tokens(line)
        self.tokens += len(tokens.items)
        self.limits.check("text_tokens", self.tokens, "the number of tokens")
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
        elif keyword in ("free", "seed", "gradient", "output"):
            self._close()
            self._net_line(keyword, tokens, self.graph)
        else:
            fail("GC-V002", f"{keyword!r} means nothing here")
        tokens.end()

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
        self.graph = Graph(name=name, **_words(tokens, _NET_WORDS))

    def _net_line(self, keyword: str, tokens: Tokens, graph: Graph) -> None:
        if keyword == "free":
            self._state(tokens, Kind.ACT, "")
        elif keyword == "output":
            graph.outputs.append(self._known(tokens))
        else:
            table = graph.seeds if keyword == "seed" else graph.grads
            name = tokens.name()
            _put(table, name, self._known(tokens))

    def _open(self, keyword: str, tokens: Tokens, number: int) -> None:
        name, type_ = tokens.name(), tokens.name()
        words = _words(tokens, _NODE_WORDS)
        self.draft = _Draft(self.lookup(type_), name, _ROLES[keyword], words, number)

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
        )

    def attr(self, draft: _Draft, tokens: Tokens) -> None:
        draft.attrs |= tokens.pair(hints_of(draft.op.Attrs), draft.attrs)

    def in_(self, draft: _Draft, tokens: Tokens) -> None:
        _put(draft.ins, tokens.name(), self._known(tokens))

    def param(self, draft: _Draft, tokens: Tokens) -> None:
        role = tokens.name()
        _put(draft.params, role, self._state(tokens, Kind.PARAM, role, again=True))

    def top(self, draft: _Draft, tokens: Tokens) -> None:
        role = tokens.name()
        _put(draft.outs, role, self._state(tokens, Kind.ACT, role))
        draft.tops.append(role)

    def aux(self, draft: _Draft, tokens: Tokens) -> None:
        role = tokens.name()
        _put(draft.outs, role, self._state(tokens, Kind.ACT, role))

    def spec(self, draft: _Draft, tokens: Tokens) -> None:
        draft.specs.append(ParamSpec(**_words(tokens, hints_of(ParamSpec))))

    def loss(self, draft: _Draft, tokens: Tokens) -> None:
        role = tokens.name()
        _put(draft.loss, role, tokens.value(float))

    def propagate(self, draft: _Draft, tokens: Tokens) -> None:
        draft.propagate = tokens.value(tuple[bool, ...])

    def _known(self, tokens: Tokens) -> Value:
        """The value of the name that stands next."""
        name = tokens.name()
        if name not in self.values:
            fail("GC-V002", f"value {name!r} is not stated before it is used")
        return self.values[name]

    def _state(self, tokens: Tokens, usual: Kind, role: str, *, again: bool = False) -> Value:
        """A value and what is said of it; with `again`, a name known already stands for itself."""
        name = tokens.name()
        if name in self.values:
            if again:
                return self.values[name]
            fail("GC-V002", f"value {name!r} is stated twice")
        value = Value(name, _type(tokens), usual)
        words = _words(tokens, _VALUE_WORDS)
        value.kind = Kind[words.get("kind", usual.name)]
        if value.kind is not Kind.ACT:
            self._describe(value, words, role)
        elif words.keys() - {"kind"}:
            fail("GC-V002", f"value {name!r} is no parameter, but has {', '.join(words)}")
        self.values[name] = value
        return value

    def _describe(self, value: Value, words: dict[str, Any], role: str) -> None:
        value.lr_mult = words.get("lr_mult", 1.0)
        value.decay_mult = words.get("decay_mult", 1.0)
        if "view_of" in words:
            if words["view_of"] not in self.values:
                fail("GC-V002", f"view_of={words['view_of']!r} is not stated before it is used")
            value.view_of = self.values[words["view_of"]]
        if "spec" not in words:
            told = {k: v for k, v in words.items() if k in _SPEC_WORDS}
            value.spec = replace(default_spec(value, role), kind=value.kind, **told)


_SPEC_WORDS = frozenset({"name", "shape", "filler", "out_axis", "in_axis"})
_NODE_LINES = {
    "attr": _Parser.attr,
    "in": _Parser.in_,
    "param": _Parser.param,
    "top": _Parser.top,
    "aux": _Parser.aux,
    "spec": _Parser.spec,
    "loss": _Parser.loss,
    "propagate": _Parser.propagate,
}


def _words(tokens: Tokens, hints: dict[str, Any]) -> dict[str, Any]:
    """`name=value` up to the end of the line."""
    found: dict[str, Any] = {}
    while tokens:
        found |= tokens.pair(hints, found)
    return found


def _type(tokens: Tokens) -> Type | None:
    dtype = tokens.accept_word(ITEM_BYTES)
    return None if dtype is None else Type(tokens.integers("[", "]"), cast(DType, dtype))


def _put(table: dict[str, Any], name: str, value: object) -> None:
    if name in table:
        fail("GC-V002", f"{name!r} stands there twice")
    table[name] = value


__all__ = ["HEADERS", "VERSION", "default_spec", "parse_graph"]
