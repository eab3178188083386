"""Solver rules and regularizers as declarations."""
