"""The layer declarations: one class in one file per Caffe layer type (design 2).

Reads nothing; returns data and pure functions. May import `ir`, `data`, `errors`, `limits`.
"""
