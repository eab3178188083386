"""Training: what a solver prototxt asks for, and the loop that does it."""
