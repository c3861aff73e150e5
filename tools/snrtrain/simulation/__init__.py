"""Scans in simulation: objects, coils, and the scanner that makes archive items of them."""
