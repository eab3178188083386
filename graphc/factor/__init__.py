"""Convolutions and inner products written as several smaller ones, in float64; arrays only."""
