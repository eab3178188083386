"""Checkpoints: what a training run leaves on disk, and goes on from, to the bit."""
