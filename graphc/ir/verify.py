"""verify: refuse a graph that breaks a rule of the IR.

The rules are small functions in `rules_structure`, `rules_gradients` and `rules_types`, each
linear in the size of the graph; this file is their table.
"""

from __future__ import annotations

from collections.abc import Callable

from graphc.errors import GraphError
from graphc.ir import rules_gradients as gradients
from graphc.ir import rules_structure as structure
from graphc.ir import rules_types as types
from graphc.ir.facts import Facts, Problems
from graphc.ir.graph import Graph

RULES: tuple[tuple[int, Callable[[Facts], Problems]], ...] = (
    (0, structure.nodes_unique),
    (0, structure.written_once),
    (0, structure.producers_linked),
    (0, structure.names_unique),
    (0, structure.kinds_fit),
    (0, structure.defined_before_read),
    (0, structure.tops_written),
    (0, structure.roles_match),
    (0, structure.outputs_exist),
    (0, structure.views_flat),
    (0, gradients.gradients_refer),
    (0, gradients.gradients_read_their_part),
    (0, gradients.gradient_tables_fit),
    (1, types.types_present),
    (1, types.views_same_size),
    (1, types.weights_fit),
    (1, gradients.gradients_typed),
    (2, types.inference_agrees),
    (2, types.params_agree),
)


def verify(graph: Graph, level: int = 1) -> None:
    """Check every rule up to `level` (0 structure, 1 types, 2 inference again).

    Raises GC-V001 for the first broken rule, with the rule's name, node and value.
    """
    facts = Facts(graph)
    for needed, rule in RULES:
        if needed > level:
            continue
        for problem in rule(facts):
            error = GraphError("GC-V001", f"{problem.message} (rule {rule.__name__})")
            raise problem.node.located(error) if problem.node is not None else error
