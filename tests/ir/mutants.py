"""Graphs that break one rule of the verifier each, by the rule that must refuse them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from ir.verify_sample import Double, node, top, with_inner_gradients

from graphc.ir.graph import Graph, Node, Value
from graphc.ir.op import Kind, Param
from graphc.ir.types import Type
from graphc.ops.inner_product import InnerProduct, InnerProductAttrs


def twice(g: Graph) -> None:
    g.nodes.append(g.nodes[0])


def second_writer(g: Graph) -> None:
    g.nodes.append(Node(Double, "again", None, {"x": top(g, 1)}, {"y": top(g, 2)}))


def lost_producer(g: Graph) -> None:
    top(g, 1).producer = node(g, 0)


def produced_parameter(g: Graph) -> None:
    node(g, 1).params["weight"].producer = node(g, 0)


def same_name(g: Graph) -> None:
    top(g, 2).name = "ip"


def no_name(g: Graph) -> None:
    top(g, 2).name = ""


def written_parameter(g: Graph) -> None:
    top(g, 2).kind = Kind.PARAM


def activation_as_parameter(g: Graph) -> None:
    node(g, 1).params["weight"].kind = Kind.ACT


def wrong_order(g: Graph) -> None:
    g.nodes[1], g.nodes[2] = g.nodes[2], g.nodes[1]


def reads_itself(g: Graph) -> None:
    node(g, 2).ins["x"] = top(g, 2)


def reads_nothing(g: Graph) -> None:
    node(g, 2).ins["x"] = Value("ghost", Type((2, 3)))


def wrong_bottom_role(g: Graph) -> None:
    node(g, 2).ins = {"input": top(g, 1)}


def too_many_bottoms(g: Graph) -> None:
    node(g, 2).ins["x2"] = top(g, 1)


def wrong_top_role(g: Graph) -> None:
    node(g, 2).outs = {"z": top(g, 2)}
    node(g, 2).tops = ("z",)


def unwritten_top(g: Graph) -> None:
    node(g, 2).tops = ("z",)


def loss_on_no_top(g: Graph) -> None:
    node(g, 2).loss = {"z": 1.0}


def propagate_count(g: Graph) -> None:
    node(g, 2).propagate = (True, False)


def foreign_output(g: Graph) -> None:
    g.outputs.append(Value("ghost", Type(())))


def output_twice(g: Graph) -> None:
    g.outputs.append(g.outputs[0])


def view_of_view(g: Graph) -> None:
    owner = node(g, 1).params["weight"]
    owner.view_of = Value("far", Type((3, 5)), Kind.PARAM)


def view_of_unused(g: Graph) -> None:
    node(g, 3).params["weight"].view_of = Value("far", Type((3, 5)), Kind.PARAM)


def view_of_other_kind(g: Graph) -> None:
    node(g, 3).params["weight"].kind = Kind.STATE


def forward_with_part(g: Graph) -> None:
    node(g, 2).part = "dx"


def part_of_nothing(g: Graph) -> None:
    node(g, 4).of = None


def part_of_foreign(g: Graph) -> None:
    node(g, 4).of = Node(InnerProduct, "far", None)


def part_too_early(g: Graph) -> None:
    g.nodes.insert(1, g.nodes.pop())


def part_of_other_type(g: Graph) -> None:
    node(g, 4).op = Double


def unknown_part(g: Graph) -> None:
    node(g, 4).part = "dbias"


def reads_less(g: Graph) -> None:
    del node(g, 4).ins["x"]


def reads_other_value(g: Graph) -> None:
    node(g, 4).ins["x"] = top(g, 2)


def writes_other_role(g: Graph) -> None:
    node(g, 4).outs, node(g, 4).tops = {"dx": node(g, 4).outs["dweight"]}, ("dx",)


def inner_gradient_of_another(g: Graph) -> None:
    one, _ = with_inner_gradients(g)
    g.nodes[-1].ins["dsums"] = one


def inner_gradient_from_a_seed(g: Graph) -> None:
    with_inner_gradients(g)
    g.nodes[-1].ins["dsums"] = g.seeds["two"]


def inner_gradient_of_other_type(g: Graph) -> None:
    with_inner_gradients(g)[1].type = Type((3, 2))


def gradient_of_nothing(g: Graph) -> None:
    g.grads["ghost"] = g.grads["ip:weight"]


def gradient_from_nowhere(g: Graph) -> None:
    g.grads["ip:weight"] = Value("ghost", Type((3, 5)))


def seed_of_other_shape(g: Graph) -> None:
    g.seeds["ip"].type = Type((2, 4))


def no_type(g: Graph) -> None:
    top(g, 2).type = None


def no_param_type(g: Graph) -> None:
    node(g, 1).params["weight"].type = None


def integer_parameter(g: Graph) -> None:
    node(g, 1).params["weight"].type = Type((3, 5), "i32")


def spec_disagrees(g: Graph) -> None:
    node(g, 1).params["weight"].spec = Param("weight", (5, 3))


def view_of_other_size(g: Graph) -> None:
    node(g, 3).params["weight"].type = Type((5, 4))


def weights_of_nothing(g: Graph) -> None:
    g.weights["ghost"] = np.zeros(3, np.float32)


def weights_of_a_view(g: Graph) -> None:
    g.weights["ip2:weight"] = np.zeros((5, 3), np.float32)


def double_weights(g: Graph) -> None:
    g.weights["ip:weight"] = np.zeros((3, 5))  # type: ignore[assignment]


def misshapen_weights(g: Graph) -> None:
    g.weights["ip:weight"] = np.zeros((5, 3), np.float32)


def gradient_of_other_type(g: Graph) -> None:
    node(g, 4).outs["dweight"].type = Type((5, 3))
    del g.grads["ip:weight"]


def wrong_top_type(g: Graph) -> None:
    top(g, 2).type = Type((3, 2))


def impossible_inference(g: Graph) -> None:
    node(g, 1).attrs = InnerProductAttrs(num_output=0, bias_term=False)


def unknown_aux(g: Graph) -> None:
    node(g, 1).outs["mask"] = Value("ip:mask", Type((2, 3)), producer=node(g, 1))


def wrong_param_shape(g: Graph) -> None:
    node(g, 1).params["weight"].spec = None
    node(g, 1).params["weight"].type = Type((5, 3))
    g.weights.clear()
    g.nodes.pop()
    g.grads.clear()


def missing_param(g: Graph) -> None:
    node(g, 3).params.clear()


def wrong_param_kind(g: Graph) -> None:
    node(g, 1).params["weight"].kind = Kind.STATE
    node(g, 3).params["weight"].kind = Kind.STATE


MUTANTS: dict[str, tuple[Callable[[Graph], None], ...]] = {
    "nodes_unique": (twice,),
    "written_once": (second_writer,),
    "producers_linked": (lost_producer, produced_parameter),
    "names_unique": (same_name, no_name),
    "kinds_fit": (written_parameter, activation_as_parameter),
    "defined_before_read": (wrong_order, reads_itself, reads_nothing),
    "tops_written": (unwritten_top, loss_on_no_top, propagate_count),
    "roles_match": (wrong_bottom_role, too_many_bottoms, wrong_top_role),
    "outputs_exist": (foreign_output, output_twice),
    "views_flat": (view_of_view, view_of_unused, view_of_other_kind),
    "gradients_refer": (
        forward_with_part,
        part_of_nothing,
        part_of_foreign,
        part_too_early,
        part_of_other_type,
    ),
    "gradients_read_their_part": (
        unknown_part,
        reads_less,
        reads_other_value,
        writes_other_role,
        inner_gradient_of_another,
        inner_gradient_from_a_seed,
    ),
    "gradient_tables_fit": (gradient_of_nothing, gradient_from_nowhere),
    "types_present": (no_type, no_param_type, integer_parameter, spec_disagrees),
    "views_same_size": (view_of_other_size,),
    "weights_fit": (weights_of_nothing, weights_of_a_view, double_weights, misshapen_weights),
    "gradients_typed": (gradient_of_other_type, seed_of_other_shape, inner_gradient_of_other_type),
    "inference_agrees": (wrong_top_type, impossible_inference, unknown_aux),
    "params_agree": (wrong_param_shape, missing_param, wrong_param_kind),
}
