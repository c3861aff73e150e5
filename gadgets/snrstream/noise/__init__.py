"""Noise measurements: made, kept, asked for, and turned into whitening matrices."""
