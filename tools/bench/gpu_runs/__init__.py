"""Stages of tools/bench/gpu.py: `run(facts, clock, dry)` each, as those of the probe.

With `dry` a stage does what needs no GPU, with kernels on the CPU where there are any to run.
"""
