"""prototxt and caffemodel -> Graph, and Graph -> prototxt and caffemodel.

May import `ops`, `data`, `ir`, `files`, `errors`, `limits`.
"""

from graphc.front.net import parse_net, read_net

__all__ = ["parse_net", "read_net"]
