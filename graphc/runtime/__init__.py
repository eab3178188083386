"""Compiled networks: executors and the artefact.

May import `autodiff`, `ops`, `ir`, `errors`, `limits`.
"""
