"""The optimum that plans with replays are compared with."""
