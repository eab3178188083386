"""The graph: values, nodes, their text form, inference, verification and provenance.

Reads nothing from disk; returns `Graph`. May import `errors`, `codes`, `limits`, `config`.
"""
