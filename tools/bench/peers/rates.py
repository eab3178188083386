"""What all trainers update by."""

RATE, MOMENTUM, DECAY = 1e-4, 0.9, 5e-4
