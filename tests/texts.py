"""Nets as prototxt text for tests, one short call per layer, and graphs made of them."""

from __future__ import annotations

from typing import Any

from graphc.driver import prepare
from graphc.front import parse_net
from graphc.ir.graph import Graph


def layer(type_: str, bottoms: str = "", tops: str = "", more: str = "", name: str = "") -> str:
    """One layer; blobs are separated by spaces, the name is the first top's unless given."""
    name = name or (tops or bottoms).split()[0]
    blobs = [f'bottom: "{b}"' for b in bottoms.split()] + [f'top: "{t}"' for t in tops.split()]
    return f'layer {{ name: "{name}" type: "{type_}" {" ".join(blobs)} {more} }}\n'


def feed(**shapes: tuple[int, ...]) -> str:
    """An Input layer called "in" with one top per keyword."""
    dims = ("".join(f"dim: {d} " for d in shape) for shape in shapes.values())
    told = " ".join(f"shape {{ {each}}}" for each in dims)
    return layer("Input", "", " ".join(shapes), f"input_param {{ {told} }}", name="in")


def fc(bottom: str, top: str, outputs: int, more: str = "", name: str = "", field: str = "") -> str:
    """An InnerProduct layer; `field` goes into its inner_product_param."""
    told = f'num_output: {outputs} weight_filler {{ type: "xavier" }} {field}'
    more = f"inner_product_param {{ {told} }} {more}"
    return layer("InnerProduct", bottom, top, more, name)


def conv(bottom: str, top: str, outputs: int, kernel: int = 3, more: str = "") -> str:
    told = f'num_output: {outputs} kernel_size: {kernel} weight_filler {{ type: "xavier" }}'
    return layer("Convolution", bottom, top, f"convolution_param {{ {told} }} {more}")


def softmax_loss(bottom: str, label: str = "label", top: str = "loss", more: str = "") -> str:
    return layer("SoftmaxWithLoss", f"{bottom} {label}", top, more)


def graph(*layers: str, head: str = "", shaped: bool = True, **words: Any) -> Graph:
    """The graph of the layers' text, with fillers and, unless a data layer is there, shapes."""
    parsed = parse_net(head + "".join(layers), **words)
    return prepare(parsed) if shaped else parsed
