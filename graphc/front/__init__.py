"""prototxt and caffemodel -> Graph, and Graph -> prototxt and caffemodel.

May import `ops`, `data`, `ir`, `errors`, `limits`.
"""
