"""Forest: which values are views, of what, and where their elements lie in the root's buffer."""

from __future__ import annotations

from collections.abc import Callable

from graphc.ir.graph import Value, typed
from graphc.lower._formats import Formats
from graphc.lower._layout import Layout, dense, reshaped
from graphc.ops.spec import View

Accepts = Callable[[Value, Layout], bool]
WHOLE = View("")


class Forest:
    """A forest: a value is a root with a buffer of its own, or the slice `view` of its parent.

    `formats`: of the values; parent and child of a slice have the same. `accepts`: may all that
    read and write this value meet it under these strides? Asked for views with gaps only.
    """

    def __init__(
        self,
        formats: Formats | None = None,
        accepts: Accepts = lambda value, layout: True,
    ) -> None:
        self.formats, self._accepts = formats or Formats(), accepts
        self._parent: dict[Value, tuple[Value, View]] = {}
        self._root: dict[Value, Value] = {}
        self._members: dict[Value, list[Value]] = {}
        self._layout: dict[Value, Layout] = {}

    def root(self, value: Value) -> Value:
        return self._root.get(value, value)

    def members(self, root: Value) -> list[Value]:
        """The root and every view in it."""
        return self._members.get(root, [root])

    def layout(self, value: Value) -> Layout:
        """Where the value lies in its root."""
        found = self._find(value)
        assert found is not None, f"{value.name!r} is no view of {self.root(value).name!r}"
        return found

    def covers(self, value: Value) -> bool:
        """Is the value the whole of its root, if perhaps under other dims?"""
        return typed(value).size == typed(self.root(value)).size and self.layout(value).is_dense

    def link(self, root: Value, parent: Value, view: View = WHOLE) -> bool:
        """Make `root` the slice `view` of `parent`, with all its views; False where strides cannot
        say that, or a user of one does not take them, and then nothing has changed."""
        target = self.root(parent)
        if target is root or self.root(root) is not root:
            return False
        moved = self.members(root)
        self._parent[root] = (parent, view)
        before = {value: self._layout.pop(value, None) for value in moved}
        if all(self._fits(value) for value in moved):
            self._members[target] = [*self.members(target), *moved]
            self._members.pop(root, None)
            self._root.update(dict.fromkeys(moved, target))
            return True
        del self._parent[root]
        for value, layout in before.items():
            self._layout.pop(value, None)
            if layout is not None:
                self._layout[value] = layout
        return False

    def _fits(self, value: Value) -> bool:
        layout = self._find(value)
        return layout is not None and (layout.is_dense or self._accepts(value, layout))

    def _find(self, value: Value) -> Layout | None:
        path = []
        while value not in self._layout and value in self._parent:
            path.append(value)
            value = self._parent[value][0]
        layout: Layout | None = self._layout.get(value)
        if layout is None:
            layout = self._layout[value] = dense(self.formats.dims(value))
        for inner in reversed(path):
            outer, view = self._parent[inner]
            layout = reshaped(self.formats.sliced(outer, layout, view), self.formats.dims(inner))
            if layout is None:
                return None
            self._layout[inner] = layout
        return layout


__all__ = ["WHOLE", "Accepts", "Forest"]
