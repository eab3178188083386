"""Measurements that are run by hand, on a machine that is told apart by its own report."""
